"""B. What arrives, to the byte, and in which order (DLV-9 to DLV-11)."""

from __future__ import annotations

import pytest

from harness.comparing import raises, same
from harness.exchange import Testbench
from harness.frames import (
    GROUPS,
    LONGEST,
    ethernet,
    fragmented,
    payload,
    real_frames,
)
from harness.lan import FrameRefused, Layout
from harness.lans.lguest import LguestLan
from harness.lguest.events import Point
from harness.plugin.marks import rule

from .kit.steps import same_frames, send_bytes_to_slot

REAL = (
    "arp",
    "ipv4-udp",
    "ipv6-udp",
    "ipv6-neighbor-solicitation",
    "vlan",
    "vlan-in-vlan",
    "llc-stp",
    "llc-snap",
    "raw-802.3",
)


# DLV-9: the bytes


@rule("DLV-9")
@pytest.mark.parametrize("kind", REAL)
def test_real_frames_arrive_as_they_were_sent(lan: Testbench, kind: str) -> None:
    lan.require_vlans("vlan" in kind)
    sender, owner = lan.pair()
    frame = real_frames(owner, sender)[kind]
    assert lan.exchange(sender, frame) == {owner: [frame]}


@rule("DLV-9")
@pytest.mark.parametrize("kind", REAL)
def test_real_frames_to_everybody_arrive_as_they_were_sent(lan: Testbench, kind: str) -> None:
    lan.require_vlans("vlan" in kind)
    sender, *others = lan.some_ports(3)
    frame = real_frames(GROUPS["broadcast"], sender)[kind]
    assert lan.exchange(sender, frame) == {port: [frame] for port in others}


@rule("DLV-9")
@pytest.mark.parametrize("source", ["020000000099", "02ffffffffff", "0a0000000001", "000000000001"])
def test_a_foreign_source_address_is_not_rewritten(lan: Testbench, source: str) -> None:
    sender, owner = lan.pair()
    frame = ethernet(owner, bytes.fromhex(source))
    assert lan.exchange(sender, frame) == {owner: [frame]}


