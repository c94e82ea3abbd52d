"""ISO. Two LANs side by side."""

from __future__ import annotations

from collections.abc import Sequence

from harness.comparing import same
from harness.exchange import Testbench
from harness.frames import BROADCAST, ethernet
from harness.lan import Lan, Port
from harness.plugin.marks import rule


def receives_nothing(lan: Lan, ports: Sequence[Port]) -> None:
    lan.settle()
    arrived = [[arrival.frame for arrival in port.arrivals()] for port in ports]
    same("frames that arrived at the ports of the other LAN", arrived, [[] for _ in ports])


@rule("ISO-1")
def test_an_address_that_is_up_in_another_lan_alone_is_not_found_there(
    lan: Testbench, second_lan: Lan
) -> None:
    """Port for port the two LANs may have the same addresses."""
    sender, *leave = lan.ports(3)
    strangers = second_lan.ports(3)
    for port in leave:
        port.close()
    for number, to in enumerate([*leave, *strangers]):
        lan.wire(sender, ethernet(to.mac, sender, stamp=number))
        receives_nothing(second_lan, strangers)
    for port in leave:
        port.open()
    frame = ethernet(BROADCAST, sender)
    assert lan.exchange(sender, frame) == {port: [frame] for port in leave}


@rule("ISO-1")
def test_a_promiscuous_port_sees_nothing_of_another_lan(lan: Testbench, second_lan: Lan) -> None:
    sender, owner, _ = lan.ports(3)
    strangers = second_lan.ports(3)
    for port in strangers:
        port.set_promiscuous(True)
        port.join_groups(1)
    for to in (owner.mac, BROADCAST, bytes.fromhex("01005e000009"), lan.fresh_address()):
        lan.wire(sender, ethernet(to, sender))
        receives_nothing(second_lan, strangers)


@rule("ISO-1")
def test_two_lans_never_exchange_a_frame(lan: Testbench, second_lan: Lan) -> None:
    sender, owner, other = lan.ports(3)
    strangers = second_lan.ports(3)
    unknown = lan.fresh_address()
    for to in (owner.mac, BROADCAST, strangers[1].mac, unknown):
        lan.wire(sender, ethernet(to, sender))
        receives_nothing(second_lan, strangers)
    control = ethernet(BROADCAST, strangers[0])
    strangers[0].send(control)
    second_lan.settle()
    for port in strangers[1:]:
        same("frames that arrived", [arrival.frame for arrival in port.arrivals()], [control])
    # What the other LAN learned is not known here.
    theirs = lan.fresh_address()
    strangers[2].send(ethernet(BROADCAST, theirs))
    second_lan.settle()
    lan.wire(sender, ethernet(theirs, sender))
    frame = ethernet(BROADCAST, other, stamp=1)
    assert lan.exchange(other, frame) == {sender: [frame], owner: [frame]}
