"""Base classes and helpers that several broken LANs share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.lguest import dma
from harness.lguest.driver import Counters, NetDevice
from harness.lguest.guest import Guest
from harness.lguest.host import Host
from harness.lguest.memory import BadArray, Binding, GuestMemory, Owner


class OtherFrame(NetDevice):
    """A device that sends a different frame from the one it was given, or none."""

    def transmit(
        self,
        frame: bytes,
        linear: int | None = None,
        offset: int = 0,
        fragments: Sequence[tuple[int, int]] = (),
    ) -> int:
        instead = self.instead(frame, linear)
        return 0 if instead is None else super().transmit(instead, linear, offset, fragments)

    def instead(self, frame: bytes, linear: int | None) -> bytes | None:
        """The frame to send instead of ``frame``; None for nothing."""
        raise NotImplementedError


class AfterTransmit(NetDevice):
    """A device that does something more after it sent a frame."""

    def transmit(
        self,
        frame: bytes,
        linear: int | None = None,
        offset: int = 0,
        fragments: Sequence[tuple[int, int]] = (),
    ) -> int:
        before = replace(self.counters)
        done = super().transmit(frame, linear, offset, fragments)
        return self.sent(frame, before, done)

    def sent(self, frame: bytes, before: Counters, done: int) -> int:
        """``before`` is what the counters were; returns what transmit returns."""
        raise NotImplementedError


class OtherMemory(Guest):
    """A Guest whose memory the Host checks differently."""

    memory_class = GuestMemory

    def __init__(self, host: Host, guest_id: int, pages: int) -> None:
        super().__init__(host, guest_id, pages)
        self.memory.close()
        refuses_end = host.defects.refuses_end_of_memory
        self.memory = self.memory_class(pages, refuses_end=refuses_end)


def list_at(guest: Owner, address: int) -> bytes:
    """The list of a structure; an empty one where it cannot be read."""
    if guest.memory.inside(address, dma.SIZE):
        return guest.memory.read(address + 4, dma.SIZE - 4)
    return bytes(dma.SIZE - 4)


def listed_bytes(guest: Owner, address: int) -> int:
    """How many bytes the list of a structure names."""
    return sum(section.length for section in dma.unpack(list_at(guest, address)))


def used_len(guest: Owner, address: int) -> int:
    """A structure's ``used_len``; 0 where it cannot be read."""
    if not guest.memory.inside(address, 4):
        return 0
    return int.from_bytes(guest.memory.read(address, 4), "little")


def next_buffer(host: Host, binding: Binding) -> int | None:
    """The buffer that a transfer will use; None too where the array is out of memory."""
    try:
        return host.free_buffer(binding)
    except BadArray:
        return None
