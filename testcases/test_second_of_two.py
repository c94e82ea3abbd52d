"""The rules again for the second of two: devices, arrays, networks and Launchers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.comparing import differ, raises, same
from harness.frames import PAGE, ethernet
from harness.lans.lguest import LguestLan
from harness.lguest import dma
from harness.lguest.driver import NUM_SKBS, Counters, NetDevice
from harness.lguest.events import Message, Point, Received
from harness.lguest.host import MAX_BOUND
from harness.lguest.launcher import HostNetwork, Launcher, SharedFile
from harness.lguest.memory import LguestError, Owner
from harness.lguest.tap import MemoryTap
from harness.plugin.marks import rule

from .kit.dma import (
    ARRAY,
    DATA,
    ROOM,
    SPARE_SLOT,
    bind,
    fill_up,
    killed,
    must_cross,
    send,
    send_bytes,
    set_used,
    used_lens,
)
from .kit.host_network import HOST, warnings
from .kit.steps import (
    NO_ADDRESS,
    broadcast,
    lan_of_pages,
    must_reach,
    run_interrupts,
    same_frames,
    send_list,
)

# Two Host networks of one Launcher

TAPS = [bytes.fromhex("020000ff0001"), bytes.fromhex("020000ff0002")]
"""The addresses of their TAPs."""


def two_host_networks(lguest: LguestLan) -> tuple[list[HostNetwork], list[MemoryTap]]:
    """Two Host networks of one Guest, both devices open."""
    launcher = lguest.launch(50)
    taps = [MemoryTap(address) for address in TAPS]
    networks = [launcher.join_host(tap) for tap in taps]
    lguest.devices += [network.device for network in networks]
    same(
        "result of opening each network's device",
        [network.device.open() for network in networks],
        [0, 0],
    )
    return networks, taps


@rule("HST-1", "HST-2")
def test_each_of_two_host_networks_has_its_own_tap(lguest: LguestLan) -> None:
    networks, taps = two_host_networks(lguest)
    sent: list[list[bytes]] = [[], []]
    for n in (1, 0, 1, 1, 0):
        device = networks[n].device
        frame = ethernet(TAPS[n], device.address, size=60 + 10 * n, stamp=len(sent[n]))
        device.transmit(frame)
        sent[n].append(frame)
    same("frames written to the TAP", [tap.written for tap in taps], sent)
    same(
        "counters of the first network",
        networks[0].device.counters,
        Counters(tx_packets=2, tx_bytes=120),
    )
    same(
        "counters of the second network",
        networks[1].device.counters,
        Counters(tx_packets=3, tx_bytes=210),
    )


@rule("HST-3", "RCV-1")
def test_each_of_two_host_networks_fills_its_own_ring(lguest: LguestLan) -> None:
    networks, taps = two_host_networks(lguest)
    guest = networks[0].device.guest
    for n in (1, 0):
        device = networks[n].device
        frame = ethernet(device.address, TAPS[n], stamp=n)
        taps[n].feed(frame)
        same("a network reads a frame of its TAP", networks[1 - n].input(), False)
        same("a network reads a frame of its TAP", networks[n].input(), True)
        same("pending interrupts of the guest", guest.pending, 1 << device.interrupt)
        same("the guest handles a pending interrupt", guest.interrupt(), True)
        same("last of frames passed up by the device", lguest.received(device)[-1], frame)
    frames = [ethernet(networks[0].device.address, HOST, stamp=n) for n in range(6)]
    for n, frame in enumerate(frames):
        taps[n % 2].feed(frame)
        same("a network reads a frame of its TAP", networks[n % 2].input(), True)
    same("the guest handles a pending interrupt", guest.interrupt(), True)
    received = [event for event in lguest.host.events if isinstance(event, Received)]
    same("number of received", len(received), 8)
    same(
        "rx_packets of each network's device",
        [network.device.counters.rx_packets for network in networks],
        [4, 4],
    )


@rule("HST-3", "HST-4")
def test_a_full_ring_of_one_host_network_does_not_stop_the_other(lguest: LguestLan) -> None:
    networks, taps = two_host_networks(lguest)
    for n in range(NUM_SKBS):
        taps[0].feed(ethernet(networks[0].device.address, HOST, stamp=n))
        same("a network reads a frame of its TAP", networks[0].input(), True)
    frame = ethernet(networks[1].device.address, HOST, stamp=99)
    taps[1].feed(frame)
    same("a network reads a frame of its TAP", networks[1].input(), True)
    second = networks[1].device
    same(
        "used_len of the buffers of the second",
        used_lens(second.guest, second.ring),
        [60] + [0] * 7,
    )
    second.guest.interrupt()
    same("rx_packets of the first network", networks[0].device.counters.rx_packets, NUM_SKBS)
    same("rx_packets of the second network", networks[1].device.counters.rx_packets, 1)


@rule("HST-2")
def test_the_end_of_a_launcher_silences_both_its_host_networks(lguest: LguestLan) -> None:
    networks, taps = two_host_networks(lguest)
    first, second = (network.device for network in networks)
    same(
        "used_len, SEND_DMA of the second",
        send_list(second, second.peer_key(0), [(DATA, 10), (2**32 - 8, 20)]),
        0,
    )
    same("Guests killed", killed(lguest), [50])
    same("frames written to the TAP", [tap.written for tap in taps], [[], []])
    same("keys bound by the first", lguest.host.bound_by(first.guest), [])
    for tap, network in zip(taps, networks, strict=True):
        tap.feed(ethernet(HOST, HOST))
        same("the network reads a frame of its TAP", network.input(), False)
    same("used_len of the buffers of the first", used_lens(first.guest, first.ring), [0] * 8)
    same("used_len of the buffers of the second", used_lens(second.guest, second.ring), [0] * 8)


@rule("HST-2", "HST-1")
@pytest.mark.parametrize("shared_first", [True, False])
def test_a_guest_on_both_kinds_of_network_sends_on_the_right_one(
    lguest: LguestLan, shared_first: bool
) -> None:
    (peer,) = lguest.open_devices(1)
    launcher = lguest.launch(50)
    tap = MemoryTap()
    if shared_first:
        shared = lguest.second_device(launcher.guest, 9)
        network = launcher.join_host(tap)
    else:
        network = launcher.join_host(tap)
        shared = lguest.second_device(launcher.guest, 9)
    lguest.devices.append(network.device)
    same(
        "result of opening the shared and return value of opening the network's device",
        [shared.open(), network.device.open()],
        [0, 0],
    )
    must_reach(shared, peer)
    must_reach(peer, shared)
    same("frames written to the TAP", tap.written, [])
    same(
        "broadcast (whole, failed) of the network's device",
        broadcast(network.device),
        (1, 0),
    )
    same("number of frames written to the TAP", len(tap.written), 1)
    same("broadcast (whole, failed) of the peer", broadcast(peer), (1, 0))
    same("broadcast (whole, failed) of the shared", broadcast(shared), (1, 0))
    run_interrupts(lguest.host)
    same("number of frames written to the TAP", len(tap.written), 1)
    frame = ethernet(network.device.address, HOST)
    tap.feed(frame)
    same("the network reads a frame of its TAP", network.input(), True)
    run_interrupts(lguest.host)
    same_frames(lguest, network.device, [frame])
    same("rx_packets of the shared", shared.counters.rx_packets, 2)


@rule("HST-3", "DMA-2")
def test_the_newest_of_two_arrays_is_filled_from_the_tap(lguest: LguestLan) -> None:
    networks, taps = two_host_networks(lguest)
    device = networks[1].device
    same("BIND_DMA by the Guest succeeds", bind(device.guest, device.key, 2, interrupt=11), True)
    for n in range(2):
        taps[1].feed(ethernet(device.address, HOST, stamp=n))
        same("a network reads a frame of its TAP", networks[1].input(), True)
    same("used_len of the buffers of the Guest", used_lens(device.guest, ARRAY, 2), [60, 60])
    same(
        "used_len of the buffers of the Guest", used_lens(device.guest, device.ring), [0] * NUM_SKBS
    )
    same("pending interrupts of the Guest", device.guest.pending, 1 << 11)
    same("BIND_DMA by the Guest succeeds", device.guest.bind_dma(device.key, ARRAY, 2, 0), True)
    taps[1].feed(ethernet(device.address, HOST, stamp=5))
    same("a network reads a frame of its TAP", networks[1].input(), True)
    same(
        "used_len of the buffers of the Guest", used_lens(device.guest, device.ring), [60] + [0] * 7
    )
    same("pending interrupts of the Guest", device.guest.pending, 1 << 11 | 1 << device.interrupt)


# Two shared networks of one Launcher


@pytest.fixture
def files(lguest: LguestLan, tmp_path: Path) -> Iterator[list[SharedFile]]:
    """The files of two networks."""
    with contextlib.ExitStack() as opened:
        yield [
            opened.enter_context(contextlib.closing(lguest.parts.file(tmp_path / name)))
            for name in ("one", "two")
        ]


def join_both(
    lguest: LguestLan, files: list[SharedFile], guest_id: int
) -> tuple[Launcher, list[NetDevice]]:
    """A Launcher whose Guest has an open device on each network."""
    launcher = lguest.launch(guest_id)
    devices = [launcher.join(file) for file in files]
    lguest.devices += devices
    same("result of opening each device", [device.open() for device in devices], [0, 0])
    return launcher, devices


@rule("DEV-2", "PUB-6", "DMA-9")
@pytest.mark.parametrize("is_dead", [False, True])
def test_a_launcher_that_ends_gives_up_its_slots_on_both_networks(
    lguest: LguestLan, files: list[SharedFile], is_dead: bool
) -> None:
    leaver, left = join_both(lguest, files, 20)
    _, stayed = join_both(lguest, files, 21)
    if is_dead:
        lguest.host.kill(left[0].guest, "for a test")
    leaver.exit()
    ghost = lguest.host.defects.leaves_ghosts
    for n, file in enumerate(files):
        same(
            "address published in slot 0",
            file.pages.published(0),
            left[n].address if ghost else NO_ADDRESS,
        )
        same("address published in slot 1", file.pages.published(1), stayed[n].address)
        same(
            "broadcast (whole, failed) of stayed, number n",
            broadcast(stayed[n]),
            (0, int(ghost)),
        )
    same("keys bound by the first Guest on the left", lguest.host.bound_by(left[0].guest), [])
    _, heirs = join_both(lguest, files, 22)
    same("slot of each heir", [heir.slot for heir in heirs], [0, 0])
    for heir, device in zip(heirs, stayed, strict=True):
        must_reach(heir, device)
        must_reach(device, heir)


@rule("PUB-6")
def test_a_slot_on_the_second_network_is_cleared_of_its_ghost_too(
    lguest: LguestLan, files: list[SharedFile]
) -> None:
    ghost = bytes.fromhex("0200a5a5a5a5")
    for file in files:
        file.pages.publish(0, ghost)
    launcher = lguest.launch(20)
    lguest.devices += [launcher.join(file) for file in files]
    kept = ghost if lguest.host.defects.leaves_ghosts else NO_ADDRESS
    same("address published in slot 0", [file.pages.published(0) for file in files], [kept, kept])


@rule("DEV-2", "PUB-6")
def test_a_slot_that_is_taken_keeps_its_address(
    lguest: LguestLan, files: list[SharedFile], tmp_path: Path
) -> None:
    _, (owner, _) = join_both(lguest, files, 20)
    with contextlib.closing(lguest.parts.file(tmp_path / "one")) as again:
        with raises("the error", LguestError, "slot 0 is taken"):
            lguest.launch(30).join(again, 0)
        same("address published in slot 0", files[0].pages.published(0), owner.address)
        same("slot taken", again.take_slot(), 1)


@rule("DMA-2", "DMA-7")
def test_keys_of_two_networks_are_two_places(lguest: LguestLan, files: list[SharedFile]) -> None:
    """The same slot on both, and the same address in the Guests' memory."""
    _, one = join_both(lguest, files, 20)
    _, other = join_both(lguest, list(reversed(files)), 21)
    same("key of the first device", one[0].key, other[0].key - 4)
    for device, peer in ((one[0], other[1]), (one[1], other[0])):
        must_reach(device, peer)
        must_reach(peer, device)
        same("broadcast (whole, failed) of the device", broadcast(device), (1, 0))
        same("broadcast (whole, failed) of the peer", broadcast(peer), (1, 0))
        run_interrupts(lguest.host)
    same(
        "rx_packets of each device",
        [device.counters.rx_packets for device in (*one, *other)],
        [2] * 4,
    )


