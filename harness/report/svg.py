"""The layout of a sequence diagram; the template only writes it as SVG.

All numbers are pixels.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from harness.evidence.results import Exchange
from harness.lan import FateKind
from harness.report.sequence import Arrow, Diagram, Step

COLUMN = 158
MARGIN = 79
TOP = 44
LINE = 13
LETTERS = 25
"""Characters of small print that fit a column."""

LETTER = 6.3
"""The width of a character of a heading, at most."""

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
    """A line from a lifeline towards another; ``to`` is where it stops, at ``y``."""

    x: float
    y: float
    to: float
    style: str

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
    differs: Mapping[int, Sequence[str]],
) -> Drawing:
    """Lay a diagram out: a lifeline per port, a row per frame, a heading per exchange.

    ``strays`` are the packets that were not expected; ``differs`` says for an exchange, by
    number from 1, how received and expected differ.
    """
    width = max(320, 2 * MARGIN + COLUMN * (len(drawn.ports) - 1))
    places = {name: MARGIN + COLUMN * n for n, name in enumerate(drawn.ports)}
    strokes: list[Stroke] = []
    labels: list[Label] = []
    bands: list[Label] = []
    y: float = TOP + 14
    heading = ""
    for step in drawn.steps:
        number, now = _heading(step, exchanges)
        if now != heading:
            heading = now
            if heading:
                bands.append(Label(4, y + 12, heading, "heading"))
                y += 22
            for differ in differs.get(number, ()):
                for line in textwrap.wrap(differ, int(width / LETTER)):
                    labels.append(Label(4, y + 8, line, "stray"))
                    y += LINE
        y += 22
        below = 0
        for column, lines in _notes(step, places):
            for n, (text, style) in enumerate(lines):
                labels.append(Label(places[column], y + LINE * (n + 1), text, style, "middle"))
            below = max(below, len(lines))
        strokes += _strokes(step, places, y, strays)
        labels += _title(step, places, y)
        y += LINE * below + 8
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


def _heading(step: Step, exchanges: Sequence[Exchange]) -> tuple[int, str]:
    """The exchange that a step belongs to (0: none, or its control), and its heading."""
    for number, exchange in enumerate(exchanges, start=1):
        if exchange.first <= step.packet <= exchange.last:
            return number, f"exchange {number}{'' if exchange.held else ': not as expected'}"
        if exchange.last < step.packet <= exchange.control:
            return 0, f"control broadcast after exchange {number}"
    return 0, ""


def _title(step: Step, places: dict[str, int], y: float) -> Iterator[Label]:
    text = f"{step.packet} {step.what}, {step.length} B"
    if not step.port:
        yield Label(4, y - 5, text, "stray")
        return
    x = places.get(step.port)
    if x is None:
        return
    leftward = bool(step.arrows) and all(places[arrow.to] < x for arrow in step.arrows)
    yield Label(x + (-8 if leftward else 8), y - 5, text, "what", "end" if leftward else "start")


def _strokes(
    step: Step, places: dict[str, int], y: float, strays: Collection[int]
) -> Iterator[Stroke]:
    x = places.get(step.port, 4)
    if step.stopped:
        yield Stroke(x, y, x + STUB, "refused")
    elif not step.arrows:
        yield Stroke(x, y, x + STUB, "nobody")
    for arrow in step.arrows:
        to = places[arrow.to]
        style = STYLES.get(arrow.fate, arrow.fate.value)
        if arrow.packet in strays:
            style += " wrong"
        if to == x:
            yield Stroke(x - STUB, y, x, style)
        else:
            yield Stroke(x, y, to, style)


def _notes(step: Step, places: dict[str, int]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    if step.port in places:
        notes = [step.stopped] if step.stopped else []
        if not step.stopped and not step.arrows:
            notes.append("reaches no port")
        notes += step.notes
        if notes:
            yield step.port, _wrapped(notes, "fate")
    for arrow in step.arrows:
        yield arrow.to, _wrapped(arrow.notes, "fate") + _copied(arrow)


def _copied(arrow: Arrow) -> list[tuple[str, str]]:
    text = "" if arrow.buffer is None else f"Host → buffer {arrow.buffer}, interrupt"
    return [(line, "copy") for line in textwrap.wrap(text, LETTERS)]


def _wrapped(notes: Sequence[str], style: str) -> list[tuple[str, str]]:
    lines = [(line, style) for note in notes[:6] for line in textwrap.wrap(note, LETTERS)]
    return lines + ([(f"and {len(notes) - 6} more", style)] if len(notes) > 6 else [])
