"""A. Publishing an address (D:520, D:550): who is there, and who wants everything."""

from __future__ import annotations

from itertools import product

import pytest

from harness.comparing import raises, same
from harness.frames import ethernet
from harness.lans.lguest import LguestLan
from harness.lguest.driver import Counters, NetDevice
from harness.lguest.events import Point
from harness.lguest.memory import LguestError
from harness.plugin.marks import rule

from .kit.steps import (
    NO_ADDRESS,
    acting_at,
    broadcast,
    lan_of_pages,
    must_reach,
    paint,
    reaches,
    same_frames,
    send_bytes_to_slot,
    with_slot,
)

GHOST = bytes.fromhex("0200a5a5a5a5")
FLAGS = list(product((False, True), (False, True), (0, 1, 255, 256)))
EVERY_FLAG = pytest.mark.parametrize(("promiscuous", "all_multicast", "groups"), FLAGS)


def set_flags(device: NetDevice, flags: tuple[bool, bool, int]) -> bytes:
    """Set promiscuous, all-multicast and groups; returns what an open device must publish."""
    promiscuous, all_multicast, groups = flags
    device.set_flags(promiscuous=promiscuous, all_multicast=all_multicast, multicast_count=groups)
    bit = promiscuous or all_multicast or groups > 0
    return bytes((device.address[0] | bit,)) + device.address[1:]


# PUB-1: used or unused


@rule("PUB-1")
@pytest.mark.parametrize(
    "rest", ["0000000000", "ffffffffff", "0000000001", "0100000000", "0001000000", "0012345678"]
)
def test_a_slot_whose_first_byte_is_zero_is_unused_whatever_the_rest(
    lguest: LguestLan, rest: str
) -> None:
    sender, other = lguest.open_devices(2)
    address = b"\0" + bytes.fromhex(rest)
    lguest.pages.publish(40, address)
    same("broadcast (whole, failed) of the sender", broadcast(sender), (1, 0))
    sender.transmit(ethernet(address, sender.address))
    same("counters of the sender", sender.counters, Counters(tx_packets=1, tx_bytes=60))
    lguest.pages.publish(40, b"\x02" + address[1:])
    same("broadcast (whole, failed) of the sender", broadcast(sender), (1, 1))
    lguest.settle()
    must_reach(sender, other)


@rule("PUB-1")
def test_any_other_first_byte_makes_a_slot_used(lguest: LguestLan) -> None:
    sender, other = lguest.open_devices(2)
    for first in range(1, 256):
        lguest.pages.publish(40, bytes((first, 0, 0, 0, 0, 0)))
        same(
            f"whole and failed transfers, a slot that starts with {first:#04x}",
            broadcast(sender),
            (1, 1),
        )
        lguest.settle()
    lguest.pages.publish(40, NO_ADDRESS)
    same("broadcast (whole, failed) of the sender", broadcast(sender), (1, 0))
    lguest.settle()
    same("rx_packets of the other", other.counters.rx_packets, 256)


@rule("PUB-1")
@pytest.mark.parametrize(("pages", "slots"), [(1, 682), (2, 1365), (4, 2730)])
def test_the_last_slot_is_used_and_what_lies_behind_it_is_no_slot(
    lguest: LguestLan, pages: int, slots: int
) -> None:
    with lan_of_pages(lguest, pages) as lan:
        sender, other = lan.open_devices(2)
        same("slots of the shared page", lan.pages.slots, slots)
        behind = b"\xff" * (lan.pages.size - 6 * slots)
        lan.pages.write(6 * slots, behind)
        same("broadcast (whole, failed) of the sender", broadcast(sender), (1, 0))
        lan.pages.publish(slots - 1, GHOST)
        same("broadcast (whole, failed) of the sender", broadcast(sender), (1, 1))
        lan.settle()
        must_reach(sender, other)
        same("shared page behind the last slot", lan.pages.store[6 * slots :], behind)


# PUB-2: the address