@rule("DLV-9")
def test_the_owners_own_address_as_source_is_not_checked(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    for source in (owner.address, bytes(6), GROUPS["broadcast"]):
        frame = ethernet(owner.address, source)
        sender.transmit(frame)
        lguest.settle()
        same("last of frames passed up by the owner", lguest.received(owner)[-1], frame)
    same("rx_packets of the owner", owner.counters.rx_packets, 3)
    same_frames(lguest, sender, [])


@rule("DLV-9")
@pytest.mark.parametrize("said", [0, 1, 38, 46, 1500])
def test_bytes_behind_the_length_that_a_frame_names_arrive_too(lan: Testbench, said: int) -> None:
    sender, owner = lan.pair()
    frame = ethernet(owner, sender, size=60, kind=said)
    assert lan.exchange(sender, frame) == {owner: [frame]}


@rule("DLV-9")
@pytest.mark.parametrize("fill", [0x00, 0xFF, 0xAA])
def test_uniform_bytes_and_zeroes_arrive_whole(lan: Testbench, fill: int) -> None:
    sender, owner = lan.pair()
    frame = ethernet(owner, sender, size=14) + bytes((fill,)) * 1500
    assert lan.exchange(sender, frame) == {owner: [frame]}


@rule("DLV-9")
def test_a_short_frame_after_a_long_one_brings_nothing_of_it(lan: Testbench) -> None:
    sender, owner = lan.pair()
    for turn in range(20):
        long = ethernet(owner, sender, size=LONGEST, stamp=2 * turn)
        short = ethernet(owner, sender, size=60, stamp=2 * turn + 1)
        assert lan.exchange(sender, long) == {owner: [long]}
        assert lan.exchange(sender, short) == {owner: [short]}


@rule("DLV-9")
@pytest.mark.parametrize(
    "layout",
    [
        Layout(offset=4000),
        Layout(offset=4095),
        fragmented(1000, 14, 1),
        fragmented(1000, 100, 3),
        fragmented(1000, 14, 15),
        fragmented(1000, 985, 15),
        Layout(14, 4090, ((986, 3110),)),
    ],
    ids=lambda layout: f"{layout.linear}@{layout.offset}+{len(layout.fragments)}",
)
def test_bytes_do_not_depend_on_where_they_lay(lguest: LguestLan, layout: Layout) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    frame = ethernet(owner.address, sender.address, size=1000)
    sender.transmit(frame, layout.linear, layout.offset, layout.fragments)
    lguest.settle()
    same_frames(lguest, owner, [frame])
    same_frames(lguest, bystander, [])
    same_frames(lguest, sender, [])


@rule("DLV-9")
@pytest.mark.parametrize(
    ("rx_offset", "size"), [(2582, 1514), (2583, 1513), (4036, 60), (4082, 14), (3000, 1096)]
)
def test_a_frame_up_to_a_page_boundary_of_the_receive_buffer_arrives_whole(
    lguest: LguestLan, rx_offset: int, size: int
) -> None:
    sender, owner = lguest.open_devices(2, rx_offset=rx_offset)
    frame = ethernet(owner.address, sender.address, size=size)
    sender.transmit(frame)
    lguest.settle()
    same_frames(lguest, owner, [frame])
    same_frames(lguest, sender, [])


@rule("DLV-9")
@pytest.mark.parametrize(
    ("rx_offset", "size"), [(2583, 1514), (4037, 60), (4083, 14), (4095, 1514), (3000, 1097)]
)
def test_a_frame_across_a_page_of_the_receive_buffer_arrives_whole(
    lguest: LguestLan, rx_offset: int, size: int
) -> None:
    sender, owner = lguest.open_devices(2, rx_offset=rx_offset)
    frame = ethernet(owner.address, sender.address, size=size)
    sender.transmit(frame)
    lguest.settle()
    same_frames(lguest, owner, [frame])


# DLV-10: the destination of a runt


@rule("DLV-10", "LEN-1")
@pytest.mark.parametrize("size", range(6, 14))
def test_a_runt_is_sent_counted_and_dropped(lguest: LguestLan, size: int) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    same(
        "result of a transmit by the sender",
        sender.transmit(ethernet(owner.address, sender.address, size=size)),
        0,
    )
    same("the owner has a pending interrupt", bool(owner.guest.pending), True)
    same("the bystander has a pending interrupt", bool(bystander.guest.pending), False)
    lguest.settle()
    same("tx_packets of the sender", sender.counters.tx_packets, 1)
    same("tx_bytes of the sender", sender.counters.tx_bytes, size)
    same("tx_carrier_errors of the sender", sender.counters.tx_carrier_errors, 0)
    same("rx_packets of the owner", owner.counters.rx_packets, 0)
    same("rx_bytes of the owner", owner.counters.rx_bytes, 0)
    same_frames(lguest, owner, [])
    same_frames(lguest, bystander, [])
    control = ethernet(owner.address, sender.address)
    sender.transmit(control)
    lguest.settle()
    same_frames(lguest, owner, [control])


@rule("DLV-10")
@pytest.mark.parametrize("size", range(6, 14))
def test_a_group_runt_is_offered_to_everybody(lguest: LguestLan, size: int) -> None:
    sender, *others = lguest.open_devices(4)
    sender.transmit(ethernet(GROUPS["broadcast"], sender.address, size=size))
    same(
        "others with a pending interrupt",
        [bool(device.guest.pending) for device in others],
        [True] * len(others),
    )
    same("the sender has a pending interrupt", bool(sender.guest.pending), False)
    same("tx_packets of the sender", sender.counters.tx_packets, 3)
    lguest.settle()
    for device in others:
        same_frames(lguest, device, [])


@rule("DLV-10")
@pytest.mark.parametrize("linear", [6, 7, 13, 14])
def test_six_linear_bytes_are_enough_to_find_the_receiver(lguest: LguestLan, linear: int) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    frame = ethernet(owner.address, sender.address, size=100)
    sender.transmit(frame, linear, 0, [(100 - linear, 20)])
    lguest.settle()
    same_frames(lguest, owner, [frame])
    same_frames(lguest, bystander, [])


@rule("DLV-10")
@pytest.mark.parametrize("linear", range(6))
def test_fewer_than_six_linear_bytes_are_refused(lguest: LguestLan, linear: int) -> None:
    sender, owner = lguest.ports(2)
    frame = ethernet(owner, sender, size=100)
    with raises("the error", FrameRefused, f"linear part of {linear} bytes is too short"):
        sender.send(frame, Layout(linear, 0, ((100 - linear, 0),)))
    with raises("the error", FrameRefused, f"linear part of {linear} bytes is too short"):
        sender.send(frame[:linear])
    lguest.settle()
    same("frames that arrived at the owner", owner.arrivals(), [])
    same("tx_packets of the sender", sender.device.counters.tx_packets, 0)
    same("tx_carrier_errors of the sender", sender.device.counters.tx_carrier_errors, 0)
    sender.send(frame)
    lguest.settle()
    same("frames that arrived", [arrival.frame for arrival in owner.arrivals()], [frame])


# DLV-11: order

UNORDERED = "frames may overtake each other"


@rule("DLV-11")
def test_frames_arrive_in_sending_order(lan: Testbench) -> None:
    lan.require(lan.traits.ordered, UNORDERED)
    sender, owner = lan.pair()
    sent = [ethernet(owner, sender, stamp=n) for n in range(8)]
    assert lan.exchange(sender, *sent) == {owner: sent}


@rule("DLV-11")
def test_batches_that_wrap_round_the_ring_keep_their_order(lan: Testbench) -> None:
    lan.require(lan.traits.ordered, UNORDERED)
    sender, owner = lan.pair()
    for turn, count in enumerate((5, 8, 3, 7, 6, 8, 1, 8)):
        sent = [ethernet(owner, sender, stamp=10 * turn + n) for n in range(count)]
        assert lan.exchange(sender, *sent) == {owner: sent}


@rule("DLV-11")
def test_the_order_is_the_same_while_others_may_act(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    seen: list[Point] = []
    lguest.host.interleave = lambda point, _: seen.append(point)
    sent = [ethernet(owner.address, sender.address, stamp=n) for n in range(18)]
    for start, end in ((0, 5), (5, 13), (13, 18)):
        for frame in sent[start:end]:
            sender.transmit(frame)
        lguest.settle()
    same("another CPU acted while an interrupt was handled", Point.TAKEN in seen, True)
    same_frames(lguest, owner, sent)


@rule("DLV-11")
def test_broadcasts_and_unicasts_keep_their_order(lan: Testbench) -> None:
    lan.require(lan.traits.ordered, UNORDERED)
    sender, owner, other = lan.ports(3)
    own, broadcast, group = owner.mac, GROUPS["broadcast"], GROUPS["ipv6-multicast"]
    kinds = (own, broadcast, own, own, group, own)
    sent = [ethernet(to, sender, stamp=n) for n, to in enumerate(kinds)]
    groups = [frame for frame in sent if frame[0] & 1]
    assert lan.exchange(sender, *sent) == {owner: sent, other: groups}


@rule("DLV-11")
def test_long_and_short_frames_keep_their_order(lan: Testbench) -> None:
    lan.require(lan.traits.ordered, UNORDERED)
    sender, owner = lan.pair()
    sizes = (1514, 60, 1000, 14, 1514, 61, 60, 1513)
    sent = [ethernet(owner, sender, size=size, stamp=n) for n, size in enumerate(sizes)]
    assert lan.exchange(sender, *sent) == {owner: sent}


@rule("DLV-11")
@pytest.mark.parametrize("empty", [1, 3, 4])
def test_empty_dmas_that_carry_the_cursor_round_change_nothing_of_the_order(
    lguest: LguestLan, empty: int
) -> None:
    sender, owner = lguest.open_devices(2)
    sent = [ethernet(owner.address, sender.address, stamp=n) for n in range(6)]
    sender.transmit(sent[0])
    for frame in sent[1:]:
        for _ in range(empty):
            same(
                "used_len, SEND_DMA of the sender",
                send_bytes_to_slot(sender, owner.slot, b""),
                0,
            )
        sender.transmit(frame)
    lguest.settle()
    same_frames(lguest, owner, sent)


@rule("DLV-11")
def test_two_senders_each_keep_their_own_order(lan: Testbench) -> None:
    lan.require(lan.traits.ordered, UNORDERED)
    one, two, owner = lan.ports(3)
    sent = [(sender, ethernet(owner, sender, stamp=n)) for n in range(4) for sender in (one, two)]
    received = lan.exchange_all(sent)
    for sender in (one, two):
        mine = tuple(frame for by, frame in sent if by is sender)
        same("frame", tuple(frame for frame in received[owner] if frame in mine), mine)
    same("received, number one", received[one], ())
    same("received, number two", received[two], ())
    same("number of received, number owner", len(received[owner]), len(sent))


def test_payload_streams_are_all_different() -> None:
    streams = {payload(16, stamp) for stamp in range(1000)}
    same("number of streams", len(streams), 1000)
