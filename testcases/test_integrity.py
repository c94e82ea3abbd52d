"""INT. What arrives is what was sent: every length, tag, type and pattern."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6ND_RA, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from harness.comparing import same
from harness.exchange import Testbench
from harness.frames import BROADCAST, EXPERIMENTAL, HEADER, LONGEST, ethernet, payload
from harness.plugin.marks import rule

from .kit.tags import CUSTOMER, OLD_SERVICE, SERVICE, tagged

BUFFERS = (1514, 1518, 1522, 1600, 2048, 4096, 8192, 9000, 9018, 16_384, 65_535)
"""Lengths at which buffers end."""

TYPES = (0x0000, 0x0001, 0x002E, 0x05DC, 0x05DD, 0x05FF, 0x0600, 0x0800, 0x0806, 0x6558, 0x86DD)
MORE_TYPES = (0x8847, 0x8863, 0x8864, 0x888E, 0x88CC, 0x88E5, 0x88F7, 0x8906, 0x9000, 0xFFFF)
SECRET = 0xA5


def longest(lan: Testbench) -> int:
    """Bytes in the longest frame that arrives whole."""
    cut = lan.traits.oversized == "cut"
    return min(lan.traits.longest, LONGEST) if cut else lan.traits.longest


# INT-1


@rule("INT-1")
@pytest.mark.parametrize("part", range(8))
def test_a_frame_of_every_length_arrives_whole(lan: Testbench, part: int) -> None:
    sender, owner = lan.pair()
    shortest = max(HEADER, lan.traits.shortest)
    lengths = list(range(shortest, min(longest(lan), LONGEST) + 1))[part::8]
    frames = [ethernet(owner, sender, size=size, stamp=size) for size in lengths]
    lan.stream((sender, frame) for frame in frames)


@rule("INT-1")
def test_lengths_around_common_buffer_sizes_arrive_whole(lan: Testbench) -> None:
    sender, owner = lan.pair()
    sizes = {size + step for size in BUFFERS for step in (-4, -1, 0, 1, 4)}
    sizes |= {longest(lan) + step for step in (-4, -1, 0)}
    taken = sorted(size for size in sizes if LONGEST - 8 < size <= longest(lan))
    frames = [ethernet(owner, sender, size=size, stamp=size) for size in taken]
    lan.stream(((sender, frame) for frame in frames), one_by_one=True)


@rule("INT-1")
def test_broadcasts_of_many_lengths_arrive_whole(lan: Testbench) -> None:
    sender, *_ = lan.some_ports(3)
    shortest = max(HEADER, lan.traits.shortest)
    sizes = sorted(
        {*range(shortest, shortest + 64), *range(64, longest(lan) + 1, 97), longest(lan)}
    )
    lan.stream(
        ((sender, ethernet(BROADCAST, sender, size=size, stamp=size)) for size in sizes),
        one_by_one=True,
    )


@rule("INT-1")
def test_a_frame_that_ends_in_its_own_checksum_arrives_whole(lan: Testbench) -> None:
    sender, owner = lan.pair()
    for size in (60, 100, 1000):
        frame = ethernet(owner, sender, size=size)
        fcs = zlib.crc32(frame)
        for order in ("little", "big"):
            lan.wire(sender, frame + fcs.to_bytes(4, order))


# INT-2

TAGS = [
    (kind, priority, drop, vlan)
    for kind in (CUSTOMER, SERVICE, OLD_SERVICE)
    for priority, drop, vlan in (
        (0, False, 0),
        (7, False, 1),
        (3, True, 42),
        (5, True, 4094),
        (1, False, 4095),
    )
]


@rule("INT-2")
@pytest.mark.parametrize(("kind", "priority", "drop", "vlan"), TAGS)
def test_a_tag_arrives_as_it_was_sent(
    lan: Testbench, kind: int, priority: int, drop: bool, vlan: int
) -> None:
    lan.require_vlans()
    sender, owner = lan.pair()
    for to in (owner.mac, BROADCAST, bytes.fromhex("01005e000009")):
        frame = tagged(
            ethernet(to, sender, size=100), kind=kind, priority=priority, drop=drop, vlan=vlan
        )
        lan.wire(sender, frame)


@rule("INT-2")
@pytest.mark.parametrize("outer", [SERVICE, CUSTOMER, OLD_SERVICE])
def test_two_tags_arrive_as_they_were_sent(lan: Testbench, outer: int) -> None:
    lan.require_vlans()
    sender, owner = lan.pair()
    for first, second in ((0, 0), (2, 5), (7, 1)):
        inner = tagged(ethernet(owner, sender, size=100, stamp=first), vlan=7, priority=second)
        lan.wire(sender, tagged(inner, kind=outer, vlan=100, priority=first))


@rule("INT-2")
def test_tagged_frames_of_every_length_arrive_whole(lan: Testbench) -> None:
    lan.require_vlans()
    sender, owner = lan.pair()
    top = min(longest(lan), LONGEST + 4) - 4
    sizes = sorted({*range(60, 70), *range(60, top, 89), *range(top - 8, top + 1)})
    lan.stream(
        ((sender, tagged(ethernet(owner, sender, size=size, stamp=size))) for size in sizes),
        one_by_one=True,
    )


@rule("INT-2")
@pytest.mark.parametrize("outer", [SERVICE, CUSTOMER])
def test_frames_with_two_tags_of_many_lengths_arrive_whole(lan: Testbench, outer: int) -> None:
    lan.require_vlans()
    sender, owner = lan.pair()
    top = min(longest(lan), LONGEST + 8) - 8
    sizes = sorted({*range(60, 68), *range(60, top, 97), *range(top - 8, top + 1)})
    lan.stream(
        (
            (sender, tagged(tagged(ethernet(to, sender, size=size, stamp=size)), kind=outer))
            for to in (owner.mac, BROADCAST)
            for size in sizes
        ),
        one_by_one=True,
    )


@rule("INT-2")
@pytest.mark.parametrize("kind", [CUSTOMER, SERVICE])
def test_short_tagged_frames_arrive_as_short_frames_do(lan: Testbench, kind: int) -> None:
    """Up to 64 bytes, with the tag and without it; Linux drops what has no two bytes of payload."""
    lan.require_vlans()
    sender, owner = lan.pair()
    sizes = range(max(HEADER + 6, lan.traits.shortest), 69)
    frames = [
        tagged(ethernet(to, sender, size=size - 4, stamp=size), kind=kind, vlan=size)
        for to in (owner.mac, BROADCAST)
        for size in sizes
    ]
    lan.stream(((sender, frame) for frame in frames), one_by_one=True)


@rule("INT-2")
def test_tagged_broadcasts_and_multicasts_of_many_lengths_arrive_whole(lan: Testbench) -> None:
    lan.require_vlans()
    sender, *_ = lan.some_ports(3)
    top = min(longest(lan), LONGEST + 4) - 4
    groups = (BROADCAST, bytes.fromhex("01005e0000fb"), bytes.fromhex("333300000001"))
    lan.stream(
        (
            (sender, tagged(ethernet(group, sender, size=size, stamp=size), vlan=size % 4094 + 1))
            for group in groups
            for size in (60, 64, 128, 512, 1024, top - 1, top)
        ),
        one_by_one=True,
    )


# INT-3


@rule("INT-3")
@pytest.mark.parametrize("kind", [*TYPES, *MORE_TYPES], ids=lambda kind: f"{kind:#06x}")
def test_a_special_type_or_length_is_carried(lan: Testbench, kind: int) -> None:
    sender, owner = lan.pair()
    frame = ethernet(owner, sender, kind=kind)
    assert lan.exchange(sender, frame) == {owner: [frame]}


@rule("INT-3")
def test_types_and_lengths_of_all_sizes_are_carried(lan: Testbench) -> None:
    sender, owner = lan.pair()
    left_out = {0x8100, 0x88A8, 0x9100, 0x8808}
    kinds = [kind for kind in range(3, 65_536, 499) if kind not in left_out]
    lan.stream((sender, ethernet(owner, sender, kind=kind, stamp=kind)) for kind in kinds)


@rule("INT-3")
def test_bytes_after_the_802_3_length_are_carried(lan: Testbench) -> None:
    sender, owner = lan.pair()
    sizes = [size for size in (60, 61, 100, 512, 1514) if size <= longest(lan)]
    lan.stream(
        (
            (sender, ethernet(to, sender, size=size, kind=length, stamp=length))
            for to in (owner.mac, BROADCAST)
            for size in sizes
            for length in (3, 38, 45, 46, 47, 60, 300, 1499, 1500)
            if length < size - HEADER
        ),
        one_by_one=True,
    )


@rule("INT-3")
def test_bit_patterns_are_carried(lan: Testbench) -> None:
    sender, owner = lan.pair()
    head = ethernet(owner, sender, size=HEADER)
    patterns = [bytes((value,)) * 200 for value in (0x00, 0xFF, 0xAA, 0x55, 0x7E, 0x7D, 0x1B)]
    patterns += [bytes(range(256)), bytes((0, 255)) * 100, b"\xaa\xaa\x03" + bytes(197)]
    patterns += [bytes(200 - n) + b"\1" + bytes(n) for n in (0, 1, 99, 199)]
    lan.stream(((sender, head + pattern) for pattern in patterns), one_by_one=True)


@rule("INT-3")
def test_frames_that_switches_guard_against_are_carried(lan: Testbench) -> None:
    sender, owner, other = lan.ports(3)
    lan.stream(
        ((sender, frame) for frame in guarded(owner.mac, sender.mac, other.mac)), one_by_one=True
    )


def guarded(owner: bytes, sender: bytes, other: bytes) -> Iterator[bytes]:
    """DHCP, router advertisements, ARP of another's address, and more that is often filtered."""
    ether = Ether(src=sender.hex(":"), dst=owner.hex(":"))
    ip = IP(src="192.0.2.1", dst="192.0.2.2")
    for ports in ((67, 68), (68, 67), (53, 5353), (0, 0), (1985, 1985), (4789, 4789)):
        yield bytes(ether / ip / UDP(sport=ports[0], dport=ports[1]) / Raw(payload(100, ports[0])))
    yield bytes(ether / ARP(op=2, hwsrc=other.hex(":"), psrc="192.0.2.3"))
    yield bytes(ether / IP(src="192.0.2.1", dst="192.0.2.1", ttl=1) / UDP() / Raw(payload(40, 1)))
    yield bytes(ether / IP(src="0.0.0.0", dst="255.255.255.255", ttl=0) / Raw(payload(40, 2)))
    yield bytes(ether / IP(src="192.0.2.1", dst="192.0.2.2", flags="MF", frag=3) / payload(40, 3))
    yield bytes(ether / IPv6(src="fe80::1", dst="fe80::2") / ICMPv6ND_RA())
    yield bytes(ether / IPv6(src="fe80::1", dst="fe80::2") / UDP() / Raw(payload(40, 4)))
    for access_point in (0x00, 0x06, 0x42, 0xAA, 0xE0, 0xF0, 0xFE, 0xFF):
        llc = bytes((access_point, access_point, 3))
        yield bytes(owner + sender + struct.pack(">H", 60) + llc + payload(57, access_point))


