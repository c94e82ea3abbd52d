"""Broken directories, after what users report of virtual machine monitors and their cards."""

from __future__ import annotations

from collections.abc import Iterable

from harness.broken.living.hooks import (
    ARP,
    BROADCAST,
    IPV4,
    Doubles,
    Loses,
    OverQueue,
    Shared,
    altering,
    broken_memory,
    losing,
)
from harness.lans.memory import MemoryDirectory, MemoryPort, is_group

_IP = 14
_NO_IPV4 = 0x80
"""From here on the fourth byte of 01:00:5e is no IPv4 group's."""
_LLC_SPANNING_TREE = 0x42


def _trimmed(frame: bytes) -> bytes:
    """Without what is behind the end of its IPv4 packet."""
    if frame[12:14] != IPV4 or len(frame) < 34:
        return frame
    length = int.from_bytes(frame[16:18])
    return frame[: _IP + length] if 20 <= length <= len(frame) - _IP else frame


def _bad_checksum(frame: bytes) -> bool:
    """Whether it is IPv4 and its header's checksum is wrong."""
    header = frame[_IP : _IP + 20]
    if frame[12:14] != IPV4 or len(header) < 20:
        return False
    total = sum(int.from_bytes(header[at : at + 2]) for at in range(0, 20, 2))
    return total % 0xFFFF != 0


class _OffWhileDown(MemoryDirectory):
    """A port that was promiscuous when it left is so for ever."""

    def begin(self) -> None:
        super().begin()
        self.was: set[MemoryPort] = set()

    def port_went_down(self, port: MemoryPort) -> None:
        if port.promiscuous:
            self.was.add(port)

    def wants(self, port: MemoryPort, frame: bytes) -> bool:
        return super().wants(port, frame) or port in self.was


class _AwayHides(MemoryDirectory):
    """A frame for a port that is down is shown to nobody."""

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        away = any(port.mac == frame[:6] and not port.up for port in self.made)
        return () if away else super().targets(sender, frame)


class _ReturnEndsModes(MemoryDirectory):
    """When a port returns, no port is promiscuous any more."""

    def begin(self) -> None:
        super().begin()
        self.ended: set[MemoryPort] = set()

    def port_came_up(self, port: MemoryPort) -> None:
        self.ended = {other for other in self.made if other.promiscuous}

    def wants(self, port: MemoryPort, frame: bytes) -> bool:
        if not port.promiscuous:
            self.ended.discard(port)
        return port.mac == frame[:6] or (port.promiscuous and port not in self.ended)


class _OnePromiscuous(MemoryDirectory):
    """Of several promiscuous ports the first one alone sees all."""

    def wants(self, port: MemoryPort, frame: bytes) -> bool:
        first = next((other for other in self.made if other.promiscuous), None)
        return port.mac == frame[:6] or port is first


class _GroupsTwiceToPromiscuous(Doubles, MemoryDirectory):
    def doubles(self, port: MemoryPort, frame: bytes) -> bool:
        return port.promiscuous and is_group(frame)


class _MembersNoBroadcast(Loses, MemoryDirectory):
    """A port that joined groups has replaced its filter for broadcasts by one for groups."""

    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        return bool(port.groups) and frame[:6] == BROADCAST


class _ManyGroups(Loses, MemoryDirectory):
    """A filter of 64 groups overflows to none at all."""

    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        return port.groups > 64 and is_group(frame) and frame[:6] != BROADCAST


class _LocalBit(MemoryDirectory):
    """The bit of local administration is not compared."""

    def wants(self, port: MemoryPort, frame: bytes) -> bool:
        return super().wants(port, bytes((frame[0] | 2,)) + frame[1:])


class _QueueShrinks(OverQueue, MemoryDirectory):
    """Every time a queue was full it loses a place: the frame in it is never taken out."""

    def begin(self) -> None:
        super().begin()
        self.stuck: dict[MemoryPort, int] = {}

    def over(self, port: MemoryPort, frame: bytes) -> None:
        self.stuck[port] = min(self.stuck.get(port, 0) + 1, 32)

    def settle(self) -> None:
        super().settle()
        for port, places in self.stuck.items():
            port.queue = places


