"""Caches of senders and of the Host: receivers, lists, checked lists. None may be stale."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.comparing import differ, same
from harness.frames import PAGE, ethernet
from harness.lan import Layout
from harness.lans.lguest import LguestLan
from harness.lguest import dma
from harness.lguest.driver import MOST_REMEMBERED, Counters, NetDevice
from harness.lguest.events import Copied
from harness.lguest.memory import ADDRESS_BYTES
from harness.lguest.tap import MemoryTap
from harness.plugin.marks import rule

from .kit.dma import (
    ARRAY,
    DATA,
    END,
    ROOM,
    SPARE_SLOT,
    bind,
    buffer_list,
    killed,
    must_cross,
    number,
    send,
    send_bytes,
    set_list,
    set_used,
)
from .kit.host_network import must_work, open_network
from .kit.steps import NO_ADDRESS, broadcast, lan_of_pages, same_frames

NEW = bytes.fromhex("02005a5a5a5a")
"""An address that appears on the page during a test."""


def slot_address(device: NetDevice, slot: int) -> int:
    """Where a Guest sees the published address of a slot."""
    return device.page + slot * ADDRESS_BYTES


# Remembered receivers: the page changes


def by_publishing(writer: NetDevice, _: NetDevice, slot: int, address: bytes) -> None:
    """A device publishes the address."""
    writer.pages.publish(slot, address)


def by_its_own_write(writer: NetDevice, _: NetDevice, slot: int, address: bytes) -> None:
    """A Guest writes it with its own memory access."""
    writer.guest.memory.write(slot_address(writer, slot), address)


def by_a_copy(writer: NetDevice, other: NetDevice, slot: int, address: bytes) -> None:
    """The Host copies it into a buffer that lies on the page."""
    copy_to(writer, other, [(slot_address(writer, slot), len(address))], address)


def by_the_end_of_a_copy(writer: NetDevice, other: NetDevice, slot: int, address: bytes) -> None:
    """The same, but the first section of that buffer lies in normal memory."""
    sections = [(ROOM, 10), (slot_address(writer, slot), len(address))]
    copy_to(writer, other, sections, bytes(10), address)


def copy_to(
    writer: NetDevice, other: NetDevice, sections: list[tuple[int, int]], *parts: bytes
) -> None:
    """Send these parts, one section for each, into a buffer with these sections."""
    key = writer.peer_key(SPARE_SLOT)
    if writer.guest.host.binding(writer.guest, key) is None:
        same("BIND_DMA by the writer succeeds", bind(writer.guest, key, 1), True)
    writer.guest.memory.write(ARRAY, bytes(4) + dma.pack(sections))
    source: list[tuple[int, int]] = []
    for part in parts:
        other.guest.memory.write(DATA + 100 * len(source), part)
        source.append((DATA + 100 * len(source), len(part)))
    same(
        "used_len, SEND_DMA of the other",
        send(other.guest, key, source),
        sum(len(part) for part in parts),
    )


Change = Callable[[NetDevice, NetDevice, int, bytes], None]

EVERY_CHANGE = pytest.mark.parametrize(
    "change",
    [by_publishing, by_its_own_write, by_a_copy, by_the_end_of_a_copy],
    ids=lambda change: change.__name__,
)


@rule("DLV-3", "DLV-6")
@EVERY_CHANGE
def test_every_sender_notices_every_change_of_the_page(lguest: LguestLan, change: Change) -> None:
    """Two rounds: a change that was noticed once must be noticed again."""
    other, writer, *senders = lguest.open_devices(4)
    for _ in range(2):
        same(
            "broadcast (whole, failed) of each sender",
            [broadcast(sender) for sender in senders],
            [(3, 0)] * 2,
        )
        lguest.settle()
        change(writer, other, 300, NEW)
        same(
            "broadcast (whole, failed) of each sender",
            [broadcast(sender) for sender in senders],
            [(3, 1)] * 2,
        )
        lguest.settle()
        change(writer, other, 300, NO_ADDRESS)
    same(
        "broadcast (whole, failed) of each sender",
        [broadcast(sender) for sender in senders],
        [(3, 0)] * 2,
    )


@rule("DLV-2", "DLV-7")
@EVERY_CHANGE
def test_an_address_that_moves_to_another_slot_is_followed(
    lguest: LguestLan, change: Change
) -> None:
    sender, first, second, writer = lguest.open_devices(4)
    lguest.pages.publish(second.slot, NO_ADDRESS)
    lguest.pages.publish(first.slot, NEW)
    for turn in range(3):
        frame = ethernet(NEW, sender.address, stamp=turn)
        sender.transmit(frame)
        lguest.settle()
        same_frames(lguest, first, [frame], since=turn)
        change(writer, sender, first.slot, NO_ADDRESS)
        change(writer, sender, second.slot, NEW)
        sender.transmit(frame)
        lguest.settle()
        same_frames(lguest, first, [], since=turn + 1)
        same_frames(lguest, second, [frame], since=turn)
        change(writer, sender, second.slot, NO_ADDRESS)
        sender.transmit(frame)
        same("tx_packets of the sender", sender.counters.tx_packets, 2 * (turn + 1))
        change(writer, sender, first.slot, NEW)


@rule("PUB-3", "DLV-4")
@EVERY_CHANGE
@pytest.mark.parametrize("slot", [2, 150, 681])
def test_a_bit_that_alone_changes_is_noticed(lguest: LguestLan, change: Change, slot: int) -> None:
    sender, owner, writer = (lguest.device(n) for n in (0, 1, 5))
    listener = lguest.device(slot)
    same(
        "result of opening each device",
        [device.open() for device in (sender, owner, writer, listener)],
        [0] * 4,
    )
    lguest.pages.publish(slot, NEW)
    frame = ethernet(owner.address, sender.address)
    for turn in range(3):
        sender.transmit(frame)
        lguest.settle()
        same("number of frames passed up by the listener", len(lguest.received(listener)), turn)
        change(writer, sender, slot, b"\x03" + NEW[1:])
        sender.transmit(frame)
        lguest.settle()
        same("number of frames passed up by the listener", len(lguest.received(listener)), turn + 1)
        change(writer, sender, slot, NEW)
    same_frames(lguest, owner, [frame] * 6)


@rule("DLV-6", "DLV-2")
def test_the_used_len_of_an_array_on_the_page_publishes(lguest: LguestLan) -> None:
    """An array may lie on the page: its ``used_len`` is then the first bytes of a slot."""
    sender, owner, other = lguest.open_devices(3)
    slot = 400
    array = slot_address(owner, slot)
    owner.guest.memory.write(array, bytes(4) + dma.pack([(ROOM, 100)]))
    key = owner.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, array, 1, 9), True)
    whole, failed = broadcast(sender)
    same(
        "broadcast (whole, failed) of the sender",
        broadcast(sender),
        (whole, failed),
    )
    same("first byte address published in the slot", lguest.pages.published(slot)[0], 0)
    same("used_len, SEND_DMA of the other", send_bytes(other.guest, key, bytes(60)), 60)
    same("first byte address published in the slot", lguest.pages.published(slot)[0], 60)
    same(
        "broadcast (whole, failed) of the sender",
        broadcast(sender),
        (whole, failed + 1),
    )
    owner.guest.memory.write(array, bytes(4))
    same(
        "broadcast (whole, failed) of the sender",
        broadcast(sender),
        (whole, failed),
    )


@rule("DLV-6", "DLV-4")
def test_a_frame_that_overwrites_the_page_changes_who_else_gets_it(lguest: LguestLan) -> None:
    """The first receiver's buffer is the slot of the second, which the frame clears."""
    sender, first, second, third = lguest.open_devices(4)
    for device in (first, second, third):
        device.set_flags(promiscuous=True)
    frame = ethernet(bytes.fromhex("00aa00000001"), sender.address)
    sender.transmit(frame)
    same("counters of the sender", sender.counters, Counters(tx_packets=3, tx_bytes=180))
    lguest.settle()
    set_list(first, 1, [(slot_address(first, second.slot), ADDRESS_BYTES)])
    sender.transmit(frame)
    same("address published by the second", lguest.pages.published(second.slot), frame[:6])
    same(
        "counters of the sender",
        sender.counters,
        Counters(tx_packets=4, tx_bytes=240, tx_carrier_errors=1),
    )
    lguest.settle()
    same(
        "number of frames passed up by each device",
        [len(lguest.received(device)) for device in (second, third)],
        [1, 2],
    )


