"""Broken directories: who receives what, and when (WIRE, DLV)."""

from __future__ import annotations

from collections.abc import Iterable

from harness.broken.living.hooks import (
    BROADCAST,
    Alters,
    Doubles,
    Leaks,
    Loses,
    Reorders,
    Returns,
    broken_memory,
)
from harness.lans.memory import MemoryDirectory, MemoryPort, is_group


class _LosesToTheNext(Loses, MemoryDirectory):
    """Every eighth frame of a port is lost at one port: the one that is served last."""

    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        return port is self.made[-1] and self.left[port.number] % 8 == 0


class _LeaksEveryFiftieth(Leaks, MemoryDirectory):
    def leaks(self, sender: MemoryPort, port: MemoryPort, frame: bytes) -> bool:
        return self.entered[sender.number] % 50 == 0


class _LeaksToTheLast(Leaks, MemoryDirectory):
    def leaks(self, sender: MemoryPort, port: MemoryPort, frame: bytes) -> bool:
        return port is self.made[-1] and self.entered[sender.number] % 4 == 0


class _LastAgainLater(MemoryDirectory):
    """Every tenth time that the LAN settles the last frame is still in a buffer."""

    def begin(self) -> None:
        self.settled = 0
        self.last: dict[MemoryPort, bytes] = {}

    def leave(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        self.last[port] = frame
        return (frame,)

    def settle(self) -> None:
        super().settle()
        self.settled += 1
        for port, frame in self.last.items() if self.settled % 10 == 0 else ():
            if port.up:
                port.deliver(frame)
        self.last.clear()


class _ComparesFourBytes(MemoryDirectory):
    def wants(self, port: MemoryPort, frame: bytes) -> bool:
        return port.promiscuous or port.mac[2:] == frame[2:6]


class _PromiscuousSeesKnown(MemoryDirectory):
    def wants(self, port: MemoryPort, frame: bytes) -> bool:
        known = any(other.mac == frame[:6] for other in self.made)
        return port.mac == frame[:6] or (port.promiscuous and known)


class _PromiscuousTakesAll(MemoryDirectory):
    """A promiscuous port gets the frames, and their owner does not."""

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        targets = [*super().targets(sender, frame)]
        greedy = [port for port in targets if port.promiscuous]
        return targets if is_group(frame) else greedy or targets


class _ReturnsToPromiscuous(Returns, MemoryDirectory):
    def returns(self, sender: MemoryPort, frame: bytes) -> bool:
        return sender.promiscuous


class _ReturnsOwn(Returns, MemoryDirectory):
    def returns(self, sender: MemoryPort, frame: bytes) -> bool:
        return frame[:6] == sender.mac


class _ReturnsEveryTenth(Returns, MemoryDirectory):
    def returns(self, sender: MemoryPort, frame: bytes) -> bool:
        return self.entered[sender.number] % 10 == 0


class _PromiscuousOwnerTwice(Doubles, MemoryDirectory):
    def doubles(self, port: MemoryPort, frame: bytes) -> bool:
        return port.promiscuous and frame[:6] == port.mac


class _DoublesEveryFiftieth(Doubles, MemoryDirectory):
    def doubles(self, port: MemoryPort, frame: bytes) -> bool:
        return self.left[port.number] % 50 == 0


class _GroupsFirst(Reorders, MemoryDirectory):
    """Open vSwitch reorders within a batch."""

    def in_order(self, frames: list[bytes]) -> list[bytes]:
        return sorted(frames, key=lambda frame: not is_group(frame))


class _LastOfEightFirst(Reorders, MemoryDirectory):
    def in_order(self, frames: list[bytes]) -> list[bytes]:
        batches = [frames[start : start + 8] for start in range(0, len(frames), 8)]
        return [frame for batch in batches for frame in (*batch[-1:], *batch[:-1])]


class _ByteOrderEvery32nd(Alters, MemoryDirectory):
    def altered(self, port: MemoryPort, frame: bytes) -> bytes:
        if self.left[port.number] % 32:
            return frame
        return frame[:12] + frame[13:14] + frame[12:13] + frame[14:]


class _OldTail(Alters, MemoryDirectory):
    """The last four bytes are those of the frame before."""

    def begin(self) -> None:
        super().begin()
        self.tail = bytes(4)

    def altered(self, port: MemoryPort, frame: bytes) -> bytes:
        if len(frame) < 256:
            self.tail = frame[-4:]
            return frame
        return frame[:-4] + self.tail


class _AsksForGroups(MemoryDirectory):
    """An IGMP snooper asks who is a member, whenever a port comes up."""

    def port_came_up(self, port: MemoryPort) -> None:
        query = bytes.fromhex("01005e000001020000fffffe0800") + bytes(46)
        for other in self.made:
            if other.up:
                other.deliver(query)


class _AnnouncesItself(MemoryDirectory):
    """A broadcast of the LAN's own follows the first that a port sends."""

    def begin(self) -> None:
        self.greeted: set[MemoryPort] = set()

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        super().relay(sender, frame)
        if is_group(frame) and sender not in self.greeted:
            self.greeted.add(sender)
            sender.deliver(BROADCAST + bytes.fromhex("020000fffffe88cc") + bytes(46))


BROKEN = (
    broken_memory(
        "directory-loses-every-eighth-at-one",
        "WIRE-1",
        "the last port loses every eighth frame",
        _LosesToTheNext,
    ),
    broken_memory(
        "directory-leaks-every-fiftieth",
        "LOAD-1",
        "every 50th frame of a port reaches all",
        _LeaksEveryFiftieth,
    ),
    broken_memory(
        "directory-leaks-to-the-last",
        "WIRE-2",
        "every fourth unicast of a port reaches the last port too",
        _LeaksToTheLast,
    ),
    broken_memory(
        "directory-last-again-at-times",
        "WIRE-7",
        "every tenth time the LAN is quiet, the last frame comes again",
        _LastAgainLater,
    ),
    broken_memory(
        "directory-compares-four-bytes",
        "DLV-1",
        "only the last four bytes of an address count",
        _ComparesFourBytes,
    ),
    broken_memory(
        "directory-promiscuous-sees-known",
        "DLV-4",
        "a promiscuous port sees only frames that have an owner",
        _PromiscuousSeesKnown,
    ),
    broken_memory(
        "directory-promiscuous-takes-all",
        "DLV-4",
        "a promiscuous port takes frames from owners",
        _PromiscuousTakesAll,
    ),
    broken_memory(
        "directory-returns-to-promiscuous",
        "DLV-4",
        "a promiscuous port sees its own frames",
        _ReturnsToPromiscuous,
    ),
    broken_memory(
        "directory-returns-own",
        "DLV-5",
        "a frame to one's own address comes back (OpenVPN, n2n)",
        _ReturnsOwn,
    ),
    broken_memory(
        "directory-returns-every-tenth",
        "WIRE-3",
        "every tenth frame of a port comes back",
        _ReturnsEveryTenth,
    ),
    broken_memory(
        "directory-promiscuous-owner-twice",
        "DLV-4",
        "a promiscuous owner receives twice",
        _PromiscuousOwnerTwice,
    ),
    broken_memory(
        "directory-doubles-every-fiftieth",
        "WIRE-4",
        "every 50th frame at a port arrives twice",
        _DoublesEveryFiftieth,
    ),
    broken_memory(
        "directory-groups-first",
        "WIRE-5",
        "group frames overtake unicasts (Open vSwitch)",
        _GroupsFirst,
    ),
    broken_memory(
        "directory-last-of-eight-first",
        "WIRE-5",
        "the last of eight frames leaves first",
        _LastOfEightFirst,
    ),
    broken_memory(
        "directory-swaps-every-32nd-type",
        "WIRE-6",
        "every 32nd frame has its type's bytes swapped",
        _ByteOrderEvery32nd,
    ),
    broken_memory(
        "directory-old-tail",
        "WIRE-6",
        "from 256 bytes on the last four are of a frame before",
        _OldTail,
    ),
    broken_memory(
        "directory-asks-for-groups",
        "PORT-2",
        "the LAN sends a query when a port comes up",
        _AsksForGroups,
    ),
    broken_memory(
        "directory-announces-itself",
        "WIRE-8",
        "the LAN answers a port's first broadcast",
        _AnnouncesItself,
    ),
)
