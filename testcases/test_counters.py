"""F. What the counters say of each transfer and of each frame passed up (D:560, D:570)."""

from __future__ import annotations

import pytest

from harness.comparing import present, raises, same
from harness.frames import GROUPS, LARGEST, LONGEST, PAGE, ethernet, fragmented
from harness.lan import Layout
from harness.lans.lguest import LguestLan
from harness.lguest import dma
from harness.lguest.driver import NUM_SKBS, Counters, NetDevice
from harness.lguest.memory import LguestError
from harness.plugin.marks import rule

from .kit.steps import must_reach, send_bytes_to_slot

UNKNOWN = bytes.fromhex("02001234abcd")
UNBOUND = bytes.fromhex("0200beef0000")
SCRATCH = 100 * PAGE


def send(sender: NetDevice, to: bytes, size: int = 60, layout: Layout | None = None) -> bytes:
    """Transmit a frame, which must report success; returns it."""
    frame = ethernet(to, sender.address, size=size)
    layout = layout or Layout()
    same(
        "result of a transmit by the sender",
        sender.transmit(frame, layout.linear, layout.offset, layout.fragments),
        0,
    )
    return frame


def whole(count: int, size: int = 60) -> Counters:
    """What a sender counts for so many whole transfers."""
    return Counters(tx_packets=count, tx_bytes=count * size)


def failed(count: int) -> Counters:
    """What a sender counts for so many failed transfers."""
    return Counters(tx_carrier_errors=count)


def passed_up(*sizes: int) -> Counters:
    """What a receiver counts for frames of these sizes."""
    return Counters(rx_packets=len(sizes), rx_bytes=sum(sizes) - 14 * len(sizes))


# CNT-1: whole transfers


@rule("CNT-1", "CNT-4")
@pytest.mark.parametrize("size", [14, 15, 60, 61, 1000, 1513, LONGEST])
def test_a_whole_frame_counts_its_whole_length_once(lguest: LguestLan, size: int) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    send(sender, owner.address, size)
    same("counters of the sender", sender.counters, whole(1, size))
    lguest.settle()
    same("counters of the sender", sender.counters, whole(1, size))
    same("counters of the owner", owner.counters, passed_up(size))
    same("counters of the bystander", bystander.counters, Counters())


@rule("CNT-1", "CNT-4")
def test_counts_go_on_beyond_two_bytes(lguest: LguestLan) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    for _ in range(300):
        send(sender, owner.address, LONGEST)
        lguest.settle()
    same("counters of the sender", sender.counters, whole(300, LONGEST))
    same("counters of the owner", owner.counters, passed_up(*[LONGEST] * 300))
    same("counters of the bystander", bystander.counters, Counters())


@rule("CNT-1", "CNT-3", "CNT-4")
def test_counts_go_on_after_closing_and_opening(lguest: LguestLan) -> None:
    """Nothing but a frame moves a counter."""
    sender, owner, ghost = lguest.open_devices(3)
    lguest.host.release(ghost.guest)
    lguest.pages.publish(ghost.slot, UNBOUND)
    expected = Counters()
    for times in (1, 2, 3):
        send(sender, owner.address, 100)
        send(sender, UNBOUND)
        send(owner, sender.address, 70)
        lguest.settle()
        expected = Counters(times, 100 * times, times, times, 56 * times)
        same("counters of the sender", sender.counters, expected)
        same(
            "counters of the owner",
            owner.counters,
            Counters(times, 70 * times, 0, times, 86 * times),
        )
        for device in (sender, owner):
            device.close()
            same("result of opening the device", device.open(), 0)
    same("counters of the sender", sender.counters, expected)


@rule("CNT-1")
@pytest.mark.parametrize("size", range(6, 14))
def test_a_runt_counts_as_sent_and_not_as_received(lguest: LguestLan, size: int) -> None:
    sender, owner = lguest.open_devices(2)
    send(sender, owner.address, size)
    lguest.settle()
    same("counters of the sender", sender.counters, whole(1, size))
    same("counters of the owner", owner.counters, Counters())
    must_reach(sender, owner)


@rule("CNT-1")
@pytest.mark.parametrize("receivers", [1, 2, 5, 9])
@pytest.mark.parametrize("group", ["broadcast", "ipv4-multicast", "lowest-group"])
def test_a_group_frame_counts_once_for_each_receiver(
    lguest: LguestLan, receivers: int, group: str
) -> None:
    sender, *others = lguest.open_devices(1 + receivers)
    send(sender, GROUPS[group], 100)
    lguest.settle()
    same("counters of the sender", sender.counters, whole(receivers, 100))
    same(
        "counters of each device",
        [device.counters for device in others],
        [passed_up(100)] * receivers,
    )


