"""Reads captures of any program: pcap and pcapng, either byte order, several interfaces.

Scapy's readers take the end of a truncated file for the end of the capture, and lose count of
interfaces from the second section on; this one says what is wrong, and where.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from harness.evidence.files import LARGEST, BadFile, opened
from harness.evidence.pcapng import APPLICATION, IF_NAME, IF_TSRESOL, USER_APPLICATION
from harness.evidence.reader import LARGEST_BLOCK, LONGEST, BadCapture

ETHERNET = 1
LINK_TYPES = {
    0: "BSD loopback",
    9: "PPP",
    12: "raw IP",
    14: "raw IP",
    101: "raw IP",
    105: "IEEE 802.11",
    113: "Linux cooked",
    119: "IEEE 802.11 with Prism header",
    127: "IEEE 802.11 with radiotap header",
    163: "IEEE 802.11 with AVS header",
    192: "PPI",
    220: "USB",
    276: "Linux cooked v2",
}
"""Link types that are not Ethernet, as people call them."""

_MAGIC = {
    b"\xa1\xb2\xc3\xd4": (">", 1_000),
    b"\xd4\xc3\xb2\xa1": ("<", 1_000),
    b"\xa1\xb2\x3c\x4d": (">", 1),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
}
"""First bytes of a pcap file to its byte order, and the nanoseconds in a unit of its times."""

_SECTION = b"\x0a\x0d\x0d\x0a"
_INTERFACE, _OBSOLETE, _SIMPLE, _ENHANCED = 1, 2, 3, 6
_TSOFFSET = 14


class Captured(NamedTuple):
    """A packet, numbered from 1; ``time`` is nanoseconds since 1970, 0 if the file has none."""

    number: int
    time: int
    frame: bytes
    original_length: int
    interface: str
    link_type: int


@dataclass(slots=True)
class Contents:
    """What could be read: whole Ethernet frames; ``problems`` is what could not be, and why.

    ``snapped`` are packets of which the file has the beginning only.
    """

    path: Path
    packets: list[Captured] = field(default_factory=list)
    snapped: list[Captured] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class _Damaged(Exception):
    """The rest of the file cannot be read; the message says why."""


def read(path: Path, most: int = LARGEST) -> Contents:
    """Everything in a capture; BadCapture, in one line, for a file that is none."""
    contents = Contents(path)
    others: dict[int, list[int]] = {}
    try:
        with opened(path, most) as file:
            for packet in _packets(path, file, contents.problems.append):
                if packet.link_type != ETHERNET:
                    others.setdefault(packet.link_type, []).append(packet.number)
                elif packet.original_length > len(packet.frame):
                    contents.snapped.append(packet)
                else:
                    contents.packets.append(packet)
    except BadFile as error:
        raise BadCapture(str(error)) from None
    except OSError as error:
        raise BadCapture(f"{path}: {error.strerror}") from None
    for link_type, numbers in others.items():
        kind = LINK_TYPES.get(link_type, "unknown")
        contents.problems.append(f"{_these(numbers)} not Ethernet: link type {link_type} ({kind})")
    if contents.snapped:
        first = contents.snapped[0]
        contents.problems.append(
            f"{_these([packet.number for packet in contents.snapped])} cut by the program that"
            f" captured: packet {first.number} has {len(first.frame)} of"
            f" {first.original_length} bytes"
        )
    if not (contents.packets or contents.problems):
        contents.problems.append("it has no packets")
    return contents


def _these(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"packet {numbers[0]} is"
    return f"{len(numbers)} packets, from packet {numbers[0]} on, are"


def is_readable(path: Path, most: int = LARGEST) -> bool:
    """Whether a file begins as a pcap file (of version 2), or a pcapng file, does."""
    try:
        with opened(path, most) as file:
            start = file.read(6)
    except (BadFile, OSError):
        return False
    order = _MAGIC.get(start[:4])
    if order is not None:
        return start[4:] == struct.pack(order[0] + "H", 2)
    return start[:4] == _SECTION


def is_ours(path: Path, most: int = LARGEST) -> bool:
    """Whether a capture has what this project writes: ports as interfaces, fates as comments."""
    try:
        with opened(path, most) as file:
            start = file.read(4)
            if start != _SECTION:
                return False
            tail, block = start, file.read(1 << 20)
            made = struct.pack("<HH", USER_APPLICATION, len(APPLICATION)) + APPLICATION
            if made in block:
                return True
            while block:
                if b'fate: {"' in tail + block:
                    return True
                tail, block = block[-8:], file.read(1 << 20)
    except (BadFile, OSError):
        return False
    return False


def _packets(path: Path, file: BinaryIO, problem: Callable[[str], None]) -> Iterator[Captured]:
    magic = file.read(4)
    if magic in _MAGIC:
        reading = _pcap(file, *_MAGIC[magic])
    elif magic == _SECTION:
        file.seek(0)
        reading = _pcapng(file)
    else:
        raise BadCapture(f"{path}: " + ("not a pcap or pcapng file" if magic else "empty"))
    number = 0
    try:
        for number, packet in enumerate(reading, start=1):  # for the message
            yield packet._replace(number=number)
    except _Damaged as error:
        after = f"after packet {number}" if number else "before the first packet"
        problem(f"{error} {after}")


def _exactly(file: BinaryIO, size: int) -> bytes:
    """So many bytes; none at the end of the file."""
    data = file.read(size)
    if data and len(data) < size:
        raise _Damaged("truncated")
    return data


def _pcap(file: BinaryIO, order: str, unit_ns: int) -> Iterator[Captured]:
    head = _exactly(file, 20)
    if not head:
        raise _Damaged("truncated")
    link_type = struct.unpack(order + "HHIIII", head)[5] & 0xFFFF
    while head := _exactly(file, 16):
        seconds, rest, size, original = struct.unpack(order + "IIII", head)
        if size > LONGEST:
            raise _Damaged(f"damaged (a packet of {size} bytes)")
        frame = _exactly(file, size)
        if len(frame) < size:
            raise _Damaged("truncated")
        time = seconds * 1_000_000_000 + rest * unit_ns
        yield Captured(0, time, frame, max(original, size), "", link_type)


@dataclass(frozen=True, slots=True)
class _Interface:
    name: str
    link_type: int
    longest: int
    units_per_s: int
    offset_s: int


def _pcapng(file: BinaryIO) -> Iterator[Captured]:
    order = "<"
    interfaces: list[_Interface] = []
    while head := _exactly(file, 8):
        if head[:4] == _SECTION:
            magic = _exactly(file, 4)
            if not magic:
                raise _Damaged("truncated")
            if magic not in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"):
                raise _Damaged("damaged (no byte order)")
            order = "<" if magic[0] == 0x4D else ">"
            interfaces = []
        kind, size = struct.unpack(order + "II", head)
        if not 12 <= size <= LARGEST_BLOCK or size % 4:
            raise _Damaged(f"damaged (a block of {size} bytes)")
        rest = size - 8 - (4 if head[:4] == _SECTION else 0)
        block = _exactly(file, rest)
        if len(block) < rest:
            raise _Damaged("truncated")
        if block[-4:] != head[4:]:
            raise _Damaged("damaged (a block has two sizes)")
        try:
            if kind == _INTERFACE:
                interfaces.append(_interface(order, block[:-4]))
            elif kind in (_OBSOLETE, _SIMPLE, _ENHANCED):
                yield _packet(order, kind, block[:-4], interfaces)
        except (struct.error, IndexError):
            raise _Damaged("damaged (a block is too short, or of no interface)") from None


def _interface(order: str, block: bytes) -> _Interface:
    link_type, longest = struct.unpack_from(order + "HxxI", block)
    name, units, offset = "", 1_000_000, 0
    at = 8
    while at + 4 <= len(block):
        code, size = struct.unpack_from(order + "HH", block, at)
        value = block[at + 4 : at + 4 + size]
        if code == 0:
            break
        if code == IF_NAME:
            name = value.decode("utf-8", "replace")
        elif code == IF_TSRESOL and size == 1:
            units = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
        elif code == _TSOFFSET and size == 8:
            offset = struct.unpack(order + "q", value)[0]
        at += 4 + size + -size % 4
    return _Interface(name, link_type, longest, units, offset)


def _packet(order: str, kind: int, block: bytes, interfaces: list[_Interface]) -> Captured:
    if kind == _SIMPLE:
        (original,) = struct.unpack_from(order + "I", block)
        interface = interfaces[0]
        size = min(original, interface.longest or original)
        number, high, low, start = 0, 0, 0, 4
    else:
        form = order + ("IIIII" if kind == _ENHANCED else "HxxIIII")
        number, high, low, size, original = struct.unpack_from(form, block)
        interface, start = interfaces[number], 20
    frame = block[start : start + size]
    if len(frame) < size or size > LONGEST:
        raise IndexError
    units = (high << 32) + low
    time = interface.offset_s * 1_000_000_000 + units * 1_000_000_000 // interface.units_per_s
    return Captured(
        0, time if units else 0, frame, max(original, size), interface.name, interface.link_type
    )
