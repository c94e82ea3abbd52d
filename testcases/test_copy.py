"""D. The Host's copy (io.c): the search for a buffer, the cursor, the second try."""

from __future__ import annotations

import pytest

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
    crosses,
    cursor,
    fill_up,
    filled,
    killed,
    send,
    send_bytes,
    send_over_stale,
    set_list,
    set_used,
    snapshot,
    used_lens,
    whenever,
)

GOOD = [(DATA, 60)]
BAD = [(DATA + 1, 4096)]


# DMA-2: the search and the cursor


@rule("DMA-2")
@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 16, 32])
def test_buffers_are_used_in_turn_and_the_cursor_wraps(lguest: LguestLan, count: int) -> None:
    sender, owner = lguest.open_devices(2)
    key = owner.peer_key(SPARE_SLOT)
    assert bind(owner.guest, key, count)
    binding = lguest.host.binding(owner.guest, key)
    assert binding is not None
    assert binding.cursor == 0
    for turn in range(2 * count + 1):
        data = payload(60, turn)
        assert send_bytes(sender.guest, key, data) == 60
        used = [0] * count
        used[turn % count] = 60
        assert used_lens(owner.guest, ARRAY, count) == used
        assert owner.guest.memory.read(ROOM + turn % count * PAGE, 60) == data
        assert binding.cursor == (turn + 1) % count
        set_used(owner.guest, ARRAY, turn % count, 0)


@rule("DMA-2")
@pytest.mark.parametrize("start", range(NUM_SKBS))
def test_the_first_free_buffer_from_the_cursor_on_is_used(lguest: LguestLan, start: int) -> None:
    sender, owner = lguest.open_devices(2)
    key = owner.peer_key(SPARE_SLOT)
    for free in ({n, other} for n in range(NUM_SKBS) for other in range(n + 1)):
        assert bind(owner.guest, key, NUM_SKBS)
        for turn in range(start):
            assert send_bytes(sender.guest, key, payload(60)) == 60
            set_used(owner.guest, ARRAY, turn, 0)
        before = [0 if n in free else 7 for n in range(NUM_SKBS)]
        for n, length in enumerate(before):
            set_used(owner.guest, ARRAY, n, length)
        binding = lguest.host.binding(owner.guest, key)
        assert binding is not None
        assert binding.cursor == start
        assert send_bytes(sender.guest, key, payload(60)) == 60
        before[min(free, key=lambda n: (n - start) % NUM_SKBS)] = 60
        assert used_lens(owner.guest, ARRAY) == before
        assert binding.cursor == (start + 1) % NUM_SKBS
        assert owner.guest.bind_dma(key, ARRAY, NUM_SKBS, 0)


@rule("DMA-2")
@pytest.mark.parametrize("array", [ARRAY + 2, END - PAGE - 150], ids=["odd", "across-the-end"])
def test_the_cursor_counts_wherever_the_array_lies(lguest: LguestLan, array: int) -> None:
    """At no multiple of four; partly in private memory and partly in the device page."""
    sender, owner, other = lguest.open_devices(3)
    key = owner.peer_key(SPARE_SLOT)
    room = bytes(4) + dma.pack([(ROOM, 1514)])
    owner.guest.memory.write(array, room * 3)
    assert owner.guest.bind_dma(key, array, 3, 9)
    assert [send_bytes(sender.guest, key, payload(n)) for n in (51, 52)] == [51, 52]
    assert used_lens(owner.guest, array, 3) == [51, 52, 0]
    set_used(owner.guest, array, 0, 0)
    assert send_bytes(sender.guest, key, payload(53)) == 53
    assert used_lens(owner.guest, array, 3) == [0, 52, 53]
    assert send_bytes(sender.guest, key, payload(54)) == 54
    assert used_lens(owner.guest, array, 3) == [54, 52, 53]
    assert send_bytes(sender.guest, key, payload(55)) == 0
    assert killed(lguest) == []
    owner.guest.bind_dma(key, array, 3, 0)
    assert crosses(lguest, sender, other)


