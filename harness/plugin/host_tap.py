"""What the fixture ``tap`` gives: a Guest whose network has its Host at the other end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from harness.lans.lguest import LguestLan
from harness.lguest.launcher import HostNetwork
from harness.lguest.tap import MemoryTap

GUEST_ID = 50
"""Far from the ids of Guests that ``lan.ports`` makes, which count from 1."""


@dataclass(frozen=True, slots=True)
class HostTap:
    """A Guest on a Host network; its device is open.

    ``guest_address`` and ``host_address`` are six bytes each. Frames are ``bytes``.
    """

    lguest: LguestLan
    network: HostNetwork
    tap: MemoryTap

    @classmethod
    def on(cls, lguest: LguestLan) -> Self:
        """A new one on a simulated LAN's Host."""
        tap = MemoryTap()
        network = lguest.host_network(GUEST_ID, tap)
        network.device.open()
        return cls(lguest, network, tap)

    @property
    def guest_address(self) -> bytes:
        """The Guest's address."""
        return self.network.device.address

    @property
    def host_address(self) -> bytes:
        """The Host's address, that of its TAP."""
        return self.tap.address

    def send_from_guest(self, frame: bytes) -> list[bytes]:
        """The Guest sends a frame; what reached the Host of it, and of nothing before."""
        before = len(self.tap.written)
        self.network.device.transmit(frame)
        self.lguest.settle()
        return self.tap.written[before:]

    def send_from_host(self, frame: bytes) -> list[bytes]:
        """The Host sends a frame; what reached the Guest's network stack because of it."""
        before = len(self.lguest.received(self.network.device))
        self.tap.feed(frame)
        while self.network.input():
            self.lguest.settle()
        return self.lguest.received(self.network.device)[before:]
