"""Reference models: which ports must, must not or may receive a frame, per kind of LAN.

A model follows what the LAN's ports do (send, go down, come up, change mode) and says, for
every port and frame, MUST, MUST_NOT or MAY. MAY stands only where the sources leave it open,
each time with the reason. It shares no code with any LAN.

The rules of a learning LAN are those of an IEEE 802.1Q bridge (clauses 8.6 to 8.8); the
directory kind is lguest's own, and that of macvlan and of a virtual machine monitor's table.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from harness.lan import Traits

Kind = Literal["repeater", "learning", "directory", "wire", "unknown"]

HEADER = 14
SHORTEST_PADDED = 60
LONGEST_ORDINARY = 1514
NO_ADDRESS = bytes(6)
RESERVED = bytes.fromhex("0180c20000")
"""First five bytes of the addresses that an 802.1 bridge keeps to a link; the sixth is 0 to f."""
TAGS = (b"\x81\x00", b"\x88\xa8", b"\x91\x00")
PAUSE = b"\x88\x08"


class Verdict(enum.Enum):
    """What a model says of one port and one frame."""

    MUST = "must"
    MUST_NOT = "must not"
    MAY = "may"


class Ruling(NamedTuple):
    """A verdict and the reason for it, in a few words."""

    verdict: Verdict
    reason: str


MUST, MUST_NOT, MAY = Verdict.MUST, Verdict.MUST_NOT, Verdict.MAY


@dataclass(slots=True)
class Peer:
    """What a model knows of a port."""

    name: str
    address: bytes
    up: bool = True
    promiscuous: bool = False
    groups: int = 0
    joined: set[bytes] = field(default_factory=set)
    """Groups that it joined by their addresses."""
    paused: bool = False
    waiting: list[tuple[str, bytes]] = field(default_factory=list)
    """Sender and frame of all that it may receive when it takes frames again."""


class Receivers(NamedTuple):
    """Names of the ports that must, and of those that may, receive a frame.

    ``judged`` is false if the model leaves every port open.
    """

    must: tuple[str, ...]
    may: tuple[str, ...]
    judged: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where a learning LAN may know an address to be: ``ports``, or nowhere if not ``sure``."""

    ports: frozenset[str]
    sure: bool


def kind_of(traits: Traits) -> Kind:
    """The kind that a LAN declares; for one that declares none, what its traits imply."""
    if traits.kind is not None:
        return traits.kind
    if traits.filters == "sender":
        return "directory"
    return "learning" if traits.learns else "repeater"


def is_group(address: bytes) -> bool:
    """Whether an address is a group's: the lowest bit of its first byte is set."""
    return bool(address[:1]) and bool(address[0] & 1)


def is_reserved(address: bytes) -> bool:
    """Whether an address is one of 01:80:c2:00:00:00 to 0f."""
    return address[:5] == RESERVED and len(address) == 6 and address[5] < 16


