"""What any LAN is: ports that send and receive frames, and a way to know that all is quiet."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol


class LanError(Exception):
    """A LAN cannot do what it was asked to do; the message is one line.

    The base class of the other errors here. A class of your own raises it for its own faults:
    the test is then inconclusive, not failed.

    >>> issubclass(FrameRefused, LanError)
    True
    """


class FrameRefused(LanError):
    """A port did not send a frame: no byte of it crossed.

    >>> lan = create("lguest")
    >>> sender, receiver = lan.ports(2)
    >>> sender.close()
    >>> try:
    ...     sender.send(ethernet(to=receiver, by=sender))
    ... except FrameRefused as error:
    ...     print(error)
    eth0 of Guest 1 cannot send this frame: the device is not open
    """


class Inconclusive(LanError):
    """No verdict is possible: the stimulus did not cross, or the LAN is dead or deaf.

    Such a test is red, but says nothing about the rule.

    >>> lan = Testbench(create("lguest"))
    >>> sender, receiver = lan.ports(2)
    >>> receiver.device.guest.host.kill(receiver.device.guest, "as an example")
    >>> try:
    ...     lan.exchange(sender, ethernet(to=receiver, by=sender))
    ... except Inconclusive:
    ...     print("not even a control broadcast arrived")
    not even a control broadcast arrived
    """


class Storm(LanError):
    """A port received so many frames that nothing else needs to be known: the test fails."""


class Unsupported(LanError):
    """A test needs a feature that the LAN declares not to have.

    `Testbench.require` raises it. Such a test is reported as unsupported, which is not red.

    >>> lan = Testbench(create("lguest"))
    >>> try:
    ...     lan.require(lan.traits.learns, "does not learn addresses")
    ... except Unsupported as error:
    ...     print(error)
    lguest: does not learn addresses
    """


@dataclass(frozen=True, slots=True)
class Layout:
    """How a frame lies in its sender's memory; only simulated LANs take one.

    The first ``linear`` bytes (all, if None) start at ``offset`` in a page; the rest lie
    in ``fragments`` of (size, offset in a page of its own), in order. All numbers are bytes;
    a page has 4,096.

    >>> lan = Testbench(create("lguest"))
    >>> sender, receiver = lan.ports(2)
    >>> frame = ethernet(to=receiver, by=sender, size=1000)
    >>> in_three_parts = Layout(linear=200, offset=16, fragments=((500, 0), (300, 64)))
    >>> lan.exchange(sender, frame, layout=in_three_parts) == {receiver: [frame]}
    True
    """

    linear: int | None = None
    offset: int = 0
    fragments: tuple[tuple[int, int], ...] = ()


CALM = 128
COPIES = 8
"""Frames that a port may receive before it is a storm: ``CALM``, and copies of each one sent."""


def check_calm(port: str, received: int, sent: int) -> None:
    """Storm if a port received more frames than any verdict needs, given how many were sent.

    What arrives is kept until a test has compared it: a LAN that floods would fill the memory.
    """
    if received > CALM + COPIES * sent:
        raise Storm(f"storm: {port} received {received} frames, with {sent} sent in all")


def as_frame(given: object) -> bytes:
    """A frame as plain ``bytes``; TypeError, in one line, for what is none.

    Bytes-like objects and objects that convert to bytes, such as Scapy packets, are taken.
    """
    if type(given) is bytes:
        return given
    if isinstance(given, bytes | bytearray | memoryview) or hasattr(given, "__bytes__"):
        return bytes(given)
    raise TypeError(f"a frame should be bytes or a Scapy packet, not {type(given).__name__}")


class _ArrivalFields(NamedTuple):
    time: int
    frame: bytes
    passes_filter: bool


class Arrival(_ArrivalFields):
    """A frame that reached a port, at ``time`` (nanoseconds since 1970).

    ``frame`` is the whole frame without preamble and FCS. ``passes_filter`` says whether a
    host's network card would pass the frame up: it is to the card's own address, to a group,
    or the card is promiscuous. ``for_host`` is the name that this field had in version 0.1;
    both are accepted.

    >>> lan = create("lguest")
    >>> sender, receiver = lan.ports(2)
    >>> sender.send(ethernet(to=receiver, by=sender, size=60))
    >>> lan.settle()
    >>> [(len(arrival.frame), arrival.passes_filter) for arrival in receiver.arrivals()]
    [(60, True)]
    """

    __slots__ = ()

    def __new__(
        cls,
        time: int,
        frame: bytes,
        passes_filter: bool | None = None,
        *,
        for_host: bool | None = None,
    ) -> Arrival:
        given = for_host if passes_filter is None else passes_filter
        return tuple.__new__(cls, (time, frame, True if given is None else given))

    @property
    def for_host(self) -> bool:
        """``passes_filter``, as version 0.1 called it."""
        return self.passes_filter


class FateKind(enum.StrEnum):
    """What became of a frame at a port.

    The values are those of the comments in captures, and do not change.

    >>> FateKind("truncated")
    <FateKind.TRUNCATED: 'truncated'>
    """

    SENT = "sent"
    """It left its sender whole."""
    SENT_PARTLY = "sent-partly"
    """It left its sender without its last sections (a Megapacket)."""
    SENT_RAW = "sent-raw"
    """Code in the Guest, not its driver, sent it by a hypercall of its own."""
    REFUSED = "refused"
    """It did not leave its sender."""
    UNDELIVERED = "undelivered"
    """It left its sender, and less than all of it, or nothing, reached ``port``."""
    DELIVERED = "delivered"
    """It arrived whole."""
    TRUNCATED = "truncated"
    """It arrived without its last bytes."""
    FILTERED = "filtered"
    """It reached the port, and a host's card would not pass it up."""
    DROPPED = "dropped"
    """It reached the port, and the receiver threw it away."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a frame at a port, and the data that belongs to it.

    ``reason`` says why, in a few words, where there is a reason. ``port`` is the receiver
    that an UNDELIVERED frame did not reach whole. ``count`` of ``of`` bytes crossed (sections,
    if SENT_PARTLY). ``buffer`` is the receive buffer, on the simulated LAN.

    >>> lan = create("lguest")
    >>> sender, receiver = lan.ports(2)
    >>> sender.send(ethernet(to=receiver, by=sender, size=9014))
    >>> lan.settle()
    >>> fate = lan.records()[-1].fates[0]
    >>> f"{fate.kind}: {fate.count} of {fate.of} bytes"
    'truncated: 1514 of 9014 bytes'
    """

    kind: FateKind
    reason: str = ""
    port: str = ""
    count: int | None = None
    of: int | None = None
    buffer: int | None = None


