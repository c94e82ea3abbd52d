"""What a class of the user's returns, copied into plain values that it cannot change later.

``BadValue`` says in a few words what is wrong with a value.
"""

from __future__ import annotations

import dataclasses
import itertools
import types
import typing
from collections.abc import Iterable, Sequence, Set
from typing import Any

from harness.lan import VERBS, Arrival, Counters, Fate, FateKind, Record, Traits

LATEST = 1 << 63
"""Times, in nanoseconds, are below this."""

MOST_ARRIVALS = 50_000
"""Arrivals that are taken from a port at once."""

_LONGEST_SHOWN = 200
_HEADER = 14
_FATE_NUMBERS = ("count", "of", "buffer")


class BadValue(Exception):
    """A value that is not what the method must return, and why."""


def one_line(text: str, size: int = 500) -> str:
    """A text in one printable line, cut if it is long."""
    line = "".join(c if c.isprintable() else " " for c in text[: 2 * size])
    line = " ".join(line.split())
    return line if len(line) <= size else line[:size] + "..."


def shown(value: object) -> str:
    """The representation of any value, in one short line."""
    try:
        return one_line(repr(value), _LONGEST_SHOWN)
    except BaseException:
        return f"an object of type {type(value).__name__}"


def a_name(value: object, what: str) -> str:
    """A name: some printable characters."""
    if type(value) is not str or not value or not value.isprintable():
        raise BadValue(f"{what} is {shown(value)}, and should be a few printable characters")
    return value


def an_address(value: object, what: str) -> bytes:
    """The address of a port: six bytes, and not that of a group."""
    address = _bytes(value, what)
    if len(address) != 6:
        raise BadValue(f"{what} is {shown(value)}, and should be 6 bytes")
    if address[0] & 1:
        raise BadValue(f"{what} is {address.hex(':')}, which is the address of a group")
    return address


def a_list(values: object, of: str) -> list[Any]:
    """All that a list, or what can be iterated once, has."""
    if isinstance(values, str | bytes | bytearray | memoryview | dict):
        raise BadValue(f"returned {shown(values)}, and should return a list of {of}")
    try:
        iterator = iter(typing.cast("Iterable[Any]", values))
    except TypeError:
        raise BadValue(f"returned {shown(values)}, and should return a list of {of}") from None
    return list(iterator)


def arrivals(values: object, mac: bytes, modes: Set[bool]) -> list[Arrival]:
    """Arrivals at a port with an address that was in these modes, promiscuous or not."""
    # An endless list ends here; so many frames are a storm.
    if not isinstance(values, Sequence | Set) and isinstance(values, Iterable):
        values = itertools.islice(values, MOST_ARRIVALS)
    return [_arrival(value, mac, modes) for value in a_list(values, "Arrival")]


def _arrival(value: object, mac: bytes, modes: Set[bool]) -> Arrival:
    fields = _fields(value, Arrival, 3)
    time, frame, passes = _time(fields[0]), _frame(fields[1]), fields[2]
    if type(passes) is not bool:
        raise BadValue(f"returned passes_filter {shown(passes)}, and should return True or False")
    for_card = frame[:6] == mac or bool(frame and frame[0] & 1)
    if len(frame) >= _HEADER and passes not in ({True} if for_card else modes):
        to = frame[:6].hex(":") or "nobody"
        mode = "promiscuous" if True in modes else "not promiscuous"
        raise BadValue(
            f"returned passes_filter={passes} for a frame to {to}, and the port has the address"
            f" {mac.hex(':')} and is {mode}"
        )
    return Arrival(time, frame, passes)


def records(values: object, known: int) -> list[Record]:
    """The records after those that are known already."""
    if not isinstance(values, list | tuple):
        values = a_list(values, "Record")
    if len(values) < known:
        raise BadValue(f"returned {len(values)} records, and {known} before")
    return [_record(value) for value in itertools.islice(values, known, None)]


