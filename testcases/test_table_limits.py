"""The ends of every table, and numbers that need a whole word."""

from __future__ import annotations

import pytest

from harness.comparing import present, same
from harness.frames import GROUPS, PAGE, ethernet, payload
from harness.lans.lguest import LguestLan
from harness.lguest import dma
from harness.lguest.driver import NUM_SKBS, NetDevice
from harness.lguest.events import Dropped
from harness.lguest.guest import MAX_DEVICES
from harness.lguest.host import MAX_BOUND
from harness.lguest.tap import MemoryTap
from harness.plugin.marks import rule

from .kit.dma import (
    ARRAY,
    DATA,
    ROOM,
    SPARE_SLOT,
    STRUCTURE,
    bind,
    cursor,
    fill_up,
    gather,
    number,
    send,
    send_bytes,
    set_list,
    set_used,
    used_lens,
)
from .kit.host_network import frames_for, open_network
from .kit.host_network import used_lens as network_used_lens
from .kit.steps import lan_of_pages, must_reach, same_frames, send_list

MOST = dma.MAX_SECTIONS * PAGE
"""The most that one SEND_DMA can move: 0x10000 bytes."""

HALVES = [0x0000_0100, 0x0001_0000, 0x0100_0000, 0x7FFF_0000, 0x8000_0000, 0xFFFF_0000]
"""Numbers that are 0 in one byte, in one half, or in both when cut short."""


def pages_from(start: int) -> list[tuple[int, int]]:
    """Sixteen whole pages."""
    return [(start + n * PAGE, PAGE) for n in range(dma.MAX_SECTIONS)]


# used_len is a word of 32 bits


@rule("DMA-2", "DMA-3")
def test_a_copy_of_sixteen_whole_pages_is_counted_whole(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 2), True)
    owner.guest.memory.write(ARRAY, bytes(4) + dma.pack(pages_from(ROOM)))
    data = payload(MOST)
    sender.guest.memory.write(DATA, data)
    same("used_len, SEND_DMA of the sender", send(sender.guest, key, pages_from(DATA)), MOST)
    same("used_len of the structure sent", number(sender.guest.memory, STRUCTURE), 0x10000)
    same("MOST", MOST, 0x10000)
    same("used_len of the buffers of the owner", used_lens(owner.guest, ARRAY, 2), [MOST, 0])
    same("memory of the owner at ROOM", owner.guest.memory.read(ROOM, MOST), data)
    same("pending interrupts of the owner", owner.guest.pending, 1 << 9)
    same("used_len, SEND_DMA of the sender", send(sender.guest, key, [(DATA, 60)]), 60)
    same("used_len of the buffers of the owner", used_lens(owner.guest, ARRAY, 2), [MOST, 60])


@rule("DMA-2", "DMA-5")
@pytest.mark.parametrize("used", HALVES)
@pytest.mark.parametrize("array_offset", [0, 1, 2])
def test_a_buffer_is_free_only_if_all_of_its_used_len_is_0(
    lguest: LguestLan, used: int, array_offset: int
) -> None:
    """At any alignment of the array."""
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    array = ARRAY + array_offset
    for n in range(4):
        at = array + n * dma.SIZE
        owner.guest.memory.write(at, bytes(4) + dma.pack([(ROOM + n * PAGE, 100)]))
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, array, 4, 9), True)
    for n in (0, 1, 3):
        set_used(owner.guest, array, n, used)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, bytes(60)), 60)
    same(
        "used_len of the buffers of the owner",
        used_lens(owner.guest, array, 4),
        [used, used, 60, used],
    )
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, bytes(60)), 0)
    same(
        "used_len of the buffers of the owner",
        used_lens(owner.guest, array, 4),
        [used, used, 60, used],
    )


@rule("DMA-2", "DMA-5")
@pytest.mark.parametrize("used", HALVES)
def test_a_buffer_on_the_device_page_is_free_by_the_same_rule(lguest: LguestLan, used: int) -> None:
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    array = owner.page + 2000
    for n in range(3):
        at = array + n * dma.SIZE
        owner.guest.memory.write(at, bytes(4) + dma.pack([(ROOM + n * PAGE, 100)]))
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, array, 3, 9), True)
    for n in (0, 1):
        set_used(owner.guest, array, n, used)
    same(
        "used_len, SEND_DMA of the sender",
        [send_bytes(sender.guest, key, bytes(60)) for _ in range(2)],
        [60, 0],
    )
    same("used_len of the buffers of the owner", used_lens(owner.guest, array, 3), [used, used, 60])


