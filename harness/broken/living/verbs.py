"""LANs broken in what ports do besides sending: links, deaths, pauses, groups, ageing, counters."""

from __future__ import annotations

from collections.abc import Iterable

from harness.broken.living.hooks import BROADCAST, Loses, broken_memory
from harness.lans.memory import (
    AGEING_S,
    MemoryDirectory,
    MemoryLan,
    MemoryLearning,
    MemoryPort,
    MemoryRepeater,
    is_group,
)

# Links


class _LinkKeeps(MemoryRepeater):
    """A frame for a port without link waits until the link is there again."""

    def begin(self) -> None:
        super().begin()
        self.kept: dict[MemoryPort, bytes] = {}

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        super().relay(sender, frame)
        for port in self.others(sender):
            if not port.up and port.plugged:
                self.kept[port] = frame

    def port_came_up(self, port: MemoryPort) -> None:
        if port in self.kept:
            port.deliver(self.kept.pop(port))


class _LinkStaysDown(Loses, MemoryDirectory):
    """A port whose link has failed for the third time gets no group frames."""

    def begin(self) -> None:
        super().begin()
        self.failed: dict[MemoryPort, int] = {}

    def port_went_down(self, port: MemoryPort) -> None:
        self.failed[port] = self.failed.get(port, 0) + port.plugged

    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        return self.failed.get(port, 0) >= 3 and is_group(frame)


class _LinkDoesNotFlush(MemoryLearning):
    """Only a port that leaves is forgotten, not one whose link fails (faucet 3400)."""

    def port_went_down(self, port: MemoryPort) -> None:
        if not port.plugged:
            super().port_went_down(port)


class _LinkIgnored(MemoryLearning):
    """Frames cross a link that is down, towards the port."""

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        self.learn(sender, frame)
        for port in self.targets(sender, frame):
            if port.plugged:
                self.pass_to(port, frame)


# Peers that die


class _DeadKeepsPlace(MemoryDirectory):
    """A newcomer does not take the dead one's place: unicasts go there (CubeSandbox 1240)."""

    def begin(self) -> None:
        super().begin()
        self.dead: set[MemoryPort] = set()

    def port_vanished(self, port: MemoryPort) -> None:
        self.dead.add(port)

    def port_went_down(self, port: MemoryPort) -> None:
        self.dead.discard(port)

    def wants(self, port: MemoryPort, frame: bytes) -> bool:
        return port not in self.dead and super().wants(port, frame)


class _DeadLeavesFrames(MemoryRepeater):
    """A newcomer gets the broadcasts that were for the dead one."""

    def begin(self) -> None:
        super().begin()
        self.left: dict[MemoryPort, list[bytes]] = {}

    def port_vanished(self, port: MemoryPort) -> None:
        self.left[port] = []

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        super().relay(sender, frame)
        for port, frames in self.left.items():
            if port is not sender and frame[:6] == BROADCAST:
                frames.append(frame)

    def port_came_up(self, port: MemoryPort) -> None:
        for frame in self.left.pop(port, ()):
            port.deliver(frame)


class _DeadBlocks(MemoryLearning):
    """While a peer is dead, what is for a group waits for it, and reaches nobody."""

    def begin(self) -> None:
        super().begin()
        self.dead: set[MemoryPort] = set()

    def port_vanished(self, port: MemoryPort) -> None:
        self.dead.add(port)

    def port_came_up(self, port: MemoryPort) -> None:
        self.dead.discard(port)

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        if not (self.dead and is_group(frame)):
            super().relay(sender, frame)


class _DeadLeak(Loses, MemoryLearning):
    """Each dead peer leaves a socket open, and there are sixteen."""

    def begin(self) -> None:
        super().begin()
        self.open_sockets = 0

    def port_vanished(self, port: MemoryPort) -> None:
        self.open_sockets += 1

    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        return self.open_sockets > 10


# Ports that take no frames


class _StuckStops(Loses, MemoryRepeater):
    """A port whose queue is full stops what is flooded (socket_vmnet 173)."""

    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        return any(len(other.unread) >= self.traits.burst for other in self.made)


class _StuckForGood(MemoryDirectory):
    """A port whose queue was full is deaf for good (gvisor-tap-vsock 370)."""

    def begin(self) -> None:
        super().begin()
        self.deaf: set[MemoryPort] = set()

    def not_taken(self, port: MemoryPort, frame: bytes) -> None:
        super().not_taken(port, frame)
        if len(port.unread) >= self.traits.burst:
            self.deaf.add(port)

    def pass_to(self, port: MemoryPort, frame: bytes) -> None:
        if port not in self.deaf or port.paused:
            super().pass_to(port, frame)


