"""B. Who receives a frame (D:570), and who must not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.comparing import same
from harness.exchange import Testbench
from harness.frames import (
    GROUPS,
    LONGEST,
    each_bit_flipped,
    ethernet,
)
from harness.lans.lguest import LguestLan
from harness.models import is_reserved
from harness.plugin.marks import rule

from .kit.steps import lan_of_pages, same_frames

NOBODY = bytes.fromhex("02001234abcd")


# DLV-1: all six bytes


@rule("DLV-1")
def test_an_address_one_bit_off_matches_nobody(lan: Testbench) -> None:
    sender, owner = lan.pair()
    for bit, near_miss in each_bit_flipped(owner.mac):
        if near_miss in lan.addresses():
            continue
        frame = ethernet(near_miss, sender, stamp=bit)
        assert lan.exchange(sender, frame) == {}, f"bit {bit} of the address is not compared"
    frame = ethernet(owner, sender)
    assert lan.exchange(sender, frame) == {owner: [frame]}


@rule("DLV-1")
@pytest.mark.parametrize("byte", range(6))
def test_each_byte_of_the_address_tells_two_peers_apart(lguest: LguestLan, byte: int) -> None:
    sender, one, other = lguest.open_devices(3)
    address = bytearray(bytes.fromhex("020000000000"))
    address[byte] ^= 0x40
    lguest.pages.publish(other.slot, bytes(address))
    lguest.pages.publish(one.slot, bytes.fromhex("020000000000"))
    frame = ethernet(bytes(address), sender.address)
    sender.transmit(frame)
    lguest.settle()
    same_frames(lguest, other, [frame])
    same_frames(lguest, one, [])
    same_frames(lguest, sender, [])


@rule("DLV-1")
def test_a_peer_that_asks_for_everything_still_matches_its_own_address(lan: Testbench) -> None:
    lan.require_promiscuous()
    sender, listener, bystander = lan.ports(3)
    listener.set_promiscuous(True)
    frame = ethernet(listener, sender)
    assert lan.exchange(sender, frame) == {listener: [frame]}
    frame = ethernet(bystander, sender)
    assert lan.exchange(sender, frame) == {bystander: [frame], listener: [frame]}


# DLV-2: unicast


@rule("DLV-2")
def test_unicast_reaches_its_owner_alone(lan: Testbench) -> None:
    sender, owner = lan.pair()
    frame = ethernet(to=owner, by=sender)
    assert lan.exchange(sender, frame) == {owner: [frame]}


@rule("DLV-2")
@pytest.mark.parametrize("size", [14, 15, 59, 60, 61, 64, 1513, LONGEST])
def test_unicast_of_any_length_reaches_its_owner_alone(lan: Testbench, size: int) -> None:
    sender, owner = lan.pair()
    frame = ethernet(owner, sender, size=size)
    assert lan.exchange(sender, frame) == {owner: [frame]}


@rule("DLV-2")
def test_every_peer_reaches_every_other(lan: Testbench) -> None:
    ports = lan.ports(4)
    for number, sender in enumerate(ports):
        for owner in ports:
            if owner is not sender:
                frame = ethernet(owner, sender, stamp=number)
                assert lan.exchange(sender, frame) == {owner: [frame]}


@rule("DLV-2")
def test_two_conversations_at_once_do_not_mix(lan: Testbench) -> None:
    one, two, three, four = lan.ports(4)
    there, back = ethernet(two, one, stamp=1), ethernet(one, two, stamp=2)
    aside = ethernet(four, three, stamp=3)
    delivery = lan.exchange_all([(one, there), (three, aside), (two, back)])
    assert delivery == {two: [there], one: [back], four: [aside]}


@rule("DLV-2")
def test_two_slots_with_one_address_both_receive(lguest: LguestLan) -> None:
    sender, one, two, bystander = lguest.open_devices(4)
    lguest.pages.publish(two.slot, one.address)
    frame = ethernet(one.address, sender.address)
    sender.transmit(frame)
    lguest.settle()
    same_frames(lguest, one, [frame])
    same_frames(lguest, two, [frame])
    same_frames(lguest, bystander, [])
    same_frames(lguest, sender, [])
    same("tx_packets of the sender", sender.counters.tx_packets, 2)


@rule("DLV-2")
def test_first_and_last_slot_of_the_page(lguest: LguestLan) -> None:
    first, last = lguest.device(slot=0), lguest.device(slot=lguest.pages.slots - 1)
    middle = lguest.device(slot=300)
    for device in (first, last, middle):
        same("result of opening the device", device.open(), 0)
    there = ethernet(last.address, first.address, stamp=1)
    back = ethernet(first.address, last.address, stamp=2)
    same("result of a transmit by the first", first.transmit(there), 0)
    same("result of a transmit by the last", last.transmit(back), 0)
    lguest.settle()
    same_frames(lguest, last, [there])
    same_frames(lguest, first, [back])
    same_frames(lguest, middle, [])


# DLV-3: groups


@rule("DLV-3")
@pytest.mark.parametrize("group", GROUPS)
def test_group_frame_reaches_everybody_but_its_sender(lan: Testbench, group: str) -> None:
    sender, *others = lan.some_ports(4)
    frame = ethernet(GROUPS[group], sender)
    everybody = {port: [frame] for port in others}
    delivery = lan.exchange(sender, frame)
    if is_reserved(GROUPS[group]) and lan.filters_reserved(delivery):
        assert delivery == {}
    else:
        assert delivery == everybody


@rule("DLV-3")
def test_group_frame_reaches_those_who_joined_and_those_who_did_not(lan: Testbench) -> None:
    sender, member, stranger = lan.ports(3)
    member.join_groups(1)
    frame = ethernet(GROUPS["ipv4-multicast"], sender)
    assert lan.exchange(sender, frame) == {member: [frame], stranger: [frame]}


@rule("DLV-3")
@pytest.mark.parametrize("count", [1, 64, 65, 200])
def test_a_member_of_any_number_of_groups_receives_broadcasts_and_groups(
    lan: Testbench, count: int
) -> None:
    sender, member, stranger = lan.ports(3)
    member.join_groups(count)
    for group in ("broadcast", "ipv4-multicast", "ipv6-multicast"):
        frame = ethernet(GROUPS[group], sender)
        assert lan.exchange(sender, frame) == {member: [frame], stranger: [frame]}


@rule("DLV-3")
@pytest.mark.parametrize("first", [0x01, 0x03, 0x09, 0x33, 0x81, 0xFF])
def test_the_lowest_bit_alone_makes_a_group(lan: Testbench, first: int) -> None:
    sender, *others = lan.some_ports(3)
    group = bytes((first,)) + bytes.fromhex("22334455aa")
    frame = ethernet(group, sender, stamp=first)
    assert lan.exchange(sender, frame) == {port: [frame] for port in others}
    single = bytes((first & 0xFE,)) + group[1:]
    assert lan.exchange(sender, ethernet(single, sender, stamp=first)) == {}


@rule("DLV-3")
@pytest.mark.parametrize("count", [2, 3, 8, 24])
def test_broadcast_on_a_lan_of_any_size(lan: Testbench, count: int) -> None:
    ports = lan.ports(count)
    for sender in (ports[0], ports[-1]):
        frame = ethernet(GROUPS["broadcast"], sender)
        assert lan.exchange(sender, frame) == {
            port: [frame] for port in ports if port is not sender
        }


@rule("DLV-3")
def test_broadcast_fills_a_whole_page_of_slots(lguest: LguestLan) -> None:
    devices = lguest.open_devices(lguest.pages.slots)
    sender = devices[341]
    frame = ethernet(GROUPS["broadcast"], sender.address)
    sender.transmit(frame)
    lguest.settle()
    same_frames(lguest, sender, [])
    for device in devices:
        if device is not sender:
            same("rx_packets of the device", device.counters.rx_packets, 1)
    same("tx_packets of the sender", sender.counters.tx_packets, 681)
    same_frames(lguest, devices[0], [frame])
    same_frames(lguest, devices[-1], [frame])


@rule("DLV-3")
@pytest.mark.parametrize("pages", [2, 4])
def test_broadcast_reaches_the_slots_of_every_page(lguest: LguestLan, pages: int) -> None:
    with lan_of_pages(lguest, pages) as lan:
        sender, *others = (lan.device(slot) for slot in (0, 681, 682, 683, lan.pages.slots - 1))
        for device in (sender, *others):
            same("result of opening the device", device.open(), 0)
        frame = ethernet(GROUPS["broadcast"], sender.address)
        sender.transmit(frame)
        lan.settle()
        same(
            "frames passed up by each device",
            [lan.received(device) for device in others],
            [[frame]] * 4,
        )
        same_frames(lan, sender, [])


# DLV-4: promiscuous peers


@rule("DLV-4")
def test_promiscuous_peer_sees_unicast_between_others_once(lan: Testbench) -> None:
    lan.require_promiscuous()
    sender, owner, listener, _ = lan.ports(4)
    listener.set_promiscuous(True)
    frame = ethernet(owner, sender)
    assert lan.exchange(sender, frame) == {owner: [frame], listener: [frame]}


@rule("DLV-4")
def test_promiscuous_peer_sees_a_group_frame_once(lan: Testbench) -> None:
    sender, other, listener = lan.ports(3)
    listener.set_promiscuous(True)
    frame = ethernet(GROUPS["broadcast"], sender)
    assert lan.exchange(sender, frame) == {other: [frame], listener: [frame]}


@rule("DLV-4")
def test_promiscuous_peer_sees_a_frame_to_itself_once(lan: Testbench) -> None:
    sender, listener = lan.pair()
    listener.set_promiscuous(True)
    frame = ethernet(listener, sender)
    assert lan.exchange(sender, frame) == {listener: [frame]}


@rule("DLV-4")
def test_promiscuous_peer_sees_what_nobody_else_wants(lan: Testbench) -> None:
    lan.require_promiscuous()
    sender, listener = lan.pair()
    listener.set_promiscuous(True)
    frame = ethernet(NOBODY, sender)
    assert lan.exchange(sender, frame) == {listener: [frame]}


@rule("DLV-4")
def test_a_peer_that_stops_listening_sees_only_its_own(lan: Testbench) -> None:
    lan.require_promiscuous()
    sender, owner, listener = lan.ports(3)
    frame = ethernet(owner, sender)
    for on, expected in (
        (True, {owner: [frame], listener: [frame]}),
        (False, {owner: [frame]}),
        (True, {owner: [frame], listener: [frame]}),
    ):
        listener.set_promiscuous(on)
        assert lan.exchange(sender, frame) == expected


@rule("DLV-4")
@pytest.mark.parametrize("pages", [1, 2, 4])
def test_a_promiscuous_peer_in_any_slot_sees_everything(lguest: LguestLan, pages: int) -> None:
    with lan_of_pages(lguest, pages) as lan:
        last = lan.pages.slots - 1
        sender, owner = lan.open_devices(2)
        listeners = [lan.device(slot=slot) for slot in (last, last // 2, 2)]
        for listener in listeners:
            listener.set_flags(promiscuous=True)
            same("result of opening the listener", listener.open(), 0)
        frame = ethernet(owner.address, sender.address)
        sender.transmit(frame)
        lan.settle()
        same(
            "frames passed up by port",
            [lan.received(port) for port in (owner, *listeners)],
            [[frame]] * 4,
        )
        same_frames(lan, sender, [])


@rule("DLV-4")
def test_promiscuous_peers_see_each_other(lan: Testbench) -> None:
    lan.require_promiscuous()
    sender, owner, one, two = lan.ports(4)
    one.set_promiscuous(True)
    two.set_promiscuous(True)
    frame = ethernet(owner, sender)
    assert lan.exchange(sender, frame) == {owner: [frame], one: [frame], two: [frame]}
    frame = ethernet(owner, one)
    assert lan.exchange(one, frame) == {owner: [frame], two: [frame]}


@rule("DLV-4")
def test_a_promiscuous_peer_sees_what_is_for_one_that_left(lan: Testbench) -> None:
    lan.require_promiscuous()
    sender, leaves, listener = lan.ports(3)
    listener.set_promiscuous(True)
    leaves.close()
    frame = ethernet(leaves, sender)
    assert lan.exchange(sender, frame) == {listener: [frame]}


@rule("DLV-4")
def test_a_peer_that_returns_changes_no_mode_of_others(lan: Testbench) -> None:
    lan.require_promiscuous()
    sender, owner, leaves, listener = lan.ports(4)
    listener.set_promiscuous(True)
    leaves.close()
    leaves.open()
    frame = ethernet(owner, sender)
    assert lan.exchange(sender, frame) == {owner: [frame], listener: [frame]}


@rule("DLV-4")
def test_a_peer_that_left_while_promiscuous_can_stop_when_it_is_back(lan: Testbench) -> None:
    lan.require_promiscuous()
    sender, owner, leaves = lan.ports(3)
    leaves.set_promiscuous(True)
    leaves.close()
    leaves.open()
    leaves.set_promiscuous(False)
    frame = ethernet(owner, sender)
    assert lan.exchange(sender, frame) == {owner: [frame]}


# DLV-5: never the sender


@rule("DLV-5")
@pytest.mark.parametrize("promiscuous", [False, True])
def test_a_frame_to_ones_own_address_goes_nowhere(lan: Testbench, promiscuous: bool) -> None:
    sender, other = lan.pair()
    sender.set_promiscuous(promiscuous)
    frame = ethernet(sender, sender)
    assert lan.exchange(sender, frame) == ({sender: [frame]} if lan.traits.hairpin else {})
    answer = ethernet(sender, other)
    assert lan.exchange(other, answer) == {sender: [answer]}


@rule("DLV-5")
@pytest.mark.parametrize("group", ["broadcast", "ipv4-multicast", "local-group"])
@pytest.mark.parametrize("promiscuous", [False, True])
def test_a_group_frame_does_not_come_back(lan: Testbench, group: str, promiscuous: bool) -> None:
    sender, *others = lan.some_ports(3)
    sender.set_promiscuous(promiscuous)
    sender.join_groups(1)
    frame = ethernet(GROUPS[group], sender)
    assert lan.exchange(sender, frame) == {port: [frame] for port in others}


@rule("DLV-5")
def test_a_promiscuous_sender_does_not_hear_itself(lan: Testbench) -> None:
    sender, owner = lan.pair()
    sender.set_promiscuous(True)
    frame = ethernet(owner, sender)
    assert lan.exchange(sender, frame) == {owner: [frame]}


@rule("DLV-5")
@pytest.mark.parametrize("promiscuous", [False, True])
@pytest.mark.parametrize("destination", ["broadcast", "own", "other"])
def test_no_transfer_to_ones_own_slot_is_tried(
    lguest: LguestLan, destination: str, promiscuous: bool
) -> None:
    sender, one, other = lguest.open_devices(3)
    sender.set_flags(promiscuous=promiscuous)
    to = {"broadcast": GROUPS["broadcast"], "own": sender.address, "other": one.address}
    frame = ethernet(to[destination], sender.address)
    sender.transmit(frame)
    reached = {"broadcast": 2, "own": 0, "other": 1}[destination]
    same(
        "tx_packets of the sender and tx_carrier_errors of the sender",
        (sender.counters.tx_packets, sender.counters.tx_carrier_errors),
        (reached, 0),
    )
    same("the sender has a pending interrupt", bool(sender.guest.pending), False)
    control = ethernet(GROUPS["broadcast"], other.address)
    other.transmit(control)
    lguest.settle()
    same_frames(lguest, sender, [control])


# DLV-6: never an unused slot


@rule("DLV-6")
def test_a_peer_that_left_receives_nothing(lan: Testbench) -> None:
    sender, stays, leaves = lan.ports(3)
    leaves.close()
    frame = ethernet(leaves, sender)
    assert lan.exchange(sender, frame) == {}
    frame = ethernet(GROUPS["broadcast"], sender)
    assert lan.exchange(sender, frame) == {stays: [frame]}
    leaves.open()
    frame = ethernet(leaves, sender, stamp=1)
    assert lan.exchange(sender, frame) == {leaves: [frame]}


@rule("DLV-6")
def test_a_promiscuous_peer_that_left_receives_nothing(lan: Testbench) -> None:
    lan.require_promiscuous()
    sender, owner, leaves = lan.ports(3)
    leaves.set_promiscuous(True)
    leaves.close()
    frame = ethernet(owner, sender)
    assert lan.exchange(sender, frame) == {owner: [frame]}
    leaves.open()
    assert lan.exchange(sender, frame) == {owner: [frame], leaves: [frame]}


@rule("DLV-6")
@pytest.mark.parametrize("destination", ["broadcast", "own", "nobody"])
def test_buffers_bound_to_an_unused_slot_stay_empty(lguest: LguestLan, destination: str) -> None:
    sender, other, hidden = lguest.open_devices(3)
    lguest.pages.publish(hidden.slot, b"\0" + hidden.address[1:])
    to = {"broadcast": GROUPS["broadcast"], "own": hidden.address, "nobody": bytes(6)}
    frame = ethernet(to[destination], sender.address)
    sender.transmit(frame)
    lguest.settle()
    same_frames(lguest, hidden, [])
    same_frames(lguest, other, [frame] if destination == "broadcast" else [])
    lguest.pages.publish(hidden.slot, hidden.address)
    control = ethernet(hidden.address, sender.address, stamp=1)
    sender.transmit(control)
    lguest.settle()
    same_frames(lguest, hidden, [control])


@rule("DLV-6")
@pytest.mark.parametrize("left", [False, True])
def test_no_transfer_to_an_unused_slot_is_tried(lguest: LguestLan, left: bool) -> None:
    first, gap, last = (lguest.device(slot) for slot in (3, 5, 9))
    for device in (first, gap, last) if left else (first, last):
        same("result of opening the device", device.open(), 0)
    if left:
        gap.close()
    for destination in (GROUPS["broadcast"], gap.address, bytes(6)):
        same(
            "result of a transmit by the first",
            first.transmit(ethernet(destination, first.address)),
            0,
        )
    same(
        "tx_packets of the first and tx_carrier_errors of the first",
        (first.counters.tx_packets, first.counters.tx_carrier_errors),
        (1, 0),
    )
    lguest.settle()
    same("number of frames passed up by the last", len(lguest.received(last)), 1)
    same_frames(lguest, gap, [])


# DLV-7: an address that no port publishes


@rule("DLV-7")
@pytest.mark.parametrize(
    "destination", ["020000000000", "02001234abcd", "000000000000", "fe" * 6, "02" + "ff" * 5]
)
def test_an_address_that_nobody_has_reaches_nobody(lan: Testbench, destination: str) -> None:
    sender, *_ = lan.some_ports(3)
    assert lan.exchange(sender, ethernet(bytes.fromhex(destination), sender)) == {}


@rule("DLV-7")
def test_a_send_to_nobody_succeeds_and_counts_nothing(lguest: LguestLan) -> None:
    sender, other = lguest.open_devices(2)
    before = replace(sender.counters), replace(other.counters)
    same(
        "result of a transmit by the sender",
        sender.transmit(ethernet(NOBODY, sender.address)),
        0,
    )
    lguest.settle()
    same(
        "counters of the sender and counters of the other",
        (sender.counters, other.counters),
        before,
    )
    same_frames(lguest, other, [])
    same_frames(lguest, sender, [])
    control = ethernet(other.address, sender.address)
    sender.transmit(control)
    lguest.settle()
    same_frames(lguest, other, [control])


# DLV-8: another device of the same Guest


@rule("DLV-8")
@pytest.mark.parametrize("destination", ["broadcast", "own"])
def test_another_device_of_the_sender_does_not_receive(lguest: LguestLan, destination: str) -> None:
    sender, other = lguest.open_devices(2)
    second = lguest.second_device(sender.guest, slot=7)
    same("result of opening the second", second.open(), 0)
    lguest.pages.publish(second.slot, bytes.fromhex("02000000ee00"))
    to = GROUPS["broadcast"] if destination == "broadcast" else bytes.fromhex("02000000ee00")
    frame = ethernet(to, sender.address)
    same("result of a transmit by the sender", sender.transmit(frame), 0)
    lguest.settle()
    same_frames(lguest, second, [])
    same_frames(lguest, other, [frame] if destination == "broadcast" else [])
    same("tx_carrier_errors of the sender", sender.counters.tx_carrier_errors, 1)
    same(
        "tx_packets of the sender",
        sender.counters.tx_packets,
        1 if destination == "broadcast" else 0,
    )
    control = ethernet(bytes.fromhex("02000000ee00"), other.address, stamp=1)
    other.transmit(control)
    lguest.settle()
    same_frames(lguest, second, [control])