@dataclass(slots=True)
class Model:
    """The state of one LAN, and the rules of its kind."""

    traits: Traits
    kind: Kind
    peers: dict[str, Peer] = field(default_factory=dict)
    table: dict[bytes, Place] = field(default_factory=dict)
    clock_s: float = 0.0
    """Seconds of ageing time that have passed."""
    _heard_s: dict[bytes, float] = field(default_factory=dict)
    """When each address was last heard of, for certain."""
    _answers: dict[tuple[str, bytes, int], Receivers] = field(default_factory=dict)
    """What ``receivers`` answered, as long as nothing changes."""

    # What happens on the LAN

    def plug(self, name: str, address: bytes) -> None:
        """A port is there, and up."""
        self._answers.clear()
        self.peers[name] = Peer(name, address)

    def reset(self) -> None:
        """All ports are up and in their first mode; what was learned may be forgotten."""
        for peer in self.peers.values():
            peer.up, peer.promiscuous, peer.groups, peer.paused = True, False, 0, False
            peer.joined.clear()
            peer.waiting.clear()
        self.doubt(set(self.peers))

    def set_promiscuous(self, name: str, on: bool) -> None:
        """A port's promiscuous mode is on or off."""
        self._answers.clear()
        self.peers[name].promiscuous = on

    def set_groups(self, name: str, count: int) -> None:
        """A port is a member of so many groups."""
        self._answers.clear()
        self.peers[name].groups = count
        if count == 0:
            self.peers[name].joined.clear()

    def join(self, name: str, group: bytes) -> None:
        """A port is a member of a group."""
        self._answers.clear()
        self.peers[name].joined.add(group)

    def leave(self, name: str, group: bytes) -> None:
        """A port is no member of a group any more."""
        self._answers.clear()
        self.peers[name].joined.discard(group)

    def pause(self, name: str) -> None:
        """A port takes no frames from here on."""
        self.peers[name].paused = True

    def resume(self, name: str) -> list[tuple[str, bytes]]:
        """A port takes frames again; sender and frame of all that may arrive there now."""
        peer = self.peers[name]
        waiting, peer.paused, peer.waiting = peer.waiting, False, []
        return waiting

    def age(self, seconds: float) -> None:
        """Time passes: addresses that were silent for the ageing time are forgotten.

        A bridge looks for them at intervals, so that it may take twice as long.
        """
        self._answers.clear()
        self.clock_s += seconds
        limit_s = self.traits.ageing_s
        for address, place in [*self.table.items()]:
            silent_s = self.clock_s - self._heard_s.get(address, 0.0)
            if limit_s is None or limit_s <= silent_s < 2 * limit_s:
                self.table[address] = Place(place.ports, False)
            elif silent_s >= 2 * limit_s:
                del self.table[address]

    def know(self, address: bytes, name: str) -> None:
        """From here on the LAN must know an address at a port, and there alone."""
        self._place(address, Place(frozenset((name,)), True))

    def _place(self, address: bytes, place: Place) -> None:
        self._heard_s[address] = self.clock_s
        if self.table.get(address) != place:
            self._answers.clear()
            self.table[address] = place

    def go_down(self, name: str) -> None:
        """A port leaves: what was learned at it may be forgotten at once (802.1Q 8.8.3).

        Some LANs forget all addresses then.
        """
        self.peers[name].up = False
        self.peers[name].waiting.clear()
        self.doubt({name} if self.traits.flushes == "own" else set(self.peers))

    def come_up(self, name: str) -> None:
        """A port joins: some LANs forget all addresses then."""
        self.peers[name].up = True
        self.doubt(set(self.peers))

    def doubt(self, names: Iterable[str]) -> None:
        """What was learned at these ports may or may not still be known."""
        self._answers.clear()
        doubtful = frozenset(names)
        for address, place in self.table.items():
            if place.ports & doubtful:
                self.table[address] = Place(place.ports, False)

    def sent(self, sender: str, frame: bytes) -> None:
        """A port sent a frame: a learning LAN knows its source there, and there alone."""
        source = frame[6:12]
        known = self.table.get(source)
        if known is not None and known.sure and sender in known.ports and not self.clock_s:
            return
        if self.kind != "learning" or len(frame) < HEADER or not self.peers[sender].up:
            return
        if is_group(source):
            return
        if source == NO_ADDRESS and self.traits.learns_zero is False:
            return
        old = self.table.get(source)
        taken = self.traits.shortest <= len(frame) <= self.traits.longest
        room = self.traits.addresses is None or len(self.table) < self.traits.addresses
        plain = frame[12:14] not in (*TAGS, PAUSE) or self.traits.vlan == "transparent"
        sure = taken and plain and not is_reserved(frame[:6]) and (room or old is not None)
        sure = sure and (source != NO_ADDRESS or self.traits.learns_zero is True)
        moved = old is not None and old.ports != {sender}
        if sure and not self.traits.lag_s and not (moved and self.traits.moves_s):
            self._place(source, Place(frozenset((sender,)), True))
        elif old is not None and self._heard_s[source] < self.clock_s:
            self._place(source, Place(old.ports | {sender}, False))
        elif old != Place(frozenset((sender,)), True):
            self._place(source, Place((old.ports if old else frozenset()) | {sender}, False))

    # Who receives

    def receivers(self, sender: str, frame: bytes) -> Receivers:
        """``rulings`` in short, for a frame that ``sender`` is about to send."""
        key = sender, frame[:HEADER], len(frame)
        known = self._answers.get(key)
        if known is None:
            rulings = self.rulings(sender, frame)
            known = self._answers[key] = Receivers(
                tuple(name for name, ruling in rulings.items() if ruling.verdict is MUST),
                tuple(name for name, ruling in rulings.items() if ruling.verdict is MAY),
                any(ruling.verdict is not MAY for ruling in rulings.values()),
            )
        return known

    def rulings(self, sender: str, frame: bytes) -> dict[str, Ruling]:
        """The ruling on every port, for a frame that ``sender`` is about to send."""
        common = self._common(sender, frame)
        return {
            name: Ruling(MUST_NOT, "the port is down")
            if not peer.up
            else common or self._on(peer, sender, frame)
            for name, peer in self.peers.items()
        }

    def _common(self, sender: str, frame: bytes) -> Ruling | None:
        """A ruling that holds for every port, whatever the kind."""
        traits = self.traits
        if not self.peers[sender].up:
            return Ruling(MUST_NOT, "the sender is down")
        if len(frame) > traits.longest and traits.oversized == "dropped":
            return Ruling(MUST_NOT, f"it is longer than the {traits.longest} bytes declared")
        return None

    def _on(self, peer: Peer, sender: str, frame: bytes) -> Ruling:
        if peer.name == sender:
            return self._on_sender(peer, frame)
        wanted = self._wanted(peer, sender, frame)
        if wanted.verdict is not MUST:
            return wanted
        doubt = self._doubt_of(frame)
        return Ruling(MAY, doubt) if doubt else wanted

    def _on_sender(self, peer: Peer, frame: bytes) -> Ruling:
        hairpin = self.traits.hairpin and frame[:6] == peer.address
        if hairpin:
            return Ruling(MAY, "the LAN declares that a frame to one's own address comes back")
        return Ruling(MUST_NOT, "a frame never returns to its sender")

    def _doubt_of(self, frame: bytes) -> str:
        """Why a LAN may drop a frame that it would otherwise have to deliver; or nothing."""
        source, kind = frame[6:12], frame[12:14]
        if len(frame) < HEADER:
            return "it is too short for a header"
        if len(frame) > self.traits.longest:
            return "it is longer than what the LAN takes"
        if is_group(source) or source == NO_ADDRESS:
            return "no station has its source address (802.1Q 8.6.1 lets a bridge drop it)"
        if kind == PAUSE:
            return "a pause frame is for the link"
        if kind in TAGS and self.traits.vlan != "transparent":
            return "the LAN may not carry this VLAN"
        return ""

    def _wanted(self, peer: Peer, sender: str, frame: bytes) -> Ruling:
        destination = frame[:6]
        if is_group(destination):
            return self._group(peer, destination)
        if self.kind in ("repeater", "wire"):
            return Ruling(MUST, "a repeater sends every frame out of every other port")
        if self.kind == "learning":
            if frame[6:12] == destination:
                return Ruling(MAY, "it is from its own destination, which is learned by it")
            return self._learned(peer, sender, destination)
        if self.kind == "unknown":
            if peer.address == destination:
                return Ruling(MUST, "it is the port's own address")
            return Ruling(MAY, "it is not known whether the LAN floods")
        return self._listed(peer, destination)

    def _group(self, peer: Peer, destination: bytes) -> Ruling:
        if not is_reserved(destination) or self.traits.reserved == "forwarded":
            return self._members(peer, destination)
        if destination[5] == 0 and self.traits.reserved:
            return Ruling(MAY, "a bridge without spanning tree may forward its group")
        if self.traits.reserved == "filtered":
            return Ruling(MUST_NOT, "its group is reserved, and the LAN declares to filter those")
        return Ruling(MAY, "its group is reserved: bridges filter it, hubs forward it")

    def _members(self, peer: Peer, group: bytes) -> Ruling:
        """Who receives the frames of a group that is not reserved."""
        declared = self.traits.groups
        members = [other for other in self.peers.values() if group in other.joined]
        if declared == "all" or not members:
            return Ruling(MUST, "a group frame reaches every other port")
        if peer in members:
            return Ruling(MUST, "the port has joined the group")
        if not any(member.up for member in members):
            return Ruling(MAY, "all ports that have joined the group are down")
        if declared is None:
            return Ruling(MAY, "the LAN does not declare who receives a group that was joined")
        if peer.promiscuous:
            if self.traits.promiscuous == "all":
                return Ruling(MUST, "the port is promiscuous")
            return Ruling(MAY, "a promiscuous port may see the frames of every group")
        if peer.groups:
            return Ruling(MAY, "the port has joined groups that it does not name")
        return Ruling(MUST_NOT, "others have joined the group, and this port has not")

    def _listed(self, peer: Peer, destination: bytes) -> Ruling:
        if peer.address == destination:
            return Ruling(MUST, "it is the port's own address")
        if peer.promiscuous:
            if self.traits.promiscuous == "reached":
                return Ruling(MAY, "the LAN declares that a promiscuous port sees what reaches it")
            return Ruling(MUST, "the port is promiscuous")
        if peer.groups:
            return Ruling(MAY, "a port that joined groups may ask for every frame")
        return Ruling(MUST_NOT, "it is another port's address, or none's")

    def _learned(self, peer: Peer, sender: str, destination: bytes) -> Ruling:
        place = self.table.get(destination)
        if place is None:
            if self.traits.unknown == "dropped":
                return Ruling(MUST_NOT, "the LAN declares to drop unicasts to unknown addresses")
            return Ruling(MUST, "an unknown address is flooded to all but the sender")
        if peer.promiscuous and self.traits.promiscuous == "all":
            return Ruling(MUST, "the port is promiscuous")
        if place.sure:
            if peer.name in place.ports:
                return Ruling(MUST, "the address was learned at this port")
            if peer.promiscuous and self.traits.promiscuous is None:
                return Ruling(MAY, "the LAN does not declare what a promiscuous port sees")
            where = "".join(place.ports)
            if where == sender:
                return Ruling(MUST_NOT, "the address was learned at the sender's own port")
            return Ruling(MUST_NOT, f"the address was learned at {where}")
        others = place.ports - {sender}
        if others == {peer.name} and sender not in place.ports:
            return Ruling(MUST, "the address is at this port, or is flooded for")
        return Ruling(MAY, "the address may be known or not")


# What a frame may look like when it arrives


def arrives_as(traits: Traits, frame: bytes, arrival: bytes) -> bool:
    """Whether ``arrival`` is an allowed form of ``frame``: itself, padded, or cut as declared."""
    if arrival == frame:
        return len(frame) >= SHORTEST_PADDED or not traits.padding
    if len(arrival) > len(frame):
        padded = frame.ljust(SHORTEST_PADDED, b"\0")
        return traits.padding != 0 and arrival == padded
    cut = len(arrival) < len(frame) and frame.startswith(arrival)
    return cut and traits.oversized == "cut" and len(arrival) >= LONGEST_ORDINARY