@rule("LEN-1", "RCV-1")
@pytest.mark.parametrize("used", [half + 60 for half in HALVES] + [0x10000, 0x3C0000, 0x3C3C3C3C])
def test_a_driver_takes_used_len_as_a_whole_word(lguest: LguestLan, used: int) -> None:
    sender, owner = lguest.open_devices(2)
    set_used(owner.guest, owner.ring, 2, used)
    owner.guest.pending |= 1 << owner.interrupt
    same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
    dropped = [event for event in lguest.host.events if isinstance(event, Dropped)]
    if used == 0x13C:
        same("number of frame", [len(frame) for frame in lguest.received(owner)], [0x13C])
    else:
        same_frames(lguest, owner, [])
        same("buffer of event", [event.buffer for event in dropped], [2])
    same("used_len of the buffers of the owner", used_lens(owner.guest, owner.ring), [0] * NUM_SKBS)
    must_reach(sender, owner)


@rule("HST-3")
@pytest.mark.parametrize("used", HALVES)
def test_the_launcher_takes_used_len_as_a_whole_word(lguest: LguestLan, used: int) -> None:
    network, tap = open_network(lguest)
    device = network.device
    for n in (0, 1, 4):
        set_used(device.guest, device.ring, n, used)
    for n, frame in enumerate(frames_for(network, 2)):
        tap.feed(frame)
        same("the network reads a frame of its TAP", network.input(), True)
        marked = [used, used, 60, 60 * (n == 1), used, 0, 0, 0]
        same("used_len of the buffers of the network", network_used_lens(network), marked)


@rule("HST-2")
def test_the_launcher_reports_a_long_write_as_a_whole_word(lguest: LguestLan) -> None:
    network, tap = open_network(lguest)
    device = network.device
    data = payload(MOST)
    device.guest.memory.write(DATA, data)
    same(
        "used_len, SEND_DMA of the device",
        send_list(device, device.peer_key(0), pages_from(DATA)),
        MOST,
    )
    same("frames written to the TAP", tap.written, [data])


@rule("HST-3")
def test_a_long_frame_from_the_tap_is_counted_whole(lguest: LguestLan) -> None:
    network, tap = open_network(lguest)
    device = network.device
    set_list(device, 0, pages_from(ROOM))
    data = payload(MOST + 100)
    tap.feed(data)
    tap.feed(data[:60])
    same("the network reads a frame of its TAP", network.input(), True)
    same("the network reads a frame of its TAP", network.input(), True)
    same("used_len of the buffers of the network", network_used_lens(network), [MOST, 60, *[0] * 6])
    same("memory of the Guest at ROOM", device.guest.memory.read(ROOM, MOST), data[:MOST])


# Sixteen sections


def sixteen(start: int) -> list[tuple[int, int]]:
    """Sixteen short sections, the last page first."""
    return [(start + (15 - n) * PAGE + n, 5 + n) for n in range(dma.MAX_SECTIONS)]


@rule("DMA-3", "SEC-2")
def test_all_sixteen_sections_of_both_sides_are_used(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 1), True)
    owner.guest.memory.write(ARRAY, bytes(4) + dma.pack(sixteen(ROOM)))
    data = payload(16 * PAGE)
    sender.guest.memory.write(DATA, data)
    total = sum(length for _, length in sixteen(0))
    same("used_len, SEND_DMA of the sender", send(sender.guest, key, sixteen(DATA)), total)
    sent = gather(sender.guest.memory, sixteen(DATA))
    same("bytes in the buffer", gather(owner.guest.memory, sixteen(ROOM)), sent)
    same("used_len of the buffers of the owner", used_lens(owner.guest, ARRAY, 1), [total])


@rule("HST-2", "HST-3")
def test_all_sixteen_sections_are_written_to_and_read_from_the_tap(lguest: LguestLan) -> None:
    network, tap = open_network(lguest)
    device = network.device
    device.guest.memory.write(DATA, payload(16 * PAGE))
    total = sum(length for _, length in sixteen(0))
    same(
        "used_len, SEND_DMA of the device",
        send_list(device, device.peer_key(0), sixteen(DATA)),
        total,
    )
    same("frames written to the TAP", tap.written, [gather(device.guest.memory, sixteen(DATA))])
    set_list(device, 0, sixteen(ROOM))
    frame = payload(total + 7)
    tap.feed(frame)
    same("the network reads a frame of its TAP", network.input(), True)
    same("bytes in the buffer", gather(device.guest.memory, sixteen(ROOM)), frame[:total])
    same("used_len of a buffer of the network", network_used_lens(network)[0], total)


