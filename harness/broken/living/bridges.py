"""Broken learning LANs: what becomes of single frames (WIRE, INT, GRP)."""

from __future__ import annotations

from collections.abc import Iterable

from harness.broken.living.hooks import (
    BROADCAST,
    FULL,
    TAGS,
    Alters,
    Doubles,
    Leaks,
    Reorders,
    altering,
    broken_memory,
    is_long,
    is_tagged,
    is_tcp,
    losing,
)
from harness.lans.memory import MemoryLearning, MemoryPort, is_group


class _LeaksAfterMove(Leaks, MemoryLearning):
    """The first frame to an address that has moved is flooded."""

    def begin(self) -> None:
        super().begin()
        self.moved: set[bytes] = set()
        self.leaking = b""

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        if self.table.get(frame[6:12], sender) is not sender:
            self.moved.add(frame[6:12])
        super().learn(sender, frame)

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        self.leaking = frame[:6] if frame[:6] in self.moved else b""
        self.moved.discard(frame[:6])
        super().relay(sender, frame)

    def leaks(self, sender: MemoryPort, port: MemoryPort, frame: bytes) -> bool:
        return frame[:6] == self.leaking and self.table.get(frame[:6]) is not sender


class _DoublesFlooded(Doubles, MemoryLearning):
    def doubles(self, port: MemoryPort, frame: bytes) -> bool:
        return not is_group(frame) and frame[:6] not in self.table


class _BroadcastReturnsTwice(MemoryLearning):
    """snabb 168: every eighth broadcast comes back to its sender."""

    def begin(self) -> None:
        super().begin()
        self.count = 0

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        super().relay(sender, frame)
        self.count += frame[:6] == BROADCAST
        if frame[:6] == BROADCAST and self.count % 8 == 0:
            sender.deliver(frame)


class _FloodedLast(Reorders, MemoryLearning):
    """Known unicasts overtake what is flooded, as through Open vSwitch's slow path."""

    def in_order(self, frames: list[bytes]) -> list[bytes]:
        return sorted(frames, key=is_group)


class _FloodedLoseLastByte(Alters, MemoryLearning):
    def altered(self, port: MemoryPort, frame: bytes) -> bytes:
        return frame[:-1] if is_group(frame) and self.left[port.number] % 8 == 0 else frame


class _LateFlood(MemoryLearning):
    """Each port's last flooded frame is sent again when the table changes."""

    def begin(self) -> None:
        super().begin()
        self.flooded: bytes | None = None

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        before = self.table.get(frame[6:12])
        super().learn(sender, frame)
        if before not in (None, sender) and self.flooded is not None:
            for port in self.others(sender):
                if port.up:
                    port.deliver(self.flooded)
        self.flooded = frame if is_group(frame) else self.flooded


class _SendsBpdus(MemoryLearning):
    """Spanning tree that nobody declared: a frame of its own at every tenth settling."""

    def begin(self) -> None:
        super().begin()
        self.settled = 0

    def settle(self) -> None:
        super().settle()
        self.settled += 1
        if self.settled % 10 == 0:
            bpdu = bytes.fromhex("0180c2000000020000fffffe0026424203") + bytes(43)
            for port in self.made:
                if port.up:
                    port.deliver(bpdu)


