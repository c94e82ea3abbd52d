"""H. The Host network with a real TAP: the kernel of this machine is the Host."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from harness.comparing import differ, raises, same
from harness.frames import EXPERIMENTAL, GROUPS, LONGEST, ethernet
from harness.lans.lguest import LguestLan
from harness.lans.wire.namespace import Namespace
from harness.lguest.driver import NUM_SKBS, Counters
from harness.lguest.launcher import HostNetwork
from harness.lguest.memory import LguestError
from harness.lguest.tap import KernelTap
from harness.plugin.marks import rule

PATIENCE_S = 10
"""How long the kernel may take over a frame before it counts as lost."""

INTERFACE = "lguest0"
JUMBO = 9000


@dataclass
class KernelNetwork:
    """A Host network with a TAP of the kernel; ``host`` is a socket on the Host's side."""

    lan: LguestLan
    network: HostNetwork
    tap: KernelTap
    host: socket.socket

    def heard(self) -> bytes:
        """The next frame that arrives on the Host's side."""
        ready, _, _ = select.select([self.host], [], [], PATIENCE_S)
        same("the kernel received a frame", bool(ready), True)
        return self.host.recv(1 << 17)

    def takes(self) -> bool:
        """One frame from the kernel to the Guest, once there is one."""
        if not self.tap.waiting():
            ready, _, _ = select.select([self.tap], [], [], PATIENCE_S)
            same("the kernel sent a frame", bool(ready), True)
        return self.network.input()

    def received(self) -> list[bytes]:
        """The frames that the Guest passed up, without those that the kernel sends unasked."""
        self.lan.settle()
        kind = EXPERIMENTAL.to_bytes(2, "big")
        frames = self.lan.received(self.network.device)
        return [frame for frame in frames if frame[12:14] == kind]

    def for_guest(self, size: int = 60, stamp: int = 0) -> bytes:
        """A frame from the Host to the Guest."""
        return ethernet(self.network.device.address, self.tap.address, size=size, stamp=stamp)

    def passes_filter(self, size: int = 60, stamp: int = 0) -> bytes:
        """A frame from the Guest to the Host."""
        return ethernet(self.tap.address, self.network.device.address, size=size, stamp=stamp)


@pytest.fixture
def kernel(lguest: LguestLan, namespace: Namespace) -> Iterator[KernelNetwork]:
    """A Host network in a namespace of its own; its Guest and its interface are up."""
    hears = socket.htons(EXPERIMENTAL)
    with (
        contextlib.closing(namespace.run(KernelTap, INTERFACE)) as tap,
        namespace.run(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, hears) as host,
    ):
        namespace.link("set", index=namespace.index(INTERFACE), state="up", mtu=JUMBO)
        host.bind((INTERFACE, EXPERIMENTAL))
        network = lguest.host_network(50, tap)
        same("result of opening the network's device", network.device.open(), 0)
        yield KernelNetwork(lguest, network, tap, host)


@rule("HST-1")
def test_the_kernels_address_is_published_with_the_bit(kernel: KernelNetwork) -> None:
    device = kernel.network.device
    address = kernel.tap.address
    same("number of address", len(address), 6)
    differ("address of the TAP", address, bytes(6))
    same(
        "address published in slot 0",
        device.pages.published(0),
        bytes((address[0] | 1,)) + address[1:],
    )
    same("address published in slot 1", device.pages.published(1), device.address)
    frame = kernel.passes_filter()
    device.transmit(frame)
    same("frame that the kernel received", kernel.heard(), frame)


@rule("HST-2", "CNT-1")
@pytest.mark.parametrize("size", [14, 15, 60, LONGEST, LONGEST + 1, 9014, 65535])
def test_the_kernel_hears_the_guests_frames_whole(kernel: KernelNetwork, size: int) -> None:
    frame = kernel.passes_filter(size)
    same("result of a transmit by the kernel", kernel.network.device.transmit(frame), 0)
    same(
        "counters of the kernel",
        kernel.network.device.counters,
        Counters(tx_packets=1, tx_bytes=size),
    )
    same("frame that the kernel received", kernel.heard(), frame)


@rule("HST-1", "HST-2")
@pytest.mark.parametrize("destination", ["nobody", *GROUPS])
def test_the_kernel_hears_frames_to_everybody_and_to_nobody(
    kernel: KernelNetwork, destination: str
) -> None:
    device = kernel.network.device
    to = {"nobody": bytes.fromhex("02001234abcd"), **GROUPS}[destination]
    frame, last = ethernet(to, device.address), kernel.passes_filter(stamp=1)
    device.transmit(frame)
    device.transmit(last)
    same(
        "frame that the kernel received and frame that the kernel received",
        [kernel.heard(), kernel.heard()],
        [frame, last],
    )
    same("counters of the device", device.counters, Counters(tx_packets=2, tx_bytes=120))


@rule("HST-2")
def test_the_kernel_hears_a_frame_in_pieces_as_one(kernel: KernelNetwork) -> None:
    frame = kernel.passes_filter(1000)
    kernel.network.device.transmit(frame, 14, 4090, [(486, 3610), (500, 0)])
    same("frame that the kernel received", kernel.heard(), frame)


@rule("HST-2", "CNT-3", "LIF-3")
@pytest.mark.parametrize("size", range(6, 14))
def test_the_kernel_refuses_a_runt_and_the_send_counts_as_failed(
    kernel: KernelNetwork, size: int
) -> None:
    device = kernel.network.device
    same("result of a transmit by the device", device.transmit(kernel.passes_filter(size)), 0)
    same(
        "used_len of the structure sent",
        device.guest.memory.read(device.sending, 4),
        b"\xff" * 4,
    )
    same("counters of the device", device.counters, Counters(tx_carrier_errors=1))
    frame = kernel.passes_filter(14)
    device.transmit(frame)
    same("frame that the kernel received", kernel.heard(), frame)
    same(
        "counters of the device",
        device.counters,
        Counters(tx_packets=1, tx_bytes=14, tx_carrier_errors=1),
    )


