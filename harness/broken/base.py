"""A deliberately broken LAN: one difference from a correct one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.lan import Lan
from harness.lans.lguest import LguestLan, Parts
from harness.lguest.defects import REPAIRED
from harness.lguest.driver import NetDevice
from harness.lguest.guest import Guest
from harness.lguest.host import Host


@dataclass(frozen=True, slots=True)
class Broken:
    """A correct LAN with one small difference.

    ``rule`` is the rule whose tests must catch it, ``what`` says in a line what is
    wrong. ``build`` makes the LAN, given its name. ``kind`` is the LAN's, and ``lguest``
    says whether it is the simulated lguest LAN.
    """

    name: str
    rule: str
    what: str
    build: Callable[[str], Lan]
    kind: str
    lguest: bool = False

    def make(self) -> Lan:
        """A new LAN of this kind."""
        return self.build(f"broken:{self.name}")


def broken_lguest(name: str, rule: str, what: str, parts: Parts) -> Broken:
    """The repaired lguest LAN with another part."""

    def build(lan_name: str) -> Lan:
        return LguestLan(lan_name, REPAIRED, parts=parts)

    return Broken(name, rule, what, build, "directory", lguest=True)


def broken_host(name: str, rule: str, what: str, host: type[Host]) -> Broken:
    """A LAN with another Host."""
    return broken_lguest(name, rule, what, Parts(host=host))


def broken_guest(name: str, rule: str, what: str, guest: type[Guest]) -> Broken:
    """A LAN with another kind of Guest."""
    return broken_lguest(name, rule, what, Parts(guest=guest))


def broken_device(name: str, rule: str, what: str, device: type[NetDevice]) -> Broken:
    """A LAN whose Guests have another network driver."""
    return broken_lguest(name, rule, what, Parts(device=device))
