"""What a LAN that is wrong on purpose consists of."""

from __future__ import annotations

from dataclasses import dataclass

from harness.lans.lguest import LguestLan, Parts
from harness.lguest.defects import REPAIRED


@dataclass(frozen=True, slots=True)
class Broken:
    """The repaired LAN but for one small thing.

    ``rule`` is the rule whose tests must catch it, ``what`` says in a line what it does
    wrong, ``parts`` holds the part that is different.
    """

    name: str
    rule: str
    what: str
    parts: Parts

    def make(self) -> LguestLan:
        """A new LAN of this kind."""
        return LguestLan(f"broken:{self.name}", REPAIRED, parts=self.parts)