FILTERED = "not for this host"
"""The comment on a frame that reached a port and that its host's card would not pass up."""

NOT_FOR_HOST = FILTERED
"""``FILTERED``, as version 0.1 called it."""

DROPPED = "dropped by the receiver"
"""How the comment ends on a frame that reached a port and that its receiver threw away."""


class Record(NamedTuple):
    """One line of a capture: a frame at a port, and what became of it.

    ``time`` is in nanoseconds since 1970, ``port`` the port's name, ``frame`` what crossed.
    ``original_length``, in bytes, is more than the frame's own length where it was cut.
    ``comments`` are lines for people, shown in Wireshark; ``fates`` say the same for programs.
    A record without fates, as version 0.1 made them, is read by its comments: FILTERED, or
    one that ends in DROPPED; else it was sent, or delivered.

    >>> lan = create("lguest")
    >>> sender, receiver = lan.ports(2)
    >>> sender.send(ethernet(to=receiver, by=sender))
    >>> lan.settle()
    >>> [(record.port, record.direction) for record in lan.records()]
    [('guest1', 'sent'), ('guest2', 'received')]
    """

    time: int
    port: str
    direction: Literal["sent", "received"]
    frame: bytes
    original_length: int
    comments: tuple[str, ...] = ()
    fates: tuple[Fate, ...] = ()