@rule("DLV-6", "DLV-4")
def test_a_frame_that_publishes_a_peer_reaches_it_too(lguest: LguestLan) -> None:
    sender, first, second = lguest.open_devices(3)
    frame = ethernet(b"\xff" * 6, sender.address)
    lguest.pages.publish(second.slot, NO_ADDRESS)
    same("broadcast (whole, failed) of the sender", broadcast(sender), (1, 0))
    lguest.settle()
    set_list(first, 1, [(slot_address(first, second.slot), ADDRESS_BYTES)])
    sender.transmit(frame)
    lguest.settle()
    same_frames(lguest, second, [frame])


# Remembered receivers: more destinations than are remembered


def fill_destinations(sender: NetDevice, first: int = 0) -> None:
    """Send to as many unknown addresses as a device remembers."""
    for suffix in range(first, first + MOST_REMEMBERED):
        sender.transmit(b"\x06" + suffix.to_bytes(5, "big") + bytes(54))


@rule("DLV-2", "DLV-3", "DLV-7")
def test_destinations_beyond_those_remembered_are_looked_up(lguest: LguestLan) -> None:
    sender, owner, other = lguest.open_devices(3)
    fill_destinations(sender)
    for turn in range(3):
        frame = ethernet(owner.address, sender.address, stamp=turn)
        sender.transmit(frame)
        lguest.settle()
        same_frames(lguest, owner, [frame], since=2 * turn)
        same("broadcast (whole, failed) of the sender", broadcast(sender), (2, 0))
        lguest.settle()
    sender.transmit(ethernet(b"\x06" + bytes(4) + b"\x07", sender.address))
    same("tx_packets of the sender", sender.counters.tx_packets, 9)
    same("tx_carrier_errors of the sender", sender.counters.tx_carrier_errors, 0)
    same("number of frames passed up by the other", len(lguest.received(other)), 3)


