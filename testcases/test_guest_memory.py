"""D. The Host's copy (io.c): no Guest reaches the memory of another."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.comparing import same
from harness.frames import PAGE, ethernet, payload
from harness.lans.lguest import LguestLan
from harness.lguest import dma
from harness.lguest.driver import NUM_SKBS, NetDevice
from harness.lguest.events import Copied
from harness.plugin.marks import rule

from .kit.dma import (
    ARRAY,
    DATA,
    END,
    ROOM,
    SPARE_SLOT,
    bind,
    buffer_list,
    changed,
    fill_memory,
    gather,
    must_cross,
    send,
    send_bytes,
    set_list,
    snapshot,
    used_lens,
)
from .kit.steps import same_frames


def may_change(device: NetDevice, index: int, length: int) -> set[int]:
    """Addresses of a buffer's ``used_len`` and of its first ``length`` bytes."""
    at = device.ring + index * dma.SIZE
    room = [
        n for address, size in buffer_list(device, index) for n in range(address, address + size)
    ]
    return {*range(at, at + 4), *room[:length]}


@rule("DMA-10")
@pytest.mark.parametrize("size", [14, 60, 61, 62, 63, 1095, 1096, 1097, 1514, 1515, 9014])
@pytest.mark.parametrize("rx_offset", [16, 3000])
def test_a_frame_changes_one_buffer_and_its_used_len(
    lguest: LguestLan, size: int, rx_offset: int
) -> None:
    sender, owner, bystander = lguest.open_devices(3, rx_offset=rx_offset)
    fill_memory(sender, owner, bystander)
    own, others = snapshot(owner.guest), snapshot(bystander.guest)
    page = lguest.pages.store[:]
    sender.transmit(owner.address + payload(size - 6))
    same(
        "used_len of the buffers of the owner",
        used_lens(owner.guest, owner.ring),
        [min(size, 1514)] + [0] * 7,
    )
    same(
        "bytes changed beside the buffer",
        changed(own, snapshot(owner.guest)) - may_change(owner, 0, size),
        set(),
    )
    same("addresses of bytes that changed", changed(others, snapshot(bystander.guest)), set())
    same("shared page", lguest.pages.store[:], page)
    must_cross(lguest, sender, bystander)


HOSTILE: dict[str, Callable[[NetDevice, NetDevice], object]] = {
    "bad list": lambda me, other: send(me.guest, me.peer_key(other.slot), [(END, 60)]),
    "wrapping list": lambda me, other: send(
        me.guest, me.peer_key(other.slot), [(DATA, 60), (2**32 - 60, 60)]
    ),
    "structure outside": lambda me, other: me.guest.send_dma(me.peer_key(other.slot), END),
    "odd key": lambda me, other: me.guest.send_dma(me.peer_key(other.slot) + 2, ARRAY),
    "key outside": lambda me, _: me.guest.send_dma(END, ARRAY),
    "private key": lambda me, _: me.guest.send_dma(DATA, ARRAY),
    "unbind of another's": lambda me, other: me.guest.bind_dma(other.key, other.ring, 8, 0),
    "bind with a bad interrupt": lambda me, other: me.guest.bind_dma(other.key, 0, 8, 32),
    "bind of a bad key": lambda me, _: me.guest.bind_dma(END, 0, 8, 9),
    "bind of an array outside": lambda me, _: me.guest.bind_dma(me.key, END, 8, 9),
    "bind at another's ring": lambda me, other: me.guest.bind_dma(me.key, other.ring, 8, 9),
    "list in a full ring of its own": lambda me, _: set_list(me, 0, [(2**32 - 1, 65535)]),
    "own memory overwritten": lambda me, _: me.guest.memory.write(0, payload(END - 2 * PAGE)),
}


