"""A veth pair per port in a namespace: one end for the harness, the other for the LAN."""

from __future__ import annotations

import functools
from collections.abc import Callable

from harness.lan import Counters, LanError
from harness.lans.wire.fence import mac_of
from harness.lans.wire.namespace import Namespace
from harness.lans.wire.packet import PacketSocket
from harness.lans.wire.transport import Plant, Transport

FAR_MAC = "06:6c:67:fe:{:02x}:{:02x}"
"""Addresses of what is not a port: far from those of ports, whatever bit is flipped."""


def far_end(space: Namespace, number: int, name: str, mac: bytes) -> tuple[str, int]:
    """Make the pair of port ``number``: name and index of the end that is for the LAN."""
    inside = f"lan{number}"
    far = {"ifname": inside, "address": FAR_MAC.format(1, number)}
    space.link("add", ifname=name, kind="veth", address=mac.hex(":"), peer=far)
    return inside, space.index(inside)


def packet_port(
    space: Namespace, name: str, *far_ends: int, counters: Callable[[], Counters] | None = None
) -> Transport:
    """AF_PACKET at an interface, which is brought up together with the far ends."""
    index = space.index(name)
    # A bridge sees at once that its own end is down, and late that the far one is.
    up_or_down = functools.partial(carrier, space, index, *far_ends)
    up_or_down(True)
    return space.run(PacketSocket, name, name, index, up_or_down, counters)


def carrier(space: Namespace, *ends_and_up: int) -> None:
    """Take interfaces up or down: their indexes, and last which of the two."""
    *ends, up = ends_and_up
    for index in ends:
        space.link("set", index=index, state="up" if up else "down")


def tried(make: Callable[[], Plant]) -> str | None:
    """Why one port of a LAN cannot be made here; None if it can."""
    try:
        plant = make()
        try:
            plant.connect(1, "port1", mac_of(1)).close()
        finally:
            plant.close()
    except (LanError, OSError) as error:
        return f"a port cannot be made: {error}"
    return None
