"""E. Receiving (D:560): the interrupt, and a fresh buffer for each buffer taken."""

from __future__ import annotations

import pytest

from harness.comparing import differ, same
from harness.frames import ethernet, payload
from harness.lans.lguest import LguestLan
from harness.lguest.driver import NUM_SKBS, NetDevice
from harness.lguest.events import Dropped, Fault, Message, Point, Received
from harness.plugin.marks import rule

from .kit.dma import (
    ROOM,
    buffer_list,
    changed,
    fill_up,
    must_cross,
    passed_up,
    send,
    send_bytes,
    set_list,
    set_used,
    snapshot,
    used_lens,
    whenever,
)
from .kit.steps import same_frames


def judged(lguest: LguestLan, device: NetDevice) -> int:
    """How many frames the device passed up or dropped."""
    return len(
        [
            event
            for event in lguest.host.events
            if isinstance(event, Received | Dropped) and event.guest == device.guest.id
        ]
    )


def messages(lguest: LguestLan) -> list[tuple[int, str]]:
    return [(event.guest, event.text) for event in lguest.host.events if isinstance(event, Message)]


# RCV-1: the interrupt


@rule("RCV-1")
@pytest.mark.parametrize("count", range(1, NUM_SKBS + 1))
def test_one_interrupt_hands_up_all_that_is_there_in_slot_order(
    lguest: LguestLan, count: int
) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    frames = fill_up(sender, owner, count)
    same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
    received = passed_up(lguest, owner)
    same(
        "buffer of event and frame of event",
        [(event.buffer, event.frame) for event in received],
        list(enumerate(frames)),
    )
    same("used_len of the buffers of the owner", used_lens(owner.guest, owner.ring), [0] * NUM_SKBS)
    same("pending interrupts of the owner", owner.guest.pending, 0)
    same("the owner handles a pending interrupt", owner.guest.interrupt(), False)
    same("the bystander handles a pending interrupt", bystander.guest.interrupt(), False)
    same("number of frames passed up by the owner", len(passed_up(lguest, owner)), count)
    same("frames passed up by the bystander", passed_up(lguest, bystander), [])


@rule("RCV-1")
@pytest.mark.parametrize(
    "slots", [(0, 2), (1,), (7,), (0, 7), (1, 3, 5, 7), (2, 3, 6), (0, 1, 2, 4, 5, 6, 7)]
)
def test_empty_slots_between_filled_ones_are_passed_over(
    lguest: LguestLan, slots: tuple[int, ...]
) -> None:
    """An empty SEND_DMA moves the cursor past a slot that stays free."""
    sender, owner = lguest.open_devices(2)
    expected = []
    for n in range(max(slots) + 1):
        if n in slots:
            frame = ethernet(owner.address, sender.address, stamp=n)
            sender.transmit(frame)
            expected.append((n, frame))
        else:
            same(
                "used_len, SEND_DMA of the sender",
                send(sender.guest, sender.peer_key(owner.slot), []),
                0,
            )
    same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
    same(
        "buffer of event and frame of event",
        [(event.buffer, event.frame) for event in passed_up(lguest, owner)],
        expected,
    )
    same("used_len of the buffers of the owner", used_lens(owner.guest, owner.ring), [0] * NUM_SKBS)


@rule("RCV-1")
def test_an_interrupt_with_nothing_filled_is_not_ours(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    same("the owner handles a pending interrupt", owner.guest.interrupt(), False)
    same("the owner receives", owner.receive(), False)
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(owner.slot), []),
        0,
    )
    same("pending interrupts of the owner", owner.guest.pending, 1 << owner.interrupt)
    before = snapshot(owner.guest)
    same("the owner handles a pending interrupt", owner.guest.interrupt(), False)
    same("pending interrupts of the owner", owner.guest.pending, 0)
    same("addresses of bytes that changed", changed(before, snapshot(owner.guest)), set())
    same("frames passed up by the owner", passed_up(lguest, owner), [])
    must_cross(lguest, sender, owner)


