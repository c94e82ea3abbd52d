"""Three correct LANs in memory, one per kind: a repeater, a learning bridge and a directory.

A frame crosses at once, without threads; time is simulated and goes on by a microsecond with
every record. A frame takes four steps, each a method that a broken LAN can replace: ``enter``,
``learn``, ``targets`` and ``leave``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from harness.lan import (
    Arrival,
    Counters,
    Fate,
    FateKind,
    FrameRefused,
    LanError,
    Layout,
    Record,
    Traits,
)

START_NS = 1_185_471_663_000_000_000
"""26 July 2007, 17:41:03 UTC."""

STEP_NS = 1_000
HEADER = 14
ADDRESSES = 1_024
"""How many addresses the table of the learning LAN holds."""

AGEING_S = 300.0
"""Seconds after which the learning LAN forgets an address that is silent."""

RESERVED = bytes.fromhex("0180c20000")
"""First five bytes of the groups that a bridge keeps to a link; the sixth is 0 to 15."""

REPEATER = Traits(
    filters="nobody",
    learns=False,
    ordered=True,
    shortest=HEADER,
    longest=9_018,
    oversized="dropped",
    burst=64,
    layouts=False,
    counters=False,
    settles="barrier",
    ports=24,
    kind="repeater",
    hairpin=False,
    reserved="forwarded",
    unknown="flooded",
    promiscuous="all",
    padding=0,
    vlan="transparent",
    learns_zero=False,
    verbs=("link", "vanish", "pause", "groups", "counters"),
    groups="all",
)
LEARNING = replace(
    REPEATER,
    filters="receiver",
    learns=True,
    kind="learning",
    reserved="filtered",
    promiscuous="reached",
    addresses=ADDRESSES,
    flushes="own",
    verbs=(*REPEATER.verbs, "age"),
    groups="members",
    ageing_s=AGEING_S,
)
DIRECTORY = replace(
    REPEATER, filters="sender", kind="directory", unknown="dropped", groups="members"
)

_SENT = (Fate(FateKind.SENT),)
_DELIVERED = (Fate(FateKind.DELIVERED),)
_FILTERED = (Fate(FateKind.FILTERED),)


def is_group(address: bytes) -> bool:
    """Whether an address is a group's."""
    return bool(address[0] & 1)


class MemoryPort:
    """A port of a LAN in memory; ``queue`` counts what arrived since the LAN last settled."""

    def __init__(self, lan: MemoryLan, number: int) -> None:
        self.lan = lan
        self.number = number
        self.name = f"port{number}"
        self.mac = bytes((2, 0, 0, 0, number >> 8, number & 0xFF))
        self.up = True
        self.promiscuous = False
        self.groups = 0
        self.joined: set[bytes] = set()
        self.queue = 0
        self.paused = False
        self.unread: list[bytes] = []
        """What arrived while nothing was taken."""
        self.sent = 0
        self.received = 0
        self.plugged = True
        self._linked = True
        self._arrivals: list[Arrival] = []

    def __repr__(self) -> str:
        return f"<{self.name} of {self.lan.name}>"

    def send(self, frame: bytes, layout: Layout | None = None) -> None:
        if layout is not None and layout != Layout():
            raise LanError(f"{self.name}: {self.lan.name} takes no layouts")
        with self.lan.lock:
            self._send(frame)

    def _send(self, frame: bytes) -> None:
        why_not = self.lan.refuses(self, frame)
        if why_not:
            self.lan.record(self, "sent", frame, (Fate(FateKind.REFUSED, why_not),))
            raise FrameRefused(f"{self.name} cannot send this frame: {why_not}")
        self.lan.record(self, "sent", frame, _SENT)
        self.lan.count_sent(self, frame)
        for entered in self.lan.enter(self, frame):
            self.lan.relay(self, entered)

    def deliver(self, frame: bytes) -> None:
        """A frame is here; a port that is paused takes it later."""
        if self.paused:
            self.lan.not_taken(self, frame)
            return
        self.lan.count_received(self, frame)
        wanted = self.promiscuous or frame[:6] == self.mac or is_group(frame)
        time = self.lan.record(self, "received", frame, _DELIVERED if wanted else _FILTERED)
        self._arrivals.append(Arrival(time, frame, wanted))

    def arrivals(self) -> list[Arrival]:
        with self.lan.lock:
            arrived, self._arrivals = self._arrivals, []
            return arrived

    def set_promiscuous(self, on: bool) -> None:
        self.promiscuous = on

    def join_groups(self, count: int) -> None:
        self.groups = count
        if count == 0:
            self.joined.clear()

    def close(self) -> None:
        self.plugged = False
        self._change()

    def open(self) -> None:
        self.plugged = True
        self._change()

    def link_down(self) -> None:
        self._linked = False
        self._change()

    def link_up(self) -> None:
        self._linked = True
        self._change()

    def _change(self) -> None:
        up = self.plugged and self._linked
        if up != self.up:
            self.up = up
            self.unread.clear()
            (self.lan.port_came_up if up else self.lan.port_went_down)(self)

    def vanish(self) -> None:
        if self.plugged:
            self.up = self.plugged = False
            self.unread.clear()
            self.lan.port_vanished(self)

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        if self.paused:
            self.paused = False
            self.lan.takes_again(self)

    def join_group(self, group: bytes) -> None:
        self.joined.add(group)
        self.lan.group_joined(self, group)

    def leave_group(self, group: bytes) -> None:
        self.joined.discard(group)
        self.lan.group_left(self, group)

    def counters(self) -> Counters:
        return Counters(self.sent, self.received)


