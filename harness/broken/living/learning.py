"""Broken learning LANs: what is learned, moved and forgotten (LRN)."""

from __future__ import annotations

from collections.abc import Iterable

from harness.broken.living.hooks import (
    ARP,
    BROADCAST,
    IPV4,
    IPV6,
    Counted,
    Leaks,
    broken_memory,
    is_long,
    is_tagged,
    leaking,
)
from harness.lans.memory import MemoryLearning, MemoryPort, is_group

_TYPES = 0x600
_BUCKETS = 1_024


class _UnknownDropped(MemoryLearning):
    """Drops frames of some sort for addresses that it does not know."""

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        targets = super().targets(sender, frame)
        unknown = not is_group(frame) and frame[:6] not in self.table
        return () if unknown and self.drops(frame) else targets

    def drops(self, frame: bytes) -> bool:
        return True


class _LongUnknownDropped(_UnknownDropped):
    def drops(self, frame: bytes) -> bool:
        return is_long(frame)


class _TaggedUnknownDropped(_UnknownDropped):
    def drops(self, frame: bytes) -> bool:
        return is_tagged(frame)


class _UnknownToSome(MemoryLearning):
    """Floods only to some of the ports."""

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        targets = [*super().targets(sender, frame)]
        unknown = not is_group(frame) and frame[:6] not in self.table
        return self.some(targets) if unknown else targets

    def some(self, ports: list[MemoryPort]) -> list[MemoryPort]:
        return ports[:1]


class _UnknownToTheFirstTwo(_UnknownToSome):
    def some(self, ports: list[MemoryPort]) -> list[MemoryPort]:
        return ports[:2]


class _FloodTeaches(MemoryLearning):
    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        targets = [*super().targets(sender, frame)]
        if len(targets) > 1 and not is_group(frame):
            self.table[frame[:6]] = targets[0]
        return targets


class _EverySecondFlooded(Leaks, MemoryLearning):
    def leaks(self, sender: MemoryPort, port: MemoryPort, frame: bytes) -> bool:
        known = self.table.get(frame[:6])
        return self.entered[sender.number] % 2 == 0 and known not in (None, sender)


class _MirrorsToOne(Leaks, MemoryLearning):
    def leaks(self, sender: MemoryPort, port: MemoryPort, frame: bytes) -> bool:
        return port.number == 1 and self.table.get(frame[:6]) is not sender


class _LooksUpFiveBytes(MemoryLearning):
    def look_up(self, destination: bytes) -> MemoryPort | None:
        alike = (at for known, at in self.table.items() if known[:5] == destination[:5])
        return self.table.get(destination) or next(alike, None)


class _OneAddressPerPort(MemoryLearning):
    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        self.table = {known: at for known, at in self.table.items() if at is not sender}
        super().learn(sender, frame)


class _NotLearnedFrom(MemoryLearning):
    """Learns nothing from frames of some sort."""

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        if not self.ignores(sender, frame):
            super().learn(sender, frame)

    def ignores(self, sender: MemoryPort, frame: bytes) -> bool:
        return True


class _NotFromTagged(_NotLearnedFrom):
    def ignores(self, sender: MemoryPort, frame: bytes) -> bool:
        return is_tagged(frame)


class _NotFrom8023(_NotLearnedFrom):
    def ignores(self, sender: MemoryPort, frame: bytes) -> bool:
        return int.from_bytes(frame[12:14], "big") < _TYPES


class _NotFromLong(_NotLearnedFrom):
    def ignores(self, sender: MemoryPort, frame: bytes) -> bool:
        return is_long(frame)


class _NotFromMulticast(_NotLearnedFrom):
    def ignores(self, sender: MemoryPort, frame: bytes) -> bool:
        return is_group(frame) and frame[:6] != BROADCAST


class _NotFromUnknown(_NotLearnedFrom):
    def ignores(self, sender: MemoryPort, frame: bytes) -> bool:
        return not is_group(frame) and frame[:6] not in self.table