@rule("HST-3", "DMA-1")
def test_lists_beyond_those_remembered_leave_every_array_where_it_was(lguest: LguestLan) -> None:
    """Under a key in the Guest's own memory, as on a Host network, and under a shared one."""
    network, tap = open_network(lguest)
    sender, owner = lguest.open_devices(2)
    must_work(lguest, network, tap, 1)
    for guest, key in (
        (network.device.guest, network.device.peer_key(0)),
        (owner.guest, owner.peer_key(SPARE_SLOT)),
    ):
        for start in range(DATA, DATA + 2 * PAGE - 60, 4):
            if start % PAGE <= PAGE - 60:
                for size in (54, 58, 60):
                    send(guest, key, [(start, size)])
    tap.written.clear()
    must_work(lguest, network, tap, 2)
    must_cross(lguest, sender, owner)
    network.device.close()
    owner.close()
    for device in (network.device, owner):
        bound = device.guest.host.binding(device.guest, device.key)
        same("the array that is bound after closing", bound, None)


@rule("DLV-2", "DLV-7")
def test_a_full_table_of_destinations_follows_the_page_too(lguest: LguestLan) -> None:
    sender, other = lguest.open_devices(2)
    owner = lguest.device()
    sender.transmit(ethernet(owner.address, sender.address))
    sender.transmit(ethernet(other.address, sender.address))
    fill_destinations(sender)
    same("result of opening the owner", owner.open(), 0)
    other.close()
    frame = ethernet(owner.address, sender.address)
    sender.transmit(frame)
    sender.transmit(ethernet(other.address, sender.address))
    lguest.settle()
    same_frames(lguest, owner, [frame])
    same("counters of the sender", sender.counters, Counters(tx_packets=2, tx_bytes=120))
    fill_destinations(sender, 10_000)
    owner.close()
    sender.transmit(frame)
    same("counters of the sender", sender.counters, Counters(tx_packets=2, tx_bytes=120))


# Remembered lists: one length, many layouts


