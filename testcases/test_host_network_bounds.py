"""HST-2, HST-3: what a Launcher does with lists and arrays that a driver would never make."""

from __future__ import annotations

import pytest

from harness.comparing import differ, present, same
from harness.frames import LONGEST, PAGE, ethernet, payload
from harness.lans.lguest import LguestLan
from harness.lguest import dma
from harness.lguest.events import Copied, Killed
from harness.lguest.launcher import HostNetwork
from harness.lguest.tap import MemoryTap
from harness.plugin.marks import rule

from .kit.dma import ARRAY, END, ROOM, Sections, changed, number, snapshot
from .kit.host_network import HOST, UNKNOWN, frames_for, must_work, open_network, warnings
from .kit.steps import must_reach, send_list

LAST = 0xFFFFFFFF
TOP = END
"""Where the memory of a Guest with one device page ends."""

DESCRIPTORS = TOP - 2 * PAGE
PATTERN = b"\x5a"

BAD = [
    (TOP - 60, 60),
    (TOP - 1, 1),
    (TOP - 59, 60),
    (TOP - 1, 65535),
    (TOP, 1),
    (TOP + PAGE, 60),
    (1 << 31, 60),
    (LAST, 1),
    (LAST, 60),
    (LAST - 59, 60),
]
"""Sections that do not lie below the top of memory."""

GOOD = [
    (ROOM, 60),
    (ROOM + PAGE - 1, 60),
    (ROOM + 1, 2 * PAGE),
    (DESCRIPTORS - 30, 60),
    (TOP - 61, 60),
    (TOP - 2, 1),
    (TOP - PAGE - 30, 60),
]
"""Sections that do, though some cross a page or lie on the device page."""


def bind_array(network: HostNetwork, array: int, lists: list[Sections], interrupt: int = 9) -> bool:
    """Bind an array of free buffers with these lists to the Guest's own key."""
    device = network.device
    memory = device.guest.memory
    for index, sections in enumerate(lists):
        memory.write(array + index * dma.SIZE, bytes(4) + dma.pack(sections))
    return device.guest.bind_dma(device.key, array, len(lists), interrupt)


def hand_made(
    lguest: LguestLan, lists: list[Sections], interrupt: int = 9
) -> tuple[HostNetwork, MemoryTap]:
    """A Host network whose Guest has bound buffers by hand, its device closed."""
    tap = MemoryTap()
    network = lguest.host_network(50, tap)
    same("BIND_DMA by the network succeeds", bind_array(network, ARRAY, lists, interrupt), True)
    return network, tap


def frame_for(network: HostNetwork, size: int = 60, stamp: int = 0) -> bytes:
    return ethernet(network.device.address, HOST, size=size, stamp=stamp)


def ended(lguest: LguestLan, network: HostNetwork) -> str:
    """Why the Guest was killed, the Host alone knows of it, and its Launcher is gone."""
    guest = network.device.guest
    reasons = [event.reason for event in lguest.host.events if isinstance(event, Killed)]
    same("reasons", reasons, [guest.dead])
    same("runs of launcher of the network", network.launcher.runs, False)
    same("the Host knows the Guest", guest.id in lguest.host.guests, False)
    same("keys bound by the guest", lguest.host.bound_by(guest), [])
    return present("cause of death", guest.dead)


def others_go_on(lguest: LguestLan) -> None:
    """Other networks go on: a control."""
    sender, owner = lguest.open_devices(2)
    other, other_tap = open_network(lguest, 51)
    must_reach(sender, owner)
    must_work(lguest, other, other_tap)


# HST-2: the list of a send


@rule("HST-2")
@pytest.mark.parametrize("section", GOOD)
@pytest.mark.parametrize("before", [0, 15])
def test_a_section_below_the_top_is_written_to_the_tap(
    lguest: LguestLan, section: tuple[int, int], before: int
) -> None:
    network, tap = open_network(lguest)
    memory = network.device.guest.memory
    address, length = section
    memory.write(address, payload(length, 7))
    sections = [*[(ROOM + 4 * PAGE, 20)] * before, section]
    expected = b"".join(memory.read(*listed) for listed in sections)
    moved = send_list(network.device, network.device.peer_key(0), sections)
    same("bytes moved", moved, len(expected) if len(expected) >= 14 else LAST)
    same("frames written to the TAP", tap.written, [expected] if len(expected) >= 14 else [])
    same("cause of death of the network's Guest", network.device.guest.dead, None)