# Arrays of many buffers


@rule("DMA-2", "DMA-5")
@pytest.mark.parametrize("count", [255, 256, 257, 300, 1000])
def test_the_cursor_goes_round_an_array_of_any_length(lguest: LguestLan, count: int) -> None:
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    array = ROOM + PAGE
    structure = bytes(4) + dma.pack([(ROOM, 100)])
    owner.guest.memory.write(array, structure * count)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, array, count, 9), True)
    sender.guest.memory.write(STRUCTURE + 4, dma.pack([(DATA, 20)]))
    for _ in range(2):
        for n in range(count):
            same("used_len, SEND_DMA of the sender", sender.guest.send_dma(key, STRUCTURE), 20)
            if n % 64 == 0:
                same("used_len", used_lens(owner.guest, array, count)[n], 20)
        same(
            "used_len of the buffers of the owner",
            used_lens(owner.guest, array, count),
            [20] * count,
        )
        same("used_len, SEND_DMA of the sender", sender.guest.send_dma(key, STRUCTURE), 0)
        for n in (0, 1, count - 1):
            set_used(owner.guest, array, n, 0)
        for n in (0, 1, count - 1):
            same("used_len, SEND_DMA of the sender", sender.guest.send_dma(key, STRUCTURE), 20)
            same(
                "used_len of a buffer of the owner",
                used_lens(owner.guest, array, count)[n],
                20,
            )
        owner.guest.memory.write(array, structure * count)
        binding = present("the array that is bound", lguest.host.binding(owner.guest, key))
        same("cursor of binding", binding.cursor, 3)
        for _ in range(count - 3):
            same("used_len, SEND_DMA of the sender", send(sender.guest, key, []), 0)
        sender.guest.memory.write(STRUCTURE + 4, dma.pack([(DATA, 20)]))


@rule("HST-3")
@pytest.mark.parametrize("count", [9, 256, 300])
def test_the_launcher_finds_the_last_free_buffer_of_any_array(
    lguest: LguestLan, count: int
) -> None:
    network, tap = open_network(lguest)
    device = network.device
    array = ROOM + PAGE
    device.guest.memory.write(array, (b"\1\0\0\0" + dma.pack([(ROOM, 100)])) * count)
    same("BIND_DMA by the Guest succeeds", device.guest.bind_dma(device.key, array, count, 5), True)
    for n in (count - 1, count - 2, 0):
        set_used(device.guest, array, n, 0)
        tap.feed(frames_for(network, 1)[0])
        same("the network reads a frame of its TAP", network.input(), True)
        same(
            "used_len of a buffer of the Guest",
            used_lens(device.guest, array, count)[n],
            60,
        )


# Sixteen devices, 32 arrays


@rule("DMA-1", "LIF-1")
def test_sixteen_devices_and_sixteen_more_arrays_fill_the_table(lguest: LguestLan) -> None:
    sender = lguest.open_devices(1)[0]
    first = lguest.device()
    devices: list[NetDevice] = [first]
    devices += [lguest.second_device(first.guest, 20 + n) for n in range(MAX_DEVICES - 1)]
    same(
        "result of opening each device",
        [device.open() for device in devices],
        [0] * MAX_DEVICES,
    )
    guest = first.guest
    spare = [sender.peer_key(SPARE_SLOT + n) for n in range(MAX_BOUND - MAX_DEVICES + 1)]
    results = [guest.bind_dma(key, ARRAY, 1, 31) for key in spare]
    same("results", results, [True] * (MAX_BOUND - MAX_DEVICES) + [False])
    for device in devices:
        must_reach(sender, device)
    devices[-1].close()
    same("BIND_DMA by the guest succeeds", guest.bind_dma(spare[-1], ARRAY, 1, 31), True)
    same("result of opening last of devices", devices[-1].open(), -12)
    same("BIND_DMA by the guest succeeds", guest.bind_dma(spare[-1], ARRAY, 1, 0), True)
    same("result of opening last of devices", devices[-1].open(), 0)
    must_reach(sender, devices[-1])