@rule("INT-3")
def test_what_middleboxes_rewrite_is_left_alone(lan: Testbench) -> None:
    sender, owner = lan.pair()
    lan.stream(
        ((sender, frame) for frame in rewritten(owner.mac, sender.mac)),
        one_by_one=True,
    )


def rewritten(owner: bytes, sender: bytes) -> Iterator[bytes]:
    """TCP options, service classes, congestion marks, hop limits, and more of that kind."""
    ether = Ether(src=sender.hex(":"), dst=owner.hex(":"))
    networks = (
        lambda **fields: IP(src="192.0.2.1", dst="192.0.2.2", **fields),
        lambda **fields: IPv6(src="2001:db8::1", dst="2001:db8::2", **fields),
    )
    for size in (536, 1220, 1460, 8960, 65_495):
        options = [("MSS", size), ("SAckOK", b""), ("Timestamp", (1, 0)), ("WScale", 7)]
        for network in networks:
            for flags in ("S", "SA"):
                yield bytes(ether / network() / TCP(flags=flags, options=options))
    for mark in (0x02, 0x03, 0x2E << 2, 0xFF):
        yield bytes(ether / networks[0](tos=mark) / UDP() / Raw(payload(40, mark)))
        yield bytes(ether / networks[1](tc=mark) / UDP() / Raw(payload(40, mark)))
    for hops in (0, 1, 2, 64, 255):
        yield bytes(ether / networks[0](ttl=hops, id=hops) / UDP() / Raw(payload(40, hops)))
        yield bytes(ether / networks[1](hlim=hops, fl=hops) / UDP() / Raw(payload(40, hops)))
    for bits in ("DF", "MF", 4):
        yield bytes(ether / networks[0](flags=bits) / ICMP() / Raw(payload(60, 1)))
    yield bytes(ether / networks[0](options=[b"\x07\x07\x04\0\0\0\0\0"]) / UDP() / payload(40, 2))
    for port in (21, 53, 69, 123, 319, 500, 1701, 4500, 5060):
        yield bytes(ether / networks[0]() / UDP(sport=port, dport=port) / Raw(payload(80, port)))
    for protocol in (2, 4, 41, 47, 50, 51, 89, 103, 112, 132):
        yield bytes(ether / networks[0](proto=protocol) / Raw(payload(60, protocol)))


