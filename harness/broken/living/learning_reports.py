"""Broken learning LANs, after what users report of tables of addresses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from harness.broken.living.hooks import broken_memory, is_tagged, losing
from harness.lans.memory import MemoryLearning, MemoryPort

_VRRP = bytes.fromhex("00005e0001")


class _NotFromKnown(MemoryLearning):
    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        if frame[:6] not in self.table:
            super().learn(sender, frame)


class _OwnAddressesStay(MemoryLearning):
    """A port's own address is a static entry of its table."""

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        if not any(port.mac == frame[6:12] for port in self.others(sender)):
            super().learn(sender, frame)


class _BlocksFlapping(MemoryLearning):
    """An address that has moved three times is taken for a loop, and gets nothing."""

    def begin(self) -> None:
        super().begin()
        self.moves: Counter[bytes] = Counter()

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        if self.table.get(frame[6:12], sender) is not sender:
            self.moves[frame[6:12]] += 1
        super().learn(sender, frame)

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        return () if self.moves[frame[:6]] > 3 else super().targets(sender, frame)


class _FlushesWhenUp(MemoryLearning):
    """The addresses of a port are forgotten when it returns, not when it leaves."""

    def port_went_down(self, port: MemoryPort) -> None:
        pass

    def port_came_up(self, port: MemoryPort) -> None:
        super().port_went_down(port)


class _FlushMissesMoved(MemoryLearning):
    """The list of addresses to flush is that of the port where each was first learned."""

    def begin(self) -> None:
        super().begin()
        self.first: dict[bytes, MemoryPort] = {}

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        super().learn(sender, frame)
        if frame[6:12] in self.table:
            self.first.setdefault(frame[6:12], sender)

    def port_went_down(self, port: MemoryPort) -> None:
        for address in [known for known, first in self.first.items() if first is port]:
            self.table.pop(address, None)
            del self.first[address]


class _RestoresAtReturn(MemoryLearning):
    """A port that returns has the addresses that it had, wherever they are now."""

    def begin(self) -> None:
        super().begin()
        self.had: dict[MemoryPort, list[bytes]] = {}

    def port_went_down(self, port: MemoryPort) -> None:
        self.had[port] = [address for address, at in self.table.items() if at is port]
        super().port_went_down(port)

    def port_came_up(self, port: MemoryPort) -> None:
        self.table.update(dict.fromkeys(self.had.pop(port, ()), port))


class _NotGlobal(MemoryLearning):
    def learnable(self, source: bytes) -> bool:
        return super().learnable(source) and source[0] & 2 == 2


class _NotVrrp(MemoryLearning):
    def learnable(self, source: bytes) -> bool:
        return super().learnable(source) and source[:5] != _VRRP


class _HashAlone(MemoryLearning):
    """A table without the addresses: two with one checksum are one."""

    def begin(self) -> None:
        super().begin()
        self.by_hash: dict[int, MemoryPort] = {}

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        super().learn(sender, frame)
        if self.learnable(frame[6:12]):
            self.by_hash[_fold(frame[6:12])] = sender

    def look_up(self, destination: bytes) -> MemoryPort | None:
        return super().look_up(destination) or self.by_hash.get(_fold(destination))

    def port_went_down(self, port: MemoryPort) -> None:
        super().port_went_down(port)
        self.by_hash = {key: at for key, at in self.by_hash.items() if at is not port}


def _fold(address: bytes) -> int:
    """Sixteen bits of an address."""
    return int.from_bytes(address[:2]) ^ int.from_bytes(address[2:4]) ^ int.from_bytes(address[4:])


class _TablePerVlan(MemoryLearning):
    """A table for tagged frames, and one for all others."""

    tagged_table: dict[bytes, MemoryPort]

    def begin(self) -> None:
        super().begin()
        self.tagged_table = {}

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        if is_tagged(frame):
            self.table, self.tagged_table = self.tagged_table, self.table
        super().relay(sender, frame)
        if is_tagged(frame):
            self.table, self.tagged_table = self.tagged_table, self.table

    def port_went_down(self, port: MemoryPort) -> None:
        self.tagged_table = {mac: at for mac, at in self.tagged_table.items() if at is not port}
        super().port_went_down(port)


class _Forgets(MemoryLearning):
    """An address is forgotten when 256 frames of others have followed its own."""

    def begin(self) -> None:
        super().begin()
        self.now = 0
        self.heard: dict[bytes, int] = {}

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        self.now += 1
        self.heard[frame[6:12]] = self.now
        super().learn(sender, frame)

    def look_up(self, destination: bytes) -> MemoryPort | None:
        fresh = self.now - self.heard.get(destination, self.now) <= 256
        return super().look_up(destination) if fresh else None


class _PortSecurity(MemoryLearning):
    """A port may have 100 addresses; frames of others are dropped."""

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        known = frame[6:12] in self.table or not self.learnable(frame[6:12])
        if known or [*self.table.values()].count(sender) < 100:
            super().relay(sender, frame)


