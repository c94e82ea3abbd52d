"""A port is one device of a Guest: its frames, its modes and its failures are that device's."""

from __future__ import annotations

import itertools

import pytest

from harness.comparing import raises, same
from harness.frames import ethernet
from harness.lan import LanError
from harness.lans.lguest import LguestLan
from harness.plugin.marks import rule

from .kit.dma import send_bytes
from .kit.steps import same_frames


@rule("DLV-2", "DLV-8")
def test_a_port_has_no_frame_of_another_device_of_its_guest(lguest: LguestLan) -> None:
    """Both devices have one address, so a frame to it reaches each of them."""
    sender, owner = lguest.ports(2)
    second = lguest.second_device(owner.device.guest, 9)
    same("result of opening the second", second.open(), 0)
    frame = ethernet(owner.mac, sender.mac, stamp=1)
    sender.send(frame)
    lguest.settle()
    same("frames that arrived", [arrival.frame for arrival in owner.arrivals()], [frame])
    same_frames(lguest, second, [frame])
    other = ethernet(owner.mac, sender.mac, stamp=2)
    guest = sender.device.guest
    same(
        "used_len, SEND_DMA of the guest",
        send_bytes(guest, sender.device.peer_key(second.slot), other),
        len(other),
    )
    lguest.settle()
    same("frames that arrived at the owner", owner.arrivals(), [])
    same(
        "used_len, SEND_DMA of the guest",
        send_bytes(guest, sender.device.peer_key(owner.device.slot), other),
        len(other),
    )
    lguest.settle()
    same("frames that arrived", [arrival.frame for arrival in owner.arrivals()], [other])
    same_frames(lguest, second, [frame, other])


@rule("PUB-4", "PUB-3")
def test_a_port_keeps_one_mode_while_another_changes(lguest: LguestLan) -> None:
    """Every order of entering and leaving both: the bit is set while either holds."""
    (port,) = lguest.ports(1)
    slot = port.device.slot
    for enter, leave in itertools.product(itertools.permutations("pg"), repeat=2):
        modes: set[str] = set()
        for mode, on in [*((mode, True) for mode in enter), *((mode, False) for mode in leave)]:
            if mode == "p":
                port.set_promiscuous(on)
            else:
                port.join_groups(2 * on)
            modes = modes | {mode} if on else modes - {mode}
            same(
                "first byte of the address published",
                lguest.pages.published(slot)[0],
                3 if modes else 2,
            )


@rule("LIF-1")
@pytest.mark.parametrize("left", [0, 3])
def test_a_port_that_has_no_memory_to_open_says_so(lguest: LguestLan, left: int) -> None:
    (port,) = lguest.ports(1)
    port.close()
    port.device.guest.memory_left = left
    with raises("the error", LanError, "could not be opened"):
        port.open()
    same("port is open", port.device.is_open, False)
    port.device.guest.memory_left = None
    port.open()
    same("port is open", port.device.is_open, True)
