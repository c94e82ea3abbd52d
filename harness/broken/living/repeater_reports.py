"""Broken repeaters, after what users report of hubs, taps and virtual network cards."""

from __future__ import annotations

import zlib
from collections import Counter, deque
from collections.abc import Iterable

from harness.broken.living.hooks import (
    IPV4,
    Alters,
    Loses,
    LosesEntering,
    OverQueue,
    altering,
    broken_memory,
    is_long,
    is_tagged,
    is_tcp,
    losing,
)
from harness.lans.memory import MemoryPort, MemoryRepeater, is_group

_HUB = MemoryRepeater
_TTL = 22
_RING = 65_536
_LONGEST_LENGTH = 1_500
_PLAIN_IPV4 = b"\x08\x00\x45"
_UDP = 17
_TCP_OPTIONS = 54
"""Where they begin, in IPv4."""
_CLAMP = 1_400


def _native_vlan(frame: bytes) -> bytes:
    """Without the tag of VLAN 1."""
    native = is_tagged(frame) and frame[14] & 0x0F == 0 and frame[15] == 1
    return frame[:12] + frame[16:] if native else frame


def _inner_priority(frame: bytes) -> bytes:
    """The priority of the inner tag is that of the outer one too."""
    if not (is_tagged(frame) and is_tagged(frame[4:])):
        return frame
    return frame[:14] + bytes((frame[14] & 0x1F | frame[18] & 0xE0,)) + frame[15:]


def _byte_more(frame: bytes) -> bytes:
    return frame + b"\0" if len(frame) % 2 and 1_000 < len(frame) <= 1_514 else frame


def _hop(frame: bytes) -> bytes:
    """As if it had been routed: one hop less."""
    if frame[12:14] != IPV4 or len(frame) <= _TTL or frame[_TTL] == 0:
        return frame
    return frame[:_TTL] + bytes((frame[_TTL] - 1,)) + frame[_TTL + 1 :]


def _without_fcs(frame: bytes) -> bytes:
    """Without what looks like an FCS."""
    fcs = zlib.crc32(frame[:-4]).to_bytes(4, "little")
    return frame[:-4] if len(frame) > 18 and frame[-4:] == fcs else frame


def _all_ones(frame: bytes) -> bytes:
    """A payload of ones alone loses its last one, as on a line without enough changes."""
    return frame[:-1] + b"\xfe" if len(frame) > 18 and not frame[14:].strip(b"\xff") else frame


def _as_long_as_it_says(frame: bytes) -> bytes:
    """A frame cut to its 802.3 length."""
    length = int.from_bytes(frame[12:14], "big")
    return frame[: 14 + length] if 46 <= length <= _LONGEST_LENGTH else frame


def _udp_summed(frame: bytes) -> bytes:
    """A UDP packet whose checksum is 0 (none) gets ffff, the other form of 0."""
    bare = frame[12:15] == _PLAIN_IPV4 and frame[23] == _UDP and frame[40:42] == bytes(2)
    return frame[:40] + b"\xff\xff" + frame[42:] if bare else frame


def _mss_clamped(frame: bytes) -> bytes:
    """A TCP segment whose MSS option is 1,400 at most; the checksum stays as it was."""
    at = _TCP_OPTIONS
    has_mss = is_tcp(frame) and frame[at : at + 2] == b"\x02\x04"
    if not has_mss or int.from_bytes(frame[at + 2 : at + 4], "big") <= _CLAMP:
        return frame
    return frame[: at + 2] + _CLAMP.to_bytes(2, "big") + frame[at + 4 :]


class _SourcesOf32(LosesEntering, MemoryRepeater):
    """A port may use 32 source addresses until it leaves."""

    most = 32

    def begin(self) -> None:
        super().begin()
        self.sources: dict[MemoryPort, set[bytes]] = {}

    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        sources = self.sources.setdefault(port, set())
        if len(sources) < self.most:
            sources.add(frame[6:12])
        return frame[6:12] not in sources

    def port_went_down(self, port: MemoryPort) -> None:
        super().port_went_down(port)
        self.sources.pop(port, None)


