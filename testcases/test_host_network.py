"""H. The Host network: the Launcher as a peer, with a TAP in memory behind it."""

from __future__ import annotations

import pytest

from harness.comparing import present, same
from harness.frames import GROUPS, LARGEST, LONGEST, ethernet, fragmented, payload
from harness.lan import Layout
from harness.lans.lguest import LguestLan
from harness.lguest import dma
from harness.lguest.driver import Counters
from harness.lguest.events import Message
from harness.lguest.launcher import GUEST_PAGES
from harness.lguest.tap import MemoryTap
from harness.plugin.marks import rule

from .kit.host_network import HOST, UNKNOWN, must_work, open_network, send, warnings
from .kit.steps import must_reach, paint, same_frames, send_list, with_slot

PAGE = dma.PAGE_SIZE
SCRATCH = 100 * PAGE
END = (GUEST_PAGES + 2) * PAGE
LAST = 0xFFFFFFFF
REFUSED = 0xFFFFFFFF


# HST-1: the slots


@rule("HST-1")
@pytest.mark.parametrize("tap_address", ["020000ff0001", "030000ff0001", "000000000000"])
def test_the_launcher_has_slot_0_and_the_bit_and_the_guest_slot_1(
    lguest: LguestLan, tap_address: str
) -> None:
    tap = MemoryTap(bytes.fromhex(tap_address))
    network = lguest.host_network(0x1234, tap)
    device = network.device
    published = bytes((tap.address[0] | 1,)) + tap.address[1:]
    empty = bytes(device.pages.size)
    same("slot of the device", device.slot, 1)
    same("shared page", device.pages.store[:], with_slot(empty, 0, published))
    same("result of opening the device", device.open(), 0)
    both = with_slot(with_slot(empty, 0, published), 1, bytes.fromhex("020034120000"))
    same("shared page", device.pages.store[:], both)
    device.close()
    same("shared page", device.pages.store[:], with_slot(empty, 0, published))
    same("result of opening the device", device.open(), 0)
    must_work(lguest, network, tap)


@rule("HST-1", "CNT-1")
@pytest.mark.parametrize("destination", ["host", "nobody", "own", "zero", *GROUPS])
def test_the_launcher_sees_every_frame_of_the_guest_once(
    lguest: LguestLan, destination: str
) -> None:
    network, tap = open_network(lguest)
    own = network.device.address
    named = {"host": HOST, "nobody": UNKNOWN, "own": own, "zero": bytes(6), **GROUPS}
    frame = send(network, named[destination])
    same("frames written to the TAP", tap.written, [frame])
    same(
        "counters of the network's device",
        network.device.counters,
        Counters(tx_packets=1, tx_bytes=60),
    )
    lguest.settle()
    same_frames(lguest, network.device, [])


@rule("HST-1")
def test_the_launcher_sees_frames_in_sending_order(lguest: LguestLan) -> None:
    network, tap = open_network(lguest)
    frames = [
        send(network, (HOST, UNKNOWN, GROUPS["broadcast"])[n % 3], stamp=n) for n in range(30)
    ]
    same("frames written to the TAP", tap.written, frames)
    same(
        "counters of the network's device",
        network.device.counters,
        Counters(tx_packets=30, tx_bytes=30 * 60),
    )


@rule("HST-1")
def test_host_networks_and_shared_networks_are_apart(lguest: LguestLan) -> None:
    one, one_tap = open_network(lguest, 50)
    two, two_tap = open_network(lguest, 51)
    sender, owner = lguest.open_devices(2)
    everybody = send(one, GROUPS["broadcast"])
    to_two = send(one, two.device.address)
    to_owner = send(one, owner.address)
    sender.transmit(ethernet(GROUPS["broadcast"], sender.address))
    sender.transmit(ethernet(one.device.address, sender.address))
    lguest.settle()
    same("frames written to one tap", one_tap.written, [everybody, to_two, to_owner])
    same("frames written to two tap", two_tap.written, [])
    same_frames(lguest, one.device, [])
    same_frames(lguest, two.device, [])
    same("number of frames passed up by the owner", len(lguest.received(owner)), 1)
    same("counters of the sender", sender.counters, Counters(tx_packets=1, tx_bytes=60))
    must_work(lguest, two, two_tap)
    must_reach(sender, owner)


@rule("HST-1", "HST-3")
def test_one_guest_may_be_on_a_shared_and_on_a_host_network(lguest: LguestLan) -> None:
    (sender,) = lguest.open_devices(1)
    shared = lguest.device(slot=7)
    tap = MemoryTap()
    network = lguest.launcher(shared.guest).join_host(tap)
    lguest.devices.append(network.device)
    same("result of opening the shared", shared.open(), 0)
    same("result of opening the network's device", network.device.open(), 0)
    same(
        "name of the network's device and interrupt of the network's device",
        (network.device.name, network.device.interrupt),
        ("eth1", 2),
    )
    must_reach(sender, shared)
    must_work(lguest, network, tap)
    same_frames(lguest, sender, [])
    same("number of frames written to the TAP", len(tap.written), 1)


