"""Constructors and base classes that several broken LANs in memory share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import ClassVar
from weakref import WeakSet

from harness.broken.base import Broken
from harness.lans.memory import MemoryLan, MemoryPort

TAGS = (b"\x81\x00", b"\x88\xa8", b"\x91\x00")
IPV4, IPV6, ARP = b"\x08\x00", b"\x86\xdd", b"\x08\x06"
BROADCAST = b"\xff" * 6
FULL = 1_514
"""Bytes in the longest ordinary frame."""

TCP = 6
_IP_HEADER = 14
_TCP_HEADER = 34
TCP_PAYLOAD = 54
"""Where the data of a TCP segment begins, without options."""


def broken_memory(name: str, rule: str, what: str, lan: type[MemoryLan]) -> Broken:
    """A row of the catalogue for a LAN in memory."""
    return Broken(name, rule, what, lan, lan.traits.kind or "")


def is_tagged(frame: bytes) -> bool:
    """Whether a frame has a VLAN tag."""
    return frame[12:14] in TAGS


def is_long(frame: bytes) -> bool:
    """Whether a frame is longer than an ordinary one."""
    return len(frame) > FULL


def is_tcp(frame: bytes) -> bool:
    """Whether a frame is a TCP segment in IPv4."""
    return frame[12:14] == IPV4 and len(frame) >= TCP_PAYLOAD and frame[23] == TCP


class Counted(MemoryLan):
    """Counts, per port, the frames that entered and those that are to leave."""

    def begin(self) -> None:
        super().begin()
        self.entered: Counter[int] = Counter()
        self.left: Counter[int] = Counter()

    def enter(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        self.entered[port.number] += 1
        return super().enter(port, frame)

    def leave(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        self.left[port.number] += 1
        return super().leave(port, frame)


class Loses(Counted):
    """Loses some frames on their way out."""

    def leave(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        leaving = super().leave(port, frame)
        return () if self.loses(port, frame) else leaving

    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        """Whether a frame is lost at a port."""
        raise NotImplementedError


class LosesEntering(Counted):
    """Loses some frames on their way in, before anything is learned of them."""

    def enter(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        entering = super().enter(port, frame)
        return () if self.loses(port, frame) else entering

    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        """Whether a frame of a port is lost."""
        raise NotImplementedError


class Alters(Counted):
    """Passes on something else than the frame."""

    def leave(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        return [self.altered(port, left) for left in super().leave(port, frame)]

    def altered(self, port: MemoryPort, frame: bytes) -> bytes:
        """What leaves by a port instead of a frame."""
        raise NotImplementedError


class Doubles(Counted):
    """Passes some frames on twice."""

    def leave(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        leaving = [*super().leave(port, frame)]
        return leaving * 2 if self.doubles(port, frame) else leaving

    def doubles(self, port: MemoryPort, frame: bytes) -> bool:
        """Whether a frame leaves by a port twice."""
        raise NotImplementedError


class Leaks(Counted):
    """Passes some frames to ports that they are not for."""

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        right = [*super().targets(sender, frame)]
        return [
            port
            for port in self.made
            if port in right or (port is not sender and self.leaks(sender, port, frame))
        ]

    def leaks(self, sender: MemoryPort, port: MemoryPort, frame: bytes) -> bool:
        """Whether a frame goes to a port although it is not for it."""
        raise NotImplementedError


class Returns(Counted):
    """Passes some frames back to their sender."""

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        super().relay(sender, frame)
        if sender.up and self.returns(sender, frame):
            sender.deliver(frame)

    def returns(self, sender: MemoryPort, frame: bytes) -> bool:
        """Whether a frame comes back."""
        raise NotImplementedError


class Reorders(MemoryLan):
    """Keeps the frames of a port until the LAN settles, and passes them on in another order."""

    def begin(self) -> None:
        super().begin()
        self.waiting: dict[MemoryPort, list[bytes]] = {}

    def pass_to(self, port: MemoryPort, frame: bytes) -> None:
        self.waiting.setdefault(port, []).append(frame)

    def settle(self) -> None:
        waiting, self.waiting = self.waiting, {}
        for port, frames in waiting.items():
            for frame in self.in_order(frames) if port.up else ():
                super().pass_to(port, frame)
        super().settle()

    def in_order(self, frames: list[bytes]) -> list[bytes]:
        """The order in which frames leave."""
        raise NotImplementedError


class OverQueue(MemoryLan):
    """Does something with frames that find the queue of their port full."""

    limit = 64

    def pass_to(self, port: MemoryPort, frame: bytes) -> None:
        if port.queue < self.limit:
            super().pass_to(port, frame)
        else:
            self.over(port, frame)

    def over(self, port: MemoryPort, frame: bytes) -> None:
        """The queue of a port is full: nothing else happens, unless replaced."""


class Shared(MemoryLan):
    """LANs of one make that know of each other."""

    living: ClassVar[WeakSet[MemoryLan]] = WeakSet()

    def begin(self) -> None:
        super().begin()
        self.living.add(self)

    def close(self) -> None:
        self.living.discard(self)
        super().close()

    def neighbours(self) -> list[MemoryLan]:
        """The other LANs of this make."""
        return [lan for lan in self.living if type(lan) is type(self) and lan is not self]


def losing(base: type[MemoryLan], loses: Callable[[bytes], bool]) -> type[MemoryLan]:
    """A LAN that loses every frame of some sort."""
    return type("Losing", (Loses, base), {"loses": lambda _, port, frame: loses(frame)})


def altering(base: type[MemoryLan], altered: Callable[[bytes], bytes]) -> type[MemoryLan]:
    """A LAN that passes on something else than a frame."""
    return type("Altering", (Alters, base), {"altered": lambda _, port, frame: altered(frame)})


def doubling(base: type[MemoryLan], doubles: Callable[[bytes], bool]) -> type[MemoryLan]:
    """A LAN that passes every frame of some sort on twice."""
    return type("Doubling", (Doubles, base), {"doubles": lambda _, port, frame: doubles(frame)})


def leaking(base: type[MemoryLan], leaks: Callable[[bytes], bool]) -> type[MemoryLan]:
    """A LAN that passes every frame of some sort to all."""
    return type("Leaking", (Leaks, base), {"leaks": lambda _, sender, port, frame: leaks(frame)})