@rule("HST-2")
@pytest.mark.parametrize("slot", [0, 1, 7], ids=["watched", "own", "unwatched"])
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("before", [0, 15])
def test_a_bad_section_ends_the_launcher_whatever_the_key(
    lguest: LguestLan, slot: int, bad: tuple[int, int], before: int
) -> None:
    network, tap = open_network(lguest)
    device = network.device
    sections = [*[(ROOM, 20)] * before, bad]
    same(
        "used_len, SEND_DMA of the device",
        send_list(device, device.peer_key(slot), sections),
        0,
    )
    same(
        "how the Guest ended",
        ended(lguest, network),
        f"its Launcher ended: invalid address {bad[0]:#x}",
    )
    same("frames written to the TAP", tap.written, [])
    same("warnings of the Launchers", warnings(lguest), [])
    others_go_on(lguest)


@rule("HST-2")
@pytest.mark.parametrize("slot", [0, 7], ids=["watched", "unwatched"])
@pytest.mark.parametrize("address", [TOP - 100, TOP - 99, TOP - 4, TOP, 1 << 31, LAST - 3])
def test_a_structure_outside_ends_the_launcher_whatever_the_key(
    lguest: LguestLan, slot: int, address: int
) -> None:
    network, tap = open_network(lguest)
    device = network.device
    device.guest.send_dma(device.peer_key(slot), address)
    same(
        "how the Guest ended",
        ended(lguest, network),
        f"its Launcher ended: invalid address {address:#x}",
    )
    same("frames written to the TAP", tap.written, [])
    same("warnings of the Launchers", warnings(lguest), [])
    others_go_on(lguest)


@rule("HST-2")
@pytest.mark.parametrize("address", [0, 1, TOP - 101, TOP - PAGE - 50, DESCRIPTORS - 50])
def test_a_structure_may_lie_anywhere_below_the_top(lguest: LguestLan, address: int) -> None:
    network, tap = open_network(lguest)
    device = network.device
    memory = device.guest.memory
    memory.write(ROOM, payload(60))
    memory.write(address, bytes(4) + dma.pack([(ROOM, 60)]))
    same(
        "used_len, SEND_DMA of the Guest",
        device.guest.send_dma(device.peer_key(0), address),
        60,
    )
    same("frames written to the TAP", tap.written, [payload(60)])
    same("cause of death of the Guest", device.guest.dead, None)


@rule("HST-2")
def test_what_stands_behind_a_zero_length_is_not_converted(lguest: LguestLan) -> None:
    network, tap = open_network(lguest)
    device = network.device
    device.guest.memory.write(ROOM, payload(60))
    sections = [(ROOM, 60), (LAST, 0), *BAD[:5]]
    same("used_len, SEND_DMA of the device", send_list(device, device.peer_key(0), sections), 60)
    same("used_len, SEND_DMA of the device", send_list(device, device.peer_key(7), sections), 0)
    same("frames written to the TAP", tap.written, [payload(60)])
    same("number of warnings of the Launchers", len(warnings(lguest)), 1)
    must_work(lguest, network, tap)


class _Counting(MemoryTap):
    """A TAP that counts its calls."""

    calls = 0

    def write(self, frame: bytes) -> int:
        self.calls += 1
        return super().write(frame)


@rule("HST-2")
@pytest.mark.parametrize("times", [1, 3])
def test_an_empty_list_writes_nothing_and_gives_0(lguest: LguestLan, times: int) -> None:
    tap = _Counting()
    network = lguest.host_network(50, tap)
    device = network.device
    same("result of opening the device", device.open(), 0)
    for _ in range(times):
        same("used_len, SEND_DMA of the device", send_list(device, device.peer_key(0), []), 0)
    same("calls of the TAP and frames written to the TAP", (tap.calls, tap.written), (0, []))
    copies = [event for event in lguest.host.events if isinstance(event, Copied)]
    same(
        "moved of copy and reason of copy",
        [(copy.moved, copy.reason) for copy in copies],
        [(0, "")] * times,
    )
    same("cause of death of the Guest", device.guest.dead, None)
    must_work(lguest, network, tap)


