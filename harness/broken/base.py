"""A deliberately broken LAN: one difference from the repaired LAN."""

from __future__ import annotations

from dataclasses import dataclass

from harness.lans.lguest import LguestLan, Parts
from harness.lguest.defects import REPAIRED
from harness.lguest.driver import NetDevice
from harness.lguest.guest import Guest
from harness.lguest.host import Host


@dataclass(frozen=True, slots=True)
class Broken:
    """The repaired LAN with one small difference.

    ``rule`` is the rule whose tests must catch it, ``what`` says in a line what is
    wrong, ``parts`` holds the part that is different.
    """

    name: str
    rule: str
    what: str
    parts: Parts

    def make(self) -> LguestLan:
        """A new LAN of this kind."""
        return LguestLan(f"broken:{self.name}", REPAIRED, parts=self.parts)


def broken_host(name: str, rule: str, what: str, host: type[Host]) -> Broken:
    """A LAN with another Host."""
    return Broken(name, rule, what, Parts(host=host))


def broken_guest(name: str, rule: str, what: str, guest: type[Guest]) -> Broken:
    """A LAN with another kind of Guest."""
    return Broken(name, rule, what, Parts(guest=guest))


def broken_device(name: str, rule: str, what: str, device: type[NetDevice]) -> Broken:
    """A LAN whose Guests have another network driver."""
    return Broken(name, rule, what, Parts(device=device))
