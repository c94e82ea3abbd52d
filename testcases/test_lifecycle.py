"""G. Opening and closing (D:550), and interrupts after closing."""

from __future__ import annotations

import pytest

from harness.frames import GROUPS, LARGEST, ethernet
from harness.lans.lguest import LguestLan
from harness.lguest import dma
from harness.lguest.driver import NUM_SKBS, Counters, NetDevice
from harness.lguest.events import Message, Point
from harness.lguest.guest import Guest
from harness.lguest.host import MAX_BOUND
from harness.lguest.memory import LguestError, Owner
from harness.plugin.marks import rule

from .kit.steps import (
    NO_ADDRESS,
    acting_at,
    broadcast,
    faults,
    reaches,
    send_bytes_to_slot,
    with_slot,
)

ENOMEM = -12
SCRATCH = 100 * dma.PAGE_SIZE


def messages(lguest: LguestLan) -> list[tuple[int, str]]:
    return [(event.guest, event.text) for event in lguest.host.events if isinstance(event, Message)]


def fill_ring(sender: NetDevice, owner: NetDevice, count: int = NUM_SKBS) -> list[bytes]:
    """Send as many frames as the receiver has buffers; every one must be copied."""
    sent = sender.counters.tx_packets
    frames = [ethernet(owner.address, sender.address, stamp=n) for n in range(count)]
    for frame in frames:
        sender.transmit(frame)
    assert sender.counters.tx_packets == sent + count
    return frames


def bind_arrays(guest: Guest, count: int) -> None:
    """Bind so many arrays that belong to no device."""
    for number in range(count):
        assert guest.bind_dma(SCRATCH + 4 * number, SCRATCH, 1, 9)


# LIF-1: opening


@rule("LIF-1")
def test_opening_publishes_then_fills_eight_buffers_then_binds(lguest: LguestLan) -> None:
    (sender,) = lguest.open_devices(1)
    device = lguest.device()
    seen: list[tuple[Point, bytes, int]] = []

    def look(point: Point, guest: Owner) -> None:
        bound = len(lguest.host.bound_by(guest))
        seen.append((point, lguest.pages.published(device.slot), bound))

    lguest.host.interleave = look
    assert device.open() == 0
    lguest.host.interleave = None
    steps = [Point.PUBLISHED, *[Point.LISTED] * NUM_SKBS, Point.FILLED]
    assert seen == [(point, device.address, 0) for point in steps]
    (binding,) = lguest.host.bound_by(device.guest)
    assert (binding.array, binding.count, binding.cursor) == (device.ring, NUM_SKBS, 0)
    assert reaches(sender, device)


@rule("LIF-1")
def test_an_open_device_takes_eight_frames_and_not_nine(lguest: LguestLan) -> None:
    sender, device = lguest.open_devices(2)
    frames = fill_ring(sender, device)
    sender.transmit(frames[0])
    assert sender.counters == Counters(8, 8 * 60, 1)
    lguest.settle()
    assert lguest.received(device) == frames


@rule("LIF-1")
@pytest.mark.parametrize("left", range(NUM_SKBS))
def test_opening_without_memory_fails_with_enomem(lguest: LguestLan, left: int) -> None:
    (sender,) = lguest.open_devices(1)
    device = lguest.device()
    device.guest.memory_left = left
    assert device.open() == ENOMEM
    assert not device.is_open
    assert lguest.host.bound_by(device.guest) == []
    assert messages(lguest) == [(device.guest.id, f"eth0: could not fill slot {left}")]
    assert send_bytes_to_slot(sender, device.slot, bytes(60)) == 0
    assert not device.guest.pending
    device.guest.memory_left = None
    assert device.open() == 0
    assert reaches(sender, device)


@rule("LIF-1")
@pytest.mark.parametrize("left", [8, 9])
def test_memory_for_eight_buffers_is_enough_to_open(lguest: LguestLan, left: int) -> None:
    (sender,) = lguest.open_devices(1)
    device = lguest.device()
    device.guest.memory_left = left
    assert device.open() == 0
    device.guest.memory_left = None
    assert messages(lguest) == []
    assert reaches(sender, device)


