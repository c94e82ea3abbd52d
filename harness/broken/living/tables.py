"""Broken learning LANs: what must not be learned, and what is forgotten (LRN-5 to 9)."""

from __future__ import annotations

from collections.abc import Iterable

from harness.broken.living.hooks import (
    BROADCAST,
    Counted,
    broken_memory,
)
from harness.lans.memory import MemoryLearning, MemoryPort, is_group

_BUCKETS = 1_024


class _LearnsGroups(MemoryLearning):
    """freifunk-gluon/gluon 3192: a group is in the table, and its frames leave by one port."""

    def learnable(self, source: bytes) -> bool:
        return any(source) and source != BROADCAST

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        known = self.table.get(frame[:6])
        if known is not None and is_group(frame):
            return () if known is sender else (known,)
        return super().targets(sender, frame)


class _LearnsBroadcast(_LearnsGroups):
    def learnable(self, source: bytes) -> bool:
        return source == BROADCAST or super().learnable(source)


class _LearnsIpMulticast(_LearnsGroups):
    def learnable(self, source: bytes) -> bool:
        return source[:3] == b"\1\0\x5e" or MemoryLearning.learnable(self, source)


class _LearnsZero(MemoryLearning):
    def learnable(self, source: bytes) -> bool:
        return not is_group(source)


class _LearnsZeroFromUnicast(_LearnsZero):
    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        if any(frame[6:12]) or not is_group(frame):
            super().learn(sender, frame)


class _OwnPortFlooded(MemoryLearning):
    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        if self.table.get(frame[:6]) is sender:
            return self.others(sender)
        return super().targets(sender, frame)


class _OwnPortReturned(MemoryLearning):
    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        if self.table.get(frame[:6]) is sender:
            return (sender,)
        return super().targets(sender, frame)


class _OwnPortToTheNext(MemoryLearning):
    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        if self.table.get(frame[:6]) is sender:
            return self.others(sender)[-1:]
        return super().targets(sender, frame)


class _NeverFlushes(MemoryLearning):
    """SONiC 4184."""

    def port_went_down(self, port: MemoryPort) -> None:
        pass


class _FlushesOwnAddress(MemoryLearning):
    def port_went_down(self, port: MemoryPort) -> None:
        self.table.pop(port.mac, None)


class _FlushMoves(MemoryLearning):
    def port_went_down(self, port: MemoryPort) -> None:
        other = self.others(port)[0]
        self.table = {known: other if at is port else at for known, at in self.table.items()}


class _TableOf128(MemoryLearning):
    def has_room(self) -> bool:
        return len(self.table) < 128


class _OnePerBucket(MemoryLearning):
    """A new address takes the bucket of the old one with the same hash."""

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        source = frame[6:12]
        if source not in self.table:
            rivals = [known for known in self.table if self.bucket(known) == self.bucket(source)]
            for known in rivals:
                del self.table[known]
        super().learn(sender, frame)

    def bucket(self, address: bytes) -> int:
        return int.from_bytes(address, "big") % _BUCKETS


class _OneByteHash(_OnePerBucket):
    def bucket(self, address: bytes) -> int:
        return address[5]


class _FullTableStopsFlooding(MemoryLearning):
    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        full = not self.has_room() and not is_group(frame) and frame[:6] not in self.table
        return () if full else super().targets(sender, frame)


class _SlowTable(Counted, MemoryLearning):
    """Addresses taught in one burst: every fourth is missed."""

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        if frame[6:12] in self.table or self.others(sender)[0].queue % 4 != 3:
            super().learn(sender, frame)


BROKEN = (
    broken_memory(
        "bridge-learns-groups", "LRN-5", "a group source is learned (gluon 3192)", _LearnsGroups
    ),
    broken_memory(
        "bridge-learns-broadcast",
        "LRN-5",
        "the broadcast address and groups are learned",
        _LearnsBroadcast,
    ),
    broken_memory(
        "bridge-learns-ip-multicast",
        "LRN-5",
        "a source of 01:00:5e is learned",
        _LearnsIpMulticast,
    ),
    broken_memory("bridge-learns-zero", "LRN-6", "the zero address is learned", _LearnsZero),
    broken_memory(
        "bridge-learns-zero-from-unicasts",
        "LRN-6",
        "the zero address is learned from unicasts",
        _LearnsZeroFromUnicast,
    ),
    broken_memory(
        "bridge-own-port-flooded",
        "LRN-7",
        "a frame to an address behind its port is flooded",
        _OwnPortFlooded,
    ),
    broken_memory(
        "bridge-own-port-returned",
        "LRN-7",
        "a frame to an address behind its port comes back",
        _OwnPortReturned,
    ),
    broken_memory(
        "bridge-own-port-to-the-last",
        "LRN-7",
        "such a frame goes to the last port",
        _OwnPortToTheNext,
    ),
    broken_memory(
        "bridge-never-flushes",
        "LRN-8",
        "a port that goes down keeps its addresses (SONiC 4184)",
        _NeverFlushes,
    ),
    broken_memory(
        "bridge-flushes-own-address",
        "LRN-8",
        "only the port's own address is flushed",
        _FlushesOwnAddress,
    ),
    broken_memory(
        "bridge-flush-moves",
        "LRN-8",
        "the addresses of a closed port move to another one",
        _FlushMoves,
    ),
    broken_memory(
        "bridge-table-of-128", "LRN-9", "the table holds 128 addresses, not 1,024", _TableOf128
    ),
    broken_memory(
        "bridge-one-per-bucket",
        "LRN-9",
        "addresses with the same lowest ten bits evict each other",
        _OnePerBucket,
    ),
    broken_memory(
        "bridge-hash-of-one-byte",
        "LRN-9",
        "addresses with the same last byte evict each other",
        _OneByteHash,
    ),
    broken_memory(
        "bridge-full-table-drops",
        "LRN-9",
        "unknown unicasts are dropped while the table is full",
        _FullTableStopsFlooding,
    ),
    broken_memory(
        "bridge-misses-every-fourth",
        "LRN-9",
        "every fourth new address of a burst is missed",
        _SlowTable,
    ),
)