@rule("DMA-2")
def test_the_cursor_moves_by_one_even_when_a_later_buffer_is_used(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    for n in (0, 1, 4):
        set_used(owner.guest, owner.ring, n, 60)
    used = []
    for _ in range(5):
        sender.transmit(ethernet(owner.address, sender.address))
        used.append((filled(lguest)[-1], cursor(owner)))
    assert used == [(2, 1), (3, 2), (5, 3), (6, 4), (7, 5)]


@rule("DMA-2")
@pytest.mark.parametrize("sent", range(1, NUM_SKBS))
def test_the_cursor_is_0_after_each_bind(lguest: LguestLan, sent: int) -> None:
    sender, owner = lguest.open_devices(2)
    fill_up(sender, owner, sent)
    assert cursor(owner) == sent
    lguest.settle()
    owner.close()
    assert owner.open() == 0
    assert cursor(owner) == 0
    sender.transmit(ethernet(owner.address, sender.address))
    assert used_lens(owner.guest, owner.ring) == [60, 0, 0, 0, 0, 0, 0, 0]


@rule("DMA-2")
@pytest.mark.parametrize("size", [1, 13, 14, 60, 1513, 1514, 1515, 4096, 4097, 9000])
def test_both_used_lens_are_the_bytes_moved(lguest: LguestLan, size: int) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    sender.guest.memory.write(DATA, payload(size))
    sections = dma.linear_sections(DATA, size)
    moved = send_over_stale(sender.guest, sender.peer_key(owner.slot), sections)
    assert moved == min(size, 1514)
    assert used_lens(owner.guest, owner.ring) == [moved, 0, 0, 0, 0, 0, 0, 0]
    assert used_lens(bystander.guest, bystander.ring) == [0] * NUM_SKBS


@rule("DMA-2")
def test_only_the_interrupt_that_the_array_was_bound_with_is_raised(lguest: LguestLan) -> None:
    sender, first, bystander = lguest.open_devices(3)
    second = lguest.second_device(first.guest, 10)
    assert second.open() == 0
    assert (first.interrupt, second.interrupt) == (1, 2)
    send_bytes(sender.guest, sender.peer_key(second.slot), payload(60))
    assert first.guest.pending == 1 << 2
    send_bytes(sender.guest, sender.peer_key(second.slot), payload(60))
    assert first.guest.pending == 1 << 2
    send_bytes(sender.guest, sender.peer_key(first.slot), payload(60))
    assert first.guest.pending == 1 << 2 | 1 << 1
    assert sender.guest.pending == bystander.guest.pending == 0


@rule("DMA-2")
@pytest.mark.parametrize("sections", [GOOD, BAD, []], ids=["good", "bad", "empty"])
@pytest.mark.parametrize("own", [False, True], ids=["unbound", "bound-by-the-sender-alone"])
def test_a_key_that_no_other_guest_bound_does_nothing_at_all(
    lguest: LguestLan, sections: list[tuple[int, int]], own: bool
) -> None:
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    if own:
        assert bind(sender.guest, key, 4)
    retries = whenever(lguest, Point.RESTOCK, lambda: None)
    before = snapshot(owner.guest)
    assert send_over_stale(sender.guest, key, sections) == STALE
    assert send(sender.guest, key, sections) == 0
    assert retries == []
    assert killed(lguest) == []
    assert used_lens(sender.guest, ARRAY, 4) == [0] * 4
    assert sender.guest.pending == owner.guest.pending == 0
    assert not changed(before, snapshot(owner.guest))
    binding = lguest.host.binding(sender.guest, key)
    assert (binding.cursor if binding else 0) == 0
    assert crosses(lguest, sender, owner)


@rule("DMA-2")
@pytest.mark.parametrize("address", [END, END - 99, 2**32 - 4])
def test_a_key_that_nobody_bound_leaves_even_a_bad_structure_alone(
    lguest: LguestLan, address: int
) -> None:
    sender, owner = lguest.open_devices(2)
    assert sender.guest.send_dma(sender.peer_key(SPARE_SLOT), address) == 0
    assert killed(lguest) == []
    assert crosses(lguest, sender, owner)


@rule("DMA-2")
def test_of_two_arrays_the_one_bound_last_is_searched_alone(lguest: LguestLan) -> None:
    """As in the original's hash chains, whose newest entry is the first."""
    sender, owner, other = lguest.open_devices(3)
    key = owner.peer_key(SPARE_SLOT)
    older, newer = ARRAY, ARRAY + PAGE
    for guest, array in ((owner.guest, older), (other.guest, newer)):
        guest.memory.write(array, bytes(4) + dma.pack([(ROOM, 100)]))
        assert guest.bind_dma(key, array, 1, 9)
    assert [send_bytes(sender.guest, key, payload(n)) for n in (61, 62)] == [61, 0]
    assert (owner.guest.pending, other.guest.pending) == (0, 1 << 9)
    assert other.guest.bind_dma(key, newer, 1, 0)
    assert send_bytes(sender.guest, key, payload(63)) == 63
    assert (used_lens(owner.guest, older, 1), used_lens(other.guest, newer, 1)) == ([63], [61])


@rule("DMA-2")
@pytest.mark.parametrize("sender_first", [True, False])
def test_an_array_of_the_sender_is_passed_over(lguest: LguestLan, sender_first: bool) -> None:
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    binders = [sender, owner] if sender_first else [owner, sender]
    assert [bind(binder.guest, key, 4) for binder in binders] == [True, True]
    assert send_bytes(sender.guest, key, payload(60)) == 60
    assert used_lens(owner.guest, ARRAY, 4) == [60, 0, 0, 0]
    assert used_lens(sender.guest, ARRAY, 4) == [0] * 4
    assert sender.guest.pending == 0


# DMA-5: no free buffer


@rule("DMA-5")
def test_a_full_ring_is_interrupted_and_tried_once_more(lguest: LguestLan) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    for n in range(NUM_SKBS):
        set_used(owner.guest, owner.ring, n, 60)
    before = snapshot(owner.guest)
    gaps = whenever(lguest, Point.RESTOCK, lambda: None)
    assert send_over_stale(sender.guest, sender.peer_key(owner.slot), GOOD) == STALE
    assert gaps == [sender.guest.id]
    assert owner.guest.pending == 1 << owner.interrupt
    assert bystander.guest.pending == sender.guest.pending == 0
    assert send(sender.guest, sender.peer_key(owner.slot), GOOD) == 0
    assert gaps == [sender.guest.id] * 2
    assert not changed(before, snapshot(owner.guest))
    assert cursor(owner) == 0
    assert owner.receive()
    assert crosses(lguest, sender, owner)
    assert gaps == [sender.guest.id] * 2


@rule("DMA-5")
@pytest.mark.parametrize("sent", range(1, NUM_SKBS))
def test_a_full_ring_leaves_the_cursor_where_it_was(lguest: LguestLan, sent: int) -> None:
    sender, owner = lguest.open_devices(2)
    fill_up(sender, owner, sent)
    for n in range(NUM_SKBS):
        set_used(owner.guest, owner.ring, n, 60)
    assert send(sender.guest, sender.peer_key(owner.slot), GOOD) == 0
    assert cursor(owner) == sent
    for n in range(NUM_SKBS):
        set_used(owner.guest, owner.ring, n, 0)
    assert send(sender.guest, sender.peer_key(owner.slot), GOOD) == 60
    assert used_lens(owner.guest, owner.ring) == [60 * (n == sent) for n in range(NUM_SKBS)]


@rule("DMA-5")
def test_an_array_of_no_buffers_is_always_full(lguest: LguestLan) -> None:
    sender, owner, other = lguest.open_devices(3)
    key = owner.peer_key(SPARE_SLOT)
    assert owner.guest.bind_dma(key, ARRAY, 0, 9)
    assert send_over_stale(sender.guest, key, GOOD) == STALE
    assert owner.guest.pending == 1 << 9
    assert owner.guest.bind_dma(key, ARRAY, 0, 0)
    assert killed(lguest) == []
    assert crosses(lguest, sender, other)


@rule("DMA-5")
def test_a_full_ring_interrupts_beside_what_is_pending(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    second = lguest.second_device(owner.guest, 10)
    assert second.open() == 0
    for n in range(NUM_SKBS):
        set_used(owner.guest, second.ring, n, 60)
    assert send(sender.guest, sender.peer_key(owner.slot), GOOD) == 60
    assert owner.guest.pending == 1 << owner.interrupt
    assert send(sender.guest, sender.peer_key(second.slot), GOOD) == 0
    assert owner.guest.pending == 1 << owner.interrupt | 1 << second.interrupt


@rule("DMA-5")
def test_the_host_interrupts_before_it_lets_go_of_its_lock(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    for n in range(NUM_SKBS):
        set_used(owner.guest, owner.ring, n, 60)
    seen: list[int] = []
    whenever(lguest, Point.RESTOCK, lambda: seen.append(owner.guest.pending))
    assert send(sender.guest, sender.peer_key(owner.slot), GOOD) == 0
    assert seen == [1 << owner.interrupt]


@rule("DMA-5")
def test_a_receiver_that_restocks_in_the_gap_gets_the_frame(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    frames = fill_up(sender, owner)
    gaps = whenever(lguest, Point.RESTOCK, owner.guest.interrupt)
    late = ethernet(owner.address, sender.address, size=200)
    sender.transmit(late)
    assert gaps == [sender.guest.id]
    assert (sender.counters.tx_packets, sender.counters.tx_carrier_errors) == (9, 0)
    assert lguest.received(owner) == frames
    assert used_lens(owner.guest, owner.ring) == [200, 0, 0, 0, 0, 0, 0, 0]
    assert owner.guest.pending == 1 << owner.interrupt
    lguest.settle()
    assert lguest.received(owner) == [*frames, late]


@rule("DMA-5")
def test_a_receiver_that_restocks_too_late_does_not_get_the_frame(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    frames = fill_up(sender, owner)
    sender.transmit(ethernet(owner.address, sender.address, size=200))
    assert (sender.counters.tx_packets, sender.counters.tx_carrier_errors) == (8, 1)
    lguest.settle()
    assert lguest.received(owner) == frames
    assert crosses(lguest, sender, owner)


@rule("DMA-5")
def test_a_receiver_that_unbinds_in_the_gap_gets_nothing(lguest: LguestLan) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    for n in range(NUM_SKBS):
        set_used(owner.guest, owner.ring, n, 60)
    gaps = whenever(lguest, Point.RESTOCK, owner.close)
    assert send_over_stale(sender.guest, sender.peer_key(owner.slot), GOOD) == STALE
    assert gaps == [sender.guest.id]
    assert lguest.received(owner) == []
    assert crosses(lguest, sender, bystander)


@rule("DMA-5")
@pytest.mark.parametrize("free", range(NUM_SKBS))
def test_one_free_buffer_is_enough_and_needs_no_second_try(lguest: LguestLan, free: int) -> None:
    sender, owner = lguest.open_devices(2)
    for n in range(NUM_SKBS):
        set_used(owner.guest, owner.ring, n, 0 if n == free else 60)
    gaps = whenever(lguest, Point.RESTOCK, lambda: None)
    assert send(sender.guest, sender.peer_key(owner.slot), GOOD) == 60
    assert gaps == []
    assert send(sender.guest, sender.peer_key(owner.slot), GOOD) == 0
    assert gaps == [sender.guest.id]


@rule("DMA-5")
def test_a_full_ring_costs_the_other_receivers_of_a_broadcast_nothing(lguest: LguestLan) -> None:
    sender, one, full, other = lguest.open_devices(4)
    frames = fill_up(sender, full)
    frame = ethernet(GROUPS["broadcast"], sender.address)
    sender.transmit(frame)
    lguest.settle()
    assert lguest.received(one) == lguest.received(other) == [frame]
    assert lguest.received(full) == frames
    assert (sender.counters.tx_packets, sender.counters.tx_carrier_errors) == (10, 1)


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
    assert send(sender.guest, sender.peer_key(owner.slot), sections) == 0
    dead = sender if whose == "sender" else owner
    assert killed(lguest) == ([dead.guest.id] if restocks else [])
    assert owner.guest.pending == 1 << owner.interrupt
    assert crosses(lguest, owner if dead is sender else sender, third)


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
        assert send_over_stale(sender.guest, sender.peer_key(owner.slot), sections) == 0
        assert cursor(owner) == (turn + 1) % NUM_SKBS
        assert owner.guest.pending == 1 << owner.interrupt
        assert not owner.guest.interrupt()
    assert not changed(before, snapshot(owner.guest))
    assert killed(lguest) == []
    assert lguest.received(owner) == []
    assert bystander.guest.pending == 0
    assert crosses(lguest, sender, owner)
    assert filled(lguest)[-1] == 3


@rule("DMA-6")
def test_an_empty_send_to_an_empty_list_succeeds_too(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    set_list(owner, 0, [])
    assert send_over_stale(sender.guest, sender.peer_key(owner.slot), []) == 0
    assert cursor(owner) == 1
    assert owner.guest.pending == 1 << owner.interrupt
    assert crosses(lguest, sender, owner)


@rule("DMA-6", "DMA-5")
def test_an_empty_send_needs_a_free_buffer(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    frames = fill_up(sender, owner)
    gaps = whenever(lguest, Point.RESTOCK, lambda: None)
    assert send_over_stale(sender.guest, sender.peer_key(owner.slot), []) == STALE
    assert gaps == [sender.guest.id]
    assert cursor(owner) == 0
    lguest.settle()
    assert lguest.received(owner) == frames
    assert send_over_stale(sender.guest, sender.peer_key(owner.slot), []) == 0
    assert cursor(owner) == 1
