"""D. The Host's copy (io.c): section lists, good and bad, and where a copy ends."""

from __future__ import annotations

import pytest

from harness.comparing import present, same
from harness.frames import GROUPS, PAGE, ethernet, payload
from harness.lans.lguest import LguestLan
from harness.lguest import dma
from harness.lguest.driver import NUM_SKBS
from harness.lguest.events import Dropped, Killed
from harness.plugin.marks import rule

from .kit.dma import (
    ARRAY,
    DATA,
    END,
    ROOM,
    SPARE_SLOT,
    STRUCTURE,
    Sections,
    bind,
    buffer_list,
    changed,
    cursor,
    fill_memory,
    filled,
    gather,
    killed,
    must_cross,
    scatter,
    send,
    send_bytes,
    send_over_stale,
    set_list,
    snapshot,
    used_lens,
)
from .kit.steps import same_frames

Sizes = tuple[int, ...]


def spread(start: int, sizes: Sizes) -> list[tuple[int, int]]:
    """Sections of these sizes, each ending at a page boundary, in descending order of pages."""
    pages = range(len(sizes) - 1, -1, -1)
    return [(start + (n + 1) * PAGE - size, size) for n, size in zip(pages, sizes, strict=True)]


OLD = b"\x82"
"""What lies in the second Guest's memory."""


def arrived(lguest: LguestLan, sizes: Sizes, room: Sizes) -> tuple[bytes, bytes, list[int]]:
    """Send sections of these sizes into a buffer of those.

    Returns what was listed, what the buffer then holds, and both ``used_len``. What lay
    in the buffer was ``OLD``; the sender has other bytes all around its own.
    """
    sender, owner = lguest.open_devices(2)
    fill_memory(sender, owner)
    data = payload(sum(sizes))
    source, into = spread(DATA, sizes), spread(ROOM, room)
    scatter(sender.guest.memory, source, data)
    set_list(owner, 0, into)
    moved = send_over_stale(sender.guest, sender.peer_key(owner.slot), source)
    same("pending interrupts of the owner", owner.guest.pending, 1 << owner.interrupt)
    same("cursor of the owner", cursor(owner), 1)
    same("Guests killed", killed(lguest), [])
    held = gather(owner.guest.memory, into)
    return data, held, [moved, used_lens(owner.guest, owner.ring)[0]]


# DMA-3: where the copy ends


@rule("DMA-3")
@pytest.mark.parametrize(
    ("sizes", "room"),
    [
        ((60,), (60,)),
        ((60,), (61,)),
        ((61,), (60,)),
        ((1,), (4096,)),
        ((4096,), (1,)),
        ((4096,), (4096,)),
        ((10, 20, 30), (60,)),
        ((10, 20, 30), (100,)),
        ((10, 20, 30), (10, 20, 30)),
        ((10, 20, 30), (30, 30)),
        ((10, 20, 30), (10, 50)),
        ((10, 20, 30), (10, 20)),
        ((10, 20, 30), (30,)),
        ((10, 20, 30), (29,)),
        ((10, 20, 30), (31,)),
        ((10, 20, 30), (10, 49)),
        ((10, 20, 30), (30, 1000, 1000)),
        ((1,) * 16, (16,)),
        ((1,) * 16, (15,)),
        ((1,) * 16, (2,) * 8),
        ((1,) * 16, (1,) * 16),
        ((1,) * 15, (1,) * 16),
        ((1,) * 16, (1,) * 15),
        ((100,) * 16, (1600,)),
        ((100,) * 16, (1599,)),
        ((4096,) * 16, (4096,) * 16),
        ((4096,) * 16, (4096,) * 15 + (4095,)),
    ],
)
def test_the_copy_ends_when_either_side_is_exhausted(
    lguest: LguestLan, sizes: Sizes, room: Sizes
) -> None:
    data, held, moved = arrived(lguest, sizes, room)
    length = min(sum(sizes), sum(room))
    same("bytes moved", moved, [length, length])
    same("first length of bytes held", held[:length], data[:length])
    same("bytes held, the rest", held[length:], OLD * (sum(room) - length))