# Two devices of one Guest


def two_devices(lguest: LguestLan) -> tuple[NetDevice, NetDevice, NetDevice]:
    """A peer, and two open devices of another Guest."""
    sender, first = lguest.open_devices(2)
    second = lguest.second_device(first.guest, 9)
    same("result of opening the second", second.open(), 0)
    return sender, first, second


@rule("LIF-1", "PUB-2")
@pytest.mark.parametrize("cause", ["memory", "binding"])
@pytest.mark.parametrize("which", [0, 1])
def test_a_failed_open_of_one_device_leaves_the_other_alone(
    lguest: LguestLan, cause: str, which: int
) -> None:
    sender, *devices = two_devices(lguest)
    failing, other = devices[which], devices[1 - which]
    failing.close()
    if cause == "memory":
        failing.guest.memory_left = 3
    else:
        for n in range(MAX_BOUND - 1):
            same(
                "BIND_DMA by failing succeeds",
                bind(failing.guest, sender.peer_key(SPARE_SLOT + n), 1),
                True,
            )
    same("result of opening failing", failing.open(), -12)
    failing.guest.memory_left = None
    same("address published by the other", lguest.pages.published(other.slot), other.address)
    ghost = lguest.host.defects.leaves_ghosts
    same(
        "address published by failing",
        lguest.pages.published(failing.slot),
        failing.address if ghost else NO_ADDRESS,
    )
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(other.slot), [(DATA, 60)]),
        60,
    )
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, sender.peer_key(failing.slot), [(DATA, 60)]),
        0,
    )
    other.close()
    same("result of opening the other", other.open(), 0)
    fill_up(sender, other)
    same(
        "used_len of the buffers of the other", used_lens(other.guest, other.ring), [60] * NUM_SKBS
    )


