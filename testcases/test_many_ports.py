"""MANY. As many ports as the LAN has, all of them senders and receivers."""

from __future__ import annotations

import pytest

from harness.exchange import Testbench
from harness.frames import BROADCAST, ethernet
from harness.plugin.marks import rule

COUNTS = (6, 34)
"""Ports that a test asks for, of a LAN that has so many; 34: more than 32 bits count."""


@rule("MANY-1")
@pytest.mark.parametrize("count", COUNTS)
def test_every_port_reaches_every_other_by_unicast(lan: Testbench, count: int) -> None:
    ports = lan.ports(lan.most_ports(count))
    lan.stream(
        (sender, ethernet(owner, sender, stamp=number))
        for number, sender in enumerate(ports)
        for owner in ports
        if owner is not sender
    )


@rule("MANY-2")
@pytest.mark.parametrize("count", COUNTS)
def test_a_broadcast_of_every_port_reaches_all_others(lan: Testbench, count: int) -> None:
    ports = lan.ports(lan.most_ports(count))
    for number, sender in enumerate(ports):
        frame = ethernet(BROADCAST, sender, stamp=number)
        assert lan.exchange(sender, frame) == {
            port: [frame] for port in ports if port is not sender
        }
