"""A capture as a sequence diagram in text: a lifeline per port, an arrow per delivery.

It is drawn with line-drawing characters, one column each, which are translated at the end
for a terminal that has none.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import click

from harness.evidence.reader import Outline, Packet
from harness.evidence.text import visible
from harness.lan import FateKind
from harness.report.sequence import Arrow, Diagram, Step, diagram

Style = Mapping[str, Any]
"""What ``click.style`` takes."""

PLAIN: Style = MappingProxyType({})
DIM: Style = MappingProxyType({"dim": True})
BOLD: Style = MappingProxyType({"bold": True})
STYLES: Mapping[str, Style] = MappingProxyType(
    {
        FateKind.DELIVERED: MappingProxyType({"fg": "green"}),
        FateKind.TRUNCATED: MappingProxyType({"fg": "yellow"}),
        FateKind.DROPPED: MappingProxyType({"fg": "red"}),
        FateKind.UNDELIVERED: MappingProxyType({"fg": "red"}),
        FateKind.REFUSED: MappingProxyType({"fg": "magenta"}),
        FateKind.FILTERED: DIM,
        "nobody": MappingProxyType({"fg": "cyan"}),
        "passed": MappingProxyType({"fg": "green", "bold": True}),
        "failed": MappingProxyType({"fg": "red", "bold": True}),
        "inconclusive": MappingProxyType({"fg": "red", "bold": True}),
        "deviation": MappingProxyType({"fg": "yellow", "bold": True}),
    }
)
"""Colours of the fates of frames and of verdicts."""

NARROWEST = 40
"""Columns of a diagram, at least; a narrower terminal wraps its lines."""

WIDEST_GAP = 30
SMALLEST_GAP = 4
"""Columns from one lifeline to the next, at most and at least."""

LONGEST_WORD = 12
"""Characters before the colon of a comment that names what follows."""

ROOM_FOR_NOTES = 28
"""Columns kept free behind the last lifeline, if the gaps remain readable."""

READABLE_GAP = 16

_DRAWN = "│─╌▶◀▷◁├┤✗╮╯→"
_ASCII = str.maketrans(_DRAWN, "|-.><)(++x.'>")
_LEFTWARDS = str.maketrans("▶▷", "◀◁")


def can_draw(encoding: str | None, term: str | None) -> bool:
    """Whether a terminal with this encoding, of this kind (``TERM``), has the characters."""
    try:
        _DRAWN.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return term not in ("dumb", "linux")


def for_encoding(line: str, encoding: str | None, *, ascii_only: bool) -> str:
    r"""A line in that encoding; what it does not have is written as ``\xXX``."""
    if ascii_only:
        line = line.translate(_ASCII)
    known = encoding or "ascii"
    return line.encode(known, "backslashreplace").decode(known)


def lines(outline: Outline, packets: Iterable[Packet], width: int, first: int = 1) -> Iterator[str]:
    """A test's comments and its diagram from packet ``first`` on, ``width`` columns wide."""
    width = max(width, NARROWEST)
    for comment in outline.comments:
        yield from _header(comment, width)
    yield ""
    if not outline.count:
        yield "no frames"
        return
    yield from drawing(diagram(outline.watched, packets, outline.count, first), width)


def drawing(drawn: Diagram, width: int) -> Iterator[str]:
    """A diagram, ``width`` columns wide, and what was left out of it."""
    if drawn.ports:
        yield from _Drawing(drawn, max(width, NARROWEST)).lines()
    yield from _hidden(drawn)


def _header(comment: str, width: int) -> Iterator[str]:
    word, colon, rest = visible(comment).partition(": ")
    if not colon or len(word) > LONGEST_WORD:
        yield from textwrap.wrap(visible(comment), width)
        return
    style = STYLES.get(rest, BOLD) if word in ("test", "verdict") else PLAIN
    indent = " " * (len(word) + 2)
    first = click.style(f"{word}: ", **DIM)
    for line in textwrap.wrap(rest, width - len(indent), break_on_hyphens=False):
        yield first + click.style(line, **style)
        first = indent


def _hidden(drawn: Diagram) -> Iterator[str]:
    for count, what in ((drawn.hidden_ports, "port"), (drawn.hidden_packets, "packet")):
        if count:
            some = f"{count} {what}s of the capture are" if count > 1 else f"1 {what} is"
            yield click.style(f"{some} not drawn", **DIM)


class _Row:
    """One line, column by column."""

    def __init__(self, width: int) -> None:
        self._cells: list[tuple[str, Style]] = [(" ", PLAIN)] * width

    def put(self, at: int, text: str, style: Style) -> None:
        """Write over what is there; nothing is written beyond either end."""
        for column, letter in enumerate(text, start=at):
            if 0 <= column < len(self._cells):
                self._cells[column] = (letter, style)

    def text(self) -> str:
        while self._cells and self._cells[-1][0] == " ":
            self._cells.pop()
        runs = itertools.groupby(self._cells, key=lambda cell: cell[1])
        texts = ((style, "".join(letter for letter, _ in run)) for style, run in runs)
        return "".join(click.style(text, **style) if style else text for style, text in texts)


