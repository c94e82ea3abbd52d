"""Group addresses that find the gaps of filters."""

from __future__ import annotations

import hashlib

from harness.models import is_reserved


def pseudo_random_groups(count: int) -> list[bytes]:
    """Group addresses spread over all hash buckets of a card's filter."""
    stream = hashlib.shake_128(b"groups").digest(6 * count)
    groups = [bytes((stream[at] | 1,)) + stream[at + 1 : at + 6] for at in range(0, 6 * count, 6)]
    return [group for group in groups if not is_reserved(group)]


def groups_of_one_bit() -> list[bytes]:
    """Groups with one bit beside those that make them a group, an IPv4 or an IPv6 multicast."""
    prefixes = (("010000000000", 48), ("01005e000000", 24), ("333300000000", 32))
    numbers = [int(prefix, 16) | 1 << bit for prefix, bits in prefixes for bit in range(bits)]
    return [number.to_bytes(6, "big") for number in dict.fromkeys(numbers)]
