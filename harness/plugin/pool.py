"""pytest glue: the real LANs of a module, each made once and put back in order between tests."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import cast

import pytest

from harness.lan import Inconclusive, Lan, LanError, PortVerbs, Storm
from harness.models import Model, kind_of
from harness.plugin.seeds import seed_markers
from harness.registry import Entry


@dataclass(slots=True)
class Known:
    """What a session has found out of its LANs, by name."""

    missing: dict[str, str | None] = field(default_factory=dict)
    """Why a LAN cannot run here; None for one that can."""
    broken: dict[str, LanError] = field(default_factory=dict)
    """Why a LAN could not be made: it is not tried again."""


@dataclass(slots=True)
class Pool:
    """The real LANs of a module: each is made once, and joined by many tests."""

    known: Known
    seed: str
    """Of the markers of its LANs."""
    lans: dict[str, Lan] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)
    """What the tests did to each LAN so far: it lives as long as the LAN."""

    def borrow(self, entry: Entry) -> Lan:
        """A LAN with all its ports; skipped if it cannot run here, else Inconclusive."""
        name = entry.name
        if name not in self.lans:
            missing, broken = self.known.missing, self.known.broken
            if name not in missing:
                missing[name] = entry.missing()
            if missing[name] is not None:
                pytest.skip(f"{name} cannot run here: {missing[name]}")
            if name not in broken:
                try:
                    self.lans[name] = _made(entry, self.seed)
                except LanError as error:
                    broken[name] = error
            if name in broken:
                why = broken[name]
                raise why if isinstance(why, Storm) else Inconclusive(str(why))
        return self.lans[name]

    def model(self, name: str) -> Model | None:
        """The model of a LAN that stays for more than one test; None for any other."""
        lan = self.lans.get(name)
        if lan is None:
            return None
        return self.models.setdefault(name, Model(lan.traits, kind_of(lan.traits)))

    def discard(self, name: str) -> None:
        """A LAN that gave no verdict, or ended a test in disorder, is not used again."""
        self.models.pop(name, None)
        lan = self.lans.pop(name, None)
        if lan is not None:
            lan.close()


def _made(entry: Entry, seed: str) -> Lan:
    lan = entry.make()
    try:
        seed_markers(lan, seed)
        lan.ports(lan.traits.ports)
    except BaseException:
        with contextlib.suppress(LanError):
            lan.close()
        raise
    return lan


def reset_ports(lan: Lan) -> bool:
    """Every port open, quiet and listening to its own; false if that cannot be had."""
    try:
        for port in lan.ports(lan.traits.ports):
            able = cast("PortVerbs", port)
            if "pause" in lan.traits.verbs:
                able.resume()
            if "link" in lan.traits.verbs:
                able.link_up()
            port.open()
            port.set_promiscuous(False)
            port.join_groups(0)
        lan.settle()
        for port in lan.ports(lan.traits.ports):
            port.arrivals()
    except LanError:
        return False
    return True
