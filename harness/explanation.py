"""A delivery that is not what was expected, in lines to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness import differences, frames
from harness.delivery import Delivery
from harness.differences import Difference, Kind, Sent
from harness.judging import RULES_BY_KIND
from harness.lan import Port, as_frame

MOST_BLOCKS = 4
"""Differences whose bytes are shown; the capture has all."""

MOST_LINES = 8
"""Further differences that are listed."""


def differing(
    delivery: Delivery, expected: Mapping[Port, Sequence[bytes]]
) -> list[tuple[Port, tuple[bytes, ...], tuple[bytes, ...]]]:
    """Ports that did not receive what was expected: port, expected frames, received frames."""
    return [
        (port, want, got)
        for port, got in delivery.received.items()
        if got != (want := tuple(map(as_frame, expected.get(port, ()))))
    ]


def classify(delivery: Delivery, expected: Mapping[Port, Sequence[bytes]]) -> list[Difference]:
    """What differs at each port, in the words of ``harness.differences``."""
    result: list[Difference] = []
    for port, want, got in differing(delivery, expected):
        sent = [*delivery.sent]
        must = []
        for frame in want:
            index = next(
                (
                    index
                    for index, one in enumerate(sent)
                    if one.frame == frame and index not in must
                ),
                None,
            )
            if index is None:
                index = len(sent)
                sent.append(Sent("", frame))
            must.append(index)
        seen = differences.Port(port.name, must, (), got)
        result += differences.compare(seen, sent, earlier=delivery.earlier)
    span = delivery.span
    return [difference._replace(within=(span.first, span.last)) for difference in result]


def sum_up(delivery: Delivery, expected: Mapping[Port, Sequence[bytes]]) -> str:
    """The first of the differences, and how many there are, in one line."""
    lines = list(map(str, classify(delivery, expected))) or [
        f"{port.name}: expected {sizes(want)}, received {sizes(got)}"
        for port, want, got in differing(delivery, expected)
    ]
    first, *others = lines
    return first + (f"; {len(others)} more" if others else "")


def explain_ports(delivery: Delivery, expected: Mapping[Port, Sequence[bytes]]) -> list[str]:
    """Every port side by side, and what differs, in lines to read."""
    wrong: dict[str, str] = {}
    for difference in classify(delivery, expected):
        wrong.setdefault(difference.port, difference.kind)
    rows = [("port", "expected", "received", "")]
    for port, got in delivery.received.items():
        want = tuple(map(as_frame, expected.get(port, ())))
        mark = "" if got == want else f"  <- {wrong.get(port.name, 'differs')}"
        rows.append((port.name, sizes(want), sizes(got), mark))
    first, second, third = (max(len(row[column]) for row in rows) for column in range(3))
    return [
        f"{port:<{first}}  {want:<{second}}  {got:<{third}}{mark}".rstrip()
        for port, want, got, mark in rows
    ]


def explain_differences(listed: Sequence[Difference]) -> list[str]:
    """The first differences, with the bytes that differ, in lines to read."""
    lines: list[str] = []
    for difference in listed[:MOST_BLOCKS]:
        lines += ["", _title(difference), *_bytes_of(difference)]
    rest = listed[MOST_BLOCKS:]
    lines += ["", *map(_title, rest[:MOST_LINES])] if rest else []
    more = len(rest) - MOST_LINES
    return [*lines[1:], *([f"and {more} more"] if more > 0 else [])]


def _title(difference: Difference) -> str:
    return f"{RULES_BY_KIND[difference.kind]}  {difference}"


def _bytes_of(difference: Difference) -> list[str]:
    kind, frame, original = difference.kind, difference.frame, difference.original
    if kind is Kind.REORDERED:
        return []
    if kind is Kind.MISSING:
        return [f"  expected  {_described(frame)}", "  received  nothing"]
    if not original:
        return [f"  received  {_described(frame)}"]
    at = first_difference(original, frame)
    start = max(0, at - 4)
    return [
        f"  first difference at offset {at} (0x{at:04x})",
        f"  expected  {_window(original, start)}",
        f"  received  {_window(frame, start)}",
        f"            {'   ' * (at - start) + '    ' * bool(start)}^^",
        f"  expected  {_described(original)}",
        f"  received  {_described(frame)}",
    ]


def first_difference(one: bytes, other: bytes) -> int:
    """The offset of the first byte in which two frames differ."""
    return next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )


def sizes(listed: Sequence[bytes]) -> str:
    """How many frames, and of how many bytes."""
    if not listed:
        return "nothing"
    lengths = [len(frame) for frame in listed]
    shown = [str(lengths[0])] if len(set(lengths)) == 1 else [*map(str, lengths[:5])]
    more = ", ..." if len(set(lengths)) > 1 and len(lengths) > 5 else ""
    return f"{len(lengths)} frame{'s' * (len(lengths) > 1)} of {', '.join(shown)}{more} bytes"


def _described(frame: bytes) -> str:
    return f"{len(frame)} bytes: {frames.describe(frame)}"


def _window(frame: bytes, start: int, size: int = 16) -> str:
    more = "..." if len(frame) > start + size else "(end)"
    return f"{'... ' * bool(start)}{frame[start : start + size].hex(' ')} {more}"