class _MixedFragments(MemoryRepeater):
    """Long frames cross in two parts, put together by a number without the sender."""

    first = 1_472

    def begin(self) -> None:
        super().begin()
        self.numbers: Counter[MemoryPort] = Counter()
        self.heads: dict[int, bytes] = {}
        self.tail: tuple[MemoryPort, int, bytes] | None = None

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        if self.tail and (self.tail[0] is sender or len(frame) <= self.first):
            self.finish()
        if len(frame) <= self.first:
            super().relay(sender, frame)
            return
        self.numbers[sender] += 1
        number = self.numbers[sender]
        self.heads[number] = frame[: self.first]
        self.finish()
        self.tail = sender, number, frame[self.first :]

    def finish(self) -> None:
        """The second part of the frame under way arrives."""
        if self.tail:
            sender, number, rest = self.tail
            self.tail = None
            if number in self.heads:
                super().relay(sender, self.heads.pop(number) + rest)

    def settle(self) -> None:
        self.finish()
        super().settle()

    def port_went_down(self, port: MemoryPort) -> None:
        self.finish()
        super().port_went_down(port)


class _HoldsTheLast(MemoryRepeater):
    """The last frame of many waits for the next one: nobody was notified of it."""

    def begin(self) -> None:
        super().begin()
        self.held: deque[tuple[MemoryPort, bytes]] = deque()
        self.waiting: list[tuple[MemoryPort, bytes]] = []

    def pass_to(self, port: MemoryPort, frame: bytes) -> None:
        while self.held:
            super().pass_to(*self.held.popleft())
        if port.queue == 48:
            self.held.append((port, frame))
            return
        super().pass_to(port, frame)


