"""Values in a plain, bounded form for the results, and what differs between two, in a table."""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from typing import Literal

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]
"""A value as JSON has it."""

Relation = Literal["same", "different"]
"""What two values are to be."""

LONGEST_BYTES = 256
"""Bytes that are recorded whole; of longer ones the hash, the length and the start are."""

LONGEST_VALUE = 2_000
"""Characters of JSON that are recorded whole; of longer values the same."""

START = 64
MOST_ROWS = 16
"""Rows of a table."""

DIFFERS = "   <- differs"


def holds(relation: Relation, received: Plain, expected: Plain) -> bool:
    """Whether two recorded values are what they are to be to each other."""
    return (_json(received) == _json(expected)) is (relation == "same")


# The recorded form


def recorded(value: object, *, strict: bool = False) -> Plain:
    """A value as it is recorded: of an object that has no plain form the class alone.

    TypeError for such an object if ``strict``.
    """
    plain = _plain(value, strict)
    text = _json(plain)
    if len(text) <= LONGEST_VALUE:
        return plain
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"json": text[:START], "length": len(text), "sha256": digest}


def _plain(value: object, strict: bool = False) -> Plain:
    match value:
        case None | bool() | float():
            return value
        case enum.Enum():
            return _plain(value.value, strict)
        case int():
            return value if abs(value) < 1 << 53 else f"{value:#x}"
        case str():
            return str(value)
        case bytes() | bytearray() | memoryview():
            return _bytes(bytes(value))
        case Set():
            return {"set": sorted((_plain(item, strict) for item in value), key=_json)}
        case Mapping():
            return {_key(key, strict): _plain(item, strict) for key, item in value.items()}
        case Sequence():
            names = getattr(value, "_fields", None)
            if names is not None:
                items = {
                    name: _plain(item, strict) for name, item in zip(names, value, strict=True)
                }
                return {"is": type(value).__name__, **items}
            return [_plain(item, strict) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        named = {
            one.name: _plain(getattr(value, one.name), strict)
            for one in fields(value)
            if one.compare
        }
        return {"is": type(value).__name__, **named}
    if strict:
        raise TypeError(f"{type(value).__name__} cannot be recorded: compare a part of it")
    return {"is": type(value).__name__, "recorded": False}


def _key(key: object, strict: bool) -> str:
    plain = _plain(key, strict)
    return plain if isinstance(plain, str) else _json(plain)


def _bytes(value: bytes) -> Plain:
    if len(value) <= LONGEST_BYTES:
        return {"hex": value.hex()}
    digest = hashlib.sha256(value).hexdigest()
    return {"hex": value[:START].hex(), "length": len(value), "sha256": digest}


def _json(plain: Plain) -> str:
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


# What differs, in lines to read


def explain(what: str, received: object, expected: object) -> list[str]:
    """A reason in one line, then a table of expected and received."""
    rows = list(_rows(received, expected))
    differing = [row for row in rows if row[3]]
    label, want, got, _ = differing[0] if differing else rows[0]
    name = f"{what}, {label}" if label else what
    others = len(differing) - 1
    more = f"; {others} more differ" + "s" * (others == 1) if others > 0 else ""
    lines = [f"{name}: expected {want}, received {got}{more}"]
    shown = rows
    if len(rows) > MOST_ROWS:
        shown = differing[:MOST_ROWS] or rows[:MOST_ROWS]
        lines.append(f"{len(differing)} of {len(rows)} rows differ")
    if len(rows) > 1:
        left = max(len(row[0]) for row in shown)
        middle = max(len("expected"), *(len(row[1]) for row in shown))
        lines += ["", f"{'':<{left}}  {'expected':<{middle}}  received"]
        lines += [
            f"{label:<{left}}  {want:<{middle}}  {got}{DIFFERS * differs}"
            for label, want, got, differs in shown
        ]
    return lines


Row = tuple[str, str, str, bool]
"""Label, expected, received, whether they differ."""

_NOTHING = "nothing"


def _rows(received: object, expected: object) -> Iterator[Row]:
    want, got = _parts(expected), _parts(received)
    if want is None or got is None or not (want or got):
        yield _row("", expected, received)
        return
    for label in dict.fromkeys([*want, *got]):
        if label not in want:
            yield label, _NOTHING, short(got[label]), True
        elif label not in got:
            yield label, short(want[label]), _NOTHING, True
        else:
            yield _row(label, want[label], got[label])


def _row(label: str, want: object, got: object) -> Row:
    differs = _json(recorded(want)) != _json(recorded(got))
    if differs and isinstance(want, bytes) and isinstance(got, bytes):
        common = min(len(want), len(got))
        at = next((n for n in range(common) if want[n] != got[n]), common)
        return label, _window(want, at), _window(got, at), True
    return label, short(want), short(got), differs


def _window(value: bytes, at: int) -> str:
    """Bytes, from a little before the first difference."""
    start = max(0, at - 2) if len(value) > 8 else 0
    more = "..." if len(value) > start + 8 else ""
    where = f" at {start}" if start else ""
    return f"{_count(len(value), 'byte')},{where} {value[start : start + 8].hex(' ')}{more}"


def _parts(value: object) -> dict[str, object] | None:
    """The labelled parts of a value, for a row each; None if it has none."""
    if isinstance(value, Mapping):
        parts = {_text_of_key(key): item for key, item in value.items()}
        return dict(sorted(parts.items()))
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in fields(value) if one.compare}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        names = getattr(value, "_fields", None) or range(1, len(value) + 1)
        return {str(name): item for name, item in zip(names, value, strict=True)}
    return None


def _text_of_key(key: object) -> str:
    return key.hex(":") if isinstance(key, bytes) else str(key)


def short(value: object) -> str:
    """A value in a few words."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case enum.Enum():
            return short(value.value)
        case int() | float():
            return str(value)
        case str():
            return value if len(value) <= START else f"{value[:START]}..."
        case bytes() | bytearray() | memoryview():
            start = bytes(value)[:6].hex(" ")
            return f"{_count(len(value), 'byte')}, {start}{'...' * (len(value) > 6)}"
        case Set():
            return _list(sorted(value, key=lambda item: _json(_plain(item))))
        case Mapping():
            return _named({_text_of_key(key): item for key, item in value.items()})
        case Sequence():
            names = getattr(value, "_fields", None)
            if names is None:
                return _list(value)
            return f"{type(value).__name__}: {_named(dict(zip(names, value, strict=True)))}"
    if is_dataclass(value) and not isinstance(value, type):
        parts = {one.name: getattr(value, one.name) for one in fields(value) if one.compare}
        return f"{type(value).__name__}: {_named(parts)}"
    return type(value).__name__


def _list(items: Sequence[object]) -> str:
    if not items:
        return _NOTHING
    most = 8 if all(isinstance(item, int) for item in items) else 3
    more = f", ... ({len(items)} in all)" if len(items) > most else ""
    return (
        ", ".join(f"({short(item)})" if _nested(item) else short(item) for item in items[:most])
        + more
    )


def _nested(item: object) -> bool:
    return not isinstance(item, None | bool | int | float | str | enum.Enum)


def _named(parts: Mapping[str, object]) -> str:
    shown = [
        f"{name} ({short(item)})" if _nested(item) else f"{name} {short(item)}"
        for name, item in list(parts.items())[:8]
    ]
    return ", ".join(shown) + (", ..." if len(parts) > 8 else "") or _NOTHING


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