@rule("RCV-1", "DMA-2")
def test_sixteen_devices_are_all_served_by_one_interrupt(lguest: LguestLan) -> None:
    sender = lguest.open_devices(1)[0]
    first = lguest.device()
    devices = [first] + [lguest.second_device(first.guest, 20 + n) for n in range(15)]
    same(
        "result of opening each device",
        [device.open() for device in devices],
        [0] * MAX_DEVICES,
    )
    frames = [ethernet(b"\xff" * 6, sender.address, stamp=n) for n in range(2)]
    for frame in frames:
        sender.transmit(frame)
    same("pending interrupts of the first", first.guest.pending, 0x1FFFE)
    same("the first handles a pending interrupt", first.guest.interrupt(), True)
    same(
        "frames passed up by each device",
        [lguest.received(device) for device in devices],
        [frames] * MAX_DEVICES,
    )
    same("pending interrupts of the first", first.guest.pending, 0)


# Eight buffers, many times over


@rule("DMA-2", "RCV-1")
def test_a_ring_works_after_hundreds_of_frames(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    for turn in range(60):
        frames = fill_up(sender, owner, 1 + turn % NUM_SKBS)
        before = len(lguest.received(owner))
        lguest.settle()
        same(
            "frames passed up by the owner, from before on, sorted",
            sorted(lguest.received(owner)[before:]),
            sorted(frames),
        )
    same(
        "cursor of the owner",
        cursor(owner),
        sum(1 + turn % NUM_SKBS for turn in range(60)) % NUM_SKBS,
    )


@rule("CNT-3", "LEN-3")
@pytest.mark.parametrize("bit", range(11, 16))
def test_a_cut_frame_is_not_counted_as_sent_whatever_its_length(
    lguest: LguestLan, bit: int
) -> None:
    """Lengths whose lower bits are those of what arrives."""
    sender, owner = lguest.open_devices(2)
    frame = ethernet(owner.address, sender.address, size=1514 + (1 << bit))
    sender.transmit(frame)
    same(
        "tx_packets of the sender and tx_bytes of the sender",
        (sender.counters.tx_packets, sender.counters.tx_bytes),
        (0, 0),
    )
    same("tx_carrier_errors of the sender", sender.counters.tx_carrier_errors, 1)
    lguest.settle()
    same_frames(lguest, owner, [frame[:1514]])


@rule("DMA-2", "DMA-3")
@pytest.mark.parametrize("room", [1, 20, 59, 60, 100])
def test_a_truncated_copy_interrupts_as_a_whole_one_does(lguest: LguestLan, room: int) -> None:
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    for turn in range(4):
        same(
            "BIND_DMA by the owner succeeds",
            bind(owner.guest, key, 2, size=room if turn % 2 else 1514),
            True,
        )
        for _ in range(2):
            owner.guest.pending = 1 << 4
            moved = send_bytes(sender.guest, key, bytes(60))
            same("bytes moved", moved, min(60, room) if turn % 2 else 60)
            same("pending interrupts of the owner", owner.guest.pending, 1 << 9 | 1 << 4)
        same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, ARRAY, 2, 0), True)


@rule("DLV-3", "CNT-3")
@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_every_group_reaches_the_slots_of_every_page_past_full_rings(
    lguest: LguestLan, group: bytes
) -> None:
    with lan_of_pages(lguest, 4) as lan:
        slots = [0, 1, 300, 601, 681, 682, 1364, 1365, 2047, 2048, 2729]
        sender, *others = (lan.device(slot) for slot in slots)
        same(
            "result of opening each device",
            [device.open() for device in (sender, *others)],
            [0] * len(slots),
        )
        for full in others[1::2]:
            for n in range(NUM_SKBS):
                set_used(full.guest, full.ring, n, 60)
        frame = ethernet(group, sender.address)
        sender.transmit(frame)
        lan.settle()
        same(
            "tx_carrier_errors of the sender", sender.counters.tx_carrier_errors, len(others[1::2])
        )
        same("tx_packets of the sender", sender.counters.tx_packets, len(others[::2]))
        same(
            "last of frames passed up by each other",
            [lan.received(other)[-1] for other in others[::2]],
            [frame] * len(others[::2]),
        )


@rule("SEC-1", "DLV-9")
def test_fragments_of_every_size_follow_one_linear_part(lguest: LguestLan) -> None:
    """Frames with one linear part and as many fragments, of other sizes and places."""
    sender, owner = lguest.open_devices(2)
    shapes: list[tuple[tuple[int, int], ...]] = [
        ((100, 0), (50, 0), (36, 0)),
        ((50, 0), (100, 0), (36, 0)),
        ((100, 7), (50, 900), (36, 4060)),
        ((100, 0), (50, 0), (36, 1)),
        ((186, 0),),
        ((100, 0), (86, 0)),
        ((1, 4095), (1, 4095), (184, 0)),
    ]
    frames = [
        ethernet(owner.address, sender.address, size=200, stamp=n) for n in range(len(shapes))
    ]
    for frame, fragments in zip(frames, shapes, strict=True):
        sender.transmit(frame, 14, 0, fragments)
    lguest.settle()
    same_frames(lguest, owner, frames)


