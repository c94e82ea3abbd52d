"""Arrays and structures that begin in normal memory and go on into device pages."""

from __future__ import annotations

import pytest

from harness.comparing import same
from harness.frames import PAGE
from harness.lans.lguest import LguestLan
from harness.lguest import dma
from harness.lguest.guest import Guest
from harness.lguest.launcher import HostNetwork
from harness.lguest.tap import MemoryTap
from harness.plugin.marks import rule

from .kit.dma import (
    DATA,
    ROOM,
    SPARE_SLOT,
    bind,
    killed,
    scatter,
    send_bytes,
    set_used,
    used_lens,
)

COUNT = 4
"""Buffers in the array."""

EVERY_PLACE = pytest.mark.parametrize("before", [4, 50, 96, 100, 104, 200, 350, 396])
"""Bytes of the array that lie below the device pages: less than one structure, exactly one,
several, all but the last word."""


def write_array(guest: Guest, array: int) -> None:
    """An array of free buffers, one at the start of each page from ROOM on."""
    for n in range(COUNT):
        listed = dma.pack([(ROOM + n * PAGE, 1514)])
        guest.memory.write(array + n * dma.SIZE, bytes(4) + listed)


def data(n: int, size: int) -> bytes:
    """Bytes of which no two sends have the same."""
    return bytes((n * 29 + at) % 251 + 1 for at in range(size))


def room(guest: Guest, n: int, size: int) -> bytes:
    """What lies at the start of a buffer."""
    return guest.memory.read(ROOM + n * PAGE, size)


@rule("DMA-1", "DMA-2", "DMA-5")
@EVERY_PLACE
def test_the_host_fills_every_buffer_of_an_array_that_goes_on_into_device_pages(
    lguest: LguestLan, before: int
) -> None:
    sender, owner = (lguest.device(slot) for slot in (300, 301))
    same("result of opening each device", [device.open() for device in (sender, owner)], [0, 0])
    key = sender.peer_key(SPARE_SLOT)
    array = owner.guest.memory.private_size - before
    write_array(owner.guest, array)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, array, COUNT, 9), True)
    for n in range(COUNT):
        same(
            "used_len, SEND_DMA of the sender",
            send_bytes(sender.guest, key, data(n, 60 + n)),
            60 + n,
        )
        same("room", room(owner.guest, n, 60 + n), data(n, 60 + n))
    full = [60, 61, 62, 63]
    same("used_len of the buffers of the owner", used_lens(owner.guest, array, COUNT), full)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, data(9, 60)), 0)
    for n in (2, 0, 3, 1, 3):
        set_used(owner.guest, array, n, 0)
        full[n] = 70 + n
        same(
            "used_len, SEND_DMA of the sender",
            send_bytes(sender.guest, key, data(20 + n, 70 + n)),
            70 + n,
        )
        same("used_len of the buffers of the owner", used_lens(owner.guest, array, COUNT), full)
        same("room", room(owner.guest, n, 70 + n), data(20 + n, 70 + n))
    same("interrupt 9 of the owner is pending", owner.guest.pending >> 9 & 1, 1)
    same("Guests killed", killed(lguest), [])


@rule("DMA-1", "DMA-2")
@EVERY_PLACE
def test_an_array_that_goes_on_into_device_pages_can_be_unbound(
    lguest: LguestLan, before: int
) -> None:
    sender, owner = (lguest.device(slot) for slot in (300, 301))
    same("result of opening each device", [device.open() for device in (sender, owner)], [0, 0])
    key = sender.peer_key(SPARE_SLOT)
    array = owner.guest.memory.private_size - before
    for _ in range(2):
        write_array(owner.guest, array)
        same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, array, COUNT, 9), True)
        same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, data(0, 60)), 60)
        same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, array, COUNT, 0), True)
        same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, data(1, 61)), 0)
        same(
            "used_len of the buffers of the owner",
            used_lens(owner.guest, array, COUNT),
            [60, 0, 0, 0],
        )