@rule("RCV-1")
def test_one_interrupt_serves_both_devices_of_a_guest(lguest: LguestLan) -> None:
    sender, first, second = two_devices(lguest)
    frames = [ethernet(first.address, sender.address, stamp=n) for n in range(2)]
    for frame in frames:
        sender.transmit(frame)
    same(
        "pending interrupts of the first",
        first.guest.pending,
        1 << first.interrupt | 1 << second.interrupt,
    )
    same("the first handles a pending interrupt", first.guest.interrupt(), True)
    same("pending interrupts of the first", first.guest.pending, 0)
    same_frames(lguest, first, frames)
    same_frames(lguest, second, frames)
    same(
        "used_len, SEND_DMA of the sender",
        send_bytes(sender.guest, sender.peer_key(second.slot), frames[0]),
        60,
    )
    first.guest.pending |= 1 << first.interrupt
    same("the first handles a pending interrupt", first.guest.interrupt(), True)
    same_frames(lguest, second, [*frames, frames[0]])


@rule("RCV-5", "RCV-1")
def test_memory_that_ends_between_two_devices_affects_the_second_alone(lguest: LguestLan) -> None:
    sender, first, second = two_devices(lguest)
    frame = ethernet(first.address, sender.address)
    sender.transmit(frame)
    first.guest.memory_left = 1
    same("the first handles a pending interrupt", first.guest.interrupt(), True)
    first.guest.memory_left = None
    shipped = lguest.host.defects.failed_refill_leaves_hole
    same_frames(lguest, first, [frame])
    same_frames(lguest, second, [frame] * shipped)
    messages = [event.text for event in lguest.host.events if isinstance(event, Message)]
    same("messages", messages, ["eth1: could not fill slot 0"])
    same("used_len of the buffers of the first", used_lens(first.guest, first.ring), [0] * NUM_SKBS)
    same(
        "used_len of the buffers of the second",
        used_lens(second.guest, second.ring),
        [60 * shipped] + [0] * 7,
    )