UNALIGNED = {
    "60 into 59,1": ((60,), (59, 1), [(0, 59), (0, 1)]),
    "60 into 1,59": ((60,), (1, 59), [(0, 1), (0, 59)]),
    "60 into 20,40": ((60,), (20, 40), [(0, 20), (0, 40)]),
    "60 into 20,20,20": ((60,), (20, 20, 20), [(0, 20)] * 3),
    "60 into 20,20": ((60,), (20, 20), [(0, 20)] * 2),
    "60 into 30,1514": ((60,), (30, 1514), [(0, 30), (0, 30)]),
    "30,30 into 20,40": ((30, 30), (20, 40), [(0, 20), (0, 10), (30, 60)]),
    "30,30 into 40,20": ((30, 30), (40, 20), [(0, 30), (30, 40), (30, 50)]),
    "10,20,30 into 15,45": ((10, 20, 30), (15, 45), [(0, 15), (10, 25), (30, 60)]),
    "16 into sixteen": ((16,), (1,) * 16, [(0, 1)] * 16),
    "1514 into 1513,1": ((1514,), (1513, 1), [(0, 1513), (0, 1)]),
    "1514 into 14,1500": ((1514,), (14, 1500), [(0, 14), (0, 1500)]),
    "4096 into 4095,1": ((4096,), (4095, 1), [(0, 4095), (0, 1)]),
    "two pages into 2048,4096": ((4096,) * 2, (2048, 4096), [(0, 2048), (0, 2048), (4096, 6144)]),
}
"""Lists whose sections do not line up, and the pieces of the data that DEF-1 makes of them."""


@rule("DMA-3")
@pytest.mark.parametrize(("sizes", "room", "_"), UNALIGNED.values(), ids=UNALIGNED)
def test_bytes_are_right_where_a_receivers_section_ends_inside_a_senders(
    lguest: LguestLan, sizes: Sizes, room: Sizes, _: object
) -> None:
    data, held, moved = arrived(lguest, sizes, room)
    length = min(sum(sizes), sum(room))
    same("bytes moved", moved, [length, length])
    same("first length of bytes held", held[:length], data[:length])


@rule("DMA-3")
@pytest.mark.parametrize(("sizes", "room", "pieces"), UNALIGNED.values(), ids=UNALIGNED)
def test_as_shipped_such_a_copy_begins_the_senders_section_again(
    lguest: LguestLan, sizes: Sizes, room: Sizes, pieces: list[tuple[int, int]]
) -> None:
    data, held, moved = arrived(lguest, sizes, room)
    length = min(sum(sizes), sum(room))
    same("bytes moved", moved, [length, length])
    again = b"".join(data[begin:end] for begin, end in pieces)
    shipped = lguest.host.defects.copy_forgets_source_offset
    same("first length of bytes held", held[:length], again if shipped else data[:length])
    same("bytes held, the rest", held[length:], OLD * (sum(room) - length))


@rule("DMA-3")
@pytest.mark.parametrize("sizes", [(1,), (60,), (4096,) * 16])
def test_an_empty_receive_list_fails_and_is_tried_again_later(
    lguest: LguestLan, sizes: Sizes
) -> None:
    sender, owner = lguest.open_devices(2)
    good = buffer_list(owner, 0)
    set_list(owner, 0, [])
    before = snapshot(owner.guest)
    key = sender.peer_key(owner.slot)
    for _ in range(2):
        same(
            "used_len, SEND_DMA of the sender",
            send_over_stale(sender.guest, key, spread(DATA, sizes)),
            0,
        )
    same("addresses of bytes that changed", changed(before, snapshot(owner.guest)), set())
    same(
        "cursor of the owner and pending interrupts of the owner",
        (cursor(owner), owner.guest.pending),
        (0, 0),
    )
    same("Guests killed", killed(lguest), [])
    set_list(owner, 0, good)
    must_cross(lguest, sender, owner)
    same("last of buffers filled", filled(lguest)[-1], 0)


# DMA-4: bad lists

