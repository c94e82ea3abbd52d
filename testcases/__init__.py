"""The conformance suite: a file per part of the specification."""