@rule("PUB-4", "DLV-4")
@pytest.mark.parametrize("which", [0, 1])
def test_each_device_of_a_guest_has_its_own_promiscuous_bit(lguest: LguestLan, which: int) -> None:
    sender, *devices = two_devices(lguest)
    listener, other = devices[which], devices[1 - which]
    listener.set_flags(promiscuous=True)
    frame = ethernet(bytes.fromhex("0200deadbeef"), sender.address)
    sender.transmit(frame)
    lguest.settle()
    same(
        "frames passed up by the listener and frames passed up by the other",
        (lguest.received(listener), lguest.received(other)),
        ([frame], []),
    )
    other.set_flags(all_multicast=True)
    listener.set_flags()
    sender.transmit(frame)
    lguest.settle()
    same(
        "frames passed up by the listener and frames passed up by the other",
        (lguest.received(listener), lguest.received(other)),
        ([frame], [frame]),
    )


@rule("DLV-8", "DLV-5", "CNT-3")
def test_two_devices_of_a_guest_do_not_reach_one_another_but_all_others(
    lguest: LguestLan,
) -> None:
    sender, first, second = two_devices(lguest)
    for device in (first, second, first):
        same("broadcast (whole, failed) of the device", broadcast(device), (1, 1))
        same("pending interrupts of the Guest", device.guest.pending, 0)
    lguest.settle()
    same("rx_packets of the sender", sender.counters.rx_packets, 3)
    same("rx_packets of the first", first.counters.rx_packets, 0)
    same("rx_packets of the second", second.counters.rx_packets, 0)


@rule("PUB-6", "DMA-9")
def test_a_guest_with_two_devices_that_is_killed_leaves_two_ghosts(lguest: LguestLan) -> None:
    sender, first, second = two_devices(lguest)
    lguest.host.kill(first.guest, "for a test")
    same("broadcast (whole, failed) of the sender", broadcast(sender), (2, 0))
    lguest.launcher(first.guest).exit()
    ghosts = 2 * lguest.host.defects.leaves_ghosts
    same("broadcast (whole, failed) of the sender", broadcast(sender), (0, ghosts))
    held = [lguest.pages.published(device.slot) for device in (first, second)]
    same("bytes held", held, [first.address] * 2 if ghosts else [NO_ADDRESS] * 2)
    same("keys bound by the first", lguest.host.bound_by(first.guest), [])


# Two arrays


@rule("DMA-1", "DMA-2")
def test_each_of_two_arrays_on_a_key_has_its_own_cursor(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    older, newer = ARRAY, ARRAY + PAGE
    for array in (older, newer):
        for n in range(4):
            room = dma.pack([(ROOM, 100)])
            owner.guest.memory.write(array + n * dma.SIZE, bytes(4) + room)

    def sent() -> None:
        same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, bytes(60)), 60)

    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, older, 4, 9), True)
    sent()
    sent()
    for n in range(4):
        set_used(owner.guest, older, n, 0)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, newer, 4, 10), True)
    sent()
    same("used_len of the buffers of the owner", used_lens(owner.guest, newer, 4), [60, 0, 0, 0])
    sent()
    sent()
    same("used_len of the buffers of the owner", used_lens(owner.guest, newer, 4), [60, 60, 60, 0])
    same("used_len of the buffers of the owner", used_lens(owner.guest, older, 4), [0] * 4)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, newer, 4, 0), True)
    owner.guest.pending = 0
    sent()
    same("used_len of the buffers of the owner", used_lens(owner.guest, older, 4), [0, 0, 60, 0])
    same("pending interrupts of the owner", owner.guest.pending, 1 << 9)