@rule("INT-3")
def test_a_pause_frame_silences_nobody(lan: Testbench) -> None:
    ports = lan.ports(3)
    pause = struct.pack(">HH", 1, 0xFFFF) + bytes(42)
    for sender in ports[:2]:
        for to in (bytes.fromhex("0180c2000001"), ports[2].mac):
            lan.wire(sender, to + sender.mac + b"\x88\x08" + pause)
    for number, sender in enumerate(ports):
        owner = ports[(number + 1) % 3]
        for turn in range(3):
            frame = ethernet(owner, sender, stamp=turn)
            assert lan.exchange(sender, frame) == {owner: [frame]}


# INT-4


@rule("INT-4")
def test_a_short_frame_holds_no_byte_of_a_long_one_before_it(lan: Testbench) -> None:
    sender, owner = lan.pair()
    shortest = max(HEADER, lan.traits.shortest)
    for size in sorted({shortest, shortest + 1, 30, 46, 59, 60, 61} - set(range(shortest))):
        secret = ethernet(owner, sender, size=HEADER) + bytes((SECRET,)) * 1000
        frame = ethernet(owner, sender, size=HEADER) + bytes(size - HEADER)
        lan.wire(sender, secret)
        received = lan.wire(sender, frame)[owner]
        same(
            "arrivals with the secret",
            [arrival for arrival in received if SECRET in arrival[HEADER:]],
            [],
        )