BAD = {
    "4097 bytes": (DATA, 4097),
    "the longest field": (DATA, 65535),
    "two pages": (DATA, 8192),
    "a byte past a page's end": (DATA + 1, 4096),
    "from a page's last byte": (DATA + 4095, 2),
    "60 bytes across a page's end": (DATA + 4037, 60),
    "one byte behind the memory": (END, 1),
    "a page behind the memory": (END, 4096),
    "one byte across the memory's end": (END - 59, 60),
    "the memory's last byte and one": (END - 1, 2),
    "far outside": (0x80000000, 60),
    "the last byte of all addresses": (2**32 - 1, 1),
    "up to the last of all addresses": (2**32 - 60, 60),
    "the last page of all addresses": (2**32 - 4096, 4096),
    "round to address 1": (2**32 - 1, 2),
    "round into good memory": (2**32 - 1, 4096),
}
GOOD = [
    (DATA, 1),
    (DATA, 60),
    (DATA, 4095),
    (DATA, 4096),
    (DATA + 1, 4095),
    (DATA + 4095, 1),
    (DATA + 4036, 60),
    (0, 1),
    (0, 4096),
    (END - 2 * PAGE, 4096),
    (END - 2, 1),
    (END - 61, 60),
    (END - 4096, 4095),
]
POSITIONS = [0, 1, 2, 15]


def with_bad(bad: tuple[int, int], position: int) -> Sections:
    """Good sections, and the bad one in this position."""
    return [*((DATA + 20 * PAGE, 10),) * position, bad]


@rule("DMA-4")
@pytest.mark.parametrize("section", GOOD)
def test_a_senders_section_may_end_where_a_page_ends_or_below_the_memorys_end(
    lguest: LguestLan, section: tuple[int, int]
) -> None:
    sender, owner = lguest.open_devices(2)
    same("limit of memory of the sender", sender.guest.memory.limit, END)
    fill_memory(sender, owner)
    address, length = section
    data = payload(length)
    sender.guest.memory.write(address, data)
    set_list(owner, 0, [(ROOM, 4096)])
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(owner.slot), [section]),
        length,
    )
    same(
        "memory of the owner at ROOM",
        owner.guest.memory.read(ROOM, 4096),
        data + OLD * (4096 - length),
    )
    same("Guests killed", killed(lguest), [])


@rule("DMA-4")
@pytest.mark.parametrize("section", GOOD)
def test_a_receivers_section_may_end_where_a_page_ends_or_below_the_memorys_end(
    lguest: LguestLan, section: tuple[int, int]
) -> None:
    sender, owner = lguest.open_devices(2)
    same("limit of memory of the owner", owner.guest.memory.limit, END)
    address, length = section
    set_list(owner, 0, [section])
    data = payload(4096)
    same(
        "used_len, SEND_DMA of the sender",
        send_bytes(sender.guest, sender.peer_key(owner.slot), data),
        length,
    )
    same("memory of the owner at address", owner.guest.memory.read(address, length), data[:length])
    same(
        "used_len of a buffer of the owner",
        used_lens(owner.guest, owner.ring)[0],
        length,
    )
    same("Guests killed", killed(lguest), [])


@rule("DMA-4")
@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_list_kills_its_sender_alone(
    lguest: LguestLan, bad: tuple[int, int], position: int
) -> None:
    hostile, sender, owner = lguest.open_devices(3)
    fill_memory(hostile, owner)
    before = snapshot(owner.guest)
    key = hostile.peer_key(owner.slot)
    same(
        "used_len, SEND_DMA of the hostile",
        send_over_stale(hostile.guest, key, with_bad(bad, position)),
        0,
    )
    deaths = [event for event in lguest.host.events if isinstance(event, Killed)]
    same("death", [death.guest for death in deaths], [hostile.guest.id])
    same(
        "the reason of the first death begins with 'bad DMA entry'",
        deaths[0].reason.startswith("bad DMA entry"),
        True,
    )
    same("addresses of bytes that changed", changed(before, snapshot(owner.guest)), set())
    same(
        "cursor of the owner and pending interrupts of the owner",
        (cursor(owner), owner.guest.pending),
        (0, 0),
    )
    must_cross(lguest, sender, owner)
    same("last of buffers filled", filled(lguest)[-1], 0)