class _FullTableMisdelivers(MemoryLearning):
    """One address too many takes the place of another, whose port stays in the table."""

    def has_room(self) -> bool:
        return True

    def look_up(self, destination: bytes) -> MemoryPort | None:
        if len(self.table) > 1_024 and destination not in self.table:
            return self.made[-1]
        return super().look_up(destination)


class _TableOf1000(MemoryLearning):
    def has_room(self) -> bool:
        return len(self.table) < 1_000


class _FlushesEverything(MemoryLearning):
    """vde_switch forgets everything when a port joins; this one does when one leaves."""

    def port_went_down(self, port: MemoryPort) -> None:
        self.table.clear()


class _FlushesEight(MemoryLearning):
    def port_went_down(self, port: MemoryPort) -> None:
        for address in [known for known, at in self.table.items() if at is port][:8]:
            del self.table[address]


class _FlushesAllButOwn(MemoryLearning):
    def port_went_down(self, port: MemoryPort) -> None:
        super().port_went_down(port)
        self.table[port.mac] = port


class _ZeroFlushesPort(MemoryLearning):
    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        if not any(frame[6:12]):
            self.port_went_down(sender)
        super().learn(sender, frame)


class _LearnsStationOfGroup(MemoryLearning):
    """The group bit of a source is cleared before it is learned."""

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        plain = bytes((frame[6] & 0xFE,)) + frame[7:]
        super().learn(sender, frame[:6] + plain)


class _NotFromFiltered(MemoryLearning):
    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        if not self.keeps(frame[:6]):
            super().learn(sender, frame)


BROKEN = (
    broken_memory(
        "bridge-ignores-known-unicast",
        "LRN-3",
        "nothing is learned from unicasts to known addresses",
        _NotFromKnown,
    ),
    broken_memory(
        "bridge-own-addresses-stay",
        "LRN-4",
        "the address of a port never moves to another one",
        _OwnAddressesStay,
    ),
    broken_memory(
        "bridge-blocks-flapping",
        "LRN-4",
        "an address that moved four times gets nothing more",
        _BlocksFlapping,
    ),
    broken_memory(
        "bridge-flushes-when-up",
        "LRN-8",
        "addresses are flushed when their port returns, not when it leaves",
        _FlushesWhenUp,
    ),
    broken_memory(
        "bridge-flush-misses-moved",
        "LRN-8",
        "addresses that moved to a port are not flushed with it",
        _FlushMissesMoved,
    ),
    broken_memory(
        "bridge-restores-at-return",
        "LRN-4",
        "a port that returns takes back addresses that have moved",
        _RestoresAtReturn,
    ),
    broken_memory(
        "bridge-drops-to-zero",
        "LRN-1",
        "frames to 00:00:00:00:00:00 are dropped",
        losing(MemoryLearning, lambda frame: not any(frame[:6])),
    ),
    broken_memory(
        "bridge-ignores-global-addresses",
        "LRN-3",
        "only locally administered addresses are learned",
        _NotGlobal,
    ),
    broken_memory(
        "bridge-ignores-vrrp-addresses",
        "LRN-3",
        "addresses of virtual routers are not learned",
        _NotVrrp,
    ),
    broken_memory(
        "bridge-hash-alone",
        "LRN-1",
        "an unknown address with a known one's checksum is taken for it",
        _HashAlone,
    ),
    broken_memory(
        "bridge-table-per-vlan",
        "LRN-3",
        "what tagged frames teach is known to tagged frames alone",
        _TablePerVlan,
    ),
    broken_memory(
        "bridge-forgets-after-256",
        "LRN-9",
        "an address is forgotten after 256 frames of others",
        _Forgets,
    ),
    broken_memory(
        "bridge-hundred-per-port", "LRN-9", "a port has 100 addresses at most", _PortSecurity
    ),
    broken_memory(
        "bridge-learns-group-as-station",
        "LRN-5",
        "a group source is learned without its bit",
        _LearnsStationOfGroup,
    ),
    broken_memory(
        "bridge-zero-flushes",
        "LRN-6",
        "a zero source flushes what its port has taught",
        _ZeroFlushesPort,
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
        "bridge-flushes-everything",
        "LRN-8",
        "a port that goes down takes all addresses along",
        _FlushesEverything,
    ),
    broken_memory(
        "bridge-table-of-1000",
        "LRN-9",
        "the table holds 1,000 addresses, not 1,024",
        _TableOf1000,
    ),
    broken_memory(
        "bridge-full-table-misdelivers",
        "LRN-9",
        "unknown unicasts go to the last port when the table has overflowed",
        _FullTableMisdelivers,
    ),
    broken_memory(
        "bridge-ignores-reserved-groups",
        "LRN-3",
        "nothing is learned from filtered groups",
        _NotFromFiltered,
    ),
)