@rule("CNT-1")
def test_a_unicast_counts_once_for_each_that_wants_it(lguest: LguestLan) -> None:
    sender, owner, lockstep, listener, bystander = lguest.open_devices(5)
    lguest.pages.publish(lockstep.slot, owner.address)
    listener.set_flags(all_multicast=True)
    send(sender, owner.address, 80)
    lguest.settle()
    same("counters of the sender", sender.counters, whole(3, 80))
    same("counters of the owner", owner.counters, passed_up(80))
    same("counters of lockstep", lockstep.counters, passed_up(80))
    same("counters of the listener", listener.counters, passed_up(80))
    same("counters of the bystander", bystander.counters, Counters())


@rule("CNT-1")
@pytest.mark.parametrize(
    "layout",
    [
        Layout(offset=3500),
        Layout(14, 0, ((986, 0),)),
        Layout(14, 4090, ((486, 3610), (500, 0))),
        fragmented(1000, 14, 15),
    ],
    ids=lambda layout: f"{layout.linear}@{layout.offset}+{len(layout.fragments)}",
)
def test_a_frame_in_pieces_counts_its_whole_length(lguest: LguestLan, layout: Layout) -> None:
    sender, owner = lguest.open_devices(2)
    send(sender, owner.address, 1000, layout)
    lguest.settle()
    same("counters of the sender", sender.counters, whole(1, 1000))
    same("counters of the owner", owner.counters, passed_up(1000))


@rule("CNT-1", "CNT-4")
def test_counters_add_up_on_both_sides(lguest: LguestLan) -> None:
    one, other, third = lguest.open_devices(3)
    sizes = [14, 60, 1514, 700, 60]
    for size in sizes:
        send(one, other.address, size)
        send(other, one.address, size)
        lguest.settle()
    both = Counters(
        tx_packets=5, tx_bytes=sum(sizes), rx_packets=5, rx_bytes=sum(sizes) - 14 * len(sizes)
    )
    same("counters of the first", one.counters, both)
    same("counters of the other", other.counters, both)
    same("counters of the third", third.counters, Counters())


# CNT-2: frames without a receiver


@rule("CNT-2")
@pytest.mark.parametrize("destination", [UNKNOWN, bytes(6), bytes.fromhex("fe" * 6)])
@pytest.mark.parametrize("size", [6, 60, LONGEST, LARGEST])
def test_a_frame_to_an_address_that_nobody_has_counts_nothing(
    lguest: LguestLan, destination: bytes, size: int
) -> None:
    sender, owner = lguest.open_devices(2)
    send(sender, destination, size)
    same("the owner has a pending interrupt", bool(owner.guest.pending), False)
    lguest.settle()
    same("counters of the sender", sender.counters, Counters())
    same("counters of the owner", owner.counters, Counters())
    must_reach(sender, owner)


