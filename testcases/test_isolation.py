"""ISO. Two LANs side by side."""

from __future__ import annotations

from harness.comparing import same
from harness.exchange import Testbench
from harness.frames import BROADCAST, ethernet
from harness.lan import Lan
from harness.plugin.marks import rule


@rule("ISO-1")
def test_two_lans_never_exchange_a_frame(lan: Testbench, second_lan: Lan) -> None:
    sender, owner, other = lan.ports(3)
    strangers = second_lan.ports(3)
    unknown = lan.fresh_address()
    for to in (owner.mac, BROADCAST, strangers[1].mac, unknown):
        frame = ethernet(to, sender)
        lan.wire(sender, frame)
        second_lan.settle()
        same(
            "frames that arrived at port",
            [list(port.arrivals()) for port in strangers],
            [[], [], []],
        )
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