@rule("DMA-6", "DMA-2")
@pytest.mark.parametrize("count", [1, 2, 3])
def test_an_empty_send_interrupts_whatever_the_count(lguest: LguestLan, count: int) -> None:
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, count), True)
    for _ in range(2 * count):
        owner.guest.pending = 0
        same("used_len, SEND_DMA of the sender", send(sender.guest, key, []), 0)
        same("pending interrupts of the owner", owner.guest.pending, 1 << 9)
    same("used_len of the buffers of the owner", used_lens(owner.guest, ARRAY, count), [0] * count)
    for n in range(count):
        same(
            "used_len, SEND_DMA of the sender",
            send_bytes(sender.guest, key, bytes(60 + n)),
            60 + n,
        )
        same(
            "used_len of a buffer of the owner",
            used_lens(owner.guest, ARRAY, count)[n],
            60 + n,
        )


@rule("DMA-4", "DMA-3")
@pytest.mark.parametrize("size", [1, 255, 256, 257, 512, 1024, 2048, 4095, 4096])
def test_sections_of_every_size_are_copied(lguest: LguestLan, size: int) -> None:
    """The second section shows whether the first one ended the list."""
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 1), True)
    owner.guest.memory.write(ARRAY, bytes(4) + dma.pack([(ROOM, size), (ROOM + PAGE, 10)]))
    data = payload(size)
    sender.guest.memory.write(DATA, data)
    sender.guest.memory.write(DATA + PAGE, b"0123456789")
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, key, [(DATA, size), (DATA + PAGE, 10)]),
        size + 10,
    )
    same("memory of the owner at ROOM", owner.guest.memory.read(ROOM, size), data)
    same(
        "memory of the owner at ROOM + PAGE",
        owner.guest.memory.read(ROOM + PAGE, 10),
        b"0123456789",
    )


@rule("DMA-4", "DMA-10")
@pytest.mark.parametrize("offset", [256, 2000, PAGE - 60])
def test_the_page_of_descriptors_is_memory_like_any_other(lguest: LguestLan, offset: int) -> None:
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    place = sender.page - PAGE + offset
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 2), True)
    sender.guest.memory.write(place, payload(60))
    same("used_len, SEND_DMA of the sender", send(sender.guest, key, [(place, 60)]), 60)
    same("memory of the owner at ROOM", owner.guest.memory.read(ROOM, 60), payload(60))
    owner.guest.memory.write(ARRAY + dma.SIZE + 4, dma.pack([(place, 60)]))
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(60, 1)), 60)
    same("memory of the owner at place", owner.guest.memory.read(place, 60), payload(60, 1))
    same("status of the owner", owner.guest.status(0), 7)
    structure = sender.page - PAGE + 300
    sender.guest.memory.write(structure + 4, dma.pack([(DATA, 20)]))
    set_used(owner.guest, ARRAY, 0, 0)
    same("used_len, SEND_DMA of the sender", sender.guest.send_dma(key, structure), 20)


@rule("HST-2", "HST-3")
def test_sixteen_host_networks_each_have_their_tap(lguest: LguestLan) -> None:
    launcher = lguest.launch(50)
    taps = [MemoryTap(bytes((2, 0, 0, 0, 1, n))) for n in range(MAX_DEVICES)]
    networks = [launcher.join_host(tap) for tap in taps]
    devices = [network.device for network in networks]
    lguest.devices += devices
    same(
        "result of opening each device",
        [device.open() for device in devices],
        [0] * MAX_DEVICES,
    )
    for n, device in enumerate(devices):
        device.transmit(ethernet(taps[n].address, device.address, stamp=n))
        taps[n].feed(ethernet(device.address, taps[n].address, stamp=n))
        same("a network reads a frame of its TAP", networks[n].input(), True)
    same(
        "number of frames written to the TAP", [len(tap.written) for tap in taps], [1] * MAX_DEVICES
    )
    same("the launcher handles a pending interrupt", launcher.guest.interrupt(), True)
    same(
        "rx_packets of each device",
        [device.counters.rx_packets for device in devices],
        [1] * MAX_DEVICES,
    )
    same(
        "tx_packets of each device",
        [device.counters.tx_packets for device in devices],
        [1] * MAX_DEVICES,
    )