class _EveryThousandthBroadcast(Loses, MemoryDirectory):
    def begin(self) -> None:
        super().begin()
        self.broadcasts = 0

    def enter(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        self.broadcasts += frame[:6] == BROADCAST
        return super().enter(port, frame)

    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        return frame[:6] == BROADCAST and self.broadcasts % 1_000 == 0


class _OwnerFirstAlone(MemoryDirectory):
    """A promiscuous port misses what is for the port in front of it."""

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        targets = [*super().targets(sender, frame)]
        numbers = {port.number for port in targets if port.mac == frame[:6]}
        return [port for port in targets if port.number - 1 not in numbers]


class _StaysPromiscuous(MemoryDirectory):
    def begin(self) -> None:
        super().begin()
        self.once: set[MemoryPort] = set()

    def wants(self, port: MemoryPort, frame: bytes) -> bool:
        if port.promiscuous:
            self.once.add(port)
        return super().wants(port, frame) or port in self.once


class _ArpToOwner(MemoryDirectory):
    """An ARP request for an address that was seen goes to its owner alone."""

    def begin(self) -> None:
        super().begin()
        self.owners: dict[bytes, MemoryPort] = {}

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        if frame[12:14] != ARP or len(frame) < 42:
            return super().targets(sender, frame)
        self.owners[frame[28:32]] = sender
        owner = self.owners.get(frame[38:42])
        known = owner not in (None, sender) and is_group(frame)
        targets = super().targets(sender, frame)
        return [port for port in targets if port is owner or port.promiscuous] if known else targets


def _dhcp_broadcast(frame: bytes) -> bytes:
    """A message of a DHCP client with the flag that asks for broadcasts."""
    if frame[12:14] != IPV4 or frame[23:24] != b"\x11" or frame[34:38] != b"\0\x44\0\x43":
        return frame
    return frame[:52] + bytes((frame[52] | 0x80,)) + frame[53:]


class _OneMirror(Shared, MemoryDirectory):
    """A promiscuous port sees what the other LANs carry, too."""

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        super().relay(sender, frame)
        for lan in self.neighbours():
            for port in lan.made:
                if port.promiscuous:
                    port.deliver(frame)


class _GroupBitMasked(MemoryDirectory):
    """Addresses are compared without the group bit, before groups are looked for."""

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        bare = bytes((frame[0] & ~1,)) + frame[1:6]
        owners = [port for port in self.made if port.mac == bare]
        if not owners or not is_group(frame):
            return super().targets(sender, frame)
        return [port for port in self.others(sender) if port in owners or port.promiscuous]


class _OneDirectory(Shared, MemoryDirectory):
    """An address that no port here has is looked up in the other LANs too."""

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        super().relay(sender, frame)
        if not any(port.up and port.mac == frame[:6] for port in self.made):
            for lan in self.neighbours():
                for port in lan.made:
                    if port.mac == frame[:6]:
                        port.deliver(frame)


BROKEN = (
    broken_memory(
        "directories-share-mirrors",
        "ISO-1",
        "promiscuous ports see the frames of other LANs",
        _OneMirror,
    ),
    broken_memory(
        "directory-answers-arp",
        "GRP-1",
        "an ARP request for a known address reaches its owner alone",
        _ArpToOwner,
    ),
    broken_memory(
        "directory-sets-dhcp-flag",
        "GRP-1",
        "a DHCP client's message arrives with the broadcast flag",
        altering(MemoryDirectory, _dhcp_broadcast),
    ),
    broken_memory(
        "directory-masks-group-bit",
        "GRP-1",
        "the group of a port's own address reaches that port alone",
        _GroupBitMasked,
    ),
    broken_memory(
        "directories-are-one",
        "ISO-1",
        "an address that is down here is found in another LAN",
        _OneDirectory,
    ),
    broken_memory(
        "directory-loses-high-ip-groups",
        "GRP-1",
        "groups from 01:00:5e:80:00:00 on, which no IPv4 group has, are lost",
        losing(
            MemoryDirectory, lambda frame: frame[:3] == b"\x01\x00\x5e" and frame[3] >= _NO_IPV4
        ),
    ),
    broken_memory(
        "directory-mode-stays-while-down",
        "DLV-4",
        "a port that leaves while it is promiscuous stays so",
        _OffWhileDown,
    ),
    broken_memory(
        "directory-away-hides",
        "DLV-4",
        "a promiscuous port does not see what is for a port that is down",
        _AwayHides,
    ),
    broken_memory(
        "directory-return-ends-modes",
        "DLV-4",
        "when a port returns no port is promiscuous any more",
        _ReturnEndsModes,
    ),
    broken_memory(
        "directory-one-promiscuous",
        "DLV-4",
        "of several promiscuous ports one sees all",
        _OnePromiscuous,
    ),
    broken_memory(
        "directory-groups-twice-to-promiscuous",
        "DLV-4",
        "a promiscuous port gets group frames twice",
        _GroupsTwiceToPromiscuous,
    ),
    broken_memory(
        "directory-promiscuous-misses-neighbour",
        "DLV-4",
        "a promiscuous port does not see what is for the port in front of it",
        _OwnerFirstAlone,
    ),
    broken_memory(
        "directory-members-no-broadcast",
        "DLV-3",
        "a port that joined groups gets no broadcast",
        _MembersNoBroadcast,
    ),
    broken_memory(
        "directory-loses-groups-beyond-64",
        "DLV-3",
        "a port that joined more than 64 groups gets none",
        _ManyGroups,
    ),
    broken_memory(
        "directory-ignores-local-bit",
        "DLV-1",
        "an address that is global is taken for the local one",
        _LocalBit,
    ),
    broken_memory(
        "directory-drops-bad-checksums",
        "INT-3",
        "IPv4 with a wrong header checksum is dropped",
        losing(MemoryDirectory, _bad_checksum),
    ),
    broken_memory(
        "directory-trims-ipv4",
        "INT-6",
        "bytes behind the end of an IPv4 packet are cut off",
        altering(MemoryDirectory, _trimmed),
    ),
    broken_memory(
        "directory-loses-spanning-tree-llc",
        "INT-3",
        "802.3 frames of spanning tree's LLC are lost, whatever their address",
        losing(
            MemoryDirectory,
            lambda frame: (
                int.from_bytes(frame[12:14]) <= 1_500
                and frame[14:16] == bytes((_LLC_SPANNING_TREE,) * 2)
            ),
        ),
    ),
    broken_memory(
        "directory-queue-shrinks",
        "LOAD-4",
        "frames that found a queue full take places in it for ever",
        _QueueShrinks,
    ),
    broken_memory(
        "directory-loses-every-thousandth-broadcast",
        "LOAD-3",
        "every thousandth broadcast is lost",
        _EveryThousandthBroadcast,
    ),
    broken_memory(
        "directory-pads-59",
        "INT-4",
        "a frame of 59 bytes alone is padded",
        altering(MemoryDirectory, lambda frame: frame + b"\0" if len(frame) == 59 else frame),
    ),
    broken_memory(
        "directory-stays-promiscuous",
        "DLV-4",
        "a port that was promiscuous sees all for ever",
        _StaysPromiscuous,
    ),
)