@rule("SEC-1", "DLV-9")
@pytest.mark.parametrize(
    "layout",
    [
        Layout(offset=100),
        Layout(offset=4000),
        Layout(offset=4095),
        Layout(14, 0, ((100, 7), (86, 0))),
        Layout(14, 30, ((186, 0),)),
        Layout(199, 0, ((1, 4095),)),
    ],
)
@pytest.mark.parametrize("plain_first", [True, False])
def test_frames_of_one_length_in_different_layouts_arrive_unchanged(
    lguest: LguestLan, layout: Layout, plain_first: bool
) -> None:
    sender, owner = lguest.open_devices(2)
    frames = [ethernet(owner.address, sender.address, size=200, stamp=n) for n in range(7)]
    for n, frame in enumerate(frames):
        lie = Layout() if n % 2 != plain_first else layout
        sender.transmit(frame, lie.linear, lie.offset, lie.fragments)
    lguest.settle()
    same_frames(lguest, owner, frames)
    same("counters of the sender", sender.counters, Counters(tx_packets=7, tx_bytes=1400))


@rule("SEC-1", "DLV-9")
def test_each_device_of_a_guest_lists_its_own_frame(lguest: LguestLan) -> None:
    owner, first = lguest.open_devices(2)
    second = lguest.second_device(first.guest, 9)
    same("result of opening the second", second.open(), 0)
    frames = [ethernet(owner.address, first.address, size=90, stamp=n) for n in range(6)]
    for n, frame in enumerate(frames):
        (first, second)[n % 2].transmit(frame)
    lguest.settle()
    same_frames(lguest, owner, frames)


# Checked lists


BAD = {"crosses a page": (DATA + PAGE - 10, 11), "across the end": (END - 30, 60)}
"""Sections that no Guest may list."""

MANY = 4200
"""More lists than the Host remembers of a Guest."""


def many_lists(first: int) -> list[tuple[int, int]]:
    """So many different sections, each within a page."""
    return [(first + n // 2000, 1 + n % 2000) for n in range(MANY)]


@rule("DMA-4")
@pytest.mark.parametrize("section", BAD.values(), ids=BAD)
def test_after_thousands_of_lists_a_bad_one_still_kills_its_sender(
    lguest: LguestLan, section: tuple[int, int]
) -> None:
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 1), True)
    for place in many_lists(DATA):
        same(
            "used_len, SEND_DMA of the sender",
            send(sender.guest, key, [place]),
            min(1514, place[1]),
        )
        set_used(owner.guest, ARRAY, 0, 0)
    same("used_len, SEND_DMA of the sender", send(sender.guest, key, [(DATA, 20), section]), 0)
    same("Guests killed", killed(lguest), [sender.guest.id])


@rule("DMA-4")
@pytest.mark.parametrize("section", BAD.values(), ids=BAD)
def test_after_thousands_of_lists_a_bad_one_still_kills_its_receiver(
    lguest: LguestLan, section: tuple[int, int]
) -> None:
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 1), True)
    for place in many_lists(ROOM):
        owner.guest.memory.write(ARRAY, bytes(4) + dma.pack([place]))
        same(
            "used_len, SEND_DMA of the sender",
            send(sender.guest, key, [(DATA, 5)]),
            min(5, place[1]),
        )
    owner.guest.memory.write(ARRAY, bytes(4) + dma.pack([(ROOM, 20), section]))
    same("used_len, SEND_DMA of the sender", send(sender.guest, key, [(DATA, 60)]), 0)
    same("Guests killed", killed(lguest), [owner.guest.id])


@rule("DMA-10", "DLV-9")
def test_one_list_in_two_guests_names_the_memory_of_each(lguest: LguestLan) -> None:
    one, other, owner = lguest.open_devices(3)
    key = owner.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 4), True)
    for n, sender in enumerate((one, other, one, other)):
        data = bytes((n + 1,)) * 50
        same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, data), 50)
        same(
            "memory of the owner at ROOM + n * PAGE",
            owner.guest.memory.read(ROOM + n * PAGE, 50),
            data,
        )
    same("BIND_DMA by the first succeeds", bind(one.guest, one.peer_key(SPARE_SLOT + 1), 1), True)
    same("BIND_DMA by the other succeeds", bind(other.guest, one.peer_key(SPARE_SLOT + 2), 1), True)
    for n, receiver in enumerate((one, other)):
        data = bytes((n + 9,)) * 70
        same(
            "used_len, SEND_DMA of the owner",
            send_bytes(owner.guest, owner.peer_key(SPARE_SLOT + 1 + n), data),
            70,
        )
        same("memory of the receiver at ROOM", receiver.guest.memory.read(ROOM, 70), data)