@rule("DMA-10")
@pytest.mark.parametrize("step", HOSTILE.values(), ids=HOSTILE)
def test_no_step_of_a_hostile_guest_touches_another_guests_memory(
    lguest: LguestLan, step: Callable[[NetDevice, NetDevice], object]
) -> None:
    hostile, owner, bystander = lguest.open_devices(3)
    fill_memory(hostile, owner, bystander)
    before = [snapshot(device.guest) for device in (owner, bystander)]
    page = lguest.pages.store[:]
    step(hostile, owner)
    # Whatever it set up in its own memory, the Host now meets it.
    send_bytes(bystander.guest, bystander.peer_key(hostile.slot), payload(60))
    now = [snapshot(device.guest) for device in (owner, bystander)]
    used = range(DATA, DATA + 60), range(60 * PAGE, 60 * PAGE + dma.SIZE)
    same("addresses of bytes that changed", changed(before[0], now[0]), set())
    allowed = {address for addresses in used for address in addresses}
    same("bytes changed beside the buffers", changed(before[1], now[1]) - allowed, set())
    same("shared page", lguest.pages.store[:], page)
    same("cause of death of the owner", owner.guest.dead, None)
    same("cause of death of the bystander", bystander.guest.dead, None)
    same("pending interrupts of the bystander", bystander.guest.pending, 0)
    must_cross(lguest, bystander, owner)
    must_cross(lguest, owner, bystander)


ANYWHERE = [PAGE, DATA + 7, 200 * PAGE + 3000, END - 2 * PAGE - 130]
"""Addresses in a Guest's own memory with room for 130 bytes in a page."""


@rule("DMA-10")
@pytest.mark.parametrize("address", ANYWHERE)
@pytest.mark.parametrize("lengths", [(60,), (61,), (62,), (63,), (1,), (30, 31), (1, 1, 1)])
def test_a_sender_gives_away_the_bytes_it_listed_and_no_others(
    lguest: LguestLan, address: int, lengths: tuple[int, ...]
) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    for stamp, device in enumerate((sender, owner, bystander)):
        device.guest.memory.write(address, payload(130, stamp))
    set_list(owner, 0, [(ROOM, 130)])
    owner.guest.memory.write(ROOM, b"\x55" * 130)
    sections = [(address + 40 * n, length) for n, length in enumerate(lengths)]
    listed = gather(sender.guest.memory, sections)
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(owner.slot), sections),
        len(listed),
    )
    same(
        "memory of the owner at ROOM",
        owner.guest.memory.read(ROOM, 130),
        listed + b"\x55" * (130 - len(listed)),
    )
    same("memory of the owner at address", owner.guest.memory.read(address, 130), payload(130, 1))
    same(
        "memory of the bystander at address",
        bystander.guest.memory.read(address, 130),
        payload(130, 2),
    )


@rule("DMA-10")
@pytest.mark.parametrize("address", ANYWHERE)
@pytest.mark.parametrize("lengths", [(60,), (61,), (62,), (63,), (1,), (30, 31), (1, 1, 1)])
def test_a_receiver_gets_bytes_where_it_listed_and_nowhere_else(
    lguest: LguestLan, address: int, lengths: tuple[int, ...]
) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    for stamp, device in enumerate((sender, owner, bystander), start=1):
        device.guest.memory.write(address, payload(130, stamp))
    sections = [(address + 40 * n, length) for n, length in enumerate(lengths)]
    set_list(owner, 0, sections)
    sender.guest.memory.write(ROOM, payload(130, 9))
    before = [snapshot(device.guest) for device in (owner, bystander)]
    source = [(ROOM + 30 * n, length) for n, length in enumerate(lengths)]
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(owner.slot), source),
        sum(lengths),
    )
    after = [snapshot(device.guest) for device in (owner, bystander)]
    listed = gather(sender.guest.memory, source)
    same("bytes in the buffer", gather(owner.guest.memory, sections), listed)
    same(
        "bytes changed beside the buffer",
        changed(before[0], after[0]) - may_change(owner, 0, sum(lengths)),
        set(),
    )
    same("memory of the sender at address", sender.guest.memory.read(address, 130), payload(130, 1))
    same("addresses of bytes that changed", changed(before[1], after[1]), set())