def _record(value: object) -> Record:
    fields = _fields(value, Record, 7)
    time, frame = _time(fields[0]), _frame(fields[3])
    port = a_name(fields[1], "returned the port of a record, which")
    direction, original = fields[2], fields[4]
    if type(direction) is not str or direction not in ("sent", "received"):
        raise BadValue(f"returned direction {shown(direction)}, and should return sent or received")
    if type(original) is not int or original < len(frame):
        raise BadValue(
            f"returned original_length {shown(original)} for a frame of {len(frame)} bytes"
        )
    comments = tuple(
        a_name(comment, "returned a comment, which") for comment in a_list(fields[5], "comments")
    )
    fates = tuple(_fate(fate) for fate in a_list(fields[6], "Fate"))
    return Record(time, port, direction, frame, original, comments, fates)  # type: ignore[arg-type]


def _fate(value: object) -> Fate:
    if type(value) is not Fate or type(value.kind) is not FateKind:
        raise BadValue(f"returned the fate {shown(value)}, and should return a harness.lan.Fate")
    for text in (value.reason, value.port):
        if type(text) is not str or not (text == "" or text.isprintable()):
            raise BadValue(f"returned a fate with the text {shown(text)}")
    for key in _FATE_NUMBERS:
        number = getattr(value, key)
        if number is not None and type(number) is not int:
            raise BadValue(f"returned a fate with the {key} {shown(number)}")
    return value


def interfaces(values: object) -> list[tuple[str, bytes]]:
    """Names and addresses."""
    copies = []
    for value in a_list(values, "name and address"):
        if not isinstance(value, Sequence) or len(value) != 2:
            raise BadValue(f"returned {shown(value)}, and should return a name and an address")
        name = a_name(value[0], "returned the name of an interface, which")
        address = _bytes(value[1], "returned the address of an interface, which")
        if len(address) != 6:
            raise BadValue(f"returned the address {shown(value[1])}, and should return 6 bytes")
        copies.append((name, address))
    return copies


def traits(value: object) -> Traits:
    """Traits, all of the type that they should be."""
    if not isinstance(value, Traits):
        raise BadValue(f"its traits are {shown(value)}, not a harness.lan.Traits")
    hints = typing.get_type_hints(Traits)
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(Traits)}
    for name, field in fields.items():
        if not _fits(field, hints[name]):
            raise BadValue(f"its traits have {name}={shown(field)}")
    for name, least in (("shortest", 1), ("longest", fields["shortest"]), ("burst", 1)):
        if fields[name] < least:
            raise BadValue(f"its traits have {name}={fields[name]}, and {least} is the least")
    if fields["ports"] < 2:
        raise BadValue(f"its traits have ports={fields['ports']}, and 2 is the least")
    for verb in fields["verbs"]:
        if verb not in VERBS:
            raise BadValue(f"its traits name the verb {verb!r}; known are {', '.join(VERBS)}")
    if not 0 <= fields["wait_s"] < float("inf"):
        raise BadValue(f"its traits have wait_s={fields['wait_s']}")
    return Traits(**fields)


def counters(value: object) -> Counters:
    """Two numbers."""
    numbers = _fields(value, Counters, 2)
    if any(type(number) is not int or number < 0 for number in numbers):
        raise BadValue(f"returned {shown(value)}, and should return two whole numbers")
    return Counters(*numbers)


def _fits(value: object, hint: Any) -> bool:
    if typing.get_origin(hint) is typing.Literal:
        return type(value) is str and value in typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        return type(value) is tuple and all(type(item) is str for item in value)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in typing.get_args(hint))
    if hint is float:
        return type(value) in (int, float)
    return type(value) is hint


def _fields(value: object, kind: type[tuple[Any, ...]], count: int) -> tuple[Any, ...]:
    if not isinstance(value, kind) or tuple.__len__(value) != count:
        raise BadValue(f"returned {shown(value)}, and should return a harness.lan.{kind.__name__}")
    return tuple(tuple.__iter__(value))


def _time(value: object) -> int:
    if type(value) is not int or not 0 <= value < LATEST:
        raise BadValue(f"returned the time {shown(value)}, and should return nanoseconds")
    return value


def _frame(value: object) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return _bytes(value, "")
    raise BadValue(f"returned the frame {shown(value)}, and should return bytes")


def _bytes(value: object, what: str) -> bytes:
    if type(value) is bytes:
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        # A subclass of bytes may have methods of its own: its buffer has the bytes.
        return memoryview(value).tobytes()
    raise BadValue(f"{what} is {shown(value)}, and should be bytes")
