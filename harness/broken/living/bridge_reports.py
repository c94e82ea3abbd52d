"""Broken learning LANs, after what users report of what else switches do to frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from harness.broken.living.hooks import ARP, BROADCAST, IPV4, Shared, broken_memory, losing
from harness.lans.memory import MemoryLearning, MemoryPort, is_group

_PAUSE = b"\x88\x08"
_IGMP, _UDP = 2, 17
_DHCP_SERVER = b"\x00\x43"


class _Storm(MemoryLearning):
    """Storm control: so many frames of a sort may be flooded until all is quiet."""

    limit = 40

    def begin(self) -> None:
        super().begin()
        self.flooded = 0

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        self.flooded += self.counts(frame)
        if not self.counts(frame) or self.flooded <= self.limit:
            super().relay(sender, frame)

    def settle(self) -> None:
        self.flooded = 0
        super().settle()

    def counts(self, frame: bytes) -> bool:
        """Whether a frame is of the sort that is limited."""
        raise NotImplementedError


class _UnknownStorm(_Storm):
    def counts(self, frame: bytes) -> bool:
        return not is_group(frame) and frame[:6] not in self.table


class _BroadcastStorm(_Storm):
    def counts(self, frame: bytes) -> bool:
        return frame[:6] == BROADCAST


class _ObeysPause(MemoryLearning):
    """A port that sent a pause frame is sent nothing more."""

    def begin(self) -> None:
        super().begin()
        self.paused: set[MemoryPort] = set()

    def enter(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        if frame[12:14] == _PAUSE:
            self.paused.add(port)
        return super().enter(port, frame)

    def pass_to(self, port: MemoryPort, frame: bytes) -> None:
        if port not in self.paused:
            super().pass_to(port, frame)


class _MaskOf32(MemoryLearning):
    """Ports are bits of a word of 32."""

    def look_up(self, destination: bytes) -> MemoryPort | None:
        known = super().look_up(destination)
        return known and self.made[(known.number - 1) % 32]


class _SnoopsIgmp(MemoryLearning):
    """Once a port has sent IGMP, IPv4 groups reach no ports but those that did."""

    def begin(self) -> None:
        super().begin()
        self.members: set[MemoryPort] = set()

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        if frame[12:14] == IPV4 and frame[23:24] == bytes((_IGMP,)):
            self.members.add(sender)
        super().learn(sender, frame)

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        targets = super().targets(sender, frame)
        if not self.members or frame[:3] != b"\x01\x00\x5e":
            return targets
        return [port for port in targets if port in self.members]


class _PrivateVlan(MemoryLearning):
    """Ports 2 and 3 do not reach each other."""

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        apart = {2, 3}
        both = (*super().targets(sender, frame),)
        return [port for port in both if {sender.number, port.number} != apart]


class _SharedFlood(Shared, MemoryLearning):
    """What is flooded is flooded to the first port of the other LANs too."""

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        unknown = not is_group(frame) and frame[:6] not in self.table
        super().relay(sender, frame)
        for lan in self.neighbours() if unknown else ():
            lan.made[0].deliver(frame)


class _SharedTable(Shared, MemoryLearning):
    """One table for all bridges of a host: an address may be at another one's port."""

    def look_up(self, destination: bytes) -> MemoryPort | None:
        known = super().look_up(destination)
        for lan in self.neighbours():
            if isinstance(lan, MemoryLearning):
                known = known or lan.table.get(destination)
        return known


class _LearnsWhileDown(MemoryLearning):
    """A frame of a port that is down is dropped, but its source is learned at the next port."""

    def refuses(self, port: MemoryPort, frame: bytes) -> str:
        if not port.up:
            self.learn(self.others(port)[0], frame)
        return super().refuses(port, frame)


class _ManyToOneStarves(MemoryLearning):
    """A port takes frames of three senders at a time."""

    def begin(self) -> None:
        super().begin()
        self.senders: dict[bytes, set[int]] = {}

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        heard = self.senders.setdefault(frame[:6], set())
        if is_group(frame) or len(heard) < 3 or sender.number in heard:
            heard.add(sender.number)
            super().relay(sender, frame)

    def settle(self) -> None:
        super().settle()
        self.senders.clear()


