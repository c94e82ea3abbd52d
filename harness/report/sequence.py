"""A capture as a sequence: who sent what, who received it, and what became of each frame.

The same diagram is drawn for a browser and for a terminal. Only packets near those that are
drawn are compared with each other, however long the capture is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness import differences
from harness.evidence import comments
from harness.evidence.reader import Packet
from harness.frames import cast
from harness.lan import Fate, FateKind

MOST_PORTS = 9
"""Lifelines in a diagram; of the ports of a larger LAN those that sent or received first."""

MOST_STEPS = 40
"""Frames in a diagram; the capture has all of them."""

NEAR = 8192
"""Packets before and after those that are drawn among which a frame is looked for."""

MOST_ALIKE = 1024
"""Frames with the same header that a truncated frame is compared with."""

HEADER = 14
"""Bytes by which frames are looked up that may be cut."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """One frame's way from its sender to one port; ``notes`` say what happened on it.

    ``length`` of its ``of`` bytes arrived: 0 of one that is UNDELIVERED, whose ``packet`` is
    that of the sender. ``buffer`` is the receive buffer, on the simulated LAN. ``wrong``: it
    is what is wrong with the test's delivery.
    """

    to: str
    fate: FateKind
    length: int
    of: int
    packet: int
    notes: tuple[str, ...]
    buffer: int | None = None
    wrong: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One frame: sent by ``port``, or, if that is empty, by no port of the capture.

    ``stopped`` says why it did not leave its sender; ``notes`` what else is known of it;
    ``elsewhere`` counts the ports that it reached and that are not in the diagram.
    """

    port: str
    what: str
    length: int
    packet: int
    arrows: tuple[Arrow, ...]
    stopped: str
    notes: tuple[str, ...]
    elsewhere: int = 0


@dataclass(frozen=True, slots=True)
class Diagram:
    """What stands in a diagram; ``hidden_*`` count what was left out."""

    ports: tuple[str, ...]
    steps: tuple[Step, ...]
    hidden_ports: int
    hidden_packets: int


def diagram(ports: Sequence[str], packets: Iterable[Packet], total: int, first: int = 1) -> Diagram:
    """A capture of ``total`` packets from packet ``first`` on, as far as ``ports`` take part."""
    shown = _steps(packets, first)
    kept = _kept(ports, shown)
    # A frame cannot be drawn without the port where it begins.
    shown = [step for step in shown if step.begins in kept]
    drawn = sum(len(step.arrows) + (step.packet is not None and not step.again) for step in shown)
    steps = tuple(_finished(step, kept) for step in shown)
    return Diagram(tuple(kept), steps, len(ports) - len(kept), total - drawn)


def _kept(ports: Sequence[str], steps: Sequence[_Step]) -> list[str]:
    """The ports to draw, in the LAN's order: all of a small LAN, else senders first.

    A port that received nothing is drawn too: that may be what decides.
    """
    senders = [step.begins for step in steps]
    reached = [arrow.to for step in steps for arrow in step.arrows]
    wanted = set(list(dict.fromkeys([*senders, *reached, *ports]))[:MOST_PORTS])
    return [port for port in ports if port in wanted]


@dataclass(slots=True)
class _Step:
    packet: Packet | None
    again: bool = False
    """It is a copy too many of a frame sent before."""
    arrows: list[Arrow] = field(default_factory=list)
    reached: set[str] = field(default_factory=set)
    last: int = 0
    """The number of its last packet."""

    @property
    def begins(self) -> str:
        return self.packet.port if self.packet else self.arrows[0].to

    @property
    def frame(self) -> bytes:
        return self.packet.frame if self.packet else b""

    def add(self, packet: Packet) -> None:
        self.arrows.append(_arrow(packet, self.packet))
        self.reached.add(packet.port)
        self.last = packet.number


class _Sent:
    """The frames sent so far, by their bytes and by their header."""

    def __init__(self) -> None:
        self._whole: dict[bytes, list[_Step]] = {}
        self._header: dict[bytes, list[_Step]] = {}
        self._all: list[_Step] = []

    def add(self, step: _Step) -> None:
        self._whole.setdefault(step.frame, []).append(step)
        self._header.setdefault(step.frame[:HEADER], []).append(step)
        self._all.append(step)

    def nearest(self, packet: Packet) -> list[_Step]:
        """The send that a frame which arrived in another form most likely is of."""
        near = [step for step in self._all[-MOST_ALIKE:] if packet.port not in step.reached]
        index = differences.nearest(packet.frame, [step.frame for step in near])
        return [] if index is None else [near[index]]

    def like(self, packet: Packet) -> list[_Step]:
        """The sends that a received frame may be of, oldest first.

        Those of all of it; if there are none, those that it is the beginning of.
        """
        frame, size = packet.frame, packet.original_length
        if size == len(frame) and (whole := self._whole.get(frame)):
            return whole
        header = self._header.get(frame[:HEADER], []) if len(frame) >= HEADER else self._all
        alike = [step for step in header[-MOST_ALIKE:] if step.frame.startswith(frame)]
        whole = [step for step in alike if len(step.frame) == size]
        return whole or [step for step in alike if len(step.frame) > len(frame)]


