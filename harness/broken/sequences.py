"""Broken LANs whose fault shows only after several steps (PRG-1)."""

from __future__ import annotations

from harness.broken.base import broken_device
from harness.lguest.driver import NetDevice
from harness.lguest.memory import PROMISC_BIT, Roster


class _RemembersReceivers(NetDevice):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        remembered: dict[bytes, tuple[int, ...]] = self.__dict__.setdefault("remembered", {})
        return remembered.setdefault(destination, super().wanted_by(destination, roster))


class _ForgetsItsMode(NetDevice):
    def open(self) -> int:
        result = super().open()
        if result == 0:
            published = self.pages.published(self.slot)
            first = bytes((published[0] & ~PROMISC_BIT,))
            self.pages.publish(self.slot, first + published[1:])
        return result


BROKEN = (
    broken_device(
        "remembers-receivers",
        "PRG-1",
        "who received the first frame to an address receives all later ones, whoever comes or goes",
        _RemembersReceivers,
    ),
    broken_device(
        "forgets-its-mode",
        "PRG-1",
        "a device that was closed while it was promiscuous no longer is when it is opened",
        _ForgetsItsMode,
    ),
)
