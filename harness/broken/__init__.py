"""Deliberately broken LANs, one small difference each."""