class _OnlyFromIp(_NotLearnedFrom):
    def ignores(self, sender: MemoryPort, frame: bytes) -> bool:
        return frame[12:14] not in (ARP, IPV4, IPV6, b"\x88\xb5")


class _NotFromFiltered(_NotLearnedFrom):
    def ignores(self, sender: MemoryPort, frame: bytes) -> bool:
        return self.keeps(frame[:6])


class _NotFromNowhere(_NotLearnedFrom):
    def ignores(self, sender: MemoryPort, frame: bytes) -> bool:
        return self.table.get(frame[:6]) is sender


class _NotFromHeaders(_NotLearnedFrom):
    def ignores(self, sender: MemoryPort, frame: bytes) -> bool:
        return len(frame) < 60


class _FirstPortWins(_NotLearnedFrom):
    """bisdn/basebox 348."""

    def ignores(self, sender: MemoryPort, frame: bytes) -> bool:
        return frame[6:12] in self.table


class _MovesByGroupsAlone(_NotLearnedFrom):
    def ignores(self, sender: MemoryPort, frame: bytes) -> bool:
        return frame[6:12] in self.table and not is_group(frame)


class _MovesUpwards(_NotLearnedFrom):
    def ignores(self, sender: MemoryPort, frame: bytes) -> bool:
        known = self.table.get(frame[6:12])
        return known is not None and known.number > sender.number


class _MovesAtTheSecond(_NotLearnedFrom):
    def begin(self) -> None:
        super().begin()
        self.seen: set[tuple[bytes, int]] = set()

    def ignores(self, sender: MemoryPort, frame: bytes) -> bool:
        if self.table.get(frame[6:12], sender) is sender:
            return False
        key = frame[6:12], sender.number
        first = key not in self.seen
        self.seen ^= {key}
        return first


class _MovesOnce(_NotLearnedFrom):
    def begin(self) -> None:
        super().begin()
        self.moved: set[bytes] = set()

    def ignores(self, sender: MemoryPort, frame: bytes) -> bool:
        source = frame[6:12]
        if self.table.get(source, sender) is sender:
            return False
        before = source in self.moved
        self.moved.add(source)
        return before


class _OldPortToo(Leaks, MemoryLearning):
    def begin(self) -> None:
        super().begin()
        self.before: dict[bytes, MemoryPort] = {}

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        old = self.table.get(frame[6:12], sender)
        if old is not sender:
            self.before[frame[6:12]] = old
        super().learn(sender, frame)

    def leaks(self, sender: MemoryPort, port: MemoryPort, frame: bytes) -> bool:
        return self.before.get(frame[:6]) is port


class _MoveTakesAll(MemoryLearning):
    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        old = self.table.get(frame[6:12], sender)
        if old is not sender:
            self.table = {known: sender if at is old else at for known, at in self.table.items()}
        super().learn(sender, frame)


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


class _LearnsStationOfGroup(MemoryLearning):
    """The group bit of a source is cleared before it is learned."""

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        plain = bytes((frame[6] & 0xFE,)) + frame[7:]
        super().learn(sender, frame[:6] + plain)


class _LearnsZero(MemoryLearning):
    def learnable(self, source: bytes) -> bool:
        return not is_group(source)


class _ZeroFlushesPort(MemoryLearning):
    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        if not any(frame[6:12]):
            self.port_went_down(sender)
        super().learn(sender, frame)


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


class _FlushesAllButOwn(MemoryLearning):
    def port_went_down(self, port: MemoryPort) -> None:
        super().port_went_down(port)
        self.table[port.mac] = port


class _FlushesEight(MemoryLearning):
    def port_went_down(self, port: MemoryPort) -> None:
        for address in [known for known, at in self.table.items() if at is port][:8]:
            del self.table[address]


