"""LRN. What a learning LAN learns, and what it does with it (IEEE 802.1Q 8.6 to 8.8)."""

from __future__ import annotations

import pytest
from scapy.layers.dhcp import BOOTP
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

from harness.exchange import Testbench
from harness.frames import BROADCAST, GROUPS, LONGEST, ethernet, real_frames
from harness.plugin.marks import rule

from .kit.tags import tagged

MANY = 200
UNDECLARED = 64
"""Addresses that a LAN's table is taken to hold if it does not declare how many."""
"""Addresses that a table should hold, if its LAN declares nothing."""


# LRN-1


@rule("LRN-1")
def test_an_unknown_unicast_is_flooded_to_all_others(lan: Testbench) -> None:
    sender, *others = lan.some_ports(4)
    for number in range(5):
        frame = ethernet(lan.fresh_address(), sender, stamp=number)
        assert lan.wire(sender, frame) == {port: [frame] for port in others}


@rule("LRN-1")
@pytest.mark.parametrize("size", [60, 1000, LONGEST])
def test_an_unknown_unicast_of_any_length_is_flooded(lan: Testbench, size: int) -> None:
    lan.require_length(size)
    sender, *others = lan.some_ports(3)
    frame = ethernet(lan.fresh_address(), sender, size=size)
    assert lan.wire(sender, frame) == {port: [frame] for port in others}


@rule("LRN-1")
def test_flooding_an_address_does_not_teach_it(lan: Testbench) -> None:
    sender, *others = lan.some_ports(3)
    unknown = lan.fresh_address()
    for number in range(3):
        frame = ethernet(unknown, sender, stamp=number)
        assert lan.wire(sender, frame) == {port: [frame] for port in others}


@rule("LRN-1")
def test_a_burst_of_unknown_unicasts_is_flooded(lan: Testbench) -> None:
    sender, *_ = lan.some_ports(3)
    lan.stream(
        (sender, ethernet(lan.fresh_address(), sender, stamp=number))
        for number in range(min(lan.traits.burst, 256))
    )


@rule("LRN-1")
def test_a_unicast_to_the_zero_address_is_flooded(lan: Testbench) -> None:
    lan.require(lan.traits.learns_zero is False, "may have learned the zero address")
    sender, *others = lan.some_ports(4)
    frame = ethernet(bytes(6), sender)
    assert lan.wire(sender, frame) == {port: [frame] for port in others}


@rule("LRN-1")
def test_an_address_that_is_like_a_known_one_is_flooded(lan: Testbench) -> None:
    sender, owner, *others = lan.some_ports(4, least=3)
    known = bytes(byte & 0xFE for byte in lan.fresh_address())
    lan.teach(owner, known)
    one, two, three, four, five, six = known
    alike = {
        bytes((three, four, one, two, five, six)),
        bytes((five, six, three, four, one, two)),
        bytes((two, one, four, three, six, five)),
        bytes((six, five, four, three, two, one)),
        bytes((one ^ 2, two, three ^ 2, four, five, six)),
        bytes((one, two, three, four ^ 6, five, six ^ 6)),
        bytes((one, two, (three + 2) % 256, (four - 2) % 256, five, six)),
    } - {known}
    for number, address in enumerate(sorted(alike)):
        frame = ethernet(address, sender, stamp=number)
        assert lan.wire(sender, frame) == {port: [frame] for port in (owner, *others)}


@rule("LRN-1")
def test_no_other_address_is_taken_for_a_known_one(lan: Testbench) -> None:
    """One bit off, or one that an ill-made key of a table cannot tell from it."""
    sender, owner, *_ = lan.some_ports(4, least=3)
    plain = lan.fresh_address()
    known = [plain[:3] + tail for tail in (b"\x01\x23\xf1", b"\x80\x01\x7f", b"\x0a\xbc\x0d")]
    for address in known:
        lan.teach(owner, address)
    others = [plain[:3] + tail for tail in (b"\x12\x03\xf1", b"\x01\x2f\x31", b"\xab\x0c\x0d")]
    for address in known:
        others += [
            address[:place] + bytes((address[place] ^ bit,)) + address[place + 1 :]
            for place in range(6)
            for bit in (0x02, 0x10, 0x80)
        ]
    lan.stream((sender, ethernet(address, sender)) for address in others if address not in known)
    for number, address in enumerate(known):
        frame = ethernet(address, sender, stamp=number)
        assert lan.wire(sender, frame) == {owner: [frame]}