@rule("RCV-2", "LIF-1")
@pytest.mark.parametrize("reopened", [False, True])
def test_a_refill_writes_its_list_over_whatever_the_guest_left(
    lguest: LguestLan, reopened: bool
) -> None:
    """Also where the buffer has been in that slot before."""
    sender, owner = lguest.open_devices(2)
    for turn in range(30):
        for n in range(8):
            set_list(owner, n, [(ROOM + n * PAGE, 1514)])
        for _ in range(8):
            same(
                "used_len, SEND_DMA of the sender",
                send_bytes(sender.guest, sender.peer_key(owner.slot), bytes(60)),
                60,
            )
        lguest.settle()
        if reopened:
            owner.close()
            same("result of opening the owner", owner.open(), 0)
        frames = [ethernet(owner.address, sender.address, stamp=8 * turn + n) for n in range(8)]
        before = len(lguest.received(owner))
        for frame in frames:
            sender.transmit(frame)
        lguest.settle()
        same(
            "frames passed up by the owner, from before on, sorted",
            sorted(lguest.received(owner)[before:]),
            sorted(frames),
        )


@rule("RCV-2", "RCV-5", "LIF-1")
def test_a_buffer_that_returns_to_its_slot_is_listed_again(lguest: LguestLan) -> None:
    """After a failed open, and, repaired, after a failed refill."""
    sender, owner = lguest.open_devices(2)
    owner.close()
    for _ in range(3):
        owner.guest.memory_left = 1
        same("result of opening the owner", owner.open(), -12)
        set_list(owner, 0, [(ROOM, 1514)])
    owner.guest.memory_left = None
    same("result of opening the owner", owner.open(), 0)
    lists = [buffer_list(owner, n) for n in range(8)]
    same("sum of length", [sum(length for _, length in sections) for sections in lists], [1514] * 8)
    same(
        "number of {sections[0].address for sections in lists} - {ROOM}",
        len({sections[0].address for sections in lists} - {ROOM}),
        8,
    )
    if not lguest.host.defects.failed_refill_leaves_hole:
        set_list(owner, 0, [(ROOM, 1514)])
        same(
            "used_len, SEND_DMA of the sender",
            send_bytes(sender.guest, sender.peer_key(owner.slot), bytes(60)),
            60,
        )
        owner.guest.memory_left = 0
        same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
        owner.guest.memory_left = None
        same("section list of a buffer of the owner", buffer_list(owner, 0), lists[0])
    for stamp in range(8):
        must_cross(lguest, sender, owner, stamp)


# Keys


@rule("DMA-2", "DMA-7")
@pytest.mark.parametrize("pages", [1, 2, 4])
def test_a_key_used_before_follows_every_bind_and_unbind(lguest: LguestLan, pages: int) -> None:
    with lan_of_pages(lguest, pages) as lan:
        sender, one, other = lan.open_devices(3)
        key = sender.peer_key(SPARE_SLOT)

        def receivers() -> list[int]:
            """Send a frame; returns the Guests that were interrupted."""
            moved = send_bytes(sender.guest, key, bytes(60))
            hit = [device.guest.id for device in (one, other) if device.guest.pending]
            one.guest.pending = other.guest.pending = 0
            same("bytes moved", moved == 60, bool(hit))
            return hit

        same("receivers", receivers(), [])
        same("BIND_DMA by the first succeeds", bind(one.guest, key, 8), True)
        same("receivers", receivers(), [one.guest.id])
        same("BIND_DMA by the other succeeds", bind(other.guest, key, 8), True)
        same("receivers", receivers(), [other.guest.id])
        same("BIND_DMA by the first succeeds", one.guest.bind_dma(key, ARRAY, 8, 0), True)
        same("receivers", receivers(), [other.guest.id])
        same("BIND_DMA by the first succeeds", bind(one.guest, key, 8), True)
        same("receivers", receivers(), [one.guest.id])
        same("BIND_DMA by the first succeeds", one.guest.bind_dma(key, ARRAY, 8, 0), True)
        same("receivers", receivers(), [other.guest.id])
        same("BIND_DMA by the other succeeds", other.guest.bind_dma(key, ARRAY, 8, 0), True)
        same("receivers", receivers(), [])


