"""H. The Host network, towards the Guest: which buffer a frame from the TAP gets."""

from __future__ import annotations

import pytest

from harness.comparing import differ, same
from harness.frames import GROUPS, LONGEST, ethernet
from harness.lans.lguest import LguestLan
from harness.lguest import dma
from harness.lguest.driver import NUM_SKBS, Counters
from harness.lguest.events import Received
from harness.lguest.launcher import HostNetwork
from harness.lguest.tap import MemoryTap
from harness.plugin.marks import rule

from .kit.host_network import (
    HOST,
    UNKNOWN,
    feed,
    frames_for,
    must_work,
    open_network,
    send,
    used_lens,
    warnings,
)
from .kit.steps import same_frames

# HST-3: towards the Guest


@rule("HST-3", "CNT-4")
@pytest.mark.parametrize("size", [14, 15, 60, LONGEST])
@pytest.mark.parametrize("destination", ["own", "nobody", "broadcast", "ipv6-multicast"])
def test_a_frame_reaches_the_guest_whatever_its_destination(
    lguest: LguestLan, size: int, destination: str
) -> None:
    network, tap = open_network(lguest)
    to = {"own": network.device.address, "nobody": UNKNOWN, **GROUPS}[destination]
    frame = ethernet(to, HOST, size=size)
    tap.feed(frame)
    same("the network reads a frame of its TAP", network.input(), True)
    same(
        "pending interrupts of the network's Guest",
        network.device.guest.pending,
        1 << network.device.interrupt,
    )
    lguest.settle()
    same_frames(lguest, network.device, [frame])
    same(
        "counters of the network's device",
        network.device.counters,
        Counters(rx_packets=1, rx_bytes=size - 14),
    )
    same("frames written to the TAP", tap.written, [])


@rule("HST-3")
def test_without_a_frame_nothing_happens(lguest: LguestLan) -> None:
    network, tap = open_network(lguest)
    same("the network reads a frame of its TAP", network.input(), False)
    same("the network's Guest has a pending interrupt", bool(network.device.guest.pending), False)
    same("used_len of the buffers of the network", used_lens(network), [0] * 8)
    must_work(lguest, network, tap)
    same("the network reads a frame of its TAP", network.input(), False)


@rule("HST-3")
def test_frames_are_moved_one_at_a_time_in_order(lguest: LguestLan) -> None:
    network, tap = open_network(lguest)
    frames = frames_for(network, 3)
    feed(tap, frames)
    for moved in range(1, 4):
        same("the network reads a frame of its TAP", network.input(), True)
        same(
            "used_len of the buffers of the network",
            used_lens(network),
            [60] * moved + [0] * (8 - moved),
        )
        same("a frame waits in the TAP", tap.waiting(), moved < 3)
    same("the network reads a frame of its TAP", network.input(), False)
    lguest.settle()
    same_frames(lguest, network.device, frames)


@rule("HST-3")
def test_the_first_free_buffer_from_slot_0_is_used_and_there_is_no_cursor(
    lguest: LguestLan,
) -> None:
    network, tap = open_network(lguest)
    for turn in range(5):
        feed(tap, frames_for(network, turn + 1))
        for _ in range(turn + 1):
            same("the network reads a frame of its TAP", network.input(), True)
        lguest.settle()
    buffers = [event.buffer for event in lguest.host.events if isinstance(event, Received)]
    same("buffers", buffers, [buffer for turn in range(5) for buffer in range(turn + 1)])


@rule("HST-3")
@pytest.mark.parametrize("free", range(NUM_SKBS))
def test_a_hole_in_the_ring_is_found_wherever_it_is(lguest: LguestLan, free: int) -> None:
    network, tap = open_network(lguest)
    device = network.device
    feed(tap, frames_for(network, NUM_SKBS))
    for _ in range(NUM_SKBS):
        same("the network reads a frame of its TAP", network.input(), True)
    same("used_len of the buffers of the network", used_lens(network), [60] * 8)
    device.guest.memory.write(device.ring + free * dma.SIZE, bytes(4))
    (late,) = frames_for(network, 1, 99)
    tap.feed(late + b"late")
    same("the network reads a frame of its TAP", network.input(), True)
    same(
        "used_len of the buffers of the network",
        used_lens(network),
        [60] * free + [64] + [60] * (7 - free),
    )
    lguest.settle()
    same(
        "frames passed up by the device, sorted",
        sorted(lguest.received(device)),
        sorted(
            [
                *(frame for n, frame in enumerate(frames_for(network, 8)) if n != free),
                late + b"late",
            ]
        ),
    )


class _Curious(MemoryTap):
    """A TAP that looks at the Guest's ring while a frame is read."""

    network: HostNetwork

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[list[int], int]] = []

    def read(self) -> bytes:
        self.seen.append((used_lens(self.network), self.network.device.guest.pending))
        return super().read()