class _FlushMoves(MemoryLearning):
    def port_went_down(self, port: MemoryPort) -> None:
        other = self.others(port)[0]
        self.table = {known: other if at is port else at for known, at in self.table.items()}


class _FlushesEverything(MemoryLearning):
    """vde_switch forgets everything when a port joins; this one does when one leaves."""

    def port_went_down(self, port: MemoryPort) -> None:
        self.table.clear()


class _TableOf128(MemoryLearning):
    def has_room(self) -> bool:
        return len(self.table) < 128


class _TableOf1000(MemoryLearning):
    def has_room(self) -> bool:
        return len(self.table) < 1_000


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


class _FullTableMisdelivers(MemoryLearning):
    """One address too many takes the place of another, whose port stays in the table."""

    def has_room(self) -> bool:
        return True

    def look_up(self, destination: bytes) -> MemoryPort | None:
        if len(self.table) > 1_024 and destination not in self.table:
            return self.made[-1]
        return super().look_up(destination)


class _FullTableStopsFlooding(MemoryLearning):
    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        full = not self.has_room() and not is_group(frame) and frame[:6] not in self.table
        return () if full else super().targets(sender, frame)


class _SlowTable(Counted, MemoryLearning):
    """Addresses taught in one burst: every fourth is missed."""

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        if frame[6:12] in self.table or self.others(sender)[0].queue % 4 != 3:
            super().learn(sender, frame)


_KNOWN = MemoryLearning

