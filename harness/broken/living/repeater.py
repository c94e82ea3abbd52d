"""Broken repeaters: what becomes of single frames (WIRE, INT, GRP)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from harness.broken.living.hooks import (
    ARP,
    BROADCAST,
    FULL,
    TCP_PAYLOAD,
    Counted,
    Loses,
    Reorders,
    Returns,
    altering,
    broken_memory,
    doubling,
    is_long,
    is_tagged,
    is_tcp,
    losing,
)
from harness.lans.memory import REPEATER, MemoryPort, MemoryRepeater, is_group

_OLD = 64


class _EveryHundredthLost(Loses, MemoryRepeater):
    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        return self.left[port.number] % 100 == 0


class _SecondSendLost(Loses, MemoryRepeater):
    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        return self.left[port.number] == 7


class _ReturnsGroups(Returns, MemoryRepeater):
    def returns(self, sender: MemoryPort, frame: bytes) -> bool:
        return is_group(frame)


class _ReturnsUnicasts(Returns, MemoryRepeater):
    def returns(self, sender: MemoryPort, frame: bytes) -> bool:
        return not is_group(frame)


class _EchoWithTheNext(MemoryRepeater):
    def begin(self) -> None:
        self.last: dict[MemoryPort, bytes] = {}

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        echo = self.last.get(sender)
        if echo is not None:
            sender.deliver(echo)
        self.last[sender] = frame
        super().relay(sender, frame)


class _ShortFirst(Reorders, MemoryRepeater):
    def in_order(self, frames: list[bytes]) -> list[bytes]:
        return sorted(frames, key=lambda frame: len(frame) >= FULL)


class _SecondCopyLater(MemoryRepeater):
    """GNS3: a copy stays in the buffer, and leaves with what comes next."""

    def begin(self) -> None:
        self.copies: dict[MemoryPort, bytes] = {}
        self.due: dict[MemoryPort, bytes] = {}

    def leave(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        late = self.due.pop(port, None)
        self.copies[port] = frame
        return (frame,) if late is None else (late, frame)

    def settle(self) -> None:
        super().settle()
        self.due, self.copies = self.copies, {}


class _HoldsLastOfBurst(MemoryRepeater):
    def begin(self) -> None:
        self.held: dict[MemoryPort, bytes] = {}

    def leave(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        before = self.held.pop(port, None)
        if port.queue % 4 == 0:
            self.held[port] = frame
            return () if before is None else (before,)
        return (frame,) if before is None else (before, frame)


class _AnswersArp(MemoryRepeater):
    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        super().relay(sender, frame)
        if frame[12:14] == ARP and frame[20:22] == b"\0\1":
            own = bytes.fromhex("020000fffffe")
            sender.deliver(frame[6:12] + own + frame[12:20] + b"\0\2" + own + frame[28:])


class _KeepAlive(Counted, MemoryRepeater):
    """tinc lets probes of its own out onto the LAN."""

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        super().relay(sender, frame)
        if sum(self.entered.values()) % 16 == 0:
            probe = BROADCAST + bytes.fromhex("020000fffffe9000") + bytes(46)
            for port in self.others(sender):
                if port.up:
                    port.deliver(probe)


class _PadsWithOldBytes(MemoryRepeater):
    def begin(self) -> None:
        self.buffer = bytearray(_OLD)

    def leave(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        head = frame[:_OLD]
        self.buffer[: len(head)] = head
        return (frame if len(frame) >= 60 else bytes(self.buffer[:60]),)


class _PadsNot(MemoryRepeater):
    traits = replace(REPEATER, padding=60)


class _MergesSegments(MemoryRepeater):
    """GNS3/gns3-gui 3338: receive offload joins two segments of a flow."""

    def begin(self) -> None:
        self.held: bytes | None = None

    def leave(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        if not is_tcp(frame) or len(frame) <= TCP_PAYLOAD:
            return (frame,)
        if self.held is not None and self.held[:14] == frame[:14] and self.held != frame:
            merged = self.held + frame[TCP_PAYLOAD:]
            self.held = None
            return (merged,)
        self.held = frame
        return (frame,)


class _DropsRepeatedSegments(MemoryRepeater):
    def begin(self) -> None:
        self.last: dict[MemoryPort, bytes] = {}

    def leave(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        head = frame[26:38]
        if is_tcp(frame) and self.last.get(port) == head:
            return ()
        self.last[port] = head if is_tcp(frame) else b""
        return (frame,)


class _OversizedDelivered(MemoryRepeater):
    def enter(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        return (frame,)


def _flip(frame: bytes, at: int, mask: int = 1) -> bytes:
    """The frame with some bits of one byte turned over."""
    return frame[:at] + bytes((frame[at] ^ mask,)) + frame[at + 1 :] if at < len(frame) else frame


def _last_byte_zero(frame: bytes) -> bytes:
    return frame[:-1] + b"\0" if len(frame) % 2 else frame


def _untagged(frame: bytes) -> bytes:
    return frame[:12] + frame[16:] if is_tagged(frame) else frame


def _customer_type(frame: bytes) -> bytes:
    return frame[:12] + b"\x81\0" + frame[14:] if frame[12:14] == b"\x88\xa8" else frame


def _without_tags_four(frame: bytes) -> bytes:
    return frame[:FULL] if is_tagged(frame) and len(frame) == FULL + 4 else frame


def _fcs(frame: bytes) -> bytes:
    return frame + sum(frame).to_bytes(4, "little") if len(frame) > 4_096 else frame


def _even(frame: bytes) -> bytes:
    return frame + bytes(len(frame) % 2) if len(frame) < 60 else frame


def _swapped_type(frame: bytes) -> bytes:
    return frame[:12] + frame[13:14] + frame[12:13] + frame[14:] if frame[12] >= 0x90 else frame


def _hash_of(group: bytes) -> int:
    """The bucket of a group, as a card with 64 of them computes it."""
    return sum(group) % 64


_HUB = MemoryRepeater

BROKEN = (
    broken_memory(
        "hub-loses-every-hundredth",
        "LOAD-1",
        "every port loses its 100th frame",
        _EveryHundredthLost,
    ),
    broken_memory(
        "hub-loses-the-seventh",
        "WIRE-1",
        "the seventh frame of every port is lost, no other",
        _SecondSendLost,
    ),
    broken_memory(
        "hub-returns-groups",
        "WIRE-3",
        "group frames come back, as on QEMU's multicast socket",
        _ReturnsGroups,
    ),
    broken_memory("hub-returns-unicasts", "WIRE-3", "unicasts come back", _ReturnsUnicasts),
    broken_memory(
        "hub-echoes-with-the-next",
        "WIRE-3",
        "a frame comes back when its sender sends again",
        _EchoWithTheNext,
    ),
    broken_memory(
        "hub-doubles-groups",
        "WIRE-4",
        "group frames arrive twice, as from QEMU's dgram to a hub",
        doubling(_HUB, is_group),
    ),
    broken_memory(
        "hub-doubles-full-frames",
        "INT-1",
        "frames of 1,514 bytes arrive twice",
        doubling(_HUB, lambda frame: len(frame) == FULL),
    ),
    broken_memory(
        "hub-short-overtakes-long", "DLV-11", "full frames leave behind shorter ones", _ShortFirst
    ),
    broken_memory(
        "hub-zeroes-last-byte-of-odd",
        "WIRE-6",
        "the last byte of an odd length becomes zero",
        altering(_HUB, _last_byte_zero),
    ),
    broken_memory(
        "hub-flips-a-bit-at-64",
        "WIRE-6",
        "the lowest bit of the byte at 64 is turned over",
        altering(_HUB, lambda frame: _flip(frame, 64)),
    ),
    broken_memory(
        "hub-second-copy-later",
        "WIRE-7",
        "a copy of the last frame leaves before the next",
        _SecondCopyLater,
    ),
    broken_memory(
        "hub-holds-every-fourth",
        "LOAD-1",
        "every fourth frame of a burst waits for the next",
        _HoldsLastOfBurst,
    ),
    broken_memory("hub-answers-arp", "DLV-9", "the LAN answers ARP requests itself", _AnswersArp),
    broken_memory(
        "hub-sends-keep-alives",
        "WIRE-8",
        "a probe of the LAN's own follows every 16th frame",
        _KeepAlive,
    ),
    broken_memory(
        "hub-loses-above-1518",
        "INT-1",
        "frames above 1,518 bytes are lost (vde-2 22)",
        losing(_HUB, lambda frame: len(frame) > 1_518),
    ),
    broken_memory(
        "hub-cuts-jumbo-to-1514",
        "INT-1",
        "a long frame arrives as 1,514 bytes (arcbox 485)",
        altering(_HUB, lambda frame: frame[:FULL]),
    ),
    broken_memory(
        "hub-appends-fcs-above-a-page",
        "INT-1",
        "frames above 4,096 bytes get a checksum appended",
        altering(_HUB, _fcs),
    ),
    broken_memory(
        "hub-loses-multiples-of-512",
        "INT-1",
        "lengths that are multiples of 512 are lost, as on USB without an empty packet behind",
        losing(_HUB, lambda frame: len(frame) % 512 == 0),
    ),
    broken_memory("hub-strips-tags", "INT-2", "VLAN tags are stripped", altering(_HUB, _untagged)),
    broken_memory(
        "hub-service-tag-becomes-customer",
        "INT-2",
        "tag type 88a8 arrives as 8100 (vmxnet3)",
        altering(_HUB, _customer_type),
    ),
    broken_memory(
        "hub-cuts-tagged-full-frames",
        "INT-2",
        "tagged frames of 1,518 bytes lose four bytes (corundum 210)",
        altering(_HUB, _without_tags_four),
    ),
    broken_memory(
        "hub-loses-type-zero",
        "INT-3",
        "frames whose type is 0 are lost (tinc)",
        losing(_HUB, lambda frame: frame[12:14] == b"\0\0"),
    ),
    broken_memory(
        "hub-swaps-high-types",
        "INT-3",
        "the bytes of types from 0x9000 on are swapped",
        altering(_HUB, _swapped_type),
    ),
    broken_memory(
        "hub-loses-types-below-0600",
        "INT-3",
        "types from 1,501 to 1,535, neither one, are lost",
        losing(_HUB, lambda frame: 1_500 < int.from_bytes(frame[12:14], "big") < 1_536),
    ),
    broken_memory(
        "hub-pads-with-old-bytes",
        "INT-4",
        "short frames are filled up with old bytes (CVE-2003-0001)",
        _PadsWithOldBytes,
    ),
    broken_memory(
        "hub-pads-not",
        "INT-4",
        "short frames arrive as sent, and the LAN declares to fill them up with zeros",
        _PadsNot,
    ),
    broken_memory(
        "hub-pads-to-even",
        "INT-4",
        "an odd length below 60 bytes gets a zero byte more",
        altering(_HUB, _even),
    ),
    broken_memory(
        "hub-delivers-oversized",
        "INT-5",
        "oversized frames arrive, though declared dropped",
        _OversizedDelivered,
    ),
    broken_memory(
        "hub-merges-segments",
        "INT-6",
        "two TCP segments of a flow become one (gns3-gui 3338)",
        _MergesSegments,
    ),
    broken_memory(
        "hub-drops-repeated-segments",
        "INT-6",
        "a TCP segment with the last one's ports and sequence number is dropped",
        _DropsRepeatedSegments,
    ),
    broken_memory(
        "hub-loses-appletalk-groups",
        "GRP-1",
        "groups that begin with 09:00:07 are lost",
        losing(_HUB, lambda frame: frame[:3] == b"\x09\0\7"),
    ),
    broken_memory(
        "hub-filters-a-group-hash",
        "GRP-1",
        "groups in one of a card's 64 hash buckets are lost",
        losing(_HUB, lambda f: is_group(f) and f[:6] != BROADCAST and _hash_of(f[:6]) == 33),
    ),
    broken_memory(
        "hub-loses-tagged-multicast",
        "GRP-2",
        "tagged multicasts are lost (illumos-joyent 551)",
        losing(_HUB, lambda f: is_tagged(f) and is_group(f) and f[:6] != BROADCAST),
    ),
    broken_memory(
        "hub-cuts-long-groups",
        "INT-1",
        "long group frames are cut to 1,514 bytes",
        altering(_HUB, lambda frame: frame[:FULL] if is_group(frame) else frame),
    ),
    broken_memory(
        "hub-loses-long-tagged",
        "INT-2",
        "long group frames with a tag are lost",
        losing(_HUB, lambda frame: is_long(frame) and is_tagged(frame) and is_group(frame)),
    ),
)
