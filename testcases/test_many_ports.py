"""MANY. As many ports as the LAN has, all of them senders and receivers."""

from __future__ import annotations

from harness.exchange import Testbench
from harness.frames import BROADCAST, ethernet
from harness.plugin.marks import rule

MOST = 34
"""Ports that a test asks for, of a LAN that has so many: more than 32 bits count."""


@rule("MANY-1")
def test_every_port_reaches_every_other_by_unicast(lan: Testbench) -> None:
    ports = lan.ports(lan.most_ports(MOST))
    lan.stream(
        (sender, ethernet(owner, sender, stamp=number))
        for number, sender in enumerate(ports)
        for owner in ports
        if owner is not sender
    )


@rule("MANY-2")
def test_a_broadcast_of_every_port_reaches_all_others(lan: Testbench) -> None:
    ports = lan.ports(lan.most_ports(MOST))
    for number, sender in enumerate(ports):
        frame = ethernet(BROADCAST, sender, stamp=number)
        assert lan.exchange(sender, frame) == {
            port: [frame] for port in ports if port is not sender
        }
