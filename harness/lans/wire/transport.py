"""What carries frames to and from a real LAN: a transport per port, made by a plant."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from harness.lan import Counters


class Got(NamedTuple):
    """A frame off a transport.

    ``length`` is its length before it was cut to fit; ``passes_filter`` is the card's decision,
    None where there is no card.
    """

    frame: bytes
    length: int
    passes_filter: bool | None = None


class Transport(Protocol):
    """Carries the frames of one port."""

    def fileno(self) -> int:
        """For waiting until something can be received."""

    def send(self, frame: bytes) -> None:
        """FrameRefused if nothing of it can cross."""

    def receive(self) -> Got | None:
        """The next frame in the queue; None if it is empty."""

    def lost(self) -> int:
        """Frames that the kernel dropped on their way to us since the last call."""

    def set_promiscuous(self, on: bool) -> None:
        """Turn promiscuous mode on or off, where the port has one."""

    def unplug(self) -> None:
        """Leave the LAN; ``plug`` comes back."""

    def plug(self) -> None:
        """Join the LAN again; frames may take a moment to cross."""

    def close(self) -> None:
        """Release everything; may be called twice."""


class VerbTransport(Transport, Protocol):
    """A transport with what the LAN's ``Traits.verbs`` name; each is there if its verb is."""

    def set_link(self, up: bool) -> None:
        """``link``: the link fails, or is there again."""

    def vanish(self) -> None:
        """``vanish``: leave, and do not notify the LAN; ``plug`` comes back."""

    def set_member(self, group: bytes, on: bool) -> None:
        """``groups``: be a member of a group, or be none."""

    def counters(self) -> Counters:
        """``counters``: what the LAN counted at this port."""
        ...


class Plant(Protocol):
    """What makes the ports of a real LAN: a transport per port."""

    one_cpu: bool
    """Whether frames keep their order only if all are sent from one processor."""

    fences: int
    """How many fences, one after another, no earlier frame can outlast."""

    def connect(self, number: int, name: str, mac: bytes) -> Transport:
        """Plug in port ``number``, counted from 1."""

    def close(self) -> None:
        """Release everything."""