@rule("LRN-1")
def test_a_port_that_has_not_spoken_yet_receives_what_is_flooded(lan: Testbench) -> None:
    sender, silent, *others = lan.some_ports(4, least=3)
    silent.close()
    silent.open(silently=True)
    frame = ethernet(lan.fresh_address(), sender)
    assert lan.wire(sender, frame) == {port: [frame] for port in (silent, *others)}


# LRN-2


@rule("LRN-2")
def test_addresses_with_extreme_bytes_are_known_like_any_other(lan: Testbench) -> None:
    lan.require(not lan.traits.lag_s, "learns late, so that one frame proves nothing")
    lan.require((lan.traits.addresses or UNDECLARED) > 60, "its table is too small")
    sender, owner = lan.pair()
    plain = lan.fresh_address()
    addresses = [
        plain[:place] + bytes((value,)) + plain[place + 1 :]
        for place in range(1, 6)
        for value in (0x00, 0x01, 0x7F, 0x80, 0xFF)
    ]
    lan.exchange(owner, *(ethernet(BROADCAST, address) for address in addresses))
    for address in addresses:
        lan.assume_known(owner, address)
    for number, address in enumerate(addresses):
        frame = ethernet(address, sender, stamp=number)
        assert lan.wire(sender, frame) == {owner: [frame]}


@rule("LRN-2")
def test_a_learned_unicast_leaves_by_one_port_alone(lan: Testbench) -> None:
    sender, owner, *_ = lan.some_ports(4, least=3)
    address = lan.fresh_address()
    lan.teach(owner, address)
    for number in range(40):
        frame = ethernet(address, sender, stamp=number)
        assert lan.wire(sender, frame) == {owner: [frame]}


@rule("LRN-2")
def test_a_learned_unicast_from_any_port_leaves_by_one_port_alone(lan: Testbench) -> None:
    owner, *senders = lan.ports(4)
    address = lan.fresh_address()
    lan.teach(owner, address)
    for sender in senders:
        frame = ethernet(address, sender)
        assert lan.wire(sender, frame) == {owner: [frame]}


@rule("LRN-2")
def test_several_stations_behind_one_port_are_all_known(lan: Testbench) -> None:
    sender, owner = lan.pair()
    addresses = [lan.fresh_address() for _ in range(8)]
    for address in addresses:
        lan.teach(owner, address)
    for address in addresses:
        frame = ethernet(address, sender)
        assert lan.wire(sender, frame) == {owner: [frame]}


@rule("LRN-2")
def test_an_address_inside_of_a_packet_teaches_nothing(lan: Testbench) -> None:
    """ARP, neighbour discovery, DHCP: they name stations that did not send the frame."""
    sender, owner, other = lan.ports(3)
    address = lan.fresh_address()
    lan.teach(owner, address)
    named, source = address.hex(":"), other.mac.hex(":")
    ether = Ether(src=source, dst="ff:ff:ff:ff:ff:ff")
    packets = (
        ether / ARP(op=1, hwsrc=named, psrc="192.0.2.1", pdst="192.0.2.1"),
        ether / ARP(op=2, hwsrc=named, psrc="192.0.2.1", hwdst=named, pdst="192.0.2.2"),
        ether
        / IPv6(src="fe80::1", dst="ff02::1")
        / ICMPv6ND_NA()
        / ICMPv6NDOptDstLLAddr(lladdr=named),
        ether
        / IP(src="0.0.0.0", dst="255.255.255.255")
        / UDP(sport=68, dport=67)
        / BOOTP(chaddr=address),
    )
    for number, packet in enumerate(packets):
        lan.exchange(other, bytes(packet))
        frame = ethernet(address, sender, stamp=number)
        assert lan.wire(sender, frame) == {owner: [frame]}


# LRN-3