@rule("HST-3", "CNT-4")
@pytest.mark.parametrize("size", [14, 15, 60, LONGEST])
@pytest.mark.parametrize("destination", ["own", "nobody", "broadcast"])
def test_the_guest_hands_up_the_kernels_frames(
    kernel: KernelNetwork, size: int, destination: str
) -> None:
    own = kernel.network.device.address
    to = {"own": own, "nobody": bytes.fromhex("02001234abcd"), **GROUPS}[destination]
    frame = ethernet(to, kernel.tap.address, size=size)
    kernel.host.send(frame)
    same("the kernel takes a frame", kernel.takes(), True)
    same("frames received by the kernel", kernel.received(), [frame])


@rule("HST-3", "LEN-3")
@pytest.mark.parametrize("size", [LONGEST + 1, 4000, 9014])
def test_a_frame_of_the_kernel_is_cut_to_the_buffer(kernel: KernelNetwork, size: int) -> None:
    large, small = kernel.for_guest(size), kernel.for_guest(stamp=1)
    for frame in (large, small):
        kernel.host.send(frame)
        same("the kernel takes a frame", kernel.takes(), True)
    same("frames received by the kernel", kernel.received(), [large[:LONGEST], small])


@rule("HST-3")
def test_frames_for_a_closed_guest_are_read_and_thrown_away(kernel: KernelNetwork) -> None:
    device = kernel.network.device
    device.close()
    kernel.host.send(kernel.for_guest())
    same("the kernel takes a frame", kernel.takes(), False)
    same("a frame waits in the TAP", kernel.tap.waiting(), False)
    same("the Guest has a pending interrupt", bool(device.guest.pending), False)
    same("result of opening the device", device.open(), 0)
    frame = kernel.for_guest(stamp=1)
    kernel.host.send(frame)
    same("the kernel takes a frame", kernel.takes(), True)
    same("frames received by the kernel", kernel.received(), [frame])


@rule("HST-4")
def test_the_kernels_frames_wait_while_every_buffer_is_full(kernel: KernelNetwork) -> None:
    frames = [kernel.for_guest(stamp=n) for n in range(NUM_SKBS + 4)]
    for frame in frames:
        kernel.host.send(frame)
    for _ in frames:
        kernel.takes()
    kernel.received()
    for _ in frames[NUM_SKBS:]:
        kernel.network.input()
    same("frames received by the kernel", kernel.received(), frames)


@rule("HST-4")
def test_what_happens_to_the_kernels_frames_while_every_buffer_is_full(
    kernel: KernelNetwork,
) -> None:
    frames = [kernel.for_guest(stamp=n) for n in range(NUM_SKBS + 1)]
    for frame in frames:
        kernel.host.send(frame)
    same(
        "frames that the kernel takes", [kernel.takes() for _ in range(NUM_SKBS)], [True] * NUM_SKBS
    )
    overwrites = kernel.lan.host.defects.overwrites_full_ring
    same("the kernel takes a frame", kernel.takes(), overwrites)
    kept = [*frames[:7], frames[8]] if overwrites else frames[:8]
    same("frames received by the kernel", kernel.received(), kept)
    differ("a frame waits in the TAP", kernel.tap.waiting(), overwrites)
    last = kernel.for_guest(stamp=99)
    kernel.host.send(last)
    if not overwrites:
        same("the kernel takes a frame", kernel.takes(), True)
    same("the kernel takes a frame", kernel.takes(), True)
    same(
        "frames received by the kernel",
        kernel.received(),
        [*kept, *([] if overwrites else frames[8:]), last],
    )


@rule("HST-1")
def test_frames_cross_both_ways_in_order(kernel: KernelNetwork) -> None:
    device = kernel.network.device
    inward = [kernel.for_guest(size=60 + n, stamp=n) for n in range(30)]
    outward = [kernel.passes_filter(size=60 + n, stamp=100 + n) for n in range(30)]
    for to_guest, to_host in zip(inward, outward, strict=True):
        kernel.host.send(to_guest)
        device.transmit(to_host)
        same("frame that the kernel received", kernel.heard(), to_host)
        same("the kernel takes a frame", kernel.takes(), True)
        same("last 1 of frames received by the kernel", kernel.received()[-1:], [to_guest])
    same("frames received by the kernel", kernel.received(), inward)


@rule("HST-1")
def test_without_a_frame_the_kernels_tap_has_none_to_read(kernel: KernelNetwork) -> None:
    same("a frame waits in the TAP", kernel.tap.waiting(), False)
    same("the kernel reads a frame of its TAP", kernel.network.input(), False)
    with raises("the error", BlockingIOError, f"no frame waits in {INTERFACE}"):
        kernel.tap.read()
    frame = kernel.for_guest()
    kernel.host.send(frame)
    same("the kernel takes a frame", kernel.takes(), True)
    same("frames received by the kernel", kernel.received(), [frame])


@rule("HST-1")
def test_a_tap_that_cannot_be_made_is_an_error_that_names_it(
    kernel: KernelNetwork, namespace: Namespace
) -> None:
    with raises("the error", LguestError, f"TAP {INTERFACE}: Device or resource busy"):
        namespace.run(KernelTap, INTERFACE)
    frame = kernel.passes_filter()
    kernel.network.device.transmit(frame)
    same("frame that the kernel received", kernel.heard(), frame)
