"""WIRE. What the model of the LAN's kind says of every frame; here, with nothing else."""

from __future__ import annotations

import pytest

from harness.exchange import Testbench
from harness.frames import BROADCAST, LONGEST, ethernet
from harness.plugin.marks import rule

from .kit.tags import tagged

STATIONS = 150
"""Addresses behind one port."""

SIZES = (60, 61, 300, 1024, LONGEST)


@rule("WIRE-1", "WIRE-2", "WIRE-3", "WIRE-4", "WIRE-8")
def test_each_of_a_hundred_frames_reaches_its_ports_and_no_other(lan: Testbench) -> None:
    ports = lan.some_ports(4)
    count = len(ports)
    for number in range(100):
        sender = ports[number % count]
        owner = ports[(number + 1 + number // count % (count - 1)) % count]
        frame = ethernet(owner, sender, size=SIZES[number % len(SIZES)], stamp=number)
        tag = number % 5 == 4 and lan.traits.vlan == "transparent" and len(frame) < LONGEST
        lan.wire(sender, tagged(frame, vlan=number) if tag else frame)


@rule("WIRE-1", "WIRE-3", "WIRE-4")
def test_each_of_a_hundred_broadcasts_reaches_all_others_once(lan: Testbench) -> None:
    ports = lan.some_ports(4)
    for number in range(100):
        sender = ports[number % len(ports)]
        size = SIZES[number % len(SIZES)]
        lan.wire(sender, ethernet(BROADCAST, sender, size=size, stamp=number))


@rule("WIRE-1", "WIRE-4")
def test_equal_frames_all_arrive(lan: Testbench) -> None:
    sender, owner, other = lan.ports(3)
    for to in (owner.mac, BROADCAST):
        frame = ethernet(to, sender)
        lan.wire(sender, *[frame] * 5)
        for _ in range(3):
            lan.wire(sender, frame)
        lan.wire(other, ethernet(to, other))
        lan.wire(sender, frame)


@rule("WIRE-5", "WIRE-6")
def test_a_mixed_series_keeps_order_and_bytes(lan: Testbench) -> None:
    lan.require(lan.traits.ordered, "frames may overtake each other")
    sender, owner = lan.pair()
    sizes = [60 + 131 * number % 1400 for number in range(64)]
    frames = [
        ethernet(BROADCAST if number % 5 == 4 else owner, sender, size=size, stamp=number)
        for number, size in enumerate(sizes)
    ]
    for start in range(0, len(frames), 8):
        lan.wire(sender, *frames[start : start + 8])


@rule("WIRE-1")
def test_one_port_may_have_many_stations(lan: Testbench) -> None:
    lan.require(lan.kind != "directory", "may know which address a port has")
    room = (lan.traits.addresses or 0) > 4 * STATIONS
    lan.require(lan.kind != "learning" or room, "may forget its ports for so many addresses")
    sender, owner = lan.pair()
    for to in (BROADCAST, owner.mac):
        stations = [lan.fresh_address() for _ in range(STATIONS)]
        lan.stream((sender, ethernet(to, station)) for station in stations)


@rule("WIRE-7", "WIRE-8")
@pytest.mark.parametrize("promiscuous", [False, True])
def test_nothing_of_before_arrives_later(lan: Testbench, promiscuous: bool) -> None:
    sender, owner, other = lan.ports(3)
    for number in range(20):
        lan.wire(sender, ethernet(owner, sender, stamp=number))
        lan.wire(other, ethernet(BROADCAST, other, stamp=number))
        other.set_promiscuous(promiscuous and number % 2 == 0)