TEACHERS = (
    "broadcast",
    "unicast",
    "multicast",
    "unknown",
    "reserved",
    "longest",
    *sorted(
        ("arp", "ipv4-udp", "ipv6-udp", "llc-stp", "llc-snap", "raw-802.3", "vlan", "vlan-in-vlan")
    ),
)


@rule("LRN-3")
@pytest.mark.parametrize("teacher", TEACHERS)
def test_an_address_is_learned_from_every_kind_of_frame(lan: Testbench, teacher: str) -> None:
    lan.require_vlans("vlan" in teacher)
    declared = teacher != "reserved" or lan.traits.reserved is not None
    lan.require(declared, "does not declare what becomes of reserved groups")
    lan.require(not lan.traits.lag_s, "learns late, so that one frame proves nothing")
    sender, owner, other = lan.ports(3)
    address = lan.fresh_address()
    destinations = {
        "broadcast": BROADCAST,
        "unicast": other.mac,
        "multicast": GROUPS["ipv4-multicast"],
        "unknown": lan.fresh_address(),
        "reserved": GROUPS["lldp"],
        "longest": BROADCAST,
    }
    if teacher in destinations:
        size = lan.traits.longest if teacher == "longest" else 60
        frame = ethernet(destinations[teacher], address, size=min(size, LONGEST))
    else:
        frame = real_frames(BROADCAST, address)[teacher]
    lan.exchange(owner, frame)
    lan.assume_known(owner, address)
    answer = ethernet(address, sender)
    assert lan.wire(sender, answer) == {owner: [answer]}


@rule("LRN-3")
def test_an_address_is_learned_from_a_frame_that_goes_nowhere(lan: Testbench) -> None:
    lan.require(not lan.traits.lag_s, "learns late, so that one frame proves nothing")
    sender, owner = lan.pair()
    address = lan.fresh_address()
    assert lan.wire(owner, ethernet(owner, address)) == {}
    lan.assume_known(owner, address)
    frame = ethernet(address, sender)
    assert lan.wire(sender, frame) == {owner: [frame]}


@rule("LRN-3")
@pytest.mark.parametrize(
    "address",
    [
        "001b21aabbc0",
        "00005e000107",
        "00005e000209",
        "00000c07ac01",
        "0007b4000101",
        "02bf0a000001",
        "fe0000000001",
        "fcfffffffffe",
        "000000000001",
    ],
)
def test_an_address_of_any_sort_is_learned(lan: Testbench, address: str) -> None:
    sender, owner, _ = lan.ports(3)
    station = bytes.fromhex(address)
    lan.teach(owner, station)
    frame = ethernet(station, sender)
    assert lan.wire(sender, frame) == {owner: [frame]}


@rule("LRN-3")
def test_an_address_is_learned_from_a_unicast_to_a_known_one(lan: Testbench) -> None:
    lan.require(not lan.traits.lag_s, "learns late, so that one frame proves nothing")
    sender, owner, other = lan.ports(3)
    known, address = lan.fresh_address(), lan.fresh_address()
    lan.teach(other, known)
    frame = ethernet(known, address)
    assert lan.wire(owner, frame) == {other: [frame]}
    lan.assume_known(owner, address)
    frame = ethernet(address, sender)
    assert lan.wire(sender, frame) == {owner: [frame]}


# LRN-4


@rule("LRN-4")
def test_the_address_of_a_port_moves_like_any_other(lan: Testbench) -> None:
    lan.require(not lan.traits.lag_s, "learns late, so that one frame proves nothing")
    sender, first, second = lan.ports(3)
    for turn, owner in enumerate((second, first, second, first)):
        lan.teach(owner, first.mac)
        frame = ethernet(first, sender, stamp=turn)
        assert lan.wire(sender, frame) == {owner: [frame]}


@rule("LRN-4")
def test_a_port_that_returns_takes_back_no_station_that_has_moved(lan: Testbench) -> None:
    sender, leaves, heir = lan.ports(3)
    address = lan.fresh_address()
    lan.teach(leaves, address)
    leaves.close()
    lan.teach(heir, address)
    leaves.open()
    frame = ethernet(address, sender)
    assert frame in lan.wire(sender, frame)[heir]


