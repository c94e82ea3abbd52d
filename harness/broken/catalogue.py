"""Every LAN that is wrong on purpose, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from harness.broken import (
    binding,
    copying,
    counters,
    delivery,
    host_network,
    lengths,
    lifecycle,
    lists,
    payload,
    publishing,
    receiving,
    rings,
    sections,
)
from harness.broken.base import Broken

_MODULES = (
    publishing,
    delivery,
    payload,
    sections,
    binding,
    copying,
    lists,
    rings,
    receiving,
    lengths,
    counters,
    lifecycle,
    host_network,
)

BROKEN: Mapping[str, Broken] = MappingProxyType(
    {each.name: each for module in _MODULES for each in module.BROKEN}
)
"""Name to LAN, in the order of the specification's parts."""