# HST-2: from the Guest


@rule("HST-2", "LIF-3")
@pytest.mark.parametrize("size", [14, 15, 60, LONGEST, LONGEST + 1, PAGE + 1, LARGEST])
def test_a_frame_is_written_whole_in_one_call(lguest: LguestLan, size: int) -> None:
    network, tap = open_network(lguest)
    frame = send(network, size=size)
    same("frames written to the TAP", tap.written, [frame])
    same(
        "counters of the network's device",
        network.device.counters,
        Counters(tx_packets=1, tx_bytes=size),
    )


@rule("HST-2")
@pytest.mark.parametrize(
    "layout",
    [Layout(offset=4090), fragmented(1000, 14, 15), Layout(14, 4090, ((486, 3610), (500, 7)))],
    ids=lambda layout: f"{layout.linear}@{layout.offset}+{len(layout.fragments)}",
)
def test_the_sections_of_a_frame_are_written_as_one(lguest: LguestLan, layout: Layout) -> None:
    network, tap = open_network(lguest)
    frame = ethernet(HOST, network.device.address, size=1000)
    network.device.transmit(frame, layout.linear, layout.offset, layout.fragments)
    same("frames written to the TAP", tap.written, [frame])
    same(
        "counters of the network's device",
        network.device.counters,
        Counters(tx_packets=1, tx_bytes=1000),
    )


@rule("HST-2", "CNT-3", "LIF-3")
@pytest.mark.parametrize("size", range(6, 14))
def test_a_runt_is_refused_by_the_tap_and_counts_as_failed(lguest: LguestLan, size: int) -> None:
    network, tap = open_network(lguest)
    send(network, size=size)
    device = network.device
    same("frames written to the TAP", tap.written, [])
    same(
        "used_len of the structure sent",
        device.guest.memory.read(device.sending, 4),
        b"\xff" * 4,
    )
    same("counters of the device", device.counters, Counters(tx_carrier_errors=1))
    same("cause of death of the Guest", device.guest.dead, None)
    must_work(lguest, network, tap)


@rule("HST-2", "SEC-3")
@pytest.mark.parametrize("fragments", [15, 16])
def test_a_megapacket_is_written_as_far_as_it_fits(lguest: LguestLan, fragments: int) -> None:
    network, tap = open_network(lguest)
    size = 14 + 10 * fragments
    frame = ethernet(HOST, network.device.address, size=size)
    network.device.transmit(frame, 14, 0, fragmented(size, 14, fragments).fragments)
    same("frames written to the TAP", tap.written, [frame[: 14 + 15 * 10]])
    said = [event for event in lguest.host.events if isinstance(event, Message)]
    fits = fragments <= 15
    same("number of messages", len(said), int(not fits))
    same("tx_packets of the network's device", network.device.counters.tx_packets, int(fits))
    same(
        "tx_carrier_errors of the network's device",
        network.device.counters.tx_carrier_errors,
        int(not fits),
    )


class _Reluctant(MemoryTap):
    """A TAP that takes only so many bytes of a frame."""

    takes = 20

    def write(self, frame: bytes) -> int:
        return super().write(frame[: self.takes])


@rule("HST-2", "CNT-3")
@pytest.mark.parametrize(("takes", "used_len"), [(59, 59), (20, 20), (13, REFUSED), (60, 60)])
def test_what_the_tap_took_is_what_the_guest_is_told(
    lguest: LguestLan, takes: int, used_len: int
) -> None:
    tap = _Reluctant()
    tap.takes = takes
    network = lguest.host_network(50, tap)
    device = network.device
    same("result of opening the device", device.open(), 0)
    frame = send(network)
    same(
        "used_len of the structure sent",
        device.guest.memory.read(device.sending, 4),
        used_len.to_bytes(4, "little"),
    )
    same("frames written to the TAP", tap.written, [] if used_len == REFUSED else [frame[:takes]])
    whole = takes == 60
    same(
        "counters of the device", device.counters, Counters(int(whole), 60 * whole, int(not whole))
    )


@rule("HST-2")
@pytest.mark.parametrize(
    "sections",
    [
        [(SCRATCH + 4000, 200)],
        [(SCRATCH, 2 * PAGE)],
        [(SCRATCH + 1, 65535)],
        [(SCRATCH + 5, 9), (SCRATCH + 4095, 2), (SCRATCH, 4097)],
    ],
)
def test_page_boundaries_do_not_matter_to_the_launcher(
    lguest: LguestLan, sections: list[tuple[int, int]]
) -> None:
    network, tap = open_network(lguest)
    memory = network.device.guest.memory
    memory.write(SCRATCH, payload(17 * PAGE))
    listed = b"".join(memory.read(*section) for section in sections)
    same(
        "used_len, SEND_DMA of the network's device",
        send_list(network.device, network.device.peer_key(0), sections),
        len(listed),
    )
    same("frames written to the TAP", tap.written, [listed])
    same("cause of death of the network's Guest", network.device.guest.dead, None)


