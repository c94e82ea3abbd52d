"""Reads captures: block by block, in memory that does not depend on the size of the file."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, get_args

from harness.evidence import comments
from harness.evidence.comments import PORTS, RULES_AND_OUTCOME, TEST
from harness.evidence.files import LARGEST, BadFile, opened
from harness.evidence.pcapng import COMMENT, FLAGS, IF_NAME, INTERFACE, PACKET, SECTION
from harness.evidence.results import Outcome
from harness.lan import Fate, FateKind

LONGEST = 262_144
"""Bytes in the longest frame that Wireshark reads."""

LARGEST_BLOCK = 16 * 1024 * 1024

MOST_REMEMBERED = 4096
"""Options of packets whose meaning is remembered: those of most packets are alike."""

_OBSOLETE, _SIMPLE = 2, 3
"""Kinds of packet blocks that have no interface or direction that could be read."""

_SENT = 2
_LITTLE_ENDIAN = b"\x4d\x3c\x2b\x1a"
_OUTCOMES = frozenset(get_args(Outcome))
_HEAD = struct.Struct("<II")
_PACKET = struct.Struct("<IIIII")
_OPTION = struct.Struct("<HH")


class BadCapture(Exception):
    """A capture that cannot be read; the message is one line."""


class Packet(NamedTuple):
    """A packet of a capture; ``number`` counts from 1, ``time`` is nanoseconds since 1970.

    In the capture of a test its first two comments are the test's rules and its outcome;
    in that of a run the third, of a test's first packet, is the test's name. ``fates`` say
    what became of the frame, ``notes`` what the LAN says besides.
    """

    number: int
    time: int
    port: str
    direction: Literal["sent", "received"]
    frame: bytes
    original_length: int
    comments: tuple[str, ...]
    fates: tuple[Fate, ...]
    notes: tuple[str, ...]

    @property
    def begins(self) -> str:
        """The name of the test whose first packet it is, in the capture of a run; else ""."""
        return _begins(self.comments)

    @property
    def wrong(self) -> str:
        """What is wrong, if it is the packet that shows it."""
        said = next((note for note in self.notes if note.startswith(comments.WRONG)), "")
        return said.removeprefix(comments.WRONG)

    @property
    def arrived(self) -> bool:
        """Whether it reached its port, and the receiver did not throw it away."""
        return self.direction == "received" and self.fate(FateKind.DROPPED) is None

    @property
    def passes_filter(self) -> bool:
        """Whether a host's card would have passed it up."""
        return self.fate(FateKind.FILTERED) is None

    def fate(self, kind: FateKind) -> Fate | None:
        """Its first fate of this kind, if it has one."""
        return next((fate for fate in self.fates if fate.kind is kind), None)


class Section(NamedTuple):
    """What one test left in a capture: its comments, its ports, and its packets."""

    comments: tuple[str, ...]
    ports: tuple[str, ...]
    packets: tuple[Packet, ...]


@dataclass(frozen=True, slots=True)
class Outline:
    """Where a test stands in a capture, without its packets.

    ``first`` is the number of its first packet, ``start`` and ``end`` are offsets in the
    file, ``names`` the interfaces of its section.
    """

    comments: tuple[str, ...]
    ports: tuple[str, ...]
    first: int
    count: int
    start: int
    end: int
    names: tuple[str, ...]

    @property
    def watched(self) -> tuple[str, ...]:
        """The ports that the test used; all, if it does not say."""
        named = [text.removeprefix(PORTS) for text in self.comments if text.startswith(PORTS)]
        used = {port for text in named for port in text.split(", ")}
        return tuple(port for port in self.ports if port in used) or self.ports


def read(path: Path, most: int = LARGEST) -> list[Packet]:
    """All packets of a capture; BadCapture unless every byte of it can be read."""
    return [packet for section in sections(path, most) for packet in section.packets]


def parse(path: Path, content: bytes) -> list[Packet]:
    """All packets of a capture that was read from ``path``; BadCapture if it is damaged."""
    file = io.BytesIO(content)
    return [packet for test in _outlines(path, file) for packet in _packets(path, file, test)]


