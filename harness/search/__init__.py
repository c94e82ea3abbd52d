"""Searches of simulated LANs: exhaustive, interleavings, hostile Guests, random programs."""
