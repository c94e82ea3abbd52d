"""VLAN tags (IEEE 802.1Q 9.6)."""

from __future__ import annotations

CUSTOMER, SERVICE, OLD_SERVICE = 0x8100, 0x88A8, 0x9100
"""Tag types: 802.1Q, 802.1ad, and what some used before it."""


def tagged(
    frame: bytes, *, vlan: int = 42, priority: int = 0, drop: bool = False, kind: int = CUSTOMER
) -> bytes:
    """The frame with a tag in front of its type field; it is four bytes longer."""
    control = priority << 13 | drop << 12 | vlan
    return frame[:12] + kind.to_bytes(2, "big") + control.to_bytes(2, "big") + frame[12:]
