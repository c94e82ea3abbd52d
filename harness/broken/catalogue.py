"""Every broken LAN, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from harness.broken import (
    array_places,
    binding,
    bounds,
    copying,
    counters,
    delivery,
    guest_ports,
    host_lists,
    host_network,
    killed,
    lengths,
    lifecycle,
    lists,
    page_writers,
    payload,
    publishing,
    receiving,
    rings,
    sections,
    sequences,
)
from harness.broken.base import Broken
from harness.broken.living import (
    bridge_reports,
    bridges,
    directory,
    directory_frames,
    directory_reports,
    learning,
    learning_reports,
    load,
    ports,
    programs,
    repeater,
    repeater_reports,
    tables,
    verbs,
)

_MODULES = (
    publishing,
    delivery,
    payload,
    sections,
    binding,
    bounds,
    copying,
    lists,
    rings,
    killed,
    receiving,
    lengths,
    counters,
    lifecycle,
    host_network,
    host_lists,
    page_writers,
    array_places,
    guest_ports,
    repeater,
    learning,
    tables,
    bridges,
    directory,
    directory_frames,
    load,
    ports,
    programs,
    sequences,
    repeater_reports,
    learning_reports,
    bridge_reports,
    directory_reports,
    verbs,
)

BROKEN: Mapping[str, Broken] = MappingProxyType(
    {broken.name: broken for module in _MODULES for broken in module.BROKEN}
)
"""Name to LAN, in the order of the specification's parts."""
