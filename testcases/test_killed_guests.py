"""DMA-9: a Guest that is killed in the middle of a step makes no further hypercall."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.comparing import present, same
from harness.frames import BROADCAST, ethernet, payload
from harness.lans.lguest import LguestLan
from harness.lguest.driver import NUM_SKBS, Counters, NetDevice
from harness.lguest.events import Copied, Killed, Point, Received
from harness.lguest.memory import Owner
from harness.plugin.marks import rule

from .kit.dma import (
    ARRAY,
    DATA,
    SPARE_SLOT,
    bind,
    fill_up,
    killed,
    must_cross,
    send,
    send_bytes,
    set_list,
    snapshot,
    used_lens,
)
from .kit.steps import NO_ADDRESS, same_frames


def kill_at(
    lguest: LguestLan, point: Point, victim: NetDevice, kill: Callable[[], object], after: int = 0
) -> None:
    """Another CPU has the victim killed when it gets to a point, after so many times there."""
    times = 0

    def look(here: Point, guest: Owner) -> None:
        nonlocal times
        if here is point and guest is victim.guest and guest.dead is None:
            if times == after:
                kill()
            times += 1

    lguest.host.interleave = look


def by_its_list(victim: NetDevice, killer: NetDevice) -> Callable[[], object]:
    """A kill as it happens: the killer sends to an array of the victim that has a bad list."""
    guest = victim.guest
    key = victim.peer_key(SPARE_SLOT)
    same("BIND_DMA by the guest succeeds", bind(guest, key, 1, size=4096), True)
    guest.memory.write(ARRAY + 4, b"\xff\xff\xff\xff")

    def kill() -> None:
        same(
            "used_len, SEND_DMA of the killer",
            send(killer.guest, killer.peer_key(SPARE_SLOT), [(DATA, 60)]),
            0,
        )
        present("cause of death", guest.dead)

    return kill


def copies(lguest: LguestLan, sender: NetDevice) -> list[int]:
    """The slots that a Guest's SEND_DMAs went to."""
    return [
        event.key // 4
        for event in lguest.host.events
        if isinstance(event, Copied) and event.sender == sender.guest.id
    ]


@rule("DMA-9")
@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize("size", [60, 1514])
def test_a_broadcast_ends_where_its_sender_is_killed(
    lguest: LguestLan, after: int, size: int
) -> None:
    victim, killer, *others = lguest.open_devices(5)
    kill_at(lguest, Point.ADDRESSED, victim, by_its_list(victim, killer), after)
    same(
        "result of a transmit by the victim",
        victim.transmit(ethernet(BROADCAST, victim.address, size=size)),
        0,
    )
    lguest.host.interleave = None
    same("Guests killed", killed(lguest), [victim.guest.id])
    same("copies", copies(lguest, victim), [1, 2, 3, 4][:after])
    same(
        "counters of the victim", victim.counters, Counters(tx_packets=after, tx_bytes=size * after)
    )
    lguest.settle()
    got = [len(lguest.received(device)) for device in (killer, *others)]
    same("received", got, [1] * after + [0] * (4 - after))
    must_cross(lguest, killer, others[0])


@rule("DMA-9")
@pytest.mark.parametrize("times", [1, 3])
def test_a_unicast_to_a_length_that_was_sent_before_is_no_exception(
    lguest: LguestLan, times: int
) -> None:
    victim, killer, other = lguest.open_devices(3)
    for stamp in range(times):
        victim.transmit(ethernet(other.address, victim.address, stamp=stamp))
    kill_at(lguest, Point.ADDRESSED, victim, by_its_list(victim, killer))
    same(
        "result of a transmit by the victim",
        victim.transmit(ethernet(other.address, victim.address, stamp=99)),
        0,
    )
    lguest.host.interleave = None
    same("counters of the victim", victim.counters, Counters(tx_packets=times, tx_bytes=60 * times))
    same(
        "used_len of the buffers of the other",
        used_lens(other.guest, other.ring),
        [60] * times + [0] * (NUM_SKBS - times),
    )
    lguest.settle()
    same("number of frames passed up by the other", len(lguest.received(other)), times)
    must_cross(lguest, killer, other)


@rule("DMA-9")
def test_a_megapacket_is_not_logged_by_a_killed_guest(lguest: LguestLan) -> None:
    victim, killer = lguest.open_devices(2)
    kill_at(lguest, Point.ADDRESSED, victim, by_its_list(victim, killer))
    before = len(lguest.host.events)
    fragments = [(10, 0)] * 17
    victim.transmit(ethernet(killer.address, victim.address, size=184), 14, 0, fragments)
    after = [type(event).__name__ for event in lguest.host.events[before:]]
    same("a message followed", "Message" in after, False)
    same("pending interrupts of the killer", killer.guest.pending, 0)


