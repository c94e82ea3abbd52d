"""The events that a traced Host logs, field by field: captures and reports are made of them."""

from __future__ import annotations

import pytest

from harness.comparing import instance, raises, same
from harness.frames import GROUPS, ethernet
from harness.lan import FrameRefused, Layout
from harness.lans.lguest import LguestLan
from harness.lguest import dma
from harness.lguest.driver import MEGAPACKET, NUM_SKBS
from harness.lguest.events import (
    Copied,
    Dropped,
    Killed,
    Message,
    Point,
    RawSend,
    Received,
    Refused,
    Transmitted,
    Warned,
)
from harness.lguest.guest import SEND_PAGES
from harness.lguest.host import EPOCH_NS, STEP_NS
from harness.lguest.launcher import HOST_SLOT
from harness.lguest.memory import Owner
from harness.lguest.tap import MemoryTap

from .kit.dma import ARRAY, END, ROOM, STRUCTURE

SOME_TIME = EPOCH_NS + 2 * STEP_NS


def test_a_unicast_and_its_interrupt(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    same("events", lguest.news(), [])
    frame = ethernet(owner.address, sender.address, size=100)
    sender.transmit(frame)
    now = SOME_TIME + STEP_NS
    same(
        "events",
        lguest.news(),
        [
            Transmitted(now, 1, 0, frame, 1, 1),
            Copied(now, 1, 4, 2, 0, 100, ""),
        ],
    )
    lguest.settle()
    same("events", lguest.news(), [Received(now + STEP_NS, 2, 1, 0, frame, True, owner.address)])


def test_a_full_ring_is_tried_twice(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    frame = ethernet(owner.address, sender.address)
    for _ in range(NUM_SKBS):
        sender.transmit(frame)
    lguest.news()
    sender.transmit(frame)
    now = SOME_TIME + 9 * STEP_NS
    full = Copied(now, 1, 4, 2, None, 0, "no free buffer")
    same("events", lguest.news(), [Transmitted(now, 1, 0, frame, 1, 1), full, full])


def test_a_slot_without_buffers(lguest: LguestLan) -> None:
    (sender,) = lguest.open_devices(1)
    lguest.pages.publish(5, bytes.fromhex("020099000000"))
    frame = ethernet(bytes.fromhex("020099000000"), sender.address)
    sender.transmit(frame)
    now = EPOCH_NS + 2 * STEP_NS
    unbound = Copied(now, 1, 20, None, None, 0, "nobody has bound buffers to this slot")
    same("events", lguest.news(), [Transmitted(now, 1, 0, frame, 1, 1), unbound])


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        (6, "runt: 6 bytes, dropped by the receiver"),
        (13, "runt: 13 bytes, dropped by the receiver"),
    ],
)
def test_a_runt(lguest: LguestLan, size: int, reason: str) -> None:
    sender, owner = lguest.open_devices(2)
    frame = ethernet(owner.address, sender.address, size=size)
    sender.transmit(frame)
    lguest.news()
    lguest.settle()
    reason = f"runt: {size} bytes, dropped by the receiver"
    same("events", lguest.news(), [Dropped(SOME_TIME + 2 * STEP_NS, 2, 1, 0, frame, reason)])


def test_a_giant(lguest: LguestLan) -> None:
    (owner,) = lguest.open_devices(1)
    owner.guest.memory.write(owner.ring, (2000).to_bytes(4, "little"))
    same("the owner receives", owner.receive(), True)
    (event,) = lguest.news()
    event = instance("the event", event, Dropped)
    same("number of frame of event", len(event.frame), 1514)
    same("reason of event", event.reason, "giant: 2000 bytes, dropped by the receiver")


