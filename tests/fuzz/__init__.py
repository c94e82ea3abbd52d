"""Damaged input: every reader takes it, or refuses it in one line."""