class _FirstLost(Loses, MemoryRepeater):
    """What a port sends first is lost."""

    def begin(self) -> None:
        super().begin()
        self.heard: set[MemoryPort] = set()

    def enter(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        first = port not in self.heard
        self.heard.add(port)
        return () if first else super().enter(port, frame)

    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        return False


class _FewLong(MemoryRepeater):
    """A port's queue holds 256 KB."""

    def begin(self) -> None:
        super().begin()
        self.waiting: dict[MemoryPort, int] = {}

    def pass_to(self, port: MemoryPort, frame: bytes) -> None:
        waiting = self.waiting.get(port, 0) + len(frame)
        if waiting <= 262_144:
            self.waiting[port] = waiting
            super().pass_to(port, frame)

    def settle(self) -> None:
        self.waiting.clear()
        super().settle()


class _OnePair(MemoryRepeater):
    """Frames of port 7 do not reach port 5."""

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        targets = super().targets(sender, frame)
        return [port for port in targets if (sender.number, port.number) != (7, 5)]


class _TornAtTheEnd(Alters, MemoryRepeater):
    """What lies behind the end of a ring of 64 KB arrives as zeros."""

    def begin(self) -> None:
        super().begin()
        self.at: dict[MemoryPort, int] = {}

    def altered(self, port: MemoryPort, frame: bytes) -> bytes:
        start = self.at.get(port, 0)
        self.at[port] = (start + len(frame)) % _RING
        fits = min(len(frame), _RING - start)
        return frame[:fits].ljust(len(frame), b"\0")


class _OneBehind(OverQueue, MemoryRepeater):
    """Once its queue was full, a port gets every frame when the next one comes."""

    def begin(self) -> None:
        super().begin()
        self.behind: dict[MemoryPort, bytes] = {}

    def over(self, port: MemoryPort, frame: bytes) -> None:
        self.behind.setdefault(port, b"")

    def pass_to(self, port: MemoryPort, frame: bytes) -> None:
        if port in self.behind and port.queue < self.limit:
            frame, self.behind[port] = self.behind[port], frame
        if frame:
            super().pass_to(port, frame)


class _OneLostAfterOversized(MemoryRepeater):
    """The frame behind an oversized one is lost."""

    def begin(self) -> None:
        super().begin()
        self.losing: set[MemoryPort] = set()

    def enter(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        lost = port in self.losing
        self.losing.discard(port)
        if len(frame) > self.traits.longest:
            self.losing.add(port)
        return () if lost else super().enter(port, frame)


class _WakesLate(MemoryRepeater):
    """A port that was silent for 300 frames is not heard at first."""

    def begin(self) -> None:
        super().begin()
        self.now = 0
        self.last: dict[MemoryPort, int] = {}

    def enter(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        self.now += 1
        before = self.last.get(port, self.now)
        self.last[port] = self.now
        return () if self.now - before > 300 else super().enter(port, frame)


class _NoEqualFrames(MemoryRepeater):
    """A frame that equals the one before is dropped: it must be a loop."""

    last = b""

    def enter(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        equal, self.last = frame == self.last, frame
        return () if equal else super().enter(port, frame)


BROKEN = (
    broken_memory(
        "hub-sources-of-32",
        "WIRE-1",
        "frames of a port's 33rd source address are lost",
        _SourcesOf32,
    ),
    broken_memory(
        "hub-room-for-one-tag",
        "INT-2",
        "frames with two tags are lost from 1,515 bytes on",
        losing(_HUB, lambda frame: is_long(frame) and is_tagged(frame) and is_tagged(frame[4:])),
    ),
    broken_memory(
        "hub-mixes-fragments",
        "LOAD-2",
        "the fragments of two senders' long frames are mixed",
        _MixedFragments,
    ),
    broken_memory(
        "hub-cuts-to-length-field",
        "INT-3",
        "bytes after the 802.3 length are cut off",
        altering(_HUB, _as_long_as_it_says),
    ),
    broken_memory(
        "hub-clamps-mss",
        "INT-3",
        "TCP's largest segment is announced as 1,400 bytes at most",
        altering(_HUB, _mss_clamped),
    ),
    broken_memory(
        "hub-fills-udp-checksum",
        "INT-6",
        "a UDP checksum of 0 in IPv4 arrives as ffff",
        altering(_HUB, _udp_summed),
    ),
    broken_memory(
        "hub-loses-short-tagged",
        "INT-2",
        "tagged frames that are below 60 bytes without their tag are lost",
        losing(_HUB, lambda frame: is_tagged(frame) and len(frame) < 64),
    ),
    broken_memory(
        "hub-loses-priority-7",
        "INT-2",
        "tagged frames of the highest priority are lost",
        losing(_HUB, lambda frame: is_tagged(frame) and frame[14] >> 5 == 7),
    ),
    broken_memory(
        "hub-strips-vlan-1", "INT-2", "the tag of VLAN 1 is stripped", altering(_HUB, _native_vlan)
    ),
    broken_memory(
        "hub-copies-inner-priority",
        "INT-2",
        "the outer of two tags gets the inner one's priority",
        altering(_HUB, _inner_priority),
    ),
    broken_memory(
        "hub-adds-a-byte-to-odd-lengths",
        "INT-1",
        "odd lengths above 1,000 bytes get a zero byte more",
        altering(_HUB, _byte_more),
    ),
    broken_memory(
        "hub-counts-hops", "INT-6", "the time to live of IPv4 is one less", altering(_HUB, _hop)
    ),
    broken_memory(
        "hub-strips-fcs-likeness",
        "INT-1",
        "four bytes that look like an FCS are cut off",
        altering(_HUB, _without_fcs),
    ),
    broken_memory(
        "hub-alters-all-ones",
        "INT-3",
        "a payload of ones alone loses its last one",
        altering(_HUB, _all_ones),
    ),
    broken_memory("hub-holds-the-49th", "LOAD-1", "the 49th frame of a burst waits", _HoldsTheLast),
    broken_memory("hub-loses-first-of-port", "WIRE-1", "a port's first frame is lost", _FirstLost),
    broken_memory(
        "hub-loses-local-groups",
        "GRP-1",
        "groups with the bit of local administration are lost",
        losing(_HUB, lambda frame: is_group(frame) and frame[0] & 2 == 2 and frame[0] != 0xFF),
    ),
    broken_memory(
        "hub-queue-of-256-kb", "LOAD-1", "64 short frames fit a queue, but not 64 long", _FewLong
    ),
    broken_memory("hub-one-pair-deaf", "MANY-1", "port 5 does not hear port 7", _OnePair),
    broken_memory(
        "hub-ring-torn", "LOAD-3", "frames across the end of a ring lose bytes", _TornAtTheEnd
    ),
    broken_memory(
        "hub-one-behind-after-full-queue",
        "LOAD-4",
        "a port whose queue was full is one frame behind for ever",
        _OneBehind,
    ),
    broken_memory(
        "hub-loses-one-after-oversized",
        "INT-5",
        "the frame behind an oversized one is lost",
        _OneLostAfterOversized,
    ),
    broken_memory(
        "hub-wakes-late",
        "LOAD-3",
        "the first frame of a port that was long silent is lost",
        _WakesLate,
    ),
    broken_memory(
        "hub-drops-equal-frames",
        "WIRE-1",
        "a frame that equals the one before is dropped",
        _NoEqualFrames,
    ),
    broken_memory(
        "hub-loses-long-odd-groups",
        "INT-1",
        "long group frames of odd lengths are lost",
        losing(_HUB, lambda frame: is_long(frame) and is_group(frame) and len(frame) % 2 == 1),
    ),
    broken_memory(
        "hub-loses-vlan-4095",
        "INT-2",
        "frames of VLAN 4095 are lost",
        losing(_HUB, lambda frame: is_tagged(frame) and frame[14] & 15 == 15 and frame[15] == 255),
    ),
)
