"""D. The Host's copy (io.c): bound arrays, keys, and the arrays of a killed Guest."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.comparing import present, raises, same
from harness.frames import GROUPS, PAGE, ethernet, payload
from harness.lans.lguest import LguestLan
from harness.lguest import dma
from harness.lguest.driver import NUM_SKBS, NetDevice
from harness.lguest.events import Received, Warned
from harness.lguest.guest import Guest
from harness.lguest.host import MAX_BOUND
from harness.lguest.memory import DevicePages, LguestError
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
    killed,
    must_cross,
    send,
    send_bytes,
    send_over_stale,
    set_used,
    snapshot,
    used_lens,
)
from .kit.steps import same_frames

GOOD = [(DATA, 60)]


# DMA-1: binding and unbinding


@rule("DMA-1")
@pytest.mark.parametrize("interrupt", [1, 2, 16, 30, 31])
def test_an_array_is_bound_with_any_interrupt_below_32(lguest: LguestLan, interrupt: int) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    key = owner.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 4, interrupt), True)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(60)), 60)
    same("pending interrupts of the owner", owner.guest.pending, 1 << interrupt)
    same("pending interrupts of the sender", sender.guest.pending, 0)
    same("pending interrupts of the bystander", bystander.guest.pending, 0)
    same("memory of the owner at ROOM", owner.guest.memory.read(ROOM, 60), payload(60))


@rule("DMA-1")
@pytest.mark.parametrize("interrupt", [32, 33, 63, 64, 128, 255])
def test_an_interrupt_of_32_or_more_is_refused(lguest: LguestLan, interrupt: int) -> None:
    sender, owner = lguest.open_devices(2)
    key = owner.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 4, interrupt), False)
    same("binding of the owner", lguest.host.binding(owner.guest, key), None)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(60)), 0)
    same("pending interrupts of the owner", owner.guest.pending, 0)
    same("Guests killed", killed(lguest), [])
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 4, 31), True)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(60)), 60)


def bind_one_each(guest: Guest, key_of: Callable[[int], int], count: int) -> list[bool]:
    """Arrays of one buffer each, with consecutive keys."""
    results = []
    for n in range(count):
        at = ARRAY + n * dma.SIZE
        guest.memory.write(at, bytes(4) + dma.pack([(ROOM + n * PAGE, 100)]))
        results.append(guest.bind_dma(key_of(SPARE_SLOT + n), at, 1, 5))
    return results


@rule("DMA-1")
def test_a_guest_binds_32_arrays_and_no_more(lguest: LguestLan) -> None:
    (sender,) = lguest.open_devices(1)
    owner = lguest.device()
    same(
        "each BIND_DMA by the owner succeeds",
        bind_one_each(owner.guest, owner.peer_key, 33),
        [True] * MAX_BOUND + [False],
    )
    same("Guests killed", killed(lguest), [])
    for n in range(33):
        moved = send_bytes(sender.guest, sender.peer_key(SPARE_SLOT + n), payload(40 + n))
        same("bytes moved", moved, 40 + n if n < 32 else 0)
    same(
        "used_len of the buffers of the owner",
        used_lens(owner.guest, ARRAY, 33),
        [*range(40, 72), 0],
    )


@rule("DMA-1")
@pytest.mark.parametrize("freed", [0, 13, 31])
def test_unbinding_makes_place_for_one_more_array(lguest: LguestLan, freed: int) -> None:
    (sender,) = lguest.open_devices(1)
    owner = lguest.device()
    bind_one_each(owner.guest, owner.peer_key, 32)
    key, array = owner.peer_key(SPARE_SLOT + freed), ARRAY + freed * dma.SIZE
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, array, 1, 0), True)
    last = [owner.guest.bind_dma(owner.peer_key(40), ARRAY + 40 * dma.SIZE, 1, 5) for _ in "ab"]
    same("the last", last, [True, False])
    owner.guest.memory.write(ARRAY + 40 * dma.SIZE + 4, dma.pack([(ROOM, 100)]))
    same(
        "used_len, SEND_DMA of the sender",
        send_bytes(sender.guest, sender.peer_key(40), payload(60)),
        60,
    )
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(60)), 0)


@rule("DMA-1")
def test_each_guest_has_32_arrays_of_its_own_and_an_open_device_takes_one(
    lguest: LguestLan,
) -> None:
    one, other = lguest.open_devices(2)
    same(
        "each BIND_DMA by the first succeeds",
        bind_one_each(one.guest, one.peer_key, 32),
        [True] * 31 + [False],
    )
    same(
        "each BIND_DMA by the other succeeds",
        bind_one_each(other.guest, other.peer_key, 32),
        [True] * 31 + [False],
    )
    one.close()
    same(
        "each BIND_DMA by the first succeeds",
        bind_one_each(one.guest, one.peer_key, 2),
        [True, False],
    )
    must_cross(lguest, one, other)


@rule("DMA-1")
def test_an_array_bound_twice_is_unbound_twice(lguest: LguestLan) -> None:
    (sender,) = lguest.open_devices(1)
    owner = lguest.device()
    key = owner.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 4), True)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 4), True)
    for left in (2, 1, 0):
        same(
            "used_len, SEND_DMA of the sender",
            send_bytes(sender.guest, key, payload(60)) == 60,
            left > 0,
        )
        same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, ARRAY, 4, 0), left > 0)


@rule("DMA-1")
@pytest.mark.parametrize(
    ("key_off", "array_off"), [(4, 0), (-4, 0), (0, 4), (0, dma.SIZE), (0, -1), (4, 4)]
)
def test_unbinding_needs_the_key_and_the_address(
    lguest: LguestLan, key_off: int, array_off: int
) -> None:
    sender, owner = lguest.open_devices(2)
    key = owner.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 4), True)
    same(
        "BIND_DMA by the owner succeeds",
        owner.guest.bind_dma(key + key_off, ARRAY + array_off, 4, 0),
        False,
    )
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(60)), 60)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, ARRAY, 4, 0), True)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(60)), 0)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, ARRAY, 4, 0), False)
    same("Guests killed", killed(lguest), [])


@rule("DMA-1")
def test_unbinding_one_of_two_arrays_leaves_the_other(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    key = owner.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 8), True)
    second = ARRAY + 4 * dma.SIZE
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, second, 4, 9), True)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, second, 4, 0), True)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(60)), 60)
    same(
        "used_len of the buffers of the owner",
        used_lens(owner.guest, ARRAY),
        [60, 0, 0, 0, 0, 0, 0, 0],
    )


@rule("DMA-1")
def test_a_guest_does_not_unbind_what_another_bound(lguest: LguestLan) -> None:
    sender, owner, other = lguest.open_devices(3)
    same(
        "BIND_DMA by the other succeeds",
        other.guest.bind_dma(other.peer_key(owner.slot), owner.ring, NUM_SKBS, 0),
        False,
    )
    must_cross(lguest, sender, owner)
    same(
        "BIND_DMA by the owner succeeds",
        owner.guest.bind_dma(owner.key, owner.ring, NUM_SKBS, 0),
        True,
    )
    same("a frame from the sender crosses to the owner", crosses(lguest, sender, owner), False)
    must_cross(lguest, sender, other)


@rule("DMA-1", "DMA-7")
def test_a_key_is_a_place_wherever_each_guest_sees_it(lguest: LguestLan) -> None:
    """The futex trick: the second Guest's page lies above one of another network."""
    (plain,) = lguest.open_devices(1)
    launcher = lguest.launch(50)
    launcher.join(DevicePages(1), 0)
    moved = lguest.second_device(launcher.guest, 5)
    same("page of bytes moved", moved.page, plain.page + PAGE)
    same("result of opening bytes moved", moved.open(), 0)
    must_cross(lguest, plain, moved)
    must_cross(lguest, moved, plain)