@rule("DMA-1", "DMA-2")
def test_one_array_bound_to_two_keys_has_two_cursors(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    keys = [sender.peer_key(SPARE_SLOT + n) for n in range(2)]
    for n, key in enumerate(keys):
        same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 4, interrupt=9 + n), True)
    for n in (0, 0, 1):
        same(
            "used_len, SEND_DMA of the sender",
            send_bytes(sender.guest, keys[n], bytes(60 + n)),
            60 + n,
        )
    same("used_len of the buffers of the owner", used_lens(owner.guest, ARRAY, 4), [60, 60, 61, 0])
    same("pending interrupts of the owner", owner.guest.pending, 1 << 9 | 1 << 10)
    for n in range(4):
        set_used(owner.guest, ARRAY, n, 0)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, keys[1], bytes(70)), 70)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, keys[0], bytes(71)), 71)
    same("used_len of the buffers of the owner", used_lens(owner.guest, ARRAY, 4), [0, 70, 71, 0])
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(keys[0], ARRAY, 4, 0), True)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, keys[0], bytes(60)), 0)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, keys[1], bytes(62)), 62)


@rule("DMA-5", "DMA-2")
def test_a_full_newest_array_is_not_passed_over_for_an_older_one(lguest: LguestLan) -> None:
    sender, owner, other = lguest.open_devices(3)
    key = sender.peer_key(SPARE_SLOT)
    same("BIND_DMA by the other succeeds", bind(other.guest, key, 2), True)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 1), True)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, bytes(60)), 60)
    owner.guest.pending = 0
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, bytes(60)), 0)
    same("pending interrupts of the owner", owner.guest.pending, 1 << 9)
    same("pending interrupts of the other", other.guest.pending, 0)
    same("used_len of the buffers of the other", used_lens(other.guest, ARRAY, 2), [0, 0])


@rule("DLV-2", "CNT-1", "CNT-3")
@pytest.mark.parametrize("full", [0, 1])
def test_of_two_peers_with_one_address_a_full_one_does_not_affect_the_other(
    lguest: LguestLan, full: int
) -> None:
    sender, *peers = lguest.open_devices(3)
    for peer in peers:
        lguest.pages.publish(peer.slot, bytes.fromhex("020011223344"))
    for n in range(NUM_SKBS):
        set_used(peers[full].guest, peers[full].ring, n, 60)
    frame = ethernet(bytes.fromhex("020011223344"), sender.address)
    for turn in range(1, 4):
        sender.transmit(frame)
        same("tx_packets of the sender", sender.counters.tx_packets, turn)
        same("tx_carrier_errors of the sender", sender.counters.tx_carrier_errors, turn)
    peers[1 - full].guest.interrupt()
    same_frames(lguest, peers[1 - full], [frame] * 3)


@rule("CNT-1", "CNT-3", "LIF-2")
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_failed_transfer_is_not_counted_as_the_whole_one_before_it(
    lguest: LguestLan, order: tuple[int, int]
) -> None:
    """One receiver gets the frame, the other has bound nothing; then one frame at a time."""
    sender, *peers = lguest.open_devices(3)
    without = peers[order[0]]
    same(
        "BIND_DMA by without succeeds",
        without.guest.bind_dma(without.key, without.ring, NUM_SKBS, 0),
        True,
    )
    for turn in range(1, 4):
        same("broadcast (whole, failed) of the sender", broadcast(sender), (1, 1))
        sender.transmit(ethernet(without.address, sender.address))
        same("tx_carrier_errors of the sender", sender.counters.tx_carrier_errors, 2 * turn)
        same("tx_packets of the sender", sender.counters.tx_packets, turn)
    lguest.settle()
    must_cross(lguest, sender, peers[order[1]])


@rule("DLV-2")
@pytest.mark.parametrize("count", [3, 5])
def test_every_peer_with_one_address_gets_the_frame(lguest: LguestLan, count: int) -> None:
    sender, *peers = lguest.open_devices(count + 2)
    address = bytes.fromhex("020011223344")
    for peer in peers[:-1]:
        lguest.pages.publish(peer.slot, address)
    frame = ethernet(address, sender.address)
    sender.transmit(frame)
    lguest.settle()
    same(
        "frames passed up by each peer",
        [lguest.received(peer) for peer in peers],
        [[frame]] * count + [[]],
    )


