"""The comments of a capture: the only module that knows their words.

A packet of a test has, in this order: the rules of the test, its outcome, in the capture of
a run the name of the test that begins here, what the LAN says and what became of the frame in
words, and a line for machines for each fate: ``fate: `` and a JSON object, one line, keys in
alphabetical order, empty fields left out. ``reports/README.md`` describes that line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from harness.lan import DROPPED, FILTERED, Fate, FateKind, Record

RULES_AND_OUTCOME = 2
"""Comments that come first in every packet of a test: its rules, and its outcome."""

TEST = "test: "
"""How the comment begins that names a test."""

WRONG = "WRONG: "
"""How the comment begins of the packet that shows what is wrong."""

MISSING_AT = f"{WRONG}missing at "
"""How it begins on a frame that was sent and did not arrive at a port, which follows."""

PORTS = "ports: "
"""How the comment begins that names the ports of a test, on a LAN that has more of them."""

FATE = "fate: "
"""How the comment begins that states a fate for machines."""

LONGEST_REASON = 4_000
"""Characters of a reason that are written; the comment must fit into an option."""

Direction = Literal["sent", "received"]


class _Line(msgspec.Struct, omit_defaults=True):
    """A fate as its JSON object; the order of the fields is that of the keys."""

    buffer: int | None = None
    count: int | None = None
    kind: FateKind | None = None
    of: int | None = None
    port: str = ""
    reason: str = ""


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(_Line)


def line(fate: Fate) -> str:
    """A fate as a comment for machines."""
    fields = _Line(
        fate.buffer,
        fate.count,
        fate.kind,
        fate.of,
        _encodable(fate.port),
        _encodable(fate.reason[:LONGEST_REASON]),
    )
    return FATE + _ENCODER.encode(fields).decode()


def missing_at(comment: str) -> str:
    """The port at which a frame is missing, if a comment says so; else ""."""
    if not comment.startswith(MISSING_AT):
        return ""
    return comment.removeprefix(MISSING_AT).partition(": ")[0]


def parse(comment: str) -> Fate | None:
    """The fate that a comment for machines states; None for any other comment.

    A field that is unknown is passed over; a line of an unknown kind states no fate.
    """
    if not comment.startswith(FATE):
        return None
    try:
        fields = _DECODER.decode(comment.removeprefix(FATE))
    except (ValueError, RecursionError):
        return None
    if fields.kind is None:
        return None
    return Fate(fields.kind, fields.reason, fields.port, fields.count, fields.of, fields.buffer)


def pattern(kind: FateKind, *, reason: bool | None = None) -> str:
    """A regular expression that a comment for machines matches if it states such a fate.

    ``reason`` asks for a fate with a reason, or for one without.
    """
    rest = {None: "", True: '.*"reason":', False: '(?!.*"reason":)'}[reason]
    return f'^{FATE}.*"kind":"{kind}"{rest}'


def summary(fate: Fate) -> str:
    """A fate in a few words; none for a frame that was just sent or delivered."""
    known = fate.count is not None and fate.of is not None
    part = f"{fate.count} of {fate.of}" if known else "not all"
    match fate.kind:
        case FateKind.SENT_PARTLY:
            return f"Megapacket: {part} sections sent"
        case FateKind.SENT_RAW:
            return f"raw {fate.reason}"
        case FateKind.REFUSED:
            return f"refused: {fate.reason}"
        case FateKind.UNDELIVERED:
            return fate.reason or f"{part} bytes copied"
        case FateKind.TRUNCATED:
            return f"cut: {part} bytes arrived" + (f" ({fate.reason})" if fate.reason else "")
        case FateKind.FILTERED:
            return FILTERED
        case FateKind.DROPPED:
            return f"{fate.reason}, {DROPPED}" if fate.reason else DROPPED
        case FateKind.SENT | FateKind.DELIVERED:
            return ""


def words(fate: Fate) -> tuple[str, ...]:
    """A fate as comments for people."""
    text = summary(fate)
    if fate.kind is FateKind.UNDELIVERED:
        text = f"to {fate.port}: {text}"
    where = (
        () if fate.buffer is None else (f"copied by the Host into buffer {fate.buffer}, interrupt",)
    )
    return (*([text] if text else []), *where)


def of_record(record: Record) -> tuple[str, ...]:
    """All comments of a record: its own, its fates in words, its fates for machines.

    Fates of a record that has none are those that its comments state.
    """
    fates = record.fates or read_back(record.direction, record.comments)[0]
    added = [text for fate in record.fates for text in words(fate)] + [line(fate) for fate in fates]
    return (*record.comments, *(text for text in added if text not in record.comments))


def read_back(
    direction: Direction, comments: Sequence[str]
) -> tuple[tuple[Fate, ...], tuple[str, ...]]:
    """The fates that comments state, and the comments that say something else.

    Where there is no line for machines, as in version 0.1, the words are read; where they
    say nothing of it the frame was sent, or delivered.
    """
    stated = {comment: fate for comment in comments if (fate := parse(comment)) is not None}
    if not stated:
        return _read_words(direction, comments)
    said = {text for fate in stated.values() for text in words(fate)}
    rest = tuple(text for text in comments if text not in stated and text not in said)
    return tuple(stated.values()), rest


def _read_words(
    direction: Direction, comments: Sequence[str]
) -> tuple[tuple[Fate, ...], tuple[str, ...]]:
    """What version 0.1 wrote."""
    fates: list[Fate] = []
    rest: list[str] = []
    buffer: int | None = None
    for comment in comments:
        copied = _COPIED.fullmatch(comment)
        fate = _sent(comment) if direction == "sent" else _received(comment)
        if copied is not None and direction == "received":
            buffer = int(copied[1])
        elif fate is not None:
            fates.append(fate)
        else:
            rest.append(comment)
    if all(fate.kind is FateKind.UNDELIVERED for fate in fates):
        fates.insert(0, Fate(FateKind.SENT if direction == "sent" else FateKind.DELIVERED))
    if buffer is not None:
        first = fates[0]
        fates[0] = Fate(first.kind, first.reason, count=first.count, of=first.of, buffer=buffer)
    return tuple(fates), tuple(rest)


_COPIED = re.compile(r"copied by the Host into buffer ([0-9]{1,9}), interrupt")
_CUT = re.compile(r"cut: ([0-9]{1,9}) of ([0-9]{1,9}) bytes arrived")
_PARTLY = re.compile(r"Megapacket: ([0-9]{1,9}) of ([0-9]{1,9}) sections sent")
_RAW = re.compile(r"raw (SEND_DMA to key 0x[0-9a-f]+)")
_TO = re.compile(r"to (.+?): (?:([0-9]{1,9}) of ([0-9]{1,9}) bytes copied|(.+))", re.DOTALL)
_NO_MEMORY = "no memory for a fresh buffer"
"""The one reason that version 0.1 wrote without saying that the frame was dropped."""


def _sent(comment: str) -> Fate | None:
    if comment.startswith("refused: "):
        return Fate(FateKind.REFUSED, comment.removeprefix("refused: "))
    if match := _PARTLY.fullmatch(comment):
        return Fate(FateKind.SENT_PARTLY, count=int(match[1]), of=int(match[2]))
    if match := _RAW.fullmatch(comment):
        return Fate(FateKind.SENT_RAW, match[1])
    if match := _TO.fullmatch(comment):
        count, of = (int(match[2]), int(match[3])) if match[2] else (0, None)
        return Fate(FateKind.UNDELIVERED, match[4] or "", match[1], count, of)
    return None


def _received(comment: str) -> Fate | None:
    if comment == FILTERED:
        return Fate(FateKind.FILTERED)
    if comment.endswith(DROPPED):
        return Fate(FateKind.DROPPED, comment.removesuffix(DROPPED).rstrip(", "))
    if comment == _NO_MEMORY:
        return Fate(FateKind.DROPPED, _NO_MEMORY)
    if match := _CUT.fullmatch(comment):
        return Fate(FateKind.TRUNCATED, count=int(match[1]), of=int(match[2]))
    return None


def _encodable(text: str) -> str:
    """Text without lone surrogates, which UTF-8 does not have."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
