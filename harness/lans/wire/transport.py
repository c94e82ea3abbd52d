"""What carries frames to and from a real LAN: a transport per port, made by a plant."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Got(NamedTuple):
    """A frame off a transport.

    ``length`` is what it had before it was cut to fit; ``passes_filter`` what the card made of
    it, None where there is no card to ask.
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
        """The next frame that waits, None if none does."""

    def lost(self) -> int:
        """Frames that the kernel dropped on their way to us since last asked."""

    def set_promiscuous(self, on: bool) -> None:
        """Promiscuous mode, where there is such a thing."""

    def unplug(self) -> None:
        """Leave the LAN; ``plug`` comes back."""

    def plug(self) -> None:
        """Be on the LAN again; frames may not cross at once."""

    def close(self) -> None:
        """Give everything back; may be called twice."""


class Plant(Protocol):
    """The real thing: makes a transport per port."""

    one_cpu: bool
    """Whether frames keep their order only if all are sent from one processor."""

    fences: int
    """Fences, one after another, that no frame before them can outlast."""

    def connect(self, number: int, name: str, mac: bytes) -> Transport:
        """Plug in port ``number``, counted from 1."""

    def close(self) -> None:
        """Give everything back."""