@rule("LRN-4")
def test_a_station_that_moves_is_known_at_its_new_port_alone(lan: Testbench) -> None:
    sender, first, second = lan.ports(3)
    address = lan.fresh_address()
    for turn in range(12):
        owner = (first, second)[turn % 2]
        lan.teach(owner, address)
        frame = ethernet(address, sender, stamp=turn)
        assert lan.wire(sender, frame) == {owner: [frame]}


@rule("LRN-4")
def test_a_station_moves_by_a_unicast_too(lan: Testbench) -> None:
    lan.require(not lan.traits.lag_s, "learns late, so that one frame proves nothing")
    sender, first, second = lan.ports(3)
    address = lan.fresh_address()
    lan.teach(first, address)
    moving = ethernet(sender, address)
    assert lan.wire(second, moving) == {sender: [moving]}
    lan.assume_known(second, address)
    frame = ethernet(address, sender)
    assert lan.wire(sender, frame) == {second: [frame]}


@rule("LRN-4")
def test_the_other_stations_of_a_port_do_not_move(lan: Testbench) -> None:
    sender, first, second = lan.ports(3)
    stays, moves = lan.fresh_address(), lan.fresh_address()
    lan.teach(first, stays)
    lan.teach(first, moves)
    lan.teach(second, moves)
    one, other = ethernet(stays, sender), ethernet(moves, sender)
    assert lan.wire(sender, one) == {first: [one]}
    assert lan.wire(sender, other) == {second: [other]}


@rule("LRN-4")
def test_a_station_that_moves_to_the_senders_port_is_behind_it(lan: Testbench) -> None:
    sender, first = lan.pair()
    address = lan.fresh_address()
    lan.teach(first, address)
    lan.teach(sender, address)
    assert lan.wire(sender, ethernet(address, sender)) == {}


# LRN-5, LRN-6


@rule("LRN-5")
@pytest.mark.parametrize("group", ["broadcast", "ipv4-multicast", "ipv6-multicast", "local-group"])
def test_a_group_source_is_not_learned(lan: Testbench, group: str) -> None:
    sender, liar, *others = lan.some_ports(4, least=3)
    source = GROUPS[group]
    lan.exchange(liar, ethernet(sender, source))
    frame = ethernet(source, sender)
    assert lan.wire(sender, frame) == {port: [frame] for port in (liar, *others)}
    frame = ethernet(source, liar, stamp=1)
    assert lan.wire(liar, frame) == {port: [frame] for port in (sender, *others)}


@rule("LRN-6")
def test_the_zero_address_is_learned_only_as_declared(lan: Testbench) -> None:
    learned = lan.traits.learns_zero
    lan.require(learned is not None, "does not declare whether it learns the zero address")
    sender, liar, *others = lan.some_ports(4, least=3)
    lan.exchange(liar, ethernet(sender, bytes(6)))
    frame = ethernet(bytes(6), sender)
    reached = (liar,) if learned else (liar, *others)
    assert lan.wire(sender, frame) == {port: [frame] for port in reached}


@rule("LRN-5")
@pytest.mark.parametrize("group", ["ipv4-multicast", "ipv6-multicast"])
def test_a_group_source_teaches_no_station_like_it(lan: Testbench, group: str) -> None:
    sender, liar, *others = lan.some_ports(4, least=3)
    source = GROUPS[group]
    station = bytes((source[0] & 0xFE,)) + source[1:]
    lan.exchange(liar, ethernet(sender, source))
    frame = ethernet(station, sender)
    assert lan.wire(sender, frame) == {port: [frame] for port in (liar, *others)}


@rule("LRN-6")
def test_a_zero_source_makes_nothing_forgotten(lan: Testbench) -> None:
    sender, liar, _ = lan.ports(3)
    address = lan.fresh_address()
    lan.teach(liar, address)
    lan.exchange(liar, ethernet(sender, bytes(6)))
    frame = ethernet(address, sender)
    assert lan.wire(sender, frame) == {liar: [frame]}


# LRN-7