@dataclass(frozen=True, slots=True)
class Traits:
    """What a LAN can do and how it behaves, as it declares it.

    - ``filters``: who keeps a frame from ports that do not want it: the sender (or a switch
      on its behalf), the receiver's card, or nobody
    - ``learns``: it learns from source addresses, as a bridge does
    - ``ordered``: frames of one sender to one receiver never overtake each other
    - ``shortest``, ``longest``: bytes in a frame that it takes, header included, without FCS
    - ``oversized``: what becomes of a frame that is longer than a receiver takes
    - ``burst``: how many frames may be sent before the LAN must settle (one, if not ``ordered``)
    - ``layouts``: `Port.send` takes a `Layout`
    - ``counters``: its devices have lguest's counters
    - ``settles``: how quiet is known: a barrier of the LAN's own, a fence, or a wait
    - ``ports``: how many ports a test may ask for
    - ``wait_s``: seconds that a LAN waits which settles by waiting
    - ``needs``: what it needs to run, for people to read
    - ``kind``: who gets a unicast; None: it follows from ``filters`` and ``learns``; "unknown":
      its owner, and perhaps others
    - ``hairpin``: a frame to one's own address comes back
    - ``reserved``: what becomes of frames to 01:80:c2:00:00:00 to 0f
    - ``unknown``: what becomes of unicasts to an address that was not learned
    - ``promiscuous``: a promiscuous port sees all frames, or only what reaches it anyway
    - ``padding``: 0 if short frames arrive as sent, 60 if zeros fill them up to 60 bytes
    - ``vlan``: "aware" if the LAN may drop frames of VLANs that it does not carry
    - ``addresses``: how many a learning LAN's table holds
    - ``lag_s``: seconds that learning may take
    - ``learns_zero``: the address 00:00:00:00:00:00 is learned like any other
    - ``flushes``: whether a port that goes down takes only its own addresses along, or all
    - ``moves_s``: seconds that an address may stay known at its old port when it sends from another
    - ``verbs``: the optional methods that its ports and itself have: see `PortVerbs`
    - ``groups``: frames of a group that a port joined by its address reach all ports, or only
      its members; those of any other group reach all
    - ``ageing_s``: seconds after which an address that is silent is forgotten

    Of the properties from ``kind`` on, None means not declared: both readings are accepted.
    Only ``promiscuous`` of a directory LAN is then taken as "all".

    >>> traits = Traits(
    ...     filters="sender", learns=True, ordered=True, shortest=14, longest=1514,
    ...     oversized="dropped", burst=64, layouts=False, counters=False, settles="barrier",
    ... )
    >>> traits.ports
    8
    """

    filters: Literal["sender", "receiver", "nobody"]
    learns: bool
    ordered: bool
    shortest: int
    longest: int
    oversized: Literal["cut", "dropped", "delivered"]
    burst: int
    layouts: bool
    counters: bool
    settles: Literal["barrier", "fence", "wait"]
    ports: int = 8
    wait_s: float = 0.0
    needs: tuple[str, ...] = ()
    kind: Literal["repeater", "learning", "directory", "wire", "unknown"] | None = None
    hairpin: bool = False
    reserved: Literal["forwarded", "filtered"] | None = None
    unknown: Literal["flooded", "dropped"] = "flooded"
    promiscuous: Literal["all", "reached"] | None = None
    padding: int | None = None
    vlan: Literal["transparent", "aware"] = "transparent"
    addresses: int | None = None
    lag_s: float = 0.0
    learns_zero: bool | None = None
    flushes: Literal["own", "all"] | None = None
    moves_s: float = 0.0
    verbs: tuple[str, ...] = ()
    groups: Literal["all", "members"] | None = None
    ageing_s: float | None = None


VERBS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "link": ("link_down", "link_up"),
        "vanish": ("vanish",),
        "pause": ("pause", "resume"),
        "groups": ("join_group", "leave_group"),
        "counters": ("counters",),
        "age": (),
    }
)
"""What ``Traits.verbs`` can name, and the methods of a port that each one stands for."""


class Counters(NamedTuple):
    """How many frames a LAN counted at a port, since the LAN began.

    - ``sent``: frames that the LAN took from the port
    - ``received``: frames that the LAN passed to the port

    >>> after, before = Counters(sent=7, received=3), Counters(sent=5, received=3)
    >>> after.sent - before.sent
    2
    """

    sent: int
    received: int


