"""The layout of a sequence diagram; the template only writes it as SVG.

All numbers are pixels.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from harness.evidence.comments import WRONG
from harness.evidence.results import Exchange
from harness.lan import FateKind
from harness.report.sequence import Arrow, Diagram, Step

COLUMN = 158
"""From one lifeline to the next, at most."""

NARROWEST = 112
WIDEST = 1_240
"""Columns shrink, down to ``NARROWEST``, so that the drawing is no wider."""

MARGIN = 79
TOP = 44
LINE = 13
LETTER_OF_PRINT = 6.2
"""The width of a character of small print."""

MOST_FILTERED = 1
"""Arrows of one frame that cards filtered and that are drawn; more are one line of text."""

STUB = 46
"""How long the arrow is of a frame that reaches no port."""

STYLES = MappingProxyType({FateKind.TRUNCATED: "cut", FateKind.FILTERED: "unwanted"})
"""Classes of the style sheet that are not called as the fate is."""


@dataclass(frozen=True, slots=True)
class Label:
    """Text; ``style`` is its class in the style sheet."""

    x: float
    y: float
    text: str
    style: str
    anchor: Literal["start", "middle", "end"] = "start"


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line from a lifeline towards another; ``to`` is where it stops, ``drop`` lower."""

    x: float
    y: float
    to: float
    style: str
    drop: float = 0

    @property
    def toward(self) -> int:
        """1 to the right, -1 to the left."""
        return 1 if self.to >= self.x else -1


@dataclass(frozen=True, slots=True)
class Drawing:
    """A whole diagram."""

    width: float
    height: float
    title: str
    lifelines: tuple[tuple[float, str, str], ...]
    """The position, name and address of each."""
    bands: tuple[Label, ...]
    strokes: tuple[Stroke, ...]
    labels: tuple[Label, ...]