@rule("HST-2", "HST-3")
@pytest.mark.parametrize("sections", [[], [(ROOM, 13)]], ids=["empty", "refused"])
def test_a_send_that_wrote_nothing_counts_as_having_sent(
    lguest: LguestLan, sections: Sections
) -> None:
    network, tap = open_network(lguest)
    device = network.device
    send_list(device, device.peer_key(0), sections)
    device.close()
    tap.feed(frame_for(network))
    same("the network reads a frame of its TAP", network.input(), False)
    same("warnings of the Launchers", warnings(lguest), ["network: no dma buffer!"])


@rule("HST-2")
@pytest.mark.parametrize("length", range(14))
def test_a_short_list_is_refused_by_the_tap_and_an_empty_one_is_not(
    lguest: LguestLan, length: int
) -> None:
    network, tap = open_network(lguest)
    device = network.device
    sections = [(ROOM, length)] if length else []
    same(
        "used_len, SEND_DMA of the device",
        send_list(device, device.peer_key(0), sections),
        LAST if length else 0,
    )
    same("frames written to the TAP", tap.written, [])
    must_work(lguest, network, tap)


# HST-3: which buffer


@rule("HST-3")
@pytest.mark.parametrize("has_sent", [False, True])
def test_an_array_of_no_buffers_is_no_buffer(lguest: LguestLan, has_sent: bool) -> None:
    network, tap = hand_made(lguest, [])
    guest = network.device.guest
    network.guest_has_sent = has_sent
    guest.memory.write(ARRAY - PAGE, PATTERN * 2 * PAGE)
    before = snapshot(guest)
    for count in range(1, 4):
        tap.feed(frame_for(network, stamp=count))
        same("the network reads a frame of its TAP", network.input(), False)
        same("a frame waits in the TAP", tap.waiting(), False)
        same(
            "warnings of the Launchers",
            warnings(lguest),
            ["network: no dma buffer!"] * (count * has_sent),
        )
    same("addresses of bytes that changed", changed(before, snapshot(guest)), set())
    same("pending interrupts of the guest", guest.pending, 0)
    same("cause of death of the guest", guest.dead, None)


@rule("HST-3")
@pytest.mark.parametrize("count", [1, 2, 8, 9])
def test_the_newest_array_of_the_guest_is_searched_alone(lguest: LguestLan, count: int) -> None:
    network, tap = open_network(lguest)
    device = network.device
    lists: list[Sections] = [[(ROOM + n * PAGE, 1514)] for n in range(count)]
    same("BIND_DMA by the network succeeds", bind_array(network, ARRAY, lists, 17), True)
    for n in range(count):
        tap.feed(frame_for(network, 60 + n, n))
        same("the network reads a frame of its TAP", network.input(), True)
        same("pending interrupts of the Guest", device.guest.pending, 1 << 17)
        same(
            "used_len of a structure of the array",
            number(device.guest.memory, ARRAY + n * dma.SIZE),
            60 + n,
        )
        room = device.guest.memory.read(ROOM + n * PAGE, 60 + n)
        same("room", room, frame_for(network, 60 + n, n))
    # It is full, and the older one, all free, is no help.
    tap.feed(frame_for(network, 99))
    overwrites = lguest.host.defects.overwrites_full_ring
    same("the network reads a frame of its TAP", network.input(), overwrites)
    differ("a frame waits in the TAP", tap.waiting(), overwrites)
    same(
        "used_len of a buffer",
        [number(device.guest.memory, device.ring + n * dma.SIZE) for n in range(8)],
        [0] * 8,
    )
    same("BIND_DMA by the Guest succeeds", device.guest.bind_dma(device.key, ARRAY, count, 0), True)
    device.guest.pending = 0
    tap.feed(frame_for(network, 100))
    same("the network reads a frame of its TAP", network.input(), True)
    same(
        "used_len of a buffer", number(device.guest.memory, device.ring), 100 if overwrites else 99
    )
    same("pending interrupts of the Guest", device.guest.pending, 1 << device.interrupt)


@rule("HST-3")
def test_an_empty_array_bound_last_hides_the_older_one(lguest: LguestLan) -> None:
    network, tap = open_network(lguest)
    device = network.device
    same("BIND_DMA by the Guest succeeds", device.guest.bind_dma(device.key, ARRAY, 0, 9), True)
    tap.feed(frame_for(network))
    same("the network reads a frame of its TAP", network.input(), False)
    same("a frame waits in the TAP", tap.waiting(), False)
    same("pending interrupts of the Guest", device.guest.pending, 0)
    same("BIND_DMA by the Guest succeeds", device.guest.bind_dma(device.key, ARRAY, 0, 0), True)
    must_work(lguest, network, tap)