@rule("LIF-1")
@pytest.mark.parametrize("left", [0, 1, 4, 7])
def test_a_failed_open_frees_what_it_filled(lguest: LguestLan, left: int) -> None:
    (sender,) = lguest.open_devices(1)
    device = lguest.device()
    for _ in range(20):
        device.guest.memory_left = left
        assert device.open() == ENOMEM
    device.guest.memory_left = None
    assert device.open() == 0
    frames = fill_ring(sender, device)
    lguest.settle()
    assert lguest.received(device) == frames


@rule("LIF-1", "DMA-1")
@pytest.mark.parametrize(("bound", "result"), [(MAX_BOUND - 1, 0), (MAX_BOUND, ENOMEM)])
def test_opening_fails_when_no_binding_is_to_be_had(
    lguest: LguestLan, bound: int, result: int
) -> None:
    (sender,) = lguest.open_devices(1)
    device = lguest.device()
    bind_arrays(device.guest, bound)
    assert device.open() == result
    assert device.is_open == (result == 0)
    assert len(lguest.host.bound_by(device.guest)) == MAX_BOUND
    assert messages(lguest) == []
    assert device.guest.dead is None
    if result:
        assert send_bytes_to_slot(sender, device.slot, bytes(60)) == 0
        assert device.guest.bind_dma(SCRATCH, SCRATCH, 1, 0)
        assert device.open() == 0
    assert reaches(sender, device)


@rule("LIF-1", "DMA-1")
def test_an_open_that_could_not_bind_frees_its_buffers(lguest: LguestLan) -> None:
    (sender,) = lguest.open_devices(1)
    device = lguest.device()
    bind_arrays(device.guest, MAX_BOUND)
    for _ in range(20):
        assert device.open() == ENOMEM
    assert device.guest.bind_dma(SCRATCH, SCRATCH, 1, 0)
    assert device.open() == 0
    frames = fill_ring(sender, device)
    lguest.settle()
    assert lguest.received(device) == frames


def fail_to_open(device: NetDevice, why: str) -> None:
    """Open without memory for the buffers, or without room for the binding."""
    if why == "memory":
        device.guest.memory_left = 3
    else:
        bind_arrays(device.guest, MAX_BOUND)
    assert device.open() == ENOMEM


@rule("LIF-1")
@pytest.mark.parametrize("why", ["memory", "binding"])
@pytest.mark.parametrize("promiscuous", [False, True])
def test_a_failed_open_leaves_no_address_behind(
    lguest: LguestLan, why: str, promiscuous: bool
) -> None:
    sender, other = lguest.open_devices(2)
    device = lguest.device()
    device.set_flags(promiscuous=promiscuous)
    before = lguest.pages.store[:]
    fail_to_open(device, why)
    assert reaches(sender, other)
    assert lguest.pages.store[:] == before
    assert broadcast(sender) == (1, 0)


@rule("LIF-1", "PUB-6")
@pytest.mark.parametrize("why", ["memory", "binding"])
@pytest.mark.parametrize("promiscuous", [False, True])
def test_what_a_failed_open_leaves_published(
    lguest: LguestLan, why: str, promiscuous: bool
) -> None:
    sender, other = lguest.open_devices(2)
    device = lguest.device()
    device.set_flags(promiscuous=promiscuous)
    before = lguest.pages.store[:]
    fail_to_open(device, why)
    ghost = lguest.host.defects.leaves_ghosts
    address = bytes((device.address[0] | promiscuous,)) + device.address[1:]
    left = address if ghost else NO_ADDRESS
    assert lguest.pages.store[:] == with_slot(before, device.slot, left)
    assert sender.transmit(ethernet(device.address, sender.address)) == 0
    assert sender.counters == Counters(tx_carrier_errors=int(ghost))
    assert broadcast(sender) == (1, int(ghost))
    lguest.settle()
    assert lguest.received(device) == []
    assert reaches(sender, other)


@rule("LIF-1")
def test_what_is_open_cannot_be_opened_nor_what_is_closed_be_closed(lguest: LguestLan) -> None:
    sender, device = lguest.open_devices(2)
    with pytest.raises(LguestError, match="is open already"):
        device.open()
    assert reaches(sender, device)
    device.close()
    with pytest.raises(LguestError, match="is not open"):
        device.close()
    assert device.open() == 0
    assert reaches(sender, device)


# LIF-2: between publishing and binding


