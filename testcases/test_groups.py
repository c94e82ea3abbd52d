"""GRP. Group frames of every kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scapy.layers.dhcp import BOOTP
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (
    ICMPv6MLReport,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from harness.exchange import Testbench
from harness.frames import LONGEST, ethernet
from harness.plugin.marks import rule

from .kit.groups import groups_of_one_bit, pseudo_random_groups
from .kit.tags import tagged

KNOWN = {
    "broadcast": "ffffffffffff",
    "all-hosts": "01005e000001",
    "all-routers": "01005e000002",
    "mdns": "01005e0000fb",
    "ssdp": "01005e7ffffa",
    "ipv6-all-nodes": "333300000001",
    "ipv6-solicited-node": "3333ff123456",
    "appletalk": "090007ffffff",
    "cisco-discovery": "01000ccccccc",
    "ptp": "011b19000000",
    "isis": "0180c2000014",
    "mvrp": "0180c2000021",
    "lowest": "010000000000",
    "local": "030000000001",
}


@rule("GRP-1")
@pytest.mark.parametrize("group", KNOWN)
def test_a_well_known_group_reaches_every_other_port(lan: Testbench, group: str) -> None:
    sender, *others = lan.some_ports(4)
    frame = ethernet(bytes.fromhex(KNOWN[group]), sender)
    assert lan.exchange(sender, frame) == {port: [frame] for port in others}


@rule("GRP-1")
def test_two_hundred_groups_reach_every_other_port(lan: Testbench) -> None:
    sender, *_ = lan.some_ports(3)
    groups = pseudo_random_groups(200)
    lan.stream((sender, ethernet(group, sender, stamp=n)) for n, group in enumerate(groups))


@rule("GRP-1")
def test_the_group_of_a_ports_own_address_reaches_every_other_port(lan: Testbench) -> None:
    """The address with the group bit set: it is nobody's alone."""
    ports = lan.some_ports(4, least=3)
    for sender in ports[:2]:
        for owner in ports:
            frame = ethernet(bytes((owner.mac[0] | 1,)) + owner.mac[1:], sender)
            lan.wire(sender, frame)


@rule("GRP-1")
def test_groups_of_one_bit_reach_every_other_port(lan: Testbench) -> None:
    sender, *_ = lan.some_ports(3)
    groups = groups_of_one_bit()
    lan.stream((sender, ethernet(group, sender, stamp=n)) for n, group in enumerate(groups))


@rule("GRP-1")
def test_a_membership_report_changes_nothing_for_others(lan: Testbench) -> None:
    sender, reporter, *others = lan.some_ports(4, least=3)
    for turn in range(2):
        for group, report in reports(reporter.mac):
            lan.wire(reporter, report)
            frame = ethernet(group, sender, stamp=turn)
            assert lan.exchange(sender, frame) == {port: [frame] for port in (reporter, *others)}
    for _, report in reports(others[0].mac):
        lan.wire(others[0], report)


@rule("GRP-1")
def test_requests_for_a_known_station_reach_every_other_port(lan: Testbench) -> None:
    """ARP, neighbour discovery and DHCP: nobody answers, or chooses who hears, for another."""
    ports = lan.some_ports(4, least=3)
    for number, port in enumerate(ports):
        lan.stream([(port, frame) for frame in announcements(port.mac, number)])
    for asking, sender in enumerate(ports):
        for number in range(len(ports)):
            if number != asking:
                for frame in requests(sender.mac, asking, number):
                    lan.wire(sender, frame)


def announcements(station: bytes, number: int) -> Iterator[bytes]:
    """A station says which addresses of IP it has."""
    mac = station.hex(":")
    ip, ip6 = f"192.0.2.{number + 1}", f"fe80::{number + 1}"
    everybody = Ether(src=mac, dst="ff:ff:ff:ff:ff:ff")
    yield bytes(everybody / ARP(op=2, hwsrc=mac, psrc=ip, hwdst=mac, pdst=ip))
    nodes = Ether(src=mac, dst="33:33:00:00:00:01") / IPv6(src=ip6, dst="ff02::1", hlim=255)
    yield bytes(nodes / ICMPv6ND_NA(tgt=ip6) / ICMPv6NDOptDstLLAddr(lladdr=mac))


def requests(station: bytes, asking: int, number: int) -> Iterator[bytes]:
    """A station asks who has another one's address, and for an address of its own."""
    mac = station.hex(":")
    everybody = Ether(src=mac, dst="ff:ff:ff:ff:ff:ff")
    ip, wanted = f"192.0.2.{asking + 1}", f"192.0.2.{number + 1}"
    yield bytes(everybody / ARP(op=1, hwsrc=mac, psrc=ip, pdst=wanted))
    solicited = Ether(src=mac, dst=f"33:33:ff:00:00:{number + 1:02x}")
    ip6 = IPv6(src=f"fe80::{asking + 1}", dst=f"ff02::1:ff00:{number + 1:x}", hlim=255)
    yield bytes(solicited / ip6 / ICMPv6ND_NS(tgt=f"fe80::{number + 1}"))
    head = everybody / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67)
    for flags in (0, 0x8000):
        yield bytes(head / BOOTP(chaddr=station, xid=number, flags=flags))


def reports(station: bytes) -> Iterator[tuple[bytes, bytes]]:
    """A group, and the report by which a station joins it: IGMP, then MLD."""
    group = bytes.fromhex("01005e4d0102")
    ether = Ether(src=station.hex(":"), dst=group.hex(":"))
    ip = IP(src="192.0.2.9", dst="239.77.1.2", ttl=1, proto=2)
    yield group, bytes(ether / ip / Raw(b"\x16\0" + b"\xf9\xaf" + bytes((239, 77, 1, 2))))
    group = bytes.fromhex("33334d000102")
    ether = Ether(src=station.hex(":"), dst=group.hex(":"))
    ip6 = IPv6(src="fe80::9", dst="ff02::4d00:102", hlim=1)
    yield group, bytes(ether / ip6 / ICMPv6MLReport(mladdr="ff02::4d00:102"))


@rule("GRP-2")
@pytest.mark.parametrize("group", ["broadcast", "mdns", "ipv6-all-nodes", "local"])
def test_a_long_group_frame_reaches_every_other_port(lan: Testbench, group: str) -> None:
    sender, *others = lan.some_ports(3)
    for size in (600, 1024, 1513, LONGEST):
        lan.require_length(size)
        frame = ethernet(bytes.fromhex(KNOWN[group]), sender, size=size)
        assert lan.exchange(sender, frame) == {port: [frame] for port in others}


@rule("GRP-2")
@pytest.mark.parametrize("group", ["broadcast", "mdns", "ipv6-all-nodes", "local"])
def test_a_tagged_group_frame_reaches_every_other_port(lan: Testbench, group: str) -> None:
    lan.require_vlans()
    sender, *others = lan.some_ports(3)
    for size in (60, 600, LONGEST - 4):
        frame = tagged(ethernet(bytes.fromhex(KNOWN[group]), sender, size=size))
        assert lan.exchange(sender, frame) == {port: [frame] for port in others}
