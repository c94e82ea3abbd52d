"""GRP. Group frames of every kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scapy.layers.inet import IP
from scapy.layers.inet6 import ICMPv6MLReport, IPv6
from scapy.layers.l2 import Ether
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