BROKEN = (
    broken_memory(
        "bridge-drops-unknown",
        "LRN-1",
        "unknown unicasts are dropped (renode 140)",
        _UnknownDropped,
    ),
    broken_memory(
        "bridge-drops-long-unknown",
        "LRN-1",
        "unknown unicasts above 1,514 bytes are dropped",
        _LongUnknownDropped,
    ),
    broken_memory(
        "bridge-drops-tagged-unknown",
        "LRN-1",
        "unknown unicasts with a tag are dropped",
        _TaggedUnknownDropped,
    ),
    broken_memory(
        "bridge-floods-to-one",
        "LRN-1",
        "unknown unicasts go to the first other port alone",
        _UnknownToSome,
    ),
    broken_memory(
        "bridge-floods-to-two",
        "LRN-1",
        "unknown unicasts go to two other ports at most",
        _UnknownToTheFirstTwo,
    ),
    broken_memory(
        "bridge-learns-where-it-flooded",
        "LRN-1",
        "a flooded address counts as known",
        _FloodTeaches,
    ),
    broken_memory(
        "bridge-never-learns",
        "LRN-2",
        "everything is flooded (behavioral-model 180)",
        _NotLearnedFrom,
    ),
    broken_memory(
        "bridge-floods-every-second-known",
        "LRN-2",
        "every second known unicast is flooded",
        _EverySecondFlooded,
    ),
    broken_memory(
        "bridge-floods-long-known",
        "LRN-2",
        "known unicasts above 1,514 bytes are flooded",
        leaking(_KNOWN, is_long),
    ),
    broken_memory(
        "bridge-floods-tagged-known",
        "LRN-2",
        "known unicasts with a tag are flooded",
        leaking(_KNOWN, is_tagged),
    ),
    broken_memory(
        "bridge-mirrors-to-port-one",
        "WIRE-2",
        "port 1 gets a copy of every known unicast",
        _MirrorsToOne,
    ),
    broken_memory(
        "bridge-looks-up-five-bytes",
        "LRN-1",
        "the last byte of an address is not compared",
        _LooksUpFiveBytes,
    ),
    broken_memory(
        "bridge-one-address-per-port",
        "LRN-2",
        "a port's new address takes the old one's place",
        _OneAddressPerPort,
    ),
    broken_memory(
        "bridge-ignores-tagged", "LRN-3", "nothing is learned from tagged frames", _NotFromTagged
    ),
    broken_memory(
        "bridge-ignores-802-3", "LRN-3", "nothing is learned from 802.3 frames", _NotFrom8023
    ),
    broken_memory(
        "bridge-ignores-long",
        "LRN-3",
        "nothing is learned from frames above 1,514 bytes",
        _NotFromLong,
    ),
    broken_memory(
        "bridge-ignores-multicast",
        "LRN-3",
        "nothing is learned from multicasts",
        _NotFromMulticast,
    ),
    broken_memory(
        "bridge-ignores-flooded-unicast",
        "LRN-3",
        "nothing is learned from unknown unicasts",
        _NotFromUnknown,
    ),
    broken_memory(
        "bridge-learns-from-ip-alone",
        "LRN-3",
        "only ARP, IPv4, IPv6 and 0x88b5 teach",
        _OnlyFromIp,
    ),
    broken_memory(
        "bridge-ignores-reserved-groups",
        "LRN-3",
        "nothing is learned from filtered groups",
        _NotFromFiltered,
    ),
    broken_memory(
        "bridge-ignores-what-goes-nowhere",
        "LRN-3",
        "a frame to one's own port teaches nothing",
        _NotFromNowhere,
    ),
    broken_memory(
        "bridge-ignores-short",
        "LRN-3",
        "nothing is learned from frames below 60 bytes",
        _NotFromHeaders,
    ),
    broken_memory(
        "bridge-first-port-wins", "LRN-4", "an address never moves (basebox 348)", _FirstPortWins
    ),
    broken_memory(
        "bridge-moves-by-groups-alone",
        "LRN-4",
        "a unicast does not move its sender",
        _MovesByGroupsAlone,
    ),
    broken_memory(
        "bridge-moves-upwards-alone",
        "LRN-4",
        "an address moves to higher ports alone",
        _MovesUpwards,
    ),
    broken_memory(
        "bridge-moves-at-the-second-frame",
        "LRN-4",
        "an address moves with the second frame",
        _MovesAtTheSecond,
    ),
    broken_memory("bridge-moves-once", "LRN-4", "an address moves only once", _MovesOnce),
    broken_memory(
        "bridge-old-port-too", "LRN-4", "after a move the old port gets copies", _OldPortToo
    ),
    broken_memory(
        "bridge-move-takes-all", "LRN-4", "all addresses of a port move with one", _MoveTakesAll
    ),
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
    broken_memory(
        "bridge-learns-group-as-station",
        "LRN-5",
        "a group source is learned without its bit",
        _LearnsStationOfGroup,
    ),
    broken_memory("bridge-learns-zero", "LRN-6", "the zero address is learned", _LearnsZero),
    broken_memory(
        "bridge-learns-zero-from-unicasts",
        "LRN-6",
        "the zero address is learned from unicasts",
        _LearnsZeroFromUnicast,
    ),
    broken_memory(
        "bridge-zero-flushes",
        "LRN-6",
        "a zero source flushes what its port has taught",
        _ZeroFlushesPort,
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
        "bridge-flushes-all-but-own",
        "LRN-8",
        "the port's own address is kept",
        _FlushesAllButOwn,
    ),
    broken_memory(
        "bridge-flushes-eight", "LRN-8", "at most eight addresses are flushed", _FlushesEight
    ),
    broken_memory(
        "bridge-flush-moves",
        "LRN-8",
        "the addresses of a closed port move to another one",
        _FlushMoves,
    ),
    broken_memory(
        "bridge-flushes-everything",
        "LRN-2",
        "a port that goes down takes all addresses along",
        _FlushesEverything,
    ),
    broken_memory(
        "bridge-table-of-128", "LRN-9", "the table holds 128 addresses, not 1,024", _TableOf128
    ),
    broken_memory(
        "bridge-table-of-1000",
        "LRN-9",
        "the table holds 1,000 addresses, not 1,024",
        _TableOf1000,
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
        "bridge-full-table-misdelivers",
        "LRN-9",
        "unknown unicasts go to the last port when the table has overflowed",
        _FullTableMisdelivers,
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