@rule("DLV-4", "DLV-3")
def test_a_hundred_promiscuous_peers_all_see_a_frame(lguest: LguestLan) -> None:
    with lan_of_pages(lguest, 4) as lan:
        slots = [*range(60), 681, 682, 2047, 2048, 2049, *range(2690, 2730)]
        sender, *peers = (lan.device(slot) for slot in slots)
        same("result of opening the sender", sender.open(), 0)
        for peer in peers:
            peer.set_flags(promiscuous=True)
            same("result of opening the peer", peer.open(), 0)
        frame = ethernet(peers[0].address, sender.address)
        for count in (1, 2):
            sender.transmit(frame)
            same("tx_packets of the sender", sender.counters.tx_packets, count * len(peers))
            lan.settle()
        same(
            "frames passed up by each peer",
            [lan.received(peer) for peer in peers],
            [[frame] * 2] * len(peers),
        )


@rule("DEV-1", "DMA-7")
def test_a_guest_on_networks_of_different_sizes_reaches_each(lguest: LguestLan) -> None:
    """Device pages of four pages, one and two, one above the other."""
    networks = [lguest.parts.pages(pages) for pages in (4, 1, 2, 1)]
    devices: list[list[NetDevice]] = []
    for n, order in enumerate((networks, networks[::-1])):
        launcher = lguest.launch(20 + n)
        joined = [launcher.join(pages, pages.slots - 2 + n) for pages in order]
        lguest.devices += joined
        same("result of opening each device", [device.open() for device in joined], [0] * 4)
        devices.append(joined)
    for one, other in zip(devices[0], reversed(devices[1]), strict=True):
        same("both are on one page", one.pages is other.pages, True)
        for sender, owner in ((one, other), (other, one)):
            sender.transmit(ethernet(owner.address, sender.address, stamp=sender.slot))
            run_interrupts(lguest.host)
            same("rx_packets of the owner", owner.counters.rx_packets, 1)
            same(
                "tx_packets of the sender and tx_carrier_errors of the sender",
                (sender.counters.tx_packets, sender.counters.tx_carrier_errors),
                (1, 0),
            )


@rule("HST-1")
def test_each_of_two_host_networks_shows_its_own_tap(lguest: LguestLan) -> None:
    networks, _ = two_host_networks(lguest)
    for network, address in zip(networks, TAPS, strict=True):
        pages = network.device.pages
        same(
            "address published in slot 0",
            pages.published(0),
            bytes((address[0] | 1,)) + address[1:],
        )
        same("address published in slot 1", pages.published(1), network.device.address)


@rule("HST-3")
def test_every_frame_from_the_tap_interrupts_beside_what_is_pending(lguest: LguestLan) -> None:
    networks, taps = two_host_networks(lguest)
    guest = networks[0].device.guest
    for n in (0, 1, 0):
        taps[n].feed(ethernet(HOST, HOST))
        same("a network reads a frame of its TAP", networks[n].input(), True)
    same("pending interrupts of the guest", guest.pending, 0b110)


@rule("HST-2")
@pytest.mark.parametrize("key", [DATA, 40 * PAGE])
def test_a_list_the_launcher_cannot_reach_ends_it_whoever_watches_the_key(
    lguest: LguestLan, key: int
) -> None:
    networks, taps = two_host_networks(lguest)
    device = networks[0].device
    same("used_len, SEND_DMA of the device", send_list(device, key, [(DATA, 10)]), 0)
    same("Guests killed", killed(lguest), [])
    same(
        "used_len, SEND_DMA of the device",
        send_list(device, key, [(DATA, 10), (2**32 - 8, 20)]),
        0,
    )
    same("Guests killed", killed(lguest), [50])
    same("frames written to the TAP", [tap.written for tap in taps], [[], []])


@rule("HST-3")
def test_every_frame_that_finds_nothing_bound_is_warned_of(lguest: LguestLan) -> None:
    networks, taps = two_host_networks(lguest)
    second = networks[1]
    second.device.transmit(ethernet(HOST, second.device.address))
    second.device.close()
    for count in range(1, 4):
        taps[1].feed(ethernet(HOST, HOST))
        same("the second reads a frame of its TAP", second.input(), False)
        same("warnings of the Launchers", warnings(lguest), ["network: no dma buffer!"] * count)
        same("a frame waits in the second TAP", taps[1].waiting(), False)


@rule("DEV-2")
def test_launchers_that_share_an_opened_file_keep_their_slots(
    lguest: LguestLan, files: list[SharedFile]
) -> None:
    launchers = [join_both(lguest, files, 20 + n)[0] for n in range(3)]
    launchers[1].exit()
    _, heirs = join_both(lguest, files, 30)
    same("slot of each heir", [heir.slot for heir in heirs], [1, 1])
    _, others = join_both(lguest, files, 31)
    same("slot of each other", [other.slot for other in others], [3, 3])


# The second of two, in order


