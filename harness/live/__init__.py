"""A LAN in use rather than under test: frames are passed on as they arrive."""
