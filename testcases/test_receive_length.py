"""LEN. Which lengths a receiver accepts (D:560)."""

from __future__ import annotations

import pytest

from harness.comparing import same
from harness.delivery import Delivery
from harness.exchange import Testbench
from harness.frames import GROUPS, LARGEST, LONGEST, ethernet, pages_of, payload
from harness.lan import Layout
from harness.lans.lguest import LguestLan
from harness.lguest import dma
from harness.lguest.events import Dropped, Fault, Killed, Message
from harness.plugin.marks import rule

from .kit.steps import same_frames, send_bytes_to_slot


@rule("LEN-1")
@pytest.mark.parametrize("size", [14, 15, 16, 59, 60, 61, 1000, 1513, LONGEST])
def test_lengths_from_a_header_to_a_full_frame_are_handed_up(lan: Testbench, size: int) -> None:
    sender, owner = lan.pair()
    frame = ethernet(owner, sender, size=size)
    assert lan.exchange(sender, frame) == {owner: [frame]}


def padded(lan: Testbench, runt: bytes, delivery: Delivery) -> list[bytes]:
    """What arrives of a runt: nothing, or a whole frame if the LAN pads before it delivers."""
    frame = runt.ljust(60, b"\0")
    pads = lan.traits.padding != 0 and any(
        frame in arrived for arrived in delivery.received.values()
    )
    return [frame] if pads else []


@rule("LEN-1")
@pytest.mark.parametrize("size", range(6, 14))
def test_a_runt_is_dropped_and_what_follows_is_not(lan: Testbench, size: int) -> None:
    sender, owner = lan.pair()
    lan.require(size >= lan.traits.shortest, f"takes no frame under {lan.traits.shortest} bytes")
    runt = ethernet(owner, sender, size=size)
    frame = ethernet(owner, sender, stamp=1)
    delivery = lan.exchange(sender, runt, frame)
    assert delivery == {owner: [*padded(lan, runt, delivery), frame]}


@rule("LEN-1")
@pytest.mark.parametrize("size", range(6, 14))
def test_a_group_runt_is_dropped_by_everybody(lan: Testbench, size: int) -> None:
    sender, *others = lan.some_ports(3)
    lan.require(size >= lan.traits.shortest, f"takes no frame under {lan.traits.shortest} bytes")
    runt = ethernet(GROUPS["broadcast"], sender, size=size)
    frame = ethernet(GROUPS["broadcast"], sender, stamp=1)
    delivery = lan.exchange(sender, runt, frame)
    assert delivery == {port: [*padded(lan, runt, delivery), frame] for port in others}


@rule("LEN-1")
@pytest.mark.parametrize("size", range(1, 14))
def test_a_runt_moves_no_counter_and_its_buffer_comes_back(lguest: LguestLan, size: int) -> None:
    sender, owner = lguest.open_devices(2)
    for turn in range(20):
        data = payload(size, turn)
        same(
            "used_len, SEND_DMA of the sender",
            send_bytes_to_slot(sender, owner.slot, data),
            size,
        )
        same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
        dropped = [event for event in lguest.host.events if isinstance(event, Dropped)]
        same("frames dropped", [event.frame for event in dropped][turn:], [data])
    same("rx_packets of the owner", owner.counters.rx_packets, 0)
    same("rx_bytes of the owner", owner.counters.rx_bytes, 0)
    same("tx_packets of the sender", sender.counters.tx_packets, 0)
    same_frames(lguest, owner, [])
    frames = [ethernet(owner.address, sender.address, stamp=n) for n in range(8)]
    for frame in frames:
        sender.transmit(frame)
    same("tx_packets of the sender", sender.counters.tx_packets, 8)
    lguest.settle()
    same("frames passed up by the owner, sorted", sorted(lguest.received(owner)), sorted(frames))


@rule("LEN-1")
@pytest.mark.parametrize("size", [1, 6, 13])
def test_a_runt_is_dropped_in_silence(lguest: LguestLan, size: int) -> None:
    sender, owner = lguest.open_devices(2)
    send_bytes_to_slot(sender, owner.slot, payload(size))
    lguest.settle()
    bad = [event for event in lguest.host.events if isinstance(event, Message | Fault | Killed)]
    same("messages, faults and deaths", bad, [])
    control = ethernet(owner.address, sender.address)
    sender.transmit(control)
    lguest.settle()
    same_frames(lguest, owner, [control])