@rule("DMA-7", "DMA-2")
def test_one_key_in_two_guests_may_be_two_places(lguest: LguestLan) -> None:
    """Two Guests see the same page at different addresses."""
    plain, owner = lguest.open_devices(2)
    launcher = lguest.launch(50)
    with lan_of_pages(lguest, 1) as elsewhere:
        launcher.join(elsewhere.pages, 0)
        moved = lguest.second_device(launcher.guest, 5)
        same("result of opening bytes moved", moved.open(), 0)
        keys = [plain.peer_key(owner.slot), moved.peer_key(owner.slot)]
        differ("the first key", keys[0], keys[1])
        for turn in range(3):
            for device, key in zip((plain, moved), keys, strict=True):
                same(
                    "used_len, SEND_DMA of the Guest",
                    send_bytes(device.guest, key, bytes(60 + turn)),
                    60 + turn,
                )
            same(
                "used_len, SEND_DMA of bytes moved",
                send_bytes(moved.guest, keys[0], bytes(60)),
                0,
            )
            same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
        same("Guests killed", killed(lguest), [])


# Any number of changes


@rule("DLV-3", "DLV-7")
@pytest.mark.parametrize("changes", [2, 255, 256, 257, 65_535, 65_536, 131_072])
def test_any_number_of_changes_between_two_frames_is_noticed(
    lguest: LguestLan, changes: int
) -> None:
    sender, other = lguest.open_devices(2)
    same("broadcast (whole, failed) of the sender", broadcast(sender), (1, 0))
    for n in range(changes):
        lguest.pages.publish(300, NEW if n % 2 == changes % 2 else NO_ADDRESS)
    lguest.pages.publish(301, NO_ADDRESS)
    same("broadcast (whole, failed) of the sender", broadcast(sender), (1, 0))
    lguest.pages.publish(300, NO_ADDRESS)
    for n in range(changes):
        lguest.pages.publish(300, NEW if n % 2 != changes % 2 else NO_ADDRESS)
    same("address published in slot 300", lguest.pages.published(300), NEW)
    same("broadcast (whole, failed) of the sender", broadcast(sender), (1, 1))
    lguest.settle()
    same("rx_packets of the other", other.counters.rx_packets, 3)


@rule("DLV-6", "DLV-4")
def test_the_page_is_read_again_before_every_transfer_of_a_broadcast(lguest: LguestLan) -> None:
    """The second receiver's buffer is the slot of the third; the first one's, a spare slot."""
    sender, *others = lguest.open_devices(5)
    for device in others:
        device.set_flags(promiscuous=True)
    frame = ethernet(bytes.fromhex("00aa00000001"), sender.address)
    set_list(others[0], 0, [(slot_address(others[0], 500), ADDRESS_BYTES)])
    set_list(others[1], 0, [(slot_address(others[1], others[2].slot), ADDRESS_BYTES)])
    sender.transmit(frame)
    lguest.settle()
    same(
        "counters of the sender",
        sender.counters,
        Counters(tx_packets=1, tx_bytes=60, tx_carrier_errors=2),
    )
    same(
        "number of frames passed up by each device",
        [len(lguest.received(device)) for device in others[2:]],
        [0, 1],
    )


