"""G. Opening and closing (D:550), and interrupts after closing."""

from __future__ import annotations

import pytest

from harness.comparing import present, raises, same
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
    must_reach,
    same_frames,
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
    same("tx_packets of the sender", sender.counters.tx_packets, sent + count)
    return frames


def bind_arrays(guest: Guest, count: int) -> None:
    """Bind so many arrays that belong to no device."""
    for number in range(count):
        same(
            "BIND_DMA by the guest succeeds",
            guest.bind_dma(SCRATCH + 4 * number, SCRATCH, 1, 9),
            True,
        )


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
    same("result of opening the device", device.open(), 0)
    lguest.host.interleave = None
    steps = [Point.PUBLISHED, *[Point.LISTED] * NUM_SKBS, Point.FILLED]
    same("what was seen", seen, [(point, device.address, 0) for point in steps])
    (binding,) = lguest.host.bound_by(device.guest)
    same(
        "array of binding and count of binding and cursor of binding",
        (binding.array, binding.count, binding.cursor),
        (device.ring, NUM_SKBS, 0),
    )
    must_reach(sender, device)


@rule("LIF-1")
def test_an_open_device_takes_eight_frames_and_not_nine(lguest: LguestLan) -> None:
    sender, device = lguest.open_devices(2)
    frames = fill_ring(sender, device)
    sender.transmit(frames[0])
    same("counters of the sender", sender.counters, Counters(8, 8 * 60, 1))
    lguest.settle()
    same_frames(lguest, device, frames)


@rule("LIF-1")
@pytest.mark.parametrize("left", range(NUM_SKBS))
def test_opening_without_memory_fails_with_enomem(lguest: LguestLan, left: int) -> None:
    (sender,) = lguest.open_devices(1)
    device = lguest.device()
    device.guest.memory_left = left
    same("result of opening the device", device.open(), ENOMEM)
    same("the device is open", device.is_open, False)
    same("keys bound by the Guest", lguest.host.bound_by(device.guest), [])
    same(
        "kernel messages",
        messages(lguest),
        [(device.guest.id, f"eth0: could not fill slot {left}")],
    )
    same(
        "used_len, SEND_DMA of the sender",
        send_bytes_to_slot(sender, device.slot, bytes(60)),
        0,
    )
    same("the Guest has a pending interrupt", bool(device.guest.pending), False)
    device.guest.memory_left = None
    same("result of opening the device", device.open(), 0)
    must_reach(sender, device)


@rule("LIF-1")
@pytest.mark.parametrize("left", [8, 9])
def test_memory_for_eight_buffers_is_enough_to_open(lguest: LguestLan, left: int) -> None:
    (sender,) = lguest.open_devices(1)
    device = lguest.device()
    device.guest.memory_left = left
    same("result of opening the device", device.open(), 0)
    device.guest.memory_left = None
    same("kernel messages", messages(lguest), [])
    must_reach(sender, device)


@rule("LIF-1")
@pytest.mark.parametrize("left", [0, 1, 4, 7])
def test_a_failed_open_frees_what_it_filled(lguest: LguestLan, left: int) -> None:
    (sender,) = lguest.open_devices(1)
    device = lguest.device()
    for _ in range(20):
        device.guest.memory_left = left
        same("result of opening the device", device.open(), ENOMEM)
    device.guest.memory_left = None
    same("result of opening the device", device.open(), 0)
    frames = fill_ring(sender, device)
    lguest.settle()
    same_frames(lguest, device, frames)