class _PinsAfterMoves(MemoryLearning):
    """An address that moved five times stays where it is until its port goes down."""

    most = 5

    def begin(self) -> None:
        super().begin()
        self.moves: Counter[bytes] = Counter()

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        source = frame[6:12]
        moves = self.table.get(source, sender) is not sender
        if moves and self.moves[source] >= self.most:
            return
        self.moves[source] += moves
        super().learn(sender, frame)

    def port_went_down(self, port: MemoryPort) -> None:
        for address in [address for address, at in self.table.items() if at is port]:
            self.moves.pop(address, None)
        super().port_went_down(port)


class _FlushOfOneBit(MemoryLearning):
    """A departure turns one bit, so the second one makes the oldest addresses known again."""

    def begin(self) -> None:
        super().begin()
        self.turned: Counter[MemoryPort] = Counter()
        self.learned_at: dict[bytes, int] = {}

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        super().learn(sender, frame)
        self.learned_at[frame[6:12]] = self.turned[sender] % 2

    def look_up(self, destination: bytes) -> MemoryPort | None:
        known = super().look_up(destination)
        if known is None or self.learned_at[destination] != self.turned[known] % 2:
            return None
        return known

    def port_went_down(self, port: MemoryPort) -> None:
        self.turned[port] += 1


class _MoveKeepsAge(MemoryLearning):
    """A station that moves keeps the time at which it was last heard where it was."""

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        source = frame[6:12]
        heard_s = self.heard_s.get(source)
        moves = self.table.get(source, sender) is not sender
        super().learn(sender, frame)
        if moves and heard_s is not None:
            self.heard_s[source] = heard_s


class _FullTableFixed(MemoryLearning):
    """Nothing is learned while the table is full, not even that a station has moved."""

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        if self.has_room():
            super().learn(sender, frame)


class _FloodsToSpeakers(MemoryLearning):
    """Unknown unicasts are flooded only to ports that have sent a frame since they joined."""

    def begin(self) -> None:
        super().begin()
        self.spoke: set[MemoryPort] = set()

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        super().learn(sender, frame)
        self.spoke.add(sender)

    def port_went_down(self, port: MemoryPort) -> None:
        super().port_went_down(port)
        self.spoke.discard(port)

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        targets = super().targets(sender, frame)
        unknown = not is_group(frame) and frame[:6] not in self.table
        return [port for port in targets if port in self.spoke] if unknown else targets


class _LastByteBroadcast(MemoryLearning):
    """An address that ends in ff is looked up as if it were the broadcast."""

    def look_up(self, destination: bytes) -> MemoryPort | None:
        return None if destination[5] == BROADCAST[5] else super().look_up(destination)


class _OtherKey(MemoryLearning):
    """The table's key is made of the address, and does not hold all of it."""

    def begin(self) -> None:
        super().begin()
        self.learned: dict[bytes, bytes] = {}

    def key(self, address: bytes) -> bytes:
        """The key of an address."""
        raise NotImplementedError

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        super().learn(sender, frame)
        self.learned[self.key(frame[6:12])] = frame[6:12]

    def look_up(self, destination: bytes) -> MemoryPort | None:
        return super().look_up(self.learned.get(self.key(destination), destination))


class _HexKey(_OtherKey):
    """Text of hex digits, without leading zeros."""

    def key(self, address: bytes) -> bytes:
        return "".join(f"{byte:x}" for byte in address).encode()


class _SignedKey(_OtherKey):
    """A word of signed bytes: one from 80 on covers those before it."""

    def key(self, address: bytes) -> bytes:
        signed = int.from_bytes(address[5:], "big", signed=True)
        word = int.from_bytes(address[2:5], "big") << 8 | signed
        return address[:2] + (word % 2**32).to_bytes(4, "big")


class _LearnsFromArp(MemoryLearning):
    """The hardware address inside of an ARP packet is learned as well."""

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        super().learn(sender, frame)
        if frame[12:14] == ARP and len(frame) >= 42:
            super().learn(sender, frame[:6] + frame[22:28] + frame[12:])


class _SuppressesReports(MemoryLearning):
    """A second IGMP report for a group goes nowhere."""

    def begin(self) -> None:
        super().begin()
        self.reported: set[bytes] = set()

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        if frame[12:14] != IPV4 or frame[23:24] != bytes((_IGMP,)):
            return super().targets(sender, frame)
        again = frame[:6] in self.reported
        self.reported.add(frame[:6])
        return () if again else super().targets(sender, frame)