@rule("HST-3", "DMA-2")
def test_the_launcher_follows_every_bind_and_unbind_of_its_guest(lguest: LguestLan) -> None:
    tap = MemoryTap()
    network = lguest.host_network(50, tap)
    device = network.device
    guest = device.guest

    def filled() -> list[int]:
        """Move one frame in; returns the arrays that it went to."""
        tap.feed(ethernet(device.address, tap.address))
        moved = network.input()
        arrays = [
            array
            for array in (device.ring, ARRAY, ARRAY + PAGE)
            if number(guest.memory, array) not in (0, 1)
        ]
        for array in arrays:
            set_used(guest, array, 0, 0)
        same("bytes moved", moved, bool(arrays))
        return arrays

    for array in (ARRAY, ARRAY + PAGE):
        guest.memory.write(array, bytes(4) + dma.pack([(ROOM, 1514)]))
    same("buffers filled", filled(), [])
    same("result of opening the device", device.open(), 0)
    same("buffers filled", filled(), [device.ring])
    same("BIND_DMA by the guest succeeds", guest.bind_dma(device.key, ARRAY, 1, 9), True)
    same("buffers filled", filled(), [ARRAY])
    same("BIND_DMA by the guest succeeds", guest.bind_dma(device.key, ARRAY + PAGE, 1, 10), True)
    same("buffers filled", filled(), [ARRAY + PAGE])
    same("BIND_DMA by the guest succeeds", guest.bind_dma(device.key, ARRAY, 1, 0), True)
    same("buffers filled", filled(), [ARRAY + PAGE])
    same("BIND_DMA by the guest succeeds", guest.bind_dma(device.key, ARRAY + PAGE, 1, 0), True)
    same("buffers filled", filled(), [device.ring])
    device.close()
    same("buffers filled", filled(), [])
    same("result of opening the device", device.open(), 0)
    same("buffers filled", filled(), [device.ring])


@rule("DLV-2", "DLV-7")
def test_another_address_in_the_same_slot_is_followed(lguest: LguestLan) -> None:
    """As many slots are used as before, and no bit changes."""
    sender, owner = lguest.open_devices(2)
    addresses = [bytes((2, 0, n, 9, 9, 9)) for n in range(4)]
    for turn in range(12):
        lguest.pages.publish(owner.slot, addresses[turn % 4])
        for address in addresses:
            sender.transmit(ethernet(address, sender.address, stamp=turn))
        lguest.settle()
        received = lguest.received(owner)
        same("number of received", len(received), turn + 1)
        same("first 6 of last of received", received[-1][:6], addresses[turn % 4])
    same("counters of the sender", sender.counters, Counters(tx_packets=12, tx_bytes=720))


@rule("DLV-2", "DLV-3", "DLV-6")
@pytest.mark.parametrize(("pages", "slot"), [(1, 681), (2, 683), (2, 1364), (4, 1366), (4, 2729)])
def test_changes_on_every_page_are_noticed(lguest: LguestLan, pages: int, slot: int) -> None:
    with lan_of_pages(lguest, pages) as lan:
        sender, other = lan.open_devices(2)
        for _ in range(2):
            same("broadcast (whole, failed) of the sender", broadcast(sender), (1, 0))
            sender.transmit(ethernet(NEW, sender.address))
            failed = sender.counters.tx_carrier_errors
            lan.pages.publish(slot, NEW)
            same("broadcast (whole, failed) of the sender", broadcast(sender), (1, 1))
            sender.transmit(ethernet(NEW, sender.address))
            same("tx_carrier_errors of the sender", sender.counters.tx_carrier_errors, failed + 2)
            lan.pages.publish(slot, NO_ADDRESS)
            lan.settle()
        same("broadcast (whole, failed) of the sender", broadcast(sender), (1, 0))
        lan.settle()
        same("rx_packets of the other", other.counters.rx_packets, 5)


@rule("DLV-5", "DLV-8")
def test_each_device_of_a_guest_passes_over_its_own_slot_alone(lguest: LguestLan) -> None:
    other, first = lguest.open_devices(2)
    second = lguest.second_device(first.guest, 9)
    same("result of opening the second", second.open(), 0)
    slots = {other.slot, first.slot, second.slot}
    for device in (first, second, first, second):
        before = len(lguest.host.events)
        same("broadcast (whole, failed) of the device", broadcast(device), (1, 1))
        tried = {
            event.key // 4 for event in lguest.host.events[before:] if isinstance(event, Copied)
        }
        same("what was tried", tried, slots - {device.slot})
    lguest.settle()
    same("rx_packets of the other", other.counters.rx_packets, 4)