def test_a_failed_refill_of_the_repaired_driver(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    frame = ethernet(owner.address, sender.address)
    sender.transmit(frame)
    lguest.news()
    owner.guest.memory_left = 0
    lguest.settle()
    now = SOME_TIME + 2 * STEP_NS
    message = Message(now, 2, "eth0: could not fill slot 0")
    if lguest.host.defects.failed_refill_leaves_hole:
        same("events", lguest.news(), [message, Received(now, 2, 1, 0, frame, True, owner.address)])
    else:
        reason = "no memory for a fresh buffer"
        same("events", lguest.news(), [message, Dropped(now, 2, 1, 0, frame, reason)])


@pytest.mark.parametrize(
    ("layout", "size", "reason"),
    [
        (Layout(5, 0, ((55, 0),)), 60, "its linear part of 5 bytes is too short for a destination"
         " (DLV-10)"),
        (Layout(offset=4096), 60, "a linear part cannot start at 4096 in a page"),
        (Layout(offset=-1), 60, "a linear part cannot start at -1 in a page"),
        (Layout(60, 0, ((1, 0),)), 60, "linear part and fragments do not add up to its 60 bytes"),
        (Layout(14, 0, ((46, 4051),)), 60, "a fragment of 46 bytes at 4051 does not lie in one page"
         " (SEC-1)"),
        (Layout(14, 0, ((1, 0),) * SEND_PAGES), 14 + SEND_PAGES,
         "it lies in 42 pages, and the Guest keeps 41 for sending"),
        (Layout(14, 4090, ((1, 0),) * (SEND_PAGES - 1)), 13 + SEND_PAGES,
         "it lies in 42 pages, and the Guest keeps 41 for sending"),
        (Layout(), 65_536, "65536 bytes is more than the 65535 of the largest packet"),
    ],
)  # fmt: skip
def test_a_refused_frame(lguest: LguestLan, layout: Layout, size: int, reason: str) -> None:
    sender, owner = lguest.ports(2)
    frame = ethernet(owner, sender, size=size)
    with raises("the error", FrameRefused) as refusal:
        sender.send(frame, layout)
    same("value of refusal", refusal.message, f"eth0 of Guest 1 cannot send this frame: {reason}")
    same("events", lguest.news(), [Refused(SOME_TIME + STEP_NS, 1, 0, frame, reason)])


def test_as_many_fragments_as_there_are_pages_are_sent(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    frame = ethernet(owner.address, sender.address, size=13 + SEND_PAGES)
    same(
        "result of a transmit by the sender",
        sender.transmit(frame, 14, 0, [(1, 0)] * (SEND_PAGES - 1)),
        0,
    )
    same(
        "the first event",
        lguest.news()[0],
        Transmitted(SOME_TIME + STEP_NS, 1, 0, frame, SEND_PAGES, 16),
    )


def test_a_closed_device_and_a_killed_guest_refuse(lguest: LguestLan) -> None:
    sender, owner = lguest.ports(2)
    frame = ethernet(owner, sender)
    sender.close()
    with raises("the error", FrameRefused, "cannot send this frame: the device is not open"):
        sender.send(frame)
    sender.open()
    lguest.host.kill(sender.device.guest, "why not")
    with raises("the error", FrameRefused, "Guest 1 was killed (why not): it runs no more"):
        sender.send(frame)


def test_a_raw_send_and_what_its_list_names(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    memory = sender.guest.memory
    memory.write(ROOM, b"abcdef")
    memory.write(STRUCTURE + 4, dma.pack([(ROOM, 2), (ROOM + 3, 3)]))
    key = sender.peer_key(owner.slot)
    same("used_len, SEND_DMA of the sender", sender.guest.send_dma(key, STRUCTURE), 5)
    now = SOME_TIME + STEP_NS
    same("events", lguest.news(), [RawSend(now, 1, key, b"abdef"), Copied(now, 1, 4, 2, 0, 5, "")])
    memory.write(STRUCTURE + 4, dma.pack([(ROOM, 4097)]))
    same("used_len, SEND_DMA of the sender", sender.guest.send_dma(key, STRUCTURE), 0)
    now += STEP_NS
    same(
        "events",
        lguest.news(),
        [
            RawSend(now, 1, key, b""),
            Killed(now, 1, f"bad DMA entry: 4097@{ROOM:#x}"),
            Copied(now, 1, 4, 2, 1, 0, "the sender's section list is bad"),
        ],
    )


def test_a_receiver_with_a_bad_list_or_no_room(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    frame = ethernet(owner.address, sender.address)
    owner.guest.memory.write(owner.ring + 4, dma.pack([]))
    sender.transmit(frame)
    now = SOME_TIME + STEP_NS
    no_room = Copied(now, 1, 4, 2, 0, 0, "the receive buffer has no room")
    same("events", lguest.news(), [Transmitted(now, 1, 0, frame, 1, 1), no_room])
    owner.guest.memory.write(owner.ring + 4, dma.pack([(ROOM + 1, 4096)]))
    sender.transmit(frame)
    now += STEP_NS
    same(
        "events",
        lguest.news(),
        [
            Transmitted(now, 1, 0, frame, 1, 1),
            Killed(now, 2, f"bad DMA entry: 4096@{ROOM + 1:#x}"),
            Copied(now, 1, 4, 2, 0, 0, "the receiver's section list is bad"),
        ],
    )


def test_an_array_outside_memory(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    owner.close()
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(owner.key, END - 50, 1, 3), True)
    lguest.pages.publish(owner.slot, owner.address)
    frame = ethernet(owner.address, sender.address)
    lguest.news()
    sender.transmit(frame)
    now = lguest.host.now
    same(
        "events",
        lguest.news(),
        [
            Transmitted(now, 1, 0, frame, 1, 1),
            Killed(now, 2, "bad address in registered DMA struct"),
            Copied(now, 1, 4, 2, None, 0, "the receiver's array is outside its memory"),
        ],
    )
    same("the owner has a pending interrupt", bool(owner.guest.pending), False)


def test_what_is_sent_to_the_launcher(lguest: LguestLan) -> None:
    tap = MemoryTap()
    network = lguest.host_network(9, tap)
    device = network.device
    same("result of opening the device", device.open(), 0)
    frame = ethernet(tap.address, device.address)
    device.transmit(frame)
    now = EPOCH_NS + 2 * STEP_NS
    copied = Copied(now, 9, HOST_SLOT, None, None, 60, "")
    same("events", lguest.news(), [Transmitted(now, 9, 1, frame, 1, 1), copied])
    device.transmit(frame[:13])
    now += STEP_NS
    refused = Copied(now, 9, HOST_SLOT, None, None, 0, "the TAP refused 13 bytes")
    same("events", lguest.news(), [Transmitted(now, 9, 1, frame[:13], 1, 1), refused])


def test_what_comes_from_the_launcher(lguest: LguestLan) -> None:
    tap = MemoryTap()
    network = lguest.host_network(9, tap)
    device = network.device
    frame = ethernet(device.address, tap.address)
    tap.feed(frame)
    same("the network reads a frame of its TAP", network.input(), False)
    now = EPOCH_NS + STEP_NS
    why = "the Guest has bound no buffers: read and thrown away"
    thrown = Copied(now, None, 4, 9, None, 0, why)
    same("events", lguest.news(), [thrown])
    same("result of opening the device", device.open(), 0)
    device.transmit(ethernet(tap.address, device.address))
    device.close()
    lguest.news()
    tap.feed(frame)
    same("the network reads a frame of its TAP", network.input(), False)
    now = lguest.host.now
    warned = Warned(now, 9, "network: no dma buffer!")
    same("events", lguest.news(), [warned, thrown._replace(time=now)])
    same("result of opening the device", device.open(), 0)
    tap.feed(frame)
    tap.feed(ethernet(device.address, tap.address, size=2000))
    same("the network reads a frame of its TAP", network.input(), True)
    same("the network reads a frame of its TAP", network.input(), True)
    same("the network reads a frame of its TAP", network.input(), False)
    now = lguest.host.now
    same(
        "events",
        lguest.news(),
        [
            Copied(now - STEP_NS, None, 4, 9, 0, 60, ""),
            Copied(now, None, 4, 9, 1, 1514, "longer than the buffer"),
        ],
    )


def test_a_key_that_nobody_watches(lguest: LguestLan) -> None:
    (sender,) = lguest.open_devices(1)
    sender.guest.memory.write(STRUCTURE + 4, dma.pack([(ROOM, 60)]))
    same("used_len, SEND_DMA of the sender", sender.guest.send_dma(ARRAY, STRUCTURE), 0)
    now = EPOCH_NS + 2 * STEP_NS
    warned = Warned(now, 1, f"Pending dma {STRUCTURE:#x}, key {ARRAY:#x}")
    same("events", lguest.news(), [RawSend(now, 1, ARRAY, bytes(60)), warned])


def test_every_point_is_passed_with_its_guest(lguest: LguestLan) -> None:
    passed: list[tuple[Point, int]] = []

    def note(point: Point, guest: Owner) -> None:
        passed.append((point, guest.id))

    sender, owner, third = (lguest.device(slot) for slot in range(3))
    lguest.host.interleave = note
    same("result of opening the sender", sender.open(), 0)
    listed = [(Point.LISTED, 1)] * NUM_SKBS
    same("passed", passed, [(Point.PUBLISHED, 1), *listed, (Point.FILLED, 1)])
    same("result of opening the owner", owner.open(), 0)
    same("result of opening the third", third.open(), 0)
    passed.clear()
    sender.transmit(ethernet(GROUPS["broadcast"], sender.address))
    same("passed", passed, [(Point.ADDRESSED, 1), (Point.COPIED, 1)] * 2)
    passed.clear()
    owner.guest.interrupt()
    same("passed", passed, [(Point.TAKEN, 2), (Point.LISTED, 2)])
    passed.clear()
    owner.close()
    same("passed", passed, [(Point.UNPUBLISHED, 2), (Point.UNBOUND, 2)])
    same("the owner is open", owner.is_open, False)


def test_a_megapacket_is_told_for_each_receiver_also_when_others_act(lguest: LguestLan) -> None:
    sender, *others = lguest.open_devices(4)
    lguest.host.interleave = lambda *_: None
    frame = ethernet(GROUPS["broadcast"], sender.address, size=14 + 16)
    sender.transmit(frame, 14, 0, [(1, 0)] * 16)
    sender.transmit(frame[:-1], 14, 0, [(1, 0)] * 15)
    messages = [event for event in lguest.news() if isinstance(event, Message)]
    same("text of message", [message.text for message in messages], [MEGAPACKET] * 3)
    same(
        "tx_packets of the sender and tx_carrier_errors of the sender",
        (sender.counters.tx_packets, sender.counters.tx_carrier_errors),
        (3, 3),
    )
    same("tx_bytes of the sender", sender.counters.tx_bytes, 3 * 29)
    same(
        "others with a pending interrupt",
        [bool(device.guest.pending) for device in others],
        [True] * len(others),
    )
