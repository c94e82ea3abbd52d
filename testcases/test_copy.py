"""D. The Host's copy (io.c): the search for a buffer, the cursor, the second try."""

from __future__ import annotations

import pytest

from harness.comparing import present, same
from harness.frames import GROUPS, PAGE, ethernet, payload
from harness.lans.lguest import LguestLan
from harness.lguest import dma
from harness.lguest.driver import NUM_SKBS
from harness.lguest.events import Point
from harness.plugin.marks import rule

from .kit.dma import (
    ARRAY,
    DATA,
    END,
    ROOM,
    SPARE_SLOT,
    STALE,
    bind,
    changed,
    cursor,
    fill_up,
    filled,
    killed,
    must_cross,
    send,
    send_bytes,
    send_over_stale,
    set_list,
    set_used,
    snapshot,
    used_lens,
    whenever,
)
from .kit.steps import same_frames

GOOD = [(DATA, 60)]
BAD = [(DATA + 1, 4096)]


# DMA-2: the search and the cursor


@rule("DMA-2")
@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 16, 32])
def test_buffers_are_used_in_turn_and_the_cursor_wraps(lguest: LguestLan, count: int) -> None:
    sender, owner = lguest.open_devices(2)
    key = owner.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, count), True)
    binding = present("the array that is bound", lguest.host.binding(owner.guest, key))
    same("cursor of binding", binding.cursor, 0)
    for turn in range(2 * count + 1):
        data = payload(60, turn)
        same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, data), 60)
        used = [0] * count
        used[turn % count] = 60
        same("used_len of the buffers of the owner", used_lens(owner.guest, ARRAY, count), used)
        same(
            "memory of the owner at ROOM + turn % count * PAGE",
            owner.guest.memory.read(ROOM + turn % count * PAGE, 60),
            data,
        )
        same("cursor of binding", binding.cursor, (turn + 1) % count)
        set_used(owner.guest, ARRAY, turn % count, 0)


@rule("DMA-2")
@pytest.mark.parametrize("start", range(NUM_SKBS))
def test_the_first_free_buffer_from_the_cursor_on_is_used(lguest: LguestLan, start: int) -> None:
    sender, owner = lguest.open_devices(2)
    key = owner.peer_key(SPARE_SLOT)
    for free in ({n, other} for n in range(NUM_SKBS) for other in range(n + 1)):
        same("BIND_DMA by the owner succeeds", bind(owner.guest, key, NUM_SKBS), True)
        for turn in range(start):
            same(
                "used_len, SEND_DMA of the sender",
                send_bytes(sender.guest, key, payload(60)),
                60,
            )
            set_used(owner.guest, ARRAY, turn, 0)
        before = [0 if n in free else 7 for n in range(NUM_SKBS)]
        for n, length in enumerate(before):
            set_used(owner.guest, ARRAY, n, length)
        binding = present("the array that is bound", lguest.host.binding(owner.guest, key))
        same("cursor of binding", binding.cursor, start)
        same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(60)), 60)
        before[min(free, key=lambda n: (n - start) % NUM_SKBS)] = 60
        same("used_len of the buffers of the owner", used_lens(owner.guest, ARRAY), before)
        same("cursor of binding", binding.cursor, (start + 1) % NUM_SKBS)
        same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, ARRAY, NUM_SKBS, 0), True)


@rule("DMA-2")
@pytest.mark.parametrize("array", [ARRAY + 2, END - PAGE - 150], ids=["odd", "across-the-end"])
def test_the_cursor_counts_wherever_the_array_lies(lguest: LguestLan, array: int) -> None:
    """At no multiple of four; partly in private memory and partly in the device page."""
    sender, owner, other = lguest.open_devices(3)
    key = owner.peer_key(SPARE_SLOT)
    room = bytes(4) + dma.pack([(ROOM, 1514)])
    owner.guest.memory.write(array, room * 3)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, array, 3, 9), True)
    same(
        "used_len, SEND_DMA of the sender",
        [send_bytes(sender.guest, key, payload(n)) for n in (51, 52)],
        [51, 52],
    )
    same("used_len of the buffers of the owner", used_lens(owner.guest, array, 3), [51, 52, 0])
    set_used(owner.guest, array, 0, 0)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(53)), 53)
    same("used_len of the buffers of the owner", used_lens(owner.guest, array, 3), [0, 52, 53])
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(54)), 54)
    same("used_len of the buffers of the owner", used_lens(owner.guest, array, 3), [54, 52, 53])
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(55)), 0)
    same("Guests killed", killed(lguest), [])
    owner.guest.bind_dma(key, array, 3, 0)
    must_cross(lguest, sender, other)