@rule("DMA-10")
@pytest.mark.parametrize("count", [1, 3, NUM_SKBS])
def test_buffers_that_were_taken_back_are_out_of_reach(lguest: LguestLan, count: int) -> None:
    sender, owner, other = lguest.open_devices(3)
    key = sender.peer_key(owner.slot)
    for _ in range(count):
        same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(60)), 60)
    owner.close()
    before = snapshot(owner.guest)
    same(
        "used_len, SEND_DMA of the sender",
        [send_bytes(sender.guest, key, payload(99)) for _ in range(9)],
        [0] * 9,
    )
    same("addresses of bytes that changed", changed(before, snapshot(owner.guest)), set())
    must_cross(lguest, sender, other)


@rule("DMA-10")
def test_filled_buffers_are_out_of_reach_until_they_are_read(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(owner.slot)
    for n in range(NUM_SKBS):
        same(
            "used_len, SEND_DMA of the sender",
            send_bytes(sender.guest, key, payload(60 + n, n)),
            60 + n,
        )
    before = snapshot(owner.guest)
    same(
        "used_len, SEND_DMA of the sender",
        [send_bytes(sender.guest, key, payload(99)) for _ in range(9)],
        [0] * 9,
    )
    same("addresses of bytes that changed", changed(before, snapshot(owner.guest)), set())
    lguest.settle()
    same_frames(lguest, owner, [payload(60 + n, n) for n in range(NUM_SKBS)])


@rule("DMA-10")
def test_a_send_changes_nothing_of_its_sender_but_used_len(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    sender.guest.memory.write(DATA, payload(60))
    key = sender.peer_key(owner.slot)
    same("used_len, SEND_DMA of the sender", send(sender.guest, key, [(DATA, 60)]), 60)
    before = snapshot(sender.guest)
    same("used_len, SEND_DMA of the sender", send(sender.guest, key, [(DATA, 60)]), 60)
    same("addresses of bytes that changed", changed(before, snapshot(sender.guest)), set())
    moved = [event.moved for event in lguest.host.events if isinstance(event, Copied)]
    same("bytes moved", moved, [60, 60])


@rule("DMA-10")
def test_arrays_of_two_guests_at_one_address_are_two_arrays(lguest: LguestLan) -> None:
    sender, one, other = lguest.open_devices(3)
    keys = [sender.peer_key(SPARE_SLOT + n) for n in range(2)]
    same("BIND_DMA by the first succeeds", bind(one.guest, keys[0], 4), True)
    same("BIND_DMA by the other succeeds", bind(other.guest, keys[1], 4), True)
    same(
        "used_len, SEND_DMA of the sender",
        [send_bytes(sender.guest, keys[n], payload(60 + n)) for n in range(2)],
        [60, 61],
    )
    same("used_len of the buffers of the first", used_lens(one.guest, ARRAY, 4), [60, 0, 0, 0])
    same("used_len of the buffers of the other", used_lens(other.guest, ARRAY, 4), [61, 0, 0, 0])
    same("memory of the first at ROOM", one.guest.memory.read(ROOM, 61), payload(60) + bytes(1))
    same("memory of the other at ROOM", other.guest.memory.read(ROOM, 61), payload(61))


@rule("DMA-10")
@pytest.mark.parametrize("size", [14, 15, 17, 59, 60, 61, 1511, 1514])
def test_not_a_byte_behind_the_frame_is_written(lguest: LguestLan, size: int) -> None:
    sender, owner = lguest.open_devices(2)
    memory = owner.guest.memory
    ((address, length),) = dma.unpack(memory.read(owner.ring + 4, dma.SIZE - 4))
    memory.write(address - 16, b"\xee" * (length + 32))
    before = memory.private[:]
    frame = ethernet(owner.address, sender.address, size=size)
    sender.transmit(frame)
    used_len = size.to_bytes(4, "little")
    expected = bytearray(before)
    expected[address : address + size] = frame
    expected[owner.ring : owner.ring + 4] = used_len
    same("addresses of bytes that changed", changed(expected, memory.private[:]), set())
    lguest.settle()
    same_frames(lguest, owner, [frame])