@rule("HST-3")
@pytest.mark.parametrize("index", [0, 1, 3])
def test_a_buffer_is_marked_with_the_interrupt_while_the_frame_is_read(
    lguest: LguestLan, index: int
) -> None:
    launcher = lguest.launch(60)
    for slot in range(index):
        lguest.devices.append(launcher.join(lguest.pages, 100 + slot))
    tap = _Curious()
    tap.network = launcher.join_host(tap)
    device = tap.network.device
    lguest.devices.append(device)
    same("interrupt of the device", device.interrupt, index + 1)
    same("result of opening the device", device.open(), 0)
    frames = frames_for(tap.network, 2)
    feed(tap, frames)
    same("the TAP reads a frame of its TAP", tap.network.input(), True)
    device.guest.pending = 0
    same("the TAP reads a frame of its TAP", tap.network.input(), True)
    same("calls of the TAP", tap.seen, [([index + 1] + [0] * 7, 0), ([60, index + 1] + [0] * 6, 0)])
    same("used_len of the buffers of the TAP", used_lens(tap.network), [60, 60] + [0] * 6)
    lguest.settle()
    same_frames(lguest, device, frames)


@rule("HST-3", "LEN-3")
@pytest.mark.parametrize("size", [LONGEST, LONGEST + 1, 4000, 9014])
@pytest.mark.parametrize("rx_offset", [0, 16, 2583, 4095])
def test_a_frame_is_cut_to_the_buffer_in_one_section_or_two(
    lguest: LguestLan, size: int, rx_offset: int
) -> None:
    tap = MemoryTap()
    network = lguest.launch(50).join_host(tap, rx_offset=rx_offset)
    lguest.devices.append(network.device)
    same("result of opening the network's device", network.device.open(), 0)
    large = ethernet(network.device.address, HOST, size=size)
    (small,) = frames_for(network, 1, 5)
    feed(tap, [large, small])
    same("the network reads a frame of its TAP", network.input(), True)
    same("the network reads a frame of its TAP", network.input(), True)
    same("used_len of the buffers of the network", used_lens(network), [LONGEST, 60] + [0] * 6)
    lguest.settle()
    same_frames(lguest, network.device, [large[:LONGEST], small])
    same(
        "counters of the network's device",
        network.device.counters,
        Counters(rx_packets=2, rx_bytes=1500 + 46),
    )


@rule("HST-3", "LEN-1")
@pytest.mark.parametrize("size", range(1, 14))
def test_a_runt_from_the_tap_is_dropped_by_the_guest(lguest: LguestLan, size: int) -> None:
    network, tap = open_network(lguest)
    runt, (whole,) = bytes(size), frames_for(network, 1)
    feed(tap, [runt, whole])
    same("the network reads a frame of its TAP", network.input(), True)
    same("the network reads a frame of its TAP", network.input(), True)
    same("used_len of the buffers of the network", used_lens(network), [size, 60] + [0] * 6)
    lguest.settle()
    same_frames(lguest, network.device, [whole])
    same(
        "counters of the network's device",
        network.device.counters,
        Counters(rx_packets=1, rx_bytes=46),
    )


@rule("HST-3")
@pytest.mark.parametrize("size", [14, 60])
def test_a_shorter_frame_brings_nothing_of_the_longer_one_before_it(
    lguest: LguestLan, size: int
) -> None:
    network, tap = open_network(lguest)
    long = ethernet(network.device.address, HOST, size=LONGEST)
    short = ethernet(network.device.address, HOST, size=size, stamp=1)
    for _ in range(20):
        feed(tap, [long, short])
        same("the network reads a frame of its TAP", network.input(), True)
        same("the network reads a frame of its TAP", network.input(), True)
        lguest.settle()
        same(
            "last 2 of frames passed up by the network's device",
            lguest.received(network.device)[-2:],
            [long, short],
        )


@rule("HST-3")
@pytest.mark.parametrize("closed_after", ["nothing", "opening"])
def test_a_frame_for_a_guest_with_nothing_bound_is_thrown_away_in_silence(
    lguest: LguestLan, closed_after: str
) -> None:
    tap = MemoryTap()
    network = lguest.host_network(50, tap)
    device = network.device
    if closed_after == "opening":
        same("result of opening the device", device.open(), 0)
        device.close()
    feed(tap, frames_for(network, 3))
    for _ in range(3):
        same("a frame waits in the TAP", tap.waiting(), True)
        same("the network reads a frame of its TAP", network.input(), False)
    same("a frame waits in the TAP", tap.waiting(), False)
    same("the Guest has a pending interrupt", bool(device.guest.pending), False)
    same("warnings of the Launchers", warnings(lguest), [])
    same("result of opening the device", device.open(), 0)
    lguest.settle()
    same_frames(lguest, device, [])
    must_work(lguest, network, tap)