@rule("DMA-2")
def test_the_cursor_moves_by_one_even_when_a_later_buffer_is_used(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    for n in (0, 1, 4):
        set_used(owner.guest, owner.ring, n, 60)
    used = []
    for _ in range(5):
        sender.transmit(ethernet(owner.address, sender.address))
        used.append((filled(lguest)[-1], cursor(owner)))
    same("used_len", used, [(2, 1), (3, 2), (5, 3), (6, 4), (7, 5)])


@rule("DMA-2")
@pytest.mark.parametrize("sent", range(1, NUM_SKBS))
def test_the_cursor_is_0_after_each_bind(lguest: LguestLan, sent: int) -> None:
    sender, owner = lguest.open_devices(2)
    fill_up(sender, owner, sent)
    same("cursor of the owner", cursor(owner), sent)
    lguest.settle()
    owner.close()
    same("result of opening the owner", owner.open(), 0)
    same("cursor of the owner", cursor(owner), 0)
    sender.transmit(ethernet(owner.address, sender.address))
    same(
        "used_len of the buffers of the owner",
        used_lens(owner.guest, owner.ring),
        [60, 0, 0, 0, 0, 0, 0, 0],
    )


@rule("DMA-2")
@pytest.mark.parametrize("size", [1, 13, 14, 60, 1513, 1514, 1515, 4096, 4097, 9000])
def test_both_used_lens_are_the_bytes_moved(lguest: LguestLan, size: int) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    sender.guest.memory.write(DATA, payload(size))
    sections = dma.linear_sections(DATA, size)
    moved = send_over_stale(sender.guest, sender.peer_key(owner.slot), sections)
    same("bytes moved", moved, min(size, 1514))
    same(
        "used_len of the buffers of the owner",
        used_lens(owner.guest, owner.ring),
        [moved, 0, 0, 0, 0, 0, 0, 0],
    )
    same(
        "used_len of the buffers of the bystander",
        used_lens(bystander.guest, bystander.ring),
        [0] * NUM_SKBS,
    )


@rule("DMA-2")
def test_only_the_interrupt_that_the_array_was_bound_with_is_raised(lguest: LguestLan) -> None:
    sender, first, bystander = lguest.open_devices(3)
    second = lguest.second_device(first.guest, 10)
    same("result of opening the second", second.open(), 0)
    same(
        "interrupt of the first and interrupt of the second",
        (first.interrupt, second.interrupt),
        (1, 2),
    )
    send_bytes(sender.guest, sender.peer_key(second.slot), payload(60))
    same("pending interrupts of the first", first.guest.pending, 1 << 2)
    send_bytes(sender.guest, sender.peer_key(second.slot), payload(60))
    same("pending interrupts of the first", first.guest.pending, 1 << 2)
    send_bytes(sender.guest, sender.peer_key(first.slot), payload(60))
    same("pending interrupts of the first", first.guest.pending, 1 << 2 | 1 << 1)
    same("pending interrupts of the sender", sender.guest.pending, 0)
    same("pending interrupts of the bystander", bystander.guest.pending, 0)


@rule("DMA-2")
@pytest.mark.parametrize("sections", [GOOD, BAD, []], ids=["good", "bad", "empty"])
@pytest.mark.parametrize("own", [False, True], ids=["unbound", "bound-by-the-sender-alone"])
def test_a_key_that_no_other_guest_bound_does_nothing_at_all(
    lguest: LguestLan, sections: list[tuple[int, int]], own: bool
) -> None:
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    if own:
        same("BIND_DMA by the sender succeeds", bind(sender.guest, key, 4), True)
    retries = whenever(lguest, Point.RESTOCK, lambda: None)
    before = snapshot(owner.guest)
    same("used_len, SEND_DMA of the sender", send_over_stale(sender.guest, key, sections), STALE)
    same("used_len, SEND_DMA of the sender", send(sender.guest, key, sections), 0)
    same("retries", retries, [])
    same("Guests killed", killed(lguest), [])
    same("used_len of the buffers of the sender", used_lens(sender.guest, ARRAY, 4), [0] * 4)
    same("pending interrupts of the sender", sender.guest.pending, 0)
    same("pending interrupts of the owner", owner.guest.pending, 0)
    same("addresses of bytes that changed", changed(before, snapshot(owner.guest)), set())
    binding = lguest.host.binding(sender.guest, key)
    same("cursor of binding", binding.cursor if binding else 0, 0)
    must_cross(lguest, sender, owner)


@rule("DMA-2")
@pytest.mark.parametrize("address", [END, END - 99, 2**32 - 4])
def test_a_key_that_nobody_bound_leaves_even_a_bad_structure_alone(
    lguest: LguestLan, address: int
) -> None:
    sender, owner = lguest.open_devices(2)
    same(
        "used_len, SEND_DMA of the sender",
        sender.guest.send_dma(sender.peer_key(SPARE_SLOT), address),
        0,
    )
    same("Guests killed", killed(lguest), [])
    must_cross(lguest, sender, owner)


@rule("DMA-2")
def test_of_two_arrays_the_one_bound_last_is_searched_alone(lguest: LguestLan) -> None:
    """As in the original's hash chains, whose newest entry is the first."""
    sender, owner, other = lguest.open_devices(3)
    key = owner.peer_key(SPARE_SLOT)
    older, newer = ARRAY, ARRAY + PAGE
    for guest, array in ((owner.guest, older), (other.guest, newer)):
        guest.memory.write(array, bytes(4) + dma.pack([(ROOM, 100)]))
        same("BIND_DMA by the guest succeeds", guest.bind_dma(key, array, 1, 9), True)
    same(
        "used_len, SEND_DMA of the sender",
        [send_bytes(sender.guest, key, payload(n)) for n in (61, 62)],
        [61, 0],
    )
    same(
        "pending interrupts of the owner and pending interrupts of the other",
        (owner.guest.pending, other.guest.pending),
        (0, 1 << 9),
    )
    same("BIND_DMA by the other succeeds", other.guest.bind_dma(key, newer, 1, 0), True)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(63)), 63)
    same(
        "used_len of the buffers of the owner and used_len of the buffers of the other",
        (used_lens(owner.guest, older, 1), used_lens(other.guest, newer, 1)),
        ([63], [61]),
    )


