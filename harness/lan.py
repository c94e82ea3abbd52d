"""What any LAN is: ports that take and give frames, and a way to know that all is quiet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol


class LanError(Exception):
    """A LAN that cannot do what it was asked, said in one line."""


class FrameRefused(LanError):
    """A port would not send a frame: nothing of it crossed."""


class Inconclusive(LanError):
    """No verdict is possible: the stimulus did not cross, or the LAN is dead or deaf."""


class Unsupported(LanError):
    """A test that asks for what the LAN has declared that it cannot do."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a frame lies in its sender's memory.

    The first ``linear`` bytes (all, if None) start at ``offset`` in a page; the rest lie
    in ``fragments`` of (size, offset in a page of its own), in order.
    """

    linear: int | None = None
    offset: int = 0
    fragments: tuple[tuple[int, int], ...] = ()


class Arrival(NamedTuple):
    """A frame that reached a port, at ``time`` (nanoseconds since 1970).

    ``for_host`` tells whether a host's card would pass it up, the host view.
    """

    time: int
    frame: bytes
    for_host: bool


NOT_FOR_HOST = "not for this host"
"""The comment of a frame that reached a port, and that its host's card would not pass up."""

DROPPED = "dropped by the receiver"
"""How the comment of a frame ends that reached a port, and that its receiver threw away."""


class Record(NamedTuple):
    """A line of a capture: a frame at a port, and what became of it.

    ``original_length`` is more than the frame's where it was cut. A frame counts as received
    unless a comment says otherwise: ``NOT_FOR_HOST``, ``DROPPED``.
    """

    time: int
    port: str
    direction: Literal["sent", "received"]
    frame: bytes
    original_length: int
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Traits:
    """What a LAN can do and how it behaves, declared or probed once.

    ``filters`` says who keeps a frame from ports that do not want it; ``burst`` how many
    frames may be sent before the LAN must settle (one, if not ``ordered``); ``shortest``
    and ``longest`` are bytes in a frame that it takes; ``oversized`` what becomes of one
    that is longer than a receiver takes; ``settles`` how quiet is known; ``ports`` how many
    a test may ask for. ``ordered``: frames of one sender to one receiver never overtake
    each other. ``wait_s`` is how many seconds one that settles by waiting waits.
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
        """What came since last asked, in order."""

    def listen_to_all(self, on: bool) -> None:
        """Promiscuous mode on or off."""

    def join_groups(self, count: int) -> None:
        """Join so many multicast groups in all; 0 leaves them."""

    def close(self) -> None:
        """Leave the LAN, cleanly."""

    def open(self) -> None:
        """Come back."""


class Lan(Protocol):
    """A LAN under test."""

    @property
    def name(self) -> str: ...

    @property
    def traits(self) -> Traits: ...

    def ports(self, count: int) -> Sequence[Port]:
        """The first ``count`` ports, made and opened as needed."""

    def settle(self) -> None:
        """Return when nothing more will come; Inconclusive when that cannot be known."""

    def interfaces(self) -> Sequence[tuple[str, bytes]]:
        """Name and address of everything that may stand in ``records``."""

    def records(self) -> Sequence[Record]:
        """Everything that was sent and received since the LAN began, in order."""

    def close(self) -> None:
        """Give everything back."""


def version_of(lan: Lan) -> str:
    """What the LAN tells of its version, its optional attribute ``version``; else nothing."""
    return str(getattr(lan, "version", ""))


def waited_s(lan: Lan) -> float:
    """Seconds that the LAN has waited to be quiet, its optional attribute ``waited_s``."""
    return float(getattr(lan, "waited_s", 0.0))


def settled(lan: Lan, before_s: float) -> str:
    """How quiet was known since ``waited_s`` was ``before_s``: barrier, fence or the wait."""
    if lan.traits.settles != "wait":
        return lan.traits.settles
    return f"waited {waited_s(lan) - before_s:.3g} s"
