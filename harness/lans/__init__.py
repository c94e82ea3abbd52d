"""LANs under test, one file each, and what each is known to do otherwise."""
