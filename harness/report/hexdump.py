"""A frame as a hex dump in HTML, the bytes that differ from another frame marked."""

from __future__ import annotations

from html import escape
from itertools import groupby

from markupsafe import Markup

ROW = 16
TAG_AT, TAG = 12, 4
"""Where a VLAN tag lies, and how long it is."""


def differing(one: bytes, other: bytes) -> set[int]:
    """Offsets in a frame whose bytes are not in the other one, at their place or moved."""
    if (at := one.find(other)) >= 0 and other:
        return {*range(at), *range(at + len(other), len(one))}
    if one and one in other:
        return set()
    if one[:TAG_AT] + one[TAG_AT + TAG :] == other:
        return set(range(TAG_AT, TAG_AT + TAG))
    if other[:TAG_AT] + other[TAG_AT + TAG :] == one:
        return set()
    common = min(len(one), len(other))
    return {at for at in range(common) if one[at] != other[at]} | set(range(common, len(one)))


def dump(frame: bytes, marked: set[int], most: int) -> Markup:
    """The first ``most`` bytes, 16 in a line."""
    lines = [_line(frame, start, marked) for start in range(0, min(len(frame), most), ROW)]
    if len(frame) > most:
        lines.append(f"... {len(frame) - most:,} more bytes in the capture")
    return Markup("\n".join(lines))  # _line escapes what comes from the frame


def _line(frame: bytes, start: int, marked: set[int]) -> str:
    row = frame[start : start + ROW]
    text = escape("".join(chr(byte) if 32 <= byte < 127 else "." for byte in row))
    parts = [row.hex(" ")]
    if not marked.isdisjoint(range(start, start + len(row))):
        parts = []
        for wrong, offsets in groupby(range(start, start + len(row)), key=marked.__contains__):
            joined = " ".join(f"{frame[at]:02x}" for at in offsets)
            parts.append(f"<mark>{joined}</mark>" if wrong else joined)
    return f"{start:04x}  {' '.join(parts)}{'   ' * (ROW - len(row))}  {text}"