@rule("DMA-4")
@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_list_kills_its_receiver_alone(
    lguest: LguestLan, bad: tuple[int, int], position: int
) -> None:
    sender, hostile, other = lguest.open_devices(3)
    fill_memory(sender, hostile)
    set_list(hostile, 0, with_bad(bad, position))
    before = snapshot(hostile.guest)
    key = sender.peer_key(hostile.slot)
    same("used_len, SEND_DMA of the sender", send_over_stale(sender.guest, key, [(DATA, 60)]), 0)
    deaths = [event for event in lguest.host.events if isinstance(event, Killed)]
    same("death", [death.guest for death in deaths], [hostile.guest.id])
    same(
        "the reason of the first death begins with 'bad DMA entry'",
        deaths[0].reason.startswith("bad DMA entry"),
        True,
    )
    same("addresses of bytes that changed", changed(before, snapshot(hostile.guest)), set())
    same(
        "cursor of the hostile and pending interrupts of the hostile",
        (cursor(hostile), hostile.guest.pending),
        (0, 0),
    )
    same("pending interrupts of the sender", sender.guest.pending, 0)
    same("pending interrupts of the other", other.guest.pending, 0)
    must_cross(lguest, sender, other)
    must_cross(lguest, other, sender)


@rule("DMA-4")
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_of_two_bad_lists_the_receivers_is_judged_first_and_alone(
    lguest: LguestLan, bad: tuple[int, int]
) -> None:
    sender, hostile, other = lguest.open_devices(3)
    fill_memory(sender, hostile)
    set_list(hostile, 0, [bad])
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(hostile.slot), [bad]),
        0,
    )
    same("Guests killed", killed(lguest), [hostile.guest.id])
    same(
        "cursor of the hostile and pending interrupts of the hostile",
        (cursor(hostile), hostile.guest.pending),
        (0, 0),
    )
    must_cross(lguest, sender, other)
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(other.slot), [bad]),
        0,
    )
    same("Guests killed", killed(lguest), [hostile.guest.id, sender.guest.id])


@rule("DMA-4")
@pytest.mark.parametrize("used", [1, 2, 15])
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_what_stands_behind_a_zero_length_is_not_looked_at(
    lguest: LguestLan, bad: tuple[int, int], used: int
) -> None:
    sender, owner = lguest.open_devices(2)
    behind = [(0xFFFFFFFF, 0), *(bad,) * (15 - used)]
    source = [(DATA + n * PAGE, 4) for n in range(used)]
    set_list(owner, 0, [(ROOM, 1514), *behind][:16])
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(owner.slot), [*source, *behind]),
        4 * used,
    )
    same("Guests killed", killed(lguest), [])
    same(
        "used_len of a buffer of the owner",
        used_lens(owner.guest, owner.ring)[0],
        4 * used,
    )


@rule("DMA-4")
@pytest.mark.parametrize("where", range(NUM_SKBS))
def test_only_the_list_of_the_buffer_in_use_is_looked_at(lguest: LguestLan, where: int) -> None:
    sender, owner, other = lguest.open_devices(3)
    set_list(owner, where, [(DATA, 4097)])
    key = sender.peer_key(owner.slot)
    same(
        "used_len, SEND_DMA of the sender",
        [send_bytes(sender.guest, key, payload(60)) for _ in range(where)],
        [60] * where,
    )
    same("Guests killed", killed(lguest), [])
    same(
        "used_len, SEND_DMA of the sender",
        [send_bytes(sender.guest, key, payload(60)) for _ in range(2)],
        [0, 0],
    )
    same("Guests killed", killed(lguest), [owner.guest.id])
    same(
        "used_len of the buffers of the owner",
        used_lens(owner.guest, owner.ring),
        [60] * where + [0] * (NUM_SKBS - where),
    )
    must_cross(lguest, sender, other)


@rule("DMA-4")
def test_a_bad_receiver_costs_the_others_of_a_broadcast_nothing(lguest: LguestLan) -> None:
    sender, one, hostile, other = lguest.open_devices(4)
    set_list(hostile, 0, [(DATA + 1, 4096)])
    frame = ethernet(GROUPS["broadcast"], sender.address)
    sender.transmit(frame)
    same("Guests killed", killed(lguest), [hostile.guest.id])
    lguest.settle()
    same_frames(lguest, one, [frame])
    same_frames(lguest, other, [frame])
    same_frames(lguest, hostile, [])
    same(
        "tx_packets of the sender and tx_carrier_errors of the sender",
        (sender.counters.tx_packets, sender.counters.tx_carrier_errors),
        (2, 1),
    )


