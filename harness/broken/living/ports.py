"""Broken LANs of all kinds: ports that come and go, and LANs beside each other (PORT, ISO)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from harness.broken.living.hooks import Loses, Shared, broken_memory
from harness.lans.memory import (
    MemoryDirectory,
    MemoryLan,
    MemoryLearning,
    MemoryPort,
    MemoryRepeater,
    is_group,
)


class _Keeps(MemoryLan):
    """Keeps frames for ports that are away."""

    most = 1_000

    def begin(self) -> None:
        super().begin()
        self.kept: dict[MemoryPort, list[bytes]] = {}

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        for port in self.targets(sender, frame):
            if not port.up and self.keeps_for_later(frame):
                self.kept.setdefault(port, []).append(frame)
        super().relay(sender, frame)

    def keeps_for_later(self, frame: bytes) -> bool:
        return True

    def port_came_up(self, port: MemoryPort) -> None:
        super().port_came_up(port)
        for frame in self.kept.pop(port, [])[-self.most :]:
            port.deliver(frame)


class _KeepsAll(_Keeps, MemoryRepeater):
    """ironcore-dev/dpservice 663."""


class _KeepsLast(_Keeps, MemoryLearning):
    most = 1


class _KeepsUnicasts(_Keeps, MemoryDirectory):
    def keeps_for_later(self, frame: bytes) -> bool:
        return not is_group(frame)


class _KeepsUntilTheNext(_Keeps, MemoryDirectory):
    """What was kept arrives with the first frame after the return."""

    def port_came_up(self, port: MemoryPort) -> None:
        pass

    def pass_to(self, port: MemoryPort, frame: bytes) -> None:
        for old in self.kept.pop(port, []):
            port.deliver(old)
        super().pass_to(port, frame)


class _TakesPlaces(MemoryDirectory):
    """FD.io VPP 1427: a port that returns takes the place that became free last."""

    def begin(self) -> None:
        self.free: list[bytes] = []
        self.places: dict[MemoryPort, bytes] = {}

    def port_went_down(self, port: MemoryPort) -> None:
        self.free.append(self.places.get(port, port.mac))

    def port_came_up(self, port: MemoryPort) -> None:
        self.places[port] = self.free.pop()

    def wants(self, port: MemoryPort, frame: bytes) -> bool:
        return port.promiscuous or self.places.get(port, port.mac) == frame[:6]


class _FirstAfterReturnLost(MemoryLearning):
    def begin(self) -> None:
        super().begin()
        self.fresh: set[MemoryPort] = set()

    def port_came_up(self, port: MemoryPort) -> None:
        self.fresh.add(port)

    def leave(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        if port in self.fresh:
            self.fresh.remove(port)
            return ()
        return (frame,)


class _ReturnedGetsNoGroups(MemoryRepeater):
    def begin(self) -> None:
        self.returned: set[MemoryPort] = set()

    def port_came_up(self, port: MemoryPort) -> None:
        self.returned.add(port)

    def leave(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        return () if port in self.returned and is_group(frame) else (frame,)


class _ReturnedTwice(MemoryRepeater):
    """A port that returns is in the list of ports twice."""

    def begin(self) -> None:
        self.returned: set[MemoryPort] = set()

    def port_came_up(self, port: MemoryPort) -> None:
        self.returned.add(port)

    def leave(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        return (frame, frame) if port in self.returned else (frame,)


class _CloseTakesTheNext(MemoryLearning):
    """A port that leaves takes the next one along, until it is back."""

    def leave(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        before = self.made[port.number - 2]
        return () if port.number > 1 and not before.up else (frame,)


class _SendsWhileDown(MemoryDirectory):
    def refuses(self, port: MemoryPort, frame: bytes) -> str:
        return "" if not port.up else super().refuses(port, frame)


class _SendWhileDownStops(MemoryLearning):
    """A frame of a port that is down blocks the LAN until the port is back."""

    blocked_by: MemoryPort | None = None

    def refuses(self, port: MemoryPort, frame: bytes) -> str:
        if not port.up:
            self.blocked_by = port
        return super().refuses(port, frame)

    def enter(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        blocked = self.blocked_by is not None and not self.blocked_by.up
        return () if blocked else super().enter(port, frame)


class _KeptFromDown(MemoryDirectory):
    """What a port sent while it was down leaves when it is back."""

    def begin(self) -> None:
        self.kept: dict[MemoryPort, list[bytes]] = {}

    def refuses(self, port: MemoryPort, frame: bytes) -> str:
        if not port.up:
            self.kept.setdefault(port, []).append(frame)
        return super().refuses(port, frame)

    def port_came_up(self, port: MemoryPort) -> None:
        for frame in self.kept.pop(port, []):
            self.relay(port, frame)


class _Returns(MemoryLan):
    """Counts how often each port came back."""

    def begin(self) -> None:
        super().begin()
        self.returns: Counter[MemoryPort] = Counter()

    def port_came_up(self, port: MemoryPort) -> None:
        super().port_came_up(port)
        self.returns[port] += 1


class _DiesAfter32(_Returns, MemoryRepeater):
    def leave(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        return () if self.returns[port] > 32 else (frame,)


class _DoublesAfter64(_Returns, MemoryLearning):
    def leave(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        return (frame,) * (1 + self.returns[port] // 64)


class _SilentAfter50(_Returns, MemoryDirectory):
    def enter(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        return () if self.returns[port] > 50 else super().enter(port, frame)


class _ShrinkingQueue(_Returns, Loses, MemoryDirectory):
    """Each return leaks a place of the queue."""

    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        return port.queue > self.traits.burst - self.returns[port]


class _SharedBroadcasts(Shared, MemoryRepeater):
    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        super().relay(sender, frame)
        for lan in self.neighbours() if is_group(frame) else ():
            for port in lan.made:
                port.deliver(frame)


class _SharedUnicasts(Shared, MemoryDirectory):
    """One registry of addresses for all LANs of a host."""

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        super().relay(sender, frame)
        for lan in self.neighbours():
            for port in lan.made:
                if port.up and port.mac == frame[:6]:
                    port.deliver(frame)


BROKEN = (
    broken_memory(
        "hub-keeps-for-those-away",
        "PORT-1",
        "a port that returns gets what it missed (dpservice 663)",
        _KeepsAll,
    ),
    broken_memory(
        "bridge-keeps-the-last",
        "PORT-1",
        "a port that returns gets the last frame it missed",
        _KeepsLast,
    ),
    broken_memory(
        "directory-keeps-unicasts",
        "PORT-1",
        "a port that returns gets the unicasts it missed",
        _KeepsUnicasts,
    ),
    broken_memory(
        "directory-keeps-until-the-next",
        "PORT-1",
        "what a port missed arrives with the first frame after its return",
        _KeepsUntilTheNext,
    ),
    broken_memory(
        "directory-takes-places",
        "PORT-2",
        "ports that return in order get each other's frames (vpp 1427)",
        _TakesPlaces,
    ),
    broken_memory(
        "bridge-first-after-return-lost",
        "PORT-2",
        "the first frame to a port that returned is lost",
        _FirstAfterReturnLost,
    ),
    broken_memory(
        "hub-returned-get-no-groups",
        "PORT-2",
        "a port that returned gets no group frames",
        _ReturnedGetsNoGroups,
    ),
    broken_memory(
        "hub-returned-twice",
        "PORT-2",
        "a port that returned gets every frame twice",
        _ReturnedTwice,
    ),
    broken_memory(
        "bridge-close-takes-the-next",
        "PORT-3",
        "while a port is down the next one is deaf",
        _CloseTakesTheNext,
    ),
    broken_memory(
        "directory-sends-while-down", "PORT-3", "a port that is down sends", _SendsWhileDown
    ),
    broken_memory(
        "bridge-send-while-down-stops",
        "PORT-3",
        "a frame of a port that is down blocks all until it is back",
        _SendWhileDownStops,
    ),
    broken_memory(
        "directory-sends-after-return",
        "PORT-3",
        "frames of a port that is down leave later",
        _KeptFromDown,
    ),
    broken_memory(
        "hub-dies-after-32-returns",
        "PORT-4",
        "a port that returned 33 times is deaf",
        _DiesAfter32,
    ),
    broken_memory(
        "bridge-doubles-after-64-returns",
        "PORT-4",
        "from its 64th return on a port gets frames twice",
        _DoublesAfter64,
    ),
    broken_memory(
        "directory-silent-after-50-returns",
        "PORT-4",
        "a port that returned 51 times is not heard",
        _SilentAfter50,
    ),
    broken_memory(
        "directory-return-costs-a-place",
        "PORT-4",
        "every return costs a place in the queue",
        _ShrinkingQueue,
    ),
    broken_memory(
        "hubs-share-groups", "ISO-1", "group frames reach the other LANs", _SharedBroadcasts
    ),
    broken_memory(
        "directories-share-addresses",
        "ISO-1",
        "unicasts reach their owner on the other LANs too",
        _SharedUnicasts,
    ),
)