class _OversizedKillsPort(MemoryLearning):
    def begin(self) -> None:
        super().begin()
        self.dead: set[MemoryPort] = set()

    def enter(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        if len(frame) > self.traits.longest:
            self.dead.add(port)
        return () if port in self.dead else (frame,)


class _DeadAfterOversized(MemoryLearning):
    """GNS3/gns3-gui 1867."""

    dead = False

    def enter(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        self.dead |= len(frame) > self.traits.longest
        return () if self.dead else (frame,)


class _OversizedSplit(MemoryLearning):
    def enter(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        longest = self.traits.longest
        if len(frame) <= longest:
            return (frame,)
        return frame[:longest], frame[:14] + frame[longest:]


class _HoldsFirstSegment(MemoryLearning):
    """A segment waits for its neighbour, and both leave as one."""

    def begin(self) -> None:
        super().begin()
        self.held: dict[MemoryPort, bytes] = {}

    def pass_to(self, port: MemoryPort, frame: bytes) -> None:
        held = self.held.pop(port, None)
        if held is None and is_tcp(frame):
            self.held[port] = frame
            return
        if held is not None and is_tcp(frame) and held[26:38] == frame[26:38]:
            frame = held + frame[54:]
        elif held is not None:
            super().pass_to(port, held)
        super().pass_to(port, frame)

    def settle(self) -> None:
        held, self.held = self.held, {}
        for port, frame in held.items():
            super().pass_to(port, frame)
        super().settle()


def _virtio_header(frame: bytes) -> bytes:
    return bytes(12) + frame if is_tagged(frame) and len(frame) > 1_500 else frame


def _outer_tag_8100(frame: bytes) -> bytes:
    return frame[:12] + b"\x81\0" + frame[14:] if frame[12:14] == TAGS[2] else frame


def _vlan_ten_bits(frame: bytes) -> bytes:
    """The VLAN keeps ten of its twelve bits."""
    return frame[:14] + bytes((frame[14] & 0xF3,)) + frame[15:] if is_tagged(frame) else frame


def _urgent_cleared(frame: bytes) -> bytes:
    return frame[:46] + bytes((frame[46],)) + b"\0" + frame[48:] if is_tcp(frame) else frame


_LAN = MemoryLearning

BROKEN = (
    broken_memory(
        "bridge-floods-once-after-move",
        "LRN-4",
        "the first frame after a move is flooded",
        _LeaksAfterMove,
    ),
    broken_memory(
        "bridge-doubles-flooded", "LRN-1", "unknown unicasts are flooded twice", _DoublesFlooded
    ),
    broken_memory(
        "bridge-returns-every-eighth-broadcast",
        "WIRE-3",
        "every eighth broadcast comes back (snabb 168)",
        _BroadcastReturnsTwice,
    ),
    broken_memory(
        "bridge-groups-last",
        "WIRE-5",
        "known unicasts overtake group frames (Open vSwitch)",
        _FloodedLast,
    ),
    broken_memory(
        "bridge-groups-lose-a-byte",
        "WIRE-6",
        "every eighth frame loses its last byte if a group's",
        _FloodedLoseLastByte,
    ),
    broken_memory(
        "bridge-floods-late",
        "LRN-4",
        "when a station moves the last group frame is sent again",
        _LateFlood,
    ),
    broken_memory(
        "bridge-sends-bpdus", "WIRE-8", "the LAN sends frames of spanning tree", _SendsBpdus
    ),
    broken_memory(
        "bridge-loses-1514",
        "INT-1",
        "frames of exactly 1,514 bytes are lost",
        losing(_LAN, lambda frame: len(frame) == FULL),
    ),
    broken_memory(
        "bridge-loses-above-9000",
        "INT-1",
        "frames above 9,000 bytes are lost, 9,018 declared",
        losing(_LAN, lambda frame: len(frame) > 9_000),
    ),
    broken_memory(
        "bridge-header-on-tagged-full",
        "INT-2",
        "tagged frames above 1,500 bytes arrive behind a virtio header",
        altering(_LAN, _virtio_header),
    ),
    broken_memory(
        "bridge-9100-becomes-8100",
        "INT-2",
        "tag type 9100 arrives as 8100",
        altering(_LAN, _outer_tag_8100),
    ),
    broken_memory(
        "bridge-vlan-of-ten-bits",
        "INT-2",
        "a VLAN keeps its lowest ten bits",
        altering(_LAN, _vlan_ten_bits),
    ),
    broken_memory(
        "bridge-loses-loopback-type",
        "INT-3",
        "frames of type 9000 are lost",
        losing(_LAN, lambda frame: frame[12:14] == b"\x90\0"),
    ),
    broken_memory(
        "bridge-loses-length-zero",
        "INT-3",
        "frames whose length field is zero are lost",
        losing(_LAN, lambda frame: frame[12:14] == b"\0\0"),
    ),
    broken_memory(
        "bridge-pads-undeclared",
        "INT-4",
        "short frames arrive with zeros up to 60 bytes, and the LAN declares not to",
        altering(_LAN, lambda frame: frame.ljust(60, b"\0")),
    ),
    broken_memory(
        "bridge-dead-after-oversized",
        "INT-5",
        "nothing crosses after an oversized frame (gns3-gui 1867)",
        _DeadAfterOversized,
    ),
    broken_memory(
        "bridge-oversized-kills-port",
        "INT-5",
        "a port is dead after an oversized frame",
        _OversizedKillsPort,
    ),
    broken_memory(
        "bridge-splits-oversized", "INT-5", "an oversized frame arrives as two", _OversizedSplit
    ),
    broken_memory(
        "bridge-merges-segments",
        "INT-6",
        "TCP segments of a burst arrive as one",
        _HoldsFirstSegment,
    ),
    broken_memory(
        "bridge-clears-tcp-flags",
        "INT-6",
        "the flags of TCP arrive as zeros",
        altering(_LAN, _urgent_cleared),
    ),
    broken_memory(
        "bridge-keeps-16-to-31",
        "GRP-1",
        "groups 01:80:c2:00:00:10 to 1f are filtered too",
        losing(_LAN, lambda f: f[:5] == b"\1\x80\xc2\0\0" and f[5] >> 4 == 1),
    ),
    broken_memory(
        "bridge-loses-cdp",
        "GRP-1",
        "the group 01:00:0c:cc:cc:cc is filtered",
        losing(_LAN, lambda frame: frame[:6] == b"\1\0\x0c\xcc\xcc\xcc"),
    ),
    broken_memory(
        "bridge-loses-tagged-broadcast",
        "GRP-2",
        "tagged broadcasts are lost",
        losing(_LAN, lambda frame: frame[:6] == BROADCAST and is_tagged(frame)),
    ),
    broken_memory(
        "bridge-loses-long-groups",
        "INT-1",
        "group frames above 1,514 bytes are lost",
        losing(_LAN, lambda frame: is_group(frame) and is_long(frame)),
    ),
    broken_memory(
        "bridge-loses-full-groups",
        "GRP-2",
        "group frames of 1,514 bytes are lost",
        losing(_LAN, lambda frame: is_group(frame) and len(frame) == FULL),
    ),
)