@rule("DMA-4")
@pytest.mark.parametrize("address", [END - 99, END - 4, END, 1 << 31, 2**32 - 100, 2**32 - 4])
def test_a_structure_outside_its_memory_kills_the_sender_alone(
    lguest: LguestLan, address: int
) -> None:
    hostile, sender, owner = lguest.open_devices(3)
    before = snapshot(owner.guest)
    same(
        "used_len, SEND_DMA of the hostile",
        hostile.guest.send_dma(hostile.peer_key(owner.slot), address),
        0,
    )
    same("Guests killed", killed(lguest), [hostile.guest.id])
    same("addresses of bytes that changed", changed(before, snapshot(owner.guest)), set())
    must_cross(lguest, sender, owner)


@rule("DMA-4")
@pytest.mark.parametrize("address", [END - 101, END - PAGE - 50, END - 2 * PAGE - 50, 0])
def test_a_structure_may_lie_in_every_region_of_memory(lguest: LguestLan, address: int) -> None:
    sender, owner = lguest.open_devices(2)
    sender.guest.memory.write(DATA, payload(60))
    sender.guest.memory.write(address, bytes(4) + dma.pack([(DATA, 60)]))
    same(
        "used_len, SEND_DMA of the sender",
        sender.guest.send_dma(sender.peer_key(owner.slot), address),
        60,
    )
    same(
        "first 60 of bytes in the buffer",
        gather(owner.guest.memory, buffer_list(owner, 0))[:60],
        payload(60),
    )
    same("Guests killed", killed(lguest), [])


@rule("DMA-4")
@pytest.mark.parametrize("beyond", [-1, 1, 99])
def test_an_array_that_leaves_memory_kills_its_owner_once_the_search_gets_there(
    lguest: LguestLan, beyond: int
) -> None:
    sender, hostile, other = lguest.open_devices(3)
    key = hostile.peer_key(SPARE_SLOT)
    array = END - 2 * dma.SIZE + beyond
    hostile.guest.memory.write(array, bytes(4) + dma.pack([(ROOM, 100)]))
    same("BIND_DMA by the hostile succeeds", hostile.guest.bind_dma(key, array, 2, 9), True)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(60)), 60)
    same(
        "pending interrupts of the hostile and cause of death of the hostile",
        (hostile.guest.pending, hostile.guest.dead),
        (1 << 9, None),
    )
    same("the hostile handles a pending interrupt", hostile.guest.interrupt(), False)
    if beyond < 0:
        hostile.guest.memory.write(array + dma.SIZE, bytes(4) + dma.pack([(ROOM, 100)]))
    same(
        "used_len, SEND_DMA of the sender",
        send_bytes(sender.guest, key, payload(50)),
        0 if beyond > 0 else 50,
    )
    same("Guests killed", killed(lguest), [hostile.guest.id] if beyond > 0 else [])
    same("pending interrupts of the hostile", hostile.guest.pending, 0 if beyond > 0 else 1 << 9)
    must_cross(lguest, sender, other)


# DMA-8: micropackets


@rule("DMA-8")
@pytest.mark.parametrize("pieces", [1, 2, 5])
@pytest.mark.parametrize("size", [5, 6, 7, 13, 14, 15])
def test_the_host_copies_lists_too_short_for_a_header(
    lguest: LguestLan, size: int, pieces: int
) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    fill_memory(sender, owner)
    data = ethernet(owner.address, sender.address, size=size)
    source = spread(DATA, (1,) * (pieces - 1) + (size - pieces + 1,))
    scatter(sender.guest.memory, source, data)
    same(
        "used_len, SEND_DMA of the sender",
        send_over_stale(sender.guest, sender.peer_key(owner.slot), source),
        size,
    )
    same(
        "first 2 of used_len of the buffers of the owner",
        used_lens(owner.guest, owner.ring)[:2],
        [size, 0],
    )
    same(
        "bytes in the buffer",
        gather(owner.guest.memory, buffer_list(owner, 0)),
        data + OLD * (1514 - size),
    )
    same(
        "cursor of the owner and pending interrupts of the owner",
        (cursor(owner), owner.guest.pending),
        (1, 1 << owner.interrupt),
    )
    lguest.settle()
    dropped = [event.frame for event in lguest.host.events if isinstance(event, Dropped)]
    same("dropped", dropped, [data] if size < 14 else [])
    same_frames(lguest, owner, [data] if size >= 14 else [])
    same_frames(lguest, bystander, [])
    must_cross(lguest, sender, owner)