class _StuckBackwards(MemoryLearning):
    """What waited for a port arrives last frame first."""

    def takes_again(self, port: MemoryPort) -> None:
        port.unread.reverse()
        super().takes_again(port)


class _StuckTwice(MemoryDirectory):
    """The last frame that waited for a port arrives again."""

    def takes_again(self, port: MemoryPort) -> None:
        last = port.unread[-1:]
        super().takes_again(port)
        for frame in last:
            port.deliver(frame)


# Groups by their addresses


class _FilterOf64(MemoryDirectory):
    """A filter has 64 places, and no more groups are joined."""

    def to_group(self, sender: MemoryPort, group: bytes) -> list[MemoryPort]:
        targets = super().to_group(sender, group)
        return [
            port
            for port in targets
            if group not in port.joined or sorted(port.joined).index(group) < 64
        ]


class _LeavesAll(MemoryLearning):
    """A port that leaves a group takes all other members along."""

    def begin(self) -> None:
        super().begin()
        self.members: dict[bytes, int] = {}

    def to_group(self, sender: MemoryPort, group: bytes) -> list[MemoryPort]:
        targets = super().to_group(sender, group)
        count = sum(group in port.joined for port in self.made)
        most = self.members[group] = max(count, self.members.get(group, 0))
        return [port for port in targets if group not in port.joined] if count < most else targets


class _NeverLeaves(MemoryLearning):
    """A port stays a member of what it has joined."""

    def begin(self) -> None:
        super().begin()
        self.once: dict[bytes, set[MemoryPort]] = {}

    def to_group(self, sender: MemoryPort, group: bytes) -> list[MemoryPort]:
        members = {port for port in self.made if group in port.joined}
        once = self.once.setdefault(group, set())
        once |= members
        targets = super().to_group(sender, group)
        return targets + [port for port in once if port not in targets and port is not sender]


class _HashLeave(Loses, MemoryDirectory):
    """Leaving a group clears the bit of its hash, and so leaves all groups with that hash."""

    def begin(self) -> None:
        super().begin()
        self.bits: set[tuple[int, int]] = set()

    def group_joined(self, port: MemoryPort, group: bytes) -> None:
        self.bits.add((port.number, self.bit(group)))

    def group_left(self, port: MemoryPort, group: bytes) -> None:
        self.bits.discard((port.number, self.bit(group)))

    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        group = frame[:6]
        return group in port.joined and (port.number, self.bit(group)) not in self.bits

    @staticmethod
    def bit(group: bytes) -> int:
        """Which of 64 bits stands for a group."""
        return sum(group) % 64


class _JoinedTwice(MemoryRepeater):
    """A member gets its groups twice: once for all, once for the group."""

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        yield from super().targets(sender, frame)
        yield from (port for port in self.others(sender) if frame[:6] in port.joined)


class _JoiningEndsBroadcasts(Loses, MemoryDirectory):
    """A port that joined a group by its address gets no broadcasts."""

    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        return bool(port.joined) and frame[:6] == BROADCAST


# Ageing


class _NeverAges(MemoryLearning):
    def is_old(self, address: bytes) -> bool:
        return False


class _AgesEarly(MemoryLearning):
    """An address is forgotten after half of the ageing time."""

    def is_old(self, address: bytes) -> bool:
        return self.clock_s - self.heard_s.get(address, 0.0) >= AGEING_S / 2


class _NotRefreshed(MemoryLearning):
    """Time runs from the first frame of an address: later ones do not refresh it."""

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        before = self.heard_s.get(frame[6:12]) if frame[6:12] in self.table else None
        super().learn(sender, frame)
        if before is not None:
            self.heard_s[frame[6:12]] = before


class _RefreshedByReceiving(MemoryLearning):
    """A frame for an address refreshes it too."""

    def look_up(self, destination: bytes) -> MemoryPort | None:
        known = super().look_up(destination)
        if known is not None:
            self.heard_s[destination] = self.clock_s
        return known


class _AgesAll(MemoryLearning):
    """When one address is too old all are forgotten."""

    def age(self, seconds: float) -> None:
        before = len(self.table)
        super().age(seconds)
        if len(self.table) < before:
            self.table.clear()


# Counters


class _CountsNoGroups(MemoryDirectory):
    def count_received(self, port: MemoryPort, frame: bytes) -> None:
        port.received += not is_group(frame)