@rule("DMA-2", "DMA-3")
@pytest.mark.parametrize("before", [1, 4, 5, 68, 70, 99])
def test_a_structure_that_goes_on_into_a_device_page_is_sent(
    lguest: LguestLan, before: int
) -> None:
    """Its ``used_len``, addresses and lengths may lie on either side."""
    sender, owner = (lguest.device(slot) for slot in (300, 301))
    same("result of opening each device", [device.open() for device in (sender, owner)], [0, 0])
    key = sender.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 3), True)
    at = sender.guest.memory.private_size - before
    for n in range(3):
        sections = [(DATA + 100 * part, 20 + part) for part in range(5)]
        parts = [data(10 * n + part, 20 + part) for part in range(5)]
        scatter(sender.guest.memory, sections, b"".join(parts))
        sender.guest.memory.write(at + 4, dma.pack(sections))
        same("used_len, SEND_DMA of the sender", sender.guest.send_dma(key, at), 110)
        same("room", room(owner.guest, n, 110), b"".join(parts))
    same(
        "memory of the sender at the structure",
        sender.guest.memory.read(at, 4),
        bytes((110, 0, 0, 0)),
    )


def host_network(lguest: LguestLan) -> tuple[HostNetwork, MemoryTap]:
    """A Host network whose device is open, and its TAP."""
    tap = MemoryTap()
    network = lguest.host_network(50, tap)
    same("result of opening the network's device", network.device.open(), 0)
    return network, tap


@rule("HST-3", "HST-4")
@EVERY_PLACE
def test_the_launcher_fills_every_buffer_of_such_an_array(lguest: LguestLan, before: int) -> None:
    network, tap = host_network(lguest)
    guest = network.device.guest
    array = guest.memory.private_size - before
    write_array(guest, array)
    same(
        "BIND_DMA by the guest succeeds", guest.bind_dma(network.device.key, array, COUNT, 9), True
    )
    for n in range(COUNT):
        tap.feed(data(n, 60 + n))
        same("the network reads a frame of its TAP", network.input(), True)
        same("room", room(guest, n, 60 + n), data(n, 60 + n))
    same("used_len of the buffers of the guest", used_lens(guest, array, COUNT), [60, 61, 62, 63])
    set_used(guest, array, 1, 0)
    tap.feed(data(7, 90))
    same("the network reads a frame of its TAP", network.input(), True)
    same("used_len of the buffers of the guest", used_lens(guest, array, COUNT), [60, 90, 62, 63])
    tap.feed(data(8, 99))
    shipped = lguest.host.defects.overwrites_full_ring
    same("the network reads a frame of its TAP", network.input(), shipped)
    same(
        "used_len of the buffers of the guest",
        used_lens(guest, array, COUNT),
        [60, 90, 62, 99 if shipped else 63],
    )
    same("room", room(guest, 1, 90), data(7, 90))
    same("Guests killed", killed(lguest), [])


@rule("HST-2")
@pytest.mark.parametrize("before", [1, 4, 5, 68, 70, 99])
def test_the_launcher_writes_what_such_a_structure_lists(lguest: LguestLan, before: int) -> None:
    """One of its sections lies in the device page."""
    network, tap = host_network(lguest)
    guest = network.device.guest
    at = guest.memory.private_size - before
    sections = [(DATA, 30), (network.device.page + 2990, 20), (DATA + 40, 10)]
    frame = data(before, 60)
    scatter(guest.memory, sections, frame)
    guest.memory.write(at + 4, dma.pack(sections))
    same("used_len, SEND_DMA of the guest", guest.send_dma(network.device.peer_key(0), at), 60)
    same("frames written to the TAP", tap.written, [frame])
    same("memory of the guest at the structure", guest.memory.read(at, 4), bytes((60, 0, 0, 0)))


@rule("HST-2", "HST-3")
@pytest.mark.parametrize("before", [1, 13, 40, 59])
def test_a_section_of_the_launcher_may_cross_into_a_device_page(
    lguest: LguestLan, before: int
) -> None:
    network, tap = host_network(lguest)
    guest = network.device.guest
    section = (guest.memory.private_size - before, 60)
    scatter(guest.memory, [section], data(1, 60))
    guest.memory.write(DATA, bytes(4) + dma.pack([section]))
    same("used_len, SEND_DMA of the guest", guest.send_dma(network.device.peer_key(0), DATA), 60)
    same("frames written to the TAP", tap.written, [data(1, 60)])
    guest.memory.write(DATA, bytes(4))
    same("BIND_DMA by the guest succeeds", guest.bind_dma(network.device.key, DATA, 1, 9), True)
    tap.feed(data(2, 60))
    same("the network reads a frame of its TAP", network.input(), True)
    same("memory of the Guest in the section", guest.memory.read(*section), data(2, 60))
    same("used_len of the buffers of the guest", used_lens(guest, DATA, 1), [60])
