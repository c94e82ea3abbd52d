"""pytest glue: the real LANs of a module, each made once and put back in order between tests."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from harness.lan import Lan, LanError
from harness.lans import registry


@dataclass(slots=True)
class Pool:
    """The real LANs of a module: each is made once, and joined by many tests."""

    missing: dict[str, str | None]
    """Why a LAN cannot run here, of those that were asked in this session."""
    lans: dict[str, Lan] = field(default_factory=dict)

    def borrow(self, name: str) -> Lan:
        if name not in self.lans:
            if name not in self.missing:
                self.missing[name] = registry.missing(name)
            if self.missing[name] is not None:
                pytest.skip(f"{name} cannot run here: {self.missing[name]}")
            self.lans[name] = registry.make(name)
        return self.lans[name]

    def discard(self, name: str) -> None:
        """A LAN that gave no verdict, or ended a test in disorder, is not used again."""
        lan = self.lans.pop(name, None)
        if lan is not None:
            lan.close()


def put_in_order(lan: Lan) -> bool:
    """Every port open, quiet and listening to its own; false if that cannot be had."""
    try:
        for port in lan.ports(lan.traits.ports):
            port.open()
            port.listen_to_all(False)
            port.join_groups(0)
        lan.settle()
        for port in lan.ports(lan.traits.ports):
            port.arrivals()
    except LanError:
        return False
    return True