@rule("LIF-1", "DMA-1")
@pytest.mark.parametrize(("bound", "result"), [(MAX_BOUND - 1, 0), (MAX_BOUND, ENOMEM)])
def test_opening_fails_when_no_binding_is_to_be_had(
    lguest: LguestLan, bound: int, result: int
) -> None:
    (sender,) = lguest.open_devices(1)
    device = lguest.device()
    bind_arrays(device.guest, bound)
    same("result of opening the device", device.open(), result)
    same("the device is open", device.is_open, result == 0)
    same("number of keys bound by the Guest", len(lguest.host.bound_by(device.guest)), MAX_BOUND)
    same("kernel messages", messages(lguest), [])
    same("cause of death of the Guest", device.guest.dead, None)
    if result:
        same(
            "used_len, SEND_DMA of the sender",
            send_bytes_to_slot(sender, device.slot, bytes(60)),
            0,
        )
        same("BIND_DMA by the Guest succeeds", device.guest.bind_dma(SCRATCH, SCRATCH, 1, 0), True)
        same("result of opening the device", device.open(), 0)
    must_reach(sender, device)


@rule("LIF-1", "DMA-1")
def test_an_open_that_could_not_bind_frees_its_buffers(lguest: LguestLan) -> None:
    (sender,) = lguest.open_devices(1)
    device = lguest.device()
    bind_arrays(device.guest, MAX_BOUND)
    for _ in range(20):
        same("result of opening the device", device.open(), ENOMEM)
    same("BIND_DMA by the Guest succeeds", device.guest.bind_dma(SCRATCH, SCRATCH, 1, 0), True)
    same("result of opening the device", device.open(), 0)
    frames = fill_ring(sender, device)
    lguest.settle()
    same_frames(lguest, device, frames)


def fail_to_open(device: NetDevice, why: str) -> None:
    """Open without memory for the buffers, or without room for the binding."""
    if why == "memory":
        device.guest.memory_left = 3
    else:
        bind_arrays(device.guest, MAX_BOUND)
    same("result of opening the device", device.open(), ENOMEM)


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
    must_reach(sender, other)
    same("shared page", lguest.pages.store[:], before)
    same("broadcast (whole, failed) of the sender", broadcast(sender), (1, 0))


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
    same("shared page", lguest.pages.store[:], with_slot(before, device.slot, left))
    same(
        "result of a transmit by the sender",
        sender.transmit(ethernet(device.address, sender.address)),
        0,
    )
    same("counters of the sender", sender.counters, Counters(tx_carrier_errors=int(ghost)))
    same(
        "broadcast (whole, failed) of the sender",
        broadcast(sender),
        (1, int(ghost)),
    )
    lguest.settle()
    same_frames(lguest, device, [])
    must_reach(sender, other)


@rule("LIF-1")
def test_what_is_open_cannot_be_opened_nor_what_is_closed_be_closed(lguest: LguestLan) -> None:
    sender, device = lguest.open_devices(2)
    with raises("the error", LguestError, "is open already"):
        device.open()
    must_reach(sender, device)
    device.close()
    with raises("the error", LguestError, "is not open"):
        device.close()
    same("result of opening the device", device.open(), 0)
    must_reach(sender, device)


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
        same("result of opening the device", device.open(), 0)
        device.close()
    frame = ethernet(device.address, sender.address)
    results: list[int] = []
    with acting_at(lguest.host, point, lambda: results.append(sender.transmit(frame))):
        same("result of opening the device", device.open(), 0)
    same("results", results, [0])
    same("counters of the sender", sender.counters, Counters(tx_carrier_errors=1))
    same("the Guest has a pending interrupt", bool(device.guest.pending), False)
    lguest.settle()
    same_frames(lguest, device, [])
    same("counters of the device", device.counters, Counters())
    same("counters of the other", other.counters, Counters())
    must_reach(sender, device)


@rule("LIF-2", "CNT-3")
@pytest.mark.parametrize("point", [Point.PUBLISHED, Point.FILLED])
def test_a_broadcast_between_publishing_and_binding_reaches_all_the_others(
    lguest: LguestLan, point: Point
) -> None:
    sender, other = lguest.open_devices(2)
    device = lguest.device()
    results: list[tuple[int, int]] = []
    with acting_at(lguest.host, point, lambda: results.append(broadcast(sender))):
        same("result of opening the device", device.open(), 0)
    same("results", results, [(1, 1)])
    lguest.settle()
    same_frames(lguest, device, [])
    same("number of frames passed up by the other", len(lguest.received(other)), 1)
    same("broadcast (whole, failed) of the sender", broadcast(sender), (2, 0))
    lguest.settle()
    same("number of frames passed up by the device", len(lguest.received(device)), 1)


