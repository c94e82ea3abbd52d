"""The rules again after a death, a failed refill, a failed open, or a new start."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.comparing import raises, same
from harness.frames import PAGE, ethernet
from harness.lans.lguest import LguestLan
from harness.lguest.driver import NUM_SKBS, Counters, NetDevice
from harness.lguest.events import Fault, Message, Point
from harness.lguest.host import MAX_BOUND
from harness.lguest.memory import LguestError, Owner
from harness.lguest.tap import MemoryTap
from harness.plugin.marks import rule

from .kit.dma import (
    ARRAY,
    DATA,
    SPARE_SLOT,
    bind,
    fill_up,
    filled,
    killed,
    must_cross,
    send,
    send_bytes,
    set_list,
    set_used,
    used_lens,
)
from .kit.steps import NO_ADDRESS, acting_at, broadcast, same_frames

# A killed Guest


@rule("DMA-9")
@pytest.mark.parametrize("size", [14, 60, 1514])
def test_a_killed_guest_cannot_send_a_length_that_it_sent_before(
    lguest: LguestLan, size: int
) -> None:
    sender, owner = lguest.open_devices(2)
    frame = ethernet(owner.address, sender.address, size=size)
    sender.transmit(frame)
    lguest.settle()
    lguest.host.kill(sender.guest, "for a test")
    with raises("the error", LguestError, "it runs no more"):
        sender.transmit(frame)
    same("pending interrupts of the owner", owner.guest.pending, 0)
    same("counters of the sender", sender.counters, Counters(tx_packets=1, tx_bytes=size))
    lguest.settle()
    same_frames(lguest, owner, [frame])


@rule("DMA-5", "DMA-9")
def test_a_full_ring_of_a_killed_guest_is_tried_twice_too(lguest: LguestLan) -> None:
    sender, dead = lguest.open_devices(2)
    lguest.host.kill(dead.guest, "for a test")
    fill_up(sender, dead)

    def empty_one() -> None:
        set_used(dead.guest, dead.ring, 3, 0)

    with acting_at(lguest.host, Point.RESTOCK, empty_one):
        sender.transmit(ethernet(dead.address, sender.address, size=77))
    same("tx_packets of the sender", sender.counters.tx_packets, NUM_SKBS + 1)
    same("used_len of a buffer of the dead", used_lens(dead.guest, dead.ring)[3], 77)
    sender.transmit(ethernet(dead.address, sender.address))
    same("last 2 of buffers filled", filled(lguest)[-2:], [None, None])


@rule("DMA-5", "DMA-2")
@pytest.mark.parametrize("is_dead", [False, True])
def test_the_second_try_searches_the_arrays_that_are_bound_by_then(
    lguest: LguestLan, is_dead: bool
) -> None:
    """The full array is unbound before the second try, which then uses an older one."""
    sender, owner, other = lguest.open_devices(3)
    key = sender.peer_key(SPARE_SLOT)
    same("BIND_DMA by the other succeeds", bind(other.guest, key, 1), True)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 1), True)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, bytes(60)), 60)
    if is_dead:
        lguest.host.kill(owner.guest, "for a test")

        def leave() -> None:
            lguest.launcher(owner.guest).exit()
    else:

        def leave() -> None:
            same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, ARRAY, 1, 0), True)

    with acting_at(lguest.host, Point.RESTOCK, leave):
        same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, bytes(61)), 61)
    same("used_len of the buffers of the owner", used_lens(owner.guest, ARRAY, 1), [60])
    same("used_len of the buffers of the other", used_lens(other.guest, ARRAY, 1), [61])
    same("pending interrupts of the other", other.guest.pending, 1 << 9)


@rule("DMA-5", "DMA-2")
def test_the_second_try_takes_an_array_bound_in_the_gap(lguest: LguestLan) -> None:
    sender, owner, other = lguest.open_devices(3)
    key = sender.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 1), True)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, bytes(60)), 60)

    def bind_newer() -> None:
        same("BIND_DMA by the other succeeds", bind(other.guest, key, 2), True)

    with acting_at(lguest.host, Point.RESTOCK, bind_newer):
        same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, bytes(61)), 61)
    same("used_len of the buffers of the owner", used_lens(owner.guest, ARRAY, 1), [60])
    same("used_len of the buffers of the other", used_lens(other.guest, ARRAY, 2), [61, 0])


@rule("DMA-5", "DMA-2")
def test_the_second_try_begins_at_the_cursor_of_a_fresh_bind(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 3), True)
    for _ in range(4):
        send_bytes(sender.guest, key, bytes(60))
    for n in range(3):
        set_used(owner.guest, ARRAY, n, 60)

    def bind_again() -> None:
        same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, ARRAY, 3, 0), True)
        same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 3), True)

    with acting_at(lguest.host, Point.RESTOCK, bind_again):
        same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, bytes(61)), 61)
    same("used_len of the buffers of the owner", used_lens(owner.guest, ARRAY, 3), [61, 0, 0])


@rule("DMA-9", "DMA-4")
@pytest.mark.parametrize("bad", [0, 1, 2])
def test_a_broadcast_ends_with_its_sender(lguest: LguestLan, bad: int) -> None:
    """The sender is killed at one of its receivers; those after it get nothing."""
    sender, *others = lguest.open_devices(4)
    same("broadcast (whole, failed) of the sender", broadcast(sender), (3, 0))
    lguest.settle()
    seen = 0

    def spoil() -> None:
        nonlocal seen
        if seen == bad:
            lguest.host.kill(sender.guest, "for a test")
        seen += 1

    lguest.host.interleave = lambda point, _: spoil() if point is Point.COPIED else None
    sender.transmit(ethernet(b"\xff" * 6, sender.address, stamp=5))
    lguest.host.interleave = None
    lguest.settle()
    same(
        "number of frames passed up by each other",
        [len(lguest.received(other)) for other in others],
        [2 if n <= bad else 1 for n in range(3)],
    )


@rule("DMA-4", "DMA-9")
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_receiver_killed_by_a_broadcast_affects_no_other_receiver(
    lguest: LguestLan, position: int
) -> None:
    sender, *others = lguest.open_devices(4)
    same("broadcast (whole, failed) of the sender", broadcast(sender), (3, 0))
    lguest.settle()
    set_list(others[position], 1, [(DATA, PAGE + 1)])
    for turn in range(3):
        same("broadcast (whole, failed) of the sender", broadcast(sender), (2, 1))
        same("Guests killed", killed(lguest), [others[position].guest.id])
        lguest.settle()
        for n, other in enumerate(others):
            same(
                "number of frames passed up by the other",
                len(lguest.received(other)),
                1 if n == position else 2 + turn,
            )


@rule("DMA-1", "DMA-9")
@pytest.mark.parametrize("is_dead", [False, True])
def test_a_guest_with_the_id_of_one_that_ended_has_32_arrays(
    lguest: LguestLan, is_dead: bool
) -> None:
    sender, first = lguest.open_devices(2)
    guest_id = first.guest.id
    for n in range(MAX_BOUND - 1):
        same(
            "BIND_DMA by the first succeeds",
            first.guest.bind_dma(first.peer_key(SPARE_SLOT + n), ARRAY, 1, 9),
            True,
        )
    if is_dead:
        lguest.host.kill(first.guest, "for a test")
    lguest.launcher(first.guest).exit()
    heir = lguest.device(first.slot, guest_id=guest_id)
    same("result of opening the heir", heir.open(), 0)
    results = [heir.guest.bind_dma(heir.peer_key(SPARE_SLOT + n), ARRAY, 1, 9) for n in range(33)]
    same("results", results, [True] * (MAX_BOUND - 1) + [False] * 2)
    must_cross(lguest, sender, heir)
    must_cross(lguest, heir, sender)
    same_frames(lguest, first, lguest.received(heir))


@rule("DMA-9", "PUB-6")
@pytest.mark.parametrize("how", ["killed", "bad list", "alive"])
def test_the_end_of_a_launcher_clears_and_frees_the_slot_however_its_guest_ended(
    lguest: LguestLan, tmp_path: Path, how: str
) -> None:
    file = lguest.parts.file(tmp_path / "lan")
    launchers = [lguest.launch(n) for n in (20, 21)]
    devices = [launcher.join(file) for launcher in launchers]
    lguest.devices += devices
    same("result of opening each device", [device.open() for device in devices], [0, 0])
    leaver, sender = devices
    if how == "killed":
        lguest.host.kill(leaver.guest, "for a test")
    elif how == "bad list":
        same(
            "used_len, SEND_DMA of the leaver",
            send(leaver.guest, leaver.peer_key(sender.slot), [(DATA, PAGE + 1)]),
            0,
        )
        same("Guests killed", killed(lguest), [20])
    launchers[0].exit()
    same("keys bound by the leaver", lguest.host.bound_by(leaver.guest), [])
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, leaver.peer_key(leaver.slot), [(DATA, 60)]),
        0,
    )
    ghost = lguest.host.defects.leaves_ghosts
    same(
        "address published in slot 0",
        file.pages.published(0),
        leaver.address if ghost else NO_ADDRESS,
    )
    same(
        "broadcast (whole, failed) of the sender",
        broadcast(sender),
        (0, int(ghost)),
    )
    heir = lguest.launch(22).join(file)
    same("slot of the heir", heir.slot, 0)
    same("result of opening the heir", heir.open(), 0)
    same("broadcast (whole, failed) of the sender", broadcast(sender), (1, 0))
    file.close()


# Failed refills


@rule("RCV-5", "LIF-1")
@pytest.mark.parametrize("cycles", [30])
def test_failed_refills_lose_no_buffer(lguest: LguestLan, cycles: int) -> None:
    """With each failure followed by an interrupt that succeeds."""
    sender, owner = lguest.open_devices(2)
    shipped = lguest.host.defects.failed_refill_leaves_hole
    for turn in range(cycles):
        sender.transmit(ethernet(owner.address, sender.address, stamp=turn))
        owner.guest.memory_left = 0
        same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
        owner.guest.memory_left = None
        before = len(lguest.received(owner))
        frame = ethernet(owner.address, sender.address, stamp=1000 + turn)
        sender.transmit(frame)
        same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
        same_frames(lguest, owner, [frame], since=before)
        same(
            "used_len of the buffers of the owner",
            used_lens(owner.guest, owner.ring),
            [0] * NUM_SKBS,
        )
    faults = [event for event in lguest.host.events if isinstance(event, Fault)]
    same("number of faults", len(faults), cycles if shipped else 0)
    frames = fill_up(sender, owner)
    before = len(lguest.received(owner))
    lguest.settle()
    same(
        "frames passed up by the owner, from before on, sorted",
        sorted(lguest.received(owner)[before:]),
        sorted(frames),
    )


@rule("RCV-5", "LIF-1")
@pytest.mark.parametrize("holes", [1, 3, NUM_SKBS])
def test_an_opening_after_failed_refills_has_all_its_buffers(lguest: LguestLan, holes: int) -> None:
    sender, owner = lguest.open_devices(2)
    for turn in range(12):
        fill_up(sender, owner, holes)
        owner.guest.memory_left = 0
        owner.guest.interrupt()
        owner.guest.memory_left = None
        owner.close()
        same(f"result of opening {turn}", owner.open(), 0)
        frames = fill_up(sender, owner)
        before = len(lguest.received(owner))
        lguest.settle()
        same(
            "frames passed up by the owner, from before on, sorted",
            sorted(lguest.received(owner)[before:]),
            sorted(frames),
        )
    same("faults", [event for event in lguest.host.events if isinstance(event, Fault)], [])


@rule("RCV-5", "RCV-1")
@pytest.mark.parametrize("failing", range(NUM_SKBS))
def test_one_failed_refill_does_not_affect_the_rest_of_the_batch(
    lguest: LguestLan, failing: int
) -> None:
    sender, owner = lguest.open_devices(2)
    frames = fill_up(sender, owner)
    turn = -1

    def next_slot() -> None:
        nonlocal turn
        turn += 1
        owner.guest.memory_left = 0 if turn == failing else None

    lguest.host.interleave = lambda point, _: next_slot() if point is Point.TAKEN else None
    same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
    lguest.host.interleave = None
    owner.guest.memory_left = None
    shipped = lguest.host.defects.failed_refill_leaves_hole
    rest = [frame for n, frame in enumerate(frames) if shipped or n != failing]
    same("first NUM_SKBS of frames passed up by the owner", lguest.received(owner)[:NUM_SKBS], rest)
    messages = [event.text for event in lguest.host.events if isinstance(event, Message)]
    same("messages", messages, [f"eth0: could not fill slot {failing}"])


# Failed openings


@rule("LIF-1")
@pytest.mark.parametrize("left", range(NUM_SKBS))
def test_failed_openings_lose_no_buffer(lguest: LguestLan, left: int) -> None:
    (sender,) = lguest.open_devices(1)
    owner = lguest.device()
    for _ in range(20):
        owner.guest.memory_left = left
        same("result of opening the owner", owner.open(), -12)
    owner.guest.memory_left = None
    same("result of opening the owner", owner.open(), 0)
    frames = fill_up(sender, owner)
    lguest.settle()
    same_frames(lguest, owner, frames)


@rule("LIF-1", "DMA-1")
def test_openings_that_cannot_bind_lose_no_buffer(lguest: LguestLan) -> None:
    (sender,) = lguest.open_devices(1)
    owner = lguest.device()
    for n in range(MAX_BOUND):
        same(
            "BIND_DMA by the owner succeeds",
            owner.guest.bind_dma(owner.peer_key(SPARE_SLOT + n), ARRAY, 1, 9),
            True,
        )
    for _ in range(20):
        same("result of opening the owner", owner.open(), -12)
    same(
        "BIND_DMA by the owner succeeds",
        owner.guest.bind_dma(owner.peer_key(SPARE_SLOT), ARRAY, 1, 0),
        True,
    )
    same("result of opening the owner", owner.open(), 0)
    frames = fill_up(sender, owner)
    lguest.settle()
    same_frames(lguest, owner, frames)


# Openings that follow one another


@rule("DMA-2", "LIF-1")
@pytest.mark.parametrize("sent", range(NUM_SKBS + 1))
def test_a_new_opening_is_filled_from_its_first_buffer(lguest: LguestLan, sent: int) -> None:
    sender, owner = lguest.open_devices(2)
    for turn in range(3):
        fill_up(sender, owner, sent)
        lguest.settle()
        owner.close()
        same("result of opening the owner", owner.open(), 0)
        frames = fill_up(sender, owner, 2)
        same(
            f"used_len of the buffers, opening {turn}",
            used_lens(owner.guest, owner.ring),
            [60, 60, *[0] * 6],
        )
        before = len(lguest.received(owner))
        lguest.settle()
        same_frames(lguest, owner, frames, since=before)


@rule("DMA-2")
def test_an_array_bound_again_forgets_the_cursor_whatever_else_was_bound(
    lguest: LguestLan,
) -> None:
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    for _ in range(3):
        same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 4), True)
        for n in range(2):
            same(
                "used_len, SEND_DMA of the sender",
                send_bytes(sender.guest, key, bytes(60 + n)),
                60 + n,
            )
        same(
            "used_len of the buffers of the owner", used_lens(owner.guest, ARRAY, 4), [60, 61, 0, 0]
        )
        same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, ARRAY, 4, 0), True)


# Killed in the middle of a step of the driver


def kill_at(lguest: LguestLan, point: Point, device: NetDevice, count: int) -> None:
    """Another CPU kills the Guest the ``count``-th time that it reaches this point."""
    reached = 0

    def look(where: Point, guest: Owner) -> None:
        nonlocal reached
        if where is point and guest.id == device.guest.id:
            reached += 1
            if reached == count:
                lguest.host.kill(device.guest, "for a test")

    lguest.host.interleave = look


@rule("DMA-9", "PUB-5")
@pytest.mark.parametrize("point", [Point.UNPUBLISHED, Point.UNBOUND])
def test_a_guest_killed_while_it_closes_does_nothing_more(lguest: LguestLan, point: Point) -> None:
    sender, device, other = lguest.open_devices(3)
    kill_at(lguest, point, device, 1)
    device.close()
    lguest.host.interleave = None
    same("Guests killed", killed(lguest), [device.guest.id])
    same("address published by the device", lguest.pages.published(device.slot), NO_ADDRESS)
    still_bound = point is Point.UNPUBLISHED
    same(
        "number of keys bound by the Guest",
        len(lguest.host.bound_by(device.guest)),
        int(still_bound),
    )
    key = sender.peer_key(device.slot)
    same(
        "used_len, SEND_DMA of the sender",
        send_bytes(sender.guest, key, bytes(60)),
        60 * still_bound,
    )
    same("broadcast (whole, failed) of the sender", broadcast(sender), (1, 0))
    must_cross(lguest, other, sender)


@rule("DMA-9", "RCV-1", "RCV-2")
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("point", [Point.TAKEN, Point.LISTED])
def test_a_guest_killed_while_it_receives_takes_no_further_buffer(
    lguest: LguestLan, point: Point, count: int
) -> None:
    sender, device = lguest.open_devices(2)
    frames = fill_up(sender, device, 3)
    kill_at(lguest, point, device, count)
    device.guest.interrupt()
    lguest.host.interleave = None
    same_frames(lguest, device, frames[: count - 1])
    same(
        "used_len of the buffers of the Guest",
        used_lens(device.guest, device.ring),
        [0 if n < count - 1 or n >= 3 else 60 for n in range(NUM_SKBS)],
    )


@rule("DMA-9", "RCV-1")
def test_a_guest_killed_while_one_device_receives_leaves_the_other(lguest: LguestLan) -> None:
    sender, first = lguest.open_devices(2)
    second = lguest.second_device(first.guest, 9)
    same("result of opening the second", second.open(), 0)
    sender.transmit(ethernet(first.address, sender.address))
    kill_at(lguest, Point.TAKEN, first, 1)
    first.guest.interrupt()
    lguest.host.interleave = None
    same_frames(lguest, first, [])
    same_frames(lguest, second, [])
    same(
        "used_len of a buffer of the second",
        used_lens(second.guest, second.ring)[0],
        60,
    )


@rule("DMA-9", "CNT-1", "CNT-3")
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("point", [Point.ADDRESSED, Point.COPIED])
def test_a_guest_killed_in_a_broadcast_makes_no_further_transfer(
    lguest: LguestLan, point: Point, count: int
) -> None:
    sender, *others = lguest.open_devices(4)
    same("broadcast (whole, failed) of the sender", broadcast(sender), (3, 0))
    lguest.settle()
    kill_at(lguest, point, sender, count)
    sender.transmit(ethernet(b"\xff" * 6, sender.address))
    lguest.host.interleave = None
    done = count - (point is Point.ADDRESSED)
    same(
        "used_len of a buffer of each other",
        [used_lens(other.guest, other.ring)[1] for other in others],
        [60 * (n < done) for n in range(3)],
    )
    same("tx_packets of the sender", sender.counters.tx_packets, 3 + count - 1)
    same("tx_carrier_errors of the sender", sender.counters.tx_carrier_errors, 0)


@rule("DMA-4", "CNT-3")
def test_a_receiver_killed_for_its_list_is_not_interrupted(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    set_list(owner, 0, [(DATA, PAGE + 1)])
    sender.transmit(ethernet(owner.address, sender.address))
    same("Guests killed", killed(lguest), [owner.guest.id])
    same("pending interrupts of the owner", owner.guest.pending, 0)
    same("used_len of the buffers of the owner", used_lens(owner.guest, owner.ring), [0] * NUM_SKBS)
    same("counters of the sender", sender.counters, Counters(tx_carrier_errors=1))


# Interrupts and counters


@rule("DMA-5")
def test_the_second_try_interrupts_a_receiver_that_had_nothing_to_restock(
    lguest: LguestLan,
) -> None:
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 1), True)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, bytes(60)), 60)

    def take() -> None:
        same("pending interrupts of the owner", owner.guest.pending, 1 << 9)
        same("the owner handles a pending interrupt", owner.guest.interrupt(), False)
        same("pending interrupts of the owner", owner.guest.pending, 0)

    with acting_at(lguest.host, Point.RESTOCK, take):
        same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, bytes(60)), 0)
    same("pending interrupts of the owner", owner.guest.pending, 1 << 9)


@rule("CNT-1", "CNT-3", "CNT-4")
def test_counters_are_kept_when_a_device_closes_and_opens(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    for turn in range(1, 4):
        for device, other in ((sender, owner), (owner, sender)):
            device.transmit(ethernet(other.address, device.address, size=100))
        lguest.settle()
        for device in (sender, owner):
            device.close()
            device.guest.memory_left = 3
            same("result of opening the device", device.open(), -12)
            device.guest.memory_left = None
            same("result of opening the device", device.open(), 0)
            same(
                "counters of the device",
                device.counters,
                Counters(turn, 100 * turn, 0, turn, 86 * turn),
            )


@rule("DLV-11")
def test_frames_keep_their_order_over_hundreds_of_fills(lguest: LguestLan) -> None:
    """Repaired; as shipped, a batch that wraps is in slot order (DEF-2)."""
    sender, owner = lguest.open_devices(2)
    for turn in range(120):
        before = len(lguest.received(owner))
        frames = fill_up(sender, owner, 5)
        lguest.settle()
        received = lguest.received(owner)[before:]
        if lguest.host.defects.drains_from_slot_zero:
            same("received, sorted", sorted(received), sorted(frames))
        else:
            same(f"frames passed up, batch {turn}", received, frames)


@rule("DLV-11", "DMA-2", "DMA-6")
@pytest.mark.parametrize("first", [1, 3, 5])
def test_frames_keep_their_order_where_the_cursor_stands_at_a_used_buffer(
    lguest: LguestLan, first: int
) -> None:
    """Empty sends carry the cursor round to a filled buffer, so later ones are used."""
    sender, owner = lguest.open_devices(2)
    frames = fill_up(sender, owner, first)
    for _ in range(NUM_SKBS - first):
        same(
            "used_len, SEND_DMA of the sender",
            send(sender.guest, sender.peer_key(owner.slot), []),
            0,
        )
    frames += fill_up(sender, owner, 3)
    lguest.settle()
    same_frames(lguest, owner, frames)
    same("last 3 of buffers filled", filled(lguest)[-3:], [first, first + 1, first + 2])


@rule("PUB-5", "RCV-1")
@pytest.mark.parametrize("filled_first", [0, 1, NUM_SKBS])
@pytest.mark.parametrize("which", [0, 1])
def test_an_interrupt_after_closing_one_of_two_devices(
    lguest: LguestLan, filled_first: int, which: int
) -> None:
    """As shipped its handler touches each filled buffer (DEF-6), of whichever device it is."""
    sender, first = lguest.open_devices(2)
    second = lguest.second_device(first.guest, 9)
    same("result of opening the second", second.open(), 0)
    device, other = (first, second) if which == 0 else (second, first)
    for _ in range(filled_first):
        same(
            "used_len, SEND_DMA of the sender",
            send_bytes(sender.guest, sender.peer_key(device.slot), bytes(60)),
            60,
        )
    device.close()
    frame = ethernet(other.address, sender.address)
    sender.transmit(frame)
    first.guest.interrupt()
    faults = [event for event in lguest.host.events if isinstance(event, Fault)]
    shipped = lguest.host.defects.handler_survives_close
    same("number of faults", len(faults), filled_first * shipped)
    same(
        "devices named by the faults",
        [fault.text.partition(":")[0] for fault in faults],
        [device.name] * len(faults),
    )
    same_frames(lguest, other, [frame])
    same_frames(lguest, device, [])


# What a failure leaves


@rule("LIF-1", "PUB-4", "PUB-6")
@pytest.mark.parametrize("promiscuous", [False, True])
@pytest.mark.parametrize("cause", ["memory", "binding"])
def test_the_bit_of_an_address_that_a_failed_open_leaves(
    lguest: LguestLan, promiscuous: bool, cause: str
) -> None:
    sender = lguest.open_devices(1)[0]
    device = lguest.device()
    device.set_flags(promiscuous=promiscuous)
    if cause == "memory":
        device.guest.memory_left = 5
    else:
        for n in range(MAX_BOUND):
            same(
                "BIND_DMA by the Guest succeeds",
                bind(device.guest, device.peer_key(SPARE_SLOT + n), 1),
                True,
            )
    for _ in range(2):
        same("result of opening the device", device.open(), -12)
        ghost = lguest.host.defects.leaves_ghosts
        address = bytes((2 | promiscuous,)) + device.address[1:]
        same(
            "address published by the device",
            lguest.pages.published(device.slot),
            address if ghost else NO_ADDRESS,
        )
    before = sender.counters.tx_carrier_errors
    sender.transmit(ethernet(bytes.fromhex("0200deadbeef"), sender.address))
    failed = sender.counters.tx_carrier_errors - before
    same("failed", failed, int(ghost and promiscuous))
    device.guest.memory_left = None
    if cause == "binding":
        same(
            "BIND_DMA by the Guest succeeds",
            device.guest.bind_dma(device.peer_key(SPARE_SLOT), ARRAY, 1, 0),
            True,
        )
    same("result of opening the device", device.open(), 0)
    same(
        "address published by the device",
        lguest.pages.published(device.slot),
        bytes((2 | promiscuous,)) + device.address[1:],
    )


@rule("RCV-5")
@pytest.mark.parametrize("times", [2, 5])
def test_a_slot_whose_refill_fails_repeatedly_stays_used(lguest: LguestLan, times: int) -> None:
    """As shipped each interrupt finds the slot used and has no buffer for it (DEF-8)."""
    sender, owner = lguest.open_devices(2)
    shipped = lguest.host.defects.failed_refill_leaves_hole
    owner.guest.memory_left = 0
    for turn in range(times):
        sender.transmit(ethernet(owner.address, sender.address, stamp=turn))
        same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
        lost = turn + 1 if shipped else 0
        same(
            "used_len of the buffers of the owner",
            used_lens(owner.guest, owner.ring),
            [60] * lost + [0] * (NUM_SKBS - lost),
        )
    messages = [event.text for event in lguest.host.events if isinstance(event, Message)]
    same("number of messages", len(messages), times * (times + 1) // 2 if shipped else times)
    faults = [event for event in lguest.host.events if isinstance(event, Fault)]
    same("number of faults", len(faults), times * (times - 1) // 2 if shipped else 0)
    same(
        "number of frames passed up by the owner",
        len(lguest.received(owner)),
        times if shipped else 0,
    )


@rule("PUB-6")
def test_a_launcher_that_ends_clears_its_slot_whatever_it_holds(lguest: LguestLan) -> None:
    sender, device = lguest.open_devices(2)
    held = bytes.fromhex("0611223344ff")
    lguest.pages.publish(device.slot, held)
    lguest.launcher(device.guest).exit()
    ghost = lguest.host.defects.leaves_ghosts
    same(
        "address published by the device",
        lguest.pages.published(device.slot),
        held if ghost else NO_ADDRESS,
    )
    same(
        "broadcast (whole, failed) of the sender",
        broadcast(sender),
        (0, int(ghost)),
    )


@rule("DMA-9", "DMA-2")
@pytest.mark.parametrize("dead_is_newest", [False, True])
def test_an_array_of_a_killed_guest_keeps_its_place_in_the_search(
    lguest: LguestLan, dead_is_newest: bool
) -> None:
    sender, dead, other = lguest.open_devices(3)
    key = sender.peer_key(SPARE_SLOT)
    order = (other, dead) if dead_is_newest else (dead, other)
    for device in order:
        same("BIND_DMA by the Guest succeeds", bind(device.guest, key, 2), True)
    lguest.host.kill(dead.guest, "for a test")
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, bytes(60)), 60)
    same("used_len of a buffer of the second bound", used_lens(order[1].guest, ARRAY, 2), [60, 0])
    same("used_len of a buffer of the second bound", used_lens(order[0].guest, ARRAY, 2), [0, 0])


@rule("HST-3", "DMA-9")
def test_the_buffers_of_a_killed_guest_are_filled_from_the_tap(lguest: LguestLan) -> None:
    tap = MemoryTap()
    network = lguest.host_network(50, tap)
    device = network.device
    same("result of opening the device", device.open(), 0)
    device.guest.send_dma(device.key + 1, ARRAY)
    same("Guests killed", killed(lguest), [50])
    for n in range(2):
        tap.feed(ethernet(device.address, tap.address))
        same("the network reads a frame of its TAP", network.input(), True)
        same(
            "used_len of the buffers of the Guest",
            used_lens(device.guest, device.ring),
            [60] * (n + 1) + [0] * (7 - n),
        )
    lguest.launcher(device.guest).exit()
    tap.feed(ethernet(device.address, tap.address))
    same("the network reads a frame of its TAP", network.input(), False)
    same("a frame waits in the TAP", tap.waiting(), True)


@rule("LEN-1", "DLV-4")
@pytest.mark.parametrize("size", range(6, 14))
def test_a_promiscuous_receiver_drops_runts_too(lguest: LguestLan, size: int) -> None:
    sender, owner, listener = lguest.open_devices(3)
    listener.set_flags(promiscuous=True, all_multicast=True, multicast_count=3)
    sender.transmit(ethernet(owner.address, sender.address)[:size])
    lguest.settle()
    same_frames(lguest, listener, [])
    same_frames(lguest, owner, [])
    same("counters of the listener", listener.counters, Counters())
    same("counters of the owner", owner.counters, Counters())
    same("counters of the sender", sender.counters, Counters(tx_packets=2, tx_bytes=2 * size))


@rule("RCV-5", "LEN-1")
@pytest.mark.parametrize("size", [1, 13, 14, 60])
def test_a_failed_refill_treats_frames_of_every_length_alike(lguest: LguestLan, size: int) -> None:
    sender, owner = lguest.open_devices(2)
    same(
        "used_len, SEND_DMA of the sender",
        send_bytes(sender.guest, sender.peer_key(owner.slot), bytes(size)),
        size,
    )
    owner.guest.memory_left = 0
    same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
    owner.guest.memory_left = None
    shipped = lguest.host.defects.failed_refill_leaves_hole
    same(
        "used_len of the buffers of the owner",
        used_lens(owner.guest, owner.ring),
        [size * shipped] + [0] * 7,
    )
    same(
        "number of frames passed up by the owner",
        len(lguest.received(owner)),
        int(shipped and size >= 14),
    )
    same("the owner handles a pending interrupt", owner.guest.interrupt(), False)
    fill_up(sender, owner, NUM_SKBS)
    same("tx_packets of the sender", sender.counters.tx_packets, NUM_SKBS - shipped)
