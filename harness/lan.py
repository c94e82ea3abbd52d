"""What any LAN is: ports that send and receive frames, and a way to know that all is quiet."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol


class LanError(Exception):
    """A LAN cannot do what it was asked to do; the message is one line."""


class FrameRefused(LanError):
    """A port did not send a frame: no byte of it crossed."""


class Inconclusive(LanError):
    """No verdict is possible: the stimulus did not cross, or the LAN is dead or deaf."""


class Unsupported(LanError):
    """A test needs a feature that the LAN declares not to have."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a frame lies in its sender's memory; only simulated LANs take one.

    The first ``linear`` bytes (all, if None) start at ``offset`` in a page; the rest lie
    in ``fragments`` of (size, offset in a page of its own), in order.
    """

    linear: int | None = None
    offset: int = 0
    fragments: tuple[tuple[int, int], ...] = ()


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

    ``passes_filter`` says whether a host's network card would pass the frame up: it is to
    the card's own address, to a group, or the card is promiscuous. ``for_host`` is the name
    that this field had in version 0.1; both are accepted.
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
    """What became of a frame at a port."""

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

    ``original_length`` is more than the frame's own length where it was cut. ``fates`` say
    what became of it. A record without fates, as version 0.1 made them, is read by its
    comments: FILTERED, or one that ends in DROPPED; else it was sent, or delivered.
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

    ``filters`` says who keeps a frame from ports that do not want it; ``burst`` how many
    frames may be sent before the LAN must settle (one, if not ``ordered``); ``shortest``
    and ``longest`` are the bytes in a frame that it takes; ``oversized`` what becomes of one
    that is longer than a receiver takes; ``settles`` how quiet is known; ``ports`` how many
    a test may ask for. ``ordered``: frames of one sender to one receiver never overtake
    each other. ``wait_s`` is how many seconds a LAN that settles by waiting waits.
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


class Port(Protocol):
    """Where one peer is plugged in. ``mac`` is its address, six bytes."""

    @property
    def name(self) -> str: ...

    @property
    def mac(self) -> bytes: ...

    def send(self, frame: bytes, layout: Layout | None = None) -> None:
        """Send one frame; FrameRefused when the port will not."""

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


class Lan(Protocol):
    """A LAN under test."""

    @property
    def name(self) -> str: ...

    @property
    def traits(self) -> Traits: ...

    def ports(self, count: int) -> Sequence[Port]:
        """The first ``count`` ports, made and opened as needed."""

    def settle(self) -> None:
        """Return when nothing more will arrive; Inconclusive when that cannot be known."""

    def interfaces(self) -> Sequence[tuple[str, bytes]]:
        """Name and address of everything that may appear in ``records``."""

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
