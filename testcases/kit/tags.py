"""VLAN tags (IEEE 802.1Q 9.6)."""

from harness.frames import CUSTOMER, OLD_SERVICE, SERVICE, tagged

__all__ = ["CUSTOMER", "OLD_SERVICE", "SERVICE", "tagged"]