def _steps(packets: Iterable[Packet], first: int) -> list[_Step]:
    """The frames to draw: those with a packet from ``first`` on."""
    steps: list[_Step] = []
    sent = _Sent()
    shown = 0
    end: int | None = None
    for packet in packets:
        if packet.number < first - NEAR:
            continue
        if end is not None and packet.number > end:
            break
        if packet.direction == "sent":
            step = _Step(packet, last=packet.number)
            steps.append(step)
            if packet.fate(FateKind.REFUSED) is None:
                sent.add(step)
            was = 0
        else:
            step = _reached(packet, sent, steps)
            was = step.last
            step.add(packet)
        shown += was < first <= step.last
        if shown > MOST_STEPS and end is None:
            end = packet.number + NEAR
    return [step for step in steps if step.last >= first][:MOST_STEPS]


def _reached(packet: Packet, sent: _Sent, steps: list[_Step]) -> _Step:
    """The step that a received frame belongs to; a new one if it arrived once too often.

    Of sends that are alike the first that this port has not seen arrives first.
    """
    alike = sent.like(packet)
    if not alike and packet.wrong:
        alike = sent.nearest(packet)
    for step in alike:
        if packet.port not in step.reached:
            return step
    steps.append(_Step(alike[-1].packet if alike else None, again=bool(alike)))
    return steps[-1]


def _arrow(packet: Packet, sent: Packet | None) -> Arrow:
    size = len(packet.frame)
    # A LAN that cuts a frame on its way does not say how long it was.
    of = max(packet.original_length, len(sent.frame) if sent else 0)
    fates = [fate for kind in _WORST_FIRST if (fate := packet.fate(kind)) is not None]
    if not fates:
        cut = Fate(FateKind.TRUNCATED, count=size, of=of)
        fates = [cut if size < of else Fate(FateKind.DELIVERED)]
    notes = (*filter(None, map(comments.summary, fates)), *packet.notes)
    buffers = [fate.buffer for fate in packet.fates if fate.buffer is not None]
    buffer = buffers[0] if buffers else None
    kind, wrong = fates[0].kind, bool(packet.wrong)
    return Arrow(packet.port, kind, size, of, packet.number, notes, buffer, wrong)


_WORST_FIRST = (FateKind.DROPPED, FateKind.FILTERED, FateKind.TRUNCATED)
"""Of several fates the one that decides how a frame's arrow is drawn stands first."""


def _finished(step: _Step, ports: Sequence[str]) -> Step:
    if step.packet is None:
        (arrow,) = step.arrows
        what, length, port, number = "no port sent this frame", arrow.length, "", arrow.packet
    else:
        what, length, port = cast(step.frame), len(step.frame), step.packet.port
        number = step.packet.number
    if step.again:
        what, number = "another copy", step.arrows[0].packet
    stopped, lost, notes = _of_sender(step, number)
    all_arrows = [*step.arrows, *lost]
    arrows = tuple(arrow for arrow in all_arrows if arrow.to in ports)
    elsewhere = sum(arrow.packet != number for arrow in all_arrows if arrow.to not in ports)
    return Step(port, what, length, number, arrows, stopped, notes, elsewhere)


def _of_sender(step: _Step, number: int) -> tuple[str, list[Arrow], tuple[str, ...]]:
    """Why a frame was refused, where it did not arrive, and what else its sender knows."""
    if step.packet is None or step.again:
        return "", [], ()
    stopped: list[str] = []
    lost: dict[str, list[str]] = {}
    notes: list[str] = []
    for note in step.packet.notes:
        if port := comments.missing_at(note):
            lost.setdefault(port, []).append("missing")
        else:
            notes.append(note)
    for fate in step.packet.fates:
        summary = comments.summary(fate)
        if fate.kind is FateKind.REFUSED:
            stopped.append(summary)
        elif fate.kind is not FateKind.UNDELIVERED:
            notes += [summary] if summary else []
        elif fate.port not in step.reached:
            lost.setdefault(fate.port, []).append(summary)
        elif fate.reason:  # and another try reached it; what was cut its own arrow says
            notes.append(f"to {fate.port}: {summary}")
    arrows = [
        Arrow(
            to,
            FateKind.UNDELIVERED,
            0,
            len(step.frame),
            number,
            tuple(dict.fromkeys(why)),
            wrong="missing" in why,
        )
        for to, why in lost.items()
    ]
    return "; ".join(stopped), arrows, tuple(notes)