@rule("INT-4")
def test_short_frames_of_every_length_arrive_whole_or_padded(lan: Testbench) -> None:
    sender, owner = lan.pair()
    for size in range(max(HEADER, lan.traits.shortest), 62):
        frame = ethernet(owner, sender, size=size, stamp=size)
        arrivals = lan.wire(sender, frame)[owner]
        filled = frame.ljust(60, b"\0")
        allowed = {None: [frame, filled], 0: [frame], 60: [filled]}[lan.traits.padding]
        same("number of arrivals", len(arrivals), 1)
        same("the arrival is an allowed form of the frame", arrivals[0] in allowed, True)


# INT-5


def oversized(lan: Testbench) -> Iterator[int]:
    """Lengths above what the LAN takes, as far as there can be a frame of them."""
    top = lan.traits.longest
    yield from (size for size in (top + 1, top + 4, top + 5, 2 * top, 65_535) if size > top)


@rule("INT-5")
def test_a_frame_that_is_too_long_harms_nothing_that_follows(lan: Testbench) -> None:
    sender, owner = lan.pair()
    before = ethernet(owner, sender)
    assert lan.exchange(sender, before) == {owner: [before]}
    for number, size in enumerate(oversized(lan)):
        lan.try_sending(sender, ethernet(owner, sender, size=size, stamp=size))
        for one, other in ((sender, owner), (owner, sender)):
            frame = ethernet(other, one, size=60 + number, stamp=number)
            assert lan.exchange(one, frame) == {other: [frame]}


@rule("INT-5")
def test_a_broadcast_that_is_too_long_harms_nothing_that_follows(lan: Testbench) -> None:
    sender, *others = lan.some_ports(3)
    before = ethernet(BROADCAST, sender)
    assert lan.exchange(sender, before) == {port: [before] for port in others}
    for size in oversized(lan):
        lan.try_sending(sender, ethernet(BROADCAST, sender, size=size, stamp=size))
        frame = ethernet(BROADCAST, sender, stamp=size)
        assert lan.exchange(sender, frame) == {port: [frame] for port in others}


