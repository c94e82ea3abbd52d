"""The address of a port with its group bit set is a group address like any other (DLV-3)."""

from __future__ import annotations

import pytest

from harness.comparing import same
from harness.frames import ethernet
from harness.lans.lguest import LguestLan
from harness.lguest.driver import Counters
from harness.plugin.marks import rule

from .kit.steps import same_frames


@rule("DLV-1", "DLV-3", "DLV-5")
@pytest.mark.parametrize("whose", ["owner", "listener", "sender", "ghost"])
@pytest.mark.parametrize("before", [False, True])
def test_the_group_of_a_published_address_reaches_everybody(
    lguest: LguestLan, whose: str, before: bool
) -> None:
    """Whether or not a unicast to that address went before it."""
    sender, owner, listener, other = lguest.open_devices(4)
    listener.set_flags(promiscuous=True)
    ghost = bytes.fromhex("02005a5a5a5a")
    lguest.pages.publish(300, ghost)
    address = {
        "owner": owner.address,
        "listener": listener.address,
        "sender": sender.address,
        "ghost": ghost,
    }[whose]
    if before:
        sender.transmit(ethernet(address, sender.address, stamp=1))
        lguest.settle()
    earlier = [len(lguest.received(device)) for device in (owner, listener, other)]
    sender.counters = Counters()
    frame = ethernet(bytes((address[0] | 1,)) + address[1:], sender.address, stamp=2)
    sender.transmit(frame)
    lguest.settle()
    for device, count in zip((owner, listener, other), earlier, strict=True):
        same_frames(lguest, device, [frame], since=count)
    same_frames(lguest, sender, [])
    same(
        "counters of the sender",
        sender.counters,
        Counters(tx_packets=3, tx_bytes=180, tx_carrier_errors=1),
    )
