"""The test that `lguest-harness replay` runs."""