@rule("INT-5")
def test_an_input_that_is_too_short_harms_nothing_that_follows(lan: Testbench) -> None:
    sender, owner = lan.pair()
    for size in (1, 5, 6, 12, 13):
        lan.try_sending(sender, ethernet(owner, sender, size=size))
        frame = ethernet(owner, sender, stamp=size)
        assert lan.exchange(sender, frame) == {owner: [frame]}


# INT-6


def segments(sender: bytes, owner: bytes, size: int, count: int) -> list[bytes]:
    """TCP segments of one flow, each right behind the one before."""
    head = Ether(src=sender.hex(":"), dst=owner.hex(":")) / IP(src="192.0.2.1", dst="192.0.2.2")
    return [
        bytes(
            head
            / TCP(sport=4000, dport=80, seq=1000 + number * size, ack=1, flags="A", window=512)
            / Raw(payload(size, number))
        )
        for number in range(count)
    ]


@rule("INT-6")
@pytest.mark.parametrize("size", [10, 536, 1448, 1460])
def test_segments_of_a_flow_arrive_as_they_were_sent(lan: Testbench, size: int) -> None:
    sender, owner = lan.pair()
    lan.require_length(size + 54)
    lan.stream((sender, frame) for frame in segments(sender.mac, owner.mac, size, 24))


@rule("INT-6")
def test_wrong_checksums_arrive_wrong(lan: Testbench) -> None:
    sender, owner = lan.pair()
    for frame in segments(sender.mac, owner.mac, 100, 4):
        broken = frame[:50] + struct.pack(">H", 0xDEAD) + frame[52:]
        bad_ip = frame[:24] + b"\xbe\xef" + frame[26:]
        lan.wire(sender, broken)
        lan.wire(sender, bad_ip)


@rule("INT-6")
def test_checksums_that_look_unfinished_arrive_unfinished(lan: Testbench) -> None:
    """None at all (0), its other form (ffff), and the sum that a card is left to finish."""
    sender, owner = lan.pair()
    ether = Ether(src=sender.mac.hex(":"), dst=owner.mac.hex(":"))
    networks = (
        (ether / IP(src="192.0.2.1", dst="192.0.2.2"), 14 + 20),
        (ether / IPv6(src="fe80::1", dst="fe80::2"), 14 + 40),
    )
    for network, start in networks:
        for protocol, at, number in (
            (UDP(sport=5000, dport=6000), 6, 17),
            (TCP(sport=4000, dport=80), 16, 6),
        ):
            packet = bytes(network / protocol / Raw(payload(30, at)))
            addresses = packet[26:34] if start == 34 else packet[22:54]
            for checksum in (0, 0xFFFF, _pseudo_sum(addresses, len(packet) - start, number)):
                place = start + at
                lan.wire(sender, packet[:place] + struct.pack(">H", checksum) + packet[place + 2 :])


def _pseudo_sum(addresses: bytes, length: int, protocol: int) -> int:
    """The sum over the pseudo header alone, as a kernel leaves it for the card."""
    words = [
        int.from_bytes(addresses[place : place + 2], "big") for place in range(0, len(addresses), 2)
    ]
    total = sum(words) + length + protocol
    return (total & 0xFFFF) + (total >> 16)


@rule("INT-6")
def test_bytes_behind_the_end_of_a_packet_arrive(lan: Testbench) -> None:
    sender, owner = lan.pair()
    for size, more in ((0, 6), (10, 1), (100, 40)):
        for frame in segments(sender.mac, owner.mac, size, 2):
            lan.wire(sender, frame + payload(more, size))


@rule("INT-6")
def test_a_large_segment_is_not_split(lan: Testbench) -> None:
    lan.require(longest(lan) > 3000, "carries no frame over 3,000 bytes whole")
    sender, owner = lan.pair()
    size = min(longest(lan), 9000) - 54
    for frame in segments(sender.mac, owner.mac, size, 3):
        assert lan.exchange(sender, frame) == {owner: [frame]}


@rule("INT-3")
def test_a_frame_of_the_experimental_type_is_carried_to_everybody(lan: Testbench) -> None:
    sender, *others = lan.some_ports(3)
    frame = ethernet(BROADCAST, sender, kind=EXPERIMENTAL, size=200)
    assert lan.exchange(sender, frame) == {port: [frame] for port in others}
