"""E. Receiving (D:560): the protocol and type of a frame that is passed up."""

from __future__ import annotations

import pytest

from harness.comparing import same
from harness.frames import GROUPS, each_bit_flipped, ethernet, payload
from harness.lans.lguest import LguestLan
from harness.lguest.driver import NUM_SKBS
from harness.lguest.events import Received
from harness.plugin.marks import rule

from .kit.dma import buffer_list, passed_up, send_bytes
from .kit.steps import same_frames

# RCV-3: protocol and packet type


def received_one(lguest: LguestLan, frame: bytes, *, nocsum: bool = True) -> Received:
    """The event of a Guest in slot 1 that passes a frame up."""
    sender, owner = lguest.device(slot=0), lguest.device(slot=1, nocsum=nocsum)
    same("result of opening each device", [device.open() for device in (sender, owner)], [0, 0])
    same(
        "used_len, SEND_DMA of the sender",
        send_bytes(sender.guest, sender.peer_key(owner.slot), frame),
        len(frame),
    )
    lguest.settle()
    (event,) = passed_up(lguest, owner)
    same("frames of the events", event.frame, frame)
    return event


def header(kind: int) -> bytes:
    return bytes.fromhex("020002000000 020001000000") + kind.to_bytes(2, "big")


@rule("RCV-3")
@pytest.mark.parametrize("kind", [0x0600, 0x0601, 0x0800, 0x0806, 0x8100, 0x86DD, 0x88B5, 0xFFFF])
@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff\xff", b"\xff\xff" + bytes(44), b"\xaa\xaa"])
def test_from_0x0600_on_the_two_bytes_are_the_protocol(
    lguest: LguestLan, kind: int, data: bytes
) -> None:
    same("protocol of received one", received_one(lguest, header(kind) + data).protocol, kind)


@rule("RCV-3")
@pytest.mark.parametrize("kind", [0, 1, 4, 0x002E, 0x00FF, 0x0100, 0x05DC, 0x05FE, 0x05FF])
@pytest.mark.parametrize(
    ("data", "protocol"),
    [
        (b"\xff\xff", 1),
        (b"\xff\xff" + bytes(44), 1),
        (b"\xff\xff\x00", 1),
        (b"\xff\xfe" + bytes(44), 4),
        (b"\xfe\xff" + bytes(44), 4),
        (b"\x00\xff\xff" + bytes(43), 4),
        (b"\xff\x00\xff" + bytes(43), 4),
        (b"\x42\x42\x03" + bytes(43), 4),
        (b"\xaa\xaa\x03" + bytes(43), 4),
        (b"\xff", 4),
        (b"", 4),
    ],
)
def test_below_0x0600_the_payload_tells_802_3_from_802_2(
    lguest: LguestLan, kind: int, data: bytes, protocol: int
) -> None:
    same("protocol of received one", received_one(lguest, header(kind) + data).protocol, protocol)


@rule("RCV-3")
@pytest.mark.parametrize("size", [14, 15])
def test_what_an_earlier_frame_left_in_the_buffer_does_not_count(
    lguest: LguestLan, size: int
) -> None:
    sender, owner = lguest.open_devices(2)
    for number in range(NUM_SKBS):
        ((address, length),) = buffer_list(owner, number)
        owner.guest.memory.write(address, b"\xff" * length)
    frame = (header(0x2E) + b"\xff")[:size]
    same(
        "used_len, SEND_DMA of the sender",
        send_bytes(sender.guest, sender.peer_key(owner.slot), frame),
        size,
    )
    lguest.settle()
    same(
        "frame of event and protocol of event",
        [(event.frame, event.protocol) for event in passed_up(lguest, owner)],
        [(frame, 4)],
    )


@rule("RCV-3")
@pytest.mark.parametrize("size", [14, 60, 1514])
@pytest.mark.parametrize("destination", GROUPS.values(), ids=GROUPS)
def test_a_group_frame_is_broadcast_or_multicast(
    lguest: LguestLan, destination: bytes, size: int
) -> None:
    frame = (destination + header(0x0800)[6:] + payload(1500))[:size]
    expected = "broadcast" if destination == b"\xff" * 6 else "multicast"
    same("packet type of received one", received_one(lguest, frame).packet_type, expected)


