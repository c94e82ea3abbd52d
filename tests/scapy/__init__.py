"""Scapy on a LAN, replay, join and serve."""