@rule("HST-3")
@pytest.mark.parametrize("elsewhere", ["other key", "key of slot 0", "shared network"])
def test_an_array_bound_elsewhere_is_not_used(lguest: LguestLan, elsewhere: str) -> None:
    tap = MemoryTap()
    network = lguest.host_network(50, tap)
    guest = network.device.guest
    second = lguest.second_device(guest, 40)
    key = {
        "other key": network.device.peer_key(2),
        "key of slot 0": network.device.peer_key(0),
        "shared network": second.key,
    }[elsewhere]
    guest.memory.write(ARRAY, bytes(4) + dma.pack([(ROOM, 1514)]))
    same("BIND_DMA by the guest succeeds", guest.bind_dma(key, ARRAY, 1, 9), True)
    before = snapshot(guest)
    tap.feed(frame_for(network))
    same("the network reads a frame of its TAP", network.input(), False)
    same("a frame waits in the TAP", tap.waiting(), False)
    same("addresses of bytes that changed", changed(before, snapshot(guest)), set())
    same("pending interrupts of the guest", guest.pending, 0)
    same("result of opening the network's device", network.device.open(), 0)
    must_work(lguest, network, tap)


@rule("HST-3")
def test_a_device_that_was_bound_is_found_after_another_was_mapped(lguest: LguestLan) -> None:
    network, tap = open_network(lguest)
    other_tap = MemoryTap()
    other = network.launcher.join_host(other_tap)
    lguest.devices.append(other.device)
    same("result of opening the other", other.device.open(), 0)
    must_work(lguest, network, tap)
    must_work(lguest, other, other_tap)
    shared = lguest.second_device(network.device.guest, 40)
    same("result of opening the shared", shared.open(), 0)
    must_work(lguest, network, tap)
    must_work(lguest, other, other_tap)
    network.device.close()
    must_work(lguest, other, other_tap)
    same("result of opening the network's device", network.device.open(), 0)
    must_work(lguest, network, tap)


# HST-3 (1): an array that leaves memory


@rule("HST-3")
@pytest.mark.parametrize("used", [0, 1, 3])
@pytest.mark.parametrize("beyond", [1, 50, 96, 99])
def test_a_structure_outside_kills_the_guest_and_ends_its_launcher(
    lguest: LguestLan, used: int, beyond: int
) -> None:
    """The search gets to it once the buffers before it are full."""
    tap = MemoryTap()
    network = lguest.host_network(50, tap)
    guest = network.device.guest
    array = TOP - (used + 1) * dma.SIZE + beyond
    for index in range(used):
        structure = bytes(4) + dma.pack([(ROOM, 1514)])
        guest.memory.write(array + index * dma.SIZE, structure)
    same(
        "BIND_DMA by the guest succeeds",
        guest.bind_dma(network.device.key, array, used + 1, 9),
        True,
    )
    for n in range(used):
        tap.feed(frame_for(network, 60 + n))
        same("the network reads a frame of its TAP", network.input(), True)
    guest.pending = 0
    before, page = snapshot(guest), network.device.pages.store[:]
    tap.feed(frame_for(network))
    same("the network reads a frame of its TAP", network.input(), False)
    at = array + used * dma.SIZE
    same("how the Guest ended", ended(lguest, network), f"bad read address {at:#x} len {dma.SIZE}")
    same("a frame waits in the TAP", tap.waiting(), True)
    same("addresses of bytes that changed", changed(before, snapshot(guest)), set())
    same("shared page", network.device.pages.store[:], page)
    same("pending interrupts of the guest", guest.pending, 0)
    same("the network reads a frame of its TAP", network.input(), False)
    same("a frame waits in the TAP", tap.waiting(), True)
    others_go_on(lguest)


@rule("HST-3")
@pytest.mark.parametrize("array", [TOP, TOP + PAGE, 1 << 31, LAST - 99, LAST - 3])
@pytest.mark.parametrize("count", [1, 8, 65535])
def test_an_array_outside_kills_the_guest_and_ends_its_launcher(
    lguest: LguestLan, array: int, count: int
) -> None:
    tap = MemoryTap()
    network = lguest.host_network(50, tap)
    same(
        "BIND_DMA by the network's Guest succeeds",
        network.device.guest.bind_dma(network.device.key, array, count, 9),
        True,
    )
    tap.feed(frame_for(network))
    same("the network reads a frame of its TAP", network.input(), False)
    same(
        "how the Guest ended", ended(lguest, network), f"bad read address {array:#x} len {dma.SIZE}"
    )
    same("a frame waits in the TAP", tap.waiting(), True)
    others_go_on(lguest)