@rule("RCV-3")
@pytest.mark.parametrize("bit", range(48))
def test_one_bit_off_broadcast_is_not_broadcast(lguest: LguestLan, bit: int) -> None:
    destination = bytearray(b"\xff" * 6)
    destination[bit // 8] ^= 1 << bit % 8
    expected = "otherhost" if bit == 0 else "multicast"
    frame = bytes(destination) + header(0x0800)[6:] + payload(46)
    same("packet type of received one", received_one(lguest, frame).packet_type, expected)


@rule("RCV-3")
def test_a_frame_to_ones_own_address_is_for_this_host(lguest: LguestLan) -> None:
    same(
        "packet type of received one",
        received_one(lguest, header(0x0800) + payload(46)).packet_type,
        "host",
    )


@rule("RCV-3")
def test_an_address_one_bit_off_is_another_hosts(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    owner.set_flags(promiscuous=True)
    for bit, destination in each_bit_flipped(owner.address):
        sender.transmit(ethernet(destination, sender.address, stamp=bit))
        lguest.settle()
        same(
            f"packet type, bit {bit} changed", passed_up(lguest, owner)[-1].packet_type, "otherhost"
        )
    same("number of frames passed up by the owner", len(passed_up(lguest, owner)), 47)
    sender.transmit(ethernet(owner.address, sender.address))
    lguest.settle()
    same(
        "packet type of last of frames passed up by the owner",
        passed_up(lguest, owner)[-1].packet_type,
        "host",
    )


@rule("RCV-3")
def test_a_promiscuous_peer_and_the_owner_see_one_frame_as_different_types(
    lguest: LguestLan,
) -> None:
    sender, owner, curious = lguest.open_devices(3)
    curious.set_flags(promiscuous=True)
    frame = ethernet(owner.address, sender.address)
    sender.transmit(frame)
    lguest.settle()
    received = [passed_up(lguest, device) for device in (owner, curious)]
    same(
        "frame of event and packet type of event",
        [[(event.frame, event.packet_type) for event in events] for events in received],
        [
            [(frame, "host")],
            [(frame, "otherhost")],
        ],
    )


# RCV-4: checksums


@rule("RCV-4")
@pytest.mark.parametrize("nocsum", [True, False])
@pytest.mark.parametrize("kind", [0x0800, 0x88B5, 0x002E])
def test_a_frame_needs_no_checksum_exactly_with_nocsum(
    lguest: LguestLan, nocsum: bool, kind: int
) -> None:
    frame = header(kind) + payload(46)
    same(
        "checksum unnecessary of received one",
        received_one(lguest, frame, nocsum=nocsum).checksum_unnecessary,
        nocsum,
    )


@rule("RCV-4")
@pytest.mark.parametrize("sender_has_it", [True, False])
def test_the_receivers_feature_decides_and_not_the_senders(
    lguest: LguestLan, sender_has_it: bool
) -> None:
    sender = lguest.device(nocsum=sender_has_it)
    others = [lguest.device(nocsum=nocsum) for nocsum in (True, False)]
    same(
        "result of opening each device",
        [device.open() for device in (sender, *others)],
        [0, 0, 0],
    )
    frame = ethernet(GROUPS["broadcast"], sender.address)
    sender.transmit(frame)
    lguest.settle()
    received = [passed_up(lguest, other) for other in others]
    same(
        "checksum unnecessary of event",
        [[event.checksum_unnecessary for event in events] for events in received],
        [
            [True],
            [False],
        ],
    )
    same_frames(lguest, others[0], [frame])
    same_frames(lguest, others[1], [frame])


@rule("RCV-4")
@pytest.mark.parametrize("nocsum", [True, False])
def test_scatter_gather_is_offered_together_with_nocsum_alone(
    lguest: LguestLan, nocsum: bool
) -> None:
    device = lguest.device(nocsum=nocsum)
    same("scatter gather of the device", device.scatter_gather, nocsum)
    same("checksum unnecessary of the device", device.checksum_unnecessary, nocsum)
    same("result of opening the device", device.open(), 0)
    device.close()
    same("result of opening the device", device.open(), 0)
    same("scatter gather of the device", device.scatter_gather, nocsum)


@rule("RCV-4")
@pytest.mark.parametrize("nocsum", [False, True])
@pytest.mark.parametrize("randomness", [False, True])
def test_only_nocsum_decides_about_checksums(
    lguest: LguestLan, nocsum: bool, randomness: bool
) -> None:
    (sender,) = lguest.open_devices(1)
    launcher = lguest.launch(2)
    owner = launcher.join(lguest.pages, 1, nocsum=nocsum, randomness=randomness)
    lguest.devices.append(owner)
    same("result of opening the owner", owner.open(), 0)
    same("scatter gather of the owner", owner.scatter_gather, nocsum)
    sender.transmit(ethernet(owner.address, sender.address))
    lguest.settle()
    (event,) = [event for event in lguest.host.events if isinstance(event, Received)]
    same("checksum unnecessary of event", event.checksum_unnecessary, nocsum)
