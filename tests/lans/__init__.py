"""Tests of the adapters of real LANs."""