@rule("HST-2")
@pytest.mark.parametrize("length", [14, 60, PAGE - 1])
def test_a_section_may_end_one_byte_below_the_top_of_memory(lguest: LguestLan, length: int) -> None:
    network, tap = open_network(lguest)
    device = network.device
    painted = paint(device.pages)
    limit = device.guest.memory.limit
    same(
        "used_len, SEND_DMA of the device",
        send_list(device, device.peer_key(0), [(limit - length - 1, length)]),
        length,
    )
    same("frames written to the TAP", tap.written, [painted[-length - 1 : -1]])
    same("cause of death of the Guest", device.guest.dead, None)


@rule("HST-2")
@pytest.mark.parametrize(
    "bad",
    [
        (END - 14, 14),
        (END - 1, 1),
        (END - 14, 15),
        (END - 1, 2),
        (END, 1),
        (END, 14),
        (END + PAGE, 60),
        (LAST, 2),
        (LAST, 60),
    ],
)
@pytest.mark.parametrize("good", [0, 1])
def test_a_bad_section_ends_the_launcher_and_the_guest_with_it(
    lguest: LguestLan, bad: tuple[int, int], good: int
) -> None:
    network, tap = open_network(lguest)
    sender, owner = lguest.open_devices(2)
    device = network.device
    same("limit of memory of the Guest", device.guest.memory.limit, END)
    sections = [(SCRATCH, 60)] * good + [bad]
    same("used_len, SEND_DMA of the device", send_list(device, device.peer_key(0), sections), 0)
    dead = present("cause of death", device.guest.dead)
    same("how the cause of death begins", dead[:18], "its Launcher ended")
    same("frames written to the TAP", tap.written, [])
    same("keys bound by the Guest", lguest.host.bound_by(device.guest), [])
    same("the Host knows the Guest", device.guest.id in lguest.host.guests, False)
    must_reach(sender, owner)
    other, other_tap = open_network(lguest, 51)
    must_work(lguest, other, other_tap)


@rule("HST-2")
def test_what_stands_behind_a_zero_length_is_not_looked_at(lguest: LguestLan) -> None:
    network, tap = open_network(lguest)
    device = network.device
    device.guest.memory.write(SCRATCH, payload(60))
    sections = [(SCRATCH, 60), (0, 0), (0xFFFFFFFF, 60)]
    same("used_len, SEND_DMA of the device", send_list(device, device.peer_key(0), sections), 60)
    same("frames written to the TAP", tap.written, [payload(60)])
    must_work(lguest, network, tap)


@rule("HST-2")
@pytest.mark.parametrize("inside", [True, False])
def test_the_structure_itself_must_lie_in_the_guests_memory(
    lguest: LguestLan, inside: bool
) -> None:
    network, tap = open_network(lguest)
    device = network.device
    memory = device.guest.memory
    at = memory.limit - dma.SIZE - 1
    memory.write(at, bytes(4) + dma.pack([(SCRATCH, 60)]))
    used_len = device.guest.send_dma(device.peer_key(0), at if inside else at + 1)
    same("used_len", used_len, 60 if inside else 0)
    same("number of frames written to the TAP", len(tap.written), int(inside))
    same("the Guest lives", device.guest.dead is None, inside)


@rule("HST-2", "DMA-7")
@pytest.mark.parametrize("slot", [1, 2, 681])
def test_a_key_that_no_device_watches_is_a_warning_and_no_more(
    lguest: LguestLan, slot: int
) -> None:
    network, tap = open_network(lguest)
    device = network.device
    key = device.peer_key(slot)
    same("used_len, SEND_DMA of the device", send_list(device, key, [(SCRATCH, 60)]), 0)
    same(
        "warnings of the Launchers",
        warnings(lguest),
        [f"Pending dma {device.sending:#x}, key {key:#x}"],
    )
    same("frames written to the TAP", tap.written, [])
    same("cause of death of the Guest", device.guest.dead, None)
    must_work(lguest, network, tap)
    same("number of warnings of the Launchers", len(warnings(lguest)), 1)


@rule("HST-2", "DMA-7")
def test_a_key_in_normal_memory_goes_to_the_launcher_too(lguest: LguestLan) -> None:
    network, tap = open_network(lguest)
    same(
        "used_len, SEND_DMA of the network's device",
        send_list(network.device, SCRATCH, [(SCRATCH, 60)]),
        0,
    )
    same(
        "warnings of the Launchers",
        warnings(lguest),
        [f"Pending dma {network.device.sending:#x}, key {SCRATCH:#x}"],
    )
    same("frames written to the TAP", tap.written, [])
    must_work(lguest, network, tap)


@rule("HST-2", "CNT-3")
def test_a_third_address_on_the_page_is_tried_and_fails(lguest: LguestLan) -> None:
    network, tap = open_network(lguest)
    network.device.pages.publish(2, UNKNOWN)
    frame = send(network, UNKNOWN)
    same("frames written to the TAP", tap.written, [frame])
    same("number of warnings of the Launchers", len(warnings(lguest)), 1)
    same(
        "counters of the network's device",
        network.device.counters,
        Counters(tx_packets=1, tx_bytes=60, tx_carrier_errors=1),
    )
