"""Helpers that several tests of the suite share."""
