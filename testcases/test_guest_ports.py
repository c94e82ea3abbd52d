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


@rule("RCV-3", "DLV-4")
@pytest.mark.parametrize("mode", ["promiscuous", "groups", "neither"])
def test_what_passes_the_filter_of_a_port(lguest: LguestLan, mode: str) -> None:
    """The driver passes up all it gets; a card would drop what is to another host, unless
    it is promiscuous. A device with groups gets every frame, and is not.
    """
    sender, port, other = lguest.ports(3)
    port.set_promiscuous(mode == "promiscuous")
    port.join_groups(int(mode == "groups"))
    frames = {
        "own": ethernet(port.mac, sender.mac),
        "broadcast": ethernet(b"\xff" * 6, sender.mac),
        "another's": ethernet(other.mac, sender.mac),
        "unknown": ethernet(bytes.fromhex("02005a5a5a5a"), sender.mac),
    }
    seen: dict[str, list[bool | None]] = {}
    for name, frame in frames.items():
        sender.send(frame)
        lguest.settle()
        arrivals = port.arrivals()
        seen[name] = [arrival.passes_filter for arrival in arrivals if arrival.frame == frame]
    foreign = {"promiscuous": [True], "groups": [False], "neither": []}[mode]
    mine = {"own": [True], "broadcast": [True]}
    same("frames that pass", seen, mine | {"another's": foreign, "unknown": foreign})
