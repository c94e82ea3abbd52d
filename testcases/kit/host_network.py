"""A Host network under test: its Guest, its TAP, and frames in both directions."""

from __future__ import annotations

from collections.abc import Sequence

from harness.comparing import same
from harness.frames import ethernet
from harness.lans.lguest import LguestLan
from harness.lguest import dma
from harness.lguest.driver import NUM_SKBS
from harness.lguest.events import Warned
from harness.lguest.launcher import HostNetwork
from harness.lguest.tap import MemoryTap

from .steps import same_frames

HOST = bytes.fromhex("020000ff0001")
"""The Host's address on the network."""

UNKNOWN = bytes.fromhex("02001234abcd")
"""An address that no peer publishes."""


def open_network(lguest: LguestLan, guest_id: int = 50) -> tuple[HostNetwork, MemoryTap]:
    """A Host network whose Guest is up, and its TAP."""
    tap = MemoryTap()
    network = lguest.host_network(guest_id, tap)
    network.device.open()
    return network, tap


def send(network: HostNetwork, to: bytes = HOST, size: int = 60, stamp: int = 0) -> bytes:
    """The Guest transmits a frame; returns it."""
    frame = ethernet(to, network.device.address, size=size, stamp=stamp)
    network.device.transmit(frame)
    return frame


def frames_for(network: HostNetwork, count: int, first: int = 0) -> list[bytes]:
    """Frames from the Host to the Guest."""
    address = network.device.address
    return [ethernet(address, HOST, stamp=first + n) for n in range(count)]


def feed(tap: MemoryTap, frames: Sequence[bytes]) -> None:
    """The Host sends these frames."""
    for frame in frames:
        tap.feed(frame)


def used_lens(network: HostNetwork) -> list[int]:
    """The ``used_len`` of each receive buffer."""
    device = network.device
    memory = device.guest.memory
    starts = range(device.ring, device.ring + NUM_SKBS * dma.SIZE, dma.SIZE)
    return [int.from_bytes(memory.read(at, 4), "little") for at in starts]


def warnings(lguest: LguestLan) -> list[str]:
    return [event.text for event in lguest.host.events if isinstance(event, Warned)]


def must_work(lguest: LguestLan, network: HostNetwork, tap: MemoryTap, stamp: int = 999) -> None:
    """One frame crosses in each direction, and no other."""
    written, received = len(tap.written), len(lguest.received(network.device))
    out = send(network, stamp=stamp)
    (inward,) = frames_for(network, 1, stamp)
    tap.feed(inward)
    same("the Launcher reads a frame of its TAP", network.input(), True)
    lguest.settle()
    same("frames written to the TAP", tap.written[written:], [out])
    same_frames(lguest, network.device, [inward], since=received)


def works(lguest: LguestLan, network: HostNetwork, tap: MemoryTap, stamp: int = 999) -> bool:
    """Whether one frame crosses in each direction, and no other."""
    written, received = len(tap.written), len(lguest.received(network.device))
    out = send(network, stamp=stamp)
    (inward,) = frames_for(network, 1, stamp)
    tap.feed(inward)
    moved = network.input()
    lguest.settle()
    arrived = lguest.received(network.device)[received:]
    return moved and tap.written[written:] == [out] and arrived == [inward]
