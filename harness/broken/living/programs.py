"""Broken LANs of all kinds that only random programs show (PRG-1)."""

from __future__ import annotations

from collections.abc import Iterable

from harness.broken.living.hooks import (
    IPV4,
    Leaks,
    Loses,
    altering,
    broken_memory,
    is_long,
    is_tagged,
)
from harness.lans.memory import (
    MemoryDirectory,
    MemoryLearning,
    MemoryPort,
    MemoryRepeater,
    is_group,
)


def _fragments_cleared(frame: bytes) -> bytes:
    if frame[12:14] != IPV4 or len(frame) < 34:
        return frame
    return frame[:20] + bytes((frame[20] & 0xDF,)) + frame[21:]


class _UnknownDropped(MemoryLearning):
    """Drops frames of some sort for addresses that it does not know."""

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        targets = super().targets(sender, frame)
        unknown = not is_group(frame) and frame[:6] not in self.table
        return () if unknown and self.drops(frame) else targets

    def drops(self, frame: bytes) -> bool:
        raise NotImplementedError


class _DeadAfterOversized(MemoryRepeater):
    dead = False

    def enter(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        self.dead |= len(frame) > self.traits.longest
        return () if self.dead else (frame,)


class _NotFromLong(MemoryLearning):
    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        if not is_long(frame):
            super().learn(sender, frame)


class _TaggedUnknownDropped(_UnknownDropped):
    def drops(self, frame: bytes) -> bool:
        return is_tagged(frame)


class _LongUnknownDropped(_UnknownDropped):
    def drops(self, frame: bytes) -> bool:
        return is_long(frame)


class _LateAfterClose(MemoryDirectory):
    """The last frame before a port closes comes a second time when another one closes."""

    last: tuple[MemoryPort, bytes] | None = None

    def leave(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        self.last = port, frame
        return (frame,)

    def port_went_down(self, port: MemoryPort) -> None:
        if self.last is not None and self.last[0].up:
            self.last[0].deliver(self.last[1])


class _NobodysToTheFirst(Leaks, MemoryDirectory):
    def leaks(self, sender: MemoryPort, port: MemoryPort, frame: bytes) -> bool:
        return port is self.made[0] and all(other.mac != frame[:6] for other in self.made)


class _DeadMemberEndsGroups(Loses, MemoryLearning):
    """When a member of groups dies, its groups reach nobody."""

    def begin(self) -> None:
        super().begin()
        self.ended: set[bytes] = set()

    def port_vanished(self, port: MemoryPort) -> None:
        self.ended |= port.joined

    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        return frame[:6] in self.ended


class _LinkEndsMode(MemoryDirectory):
    """A promiscuous port whose link fails is promiscuous no more."""

    def begin(self) -> None:
        super().begin()
        self.ended: set[MemoryPort] = set()

    def port_went_down(self, port: MemoryPort) -> None:
        if port.plugged and port.promiscuous:
            self.ended.add(port)

    def wants(self, port: MemoryPort, frame: bytes) -> bool:
        if not port.promiscuous:
            self.ended.discard(port)
        return port.mac == frame[:6] or (port.promiscuous and port not in self.ended)


class _ResumeForgets(MemoryLearning):
    """When a port takes frames again, all addresses are forgotten."""

    def takes_again(self, port: MemoryPort) -> None:
        super().takes_again(port)
        self.table.clear()


BROKEN = (
    broken_memory(
        "bridge-dead-member-ends-groups",
        "PRG-1",
        "the groups of a member that died reach nobody",
        _DeadMemberEndsGroups,
    ),
    broken_memory(
        "directory-link-ends-mode",
        "PRG-1",
        "a promiscuous port whose link failed is so no more",
        _LinkEndsMode,
    ),
    broken_memory(
        "bridge-resume-forgets",
        "PRG-1",
        "all addresses are forgotten when a port takes frames again",
        _ResumeForgets,
    ),
    broken_memory(
        "directory-nobodys-to-the-first",
        "PRG-1",
        "what is for nobody reaches the first port",
        _NobodysToTheFirst,
    ),
    broken_memory(
        "directory-again-at-a-close",
        "PRG-1",
        "the last frame comes again when a port closes",
        _LateAfterClose,
    ),
    broken_memory(
        "bridge-drops-long-unknown",
        "PRG-1",
        "unknown unicasts above 1,514 bytes are dropped",
        _LongUnknownDropped,
    ),
    broken_memory(
        "bridge-drops-tagged-unknown",
        "PRG-1",
        "unknown unicasts with a tag are dropped",
        _TaggedUnknownDropped,
    ),
    broken_memory(
        "bridge-ignores-long",
        "PRG-1",
        "nothing is learned from frames above 1,514 bytes",
        _NotFromLong,
    ),
    broken_memory(
        "hub-clears-more-fragments",
        "PRG-1",
        "the more-fragments bit of IPv4 is cleared",
        altering(MemoryRepeater, _fragments_cleared),
    ),
    broken_memory(
        "hub-dead-after-oversized",
        "PRG-1",
        "nothing crosses after an oversized frame (gns3-gui 1867)",
        _DeadAfterOversized,
    ),
)