@rule("DLV-11", "RCV-1")
@pytest.mark.parametrize("which", [0, 1, 2])
def test_each_device_of_a_guest_passes_up_its_frames_in_order(
    lguest: LguestLan, which: int
) -> None:
    """Repaired; as shipped, a batch that wraps is in slot order (DEF-2)."""
    sender, first, second = two_devices(lguest)
    third = lguest.second_device(first.guest, 30)
    same("result of opening the third", third.open(), 0)
    device = (first, second, third)[which]
    key = sender.peer_key(device.slot)
    for turn in range(8):
        before = len(lguest.received(device))
        frames = [ethernet(device.address, sender.address, stamp=turn * 9 + n) for n in range(5)]
        for frame in frames:
            same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, frame), 60)
        same("the first handles a pending interrupt", first.guest.interrupt(), True)
        received = lguest.received(device)[before:]
        if lguest.host.defects.drains_from_slot_zero:
            same("received, sorted", sorted(received), sorted(frames))
        else:
            same("received", received, frames)


@rule("DMA-2")
def test_the_newest_array_of_one_guest_is_searched_wherever_its_entry_is(
    lguest: LguestLan,
) -> None:
    """The newest array may have the entry of one that was unbound."""
    sender, owner = lguest.open_devices(2)
    key = sender.peer_key(SPARE_SLOT)
    arrays = [ARRAY + 200 * n for n in range(4)]
    for array in arrays:
        owner.guest.memory.write(array, bytes(4) + dma.pack([(ROOM, 100)]))

    def filled_array() -> int:
        same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, bytes(60)), 60)
        (array,) = [at for at in arrays if used_lens(owner.guest, at, 1) == [60]]
        set_used(owner.guest, array, 0, 0)
        return arrays.index(array)

    for n in (0, 1, 2):
        same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, arrays[n], 1, 9), True)
        same("array filled", filled_array(), n)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, arrays[0], 1, 0), True)
    same("array filled", filled_array(), 2)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, arrays[3], 1, 9), True)
    same("array filled", filled_array(), 3)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, arrays[2], 1, 0), True)
    same("array filled", filled_array(), 3)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, arrays[3], 1, 0), True)
    same("array filled", filled_array(), 1)


@rule("DMA-5", "CNT-1")
@pytest.mark.parametrize("full", [2, 3])
def test_every_transfer_of_a_broadcast_gets_a_second_try(lguest: LguestLan, full: int) -> None:
    sender, *others = lguest.open_devices(4)
    for other in others[3 - full :]:
        fill_up(sender, other)
    before = sender.counters.tx_packets

    def restock(point: Point, _: Owner) -> None:
        if point is Point.RESTOCK:
            for other in others:
                if 0 not in used_lens(other.guest, other.ring):
                    same("the other receives", other.receive(), True)
                    return

    lguest.host.interleave = restock
    frame = ethernet(b"\xff" * 6, sender.address, stamp=77)
    sender.transmit(frame)
    lguest.host.interleave = None
    same("tx_packets since then", sender.counters.tx_packets - before, 3)
    same("tx_carrier_errors of the sender", sender.counters.tx_carrier_errors, 0)
    run_interrupts(lguest.host)
    same(
        "last of frames passed up by each other",
        [lguest.received(other)[-1] for other in others],
        [frame] * 3,
    )


@rule("DLV-2", "DLV-5")
def test_a_peer_that_publishes_the_senders_address_gets_its_frames(lguest: LguestLan) -> None:
    sender, other, third = lguest.open_devices(3)
    lguest.pages.publish(other.slot, sender.address)
    for to in (sender.address, b"\xff" * 6, third.address):
        sender.transmit(ethernet(to, sender.address))
    third.transmit(ethernet(sender.address, third.address))
    lguest.settle()
    same("number of frames passed up by the other", len(lguest.received(other)), 3)
    same("number of frames passed up by the sender", len(lguest.received(sender)), 1)
    same("number of frames passed up by the third", len(lguest.received(third)), 2)
    same("tx_packets of the third", third.counters.tx_packets, 2)


@rule("RCV-4", "DEV-1")
@pytest.mark.parametrize("features", [(True, False), (False, True), (False, False)])
def test_each_device_of_a_guest_has_its_own_checksum_feature(
    lguest: LguestLan, features: tuple[bool, bool]
) -> None:
    sender = lguest.open_devices(1)[0]
    launcher = lguest.launch(50)
    devices = [launcher.join(lguest.pages, 20 + n, nocsum=features[n]) for n in range(2)]
    lguest.devices += devices
    same("result of opening each device", [device.open() for device in devices], [0, 0])
    same("broadcast (whole, failed) of the sender", broadcast(sender), (2, 0))
    lguest.settle()
    received = [event for event in lguest.host.events if isinstance(event, Received)]
    same(
        "slot of event and checksum unnecessary of event",
        [(event.slot, event.checksum_unnecessary) for event in received],
        [
            (20, features[0]),
            (21, features[1]),
        ],
    )


@rule("LIF-1", "PUB-5")
def test_a_closed_device_sends_nothing_though_another_of_its_guest_is_open(
    lguest: LguestLan,
) -> None:
    sender, first, second = two_devices(lguest)
    for device, other in ((first, second), (second, first)):
        frame = ethernet(sender.address, device.address)
        device.transmit(frame)
        device.close()
        with raises("the error", LguestError, "the device is not open"):
            device.transmit(frame)
        other.transmit(frame)
        same("result of opening the device", device.open(), 0)
    lguest.settle()
    same("rx_packets of the sender", sender.counters.rx_packets, 4)