@rule("DMA-9")
def test_a_guest_killed_in_its_own_send_goes_no_further(lguest: LguestLan) -> None:
    """The copy is the Host's and is finished; the Guest never learns of it."""
    victim, killer, *others = lguest.open_devices(4)
    frame = ethernet(BROADCAST, victim.address)
    kill_at(
        lguest, Point.COPIED, victim, lambda: lguest.host.kill(victim.guest, "killed for a test")
    )
    victim.transmit(frame)
    lguest.host.interleave = None
    same("copies", copies(lguest, victim), [1])
    same("counters of the victim", victim.counters, Counters())
    lguest.settle()
    same_frames(lguest, killer, [frame])
    for device in others:
        same_frames(lguest, device, [])


@rule("DMA-9", "DMA-5")
def test_the_second_try_of_a_send_is_the_hosts_even_if_its_sender_was_killed(
    lguest: LguestLan,
) -> None:
    victim, killer, owner = lguest.open_devices(3)
    frames = fill_up(killer, owner)
    kill = by_its_list(victim, killer)

    def restock_and_kill() -> None:
        owner.guest.interrupt()
        kill()

    kill_at(lguest, Point.RESTOCK, victim, restock_and_kill)
    last = ethernet(owner.address, victim.address, stamp=5)
    victim.transmit(last)
    lguest.host.interleave = None
    same("counters of the victim", victim.counters, Counters())
    lguest.settle()
    same_frames(lguest, owner, [*frames, last])


@rule("DMA-9", "LIF-1")
@pytest.mark.parametrize("point", [Point.PUBLISHED, Point.LISTED, Point.FILLED])
@pytest.mark.parametrize("after", [0, 3])
def test_a_guest_killed_while_it_opens_binds_nothing(
    lguest: LguestLan, point: Point, after: int
) -> None:
    if after and point is not Point.LISTED:
        after = 0
    (killer,) = lguest.open_devices(1)
    victim = lguest.device()
    kill_at(lguest, point, victim, by_its_list(victim, killer), after)
    victim.open()
    lguest.host.interleave = None
    same("Guests killed", killed(lguest), [victim.guest.id])
    same("the victim is open", victim.is_open, False)
    same("binding of the victim", lguest.host.binding(victim.guest, victim.key), None)
    same("address published by the victim", victim.pages.published(victim.slot), victim.address)
    killer.transmit(ethernet(victim.address, killer.address))
    same("counters of the killer", killer.counters, Counters(tx_carrier_errors=1))


@rule("DMA-9", "PUB-5")
def test_a_guest_killed_while_it_closes_unbinds_nothing(lguest: LguestLan) -> None:
    killer, victim = lguest.open_devices(2)
    kill_at(lguest, Point.UNPUBLISHED, victim, by_its_list(victim, killer))
    victim.close()
    lguest.host.interleave = None
    same("Guests killed", killed(lguest), [victim.guest.id])
    same("address published by the victim", victim.pages.published(victim.slot), NO_ADDRESS)
    same(
        "the array is bound",
        lguest.host.binding(victim.guest, victim.key, victim.ring) is not None,
        True,
    )
    same(
        "used_len, SEND_DMA of the killer",
        send_bytes(killer.guest, killer.peer_key(victim.slot), payload(60)),
        60,
    )
    same(
        "used_len of the buffers of the victim",
        used_lens(victim.guest, victim.ring),
        [60] + [0] * 7,
    )


@rule("DMA-9", "RCV-1")
@pytest.mark.parametrize("taken", range(4))
@pytest.mark.parametrize("point", [Point.TAKEN, Point.LISTED])
def test_a_guest_killed_while_it_receives_passes_up_no_more(
    lguest: LguestLan, point: Point, taken: int
) -> None:
    killer, victim = lguest.open_devices(2)
    frames = fill_up(killer, victim, 5)
    kill_at(lguest, point, victim, by_its_list(victim, killer), taken)
    victim.guest.interrupt()
    lguest.host.interleave = None
    same("Guests killed", killed(lguest), [victim.guest.id])
    same_frames(lguest, victim, frames[:taken])
    same("counters of the victim", victim.counters, Counters(rx_packets=taken, rx_bytes=46 * taken))
    same(
        "used_len of the buffers of the victim",
        used_lens(victim.guest, victim.ring),
        [0] * taken + [60] * (5 - taken) + [0] * 3,
    )


@rule("DMA-9", "RCV-1")
def test_the_second_device_of_a_guest_killed_in_the_first_takes_nothing(
    lguest: LguestLan,
) -> None:
    killer, victim = lguest.open_devices(2)
    second = lguest.second_device(victim.guest, 40)
    same("result of opening the second", second.open(), 0)
    for device in (victim, second):
        fill_up(killer, device, 2)
    kill_at(lguest, Point.TAKEN, victim, by_its_list(victim, killer), 1)
    victim.guest.interrupt()
    lguest.host.interleave = None
    received = [event.slot for event in lguest.host.events if isinstance(event, Received)]
    same("received", received, [victim.slot])
    same(
        "used_len of the buffers of the second",
        used_lens(second.guest, second.ring),
        [60] * 4 + [0] * 4,
    )