class _FullTableRetargets(MemoryLearning):
    """A new address in a full table overwrites the port of another address, in turn."""

    def begin(self) -> None:
        super().begin()
        self.late = 0

    def learn(self, sender: MemoryPort, frame: bytes) -> None:
        source = frame[6:12]
        if self.learnable(source) and source not in self.table and not self.has_room():
            self.table[[*self.table][self.late % len(self.table)]] = sender
            self.late += 1
        else:
            super().learn(sender, frame)


BROKEN = (
    broken_memory(
        "bridge-pins-after-moves",
        "LRN-4",
        "an address that moved five times moves no more",
        _PinsAfterMoves,
    ),
    broken_memory(
        "bridge-flush-of-one-bit",
        "LRN-8",
        "after the second departure of a port its old addresses are known again",
        _FlushOfOneBit,
    ),
    broken_memory(
        "bridge-hex-key",
        "LRN-1",
        "01:23 and 12:03 in an address are the same",
        _HexKey,
    ),
    broken_memory(
        "bridge-signed-key",
        "LRN-1",
        "an address whose last byte is 80 or more is known by three bytes",
        _SignedKey,
    ),
    broken_memory(
        "bridge-learns-from-arp",
        "LRN-2",
        "the hardware address inside of an ARP packet is learned",
        _LearnsFromArp,
    ),
    broken_memory(
        "bridge-suppresses-reports",
        "GRP-1",
        "a second IGMP report for a group goes nowhere",
        _SuppressesReports,
    ),
    broken_memory(
        "bridge-move-keeps-age",
        "LRN-10",
        "a station that moves is as old as it was at its old port",
        _MoveKeepsAge,
    ),
    broken_memory(
        "bridge-full-table-fixed",
        "LRN-4",
        "while the table is full, no station moves",
        _FullTableFixed,
    ),
    broken_memory(
        "bridge-floods-to-speakers",
        "LRN-1",
        "unknown unicasts reach only ports that have sent a frame",
        _FloodsToSpeakers,
    ),
    broken_memory(
        "bridge-ff-is-broadcast",
        "LRN-2",
        "unicasts to a known address that ends in ff are flooded",
        _LastByteBroadcast,
    ),
    broken_memory(
        "bridge-full-table-retargets",
        "LRN-9",
        "in a full table a new address changes the port of another",
        _FullTableRetargets,
    ),
    broken_memory(
        "bridge-limits-unknown",
        "LRN-1",
        "forty unknown unicasts per burst are flooded",
        _UnknownStorm,
    ),
    broken_memory(
        "bridge-limits-broadcasts",
        "LOAD-1",
        "forty broadcasts per burst are flooded",
        _BroadcastStorm,
    ),
    broken_memory(
        "bridge-obeys-pause", "INT-3", "a port that sent a pause frame is deaf", _ObeysPause
    ),
    broken_memory(
        "bridge-port-mask-of-32", "MANY-1", "unicasts to port 33 reach port 1", _MaskOf32
    ),
    broken_memory(
        "bridge-snoops-igmp",
        "GRP-1",
        "IPv4 groups reach only ports that sent IGMP, once one did",
        _SnoopsIgmp,
    ),
    broken_memory(
        "bridge-drops-dhcp-offers",
        "INT-3",
        "UDP from a DHCP server's port is dropped",
        losing(
            MemoryLearning,
            lambda frame: (
                frame[12:14] == IPV4
                and frame[23:24] == bytes((_UDP,))
                and frame[34:36] == _DHCP_SERVER
            ),
        ),
    ),
    broken_memory(
        "bridge-isolates-two-ports", "MANY-1", "ports 2 and 3 do not reach each other", _PrivateVlan
    ),
    broken_memory(
        "bridge-hears-three-senders",
        "LOAD-2",
        "a destination hears three senders per burst",
        _ManyToOneStarves,
    ),
    broken_memory(
        "bridge-learns-while-down",
        "PORT-3",
        "a frame of a port that is down makes its source known elsewhere",
        _LearnsWhileDown,
    ),
    broken_memory(
        "bridges-share-a-table",
        "ISO-1",
        "unicasts reach the port where another LAN learned their address",
        _SharedTable,
    ),
    broken_memory(
        "bridges-share-floods",
        "ISO-1",
        "unknown unicasts reach the first port of other LANs",
        _SharedFlood,
    ),
)
