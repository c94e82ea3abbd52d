"""Steps that tests of several parts of the specification share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from harness.comparing import Source, recorded_lan, same, same_in_capture
from harness.frames import BROADCAST, ethernet
from harness.lans.lguest import LguestLan
from harness.lans.lguest_records import name_of
from harness.lguest import dma
from harness.lguest.driver import NetDevice
from harness.lguest.events import Fault, Point, Received
from harness.lguest.host import Host
from harness.lguest.memory import ADDRESS_BYTES, DevicePages, Owner

NO_ADDRESS = bytes(ADDRESS_BYTES)
"""What closing leaves in a slot."""

_FRESH_STAMPS = 1_000_000


def reaches(sender: NetDevice, owner: NetDevice) -> bool:
    """Whether a fresh frame to the owner's address is passed up by it alone, and once."""
    host = sender.guest.host
    before = len(host.events)
    frame = ethernet(owner.address, sender.address, stamp=_FRESH_STAMPS + before)
    sender.transmit(frame)
    run_interrupts(host)
    received = [event for event in host.events[before:] if isinstance(event, Received)]
    mine = [
        event.frame
        for event in received
        if (event.guest, event.slot) == (owner.guest.id, owner.slot)
    ]
    return mine == [frame]


def must_reach(sender: NetDevice, owner: NetDevice) -> None:
    """A fresh frame to the owner's address is passed up by it alone, and once."""
    host = sender.guest.host
    before = len(host.events)
    frame = ethernet(owner.address, sender.address, stamp=_FRESH_STAMPS + before)
    sender.transmit(frame)
    run_interrupts(host)
    mine = [
        event.frame
        for event in host.events[before:]
        if isinstance(event, Received) and (event.guest, event.slot) == (owner.guest.id, owner.slot)
    ]
    same(f"frames passed up by {name_of(owner)} for one from {name_of(sender)}", mine, [frame])


def same_frames(
    lan: LguestLan, device: NetDevice, expected: Sequence[bytes], since: int = 0
) -> None:
    """Fail unless a device passed up just these frames, not counting the first ``since``."""
    __tracebackhide__ = True
    name, source = name_of(device), None
    received = lan.received(device)
    start = since if since >= 0 else len(received) + since
    places = [(other.guest.id, other.slot) for other in lan.devices]
    names = [name_of(other) for other in lan.devices]
    alone = names.count(name) == places.count((device.guest.id, device.slot)) == 1
    if lan is recorded_lan() and alone:
        source = Source(name, start, len(lan.records()))
    same_in_capture(f"frames passed up by {name}", received[start:], expected, source)


def run_interrupts(host: Host) -> None:
    """Every living Guest takes its pending interrupts."""
    for guest in list(host.guests.values()):
        if guest.dead is None:
            guest.interrupt()


def broadcast(sender: NetDevice) -> tuple[int, int]:
    """Send to everybody: how many transfers were whole, and how many failed."""
    counters = sender.counters
    whole, failed = counters.tx_packets, counters.tx_carrier_errors
    sender.transmit(ethernet(BROADCAST, sender.address))
    return counters.tx_packets - whole, counters.tx_carrier_errors - failed


def send_list(sender: NetDevice, key: int, sections: Sequence[tuple[int, int]]) -> int:
    """One SEND_DMA of these sections without the driver; returns the ``used_len`` that it left."""
    sender.guest.memory.write(sender.sending + 4, dma.pack(sections))
    return sender.guest.send_dma(key, sender.sending)


def send_bytes_to_slot(sender: NetDevice, slot: int, data: bytes) -> int:
    """One SEND_DMA of these bytes to a slot without the driver; returns ``used_len``."""
    start = sender.guest.send_area
    sender.guest.memory.write(start, data)
    sections = dma.linear_sections(start, len(data))
    return send_list(sender, sender.peer_key(slot), sections)


def faults(host: Host) -> list[tuple[int, str, str]]:
    """(Guest, defect, text) of each Fault event."""
    return [
        (event.guest, event.defect, event.text) for event in host.events if isinstance(event, Fault)
    ]


@contextlib.contextmanager
def acting_at(host: Host, point: Point, action: Callable[[], None]) -> Iterator[None]:
    """Another CPU acts once, the first time that the Host reaches this point."""
    acted = False

    def act_here(here: Point, _: Owner) -> None:
        nonlocal acted
        if here is point and not acted:
            acted = True
            action()

    host.interleave = act_here
    try:
        yield
    finally:
        host.interleave = None


@contextlib.contextmanager
def lan_of_pages(like: LguestLan, pages: int) -> Iterator[LguestLan]:
    """A LAN made of the same parts as another, with so many device pages."""
    lan = LguestLan(like.name, like.host.defects, pages=pages, parts=like.parts)
    try:
        yield lan
    finally:
        lan.close()


def paint(pages: DevicePages) -> bytes:
    """Fill device pages with addresses that ask for nothing; returns their bytes."""
    pages.write(0, bytes(2 + 2 * (at % 101) for at in range(pages.size)))
    return pages.store[:]


def with_slot(page: bytes, slot: int, address: bytes) -> bytes:
    """The bytes of device pages with those of one slot changed."""
    at = slot * ADDRESS_BYTES
    return page[:at] + address + page[at + ADDRESS_BYTES :]