@rule("RCV-1")
def test_three_devices_take_repeated_interrupts(lguest: LguestLan) -> None:
    sender, first, second = two_devices(lguest)
    third = lguest.second_device(first.guest, 30)
    same("result of opening the third", third.open(), 0)
    for turn in range(1, 9):
        for device in (third, first, second)[: 1 + turn % 3]:
            same(
                "used_len, SEND_DMA of the sender",
                send_bytes(sender.guest, sender.peer_key(device.slot), bytes(60)),
                60,
            )
        same("the first handles a pending interrupt", first.guest.interrupt(), True)
        same("the first handles a pending interrupt", first.guest.interrupt(), False)
        devices = (third, first, second)
        same(
            "used_len of all buffers",
            [used_lens(device.guest, device.ring) for device in devices],
            [[0] * 8] * len(devices),
        )


@rule("DMA-2", "DMA-7")
@pytest.mark.parametrize("pages", [1, 2])
def test_a_structure_may_lie_across_two_device_pages(lguest: LguestLan, pages: int) -> None:
    """Of two networks, one above the other; so may the array of the receiver."""
    sender, owner = lguest.open_devices(2)
    for device in (sender, owner):
        for _ in range(2):
            lguest.launcher(device.guest).join(lguest.parts.pages(1), 3)
    key = sender.peer_key(SPARE_SLOT)
    same("page of the owner", owner.page, sender.page)
    owner.guest.memory.write(ARRAY, bytes(4) + dma.pack([(ROOM, 100)]))
    for before in (2, 4, 50, 99):
        same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, ARRAY, 1, 9), True)
        at = sender.page + pages * PAGE - before
        sender.guest.memory.write(DATA, bytes(range(70)))
        sender.guest.memory.write(at, bytes(4) + dma.pack([(DATA, 70)]))
        same(
            "memory of the sender at at + 4",
            sender.guest.memory.read(at + 4, 96),
            dma.pack([(DATA, 70)]),
        )
        same("used_len, SEND_DMA of the sender", sender.guest.send_dma(key, at), 70)
        same("memory of the owner at ROOM", owner.guest.memory.read(ROOM, 70), bytes(range(70)))
        set_used(owner.guest, ARRAY, 0, 0)
        same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, ARRAY, 1, 0), True)
        owner.guest.memory.write(at, bytes(4) + dma.pack([(ROOM + PAGE, 100)]))
        same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, at, 1, 9), True)
        same(
            "used_len, SEND_DMA of the sender",
            send_bytes(sender.guest, key, bytes(range(1, 61))),
            60,
        )
        same("used_len of the buffers of the owner", used_lens(owner.guest, at, 1), [60])
        same(
            "memory of the owner at ROOM + PAGE",
            owner.guest.memory.read(ROOM + PAGE, 60),
            bytes(range(1, 61)),
        )
        same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, at, 1, 0), True)


@rule("DMA-7")
def test_the_last_word_of_each_of_several_device_pages_is_a_key(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    networks = [lguest.parts.pages(pages) for pages in (2, 1)]
    for device in (sender, owner):
        for pages in networks:
            lguest.launcher(device.guest).join(pages, 3 + device.slot)
    ends = [sender.page + n * PAGE for n in (1, 3, 4)]
    for end in ends:
        same("BIND_DMA by the owner succeeds", bind(owner.guest, end - 4, 1), True)
        same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, end - 4, bytes(60)), 60)
        same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(end - 4, ARRAY, 1, 0), True)
    same("Guests killed", killed(lguest), [])
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(ends[-1], ARRAY, 1, 9), False)
    same("Guests killed", killed(lguest), [owner.guest.id])


@rule("HST-4")
@pytest.mark.parametrize("count", [1, 3, 9])
def test_a_full_array_of_any_count_is_full_at_its_own_last_buffer(
    lguest: LguestLan, count: int
) -> None:
    """As shipped that one is overwritten (DEF-3); repaired the frame waits."""
    networks, taps = two_host_networks(lguest)
    network, device = networks[1], networks[1].device
    same(
        "BIND_DMA by the Guest succeeds", bind(device.guest, device.key, count, interrupt=12), True
    )
    for n in range(count + 1):
        taps[1].feed(ethernet(device.address, HOST, size=60 + n))
        moved = network.input()
    shipped = lguest.host.defects.overwrites_full_ring
    same("bytes moved", moved, shipped)
    last = 60 + count if shipped else 59 + count
    lengths = [*range(60, 59 + count), last]
    same("used_len of the buffers of the Guest", used_lens(device.guest, ARRAY, count), lengths)
    same(
        "used_len of the buffers of the Guest",
        used_lens(device.guest, ARRAY + count * dma.SIZE, 1),
        [0],
    )
    differ("a frame waits in the second TAP", taps[1].waiting(), shipped)
