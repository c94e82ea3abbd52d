"""Deliberately broken LANs in memory: repeaters, learning LANs and directories."""