def sections(path: Path, most: int = LARGEST) -> Iterator[Section]:
    """A capture, test by test; BadCapture unless every byte of it can be read.

    Packets are numbered throughout, as in Wireshark. In the capture of a run the ports of a
    test are those that have packets.
    """
    for test in outlines(path, most):
        yield Section(test.comments, test.ports, tuple(packets(path, test, most)))


def outlines(path: Path, most: int = LARGEST) -> list[Outline]:
    """The tests of a capture; BadCapture unless every byte of it can be read."""
    try:
        with opened(path, most) as file:
            return list(_outlines(path, file))
    except BadFile as error:
        raise BadCapture(str(error)) from None
    except OSError as error:
        raise BadCapture(f"{path}: {error.strerror}") from None


def packets(path: Path, test: Outline, most: int = LARGEST) -> Iterator[Packet]:
    """The packets of a test, one at a time."""
    try:
        with opened(path, most) as file:
            yield from _packets(path, file, test)
    except BadFile as error:
        raise BadCapture(str(error)) from None
    except OSError as error:
        raise BadCapture(f"{path}: {error.strerror}") from None


def blocks(path: Path, file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Offset, kind and bytes of each block; BadCapture at one that is damaged.

    ``path`` is for messages.
    """
    at = file.tell()
    while head := file.read(_HEAD.size):
        if at == 0 and head[:4] != struct.pack("<I", SECTION):
            raise BadCapture(f"{path}: not a pcapng file")
        kind, size = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 0)
        if not 12 <= size <= LARGEST_BLOCK:
            # A section of the other byte order has its size in that order.
            order = file.read(4) if kind == SECTION else _LITTLE_ENDIAN
            if len(order) == 4 and order != _LITTLE_ENDIAN:
                raise BadCapture(f"{path}: not a little-endian pcapng file")
            raise BadCapture(f"{path}: truncated or damaged at byte {at}")
        block = head + file.read(size - _HEAD.size)
        if kind == SECTION and len(block) >= 12 and block[8:12] != _LITTLE_ENDIAN:
            raise BadCapture(f"{path}: not a little-endian pcapng file")
        if len(block) != size or block[-4:] != head[4:]:
            raise BadCapture(f"{path}: truncated or damaged at byte {at}")
        yield at, kind, block
        at += size
    if at == 0:
        raise BadCapture(f"{path}: empty")


def interface_name(path: Path, at: int, block: bytes) -> str:
    """The name in the block of an interface, which stands at ``at`` in the file."""
    return "".join(_texts(path, at, block, 16, IF_NAME)[:1])


def _outlines(path: Path, file: BinaryIO) -> Iterator[Outline]:
    file.seek(0)
    number = 0
    known = _Known()
    section: _Section | None = None
    for at, kind, block in blocks(path, file):
        if kind == SECTION:
            if section is not None:
                yield from section.tests(at)
            section = _Section(_texts(path, at, block, 24, COMMENT), at, number)
        assert section is not None  # the first block is one
        if kind == INTERFACE:
            section.names.append(interface_name(path, at, block))
        elif kind == PACKET:
            number += 1
            interface, _, _, size, _ = _packet_head(path, number, block)
            section.add(path, at, number, interface, known.about(path, at, block, size))
        elif kind in (_OBSOLETE, _SIMPLE):
            raise BadCapture(f"{path}: packet {number + 1} does not say where it was captured")
    if section is not None:
        yield from section.tests(file.tell())


class _Section:
    """A section as it is read: that of a test, or of a run with many."""

    def __init__(self, said: tuple[str, ...], start: int, numbered: int) -> None:
        self.names: list[str] = []
        self._comments = said
        self._begun = [_Begun("", said, start, numbered + 1)]
        self._of_run = False

    def add(self, path: Path, at: int, number: int, interface: int, about: _About) -> None:
        if interface >= len(self.names):
            raise BadCapture(f"{path}: packet {number} is of no interface")
        if test := _begins(about.comments):
            self._begin(test, about.comments, at, number)
        self._begun[-1].used.add(interface)
        self._begun[-1].count += 1

    def _begin(self, test: str, said: tuple[str, ...], at: int, number: int) -> None:
        rules, outcome = said[:RULES_AND_OUTCOME]
        about = (f"{TEST}{test}", f"verdict: {outcome}", f"rule: {rules}")
        begun = _Begun(test, about, at, number)
        if self._begun[-1].count:
            self._begun.append(begun)
        else:
            self._begun[-1] = begun
        self._of_run = True

    def tests(self, end: int) -> Iterator[Outline]:
        names = tuple(self.names)
        ends = [begun.start for begun in self._begun[1:]] + [end]
        for begun, last in zip(self._begun, ends, strict=True):
            ports = names
            if self._of_run:
                ports = tuple(name for n, name in enumerate(names) if n in begun.used)
            yield Outline(
                begun.comments, ports, begun.number, begun.count, begun.start, last, names
            )


class _Begun:
    def __init__(self, test: str, said: tuple[str, ...], start: int, number: int) -> None:
        self.test = test
        self.comments = said
        self.start = start
        self.number = number
        self.count = 0
        self.used: set[int] = set()


def _packets(path: Path, file: BinaryIO, test: Outline) -> Iterator[Packet]:
    file.seek(test.start)
    number = test.first
    known = _Known()
    for at, kind, block in blocks(path, file):
        if at >= test.end:
            return
        if kind != PACKET:
            continue
        interface, high, low, size, original = _packet_head(path, number, block)
        about = known.about(path, at, block, size)
        if interface >= len(test.names):
            raise BadCapture(f"{path}: packet {number} is of no interface")
        yield Packet(
            number, (high << 32) + low, test.names[interface], about.direction,
            block[28 : 28 + size], original, about.comments, about.fates, about.notes,
        )  # fmt: skip
        number += 1


def _packet_head(path: Path, number: int, block: bytes) -> tuple[int, int, int, int, int]:
    """Interface, time (two halves), captured and original length."""
    if len(block) < 32:
        raise BadCapture(f"{path}: packet {number} is damaged")
    interface, high, low, size, original = _PACKET.unpack_from(block, 8)
    if size > LONGEST or 32 + size + -size % 4 > len(block) or original < size:
        raise BadCapture(f"{path}: packet {number} is damaged")
    return interface, high, low, size, original


class _About(NamedTuple):
    """What the options of a packet say."""

    direction: Literal["sent", "received"]
    comments: tuple[str, ...]
    fates: tuple[Fate, ...]
    notes: tuple[str, ...]


class _Known:
    """What options mean, by their bytes."""

    def __init__(self) -> None:
        self._known: dict[bytes, _About] = {}

    def about(self, path: Path, at: int, block: bytes, size: int) -> _About:
        """Of a packet's block with ``size`` bytes of frame."""
        options = block[28 + size + -size % 4 : -4]
        about = self._known.get(options)
        if about is None:
            about = _about(path, at, options)
            if len(self._known) < MOST_REMEMBERED:
                self._known[options] = about
        return about


def _about(path: Path, at: int, options: bytes) -> _About:
    said: list[str] = []
    direction: Literal["sent", "received"] = "received"
    for code, value in _options(path, at, options):
        if code == COMMENT:
            said.append(_text(value))
        elif code == FLAGS and len(value) == 4 and value[0] & 3 == _SENT:
            direction = "sent"
    own = said
    if _OUTCOMES.intersection(said[1:2]):
        own = said[RULES_AND_OUTCOME + bool(_begins(said)) :]
    return _About(direction, tuple(said), *comments.read_back(direction, own))


def _begins(said: Iterable[str]) -> str:
    """The test that begins at a packet with these comments, in the capture of a run."""
    third = "".join(tuple(said)[RULES_AND_OUTCOME : RULES_AND_OUTCOME + 1])
    return third.removeprefix(TEST) if third.startswith(TEST) else ""


def _texts(path: Path, at: int, block: bytes, start: int, wanted: int) -> tuple[str, ...]:
    """All options with the code ``wanted``, which begin at ``start`` in a block."""
    options = _options(path, at, block[start:-4])
    return tuple(_text(value) for code, value in options if code == wanted)


def _options(path: Path, at: int, options: bytes) -> Iterator[tuple[int, bytes]]:
    here = 0
    while here + 4 <= len(options):
        code, size = _OPTION.unpack_from(options, here)
        if code == 0:
            return
        if here + 4 + size > len(options):
            raise BadCapture(f"{path}: damaged options in the block at byte {at}")
        yield code, options[here + 4 : here + 4 + size]
        here += 4 + size + -size % 4


def _text(encoded: bytes) -> str:
    return encoded.decode("utf-8", "replace")