@rule("DMA-9")
@pytest.mark.parametrize("point", [Point.TAKEN, Point.ADDRESSED, Point.FILLED])
def test_a_guest_that_another_kills_costs_the_others_nothing(
    lguest: LguestLan, point: Point
) -> None:
    killer, victim, other = lguest.open_devices(3)
    fill_up(killer, victim, 2)
    third = lguest.device()
    kill = by_its_list(victim, killer)
    before = snapshot(other.guest)
    kill_at(lguest, point, third if point is Point.FILLED else victim, kill)
    if point is Point.FILLED:
        same("result of opening the third", third.open(), 0)
    elif point is Point.ADDRESSED:
        victim.transmit(ethernet(BROADCAST, victim.address))
    else:
        victim.guest.interrupt()
    lguest.host.interleave = None
    same("Guests killed", killed(lguest), [victim.guest.id])
    same("memory of the other", snapshot(other.guest), before)
    must_cross(lguest, killer, other)
    must_cross(lguest, other, killer)


@rule("DMA-7", "DMA-9")
@pytest.mark.parametrize("offset", [1, 2, 3])
def test_what_the_host_says_of_a_bad_key(lguest: LguestLan, offset: int) -> None:
    one, other, bystander = lguest.open_devices(3)
    same("used_len, SEND_DMA of the first", send(one.guest, one.key + offset, [(DATA, 60)]), 0)
    same("BIND_DMA by the other succeeds", bind(other.guest, other.key + offset, 1), False)
    deaths = [
        (event.guest, event.reason) for event in lguest.host.events if isinstance(event, Killed)
    ]
    bad = f"bad dma key {other.key + offset:#x}"
    same("deaths", deaths, [(one.guest.id, "bad sending DMA key"), (other.guest.id, bad)])
    same("cause of death of the bystander", bystander.guest.dead, None)


@rule("DMA-2", "DMA-9")
def test_an_array_of_a_killed_guest_still_hides_an_older_one(lguest: LguestLan) -> None:
    sender, older, newer, killer = lguest.open_devices(4)
    key = sender.peer_key(SPARE_SLOT + 1)
    for guest in (older.guest, newer.guest):
        same("BIND_DMA by the guest succeeds", bind(guest, key, 2), True)
    lguest.host.kill(newer.guest, "killed for a test")
    same(
        "used_len, SEND_DMA of the sender",
        [send_bytes(sender.guest, key, payload(60 + n)) for n in range(3)],
        [60, 61, 0],
    )
    same("used_len of the buffers of the newer", used_lens(newer.guest, ARRAY, 2), [60, 61])
    lguest.launcher(newer.guest).exit()
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(70)), 70)
    same("used_len of the buffers of the older", used_lens(older.guest, ARRAY, 2), [70, 0])
    set_list(older, 0, [])
    must_cross(lguest, sender, killer)


@rule("DMA-2")
@pytest.mark.parametrize("full", [False, True])
def test_of_several_arrays_the_newest_is_searched_alone(lguest: LguestLan, full: bool) -> None:
    """Two arrays of one Guest and one of another: what is unbound uncovers the next."""
    sender, one, other = lguest.open_devices(3)
    key = sender.peer_key(SPARE_SLOT + 1)
    second = ARRAY + 4 * 100
    same("BIND_DMA by the first succeeds", bind(one.guest, key, 2, 3), True)
    same("BIND_DMA by the other succeeds", bind(other.guest, key, 2, 4), True)
    one.guest.memory.write(second, one.guest.memory.read(ARRAY, 100))
    same("BIND_DMA by the first succeeds", one.guest.bind_dma(key, second, 1, 5), True)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(60)), 60)
    same("used_len of the buffers of the first", used_lens(one.guest, second, 1), [60])
    same("pending interrupts of the first", one.guest.pending, 1 << 5)
    if full:
        same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(61)), 0)
        same("used_len of the buffers of the other", used_lens(other.guest, ARRAY, 2), [0, 0])
        same("used_len of the buffers of the first", used_lens(one.guest, ARRAY, 2), [0, 0])
        same("pending interrupts of the other", other.guest.pending, 0)
    same("BIND_DMA by the first succeeds", one.guest.bind_dma(key, second, 1, 0), True)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(62)), 62)
    same("used_len of the buffers of the other", used_lens(other.guest, ARRAY, 2), [62, 0])
    lguest.launcher(other.guest).exit()
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(63)), 63)
    same("used_len of the buffers of the first", used_lens(one.guest, ARRAY, 2), [63, 0])
    same("pending interrupts of the first", one.guest.pending, 1 << 5 | 1 << 3)