@rule("LIF-2")
def test_failed_frames_before_binding_use_up_no_buffer(lguest: LguestLan) -> None:
    (sender,) = lguest.open_devices(1)
    device = lguest.device()
    early = ethernet(device.address, sender.address, stamp=99)

    def send_nine() -> None:
        for _ in range(NUM_SKBS + 1):
            sender.transmit(early)

    with acting_at(lguest.host, Point.FILLED, send_nine):
        same("result of opening the device", device.open(), 0)
    same("counters of the sender", sender.counters, Counters(tx_carrier_errors=9))
    frames = fill_ring(sender, device)
    lguest.settle()
    same_frames(lguest, device, frames)


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
            same(
                f"return value of transmit, {size} bytes to {name}",
                sender.transmit(ethernet(to, by, size=size)),
                0,
            )
        lguest.settle()
    present("cause of death", doomed.guest.dead)
    for _ in range(NUM_SKBS + 2):
        same(
            "result of a transmit by the sender",
            sender.transmit(ethernet(owner.address, by)),
            0,
        )
    megapacket = ethernet(owner.address, by, size=14 + 17)
    same(
        "result of a transmit by the sender",
        sender.transmit(megapacket, 14, 0, [(1, 0)] * 17),
        0,
    )
    lguest.settle()
    must_reach(sender, owner)


@rule("LIF-3")
def test_transmit_reports_success_on_a_lan_without_peers(lguest: LguestLan) -> None:
    (sender,) = lguest.open_devices(1)
    for to in (GROUPS["broadcast"], sender.address, bytes.fromhex("02001234abcd")):
        same(
            "result of a transmit by the sender",
            sender.transmit(ethernet(to, sender.address)),
            0,
        )
    same("counters of the sender", sender.counters, Counters())
    (owner,) = lguest.open_devices(1)
    must_reach(sender, owner)


# After closing: DEF-6


@rule("PUB-5")
@pytest.mark.parametrize("filled", [1, 3, 8])
def test_an_interrupt_after_closing_touches_nothing(lguest: LguestLan, filled: int) -> None:
    sender, device, other = lguest.open_devices(3)
    must_reach(sender, device)
    fill_ring(sender, device, filled)
    device.close()
    must_reach(sender, other)
    same("faults", faults(lguest.host), [])
    same("counters of the device", device.counters, Counters(rx_packets=1, rx_bytes=46))
    same("result of opening the device", device.open(), 0)
    must_reach(sender, device)


@rule("PUB-5")
@pytest.mark.parametrize("filled", [1, 3, 8])
def test_what_an_interrupt_after_closing_does_with_filled_buffers(
    lguest: LguestLan, filled: int
) -> None:
    sender, device, other = lguest.open_devices(3)
    fill_ring(sender, device, filled)
    device.close()
    survives = lguest.host.defects.handler_survives_close
    same("the Guest handles a pending interrupt", device.guest.interrupt(), survives)
    touched = [f"eth0: the handler of a closed device touched freed buffer {n}" for n in range(8)]
    expected = [(device.guest.id, "DEF-6", text) for text in touched[:filled]]
    same("faults", faults(lguest.host), expected if survives else [])
    times = [event.time for event in lguest.host.events]
    same("times", times, sorted(times))
    same_frames(lguest, device, [])
    same("counters of the device", device.counters, Counters())
    same("the Guest handles a pending interrupt", device.guest.interrupt(), False)
    same("result of opening the device", device.open(), 0)
    must_reach(sender, device)
    must_reach(sender, other)