# DMA-7: keys


@rule("DMA-7")
@pytest.mark.parametrize("key", [1, 2, 3, END, END + 4, END - 1, END - 3, 1 << 31, 2**32 - 4])
@pytest.mark.parametrize("call", ["send", "bind", "unbind"])
def test_a_bad_key_kills_the_guest_that_named_it(lguest: LguestLan, key: int, call: str) -> None:
    hostile, sender, owner = lguest.open_devices(3)
    if key < 4:
        key += hostile.peer_key(owner.slot)
    before = snapshot(owner.guest)
    if call == "send":
        same("used_len, SEND_DMA of the hostile", send(hostile.guest, key, GOOD), 0)
    else:
        same(
            "BIND_DMA by the hostile succeeds",
            hostile.guest.bind_dma(key, ARRAY, 4, 9 if call == "bind" else 0),
            False,
        )
    same("Guests killed", killed(lguest), [hostile.guest.id])
    same("addresses of bytes that changed", changed(before, snapshot(owner.guest)), set())
    same("pending interrupts of the owner", owner.guest.pending, 0)
    same("pending interrupts of the sender", sender.guest.pending, 0)
    must_cross(lguest, sender, owner)


@rule("DMA-7")
@pytest.mark.parametrize("offset", [0, 4, 2400, PAGE - 8, PAGE - 4])
def test_every_multiple_of_4_on_the_device_page_is_a_key(lguest: LguestLan, offset: int) -> None:
    sender, owner = lguest.device(), lguest.device()
    key = owner.page + offset
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 4), True)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(60)), 60)
    same("used_len of the buffers of the owner", used_lens(owner.guest, ARRAY, 4), [60, 0, 0, 0])
    same("Guests killed", killed(lguest), [])


