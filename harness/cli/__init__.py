"""The command ``lguest-harness``."""
