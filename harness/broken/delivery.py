"""LANs that deliver to the wrong peers (B)."""

from __future__ import annotations

from harness.broken.base import Broken
from harness.lans.lguest import Parts
from harness.lguest.driver import NetDevice
from harness.lguest.events import BROADCAST
from harness.lguest.memory import Roster


class _ComparesFiveBytes(NetDevice):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        alike = {
            slot
            for address, slots in roster.owners.items()
            if address[:5] == destination[:5]
            for slot in slots
        }
        return tuple(sorted({*super().wanted_by(destination, roster), *alike} - {self.slot}))


class _OnlyBroadcastIsAGroup(NetDevice):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        if destination[0] & 1 and destination != BROADCAST:
            return tuple(slot for slot in roster.promiscuous if slot != self.slot)
        return super().wanted_by(destination, roster)


BROKEN = (
    Broken(
        "compares-five-bytes",
        "DLV-1",
        "the last byte of an address is not compared",
        Parts(device=_ComparesFiveBytes),
    ),
    Broken(
        "only-broadcast-is-a-group",
        "DLV-3",
        "treats only ff:ff:ff:ff:ff:ff as a group",
        Parts(device=_OnlyBroadcastIsAGroup),
    ),
)