@rule("DMA-7")
@pytest.mark.parametrize("key", [0, DATA, END - 2 * PAGE - 4, END - 2 * PAGE, END - PAGE - 4])
def test_a_key_in_private_memory_goes_to_the_launcher(lguest: LguestLan, key: int) -> None:
    sender, owner = lguest.open_devices(2)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 4), True)
    before = snapshot(owner.guest)
    same("used_len, SEND_DMA of the sender", send(sender.guest, key, GOOD), 0)
    warned = [event for event in lguest.host.events if isinstance(event, Warned)]
    same("event", [event.guest for event in warned], [sender.guest.id])
    same("the warning names the key", f"{key:#x}" in warned[0].text, True)
    same("addresses of bytes that changed", changed(before, snapshot(owner.guest)), set())
    same("pending interrupts of the owner", owner.guest.pending, 0)
    same("Guests killed", killed(lguest), [])
    must_cross(lguest, sender, owner)


@rule("DMA-7")
def test_a_good_key_reaches_the_launcher_of_nobody(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(owner.slot), GOOD),
        60,
    )
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(SPARE_SLOT), GOOD),
        0,
    )
    same("event", [event for event in lguest.host.events if isinstance(event, Warned)], [])


# DMA-9: killed Guests


def kill(device: NetDevice) -> None:
    device.guest.send_dma(device.key + 1, ARRAY)
    present("cause of death", device.guest.dead)


@rule("DMA-9")
@pytest.mark.parametrize(
    "step",
    [
        lambda device: device.transmit(ethernet(GROUPS["broadcast"], device.address)),
        lambda device: device.guest.send_dma(device.peer_key(1), ARRAY),
        lambda device: device.guest.bind_dma(device.key, ARRAY, 1, 3),
        lambda device: device.guest.bind_dma(device.key, device.ring, NUM_SKBS, 0),
        lambda device: device.guest.interrupt(),
        lambda device: device.set_flags(promiscuous=True),
        lambda device: device.close(),
        lambda device: device.open(),
    ],
    ids=["transmit", "send", "bind", "unbind", "interrupt", "flags", "close", "open"],
)
def test_a_killed_guest_runs_no_more(
    lguest: LguestLan, step: Callable[[NetDevice], object]
) -> None:
    dead, one, other = lguest.open_devices(3)
    published = lguest.pages.published(dead.slot)
    kill(dead)
    with raises("the error", LguestError, "it runs no more"):
        step(dead)
    same("address published by the dead", lguest.pages.published(dead.slot), published)
    same("Guests killed", killed(lguest), [dead.guest.id])
    same("pending interrupts of the first", one.guest.pending, 0)
    same("pending interrupts of the other", other.guest.pending, 0)
    same("the array is bound", lguest.host.binding(dead.guest, dead.key) is not None, True)
    must_cross(lguest, one, other)


