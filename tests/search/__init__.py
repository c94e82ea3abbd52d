"""Searches: exhaustive, random, hostile, and through every interleaving."""
