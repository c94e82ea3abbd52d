"""Every LAN that is wrong on purpose, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from harness.broken import delivery
from harness.broken.base import Broken

BROKEN: Mapping[str, Broken] = MappingProxyType(
    {each.name: each for module in (delivery,) for each in module.BROKEN}
)
"""Name to LAN, in the order of the specification's parts."""