@rule("DMA-2")
@pytest.mark.parametrize("sender_first", [True, False])
def test_an_array_of_the_sender_is_passed_over(lguest: LguestLan, sender_first: bool) -> None:
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    binders = [sender, owner] if sender_first else [owner, sender]
    same(
        "BIND_DMA by each binder succeeds",
        [bind(binder.guest, key, 4) for binder in binders],
        [True, True],
    )
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(60)), 60)
    same("used_len of the buffers of the owner", used_lens(owner.guest, ARRAY, 4), [60, 0, 0, 0])
    same("used_len of the buffers of the sender", used_lens(sender.guest, ARRAY, 4), [0] * 4)
    same("pending interrupts of the sender", sender.guest.pending, 0)


# DMA-5: no free buffer


@rule("DMA-5")
def test_a_full_ring_is_interrupted_and_tried_once_more(lguest: LguestLan) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    for n in range(NUM_SKBS):
        set_used(owner.guest, owner.ring, n, 60)
    before = snapshot(owner.guest)
    gaps = whenever(lguest, Point.RESTOCK, lambda: None)
    same(
        "used_len, SEND_DMA of the sender",
        send_over_stale(sender.guest, sender.peer_key(owner.slot), GOOD),
        STALE,
    )
    same("Guests with a gap", gaps, [sender.guest.id])
    same("pending interrupts of the owner", owner.guest.pending, 1 << owner.interrupt)
    same("pending interrupts of the bystander", bystander.guest.pending, 0)
    same("pending interrupts of the sender", sender.guest.pending, 0)
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(owner.slot), GOOD),
        0,
    )
    same("Guests with a gap", gaps, [sender.guest.id] * 2)
    same("addresses of bytes that changed", changed(before, snapshot(owner.guest)), set())
    same("cursor of the owner", cursor(owner), 0)
    same("the owner receives", owner.receive(), True)
    must_cross(lguest, sender, owner)
    same("Guests with a gap", gaps, [sender.guest.id] * 2)


@rule("DMA-5")
@pytest.mark.parametrize("sent", range(1, NUM_SKBS))
def test_a_full_ring_leaves_the_cursor_where_it_was(lguest: LguestLan, sent: int) -> None:
    sender, owner = lguest.open_devices(2)
    fill_up(sender, owner, sent)
    for n in range(NUM_SKBS):
        set_used(owner.guest, owner.ring, n, 60)
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(owner.slot), GOOD),
        0,
    )
    same("cursor of the owner", cursor(owner), sent)
    for n in range(NUM_SKBS):
        set_used(owner.guest, owner.ring, n, 0)
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(owner.slot), GOOD),
        60,
    )
    same(
        "used_len of the buffers of the owner",
        used_lens(owner.guest, owner.ring),
        [60 * (n == sent) for n in range(NUM_SKBS)],
    )