class _Drawing:
    def __init__(self, drawn: Diagram, width: int) -> None:
        self._drawn = drawn
        self._width = width
        numbers = [_number(step, arrow) for step in drawn.steps for arrow in step.arrows]
        numbers += [str(step.packet) for step in drawn.steps]
        self._margin = max(map(len, numbers), default=0) + 1
        names = [len(visible(port)) for port in drawn.ports]
        start = self._margin + max(names[0] // 2, 1)
        between = max(len(names) - 1, 1)
        gap = (width - ROOM_FOR_NOTES - start) // between
        if gap < READABLE_GAP:
            gap = (width - 1 - names[-1] // 2 - start) // between
        self._gap = max(SMALLEST_GAP, min(WIDEST_GAP, gap))
        self._at = {name: start + self._gap * n for n, name in enumerate(drawn.ports)}

    def lines(self) -> Iterator[str]:
        rows = [*self._names()]
        for step in self._drawn.steps:
            rows += [self._row(), *self._step(step)]
        return (row.text() for row in [*rows, self._row()])

    def _row(self) -> _Row:
        row = _Row(self._width)
        for at in self._at.values():
            row.put(at, "│", DIM)
        return row

    def _names(self) -> Iterator[_Row]:
        """Names above their lifelines, on as many lines as they need."""
        waiting = dict(self._at)
        while waiting:
            row = _Row(self._width)
            free = 0
            for port, at in self._at.items():
                name = visible(port)[: self._width - 1]
                start = max(0, min(at - len(name) // 2, self._width - len(name)))
                if port not in waiting:
                    row.put(at, "│", DIM)
                elif start >= free:
                    row.put(start, name, BOLD)
                    free = start + len(name) + 1
                    del waiting[port]
            yield row

    def _step(self, step: Step) -> Iterator[_Row]:
        label = f"{step.what}, {step.length} B"
        if step.stopped:
            yield from self._stub(step, label, "✗", step.stopped, STYLES[FateKind.REFUSED])
        elif not step.arrows:
            where = f"{step.elsewhere} other ports" if step.elsewhere else "no port"
            yield from self._stub(step, label, "╌", f"reaches {where}", STYLES["nobody"])
        for number, arrow in enumerate(step.arrows):
            yield from self._arrow(step, arrow, "" if number else label)
        notes = list(step.notes)
        if step.arrows and step.elsewhere:
            notes.append(f"reaches {step.elsewhere} more ports")
        for note in notes:
            yield from self._beside(self._at[step.port], note, PLAIN)

    def _stub(self, step: Step, label: str, tip: str, fate: str, style: Style) -> Iterator[_Row]:
        """A frame that reaches no port that is drawn."""
        at = self._at[step.port]
        line = f"├─ {label} ─{tip}"
        if len(line) + 2 > self._gap:
            yield from self._beside(at, label, style)
            line = f"├─{tip}"
        number = str(step.packet).rjust(self._margin - 1)
        for row in self._beside(at, fate, style, after=len(line) + 1):
            row.put(at, line, style)
            row.put(0, number, DIM)
            yield row
            line = number = ""

    def _arrow(self, step: Step, arrow: Arrow, label: str) -> Iterator[_Row]:
        end = self._at[arrow.to]
        style = STYLES[arrow.fate]
        begin = self._at[step.port] if step.port else max(self._margin, end - self._gap + 1)
        row = self._row()
        if begin == end:
            body = "──╮"
        else:
            body = _shaft(abs(end - begin) - 1, arrow.fate, label, to_the_left=end < begin)
        if label and label not in body:
            yield from self._beside(begin, label, style, before=end < begin)
        row.put(0, _number(step, arrow, short=not label).rjust(self._margin - 1), DIM)
        row.put(min(begin, end) + 1, body, style)
        if step.port:
            row.put(begin, "┤" if end < begin else "├", style)
        if begin == end:
            yield row
            row = self._row()
            row.put(end + 1, "◀─╯", style)
        notes = [(note, style) for note in arrow.notes]
        if arrow.buffer is not None:
            notes.append((f"Host → buffer {arrow.buffer}, interrupt", DIM))
        room = self._width - end - 2 - 2 * (begin == end)
        if notes and begin <= end and len(visible(notes[0][0])) < room:
            note, colour = notes.pop(0)
            row.put(end + 1 + 3 * (begin == end), f" {visible(note)} ", colour)
        yield row
        for note, colour in notes:
            yield from self._beside(end, note, colour)

    def _beside(
        self, at: int, text: str, style: Style, *, before: bool = False, after: int = 2
    ) -> Iterator[_Row]:
        """Text to the right of a lifeline (or up to it), else wherever it has room."""
        text = visible(text)
        if before:
            start = at - len(text) - 1
        elif self._width - at - after >= min(len(text), READABLE_GAP):
            start = at + after
        else:
            start = self._width - len(text)
        start = max(start, self._margin)
        for line in textwrap.wrap(text, self._width - start):
            row = self._row()
            row.put(start - 1, f" {line} ", style)
            yield row


def _number(step: Step, arrow: Arrow, *, short: bool = False) -> str:
    """The packets of a frame in the capture: as sent, and as received."""
    if arrow.packet == step.packet:
        return "" if short else str(step.packet)
    return f"→{arrow.packet}" if short else f"{step.packet}→{arrow.packet}"


_TIPS = MappingProxyType(
    {
        FateKind.TRUNCATED: "//╌▶",
        FateKind.DROPPED: "✗",
        FateKind.UNDELIVERED: "✗",
        FateKind.FILTERED: "▷",
    }
)


def _shaft(size: int, fate: FateKind, label: str, *, to_the_left: bool) -> str:
    """The line between two lifelines, ``size`` columns long, with the label if it fits."""
    tip = _TIPS.get(fate, "▶")[-size:]
    rest = size - len(tip)
    if to_the_left:
        tip = tip[::-1].translate(_LEFTWARDS)
    text = f" {label} " if label and len(label) + 4 <= rest else ""
    line = text.rjust(rest - 1, "─") + "─" if to_the_left else "─" + text.ljust(rest - 1, "─")
    return tip + line if to_the_left else line + tip