@rule("LEN-1")
def test_runts_among_whole_frames_take_none_of_them_along(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    frames = []
    for n, size in enumerate((60, 13, 14, 1, 1514, 6, 60, 12)):
        data = ethernet(owner.address, sender.address, size=size, stamp=n)
        same(
            "used_len, SEND_DMA of the sender",
            send_bytes_to_slot(sender, owner.slot, data),
            size,
        )
        frames.append(data)
    lguest.settle()
    same_frames(lguest, owner, [frame for frame in frames if len(frame) >= 14])
    same("rx_packets of the owner", owner.counters.rx_packets, 4)


@rule("LEN-1")
@pytest.mark.parametrize("size", [1515, 1516, 3000, 4096])
def test_more_than_the_buffer_said_it_holds_is_dropped(lguest: LguestLan, size: int) -> None:
    """The driver's buffers are never that long; its list is overwritten with a longer one."""
    sender, owner = lguest.open_devices(2)
    memory = owner.guest.memory
    scratch = 100 * dma.PAGE_SIZE
    memory.write(owner.ring + 4, dma.pack([(scratch, size)]))
    frame = ethernet(owner.address, sender.address, size=size)
    sender.transmit(frame)
    same("memory at scratch", memory.read(scratch, size), frame)
    lguest.settle()
    same_frames(lguest, owner, [])
    same("rx_packets of the owner", owner.counters.rx_packets, 0)
    same("rx_bytes of the owner", owner.counters.rx_bytes, 0)
    after = ethernet(owner.address, sender.address, size=LONGEST, stamp=1)
    sender.transmit(after)
    lguest.settle()
    same_frames(lguest, owner, [after])


@rule("LEN-1")
@pytest.mark.parametrize("used_len", [13, 1515, 0x10000, 0x80000000, 0xFFFFFFFF])
def test_an_unbelievable_used_len_is_dropped(lguest: LguestLan, used_len: int) -> None:
    sender, owner = lguest.open_devices(2)
    owner.guest.memory.write(owner.ring, used_len.to_bytes(4, "little"))
    same("the owner receives", owner.receive(), True)
    same_frames(lguest, owner, [])
    same("rx_packets of the owner", owner.counters.rx_packets, 0)
    same("memory of the owner at owner.ring", owner.guest.memory.read(owner.ring, 4), bytes(4))
    frame = ethernet(owner.address, sender.address)
    sender.transmit(frame)
    lguest.settle()
    same_frames(lguest, owner, [frame])


@rule("LEN-2")
def test_a_header_alone_is_handed_up(lan: Testbench) -> None:
    sender, owner = lan.pair()
    frame = ethernet(owner, sender, size=14)
    assert lan.exchange(sender, frame) == {owner: [frame]}
    frame = ethernet(GROUPS["broadcast"], sender, size=14)
    assert lan.exchange(sender, frame) == {port: [frame] for port in lan.ports(3)[1:]}


@rule("LEN-2")
def test_a_header_alone_counts_no_bytes(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    sender.transmit(ethernet(owner.address, sender.address, size=14))
    lguest.settle()
    same(
        "rx_packets of the owner and rx_bytes of the owner",
        (owner.counters.rx_packets, owner.counters.rx_bytes),
        (1, 0),
    )
    same(
        "tx_packets of the sender and tx_bytes of the sender",
        (sender.counters.tx_packets, sender.counters.tx_bytes),
        (1, 14),
    )


@rule("LEN-3")
@pytest.mark.parametrize("size", [1515, 1516, 1518, 2048, 4096, 9014, 65534, LARGEST])
@pytest.mark.parametrize("shape", ["linear", "fragmented"])
def test_an_oversized_frame_arrives_cut_and_is_handed_up(
    lguest: LguestLan, size: int, shape: str
) -> None:
    sender, owner, bystander = lguest.open_devices(3)
    frame = ethernet(owner.address, sender.address, size=size)
    layout = Layout() if shape == "linear" else pages_of(size, 14)
    same(
        "result of a transmit by the sender",
        sender.transmit(frame, layout.linear, layout.offset, layout.fragments),
        0,
    )
    lguest.settle()
    same_frames(lguest, owner, [frame[:LONGEST]])
    same_frames(lguest, bystander, [])
    same_frames(lguest, sender, [])
    same("rx_packets of the owner", owner.counters.rx_packets, 1)
    same("rx_bytes of the owner", owner.counters.rx_bytes, LONGEST - 14)
    same(
        "tx_packets of the sender and tx_bytes of the sender",
        (sender.counters.tx_packets, sender.counters.tx_bytes),
        (0, 0),
    )
    same("tx_carrier_errors of the sender", sender.counters.tx_carrier_errors, 1)


@rule("LEN-3")
def test_an_oversized_broadcast_is_cut_for_everybody(lguest: LguestLan) -> None:
    sender, *others = lguest.open_devices(4)
    frame = ethernet(GROUPS["broadcast"], sender.address, size=4000)
    sender.transmit(frame)
    lguest.settle()
    for device in others:
        same_frames(lguest, device, [frame[:LONGEST]])
    same_frames(lguest, sender, [])
    same("tx_carrier_errors of the sender", sender.counters.tx_carrier_errors, 3)
    same("tx_packets of the sender", sender.counters.tx_packets, 0)


@rule("LEN-3")
def test_a_frame_after_an_oversized_one_is_whole(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    large = ethernet(owner.address, sender.address, size=9014, stamp=1)
    small = ethernet(owner.address, sender.address, size=60, stamp=2)
    sender.transmit(large)
    sender.transmit(small)
    lguest.settle()
    same_frames(lguest, owner, [large[:LONGEST], small])
    same("tx_packets of the sender", sender.counters.tx_packets, 1)
    same("tx_carrier_errors of the sender", sender.counters.tx_carrier_errors, 1)