@rule("DMA-5")
def test_an_array_of_no_buffers_is_always_full(lguest: LguestLan) -> None:
    sender, owner, other = lguest.open_devices(3)
    key = owner.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, ARRAY, 0, 9), True)
    same("used_len, SEND_DMA of the sender", send_over_stale(sender.guest, key, GOOD), STALE)
    same("pending interrupts of the owner", owner.guest.pending, 1 << 9)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, ARRAY, 0, 0), True)
    same("Guests killed", killed(lguest), [])
    must_cross(lguest, sender, other)


@rule("DMA-5")
def test_a_full_ring_interrupts_beside_what_is_pending(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    second = lguest.second_device(owner.guest, 10)
    same("result of opening the second", second.open(), 0)
    for n in range(NUM_SKBS):
        set_used(owner.guest, second.ring, n, 60)
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(owner.slot), GOOD),
        60,
    )
    same("pending interrupts of the owner", owner.guest.pending, 1 << owner.interrupt)
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(second.slot), GOOD),
        0,
    )
    same(
        "pending interrupts of the owner",
        owner.guest.pending,
        1 << owner.interrupt | 1 << second.interrupt,
    )


@rule("DMA-5")
def test_the_host_interrupts_before_it_lets_go_of_its_lock(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    for n in range(NUM_SKBS):
        set_used(owner.guest, owner.ring, n, 60)
    seen: list[int] = []
    whenever(lguest, Point.RESTOCK, lambda: seen.append(owner.guest.pending))
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(owner.slot), GOOD),
        0,
    )
    same("what was seen", seen, [1 << owner.interrupt])


@rule("DMA-5")
def test_a_receiver_that_restocks_in_the_gap_gets_the_frame(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    frames = fill_up(sender, owner)
    gaps = whenever(lguest, Point.RESTOCK, owner.guest.interrupt)
    late = ethernet(owner.address, sender.address, size=200)
    sender.transmit(late)
    same("Guests with a gap", gaps, [sender.guest.id])
    same(
        "tx_packets of the sender and tx_carrier_errors of the sender",
        (sender.counters.tx_packets, sender.counters.tx_carrier_errors),
        (9, 0),
    )
    same_frames(lguest, owner, frames)
    same(
        "used_len of the buffers of the owner",
        used_lens(owner.guest, owner.ring),
        [200, 0, 0, 0, 0, 0, 0, 0],
    )
    same("pending interrupts of the owner", owner.guest.pending, 1 << owner.interrupt)
    lguest.settle()
    same_frames(lguest, owner, [*frames, late])


@rule("DMA-5")
def test_a_receiver_that_restocks_too_late_does_not_get_the_frame(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    frames = fill_up(sender, owner)
    sender.transmit(ethernet(owner.address, sender.address, size=200))
    same(
        "tx_packets of the sender and tx_carrier_errors of the sender",
        (sender.counters.tx_packets, sender.counters.tx_carrier_errors),
        (8, 1),
    )
    lguest.settle()
    same_frames(lguest, owner, frames)
    must_cross(lguest, sender, owner)


@rule("DMA-5")
def test_a_receiver_that_unbinds_in_the_gap_gets_nothing(lguest: LguestLan) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    for n in range(NUM_SKBS):
        set_used(owner.guest, owner.ring, n, 60)
    gaps = whenever(lguest, Point.RESTOCK, owner.close)
    same(
        "used_len, SEND_DMA of the sender",
        send_over_stale(sender.guest, sender.peer_key(owner.slot), GOOD),
        STALE,
    )
    same("Guests with a gap", gaps, [sender.guest.id])
    same_frames(lguest, owner, [])
    must_cross(lguest, sender, bystander)


@rule("DMA-5")
@pytest.mark.parametrize("free", range(NUM_SKBS))
def test_one_free_buffer_is_enough_and_needs_no_second_try(lguest: LguestLan, free: int) -> None:
    sender, owner = lguest.open_devices(2)
    for n in range(NUM_SKBS):
        set_used(owner.guest, owner.ring, n, 0 if n == free else 60)
    gaps = whenever(lguest, Point.RESTOCK, lambda: None)
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(owner.slot), GOOD),
        60,
    )
    same("Guests with a gap", gaps, [])
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(owner.slot), GOOD),
        0,
    )
    same("Guests with a gap", gaps, [sender.guest.id])