class _CountsFloodedForAll(MemoryLearning):
    """What a port sends to a group counts once for each port that it reached."""

    def count_sent(self, port: MemoryPort, frame: bytes) -> None:
        port.sent += len(self.others(port)) if is_group(frame) else 1


class _RestartsCounters(MemoryRepeater):
    """Counters begin anew when a port returns (vmxnet3)."""

    def port_came_up(self, port: MemoryPort) -> None:
        port.sent = port.received = 0


class _CountsWhatIsLost(MemoryRepeater):
    """A full frame counts twice: once as too long."""

    def count_received(self, port: MemoryPort, frame: bytes) -> None:
        port.received += 1 + (len(frame) == 1_514)


_ROWS: tuple[tuple[str, str, str, type[MemoryLan]], ...] = (
    (
        "hub-link-keeps-a-frame",
        "PORT-5",
        "a frame for a port without link arrives later",
        _LinkKeeps,
    ),
    (
        "directory-link-loses-groups",
        "PORT-5",
        "a port whose link failed three times gets no group frames",
        _LinkStaysDown,
    ),
    ("bridge-link-ignored", "PORT-5", "frames reach a port whose link is down", _LinkIgnored),
    (
        "bridge-link-does-not-flush",
        "LRN-8",
        "addresses stay known when only the link fails (faucet 3400)",
        _LinkDoesNotFlush,
    ),
    (
        "directory-dead-keeps-its-place",
        "PORT-6",
        "a newcomer gets no unicasts: the dead one has its address (CubeSandbox 1240)",
        _DeadKeepsPlace,
    ),
    (
        "hub-dead-leaves-frames",
        "PORT-6",
        "a newcomer gets broadcasts that were for the dead one",
        _DeadLeavesFrames,
    ),
    ("bridge-dead-blocks", "PORT-6", "no group frame crosses while a peer is dead", _DeadBlocks),
    ("bridge-dead-leak", "PORT-6", "after eleven deaths nothing crosses", _DeadLeak),
    (
        "hub-stuck-stops-all",
        "LOAD-5",
        "a port whose queue is full stops all others (socket_vmnet 173)",
        _StuckStops,
    ),
    (
        "directory-stuck-for-good",
        "LOAD-5",
        "a port whose queue was full is deaf for good (gvisor-tap-vsock 370)",
        _StuckForGood,
    ),
    ("bridge-stuck-backwards", "LOAD-5", "what waited arrives last frame first", _StuckBackwards),
    ("directory-stuck-twice", "LOAD-5", "the last frame that waited arrives twice", _StuckTwice),
    ("directory-filter-of-64", "GRP-3", "of the groups of a port 64 are received", _FilterOf64),
    ("bridge-leaving-takes-all", "GRP-3", "who leaves a group takes its members along", _LeavesAll),
    ("bridge-never-leaves", "GRP-3", "a port stays a member of all it has joined", _NeverLeaves),
    ("hub-joined-twice", "GRP-3", "a member receives its groups' frames twice", _JoinedTwice),
    (
        "directory-joining-ends-broadcasts",
        "GRP-3",
        "a port that joined a group gets no broadcast",
        _JoiningEndsBroadcasts,
    ),
    (
        "directory-hash-of-left-groups",
        "GRP-3",
        "leaving a group leaves all groups with its hash",
        _HashLeave,
    ),
    ("bridge-never-ages", "LRN-10", "an address is never forgotten", _NeverAges),
    ("bridge-ages-early", "LRN-10", "addresses are forgotten after half the time", _AgesEarly),
    ("bridge-not-refreshed", "LRN-10", "frames of an address do not refresh it", _NotRefreshed),
    (
        "bridge-refreshed-by-receiving",
        "LRN-10",
        "frames for an address keep it known",
        _RefreshedByReceiving,
    ),
    ("bridge-ages-all", "LRN-10", "with one old address all are forgotten", _AgesAll),
    ("directory-counts-no-groups", "CNT-5", "group frames are not counted", _CountsNoGroups),
    (
        "bridge-counts-flooded-for-all",
        "CNT-5",
        "a group frame counts once per receiver for its sender",
        _CountsFloodedForAll,
    ),
    ("hub-restarts-counters", "CNT-5", "counters restart when a port returns", _RestartsCounters),
    ("hub-counts-full-twice", "CNT-5", "frames of 1,514 bytes count twice", _CountsWhatIsLost),
)

BROKEN = tuple(broken_memory(*row) for row in _ROWS)