@rule("DMA-8")
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_even_a_part_of_a_destination_is_copied(lguest: LguestLan, size: int) -> None:
    sender, owner = lguest.open_devices(2)
    fill_memory(sender, owner)
    same(
        "used_len, SEND_DMA of the sender",
        send_bytes(sender.guest, sender.peer_key(owner.slot), payload(size)),
        size,
    )
    same(
        "first 2 of used_len of the buffers of the owner",
        used_lens(owner.guest, owner.ring)[:2],
        [size, 0],
    )
    held = gather(owner.guest.memory, buffer_list(owner, 0))
    same("bytes held", held, payload(size) + OLD * (1514 - size))
    lguest.settle()
    same_frames(lguest, owner, [])
    must_cross(lguest, sender, owner)


@rule("DMA-4")
@pytest.mark.parametrize("good", [1, 2, 15])
def test_nothing_is_copied_of_a_list_whose_last_section_is_bad(
    lguest: LguestLan, good: int
) -> None:
    sender, owner = lguest.open_devices(2)
    before = owner.guest.memory.private[:]
    memory = sender.guest.memory
    scratch = 100 * dma.PAGE_SIZE
    memory.write(scratch, bytes(range(1, 101)))
    structure = 99 * dma.PAGE_SIZE
    memory.write(structure + 4, dma.pack([(scratch, 40)] * good + [(scratch, 4097)]))
    same(
        "used_len, SEND_DMA of the sender",
        sender.guest.send_dma(sender.peer_key(owner.slot), structure),
        0,
    )
    present("cause of death of the sender", sender.guest.dead)
    same("addresses of bytes that changed", changed(before, owner.guest.memory.private[:]), set())
    (third,) = lguest.open_devices(1)
    control = ethernet(owner.address, third.address)
    third.transmit(control)
    lguest.settle()
    same_frames(lguest, owner, [control])


@rule("DMA-6")
def test_an_empty_dma_to_a_bad_list_kills_its_owner_and_succeeds(lguest: LguestLan) -> None:
    sender, owner, third = lguest.open_devices(3)
    owner.guest.memory.write(owner.ring + 4, dma.pack([(PAGE - 1, 2)]))
    same(
        "used_len, SEND_DMA of the sender",
        send_bytes(sender.guest, sender.peer_key(owner.slot), b""),
        0,
    )
    present("cause of death of the owner", owner.guest.dead)
    same("cause of death of the sender", sender.guest.dead, None)
    same("the owner has a pending interrupt", bool(owner.guest.pending), True)
    frame = ethernet(owner.address, third.address)
    third.transmit(frame)
    same("tx_packets of the third", third.counters.tx_packets, 1)
    same("memory of the owner at owner.ring", owner.guest.memory.read(owner.ring, 4), bytes(4))


