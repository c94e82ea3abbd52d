"""LANs that a TOML file describes: how they are started, where their ports are."""