@rule("HST-3")
def test_a_structure_up_to_the_top_ends_the_launcher(lguest: LguestLan) -> None:
    """As shipped the Host refuses it (DEF-9); repaired the Launcher does."""
    tap = MemoryTap()
    network = lguest.host_network(50, tap)
    guest = network.device.guest
    at = TOP - dma.SIZE
    guest.memory.write(at, bytes(4) + dma.pack([(ROOM, 60)]))
    same("BIND_DMA by the guest succeeds", guest.bind_dma(network.device.key, at, 1, 9), True)
    tap.feed(frame_for(network))
    same("the network reads a frame of its TAP", network.input(), False)
    shipped = lguest.host.defects.refuses_end_of_memory
    host, launcher = f"bad read address {at:#x} len 100", f"invalid address {at:#x}"
    same(
        "how the Guest ended",
        ended(lguest, network),
        host if shipped else f"its Launcher ended: {launcher}",
    )
    same("a frame waits in the TAP", tap.waiting(), True)
    same("pending interrupts of the guest", guest.pending, 0)
    others_go_on(lguest)


@rule("HST-3")
@pytest.mark.parametrize("array", [TOP - 101, DESCRIPTORS - 50, TOP - PAGE - 50, ARRAY + 1])
def test_an_array_may_lie_anywhere_below_the_top(lguest: LguestLan, array: int) -> None:
    tap = MemoryTap()
    network = lguest.host_network(50, tap)
    guest = network.device.guest
    guest.memory.write(array, bytes(4) + dma.pack([(ROOM, 1514)]))
    same("BIND_DMA by the guest succeeds", guest.bind_dma(network.device.key, array, 1, 31), True)
    frame = frame_for(network)
    tap.feed(frame)
    same("the network reads a frame of its TAP", network.input(), True)
    same("memory of the guest at ROOM", guest.memory.read(ROOM, 60), frame)
    same("used_len of a structure of the array", number(guest.memory, array), 60)
    same("pending interrupts of the guest", guest.pending, 1 << 31)


# HST-3 (2): a bad list


@rule("HST-3")
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("before", [0, 1, 15])
def test_a_bad_receive_list_ends_the_launcher_with_the_frame_in_the_tap(
    lguest: LguestLan, bad: tuple[int, int], before: int
) -> None:
    good: list[tuple[int, int]] = [(ROOM + n * PAGE, 20) for n in range(before)]
    network, tap = hand_made(lguest, [[*good, bad]])
    guest = network.device.guest
    guest.memory.write(ROOM, PATTERN * 16 * PAGE)
    page = network.device.pages.store[:]
    memory = snapshot(guest)
    frames = frames_for(network, 2)
    for frame in frames:
        tap.feed(frame)
    same("the network reads a frame of its TAP", network.input(), False)
    same(
        "how the Guest ended",
        ended(lguest, network),
        f"its Launcher ended: invalid address {bad[0]:#x}",
    )
    same("addresses of bytes that changed", changed(memory, snapshot(guest)), {ARRAY})
    same("used_len of a structure of the array", number(guest.memory, ARRAY), 9)
    same("shared page", network.device.pages.store[:], page)
    same("pending interrupts of the guest", guest.pending, 0)
    same("the network reads a frame of its TAP", network.input(), False)
    same("frame read from the TAP", [tap.read() for _ in range(2) if tap.waiting()], frames)
    others_go_on(lguest)


@rule("HST-3")
def test_only_the_list_of_the_buffer_in_use_is_converted(lguest: LguestLan) -> None:
    lists: list[Sections] = [[(ROOM, 1514)], [(TOP, 60)], [(ROOM + PAGE, 1514)]]
    network, tap = hand_made(lguest, lists)
    guest = network.device.guest
    for n in range(3):
        tap.feed(frame_for(network, 60 + n))
        same("the network reads a frame of its TAP", network.input(), True)
        guest.memory.write(ARRAY, bytes(4))
    same("memory of the guest at ROOM", guest.memory.read(ROOM, 62), frame_for(network, 62))
    tap.feed(frame_for(network, 70))
    same("the network reads a frame of its TAP", network.input(), True)
    tap.feed(frame_for(network, 71))
    same("the network reads a frame of its TAP", network.input(), False)
    same(
        "how the Guest ended",
        ended(lguest, network),
        f"its Launcher ended: invalid address {TOP:#x}",
    )