@rule("HST-3")
@pytest.mark.parametrize("size", [6, 60])
def test_once_the_guest_has_sent_a_frame_thrown_away_is_warned_of(
    lguest: LguestLan, size: int
) -> None:
    network, tap = open_network(lguest)
    device = network.device
    send(network, size=size)
    device.close()
    for count in range(1, 4):
        feed(tap, frames_for(network, 1))
        same("the network reads a frame of its TAP", network.input(), False)
        same("a frame waits in the TAP", tap.waiting(), False)
        same("warnings of the Launchers", warnings(lguest), ["network: no dma buffer!"] * count)
    same("the network reads a frame of its TAP", network.input(), False)
    same("number of warnings of the Launchers", len(warnings(lguest)), 3)
    same("the Guest has a pending interrupt", bool(device.guest.pending), False)
    same("result of opening the device", device.open(), 0)
    lguest.settle()
    same_frames(lguest, device, [])
    must_work(lguest, network, tap)
    same("number of warnings of the Launchers", len(warnings(lguest)), 3)


@rule("HST-3")
def test_a_send_to_a_key_that_nobody_watches_is_no_reason_to_warn(lguest: LguestLan) -> None:
    network, tap = open_network(lguest)
    device = network.device
    same(
        "used_len, SEND_DMA of the Guest",
        device.guest.send_dma(device.peer_key(2), device.sending),
        0,
    )
    device.close()
    before = warnings(lguest)
    feed(tap, frames_for(network, 1))
    same("the network reads a frame of its TAP", network.input(), False)
    same("warnings of the Launchers", warnings(lguest), before)
    same("result of opening the device", device.open(), 0)
    must_work(lguest, network, tap)


# HST-4: every buffer full


@rule("HST-4")
@pytest.mark.parametrize("count", range(1, NUM_SKBS + 1))
def test_as_many_frames_as_there_are_buffers_are_all_handed_up(
    lguest: LguestLan, count: int
) -> None:
    network, tap = open_network(lguest)
    for turn in range(3):
        frames = frames_for(network, count, 10 * turn)
        feed(tap, frames)
        for _ in range(count):
            same("the network reads a frame of its TAP", network.input(), True)
        lguest.settle()
        same_frames(lguest, network.device, frames, since=turn * count)


@rule("HST-4")
@pytest.mark.parametrize("more", [1, 2, 8])
def test_frames_that_find_every_buffer_full_wait_and_none_is_lost(
    lguest: LguestLan, more: int
) -> None:
    network, tap = open_network(lguest)
    frames = frames_for(network, NUM_SKBS + more)
    feed(tap, frames)
    for _ in range(2):
        for _ in frames:
            network.input()
        lguest.settle()
    same_frames(lguest, network.device, frames)
    same("a frame waits in the TAP", tap.waiting(), False)


@rule("HST-4")
@pytest.mark.parametrize("more", [1, 2, 8])
def test_what_happens_to_frames_that_find_every_buffer_full(lguest: LguestLan, more: int) -> None:
    network, tap = open_network(lguest)
    frames = frames_for(network, NUM_SKBS + more)
    feed(tap, frames)
    overwrites = lguest.host.defects.overwrites_full_ring
    same(
        "the network reads a frame of its TAP",
        [network.input() for _ in range(NUM_SKBS)],
        [True] * NUM_SKBS,
    )
    same(
        "the network reads a frame of its TAP",
        [network.input() for _ in range(more)],
        [overwrites] * more,
    )
    differ("a frame waits in the TAP", tap.waiting(), overwrites)
    same("used_len of the buffers of the network", used_lens(network), [60] * NUM_SKBS)
    lguest.settle()
    kept = [*frames[:7], frames[-1]] if overwrites else frames[:8]
    same_frames(lguest, network.device, kept)
    same(
        "counters of the network's device",
        network.device.counters,
        Counters(rx_packets=8, rx_bytes=8 * 46),
    )
    same(
        "the network reads a frame of its TAP",
        [network.input() for _ in range(more)],
        [not overwrites] * more,
    )
    lguest.settle()
    same_frames(lguest, network.device, kept if overwrites else frames)
    must_work(lguest, network, tap)


@rule("HST-4")
def test_the_guest_can_send_while_every_buffer_is_full(lguest: LguestLan) -> None:
    network, tap = open_network(lguest)
    feed(tap, frames_for(network, NUM_SKBS))
    for _ in range(NUM_SKBS):
        same("the network reads a frame of its TAP", network.input(), True)
    frame = send(network)
    same("frames written to the TAP", tap.written, [frame])
    lguest.settle()
    same_frames(lguest, network.device, frames_for(network, NUM_SKBS))
    must_work(lguest, network, tap)
