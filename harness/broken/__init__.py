"""LANs that are wrong on purpose, one small difference each."""