# HST-3 (3): reading into the sections


@rule("HST-3")
@pytest.mark.parametrize("section", GOOD)
@pytest.mark.parametrize("size", [60, LONGEST])
def test_a_frame_is_read_into_any_section_below_the_top(
    lguest: LguestLan, section: tuple[int, int], size: int
) -> None:
    network, tap = hand_made(lguest, [[section]])
    guest = network.device.guest
    address, length = section
    guest.memory.write(address, PATTERN * length)
    frame = frame_for(network, size)
    tap.feed(frame)
    same("the network reads a frame of its TAP", network.input(), True)
    moved = min(size, length)
    same(
        "memory of the guest at address",
        guest.memory.read(address, length),
        frame[:moved] + PATTERN * (length - moved),
    )
    same("used_len of a structure of the array", number(guest.memory, ARRAY), moved)
    same("pending interrupts of the guest", guest.pending, 1 << 9)
    same("cause of death of the guest", guest.dead, None)


@rule("HST-3")
@pytest.mark.parametrize("lengths", [(14, 46), (1, 2, 3), (1,) * 16, (1000, 1000), (60, 60)])
def test_a_frame_is_scattered_over_the_sections_in_order(
    lguest: LguestLan, lengths: tuple[int, ...]
) -> None:
    pages = range(len(lengths) - 1, -1, -1)
    sections = [
        (ROOM + page * PAGE + PAGE - length, length)
        for page, length in zip(pages, lengths, strict=True)
    ]
    network, tap = hand_made(lguest, [sections])
    memory = network.device.guest.memory
    memory.write(ROOM, PATTERN * 17 * PAGE)
    frame = frame_for(network, 100)
    tap.feed(frame)
    same("the network reads a frame of its TAP", network.input(), True)
    held = b"".join(memory.read(*section) for section in sections)
    moved = min(100, sum(lengths))
    same("bytes held", held, frame[:moved] + PATTERN * (sum(lengths) - moved))
    same("used_len of a structure of the array", number(memory, ARRAY), moved)


@rule("HST-3")
@pytest.mark.parametrize("behind", [[], [(ROOM, 60)]], ids=["empty", "ends at once"])
def test_an_empty_receive_list_ends_the_launcher_with_the_frame_in_the_tap(
    lguest: LguestLan, behind: Sections
) -> None:
    network, tap = hand_made(lguest, [[(ROOM, 0), *behind] if behind else []])
    guest = network.device.guest
    frame = frame_for(network)
    tap.feed(frame)
    memory = snapshot(guest)
    same("the network reads a frame of its TAP", network.input(), False)
    same("how the Guest ended", ended(lguest, network), "its Launcher ended: reading network")
    same("addresses of bytes that changed", changed(memory, snapshot(guest)), {ARRAY})
    same("pending interrupts of the guest", guest.pending, 0)
    same("frame read from the TAP", [tap.read() for _ in range(2) if tap.waiting()], [frame])
    others_go_on(lguest)


# HST-3 (4): used_len and the interrupt


@rule("HST-3")
@pytest.mark.parametrize("interrupt", [1, 2, 30, 31])
def test_the_interrupt_is_the_one_that_the_array_was_bound_with(
    lguest: LguestLan, interrupt: int
) -> None:
    network, tap = hand_made(lguest, [[(ROOM, 1514)]] * 2, interrupt)
    guest = network.device.guest
    guest.pending = 1 << 5
    tap.feed(frame_for(network))
    same("the network reads a frame of its TAP", network.input(), True)
    same("pending interrupts of the guest", guest.pending, 1 << 5 | 1 << interrupt)
    same(
        "used_len of a structure of the array",
        [number(guest.memory, ARRAY + n * dma.SIZE) for n in range(2)],
        [60, 0],
    )


@rule("HST-3")
def test_a_list_that_covers_its_own_structure_gets_the_length_last(lguest: LguestLan) -> None:
    network, tap = hand_made(lguest, [[(ARRAY, 60)]])
    memory = network.device.guest.memory
    frame = ethernet(UNKNOWN, HOST)
    tap.feed(frame)
    same("the network reads a frame of its TAP", network.input(), True)
    same("memory at ARRAY", memory.read(ARRAY, 60), (60).to_bytes(4, "little") + frame[4:])
