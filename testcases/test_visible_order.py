"""The order of two effects, as another CPU or another process can see it between them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from harness.comparing import same
from harness.frames import ethernet
from harness.lans.lguest import LguestLan
from harness.lguest.driver import NUM_SKBS, NetDevice
from harness.lguest.events import Point
from harness.lguest.launcher import SharedFile
from harness.lguest.memory import LguestError
from harness.lguest.tap import MemoryTap
from harness.plugin.marks import rule

from .kit.dma import ARRAY, STRUCTURE, bind, buffer_list, number, send_bytes, used_lens, whenever
from .kit.host_network import HOST, frames_for, open_network
from .kit.steps import NO_ADDRESS, acting_at, broadcast, same_frames

# SEND_DMA


@rule("DMA-2")
@pytest.mark.parametrize("turn", range(3))
def test_used_len_and_the_interrupt_follow_the_bytes(lguest: LguestLan, turn: int) -> None:
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(owner.slot)
    for n in range(turn):
        same(
            "used_len, SEND_DMA of the sender",
            send_bytes(sender.guest, key, bytes(60 + n)),
            60 + n,
        )
    owner.guest.pending = 0
    seen = []

    ((room, _),) = buffer_list(owner, turn)

    def look() -> None:
        seen.append(
            (
                owner.guest.memory.read(room, 71),
                used_lens(owner.guest, owner.ring)[turn],
                number(sender.guest.memory, STRUCTURE),
                owner.guest.pending,
            )
        )

    with acting_at(lguest.host, Point.COPIED, look):
        same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, b"\x5a" * 70), 70)
    same("what was seen", seen, [(b"\x5a" * 70 + bytes(1), 0, 0, 0)])
    same(
        "used_len of a buffer of the owner",
        used_lens(owner.guest, owner.ring)[turn],
        70,
    )
    same("pending interrupts of the owner", owner.guest.pending, 1 << owner.interrupt)


@rule("DMA-2", "RCV-1")
def test_a_receiver_that_takes_an_interrupt_during_a_copy_gets_the_frame_later(
    lguest: LguestLan,
) -> None:
    sender, owner = lguest.open_devices(2)
    frames = [ethernet(owner.address, sender.address, stamp=n) for n in range(3)]
    whenever(lguest, Point.COPIED, owner.guest.interrupt)
    for frame in frames:
        sender.transmit(frame)
    lguest.host.interleave = None
    lguest.settle()
    same_frames(lguest, owner, frames)


@rule("DMA-5", "DMA-2")
def test_nothing_is_written_before_the_second_try(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(owner.slot)
    for _ in range(NUM_SKBS):
        same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, bytes(60)), 60)
    seen = []

    def look() -> None:
        seen.append((number(sender.guest.memory, STRUCTURE), used_lens(owner.guest, owner.ring)))

    with acting_at(lguest.host, Point.RESTOCK, look):
        same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, bytes(90)), 0)
    same("what was seen", seen, [(0, [60] * NUM_SKBS)])


# Opening


@rule("PUB-4", "PUB-2")
@pytest.mark.parametrize("flag", ["promiscuous", "all_multicast", "multicast_count"])
def test_opening_publishes_the_address_with_its_bit_at_once(lguest: LguestLan, flag: str) -> None:
    sender, device = lguest.open_devices(2)
    device.close()
    device.set_flags(
        promiscuous=flag == "promiscuous",
        all_multicast=flag == "all_multicast",
        multicast_count=int(flag == "multicast_count"),
    )
    address = bytes((3,)) + device.address[1:]
    seen = []

    def look() -> None:
        sender.transmit(ethernet(bytes.fromhex("0200deadbeef"), sender.address))
        seen.append((lguest.pages.published(device.slot), sender.counters.tx_carrier_errors))

    for point in (Point.PUBLISHED, Point.FILLED):
        with acting_at(lguest.host, point, look):
            same("result of opening the device", device.open(), 0)
        device.close()
    same("what was seen", seen, [(address, 1), (address, 2)])


@rule("LIF-1", "RCV-2")
def test_nothing_is_bound_while_the_ring_is_filled(lguest: LguestLan) -> None:
    sender, device = lguest.open_devices(2)
    seen: list[int] = []

    def look() -> None:
        seen.append(len(lguest.host.bound_by(device.guest)))

    for point in (Point.PUBLISHED, Point.LISTED, Point.FILLED):
        device.close()
        with acting_at(lguest.host, point, look):
            same("result of opening the device", device.open(), 0)
    same("what was seen", seen, [0, 0, 0])
    same("broadcast (whole, failed) of the sender", broadcast(sender), (1, 0))


# Receiving while others fill


@rule("RCV-1", "DLV-11")
@pytest.mark.parametrize("point", [Point.TAKEN, Point.LISTED])
@pytest.mark.parametrize("waiting", [1, 3, NUM_SKBS])
def test_frames_from_the_tap_while_the_handler_runs_are_all_passed_up(
    lguest: LguestLan, point: Point, waiting: int
) -> None:
    """Repaired, in the order of arrival; as shipped in the order of the slots."""
    network, tap = open_network(lguest)
    frames = frames_for(network, waiting + 4)
    for frame in frames[:waiting]:
        tap.feed(frame)
        same("the network reads a frame of its TAP", network.input(), True)
    late = list(frames[waiting:])

    def one_more() -> None:
        if late and 0 in used_lens(network.device.guest, network.device.ring):
            tap.feed(late.pop(0))
            same("the network reads a frame of its TAP", network.input(), True)

    whenever(lguest, point, one_more)
    lguest.settle()
    lguest.host.interleave = None
    for frame in late:
        tap.feed(frame)
        same("the network reads a frame of its TAP", network.input(), True)
    lguest.settle()
    received = lguest.received(network.device)
    if lguest.host.defects.drains_from_slot_zero:
        same("received, sorted", sorted(received), sorted(frames))
    else:
        same("received", received, frames)


# The Host network


class LookingTap(MemoryTap):
    """A TAP that looks at the Guest at every write and every read."""

    device: NetDevice
    seen: list[tuple[str, list[int], int, int]]

    def look(self, what: str) -> None:
        guest = self.device.guest
        sending = number(guest.memory, self.device.sending)
        self.seen.append((what, used_lens(guest, self.device.ring), guest.pending, sending))

    def write(self, frame: bytes) -> int:
        self.look("write")
        return super().write(frame)

    def read(self) -> bytes:
        self.look("read")
        return super().read()


@rule("HST-2", "HST-3")
def test_the_guest_learns_of_a_frame_only_after_it_crossed(lguest: LguestLan) -> None:
    tap = LookingTap()
    network = lguest.host_network(50, tap)
    device = tap.device = network.device
    tap.seen = []
    same("result of opening the device", device.open(), 0)
    device.transmit(ethernet(HOST, device.address))
    same("calls of the TAP", tap.seen, [("write", [0] * 8, 0, 0)])
    for n, frame in enumerate(frames_for(network, 3)):
        tap.feed(frame)
        device.guest.pending = 0
        same("the network reads a frame of its TAP", network.input(), True)
        marked = [60] * n + [device.interrupt] + [0] * (7 - n)
        same("calls of the TAP", tap.seen[n + 1], ("read", marked, 0, 60))
        same("pending interrupts of the Guest", device.guest.pending, 1 << device.interrupt)


# The end of a Launcher


@rule("DEV-2", "PUB-6")
def test_a_launcher_that_ends_frees_its_slot_last(
    lguest: LguestLan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old owner must not clear the address of the slot's next owner."""
    with contextlib.ExitStack() as opened:
        files = [
            opened.enter_context(contextlib.closing(lguest.parts.file(tmp_path / name)))
            for name in ("one", "two")
        ]
        launcher = lguest.launch(20)
        devices = [launcher.join(file) for file in files]
        lguest.devices += devices
        same("result of opening each device", [device.open() for device in devices], [0, 0])
        guest = launcher.guest
        seen: list[tuple[int, bytes, int]] = []

        def watch(file: SharedFile) -> None:
            free = file.free_slot

            def look(slot: int) -> None:
                seen.append((slot, file.pages.published(slot), len(lguest.host.bound_by(guest))))
                free(slot)

            monkeypatch.setattr(file, "free_slot", look)

        for file in files:
            watch(file)
        launcher.exit()
        left = devices[0].address if lguest.host.defects.leaves_ghosts else NO_ADDRESS
        same("what was seen", seen, [(0, left, 0), (0, left, 0)])