@rule("CNT-2")
def test_a_frame_to_ones_own_address_counts_nothing(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    for promiscuous in (False, True):
        sender.set_flags(promiscuous=promiscuous)
        send(sender, sender.address)
        lguest.settle()
        same("counters of the sender", sender.counters, Counters())
        same("counters of the owner", owner.counters, Counters())
    must_reach(sender, owner)


@rule("CNT-2")
@pytest.mark.parametrize("group", ["broadcast", "ipv6-multicast"])
def test_a_group_frame_on_an_empty_lan_counts_nothing(lguest: LguestLan, group: str) -> None:
    (sender,) = lguest.open_devices(1)
    send(sender, GROUPS[group])
    same("counters of the sender", sender.counters, Counters())
    (owner,) = lguest.open_devices(1)
    send(sender, GROUPS[group])
    lguest.settle()
    same("counters of the sender", sender.counters, whole(1))
    same("counters of the owner", owner.counters, passed_up(60))


@rule("CNT-2")
def test_a_frame_to_a_device_that_closed_counts_nothing(lguest: LguestLan) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    owner.close()
    send(sender, owner.address)
    lguest.settle()
    same("counters of the sender", sender.counters, Counters())
    same("counters of the owner", owner.counters, Counters())
    same("counters of the bystander", bystander.counters, Counters())
    same("result of opening the owner", owner.open(), 0)
    must_reach(sender, owner)


@rule("CNT-2")
def test_a_frame_that_the_driver_is_never_given_counts_nothing(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    for size in (5, LARGEST + 1):
        frame = ethernet(owner.address, sender.address, size=size)
        with raises("the error", LguestError, "cannot send this frame"):
            sender.transmit(frame)
    lguest.settle()
    same("counters of the sender", sender.counters, Counters())
    same("counters of the owner", owner.counters, Counters())
    must_reach(sender, owner)


# CNT-3: carrier errors


@rule("CNT-3")
@pytest.mark.parametrize("size", [6, 14, 60, LONGEST])
def test_an_address_without_buffers_is_a_carrier_error_and_nothing_else(
    lguest: LguestLan, size: int
) -> None:
    sender, owner = lguest.open_devices(2)
    lguest.pages.publish(40, UNBOUND)
    send(sender, UNBOUND, size)
    lguest.settle()
    same("counters of the sender", sender.counters, failed(1))
    same("counters of the owner", owner.counters, Counters())
    must_reach(sender, owner)
    same(
        "counters of the sender",
        sender.counters,
        Counters(tx_packets=1, tx_bytes=60, tx_carrier_errors=1),
    )


@rule("CNT-3")
@pytest.mark.parametrize("more", [0, 1, 2, 9])
def test_what_a_full_ring_has_no_room_for_is_a_carrier_error(lguest: LguestLan, more: int) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    for _ in range(NUM_SKBS + more):
        send(sender, owner.address)
    same("counters of the sender", sender.counters, Counters(8, 8 * 60, more))
    lguest.settle()
    same("counters of the sender", sender.counters, Counters(8, 8 * 60, more))
    same("counters of the owner", owner.counters, passed_up(*[60] * 8))
    same("counters of the bystander", bystander.counters, Counters())
    must_reach(sender, owner)


@rule("CNT-3")
@pytest.mark.parametrize("size", [1515, 1516, 4096, 4097, LARGEST])
def test_a_frame_that_was_cut_is_a_carrier_error_and_nothing_else(
    lguest: LguestLan, size: int
) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    send(sender, owner.address, size)
    lguest.settle()
    same("counters of the sender", sender.counters, failed(1))
    same("counters of the owner", owner.counters, passed_up(LONGEST))
    same("counters of the bystander", bystander.counters, Counters())
    send(sender, owner.address, LONGEST)
    same("counters of the sender", sender.counters, Counters(1, LONGEST, 1))


@rule("CNT-3", "SEC-3")
@pytest.mark.parametrize(("fragments", "fits"), [(14, True), (15, True), (16, False), (17, False)])
def test_a_megapacket_is_a_carrier_error_though_what_fits_arrives(
    lguest: LguestLan, fragments: int, fits: bool
) -> None:
    sender, owner = lguest.open_devices(2)
    size = 14 + 10 * fragments
    send(sender, owner.address, size, fragmented(size, 14, fragments))
    lguest.settle()
    same("counters of the sender", sender.counters, whole(1, size) if fits else failed(1))
    same("counters of the owner", owner.counters, passed_up(min(size, 14 + 10 * 15)))


@rule("CNT-3")
@pytest.mark.parametrize(("size", "fits"), [(99, True), (100, True), (101, False), (102, False)])
def test_a_receiver_with_less_room_than_the_frame_is_a_carrier_error(
    lguest: LguestLan, size: int, fits: bool
) -> None:
    sender, owner = lguest.open_devices(2)
    owner.guest.memory.write(owner.ring + 4, dma.pack([(SCRATCH, 60), (SCRATCH + PAGE, 40)]))
    send(sender, owner.address, size)
    same("counters of the sender", sender.counters, whole(1, size) if fits else failed(1))
    same("the owner has a pending interrupt", bool(owner.guest.pending), True)
    lguest.settle()
    must_reach(sender, owner)


@rule("CNT-3")
def test_a_receiver_without_any_room_is_a_carrier_error(lguest: LguestLan) -> None:
    sender, owner, other = lguest.open_devices(3)
    owner.guest.memory.write(owner.ring + 4, dma.pack([]))
    send(sender, owner.address)
    same("counters of the sender", sender.counters, failed(1))
    same("the owner has a pending interrupt", bool(owner.guest.pending), False)
    must_reach(sender, other)
    same("counters of the owner", owner.counters, Counters())


@rule("CNT-3")
def test_a_receiver_that_dies_of_its_list_is_a_carrier_error(lguest: LguestLan) -> None:
    sender, owner, other = lguest.open_devices(3)
    owner.guest.memory.write(owner.ring + 4, dma.pack([(SCRATCH + 1, PAGE)]))
    send(sender, GROUPS["broadcast"])
    present("cause of death of the owner", owner.guest.dead)
    same("counters of the sender", sender.counters, Counters(1, 60, 1))
    lguest.settle()
    same("counters of the owner", owner.counters, Counters())
    same("counters of the other", other.counters, passed_up(60))


@rule("CNT-3", "DLV-8")
def test_another_device_of_the_senders_guest_is_a_carrier_error(lguest: LguestLan) -> None:
    sender, other = lguest.open_devices(2)
    second = lguest.second_device(sender.guest, slot=9)
    same("result of opening the second", second.open(), 0)
    send(sender, GROUPS["broadcast"])
    lguest.settle()
    same("counters of the sender", sender.counters, Counters(1, 60, 1))
    same("counters of the second", second.counters, Counters())
    same("counters of the other", other.counters, passed_up(60))
    send(second, other.address)
    same("counters of the second", second.counters, whole(1))
    same("counters of the sender", sender.counters, Counters(1, 60, 1))


@rule("CNT-1", "CNT-3")
def test_one_broadcast_counts_each_receiver_by_what_became_of_it(lguest: LguestLan) -> None:
    sender, good, full, gone, small, best = lguest.open_devices(6)
    for _ in range(NUM_SKBS):
        same("used_len, SEND_DMA of the best", send_bytes_to_slot(best, full.slot, bytes(20)), 20)
    lguest.host.release(gone.guest)
    small.guest.memory.write(small.ring + 4, dma.pack([(SCRATCH, 59)]))
    lguest.pages.publish(40, UNBOUND)
    send(sender, GROUPS["broadcast"])
    same("counters of the sender", sender.counters, Counters(2, 2 * 60, 4))
    lguest.settle()
    same("counters of the sender", sender.counters, Counters(2, 2 * 60, 4))
    same("counters of the good", good.counters, passed_up(60))
    same("counters of the best", best.counters, passed_up(60))
    same("counters of the full", full.counters, passed_up(*[20] * 8))
    same("counters of the gone", gone.counters, Counters())
    same("counters of the small", small.counters, passed_up(59))


@rule("CNT-3")
def test_a_frame_after_failed_ones_counts_as_ever(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    lguest.pages.publish(40, UNBOUND)
    for turn in range(1, 20):
        send(sender, UNBOUND)
        send(sender, owner.address, 100)
        lguest.settle()
        same("counters of the sender", sender.counters, Counters(turn, turn * 100, turn))
    same("counters of the owner", owner.counters, passed_up(*[100] * 19))


# CNT-4: frames passed up


@rule("CNT-4")
def test_a_frame_counts_when_it_is_handed_up_and_not_when_it_is_copied(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    for _ in range(3):
        send(sender, owner.address, 64)
    same("counters of the owner", owner.counters, Counters())
    same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
    same("counters of the owner", owner.counters, passed_up(64, 64, 64))
    same("the owner handles a pending interrupt", owner.guest.interrupt(), False)
    same("counters of the owner", owner.counters, passed_up(64, 64, 64))


@rule("CNT-4")
@pytest.mark.parametrize("size", range(1, 14))
def test_a_frame_that_is_dropped_counts_nothing_at_its_receiver(
    lguest: LguestLan, size: int
) -> None:
    sender, owner = lguest.open_devices(2)
    same(
        "used_len, SEND_DMA of the sender",
        send_bytes_to_slot(sender, owner.slot, bytes(size)),
        size,
    )
    send(sender, owner.address, 90)
    lguest.settle()
    same("counters of the owner", owner.counters, passed_up(90))
    same("counters of the sender", sender.counters, whole(1, 90))


@rule("CNT-4")
@pytest.mark.parametrize("destination", ["own", "nobody", "broadcast", "ipv4-multicast"])
def test_frames_of_every_kind_count_alike(lguest: LguestLan, destination: str) -> None:
    sender, listener = lguest.open_devices(2)
    listener.set_flags(promiscuous=True)
    named = {"own": listener.address, "nobody": UNKNOWN, **GROUPS}
    send(sender, named[destination], 77)
    lguest.settle()
    same("counters of the listener", listener.counters, passed_up(77))
    same("counters of the sender", sender.counters, whole(1, 77))


@rule("CNT-4")
def test_each_device_of_a_guest_counts_its_own_frames(lguest: LguestLan) -> None:
    sender, first = lguest.open_devices(2)
    second = lguest.second_device(first.guest, slot=9)
    same("result of opening the second", second.open(), 0)
    second_address = bytes.fromhex("0200ee000000")
    lguest.pages.publish(second.slot, second_address)
    send(sender, second_address, 100)
    lguest.settle()
    same(
        "counters of the first and counters of the second",
        (first.counters, second.counters),
        (Counters(), passed_up(100)),
    )
    send(sender, first.address, 300)
    lguest.settle()
    same(
        "counters of the first and counters of the second",
        (first.counters, second.counters),
        (passed_up(300), passed_up(100)),
    )
