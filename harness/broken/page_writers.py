"""Broken LANs where senders overlook what the Host, or a Launcher, wrote to a device page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from harness.broken.base import broken_host, broken_lguest
from harness.lans.lguest import Parts
from harness.lguest.dma import Section
from harness.lguest.host import Host
from harness.lguest.launcher import HostNetwork
from harness.lguest.memory import Binding, GuestMemory, Owner


@contextmanager
def _unnoticed(memory: GuestMemory) -> Iterator[None]:
    """What is written to this Guest's device pages meanwhile does not count as a change."""
    versions = [pages.version for pages in memory.mapped()]
    yield
    for pages, version in zip(memory.mapped(), versions, strict=True):
        pages.version = version


class _InputUnnoticed(HostNetwork):
    def input(self) -> bool:
        with _unnoticed(self.device.guest.memory):
            return super().input()


class _OutputUnnoticed(HostNetwork):
    def output(self, address: int, sections: Sequence[Section]) -> None:
        with _unnoticed(self.device.guest.memory):
            super().output(address, sections)


class _SenderUnnoticed(Host):
    def transfer(self, sender: Owner, binding: Binding, address: int) -> bool:
        with _unnoticed(sender.memory):
            return super().transfer(sender, binding, address)


BROKEN = (
    broken_lguest(
        "host-frames-on-the-page-unnoticed",
        "HST-3",
        "a frame from the TAP that lands on a device page is not noticed by senders",
        Parts(network=_InputUnnoticed),
    ),
    broken_lguest(
        "host-used-len-on-the-page-unnoticed",
        "HST-2",
        "a used_len that the Launcher leaves on a device page is not noticed by senders",
        Parts(network=_OutputUnnoticed),
    ),
    broken_host(
        "used-len-on-the-page-unnoticed",
        "DMA-2",
        "a sender's used_len on a device page is not noticed by senders",
        _SenderUnnoticed,
    ),
)
