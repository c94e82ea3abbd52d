"""C. Packing a frame into sections (D:570), and the Megapacket."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.comparing import raises, same
from harness.frames import GROUPS, LARGEST, LONGEST, PAGE, ethernet, fragmented, pages_of
from harness.lan import FrameRefused, Layout
from harness.lans.lguest import LguestLan
from harness.lguest import dma
from harness.lguest.driver import BUFFER_BYTES, MEGAPACKET, NUM_SKBS, NetDevice
from harness.lguest.events import Message, Point
from harness.lguest.memory import Owner
from harness.plugin.marks import rule

from .kit.steps import same_frames


def sent_list(
    lguest: LguestLan, sender: NetDevice, frame: bytes, layout: Layout
) -> list[tuple[int, int]]:
    """(offset in a page, length) of each section of the one list that the Host was given."""
    lists: list[list[tuple[int, int]]] = []

    def look(point: Point, guest: Owner) -> None:
        if point is Point.COPIED and guest is sender.guest:
            address = sender.sending
            listed = guest.memory.read(address + 4, dma.SIZE - 4)
            lists.append([(part.address % PAGE, part.length) for part in dma.unpack(listed)])

    lguest.host.interleave = look
    try:
        sender.transmit(frame, layout.linear, layout.offset, layout.fragments)
    finally:
        lguest.host.interleave = None
    same("number of lists", len(lists), 1)
    return lists[0]


def messages(lguest: LguestLan) -> list[tuple[int, str]]:
    return [(event.guest, event.text) for event in lguest.host.events if isinstance(event, Message)]


# SEC-1: cut at pages, then the fragments


@rule("SEC-1")
@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, 60, [(0, 60)]),
        (16, 1514, [(16, 1514)]),
        (0, 4096, [(0, 4096)]),
        (0, 4097, [(0, 4096), (0, 1)]),
        (4036, 60, [(4036, 60)]),
        (4037, 60, [(4037, 59), (0, 1)]),
        (4095, 60, [(4095, 1), (0, 59)]),
        (4095, 1514, [(4095, 1), (0, 1513)]),
        (2582, 1514, [(2582, 1514)]),
        (2583, 1514, [(2583, 1513), (0, 1)]),
        (4095, 8193, [(4095, 1), (0, 4096), (0, 4096)]),
        (4095, 8194, [(4095, 1), (0, 4096), (0, 4096), (0, 1)]),
    ],
)
def test_the_linear_part_is_cut_at_page_boundaries(
    lguest: LguestLan, offset: int, length: int, expected: list[tuple[int, int]]
) -> None:
    sender, owner = lguest.open_devices(2)
    frame = ethernet(owner.address, sender.address, size=length)
    same(
        "sections of the list sent",
        sent_list(lguest, sender, frame, Layout(offset=offset)),
        expected,
    )
    lguest.settle()
    same_frames(lguest, owner, [frame[:LONGEST]])
    same_frames(lguest, sender, [])


@rule("SEC-1")
@pytest.mark.parametrize("offset", [0, 4090])
def test_fragments_follow_in_order_one_section_each(lguest: LguestLan, offset: int) -> None:
    sender, owner = lguest.open_devices(2)
    sizes = ((10, 0), (1, 4095), (200, 3896), (7, 2000), (4, 1))
    layout = Layout(14, offset, sizes)
    frame = ethernet(owner.address, sender.address, size=14 + sum(size for size, _ in sizes))
    linear = [(0, 14)] if offset == 0 else [(4090, 6), (0, 8)]
    fragments = [(start, size) for size, start in sizes]
    same("sections of the list sent", sent_list(lguest, sender, frame, layout), linear + fragments)
    lguest.settle()
    same_frames(lguest, owner, [frame])


@rule("SEC-1")
def test_fragments_that_touch_are_sections_of_their_own(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    frame = ethernet(owner.address, sender.address, size=14 + 10 + 20 + 30)
    layout = Layout(14, PAGE - 14, ((10, PAGE - 10), (20, 0), (30, 20)))
    expected = [(PAGE - 14, 14), (PAGE - 10, 10), (0, 20), (20, 30)]
    same("sections of the list sent", sent_list(lguest, sender, frame, layout), expected)
    lguest.settle()
    same_frames(lguest, owner, [frame])


@rule("SEC-1")
@pytest.mark.parametrize("offset", [0, 1, 2582, 2583, 4082, 4083, 4095])
@pytest.mark.parametrize("length", [14, 60, 1514, 4096, 9014])
def test_no_section_crosses_a_page(lguest: LguestLan, offset: int, length: int) -> None:
    sender, owner = lguest.open_devices(2)
    frame = ethernet(owner.address, sender.address, size=length)
    listed = sent_list(lguest, sender, frame, Layout(offset=offset))
    same("sections that cross a page", [part for part in listed if sum(part) > PAGE], [])
    same("sum of size", sum(size for _, size in listed), length)
    same("cause of death of the owner", owner.guest.dead, None)
    same("cause of death of the sender", sender.guest.dead, None)


@rule("SEC-1")
@pytest.mark.parametrize("fragment", [(0, 0), (46, 4051), (46, 4096), (46, -1)])
def test_a_fragment_must_lie_in_one_page(lguest: LguestLan, fragment: tuple[int, int]) -> None:
    sender, owner = lguest.ports(2)
    frame = ethernet(owner, sender, size=14 + fragment[0])
    with raises("the error", FrameRefused, "does not lie in one page"):
        sender.send(frame, Layout(14, 0, (fragment,)))
    lguest.settle()
    same("frames that arrived at the owner", owner.arrivals(), [])
    sender.send(ethernet(owner, sender, size=60), Layout(14, 0, ((46, 4050),)))
    lguest.settle()
    same("number of frames that arrived at the owner", len(owner.arrivals()), 1)


# SEC-2: the end of the list


def sent_lengths(sender: NetDevice) -> list[int]:
    """The sixteen lengths of the list that was sent last, as they lie in memory."""
    memory = sender.guest.memory
    lengths = memory.read(sender.sending + 68, 32)
    return [int.from_bytes(lengths[at : at + 2], "little") for at in range(0, 32, 2)]


@rule("SEC-2")
@pytest.mark.parametrize("count", range(1, 17))
def test_a_list_ends_in_a_zero_length_unless_it_is_full(lguest: LguestLan, count: int) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    frame = ethernet(owner.address, sender.address, size=14 + 30 * (count - 1))
    # A full list first, so that an end that is not written would leave a long one.
    full = ethernet(owner.address, sender.address, size=1000)
    layout = fragmented(1000, 14, 15)
    sender.transmit(full, layout.linear, layout.offset, layout.fragments)
    layout = fragmented(len(frame), 14, count - 1) if count > 1 else Layout()
    sender.transmit(frame, layout.linear, layout.offset, layout.fragments)
    lengths = sent_lengths(sender)
    same("empty sections before the last", lengths[:count].count(0), 0)
    same("length after the last section", sum(lengths[count : count + 1]), 0)
    lguest.settle()
    same_frames(lguest, owner, [full, frame])
    same_frames(lguest, bystander, [])
    same("kernel messages", messages(lguest), [])
    same("tx_packets of the sender", sender.counters.tx_packets, 2)


@rule("SEC-2")
@pytest.mark.parametrize("length", [15 * PAGE + 1, 16 * PAGE - 1])
def test_sixteen_linear_sections_are_all_sent(lguest: LguestLan, length: int) -> None:
    sender, owner = lguest.open_devices(2)
    frame = ethernet(owner.address, sender.address, size=length)
    listed = sent_list(lguest, sender, frame, Layout())
    same("number of listed", len(listed), 16)
    same("sum of size", sum(size for _, size in listed), length)
    same("kernel messages", messages(lguest), [])


# SEC-3: Megapacket


@rule("SEC-3")
@pytest.mark.parametrize("fragments", [14, 15, 16, 17, 20])
@pytest.mark.parametrize("linear", [14, 100])
def test_what_is_behind_the_sixteenth_section_is_left_out(
    lguest: LguestLan, fragments: int, linear: int
) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    frame = ethernet(owner.address, sender.address, size=linear + 40 * fragments)
    layout = fragmented(len(frame), linear, fragments)
    same(
        "result of a transmit by the sender",
        sender.transmit(frame, layout.linear, layout.offset, layout.fragments),
        0,
    )
    lguest.settle()
    whole = fragments <= 15
    same_frames(lguest, owner, [frame if whole else frame[: linear + 15 * 40]])
    same_frames(lguest, bystander, [])
    same_frames(lguest, sender, [])
    same("kernel messages", messages(lguest), [] if whole else [(sender.guest.id, MEGAPACKET)])
    same("tx_packets of the sender", sender.counters.tx_packets, int(whole))
    same("tx_bytes of the sender", sender.counters.tx_bytes, whole * len(frame))
    same("tx_carrier_errors of the sender", sender.counters.tx_carrier_errors, int(not whole))
    same("rx_packets of the owner", owner.counters.rx_packets, 1)


@rule("SEC-3")
@pytest.mark.parametrize(
    ("linear", "offset", "fragments"),
    [
        (14, 4090, 14),
        (14, 4090, 15),
        (5000, 0, 14),
        (5000, 0, 15),
        (9000, 4000, 12),
        (9000, 4000, 13),
        (9000, 4000, 14),
    ],
)
def test_sections_of_the_linear_part_count_too(
    lguest: LguestLan, linear: int, offset: int, fragments: int
) -> None:
    sender, owner = lguest.open_devices(2)
    frame = ethernet(owner.address, sender.address, size=linear + 10 * fragments)
    layout = fragmented(len(frame), linear, fragments, offset)
    listed = sent_list(lguest, sender, frame, layout)
    before = len(dma.linear_sections(offset, linear))
    same("number of listed", len(listed), min(16, before + fragments))
    same("sum of size", sum(size for _, size in listed), linear + 10 * min(fragments, 16 - before))
    megapacket = before + fragments > 16
    same("kernel messages", messages(lguest), [(sender.guest.id, MEGAPACKET)] * megapacket)


@rule("SEC-3")
def test_the_message_is_logged_once_for_each_receiver(lguest: LguestLan) -> None:
    sender, *others = lguest.open_devices(5)
    frame = ethernet(GROUPS["broadcast"], sender.address, size=14 + 16 * 10)
    layout = fragmented(len(frame), 14, 16)
    sender.transmit(frame, layout.linear, layout.offset, layout.fragments)
    lguest.settle()
    same("kernel messages", messages(lguest), [(sender.guest.id, MEGAPACKET)] * 4)
    same("tx_carrier_errors of the sender", sender.counters.tx_carrier_errors, 4)
    same("tx_packets of the sender", sender.counters.tx_packets, 0)
    for device in others:
        same_frames(lguest, device, [frame[:-10]])


@rule("SEC-3")
def test_a_megapacket_that_nobody_wants_is_not_worth_a_message(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    layout = fragmented(174, 14, 16)
    unknown = bytes.fromhex("02001234abcd")
    sender.transmit(ethernet(unknown, sender.address, size=174), 14, 0, layout.fragments)
    lguest.settle()
    same("kernel messages", messages(lguest), [])
    same_frames(lguest, owner, [])
    sender.transmit(ethernet(owner.address, sender.address, size=174), 14, 0, layout.fragments)
    lguest.settle()
    same("kernel messages", messages(lguest), [(sender.guest.id, MEGAPACKET)])


@rule("SEC-3", "LEN-3")
@pytest.mark.parametrize("length", [1515, 1516, 2048, 4096, 9014, 61454, 61455, 65534, LARGEST])
def test_oversized_frames_in_whole_page_fragments(lguest: LguestLan, length: int) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    frame = ethernet(owner.address, sender.address, size=length)
    layout = pages_of(length, 14)
    sender.transmit(frame, layout.linear, layout.offset, layout.fragments)
    lguest.settle()
    same_frames(lguest, owner, [frame[:LONGEST]])
    same_frames(lguest, bystander, [])
    same("tx_carrier_errors of the sender", sender.counters.tx_carrier_errors, 1)
    same(
        "kernel messages",
        messages(lguest),
        [(sender.guest.id, MEGAPACKET)] * (length > 14 + 15 * PAGE),
    )


# SEC-4: too many linear sections


@rule("SEC-4")
@pytest.mark.parametrize(
    ("offset", "length"), [(0, 16 * PAGE - 1), (1, 16 * PAGE - 1), (4095, 15 * PAGE + 1)]
)
def test_sixteen_linear_sections_fit(lguest: LguestLan, offset: int, length: int) -> None:
    sender, owner = lguest.open_devices(2)
    frame = ethernet(owner.address, sender.address, size=length)
    listed = sent_list(lguest, sender, frame, Layout(offset=offset))
    same("number of listed", len(listed), 16)
    lguest.settle()
    same_frames(lguest, owner, [frame[:LONGEST]])


@rule("SEC-4")
@pytest.mark.parametrize(
    ("offset", "length"), [(2, 16 * PAGE - 1), (4095, 15 * PAGE + 2), (4095, LARGEST)]
)
def test_seventeen_linear_sections_are_refused(lguest: LguestLan, offset: int, length: int) -> None:
    sender, owner = lguest.ports(2)
    ring = sender.device.guest.memory.read(sender.device.ring, NUM_SKBS * dma.SIZE + dma.SIZE)
    frame = ethernet(owner, sender, size=length)
    with raises("the error", FrameRefused, "takes 17 sections, and would overrun the 16"):
        sender.send(frame, Layout(offset=offset))
    lguest.settle()
    same("frames that arrived at the owner", owner.arrivals(), [])
    same(
        "memory of the sender at sender.device.ring",
        sender.device.guest.memory.read(sender.device.ring, len(ring)),
        ring,
    )
    same("tx_packets of the sender", sender.device.counters.tx_packets, 0)
    same("tx_carrier_errors of the sender", sender.device.counters.tx_carrier_errors, 0)
    sender.send(frame[:60])
    lguest.settle()
    same("frames that arrived", [arrival.frame for arrival in owner.arrivals()], [frame[:60]])


@rule("SEC-4")
def test_the_refusal_speaks_of_the_defect_on_the_original_alone(lguest: LguestLan) -> None:
    sender, owner = lguest.ports(2)
    with raises("the error", FrameRefused) as refusal:
        sender.send(ethernet(owner, sender, size=LARGEST), Layout(offset=4095))
    same(
        "the message names DEF-4",
        "DEF-4" in refusal.message,
        lguest.host.defects.overruns_section_list,
    )


# SEC-5: receive buffers


def buffer_lists(device: NetDevice) -> list[Sequence[dma.Section]]:
    memory = device.guest.memory
    ring = [memory.read(device.ring + n * dma.SIZE, dma.SIZE) for n in range(NUM_SKBS)]
    same("used_len words", [structure[:4] for structure in ring], [bytes(4)] * len(ring))
    return [dma.unpack(structure[4:]) for structure in ring]


@rule("SEC-5")
@pytest.mark.parametrize("rx_offset", [0, 16, 2581, 2582])
def test_a_receive_buffer_within_a_page_is_one_section(lguest: LguestLan, rx_offset: int) -> None:
    (device,) = lguest.open_devices(1, rx_offset=rx_offset)
    listed = buffer_lists(device)
    same(
        "sections",
        [[(part.address % PAGE, part.length) for part in sections] for sections in listed],
        [[(rx_offset, BUFFER_BYTES)]] * NUM_SKBS,
    )
    same(
        "number of different addresses of first sections",
        len({one[0].address for one in listed}),
        NUM_SKBS,
    )


@rule("SEC-5")
@pytest.mark.parametrize("rx_offset", [2583, 3000, 4082, 4095])
def test_a_receive_buffer_across_a_page_is_two_sections(lguest: LguestLan, rx_offset: int) -> None:
    (device,) = lguest.open_devices(1, rx_offset=rx_offset)
    first = PAGE - rx_offset
    for one in buffer_lists(device):
        same(
            "sections",
            [(part.address % PAGE, part.length) for part in one],
            [
                (rx_offset, first),
                (0, BUFFER_BYTES - first),
            ],
        )
        same("address of the section", one[0].address + first, one[1].address)