@rule("LRN-7")
def test_a_unicast_between_two_stations_of_one_port_stays_there(lan: Testbench) -> None:
    sender, *_ = lan.some_ports(3)
    one, other = lan.fresh_address(), lan.fresh_address()
    lan.teach(sender, one)
    lan.teach(sender, other)
    assert lan.wire(sender, ethernet(one, other)) == {}
    assert lan.wire(sender, ethernet(other, one)) == {}


# LRN-8


@rule("LRN-8")
def test_what_was_learned_at_a_port_that_goes_down_is_flooded_again(lan: Testbench) -> None:
    sender, leaves, *others = lan.some_ports(4, least=3)
    address = lan.fresh_address()
    lan.teach(leaves, address)
    for turn in range(3):
        leaves.close()
        frame = ethernet(address, sender, stamp=2 * turn)
        assert lan.wire(sender, frame) == {port: [frame] for port in others}
        leaves.open()
        frame = ethernet(address, sender, stamp=2 * turn + 1)
        assert lan.wire(sender, frame) == {port: [frame] for port in (leaves, *others)}


@rule("LRN-8")
def test_every_address_of_a_port_that_goes_down_is_flooded_again(lan: Testbench) -> None:
    sender, leaves, *others = lan.some_ports(4, least=3)
    addresses = [leaves.mac, *(lan.fresh_address() for _ in range(20))]
    for address in addresses[1:]:
        lan.teach(leaves, address)
    leaves.close()
    for number, address in enumerate(addresses):
        frame = ethernet(address, sender, stamp=number)
        assert lan.wire(sender, frame) == {port: [frame] for port in others}


@rule("LRN-8")
def test_a_station_that_has_moved_to_a_port_is_forgotten_with_it(lan: Testbench) -> None:
    sender, first, leaves, other = lan.ports(4)
    address = lan.fresh_address()
    lan.teach(first, address)
    lan.teach(leaves, address)
    leaves.close()
    frame = ethernet(address, sender)
    assert lan.wire(sender, frame) == {first: [frame], other: [frame]}


@rule("LRN-8")
def test_what_was_learned_elsewhere_stays_known_when_a_port_goes_down(lan: Testbench) -> None:
    lan.require(lan.traits.flushes == "own", "may forget all addresses when a port goes down")
    sender, owner, leaves, _ = lan.ports(4)
    address = lan.fresh_address()
    lan.teach(owner, address)
    leaves.close()
    frame = ethernet(address, sender)
    assert lan.wire(sender, frame) == {owner: [frame]}


@rule("LRN-8")
def test_a_station_is_found_at_another_port_after_its_own_went_down(lan: Testbench) -> None:
    sender, leaves, heir, _ = lan.ports(4)
    address = lan.fresh_address()
    lan.teach(leaves, address)
    leaves.close()
    lan.teach(heir, address)
    frame = ethernet(address, sender)
    assert lan.wire(sender, frame) == {heir: [frame]}


# LRN-9