@rule("PUB-5")
def test_a_buffer_filled_while_closing_counts_as_filled(lguest: LguestLan) -> None:
    sender, device = lguest.open_devices(2)
    moved: list[int] = []

    def send() -> None:
        moved.append(send_bytes_to_slot(sender, device.slot, bytes(60)))

    with acting_at(lguest.host, Point.UNPUBLISHED, send):
        device.close()
    same("bytes moved", moved, [60])
    same("the Guest has a pending interrupt", bool(device.guest.pending), True)
    survives = lguest.host.defects.handler_survives_close
    same("the Guest handles a pending interrupt", device.guest.interrupt(), survives)
    same("number of faults", len(faults(lguest.host)), int(survives))
    same_frames(lguest, device, [])
    same("result of opening the device", device.open(), 0)
    must_reach(sender, device)


@rule("PUB-5", "RCV-1")
def test_an_interrupt_after_closing_without_filled_buffers_is_not_ours(lguest: LguestLan) -> None:
    sender, device = lguest.open_devices(2)
    same("used_len, SEND_DMA of the sender", send_bytes_to_slot(sender, device.slot, b""), 0)
    same("pending interrupts of the Guest", device.guest.pending, 1 << device.interrupt)
    device.close()
    same("pending interrupts of the Guest", device.guest.pending, 1 << device.interrupt)
    same("the Guest handles a pending interrupt", device.guest.interrupt(), False)
    same("faults", faults(lguest.host), [])
    same("result of opening the device", device.open(), 0)
    must_reach(sender, device)


@rule("RCV-1", "PUB-5")
def test_a_pending_interrupt_survives_closing_and_opening_and_its_frames_do_not(
    lguest: LguestLan,
) -> None:
    sender, device = lguest.open_devices(2)
    fill_ring(sender, device)
    device.close()
    same("result of opening the device", device.open(), 0)
    same("pending interrupts of the Guest", device.guest.pending, 1 << device.interrupt)
    same("the Guest handles a pending interrupt", device.guest.interrupt(), False)
    same("faults", faults(lguest.host), [])
    same_frames(lguest, device, [])
    must_reach(sender, device)


@rule("PUB-5")
def test_closing_gives_every_buffer_back(lguest: LguestLan) -> None:
    sender, device = lguest.open_devices(2)
    for turn in range(1, 20):
        fill_ring(sender, device)
        device.close()
        same("result of opening the device", device.open(), 0)
        same("the Guest handles a pending interrupt", device.guest.interrupt(), False)
        same("tx_packets of the sender", sender.counters.tx_packets, 8 * turn)
    frames = fill_ring(sender, device)
    lguest.settle()
    same_frames(lguest, device, frames)


@rule("LIF-3")
@pytest.mark.parametrize("receivers", [0, 1, 2, 5])
def test_transmit_reports_success_however_many_receive(lguest: LguestLan, receivers: int) -> None:
    sender, *others = lguest.open_devices(1 + receivers)
    frame = ethernet(GROUPS["broadcast"], sender.address)
    same("result of a transmit by the sender", sender.transmit(frame), 0)
    lguest.settle()
    same(
        "frames passed up by each device",
        [lguest.received(device) for device in others],
        [[frame]] * receivers,
    )


@rule("LIF-1")
def test_a_device_that_closed_sends_nothing_though_it_sent_the_like_before(
    lguest: LguestLan,
) -> None:
    sender, owner = lguest.open_devices(2)
    frame = ethernet(owner.address, sender.address)
    sender.transmit(frame)
    lguest.settle()
    same_frames(lguest, owner, [frame])
    sender.close()
    with raises("the error", LguestError, "not open"):
        sender.transmit(frame)
    lguest.settle()
    same_frames(lguest, owner, [frame])
    same("result of opening the sender", sender.open(), 0)
    sender.transmit(frame)
    lguest.settle()
    same_frames(lguest, owner, [frame, frame])
