"""Adapters for LANs under test, and the deviations of the built-in ones."""