@rule("LIF-2", "CNT-3")
@pytest.mark.parametrize("point", [Point.PUBLISHED, Point.LISTED, Point.FILLED])
@pytest.mark.parametrize("reopened", [False, True])
def test_a_frame_between_publishing_and_binding_fails_for_that_peer(
    lguest: LguestLan, point: Point, reopened: bool
) -> None:
    sender, other = lguest.open_devices(2)
    device = lguest.device()
    if reopened:
        assert device.open() == 0
        device.close()
    frame = ethernet(device.address, sender.address)
    results: list[int] = []
    with acting_at(lguest.host, point, lambda: results.append(sender.transmit(frame))):
        assert device.open() == 0
    assert results == [0]
    assert sender.counters == Counters(tx_carrier_errors=1)
    assert not device.guest.pending
    lguest.settle()
    assert lguest.received(device) == []
    assert device.counters == other.counters == Counters()
    assert reaches(sender, device)


@rule("LIF-2", "CNT-3")
@pytest.mark.parametrize("point", [Point.PUBLISHED, Point.FILLED])
def test_a_broadcast_between_publishing_and_binding_reaches_all_the_others(
    lguest: LguestLan, point: Point
) -> None:
    sender, other = lguest.open_devices(2)
    device = lguest.device()
    results: list[tuple[int, int]] = []
    with acting_at(lguest.host, point, lambda: results.append(broadcast(sender))):
        assert device.open() == 0
    assert results == [(1, 1)]
    lguest.settle()
    assert lguest.received(device) == []
    assert len(lguest.received(other)) == 1
    assert broadcast(sender) == (2, 0)
    lguest.settle()
    assert len(lguest.received(device)) == 1


@rule("LIF-2")
def test_failed_frames_before_binding_use_up_no_buffer(lguest: LguestLan) -> None:
    (sender,) = lguest.open_devices(1)
    device = lguest.device()
    early = ethernet(device.address, sender.address, stamp=99)

    def send_nine() -> None:
        for _ in range(NUM_SKBS + 1):
            sender.transmit(early)

    with acting_at(lguest.host, Point.FILLED, send_nine):
        assert device.open() == 0
    assert sender.counters == Counters(tx_carrier_errors=9)
    frames = fill_ring(sender, device)
    lguest.settle()
    assert lguest.received(device) == frames


# LIF-3: transmit reports success


@rule("LIF-3")
def test_transmit_reports_success_whatever_becomes_of_the_frame(lguest: LguestLan) -> None:
    sender, owner, ghost, doomed = lguest.open_devices(4)
    by = sender.address
    ghost_address = ghost.address
    lguest.host.release(ghost.guest)
    doomed.guest.memory.write(doomed.ring + 4, dma.pack([(1, dma.PAGE_SIZE)]))
    destinations = {
        "one receiver": owner.address,
        "nobody": bytes.fromhex("02001234abcd"),
        "itself": by,
        "an unused slot": bytes(6),
        "a ghost": ghost_address,
        "one that dies of it": doomed.address,
        "everybody": GROUPS["broadcast"],
    }
    for name, to in destinations.items():
        for size in (6, 14, 60, 1514, 1515, LARGEST):
            assert sender.transmit(ethernet(to, by, size=size)) == 0, f"{size} bytes to {name}"
        lguest.settle()
    assert doomed.guest.dead is not None
    for _ in range(NUM_SKBS + 2):
        assert sender.transmit(ethernet(owner.address, by)) == 0
    megapacket = ethernet(owner.address, by, size=14 + 17)
    assert sender.transmit(megapacket, 14, 0, [(1, 0)] * 17) == 0
    lguest.settle()
    assert reaches(sender, owner)


@rule("LIF-3")
def test_transmit_reports_success_on_a_lan_without_peers(lguest: LguestLan) -> None:
    (sender,) = lguest.open_devices(1)
    for to in (GROUPS["broadcast"], sender.address, bytes.fromhex("02001234abcd")):
        assert sender.transmit(ethernet(to, sender.address)) == 0
    assert sender.counters == Counters()
    (owner,) = lguest.open_devices(1)
    assert reaches(sender, owner)


# After closing: DEF-6


@rule("PUB-5")
@pytest.mark.parametrize("filled", [1, 3, 8])
def test_an_interrupt_after_closing_touches_nothing(lguest: LguestLan, filled: int) -> None:
    sender, device, other = lguest.open_devices(3)
    assert reaches(sender, device)
    fill_ring(sender, device, filled)
    device.close()
    assert reaches(sender, other)
    assert faults(lguest.host) == []
    assert device.counters == Counters(rx_packets=1, rx_bytes=46)
    assert device.open() == 0
    assert reaches(sender, device)


