"""The adapters of real LANs: what a port gets."""

from __future__ import annotations

import re
import time

import pytest

from harness import registry
from harness.frames import BROADCAST, ethernet, real_frames
from harness.lan import FrameRefused, Lan, LanError, Layout, Port
from tests.lans.real import REAL


def frames_of(port: Port) -> list[bytes]:
    return [arrival.frame for arrival in port.arrivals() if arrival.passes_filter]


def test_a_version_is_reported(real: str) -> None:
    assert re.search(r"\d+\.\d+", registry.entry(real).version())


def test_a_unicast_reaches_its_owner_alone(network: Lan) -> None:
    sender, owner, *others = network.ports(4)
    frame = ethernet(owner, sender)
    sender.send(frame)
    network.settle()
    assert frames_of(owner) == [frame]
    assert [frames_of(port) for port in (sender, *others)] == [[], [], []]


@pytest.mark.parametrize("real", ["bridge", "bridge-tap", "vde", "ovs"], indirect=True)
def test_a_switch_that_learns_sends_a_unicast_one_way_alone(network: Lan) -> None:
    assert network.traits.learns
    ports = sender, owner, *_ = network.ports(4)
    owner.send(ethernet(BROADCAST, owner))
    network.settle()
    for port in ports:
        port.arrivals()
    deadline = time.monotonic() + 5 * network.traits.lag_s
    while True:
        sender.send(ethernet(owner, sender))
        network.settle()
        received = [len(port.arrivals()) for port in ports]
        if received == [0, 1, 0, 0]:
            break
        assert time.monotonic() < deadline, f"still flooded: {received}"


def test_a_broadcast_reaches_eight_ports_once(network: Lan) -> None:
    ports = network.ports(8)
    frame = ethernet(BROADCAST, ports[3])
    ports[3].send(frame)
    network.settle()
    for port in ports:
        assert frames_of(port) == ([] if port is ports[3] else [frame])


def test_a_frame_to_ones_own_address_is_for_nobody_else(network: Lan) -> None:
    sender, *others = network.ports(3)
    sender.send(ethernet(sender, sender))
    network.settle()
    assert [frames_of(port) for port in others] == [[], []]
    # Macvlan looks an address up without asking who sends (drivers/net/macvlan.c).
    assert len(sender.arrivals()) == (1 if network.name == "macvlan" else 0)


@pytest.mark.parametrize("size", [14, 60, 1514])
def test_lengths_arrive_whole(network: Lan, size: int) -> None:
    sender, owner = network.ports(2)
    frame = ethernet(owner, sender, size=size)
    sender.send(frame)
    network.settle()
    assert frames_of(owner) == [frame]


# vde_switch discards tags of VLANs that it has no configuration for.
@pytest.mark.parametrize("real", [name for name in REAL if name != "vde"], indirect=True)
def test_vlan_tags_are_put_back(network: Lan) -> None:
    sender, owner = network.ports(2)
    for kind in ("vlan", "vlan-in-vlan"):
        frame = real_frames(owner, sender)[kind]
        sender.send(frame)
        network.settle()
        assert frames_of(owner) == [frame]


def test_a_full_burst_loses_nothing(network: Lan) -> None:
    sender, owner, _ = network.ports(3)
    sent = [ethernet(owner, sender, size=1514, stamp=n) for n in range(network.traits.burst)]
    for frame in sent:
        sender.send(frame)
    network.settle()
    assert frames_of(owner) == sent


def test_a_closed_port_is_away_until_it_opens(network: Lan) -> None:
    sender, stays, leaves = network.ports(3)
    leaves.close()
    frame = ethernet(BROADCAST, sender)
    sender.send(frame)
    network.settle()
    assert frames_of(stays) == [frame]
    with pytest.raises(FrameRefused, match="port3 is closed"):
        leaves.send(frame)
    leaves.open()
    assert frames_of(leaves) == []
    answer = ethernet(sender, leaves)
    leaves.send(answer)
    sender.send(frame)
    network.settle()
    assert frames_of(leaves) == [frame]
    assert frames_of(sender) == [answer]


def test_a_port_that_listens_to_all_receives_all_that_reaches_it(network: Lan) -> None:
    sender, listener = network.ports(2)
    stray = ethernet(bytes.fromhex("02001234abcd"), sender)
    reaches = network.name != "macvlan"
    for on in (True, False):
        listener.set_promiscuous(on)
        sender.send(stray)
        network.settle()
        assert frames_of(listener) == [stray] * (on and reaches)


def test_records_hold_what_was_sent_and_received_and_no_fence(network: Lan) -> None:
    sender, owner = network.ports(2)
    frame = ethernet(owner, sender)
    sender.send(frame)
    network.settle()
    with pytest.raises(LanError, match="takes no layouts"):
        sender.send(frame, Layout(14))
    records = [(record.port, record.direction, record.frame) for record in network.records()]
    assert records == [("port1", "sent", frame), ("port2", "received", frame)]
    assert network.interfaces() == [("port1", sender.mac), ("port2", owner.mac)]
    assert network.records()[0].time <= network.records()[1].time