@rule("RCV-1")
def test_filled_buffers_wait_until_the_interrupt_is_taken(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    frames = fill_up(sender, owner, 3)
    owner.guest.pending = 0
    same("the owner handles a pending interrupt", owner.guest.interrupt(), False)
    same("frames passed up by the owner", passed_up(lguest, owner), [])
    same(
        "used_len of the buffers of the owner",
        used_lens(owner.guest, owner.ring),
        [60, 60, 60, 0, 0, 0, 0, 0],
    )
    frames += fill_up(sender, owner, 1)
    same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
    same_frames(lguest, owner, frames)


@rule("RCV-1")
def test_an_interrupt_looks_at_the_ring_of_its_own_device_alone(lguest: LguestLan) -> None:
    sender, first = lguest.open_devices(2)
    second = lguest.second_device(first.guest, 20)
    same("result of opening the second", second.open(), 0)
    set_used(first.guest, first.ring, 0, 60)
    frame = ethernet(second.address, sender.address)
    same(
        "used_len, SEND_DMA of the sender",
        send_bytes(sender.guest, sender.peer_key(second.slot), frame),
        60,
    )
    same("the first handles a pending interrupt", first.guest.interrupt(), True)
    same_frames(lguest, second, [frame])
    same_frames(lguest, first, [])
    same("used_len of a buffer of the first", used_lens(first.guest, first.ring)[0], 60)


@rule("RCV-1")
@pytest.mark.parametrize("size", [1, 13, 14, 60, 1514])
def test_a_taken_buffer_is_replaced_before_its_length_is_judged(
    lguest: LguestLan, size: int
) -> None:
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(owner.slot)
    old = [buffer_list(owner, n) for n in range(3)]
    frames = [payload(size, n) for n in range(3)]
    same(
        "used_len, SEND_DMA of the sender",
        [send_bytes(sender.guest, key, frame) for frame in frames],
        [size] * 3,
    )
    refilled: list[int] = []
    whenever(lguest, Point.LISTED, lambda: refilled.append(judged(lguest, owner)))
    same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
    same("refilled", refilled, [0, 1, 2])
    same("judged", judged(lguest, owner), 3)
    same_frames(lguest, owner, frames if size >= 14 else [])
    fresh = [buffer_list(owner, n) for n in range(3)]
    differ("first list of the refilled buffers", fresh[0], old[0])
    same("sum of length", [sum(length for _, length in sections) for sections in fresh], [1514] * 3)


@rule("RCV-1")
@pytest.mark.parametrize("rx_offset", [16, 3000])
def test_the_eight_buffers_are_never_one_and_the_same(lguest: LguestLan, rx_offset: int) -> None:
    sender, owner = lguest.open_devices(2, rx_offset=rx_offset)
    for turn in range(20):
        for n in range(turn % NUM_SKBS + 1):
            size = 13 if n % 3 == 2 else 60
            same(
                "used_len, SEND_DMA of the sender",
                send_bytes(sender.guest, sender.peer_key(owner.slot), payload(size)),
                size,
            )
        same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
        lists = [buffer_list(owner, n) for n in range(NUM_SKBS)]
        same(
            "number of different addresses of first sections",
            len({sections[0].address for sections in lists}),
            NUM_SKBS,
        )
        same(
            "sum of length",
            [sum(length for _, length in sections) for sections in lists],
            [1514] * NUM_SKBS,
        )


@rule("RCV-1")
@pytest.mark.parametrize("point", [Point.TAKEN, Point.LISTED])
def test_a_frame_that_comes_while_the_handler_runs_is_not_lost(
    lguest: LguestLan, point: Point
) -> None:
    sender, owner = lguest.open_devices(2)
    frames = [ethernet(owner.address, sender.address, stamp=n) for n in range(5)]
    late = frames[1:]

    def one_more() -> None:
        if late:
            sender.transmit(late.pop(0))

    sender.transmit(frames[0])
    whenever(lguest, point, one_more)
    lguest.settle()
    same_frames(lguest, owner, frames)
    same("tx_packets of the sender", sender.counters.tx_packets, 5)


@rule("RCV-1")
def test_a_pending_interrupt_survives_close_and_the_next_open(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    fill_up(sender, owner, 2)
    owner.close()
    same("pending interrupts of the owner", owner.guest.pending, 1 << owner.interrupt)
    same("result of opening the owner", owner.open(), 0)
    same("pending interrupts of the owner", owner.guest.pending, 1 << owner.interrupt)
    same("used_len of the buffers of the owner", used_lens(owner.guest, owner.ring), [0] * NUM_SKBS)
    same("the owner handles a pending interrupt", owner.guest.interrupt(), False)
    same("pending interrupts of the owner", owner.guest.pending, 0)
    same("frames passed up by the owner", passed_up(lguest, owner), [])
    must_cross(lguest, sender, owner)


@rule("RCV-1")
def test_what_came_before_close_is_taken_for_no_frame_after_open(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    fill_up(sender, owner, 2)
    owner.close()
    same("result of opening the owner", owner.open(), 0)
    frames = fill_up(sender, owner, 1)
    same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
    same_frames(lguest, owner, frames)
    same("event", [event for event in lguest.host.events if isinstance(event, Fault)], [])


@rule("RCV-1")
def test_an_interrupt_on_a_closed_device_without_frames_is_not_ours(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(owner.slot), []),
        0,
    )
    owner.close()
    same("the owner handles a pending interrupt", owner.guest.interrupt(), False)
    same("event", [event for event in lguest.host.events if isinstance(event, Fault)], [])
    same("result of opening the owner", owner.open(), 0)
    must_cross(lguest, sender, owner)


# RCV-2: first the list, then used_len


@rule("RCV-2")
def test_a_refills_list_is_written_while_used_len_still_says_used(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    fill_up(sender, owner)
    old = [buffer_list(owner, n) for n in range(NUM_SKBS)]
    seen: list[tuple[list[int], list[bool]]] = []

    def look() -> None:
        lists = [buffer_list(owner, n) != old[n] for n in range(NUM_SKBS)]
        seen.append((used_lens(owner.guest, owner.ring), lists))

    whenever(lguest, Point.LISTED, look)
    same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
    same(
        "used_len",
        [used for used, _ in seen],
        [[0] * done + [60] * (NUM_SKBS - done) for done in range(NUM_SKBS)],
    )
    same(
        "lists",
        [lists for _, lists in seen],
        [[True] * (done + 1) + [False] * (NUM_SKBS - done - 1) for done in range(NUM_SKBS)],
    )
    same("used_len of the buffers of the owner", used_lens(owner.guest, owner.ring), [0] * NUM_SKBS)


@rule("RCV-2")
def test_between_list_and_used_len_a_slot_is_not_yet_free(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    frames = fill_up(sender, owner)
    key = sender.peer_key(owner.slot)
    moved: list[int] = []

    def try_once() -> None:
        if not moved:
            moved.append(send_bytes(sender.guest, key, payload(90)))

    whenever(lguest, Point.LISTED, try_once)
    same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
    same("bytes moved", moved, [0])
    same_frames(lguest, owner, frames)
    lguest.settle()
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(90)), 90)
    lguest.settle()
    same_frames(lguest, owner, [*frames, payload(90)])


@rule("RCV-2")
@pytest.mark.parametrize("slot", range(NUM_SKBS))
def test_no_copy_goes_by_the_list_of_a_buffer_that_was_taken(lguest: LguestLan, slot: int) -> None:
    """The old list is marked by pointing elsewhere; what comes later must not go there."""
    sender, owner = lguest.open_devices(2)
    fill_up(sender, owner, slot)
    set_list(owner, slot, [(ROOM, 1514)])
    old = ethernet(owner.address, sender.address, stamp=1)
    sender.transmit(old)
    same("memory of the owner at ROOM", owner.guest.memory.read(ROOM, 60), old)
    lguest.settle()
    before = len(lguest.received(owner))
    frames = [ethernet(owner.address, sender.address, size=200, stamp=n) for n in range(NUM_SKBS)]
    for frame in frames:
        sender.transmit(frame)
        lguest.settle()
    same_frames(lguest, owner, frames, since=before)
    same("memory of the owner at ROOM", owner.guest.memory.read(ROOM, 200), old + bytes(140))


@rule("RCV-2")
def test_opening_lists_each_buffer_before_it_is_free(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    fill_up(sender, owner)
    owner.close()
    for n in range(NUM_SKBS):
        set_list(owner, n, [])
    seen: list[tuple[list[int], list[int]]] = []

    def look() -> None:
        lists = [len(buffer_list(owner, n)) for n in range(NUM_SKBS)]
        seen.append((used_lens(owner.guest, owner.ring), lists))

    whenever(lguest, Point.LISTED, look)
    same("result of opening the owner", owner.open(), 0)
    same(
        "what was seen",
        seen,
        [
            ([0] * done + [60] * (8 - done), [1] * (done + 1) + [0] * (7 - done))
            for done in range(8)
        ],
    )
    must_cross(lguest, sender, owner)


# RCV-5: a refill that fails


def fail_refill(lguest: LguestLan, slot: int) -> tuple[NetDevice, NetDevice, bytes]:
    """The refill of one slot fails, all others work: sender, owner, and that slot's frame."""
    sender, owner = lguest.open_devices(2)
    for _ in range(slot):
        must_cross(lguest, sender, owner)
    frame = ethernet(owner.address, sender.address, size=99)
    sender.transmit(frame)
    owner.guest.memory_left = 0
    same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
    owner.guest.memory_left = None
    return sender, owner, frame


@rule("RCV-5")
@pytest.mark.parametrize("slot", range(NUM_SKBS))
def test_a_refill_that_fails_is_logged_with_the_slot(lguest: LguestLan, slot: int) -> None:
    _, owner, _ = fail_refill(lguest, slot)
    same(
        "kernel messages", messages(lguest), [(owner.guest.id, f"eth0: could not fill slot {slot}")]
    )


@rule("RCV-5")
def test_the_log_names_the_device(lguest: LguestLan) -> None:
    sender, first = lguest.open_devices(2)
    second = lguest.second_device(first.guest, 20)
    same("result of opening the second", second.open(), 0)
    key = sender.peer_key(second.slot)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(60)), 60)
    first.guest.memory_left = 0
    same("the first handles a pending interrupt", first.guest.interrupt(), True)
    same("kernel messages", messages(lguest), [(first.guest.id, "eth1: could not fill slot 0")])


@rule("RCV-5")
@pytest.mark.parametrize("left", range(NUM_SKBS + 1))
def test_refills_fail_from_the_slot_on_where_memory_ends(lguest: LguestLan, left: int) -> None:
    sender, owner = lguest.open_devices(2)
    frames = fill_up(sender, owner)
    owner.guest.memory_left = left
    same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
    same(
        "kernel messages",
        messages(lguest),
        [(owner.guest.id, f"eth0: could not fill slot {slot}") for slot in range(left, NUM_SKBS)],
    )
    same(
        "first left of frames passed up by the owner", lguest.received(owner)[:left], frames[:left]
    )
    same(
        "first left of used_len of the buffers of the owner",
        used_lens(owner.guest, owner.ring)[:left],
        [0] * left,
    )
    same("memory left of the owner", owner.guest.memory_left, 0)


@rule("RCV-5")
def test_refills_that_succeed_are_not_logged(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    owner.guest.memory_left = 100
    for _ in range(12):
        frames = fill_up(sender, owner)
        same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
        same(
            "last NUM_SKBS of frames passed up by the owner",
            lguest.received(owner)[-NUM_SKBS:],
            frames,
        )
    same("memory left of the owner", owner.guest.memory_left, 4)
    same("kernel messages", messages(lguest), [])


@rule("RCV-5")
@pytest.mark.parametrize("slot", range(NUM_SKBS))
def test_a_failed_refill_takes_no_buffer_from_the_host(lguest: LguestLan, slot: int) -> None:
    sender, owner, _ = fail_refill(lguest, slot)
    before = len(lguest.received(owner))
    frames = fill_up(sender, owner)
    same("tx_carrier_errors of the sender", sender.counters.tx_carrier_errors, 0)
    same(
        "used_len of the buffers of the owner", used_lens(owner.guest, owner.ring), [60] * NUM_SKBS
    )
    lguest.settle()
    same(
        "frames passed up by the owner, from before on, sorted",
        sorted(lguest.received(owner)[before:]),
        sorted(frames),
    )
    same("event", [event for event in lguest.host.events if isinstance(event, Fault)], [])


@rule("RCV-5")
@pytest.mark.parametrize("slot", range(NUM_SKBS))
def test_as_shipped_the_frame_is_handed_up_and_the_slot_stays_used(
    lguest: LguestLan, slot: int
) -> None:
    _, owner, frame = fail_refill(lguest, slot)
    shipped = lguest.host.defects.failed_refill_leaves_hole
    same_frames(lguest, owner, [frame] if shipped else [], since=slot)
    used = [0] * NUM_SKBS
    used[slot] = 99 if shipped else 0
    same("used_len of the buffers of the owner", used_lens(owner.guest, owner.ring), used)
    same("rx_packets of the owner", owner.counters.rx_packets, slot + shipped)
    dropped = [event.frame for event in lguest.host.events if isinstance(event, Dropped)]
    same("dropped", dropped, [] if shipped else [frame])


@rule("RCV-5")
@pytest.mark.parametrize("slot", range(NUM_SKBS))
def test_as_shipped_the_next_interrupt_follows_a_null_pointer(lguest: LguestLan, slot: int) -> None:
    sender, owner, _ = fail_refill(lguest, slot)
    before = len(lguest.received(owner))
    frame = ethernet(owner.address, sender.address, stamp=5)
    sender.transmit(frame)
    same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
    shipped = lguest.host.defects.failed_refill_leaves_hole
    faults = [event for event in lguest.host.events if isinstance(event, Fault)]
    same(
        "fault and defect of fault",
        [(fault.guest, fault.defect) for fault in faults],
        [(owner.guest.id, "DEF-8")] * shipped,
    )
    same(
        "faults of other slots",
        [fault.text for fault in faults if f"slot {slot} " not in fault.text],
        [],
    )
    same_frames(lguest, owner, [frame], since=before)


@rule("RCV-5")
@pytest.mark.parametrize("size", [1, 13])
def test_a_runt_whose_refill_fails_is_dropped_all_the_same(lguest: LguestLan, size: int) -> None:
    sender, owner = lguest.open_devices(2)
    same(
        "used_len, SEND_DMA of the sender",
        send_bytes(sender.guest, sender.peer_key(owner.slot), payload(size)),
        size,
    )
    owner.guest.memory_left = 0
    same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
    owner.guest.memory_left = None
    same("kernel messages", messages(lguest), [(owner.guest.id, "eth0: could not fill slot 0")])
    same("rx_packets of the owner", owner.counters.rx_packets, 0)
    same(
        "frames of the events",
        [event.frame for event in lguest.host.events if isinstance(event, Dropped)],
        [payload(size)],
    )
    frames = fill_up(sender, owner, 1)
    lguest.settle()
    same_frames(lguest, owner, frames)


@rule("RCV-5")
def test_memory_that_is_back_refills_the_next_slot(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    frames = fill_up(sender, owner, 3)
    memory = [None, 0, None]

    def next_slot() -> None:
        owner.guest.memory_left = memory.pop(0)

    whenever(lguest, Point.TAKEN, next_slot)
    same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
    same("kernel messages", messages(lguest), [(owner.guest.id, "eth0: could not fill slot 1")])
    received = lguest.received(owner)
    same(
        "the first and the last frame received",
        (received[0], received[-1]),
        (frames[0], frames[2]),
    )
    used = used_lens(owner.guest, owner.ring)
    same("used_len of the first and the third buffer", (used[0], used[2]), (0, 0))