class MemoryLan:
    """A LAN in memory; ``targets`` says what kind it is."""

    traits: Traits

    def __init__(self, name: str) -> None:
        self.name = name
        self.lock = threading.RLock()
        """Held while a frame crosses: several threads may use the LAN."""
        self.made: list[MemoryPort] = []
        self._records: list[Record] = []
        self._now = START_NS
        self.begin()

    # What a frame goes through

    def refuses(self, port: MemoryPort, frame: bytes) -> str:
        """Why a port does not take a frame; empty if it does."""
        if not port.up:
            return "the port is down"
        if len(frame) < self.traits.shortest:
            return f"it has {len(frame)} bytes, and {self.traits.shortest} are the fewest"
        return ""

    def enter(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:  # noqa: ARG002
        """What becomes of a frame on its way in: none, or itself."""
        return (frame,) if len(frame) <= self.traits.longest else ()

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        """Take a frame that entered to every port that it is for."""
        self.learn(sender, frame)
        for port in self.targets(sender, frame):
            if port.up:
                self.pass_to(port, frame)

    def pass_to(self, port: MemoryPort, frame: bytes) -> None:
        """Put a frame into a port's queue; a full one drops it."""
        if port.queue < self.traits.burst:
            port.queue += 1
            for left in self.leave(port, frame):
                port.deliver(left)

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        """Take note of where a frame came from."""

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:  # noqa: ARG002
        """The ports that a frame is for, whether they are up or not."""
        return self.others(sender)

    def leave(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:  # noqa: ARG002
        """What becomes of a frame on its way out: none, or itself."""
        return (frame,)

    def others(self, sender: MemoryPort) -> list[MemoryPort]:
        """All ports but one."""
        return [port for port in self.made if port is not sender]

    def to_group(self, sender: MemoryPort, group: bytes) -> list[MemoryPort]:
        """The ports that a frame to a group is for."""
        others = self.others(sender)
        if self.traits.groups == "all" or not any(group in port.joined for port in self.made):
            return others
        sees_all = self.traits.promiscuous == "all"
        return [port for port in others if group in port.joined or (port.promiscuous and sees_all)]

    # What happens beside

    def begin(self) -> None:
        """The LAN was made, and has no port yet."""

    def port_went_down(self, port: MemoryPort) -> None:
        """A port has left."""

    def port_came_up(self, port: MemoryPort) -> None:
        """A port that had left is back."""

    def port_vanished(self, port: MemoryPort) -> None:
        """A port's peer has died, which the LAN does not notice."""

    def group_joined(self, port: MemoryPort, group: bytes) -> None:
        """A port joined a group by its address."""

    def group_left(self, port: MemoryPort, group: bytes) -> None:
        """A port left a group."""

    def not_taken(self, port: MemoryPort, frame: bytes) -> None:
        """A frame for a port that takes none waits there, or is lost."""
        if len(port.unread) < self.traits.burst:
            port.unread.append(frame)

    def takes_again(self, port: MemoryPort) -> None:
        """A port that took no frames gets those that wait for it."""
        unread, port.unread = port.unread, []
        for frame in unread:
            port.deliver(frame)

    def count_sent(self, port: MemoryPort, frame: bytes) -> None:  # noqa: ARG002
        """Count a frame that was taken from a port."""
        port.sent += 1

    def count_received(self, port: MemoryPort, frame: bytes) -> None:  # noqa: ARG002
        """Count a frame that was passed to a port."""
        port.received += 1

    def settle(self) -> None:
        with self.lock:
            for port in self.made:
                port.queue = 0

    # What the harness asks

    def ports(self, count: int) -> Sequence[MemoryPort]:
        while len(self.made) < count:
            self.made.append(MemoryPort(self, len(self.made) + 1))
        return self.made[:count]

    def record(
        self,
        port: MemoryPort,
        direction: Literal["sent", "received"],
        frame: bytes,
        fates: tuple[Fate, ...],
    ) -> int:
        """Write a line of the capture; its time."""
        self._now += STEP_NS
        self._records.append(Record(self._now, port.name, direction, frame, len(frame), (), fates))
        return self._now

    def interfaces(self) -> list[tuple[str, bytes]]:
        return [(port.name, port.mac) for port in self.made]

    def records(self) -> list[Record]:
        return self._records

    def take_records(self) -> list[Record]:
        """The records since the last call, which the LAN forgets."""
        with self.lock:
            taken, self._records = self._records, []
            return taken

    def close(self) -> None:
        """Nothing is held beyond memory."""


class MemoryRepeater(MemoryLan):
    """Sends every frame out of every other port."""

    traits = REPEATER


class MemoryLearning(MemoryLan):
    """An IEEE 802.1 bridge."""

    traits = LEARNING

    def begin(self) -> None:
        self.table: dict[bytes, MemoryPort] = {}
        self.heard_s: dict[bytes, float] = {}
        """When an address was last heard of."""
        self.clock_s = 0.0

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        source = frame[6:12]
        if self.learnable(source) and (source in self.table or self.has_room()):
            self.table[source] = sender
            self.heard_s[source] = self.clock_s

    def age(self, seconds: float) -> None:
        self.clock_s += seconds
        for address in [known for known in self.table if self.is_old(known)]:
            del self.table[address]

    def is_old(self, address: bytes) -> bool:
        """Whether an address was silent for too long."""
        return self.clock_s - self.heard_s.get(address, 0.0) >= AGEING_S

    def learnable(self, source: bytes) -> bool:
        """Whether an address can be a station's."""
        return any(source) and not is_group(source)

    def has_room(self) -> bool:
        """Whether the table takes one more address."""
        return len(self.table) < ADDRESSES

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        destination = frame[:6]
        if is_group(destination):
            return () if self.keeps(destination) else self.to_group(sender, destination)
        known = self.look_up(destination)
        if known is None:
            return self.others(sender)
        return () if known is sender else (known,)

    def look_up(self, destination: bytes) -> MemoryPort | None:
        """Where an address was learned."""
        return self.table.get(destination)

    def keeps(self, group: bytes) -> bool:
        """Whether a group's frames stay on their link."""
        return group[:5] == RESERVED and group[5] < 16

    def port_went_down(self, port: MemoryPort) -> None:
        self.table = {address: at for address, at in self.table.items() if at is not port}


class MemoryDirectory(MemoryLan):
    """Knows its ports' addresses, and which ports are promiscuous."""

    traits = DIRECTORY

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        if is_group(frame):
            return self.to_group(sender, frame[:6])
        return [port for port in self.others(sender) if self.wants(port, frame)]

    def wants(self, port: MemoryPort, frame: bytes) -> bool:
        """Whether a unicast is for a port."""
        return port.promiscuous or port.mac == frame[:6]


def repeater() -> MemoryLan:
    """A repeater, or hub."""
    return MemoryRepeater("memory-repeater")


def learning() -> MemoryLan:
    """A learning bridge."""
    return MemoryLearning("memory-learning")


def directory() -> MemoryLan:
    """A LAN that knows its ports' addresses."""
    return MemoryDirectory("memory-directory")