@rule("DMA-5")
def test_a_full_ring_costs_the_other_receivers_of_a_broadcast_nothing(lguest: LguestLan) -> None:
    sender, one, full, other = lguest.open_devices(4)
    frames = fill_up(sender, full)
    frame = ethernet(GROUPS["broadcast"], sender.address)
    sender.transmit(frame)
    lguest.settle()
    same_frames(lguest, one, [frame])
    same_frames(lguest, other, [frame])
    same_frames(lguest, full, frames)
    same(
        "tx_packets of the sender and tx_carrier_errors of the sender",
        (sender.counters.tx_packets, sender.counters.tx_carrier_errors),
        (10, 1),
    )


@rule("DMA-5", "DMA-4")
@pytest.mark.parametrize("whose", ["sender", "receiver", "both"])
@pytest.mark.parametrize("restocks", [False, True])
def test_lists_are_looked_at_only_once_a_free_buffer_was_found(
    lguest: LguestLan, whose: str, restocks: bool
) -> None:
    sender, owner, third = lguest.open_devices(3)
    for n in range(NUM_SKBS):
        set_used(owner.guest, owner.ring, n, 60)
        if whose != "sender":
            set_list(owner, n, BAD)
    if restocks:
        whenever(lguest, Point.RESTOCK, lambda: set_used(owner.guest, owner.ring, 3, 0))
    sections = GOOD if whose == "receiver" else BAD
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(owner.slot), sections),
        0,
    )
    dead = sender if whose == "sender" else owner
    same("Guests killed", killed(lguest), [dead.guest.id] if restocks else [])
    same("pending interrupts of the owner", owner.guest.pending, 1 << owner.interrupt)
    must_cross(lguest, owner if dead is sender else sender, third)


# DMA-6: an empty SEND_DMA


@rule("DMA-6")
@pytest.mark.parametrize("behind", [[], [(DATA, 60)], BAD], ids=["nothing", "good", "bad"])
def test_an_empty_send_moves_the_cursor_and_interrupts_and_uses_no_buffer(
    lguest: LguestLan, behind: list[tuple[int, int]]
) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    before = snapshot(owner.guest)
    sections = [(DATA, 0), *behind]
    for turn in range(NUM_SKBS + 3):
        same(
            "used_len, SEND_DMA of the sender",
            send_over_stale(sender.guest, sender.peer_key(owner.slot), sections),
            0,
        )
        same("cursor of the owner", cursor(owner), (turn + 1) % NUM_SKBS)
        same("pending interrupts of the owner", owner.guest.pending, 1 << owner.interrupt)
        same("the owner handles a pending interrupt", owner.guest.interrupt(), False)
    same("addresses of bytes that changed", changed(before, snapshot(owner.guest)), set())
    same("Guests killed", killed(lguest), [])
    same_frames(lguest, owner, [])
    same("pending interrupts of the bystander", bystander.guest.pending, 0)
    must_cross(lguest, sender, owner)
    same("last of buffers filled", filled(lguest)[-1], 3)


@rule("DMA-6")
def test_an_empty_send_to_an_empty_list_succeeds_too(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    set_list(owner, 0, [])
    same(
        "used_len, SEND_DMA of the sender",
        send_over_stale(sender.guest, sender.peer_key(owner.slot), []),
        0,
    )
    same("cursor of the owner", cursor(owner), 1)
    same("pending interrupts of the owner", owner.guest.pending, 1 << owner.interrupt)
    must_cross(lguest, sender, owner)


@rule("DMA-6", "DMA-5")
def test_an_empty_send_needs_a_free_buffer(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    frames = fill_up(sender, owner)
    gaps = whenever(lguest, Point.RESTOCK, lambda: None)
    same(
        "used_len, SEND_DMA of the sender",
        send_over_stale(sender.guest, sender.peer_key(owner.slot), []),
        STALE,
    )
    same("Guests with a gap", gaps, [sender.guest.id])
    same("cursor of the owner", cursor(owner), 0)
    lguest.settle()
    same_frames(lguest, owner, frames)
    same(
        "used_len, SEND_DMA of the sender",
        send_over_stale(sender.guest, sender.peer_key(owner.slot), []),
        0,
    )
    same("cursor of the owner", cursor(owner), 1)