# DMA-9: killed in the middle of a step


@rule("DMA-9")
@pytest.mark.parametrize("size", [60, 90])
def test_a_guest_killed_once_it_chose_a_receiver_sends_nothing(
    lguest: LguestLan, size: int
) -> None:
    sender, owner, other = lguest.open_devices(3)
    sender.transmit(ethernet(owner.address, sender.address))
    lguest.settle()
    with acting_at(
        lguest.host, Point.ADDRESSED, lambda: lguest.host.kill(sender.guest, "for a test")
    ):
        sender.transmit(ethernet(b"\xff" * 6, sender.address, size=size))
    same("pending interrupts of the owner", owner.guest.pending, 0)
    same("pending interrupts of the other", other.guest.pending, 0)
    same("used_len of the buffers of the owner", used_lens(owner.guest, owner.ring), [0] * 8)
    same("used_len of the buffers of the other", used_lens(other.guest, other.ring), [0] * 8)


@rule("DMA-9")
@pytest.mark.parametrize("point", [Point.PUBLISHED, Point.FILLED, Point.LISTED])
def test_a_guest_killed_while_it_opens_binds_nothing(lguest: LguestLan, point: Point) -> None:
    sender = lguest.open_devices(1)[0]
    device = lguest.device()
    with (
        acting_at(lguest.host, point, lambda: lguest.host.kill(device.guest, "for a test")),
        contextlib.suppress(LguestError),
    ):
        device.open()
    same("keys bound by the Guest", lguest.host.bound_by(device.guest), [])
    same("broadcast (whole, failed) of the sender", broadcast(sender), (0, 1))


@rule("DMA-1", "DMA-9")
def test_a_guest_killed_at_a_copy_keeps_what_it_bound(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    same("BIND_DMA by the sender succeeds", bind(sender.guest, sender.peer_key(600), 1), True)
    with acting_at(lguest.host, Point.COPIED, lambda: lguest.host.kill(owner.guest, "for a test")):
        sender.transmit(ethernet(owner.address, sender.address))
    same("tx_packets of the sender", sender.counters.tx_packets, 1)
    same("used_len of the buffers of the owner", used_lens(owner.guest, owner.ring), [60] + [0] * 7)
    same(
        "used_len, SEND_DMA of the sender",
        send_bytes(sender.guest, sender.peer_key(owner.slot), bytes(70)),
        70,
    )
    same(
        "first 2 of used_len of the buffers of the owner",
        used_lens(owner.guest, owner.ring)[:2],
        [60, 70],
    )
    same("used_len of the buffers of the sender", used_lens(sender.guest, ARRAY, 1), [0])