class Port(Protocol):
    """Where one peer is plugged in, with the network card of its host.

    A class of your own needs every member listed here; it need not inherit.

    >>> port = create("lguest").ports(1)[0]
    >>> port.name, port.mac.hex(":")
    ('guest1', '02:00:01:00:00:00')
    """

    @property
    def name(self) -> str:
        """What results and captures call it; no two ports of a LAN have the same."""
        ...

    @property
    def mac(self) -> bytes:
        """Its address, six bytes."""
        ...

    def send(self, frame: bytes, layout: Layout | None = None) -> None:
        """Send one frame; FrameRefused when the port will not. ``layout``: see `Traits`."""

    def arrivals(self) -> Sequence[Arrival]:
        """Frames that arrived since the last call, in order."""

    def set_promiscuous(self, on: bool) -> None:
        """Turn promiscuous mode on or off. (``listen_to_all`` in version 0.1.)"""

    def join_groups(self, count: int) -> None:
        """Be a member of ``count`` multicast groups in all; 0 leaves them."""

    def close(self) -> None:
        """Leave the LAN, cleanly."""

    def open(self) -> None:
        """Join the LAN again after ``close``."""


class PortVerbs(Port, Protocol):
    """What a port may have beside the members of `Port`, as its LAN declares it.

    ``Traits.verbs`` names what is there: ``link``, ``vanish``, ``pause``, ``groups``, ``counters``;
    tests that need what is not there are unsupported. Groups that were joined by their address
    are left by ``join_groups(0)`` too.

    >>> lan = create("memory-directory")
    >>> lan.traits.verbs
    ('link', 'vanish', 'pause', 'groups', 'counters')
    >>> sender, receiver = lan.ports(2)
    >>> receiver.link_down()
    >>> sender.send(ethernet(to=receiver, by=sender))
    >>> lan.settle()
    >>> sender.counters(), receiver.counters()
    (Counters(sent=1, received=0), Counters(sent=0, received=0))
    """

    def link_down(self) -> None:
        """The link fails, as if the cable was pulled: nothing crosses it; the port stays."""

    def link_up(self) -> None:
        """The link is there again."""

    def vanish(self) -> None:
        """The port's peer dies, and the LAN is not notified; `Port.open` brings another one."""

    def pause(self) -> None:
        """Take no frames from the LAN."""

    def resume(self) -> None:
        """Take frames again."""

    def join_group(self, group: bytes) -> None:
        """Be a member of a multicast group, by its address."""

    def leave_group(self, group: bytes) -> None:
        """Be no member of that group any more."""

    def counters(self) -> Counters:
        """What the LAN counted at this port."""
        ...


class LanVerbs(Protocol):
    """What a LAN may have beside the members of `Lan`: ``age``, if ``Traits.verbs`` names it.

    >>> lan = create("memory-learning")
    >>> "age" in lan.traits.verbs
    True
    >>> lan.age(lan.traits.ageing_s)
    """

    def age(self, seconds: float) -> None:
        """Let so much of the ageing time of addresses pass, at once."""


class Lan(Protocol):
    """A LAN under test.

    A class of your own needs every member listed here, and a constructor without arguments;
    it need not inherit. An attribute ``version``, a text, is optional.

    >>> lan = create("lguest")
    >>> sender, receiver = lan.ports(2)
    >>> frame = ethernet(to=receiver, by=sender)
    >>> sender.send(frame)
    >>> lan.settle()
    >>> [arrival.frame for arrival in receiver.arrivals()] == [frame]
    True
    >>> lan.close()
    """

    @property
    def name(self) -> str:
        """What its messages call it."""
        ...

    @property
    def traits(self) -> Traits:
        """What it can do and how it behaves."""
        ...

    def ports(self, count: int) -> Sequence[Port]:
        """The first ``count`` ports, made and opened as needed; the same ones at every call."""

    def settle(self) -> None:
        """Return when nothing more will arrive; Inconclusive when that cannot be known."""

    def interfaces(self) -> Sequence[tuple[str, bytes]]:
        """Name and address (six bytes) of everything that may appear in ``records``."""

    def records(self) -> Sequence[Record]:
        """Everything that was sent and received since the LAN began, in order."""

    def close(self) -> None:
        """Release everything."""


def version_of(lan: Lan) -> str:
    """The version that a LAN gives in its optional attribute ``version``; else nothing."""
    return str(getattr(lan, "version", ""))


def waited_s(lan: Lan) -> float:
    """Seconds that the LAN has waited to be quiet: its optional attribute ``waited_s``."""
    return float(getattr(lan, "waited_s", 0.0))


def settled(lan: Lan, before_s: float) -> str:
    """How quiet was known since ``waited_s`` was ``before_s``: barrier, fence or the wait."""
    if lan.traits.settles != "wait":
        return lan.traits.settles
    return f"waited {waited_s(lan) - before_s:.3g} s"
