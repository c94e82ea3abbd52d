"""Wrappers around a port: count its frames, record them, or harm some of them on purpose.

A wrapped port is used in place of the port, and can be wrapped again. What else the port has is
there too.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.lan import Arrival, Fate, FateKind, FrameRefused, LanError, Layout, Port, Record

ON_PURPOSE = "fault injection"
"""How the reason of a fate begins that a `Faulty` port has caused."""


class Wrapper:
    """A port that does what the port inside does."""

    def __init__(self, port: Port) -> None:
        self.port = port
        self.name = port.name
        self.mac = port.mac

    def __getattr__(self, name: str) -> Any:
        return getattr(self.port, name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.port!r}>"

    def send(self, frame: bytes, layout: Layout | None = None) -> None:
        """Send one frame."""
        self.port.send(frame, layout)

    def arrivals(self) -> Sequence[Arrival]:
        """Frames that arrived since the last call."""
        return self.port.arrivals()

    def set_promiscuous(self, on: bool) -> None:
        """Turn promiscuous mode on or off."""
        self.port.set_promiscuous(on)

    def join_groups(self, count: int) -> None:
        """Be a member of ``count`` groups."""
        self.port.join_groups(count)

    def close(self) -> None:
        """Leave the LAN."""
        self.port.close()

    def open(self) -> None:
        """Join the LAN again."""
        self.port.open()


class Counting(Wrapper):
    """Counts frames and bytes that were sent, refused and received."""

    def __init__(self, port: Port) -> None:
        super().__init__(port)
        self.sent = self.sent_bytes = self.refused = self.received = self.received_bytes = 0

    def send(self, frame: bytes, layout: Layout | None = None) -> None:
        """Send one frame, and count it."""
        try:
            self.port.send(frame, layout)
        except FrameRefused:
            self.refused += 1
            raise
        self.sent += 1
        self.sent_bytes += len(frame)

    def arrivals(self) -> Sequence[Arrival]:
        """Frames that arrived, counted."""
        arrived = self.port.arrivals()
        self.received += len(arrived)
        self.received_bytes += sum(len(arrival.frame) for arrival in arrived)
        return arrived


class Recording(Wrapper):
    """Keeps a record of every frame, for a capture of this port alone: ``records``."""

    def __init__(self, port: Port) -> None:
        super().__init__(port)
        self.records: list[Record] = []

    def send(self, frame: bytes, layout: Layout | None = None) -> None:
        """Send one frame, and record it."""
        fate = Fate(FateKind.SENT)
        now = time.time_ns()
        try:
            self.port.send(frame, layout)
        except FrameRefused as error:
            fate = Fate(FateKind.REFUSED, str(error))
            raise
        finally:
            self.records.append(Record(now, self.name, "sent", frame, len(frame), (), (fate,)))

    def arrivals(self) -> Sequence[Arrival]:
        """Frames that arrived, recorded."""
        arrived = self.port.arrivals()
        for arrival in arrived:
            fate = Fate(FateKind.DELIVERED if arrival.passes_filter else FateKind.FILTERED)
            frame, at = arrival.frame, arrival.time
            self.records.append(Record(at, self.name, "received", frame, len(frame), (), (fate,)))
        return arrived


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, each with a probability from 0 to 1; the same seed gives the same faults.

    ``loss``: a frame is lost; ``duplicate``: it comes twice; ``corrupt``: one of its bits is
    turned.
    """

    loss: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    seed: int = 0


def parsed_fault(text: str) -> Fault:
    """``loss=1%,duplicate=0.5%,corrupt=2%,seed=7``; LanError for anything else."""
    values: dict[str, float] = {}
    seed = 0
    for word in text.split(","):
        name, _, value = word.partition("=")
        try:
            if name == "seed":
                seed = int(value)
                continue
            values[name] = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
        except ValueError:
            raise LanError(f"--fault {text}: {word!r} should be NAME=NUMBER") from None
        if name not in ("loss", "duplicate", "corrupt"):
            raise LanError(f"--fault {text}: {name!r} should be loss, duplicate, corrupt or seed")
        if not 0 <= values[name] <= 1:
            raise LanError(f"--fault {text}: {name} should be 0% to 100%")
    return Fault(**values, seed=seed)


class Faulty(Wrapper):
    """Harms frames on their way out of and into a port, as `Fault` says.

    ``acted`` counts what was done, by name. A frame that was lost or changed leaves a record
    that says so; ``take_faults`` gives them.
    """

    def __init__(self, port: Port, fault: Fault) -> None:
        super().__init__(port)
        self.fault = fault
        self.acted: Counter[str] = Counter()
        self._faults: list[Record] = []
        self._random = {
            way: random.Random(f"{fault.seed} {port.name} {way}") for way in ("sent", "received")
        }

    def take_faults(self) -> list[Record]:
        """The records of frames that were harmed since the last call."""
        taken, self._faults = self._faults, []
        return taken

    def send(self, frame: bytes, layout: Layout | None = None) -> None:
        """Send one frame, or less, or more."""
        for harmed in self._harm(frame, "sent"):
            self.port.send(harmed, layout)

    def arrivals(self) -> Sequence[Arrival]:
        """Frames that arrived, or fewer, or more."""
        return [
            Arrival(arrival.time, harmed, arrival.passes_filter)
            for arrival in self.port.arrivals()
            for harmed in self._harm(arrival.frame, "received")
        ]

    def _harm(self, frame: bytes, way: Any) -> Iterator[bytes]:
        draw = self._random[way]
        lost, twice, turned = (
            draw.random() < chance
            for chance in (self.fault.loss, self.fault.duplicate, self.fault.corrupt)
        )
        bit = draw.randrange(8 * len(frame)) if frame else 0
        if lost:
            self._record(frame, way, "loss")
            return
        if turned and frame:
            self._record(frame, way, "corrupt", f"bit {bit % 8} of byte {bit // 8} turned")
            changed = bytearray(frame)
            changed[bit // 8] ^= 1 << bit % 8
            frame = bytes(changed)
        yield frame
        if twice:
            self._record(frame, way, "duplicate")
            yield frame

    def _record(self, frame: bytes, way: Any, what: str, details: str = "") -> None:
        self.acted[what] += 1
        if what == "duplicate":
            return  # the LAN's own records have both
        fate = Fate(
            FateKind.REFUSED if way == "sent" else FateKind.DROPPED,
            f"{ON_PURPOSE}: {details or what}",
        )
        self._faults.append(Record(time.time_ns(), self.name, way, frame, len(frame), (), (fate,)))