@rule("PUB-5")
@pytest.mark.parametrize("filled", [1, 3, 8])
def test_what_an_interrupt_after_closing_does_with_filled_buffers(
    lguest: LguestLan, filled: int
) -> None:
    sender, device, other = lguest.open_devices(3)
    fill_ring(sender, device, filled)
    device.close()
    survives = lguest.host.defects.handler_survives_close
    assert device.guest.interrupt() == survives
    touched = [f"eth0: the handler of a closed device touched freed buffer {n}" for n in range(8)]
    expected = [(device.guest.id, "DEF-6", text) for text in touched[:filled]]
    assert faults(lguest.host) == (expected if survives else [])
    times = [event.time for event in lguest.host.events]
    assert times == sorted(times)
    assert lguest.received(device) == []
    assert device.counters == Counters()
    assert not device.guest.interrupt()
    assert device.open() == 0
    assert reaches(sender, device)
    assert reaches(sender, other)


@rule("PUB-5")
def test_a_buffer_filled_while_closing_counts_as_filled(lguest: LguestLan) -> None:
    sender, device = lguest.open_devices(2)
    moved: list[int] = []

    def send() -> None:
        moved.append(send_bytes_to_slot(sender, device.slot, bytes(60)))

    with acting_at(lguest.host, Point.UNPUBLISHED, send):
        device.close()
    assert moved == [60]
    assert device.guest.pending
    survives = lguest.host.defects.handler_survives_close
    assert device.guest.interrupt() == survives
    assert len(faults(lguest.host)) == survives
    assert lguest.received(device) == []
    assert device.open() == 0
    assert reaches(sender, device)


@rule("PUB-5", "RCV-1")
def test_an_interrupt_after_closing_without_filled_buffers_is_not_ours(lguest: LguestLan) -> None:
    sender, device = lguest.open_devices(2)
    assert send_bytes_to_slot(sender, device.slot, b"") == 0
    assert device.guest.pending == 1 << device.interrupt
    device.close()
    assert device.guest.pending == 1 << device.interrupt
    assert not device.guest.interrupt()
    assert faults(lguest.host) == []
    assert device.open() == 0
    assert reaches(sender, device)


@rule("RCV-1", "PUB-5")
def test_a_pending_interrupt_survives_closing_and_opening_and_its_frames_do_not(
    lguest: LguestLan,
) -> None:
    sender, device = lguest.open_devices(2)
    fill_ring(sender, device)
    device.close()
    assert device.open() == 0
    assert device.guest.pending == 1 << device.interrupt
    assert not device.guest.interrupt()
    assert faults(lguest.host) == []
    assert lguest.received(device) == []
    assert reaches(sender, device)


@rule("PUB-5")
def test_closing_gives_every_buffer_back(lguest: LguestLan) -> None:
    sender, device = lguest.open_devices(2)
    for turn in range(1, 20):
        fill_ring(sender, device)
        device.close()
        assert device.open() == 0
        assert not device.guest.interrupt()
        assert sender.counters.tx_packets == 8 * turn
    frames = fill_ring(sender, device)
    lguest.settle()
    assert lguest.received(device) == frames


@rule("LIF-3")
@pytest.mark.parametrize("receivers", [0, 1, 2, 5])
def test_transmit_reports_success_however_many_receive(lguest: LguestLan, receivers: int) -> None:
    sender, *others = lguest.open_devices(1 + receivers)
    frame = ethernet(GROUPS["broadcast"], sender.address)
    assert sender.transmit(frame) == 0
    lguest.settle()
    assert [lguest.received(device) for device in others] == [[frame]] * receivers


@rule("LIF-1")
def test_a_device_that_closed_sends_nothing_though_it_sent_the_like_before(
    lguest: LguestLan,
) -> None:
    sender, owner = lguest.open_devices(2)
    frame = ethernet(owner.address, sender.address)
    sender.transmit(frame)
    lguest.settle()
    assert lguest.received(owner) == [frame]
    sender.close()
    with pytest.raises(LguestError, match="not open"):
        sender.transmit(frame)
    lguest.settle()
    assert lguest.received(owner) == [frame]
    assert sender.open() == 0
    sender.transmit(frame)
    lguest.settle()
    assert lguest.received(owner) == [frame, frame]