@rule("DMA-9")
def test_buffers_of_a_killed_guest_are_filled_until_none_is_free(lguest: LguestLan) -> None:
    sender, dead, other = lguest.open_devices(3)
    kill(dead)
    frames = fill_up(sender, dead, NUM_SKBS + 1)
    same(
        "tx_packets of the sender and tx_carrier_errors of the sender",
        (sender.counters.tx_packets, sender.counters.tx_carrier_errors),
        (NUM_SKBS, 1),
    )
    same("used_len of the buffers of the dead", used_lens(dead.guest, dead.ring), [60] * NUM_SKBS)
    for n in range(NUM_SKBS):
        at = dead.ring + n * dma.SIZE
        ((address, _),) = dma.unpack(dead.guest.memory.read(at + 4, dma.SIZE - 4))
        same("memory of the dead at address", dead.guest.memory.read(address, 60), frames[n])
    lguest.settle()
    same("event", [event for event in lguest.host.events if isinstance(event, Received)], [])
    must_cross(lguest, sender, other)


@rule("DMA-9")
@pytest.mark.parametrize("sent", range(NUM_SKBS))
def test_a_killed_sender_leaves_the_cursor_where_it_was(lguest: LguestLan, sent: int) -> None:
    hostile, sender, owner = lguest.open_devices(3)
    frames = fill_up(sender, owner, sent)
    same(
        "used_len, SEND_DMA of the hostile",
        send(hostile.guest, hostile.peer_key(owner.slot), [*GOOD, (DATA, 4097)]),
        0,
    )
    same("Guests killed", killed(lguest), [hostile.guest.id])
    same("cursor of the owner", cursor(owner), sent)
    same(
        "used_len of the buffers of the owner",
        used_lens(owner.guest, owner.ring),
        [60] * sent + [0] * (NUM_SKBS - sent),
    )
    frames += fill_up(sender, owner, 1)
    same(
        "used_len of a buffer of the owner",
        used_lens(owner.guest, owner.ring)[sent],
        60,
    )
    lguest.settle()
    same_frames(lguest, owner, frames)


@rule("DMA-9")
@pytest.mark.parametrize("first_killed", [True, False])
def test_the_end_of_its_launcher_unbinds_all_arrays_of_a_guest(
    lguest: LguestLan, first_killed: bool
) -> None:
    sender, leaver, stayer = lguest.open_devices(3)
    same(
        "each BIND_DMA by the leaver succeeds",
        bind_one_each(leaver.guest, leaver.peer_key, 10),
        [True] * 10,
    )
    same(
        "each BIND_DMA by stayer succeeds", bind_one_each(stayer.guest, leaver.peer_key, 1), [True]
    )
    if first_killed:
        kill(leaver)
    keys = [sender.peer_key(slot) for slot in (leaver.slot, *range(SPARE_SLOT + 1, 610))]
    same(
        "used_len, SEND_DMA of the sender",
        [send_bytes(sender.guest, key, payload(60)) for key in keys],
        [60] * 10,
    )
    for n in range(10):
        set_used(leaver.guest, ARRAY, n, 0)
    before = snapshot(leaver.guest)
    pending = leaver.guest.pending
    lguest.launcher(leaver.guest).exit()
    same(
        "used_len, SEND_DMA of the sender",
        [send_over_stale(sender.guest, key, GOOD) for key in keys],
        [STALE] * 10,
    )
    same("addresses of bytes that changed", changed(before, snapshot(leaver.guest)), set())
    same("pending interrupts of the leaver", leaver.guest.pending, pending)
    same(
        "used_len, SEND_DMA of the sender",
        send_bytes(sender.guest, sender.peer_key(SPARE_SLOT), payload(60)),
        60,
    )
    same("used_len of the buffers of stayer", used_lens(stayer.guest, ARRAY, 1), [60])
    must_cross(lguest, sender, stayer)


@rule("DMA-9")
def test_a_new_guest_takes_the_place_of_one_whose_launcher_ended(lguest: LguestLan) -> None:
    sender, dead = lguest.open_devices(2)
    kill(dead)
    fill_up(sender, dead)
    lguest.launcher(dead.guest).exit()
    heir = lguest.device(slot=dead.slot, guest_id=40)
    same("result of opening the heir", heir.open(), 0)
    must_cross(lguest, sender, heir)
    same("used_len of the buffers of the dead", used_lens(dead.guest, dead.ring), [60] * NUM_SKBS)