@rule("LRN-9")
def test_addresses_taught_back_to_back_are_all_known(lan: Testbench) -> None:
    lan.require(not lan.traits.lag_s, "learns late, so that one frame proves nothing")
    sender, owner = lan.pair()
    count = min(MANY, (lan.traits.addresses or UNDECLARED) // 2)
    addresses = [lan.fresh_address() for _ in range(count)]
    lan.exchange(owner, *(ethernet(BROADCAST, address) for address in addresses))
    for address in addresses:
        lan.assume_known(owner, address)
    frames = [ethernet(address, sender) for address in addresses]
    assert lan.wire(sender, *frames) == {owner: frames}


@rule("LRN-9")
def test_addresses_that_differ_by_powers_of_two_do_not_evict_each_other(lan: Testbench) -> None:
    lan.require(not lan.traits.lag_s, "learns late, so that one frame proves nothing")
    lan.require(
        (lan.traits.addresses or UNDECLARED) > 60, "its table is too small for 48 addresses"
    )
    sender, first, second = lan.ports(3)
    base = int.from_bytes(lan.fresh_address(), "big")
    addresses = [base, *(base ^ 1 << bit for bit in range(46) if bit not in (40, 41))]
    owners = [(first, second)[number % 2] for number in range(len(addresses))]
    taught = [address.to_bytes(6, "big") for address in addresses]
    lan.exchange_all(
        (owner, ethernet(BROADCAST, address)) for owner, address in zip(owners, taught, strict=True)
    )
    for owner, address in zip(owners, taught, strict=True):
        lan.assume_known(owner, address)
        frame = ethernet(address, sender)
        assert lan.wire(sender, frame) == {owner: [frame]}


@rule("LRN-9")
def test_more_addresses_than_the_table_holds_are_not_misdelivered(lan: Testbench) -> None:
    size = lan.traits.addresses or 1100
    lan.require(size <= 2048, "its table is too large to be filled in a test")
    sender, owner, other = lan.ports(3)
    addresses = [lan.wide_address(number) for number in range(size + 40)]
    lan.exchange(owner, *(ethernet(BROADCAST, address) for address in addresses[:-20]))
    lan.exchange(other, *(ethernet(BROADCAST, address) for address in addresses[-20:]))
    lan.model.doubt(lan.model.peers)  # which of them are forgotten is not declared
    lan.used_up = True
    lan.stream([(owner, ethernet(sender, owner)), (sender, ethernet(other, sender))])
    looked_at = [*addresses[:60], *addresses[60:-60:29], *addresses[-60:]]
    lan.stream((sender, ethernet(address, sender)) for address in looked_at)
    for number in range(5):
        frame = ethernet(lan.wide_address(60_000 + number), sender)
        assert lan.wire(sender, frame) == {owner: [frame], other: [frame]}


@pytest.mark.new_lan
@rule("LRN-9")
def test_the_table_holds_as_many_addresses_as_declared(lan: Testbench) -> None:
    size = lan.traits.addresses
    lan.require(size is not None, "does not declare how many addresses it learns")
    assert size is not None
    lan.require(size <= 2048, "its table is too large to be filled in a test")
    sender, owner, _ = lan.ports(3)
    # The ports' own addresses, those of earlier tests, and those that its fences speak from.
    fences = len(lan.addresses()) if lan.traits.settles != "barrier" else 0
    count = size - len(lan.model.table) - fences
    lan.require(count > size // 2, "its table is full of addresses of other tests")
    addresses = [lan.wide_address(number) for number in range(count)]
    lan.exchange(owner, *(ethernet(BROADCAST, address) for address in addresses))
    for address in addresses:
        lan.assume_known(owner, address)
    lan.stream((sender, ethernet(address, sender)) for address in addresses)


@pytest.mark.new_lan
@rule("LRN-4", "LRN-9")
def test_a_station_moves_though_the_table_is_full(lan: Testbench) -> None:
    size = lan.traits.addresses
    lan.require(size is not None, "does not declare how many addresses it learns")
    assert size is not None
    lan.require(size <= 2048, "its table is too large to be filled in a test")
    sender, owner, other = lan.ports(3)
    addresses = [lan.wide_address(number) for number in range(size)]
    lan.teach(owner, addresses[0])
    lan.exchange(owner, *(ethernet(BROADCAST, address) for address in addresses[1:]))
    lan.model.doubt(lan.model.peers)  # which of them are forgotten is not declared
    lan.used_up = True
    for address in addresses[:3]:
        for stamp, port in enumerate((other, owner, other)):
            lan.teach(port, address)
            frame = ethernet(address, sender, stamp=stamp)
            assert frame in lan.wire(sender, frame)[port]


# A tag does not hide a source


@rule("LRN-3")
@pytest.mark.parametrize("priority", [0, 5])
def test_an_address_is_learned_from_a_priority_tagged_frame(lan: Testbench, priority: int) -> None:
    lan.require_vlans()
    lan.require(not lan.traits.lag_s, "learns late, so that one frame proves nothing")
    sender, owner = lan.pair()
    address = lan.fresh_address()
    lan.exchange(owner, tagged(ethernet(BROADCAST, address), vlan=0, priority=priority))
    lan.assume_known(owner, address)
    frame = ethernet(address, sender)
    assert lan.wire(sender, frame) == {owner: [frame]}