@rule("PUB-2")
@pytest.mark.parametrize("slot", [0, 1, 340, 681])
@pytest.mark.parametrize(
    ("guest_id", "address"),
    [
        (0, "020000000000"),
        (1, "020001000000"),
        (255, "0200ff000000"),
        (256, "020000010000"),
        (0x1234, "020034120000"),
        (65535, "0200ffff0000"),
    ],
)
def test_opening_publishes_the_guest_id_in_the_own_slot_and_no_other(
    lguest: LguestLan, slot: int, guest_id: int, address: str
) -> None:
    other = lguest.device(slot=5, guest_id=77)
    device = lguest.device(slot=slot, guest_id=guest_id)
    painted = paint(lguest.pages)
    same("result of opening the device", device.open(), 0)
    expected = with_slot(painted, slot, bytes.fromhex(address))
    same("shared page", lguest.pages.store[:], expected)
    same("result of opening the other", other.open(), 0)
    same(
        "shared page", lguest.pages.store[:], with_slot(expected, 5, bytes.fromhex("02004d000000"))
    )
    same("address of the device", device.address, bytes.fromhex(address))
    must_reach(other, device)
    must_reach(device, other)


@rule("PUB-2")
@pytest.mark.parametrize(("pages", "last"), [(1, 681), (2, 1364), (4, 2729)])
def test_the_last_slot_of_every_size_of_lan_is_published(
    lguest: LguestLan, pages: int, last: int
) -> None:
    with lan_of_pages(lguest, pages) as lan:
        first, device = lan.device(slot=0), lan.device(slot=last)
        painted = paint(lan.pages)
        same("result of opening the device", device.open(), 0)
        same("result of opening the first", first.open(), 0)
        expected = with_slot(with_slot(painted, last, device.address), 0, first.address)
        same("shared page", lan.pages.store[:], expected)
        must_reach(first, device)
        must_reach(device, first)


@rule("PUB-2")
def test_nothing_is_published_before_opening(lguest: LguestLan) -> None:
    sender, device = lguest.device(), lguest.device()
    same("shared page", lguest.pages.store[:], bytes(lguest.pages.size))
    same("result of opening the sender", sender.open(), 0)
    same("broadcast (whole, failed) of the sender", broadcast(sender), (0, 0))
    same("result of opening the device", device.open(), 0)
    must_reach(sender, device)


@rule("PUB-2")
def test_both_devices_of_a_guest_publish_its_address_each_in_its_own_slot(
    lguest: LguestLan,
) -> None:
    sender, first = lguest.open_devices(2)
    second = lguest.second_device(first.guest, slot=300)
    before = lguest.pages.store[:]
    same("result of opening the second", second.open(), 0)
    same("shared page", lguest.pages.store[:], with_slot(before, 300, first.address))
    must_reach(sender, first)
    must_reach(sender, second)


@rule("PUB-2")
@pytest.mark.parametrize("guest_id", [-1, 65536, 1 << 20])
def test_a_guest_id_that_does_not_fit_two_bytes_is_refused(
    lguest: LguestLan, guest_id: int
) -> None:
    with raises("the error", LguestError, "does not fit in two bytes"):
        lguest.device(guest_id=guest_id)
    sender, owner = lguest.open_devices(2)
    must_reach(sender, owner)


