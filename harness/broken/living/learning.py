"""Broken learning LANs: how frames are forwarded, and what is learned and moved (LRN-1 to 4)."""

from __future__ import annotations

from collections.abc import Iterable

from harness.broken.living.hooks import (
    ARP,
    BROADCAST,
    IPV4,
    IPV6,
    Leaks,
    broken_memory,
    is_long,
    is_tagged,
    leaking,
)
from harness.lans.memory import MemoryLearning, MemoryPort, is_group

_TYPES = 0x600


class _UnknownDropped(MemoryLearning):
    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        targets = super().targets(sender, frame)
        unknown = not is_group(frame) and frame[:6] not in self.table
        return () if unknown else targets


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


class _NotFromMulticast(_NotLearnedFrom):
    def ignores(self, sender: MemoryPort, frame: bytes) -> bool:
        return is_group(frame) and frame[:6] != BROADCAST


class _NotFromUnknown(_NotLearnedFrom):
    def ignores(self, sender: MemoryPort, frame: bytes) -> bool:
        return not is_group(frame) and frame[:6] not in self.table


class _OnlyFromIp(_NotLearnedFrom):
    def ignores(self, sender: MemoryPort, frame: bytes) -> bool:
        return frame[12:14] not in (ARP, IPV4, IPV6, b"\x88\xb5")


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


_KNOWN = MemoryLearning


BROKEN = (
    broken_memory(
        "bridge-drops-unknown",
        "LRN-1",
        "unknown unicasts are dropped (renode 140)",
        _UnknownDropped,
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
        "INT-1",
        "known unicasts above 1,514 bytes are flooded",
        leaking(_KNOWN, is_long),
    ),
    broken_memory(
        "bridge-floods-tagged-known",
        "INT-2",
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
        "DLV-1",
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
)
