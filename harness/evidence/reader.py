"""Reads a capture back."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from scapy.error import Scapy_Exception
from scapy.utils import RawPcapNgReader

from harness.evidence import comments
from harness.evidence.comments import PORTS, RULES_AND_OUTCOME, TEST
from harness.evidence.pcapng import COMMENT, PACKET, SECTION
from harness.evidence.results import Outcome
from harness.lan import Fate, FateKind

_LITTLE_ENDIAN = b"\x4d\x3c\x2b\x1a"
_OUTCOMES = frozenset(get_args(Outcome))


LONGEST = 262_144
"""Bytes in the longest frame that Wireshark reads."""


class BadCapture(Exception):
    """A capture that cannot be read, said in one line."""


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


def _begins(said: tuple[str, ...]) -> str:
    third = "".join(said[RULES_AND_OUTCOME : RULES_AND_OUTCOME + 1])
    return third.removeprefix(TEST) if third.startswith(TEST) else ""


def _packet(
    number: int,
    time: int,
    port: str,
    direction: Literal["sent", "received"],
    frame: bytes,
    original_length: int,
    said: tuple[str, ...],
) -> Packet:
    own = said
    if _OUTCOMES.intersection(said[1:2]):
        own = said[RULES_AND_OUTCOME + bool(_begins(said)) :]
    fates, notes = comments.read_back(direction, own)
    return Packet(number, time, port, direction, frame, original_length, said, fates, notes)


class Section(NamedTuple):
    """What one test left in a capture: its comments, its ports, and its packets."""

    comments: tuple[str, ...]
    ports: tuple[str, ...]
    packets: tuple[Packet, ...]

    @property
    def watched(self) -> tuple[str, ...]:
        """The ports that the test used, of those that the LAN has."""
        told = [comment for comment in self.comments if comment.startswith(PORTS)]
        names = {name for each in told for name in each.removeprefix(PORTS).split(", ")}
        return tuple(port for port in self.ports if port in names or not told)


def read(path: Path) -> list[Packet]:
    """All packets of a capture; BadCapture unless every byte of it can be read."""
    return [packet for section in sections(path) for packet in section.packets]


def sections(path: Path) -> Iterator[Section]:
    """A capture, test by test; BadCapture unless every byte of it can be read.

    Packets are numbered throughout, as Wireshark does it. Of a test in the capture of a run
    only those ports are known that have packets.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadCapture(f"{path}: {error.strerror}") from None
    starts: list[int] = []
    packets: list[int] = []
    for at, kind, _ in blocks(path, content):
        if kind == SECTION:
            starts.append(at)
            packets.append(0)
        packets[-1] += kind == PACKET
    numbered = 0
    for start, end, count in zip(starts, [*starts[1:], len(content)], packets, strict=True):
        try:
            found = _section(content[start:end], numbered)
        except (Scapy_Exception, struct.error, ValueError) as error:
            raise BadCapture(f"{path}: not a pcapng file: {error}") from None
        if len(found.packets) != count:
            raise BadCapture(f"{path}: a packet after number {numbered} cannot be read")
        numbered += count
        yield from _tests(found)


def blocks(path: Path, content: bytes) -> Iterator[tuple[int, int, int]]:
    """Where each block begins, its kind and its size; BadCapture at one that is damaged.

    ``path`` is what a complaint names. Scapy takes a file that was cut short for a shorter
    one; this does not.
    """
    if not content:
        raise BadCapture(f"{path}: empty")
    if content[:4] != struct.pack("<I", SECTION):
        raise BadCapture(f"{path}: not a pcapng file")
    at = 0
    while at < len(content):
        whole = at + 12 <= len(content)
        kind, size = struct.unpack_from("<II", content, at) if whole else (0, 0)
        if kind == SECTION and content[at + 8 : at + 12] != _LITTLE_ENDIAN:
            raise BadCapture(f"{path}: not a little-endian pcapng file")
        ends = content[at + size - 4 : at + size] == struct.pack("<I", size)
        if size < 12 or at + size > len(content) or not ends:
            raise BadCapture(f"{path}: broken off or damaged at byte {at}")
        yield at, kind, size
        at += size


def _section(content: bytes, numbered: int) -> Section:
    """One section alone: Scapy would look its interfaces up among those of the first."""
    reader = RawPcapNgReader(io.BytesIO(content))  # type: ignore[arg-type]
    with reader:
        packets = tuple(
            _packet(
                number,
                ((about.tshigh or 0) << 32) + (about.tslow or 0),
                _text(about.ifname or b""),
                "sent" if about.direction == 2 else "received",
                frame,
                about.wirelen,
                tuple(_text(each) for each in about.comments or ()),
            )
            for number, (frame, about) in enumerate(_raw(reader), start=numbered + 1)
        )
        ports = tuple(_text(options.get("name", b"")) for _, _, options in reader.interfaces)
    return Section(_comments(content), ports, packets)


def _tests(section: Section) -> Iterator[Section]:
    """The capture of a run, cut where a test begins; that of a test as it is."""
    starts = [n for n, packet in enumerate(section.packets) if packet.begins]
    if not starts:
        yield section
        return
    for start, end in zip(starts, [*starts[1:], len(section.packets)], strict=True):
        packets = section.packets[start:end]
        rules, outcome = packets[0].comments[:RULES_AND_OUTCOME]
        about = (f"{TEST}{packets[0].begins}", f"verdict: {outcome}", f"rule: {rules}")
        used = {each.port for each in packets}
        yield Section(about, tuple(each for each in section.ports if each in used), packets)


def _raw(reader: RawPcapNgReader) -> Iterator[tuple[bytes, Any]]:
    """Whole frames: its own loop would cut them at 65,535 bytes."""
    while True:
        try:
            yield reader._read_packet(size=LONGEST)
        except EOFError:
            return


def _comments(content: bytes) -> tuple[str, ...]:
    """The comments of a section, which Scapy reads over."""
    end = struct.unpack_from("<I", content, 4)[0] - 4
    found = []
    at = 24
    while at + 4 <= end:
        code, size = struct.unpack_from("<HH", content, at)
        if code == COMMENT:
            found.append(_text(content[at + 4 : at + 4 + size]))
        at += 4 + size + -size % 4
    return tuple(found)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