@rule("PUB-2")
def test_two_guests_cannot_have_one_id(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    with raises("the error", LguestError, f"there is a Guest {owner.guest.id} already"):
        lguest.device(guest_id=owner.guest.id)
    must_reach(sender, owner)


# PUB-3: the promiscuous bit


@rule("PUB-3")
@pytest.mark.parametrize("bit", range(8))
def test_the_lowest_bit_of_the_first_byte_alone_asks_for_every_frame(
    lguest: LguestLan, bit: int
) -> None:
    sender, owner, listener = lguest.open_devices(3)
    lguest.pages.publish(listener.slot, bytes((0x40 | 1 << bit, 9, 9, 9, 9, 9)))
    frame = ethernet(owner.address, sender.address)
    sender.transmit(frame)
    lguest.settle()
    same_frames(lguest, owner, [frame])
    same_frames(lguest, listener, [frame] if bit == 0 else [])


@rule("PUB-3")
@pytest.mark.parametrize("byte", range(1, 6))
def test_the_lowest_bit_of_another_byte_asks_for_nothing(lguest: LguestLan, byte: int) -> None:
    sender, owner, listener = lguest.open_devices(3)
    address = bytearray.fromhex("400000000000")
    address[byte] = 1
    lguest.pages.publish(listener.slot, bytes(address))
    must_reach(sender, owner)
    same_frames(lguest, listener, [])
    lguest.pages.publish(listener.slot, b"\x41" + bytes(address[1:]))
    must_reach(sender, owner)
    same("number of frames passed up by the listener", len(lguest.received(listener)), 1)


# PUB-4: when the bit is set


@rule("PUB-4")
@EVERY_FLAG
def test_the_bit_is_set_exactly_while_the_device_asks_for_more(
    lguest: LguestLan, promiscuous: bool, all_multicast: bool, groups: int
) -> None:
    sender, owner, listener = lguest.open_devices(3)
    before = lguest.pages.store[:]
    expected = set_flags(listener, (promiscuous, all_multicast, groups))
    same("shared page", lguest.pages.store[:], with_slot(before, listener.slot, expected))
    must_reach(sender, owner)
    same(
        "number of frames passed up by the listener",
        len(lguest.received(listener)),
        expected[0] & 1,
    )
    set_flags(listener, (False, False, 0))
    same("shared page", lguest.pages.store[:], before)
    must_reach(sender, owner)
    same(
        "number of frames passed up by the listener",
        len(lguest.received(listener)),
        expected[0] & 1,
    )


@rule("PUB-4")
@EVERY_FLAG
def test_the_bit_follows_every_change(
    lguest: LguestLan, promiscuous: bool, all_multicast: bool, groups: int
) -> None:
    sender, device = lguest.open_devices(2)
    for after in FLAGS:
        set_flags(device, (promiscuous, all_multicast, groups))
        expected = set_flags(device, after)
        same("address published by the device", lguest.pages.published(device.slot), expected)
    must_reach(sender, device)


@rule("PUB-4")
@EVERY_FLAG
def test_the_bit_is_worked_out_anew_at_every_opening(
    lguest: LguestLan, promiscuous: bool, all_multicast: bool, groups: int
) -> None:
    sender, device = lguest.open_devices(2)
    for changed in FLAGS:
        set_flags(device, (promiscuous, all_multicast, groups))
        device.close()
        expected = set_flags(device, changed)
        same("address published by the device", lguest.pages.published(device.slot), NO_ADDRESS)
        same("result of opening the device", device.open(), 0)
        same("address published by the device", lguest.pages.published(device.slot), expected)
    must_reach(sender, device)


@rule("PUB-4")
@EVERY_FLAG
def test_flags_last_over_closing_and_opening(
    lguest: LguestLan, promiscuous: bool, all_multicast: bool, groups: int
) -> None:
    sender, owner, device = lguest.open_devices(3)
    expected = set_flags(device, (promiscuous, all_multicast, groups))
    for _ in range(2):
        device.close()
        same("address published by the device", lguest.pages.published(device.slot), NO_ADDRESS)
        same("result of opening the device", device.open(), 0)
        same("address published by the device", lguest.pages.published(device.slot), expected)
    must_reach(sender, owner)
    same("number of frames passed up by the device", len(lguest.received(device)), expected[0] & 1)


@rule("PUB-4")
@EVERY_FLAG
def test_flags_set_before_the_first_opening_show_at_opening(
    lguest: LguestLan, promiscuous: bool, all_multicast: bool, groups: int
) -> None:
    (sender,) = lguest.open_devices(1)
    device = lguest.device()
    painted = paint(lguest.pages)
    expected = set_flags(device, (promiscuous, all_multicast, groups))
    same("shared page", lguest.pages.store[:], painted)
    same("result of opening the device", device.open(), 0)
    same("shared page", lguest.pages.store[:], with_slot(painted, device.slot, expected))
    must_reach(sender, device)


@rule("PUB-4")
@pytest.mark.parametrize("groups", [0, 1])
def test_the_callback_of_a_closed_device_does_not_touch_the_slots_new_owner(
    lguest: LguestLan, groups: int
) -> None:
    sender, device = lguest.open_devices(2)
    device.close()
    heir = lguest.device(slot=device.slot, guest_id=900)
    expected = set_flags(heir, (False, False, groups))
    same("result of opening the heir", heir.open(), 0)
    before = lguest.pages.store[:]
    same("address published by the device", lguest.pages.published(device.slot), expected)
    set_flags(device, (True, False, 0))
    same("shared page", lguest.pages.store[:], before)
    set_flags(device, (False, False, 0))
    same("shared page", lguest.pages.store[:], before)
    must_reach(sender, heir)


@rule("PUB-4")
@pytest.mark.parametrize("promiscuous", [False, True])
def test_opening_does_not_inherit_the_bit_of_what_was_published(
    lguest: LguestLan, promiscuous: bool
) -> None:
    (sender,) = lguest.open_devices(1)
    device = lguest.device()
    lguest.pages.publish(device.slot, b"\xff" * 6)
    expected = set_flags(device, (promiscuous, False, 0))
    same("result of opening the device", device.open(), 0)
    same("address published by the device", lguest.pages.published(device.slot), expected)
    must_reach(sender, device)


@rule("PUB-4")
def test_the_callback_changes_nothing_but_the_bit(lguest: LguestLan) -> None:
    sender, device, owner = lguest.open_devices(3)
    lguest.pages.publish(device.slot, bytes.fromhex("fe1122334455"))
    set_flags(device, (True, False, 0))
    same(
        "address published by the device",
        lguest.pages.published(device.slot),
        bytes.fromhex("ff1122334455"),
    )
    must_reach(sender, owner)
    same("number of frames passed up by the device", len(lguest.received(device)), 1)
    set_flags(device, (False, False, 0))
    same(
        "address published by the device",
        lguest.pages.published(device.slot),
        bytes.fromhex("fe1122334455"),
    )


# PUB-5: closing


@rule("PUB-5")
@pytest.mark.parametrize("promiscuous", [False, True])
@pytest.mark.parametrize(("slot", "guest_id"), [(0, 65535), (1, 0), (681, 256)])
def test_closing_zeroes_all_six_bytes_and_no_others(
    lguest: LguestLan, promiscuous: bool, slot: int, guest_id: int
) -> None:
    sender = lguest.device(slot=5)
    device = lguest.device(slot=slot, guest_id=guest_id)
    painted = paint(lguest.pages)
    same("result of opening the sender", sender.open(), 0)
    same("result of opening the device", device.open(), 0)
    device.set_flags(promiscuous=promiscuous)
    must_reach(sender, device)
    device.close()
    same(
        "shared page",
        lguest.pages.store[:],
        with_slot(with_slot(painted, 5, sender.address), slot, NO_ADDRESS),
    )
    same("a frame from the sender reaches the device alone", reaches(sender, device), False)
    same("counters of the sender", sender.counters, Counters(tx_packets=1, tx_bytes=60))
    same("result of opening the device", device.open(), 0)
    must_reach(sender, device)


@rule("PUB-5")
@pytest.mark.parametrize("byte", range(6))
def test_closing_zeroes_every_byte_whatever_the_slot_holds(lguest: LguestLan, byte: int) -> None:
    sender, device = lguest.open_devices(2)
    before = with_slot(lguest.pages.store[:], device.slot, NO_ADDRESS)
    held = bytearray(6)
    held[byte] = 0xFF
    lguest.pages.publish(device.slot, bytes(held))
    device.close()
    same("shared page", lguest.pages.store[:], before)
    same("result of opening the device", device.open(), 0)
    must_reach(sender, device)


@rule("PUB-5")
def test_the_slot_is_zero_before_the_buffers_are_unbound(lguest: LguestLan) -> None:
    sender, device, other = lguest.open_devices(3)
    seen = []

    def look() -> None:
        seen.append((lguest.pages.published(device.slot), len(lguest.host.bound_by(device.guest))))

    for point in (Point.UNPUBLISHED, Point.UNBOUND):
        with acting_at(lguest.host, point, look):
            device.close()
        same("result of opening the device", device.open(), 0)
    same("what was seen", seen, [(NO_ADDRESS, 1), (NO_ADDRESS, 0)])
    same("address published by the device", lguest.pages.published(device.slot), device.address)
    must_reach(sender, device)
    must_reach(sender, other)


@rule("PUB-5")
def test_whoever_looks_while_a_device_closes_sends_it_nothing(lguest: LguestLan) -> None:
    sender, device, other = lguest.open_devices(3)
    seen = []
    for point in (Point.UNPUBLISHED, Point.UNBOUND):
        with acting_at(lguest.host, point, lambda: seen.append(broadcast(sender))):
            device.close()
        same("result of opening the device", device.open(), 0)
        same("broadcast (whole, failed) of the sender", broadcast(sender), (2, 0))
        lguest.settle()
    same("what was seen", seen, [(1, 0), (1, 0)])
    same("number of frames passed up by the device", len(lguest.received(device)), 2)
    same("number of frames passed up by the other", len(lguest.received(other)), 4)


@rule("PUB-5", "CNT-3")
def test_a_frame_whose_receiver_closes_before_the_transfer_fails(lguest: LguestLan) -> None:
    sender, device, other = lguest.open_devices(3)
    with acting_at(lguest.host, Point.ADDRESSED, device.close):
        same(
            "result of a transmit by the sender",
            sender.transmit(ethernet(device.address, sender.address)),
            0,
        )
    same("counters of the sender", sender.counters, Counters(tx_carrier_errors=1))
    same("counters of the device", device.counters, Counters())
    same("counters of the other", other.counters, Counters())
    same("result of opening the device", device.open(), 0)
    must_reach(sender, device)


@rule("PUB-5")
def test_a_receiver_that_closes_in_the_midst_of_a_broadcast_is_not_looked_for(
    lguest: LguestLan,
) -> None:
    sender, first, last = lguest.open_devices(3)
    with acting_at(lguest.host, Point.ADDRESSED, last.close):
        same("broadcast (whole, failed) of the sender", broadcast(sender), (1, 0))
    lguest.settle()
    same("number of frames passed up by the first", len(lguest.received(first)), 1)
    same("result of opening the last", last.open(), 0)
    same("broadcast (whole, failed) of the sender", broadcast(sender), (2, 0))


@rule("PUB-5")
def test_closing_unbinds_and_leaves_no_binding_behind(lguest: LguestLan) -> None:
    sender, device = lguest.open_devices(2)
    same(
        "used_len, SEND_DMA of the sender",
        send_bytes_to_slot(sender, device.slot, bytes(60)),
        60,
    )
    for _ in range(40):
        device.close()
        same(
            "used_len, SEND_DMA of the sender",
            send_bytes_to_slot(sender, device.slot, bytes(60)),
            0,
        )
        same("keys bound by the Guest", lguest.host.bound_by(device.guest), [])
        same("result of opening the device", device.open(), 0)
    must_reach(sender, device)


@rule("PUB-5")
def test_closing_one_device_of_a_guest_leaves_the_other_alone(lguest: LguestLan) -> None:
    sender, first = lguest.open_devices(2)
    second = lguest.second_device(first.guest, slot=9)
    same("result of opening the second", second.open(), 0)
    before = lguest.pages.store[:]
    first.close()
    same("shared page", lguest.pages.store[:], with_slot(before, first.slot, NO_ADDRESS))
    same("a frame from the sender reaches the first alone", reaches(sender, first), False)
    must_reach(sender, second)
    same("tx_carrier_errors of the sender", sender.counters.tx_carrier_errors, 0)


@rule("PUB-3")
def test_a_peer_whose_bit_is_cleared_asks_no_more(lguest: LguestLan) -> None:
    sender, owner, listener = lguest.open_devices(3)
    frame = ethernet(owner.address, sender.address)
    for first, heard in ((0x03, 1), (0x02, 1), (0x07, 2), (0x06, 2)):
        lguest.pages.publish(listener.slot, bytes((first,)) + listener.address[1:])
        sender.transmit(frame)
        lguest.settle()
        same("number of frames passed up by the listener", len(lguest.received(listener)), heard)
    same_frames(lguest, owner, [frame] * 4)