def draw(
    drawn: Diagram,
    addresses: Mapping[str, str],
    exchanges: Sequence[Exchange],
    strays: Collection[int],
) -> Drawing:
    """Lay a diagram out: a lifeline per port, a row per frame, a heading per exchange.

    ``strays`` are the packets that were not expected. Arrows cross where frames overtook
    each other.
    """
    column = COLUMN
    if len(drawn.ports) > 1:
        column = min(COLUMN, max(NARROWEST, (WIDEST - 2 * MARGIN) // (len(drawn.ports) - 1)))
    letters = int(column / LETTER_OF_PRINT)
    width = max(320, 2 * MARGIN + column * (len(drawn.ports) - 1))
    places = {name: MARGIN + column * n for n, name in enumerate(drawn.ports)}
    rows: dict[int, float] = {}
    """The height at which a step is drawn."""
    strokes: list[Stroke] = []
    labels: list[Label] = []
    bands: list[Label] = []
    y: float = TOP + 14
    heading = ""
    for index, step in enumerate(drawn.steps):
        now = _heading(step, exchanges)
        if now != heading:
            heading = now
            if heading:
                bands.append(Label(4, y + 12, heading, "heading"))
                y += 22
        y += 22
        below = 0
        rows[index] = y
        labels += _title(step, places, y)
        filtered = _folded(step)
        if filtered:
            text = f"filtered by the cards of {', '.join(filtered)}"
            labels.append(Label(places.get(step.port, 4), y + LINE, text, "hidden"))
            below = 1
        for port, lines in _notes(step, places, letters, filtered):
            start = 1 + bool(filtered and port == step.port)
            for n, (text, style) in enumerate(lines, start):
                labels.append(Label(places[port], y + LINE * n, text, style, "middle"))
            below = max(below, len(lines) + start - 1)
        y += LINE * below + 8
    ends = _ends(drawn.steps, exchanges)
    for index, step in enumerate(drawn.steps):
        strokes += _strokes(step, places, rows, index, ends, strays)
    hidden = [
        f"{count} more {what}: see the capture"
        for count, what in ((drawn.hidden_packets, "packets"), (drawn.hidden_ports, "ports"))
        if count
    ]
    for text in hidden:
        y += 18
        labels.append(Label(4, y, text, "hidden"))
    lifelines = tuple((x, name, addresses.get(name, "")) for name, x in places.items())
    title = f"Sequence of {len(drawn.steps)} frames between {', '.join(drawn.ports)}"
    return Drawing(width, y + 16, title, lifelines, tuple(bands), tuple(strokes), tuple(labels))


def _heading(step: Step, exchanges: Sequence[Exchange]) -> str:
    """The heading of the exchange that a step belongs to."""
    for number, exchange in enumerate(exchanges, start=1):
        if exchange.first <= step.packet <= exchange.last:
            return f"exchange {number}{'' if exchange.held else ': not as expected'}"
        if exchange.last < step.packet <= exchange.control:
            return f"control broadcast after exchange {number}"
    return ""


def _ends(steps: Sequence[Step], exchanges: Sequence[Exchange]) -> dict[int, int]:
    """Received packet to the step at whose height its arrow ends, where frames overtook others.

    Of the frames of one exchange that reached one port the first to arrive ends highest.
    """
    by_port: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for index, step in enumerate(steps):
        for arrow in step.arrows:
            if arrow.packet != step.packet:
                key = arrow.to, _heading(step, exchanges)
                by_port.setdefault(key, []).append((index, arrow.packet))
    ends: dict[int, int] = {}
    for arrivals in by_port.values():
        packets = [packet for _, packet in arrivals]
        if packets != sorted(packets):
            heights = [index for index, _ in arrivals]
            ends.update(zip(sorted(packets), heights, strict=True))
    return ends


def _folded(step: Step) -> list[str]:
    """Ports whose cards filtered the frame, if they are many and nothing is wrong there."""
    filtered = [
        arrow.to for arrow in step.arrows if arrow.fate is FateKind.FILTERED and not arrow.wrong
    ]
    return filtered if len(filtered) > MOST_FILTERED else []


def _title(step: Step, places: dict[str, int], y: float) -> Iterator[Label]:
    text = f"{step.packet} {step.what}, {step.length} B"
    if not step.port:
        yield Label(4, y - 5, text, "stray")
        return
    x = places.get(step.port)
    if x is None:
        return
    tos = [places[arrow.to] for arrow in step.arrows]
    leftward = bool(tos) and max(tos) <= x and min(tos) < x
    yield Label(x + (-8 if leftward else 8), y - 5, text, "what", "end" if leftward else "start")


def _strokes(
    step: Step,
    places: dict[str, int],
    rows: Mapping[int, float],
    index: int,
    ends: Mapping[int, int],
    strays: Collection[int],
) -> Iterator[Stroke]:
    x, y = places.get(step.port, 4), rows[index]
    folded = _folded(step)
    if step.stopped:
        yield Stroke(x, y, x + STUB, "refused")
    elif not step.arrows:
        yield Stroke(x, y, x + STUB, "nobody")
    for arrow in step.arrows:
        to = places[arrow.to]
        style = STYLES.get(arrow.fate, arrow.fate.value)
        if arrow.to in folded:
            continue
        if arrow.wrong or arrow.packet in strays:
            style += " wrong"
        if to == x:
            yield Stroke(x - STUB, y, x, style)
        else:
            drop = rows[ends[arrow.packet]] - y if arrow.packet in ends else 0
            yield Stroke(x, y, to, style, drop)


def _notes(
    step: Step, places: dict[str, int], letters: int, folded: Sequence[str]
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    if step.port in places:
        notes = [step.stopped] if step.stopped else []
        if not step.stopped and not step.arrows:
            notes.append("reaches no port")
        notes += step.notes
        if notes:
            yield step.port, _wrapped(notes, "fate", letters)
    for arrow in step.arrows:
        if arrow.to not in folded:
            style = "stray" if arrow.wrong else "fate"
            notes = [note.removeprefix(WRONG) for note in arrow.notes]
            yield arrow.to, _wrapped(notes, style, letters) + _copied(arrow, letters)


def _copied(arrow: Arrow, letters: int) -> list[tuple[str, str]]:
    text = "" if arrow.buffer is None else f"Host → buffer {arrow.buffer}, interrupt"
    return [(line, "copy") for line in textwrap.wrap(text, letters)]


def _wrapped(notes: Sequence[str], style: str, letters: int) -> list[tuple[str, str]]:
    lines = [(line, style) for note in notes[:6] for line in textwrap.wrap(note, letters)]
    return lines + ([(f"and {len(notes) - 6} more", style)] if len(notes) > 6 else [])