@rule("DMA-5")
def test_a_killed_guest_with_a_full_ring_is_interrupted_all_the_same(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    for stamp in range(NUM_SKBS):
        sender.transmit(ethernet(owner.address, sender.address, stamp=stamp))
    lguest.host.kill(owner.guest, "bad address in registered DMA struct")
    owner.guest.pending = 0
    sender.transmit(ethernet(owner.address, sender.address))
    same("the owner has a pending interrupt", bool(owner.guest.pending), True)
    same(
        "tx_packets of the sender and tx_carrier_errors of the sender",
        (sender.counters.tx_packets, sender.counters.tx_carrier_errors),
        (NUM_SKBS, 1),
    )


# Lists that are longer than the copy


@rule("DMA-4")
@pytest.mark.parametrize("room", [1, 20, 30, 35, 100])
@pytest.mark.parametrize("length", [0x1001, 0x2000, 0x2010, 0x4001, 0x8000, 0x8001, 0xF001])
def test_a_bad_section_behind_the_receivers_room_kills_its_sender(
    lguest: LguestLan, room: int, length: int
) -> None:
    sender, owner, other = lguest.open_devices(3)
    set_list(owner, 0, [(ROOM, room)])
    owner.guest.memory.write(ROOM, b"\x55" * 100)
    sections = [(DATA, 20), (DATA + 100, 10), (DATA + 2 * PAGE, length)]
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(owner.slot), sections),
        0,
    )
    same("Guests killed", killed(lguest), [sender.guest.id])
    same("memory of the owner at ROOM", owner.guest.memory.read(ROOM, 100), b"\x55" * 100)
    same("used_len of the buffers of the owner", used_lens(owner.guest, owner.ring), [0] * 8)
    same("pending interrupts of the owner", owner.guest.pending, 0)
    same(
        "used_len, SEND_DMA of the other",
        send(other.guest, other.peer_key(owner.slot), [(DATA, 60)]),
        min(60, room),
    )


@rule("DMA-4")
@pytest.mark.parametrize("length", [0x1001, 0x2000, 0x2010, 0x4001, 0x8000, 0x8001, 0xF001])
@pytest.mark.parametrize("sent", [1, 20, 25])
def test_a_bad_section_behind_the_senders_bytes_kills_its_receiver(
    lguest: LguestLan, length: int, sent: int
) -> None:
    sender, owner, other = lguest.open_devices(3)
    set_list(owner, 0, [(ROOM, 20), (ROOM + 100, 10), (ROOM + PAGE, length)])
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(owner.slot), [(DATA, sent)]),
        0,
    )
    same("Guests killed", killed(lguest), [owner.guest.id])
    same("memory of the owner at ROOM", owner.guest.memory.read(ROOM, 100), bytes(100))
    same("pending interrupts of the owner", owner.guest.pending, 0)
    must_cross(lguest, sender, other)


@rule("DMA-2", "DMA-3")
def test_used_len_is_written_over_bytes_copied_to_its_place(lguest: LguestLan) -> None:
    """A receive buffer may cover its own structure."""
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    array = ARRAY + 200
    room = dma.pack([(array - 8, 12)])
    owner.guest.memory.write(array, bytes(4) + room)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, array, 1, 9), True)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, b"abcdefghijkl"), 12)
    same("memory of the owner at array - 8", owner.guest.memory.read(array - 8, 8), b"abcdefgh")
    same("used_len of the buffers of the owner", used_lens(owner.guest, array, 1), [12])
    same("memory of the owner at array + 4", owner.guest.memory.read(array + 4, 96), room)


@rule("DMA-2", "DMA-3")
def test_a_sender_may_send_its_own_structure(lguest: LguestLan) -> None:
    """Its ``used_len`` is then still 0 among the bytes."""
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 2), True)
    for n in range(2):
        same(
            "used_len, SEND_DMA of the sender",
            send(sender.guest, key, [(STRUCTURE, dma.SIZE)]),
            dma.SIZE,
        )
        sent = sender.guest.memory.read(STRUCTURE, dma.SIZE)
        same(
            "memory of the owner at ROOM + n * PAGE",
            owner.guest.memory.read(ROOM + n * PAGE, dma.SIZE),
            bytes(4) + sent[4:],
        )


@rule("DMA-3", "DMA-10")
def test_bytes_of_the_device_page_are_sent_and_received_like_others(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 2), True)
    page = lguest.pages.store[:]
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, key, [(sender.page, 12), (sender.page + 6, 6)]),
        18,
    )
    same("memory of the owner at ROOM", owner.guest.memory.read(ROOM, 18), page[:12] + page[6:12])
    owner.guest.memory.write(ARRAY + dma.SIZE + 4, dma.pack([(owner.page + 3000, 12)]))
    same("used_len, SEND_DMA of the sender", send(sender.guest, key, [(sender.page, 12)]), 12)
    same("shared page, 3000 to 3012", lguest.pages.store[3000:3012], page[:12])
    same("first 3000 of shared page", lguest.pages.store[:3000], page[:3000])
