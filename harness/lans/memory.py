"""Three correct LANs in memory, one per kind: a repeater, a learning bridge and a directory.

A frame crosses at once, without threads; time is simulated and goes on by a microsecond with
every record. A frame takes four steps, each a method that a broken LAN can replace: ``enter``,
``learn``, ``targets`` and ``leave``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from harness.lan import (
    Arrival,
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
)
LEARNING = replace(
    REPEATER,
    filters="receiver",
    learns=True,
    kind="learning",
    reserved="filtered",
    promiscuous="reached",
    addresses=ADDRESSES,
)
DIRECTORY = replace(REPEATER, filters="sender", kind="directory", unknown="dropped")

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
        self.queue = 0
        self._arrivals: list[Arrival] = []

    def __repr__(self) -> str:
        return f"<{self.name} of {self.lan.name}>"

    def send(self, frame: bytes, layout: Layout | None = None) -> None:
        if layout is not None and layout != Layout():
            raise LanError(f"{self.name}: {self.lan.name} takes no layouts")
        why_not = self.lan.refuses(self, frame)
        if why_not:
            self.lan.record(self, "sent", frame, (Fate(FateKind.REFUSED, why_not),))
            raise FrameRefused(f"{self.name} cannot send this frame: {why_not}")
        self.lan.record(self, "sent", frame, _SENT)
        for entered in self.lan.enter(self, frame):
            self.lan.relay(self, entered)

    def deliver(self, frame: bytes) -> None:
        """A frame has arrived here."""
        wanted = self.promiscuous or frame[:6] == self.mac or is_group(frame)
        time = self.lan.record(self, "received", frame, _DELIVERED if wanted else _FILTERED)
        self._arrivals.append(Arrival(time, frame, wanted))

    def arrivals(self) -> list[Arrival]:
        arrived, self._arrivals = self._arrivals, []
        return arrived

    def set_promiscuous(self, on: bool) -> None:
        self.promiscuous = on

    def join_groups(self, count: int) -> None:
        self.groups = count

    def close(self) -> None:
        if self.up:
            self.up = False
            self.lan.port_went_down(self)

    def open(self) -> None:
        if not self.up:
            self.up = True
            self.lan.port_came_up(self)


class MemoryLan:
    """A LAN in memory; ``targets`` says what kind it is."""

    traits: Traits

    def __init__(self, name: str) -> None:
        self.name = name
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

    # What happens beside

    def begin(self) -> None:
        """The LAN was made, and has no port yet."""

    def port_went_down(self, port: MemoryPort) -> None:
        """A port has left."""

    def port_came_up(self, port: MemoryPort) -> None:
        """A port that had left is back."""

    def settle(self) -> None:
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

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        source = frame[6:12]
        if self.learnable(source) and (source in self.table or self.has_room()):
            self.table[source] = sender

    def learnable(self, source: bytes) -> bool:
        """Whether an address can be a station's."""
        return any(source) and not is_group(source)

    def has_room(self) -> bool:
        """Whether the table takes one more address."""
        return len(self.table) < ADDRESSES

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        destination = frame[:6]
        if is_group(destination):
            return () if self.keeps(destination) else self.others(sender)
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
            return self.others(sender)
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
