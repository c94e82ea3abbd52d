"""One pcapng per test: an interface per port, directions, comments, nanoseconds.

No kept library writes all of that (several interfaces with descriptions, comments,
directions, original lengths), so these few blocks are written here; the format is
that of draft-ietf-opsawg-pcapng. Reading is left to Wireshark.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness.evidence import comments
from harness.lan import Record

SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6
LINKTYPE_ETHERNET = 1
COMMENT, FLAGS = 1, 2
IF_NAME, IF_DESCRIPTION, IF_MAC, IF_TSRESOL = 2, 3, 6, 9
USER_APPLICATION = 4
APPLICATION = b"lguest-harness"
"""What our captures name as the program that made them."""

NANOSECONDS = b"\x09"
DIRECTIONS = {"received": 1, "sent": 2}
LONGEST_NAME = 150
"""Bytes in the longest file name; what is longer is cut and gets a hash."""


def _options(given: Iterable[tuple[int, bytes]]) -> bytes:
    out = b""
    for code, value in given:
        out += struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)
    return out + bytes(4) if out else b""


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def _text(value: str) -> bytes:
    """UTF-8, and short enough for an option."""
    return value.encode("utf-8", "replace")[:65_000]


def head(about: Iterable[str] = ()) -> bytes:
    """How a pcapng file begins; ``about`` are the section's comments."""
    options = [(COMMENT, _text(comment)) for comment in about]
    options.append((USER_APPLICATION, APPLICATION))
    return _block(SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + _options(options))


def interface(name: str, mac: bytes) -> bytes:
    """A port, as an interface."""
    described = [
        (IF_NAME, _text(name)),
        (IF_DESCRIPTION, mac.hex(":").encode()),
        (IF_MAC, mac),
        (IF_TSRESOL, NANOSECONDS),
    ]
    body = struct.pack("<HHI", LINKTYPE_ETHERNET, 0, 0)
    return _block(INTERFACE, body + _options(described))


def packet(record: Record, numbers: Mapping[str, int]) -> bytes:
    """A record; ``numbers`` are those of the interfaces, from 0, by the port's name."""
    options = [(COMMENT, _text(comment)) for comment in comments.of_record(record)]
    options.append((FLAGS, struct.pack("<I", DIRECTIONS[record.direction])))
    body = struct.pack(
        "<IIIII",
        numbers[record.port],
        record.time >> 32,
        record.time & 0xFFFFFFFF,
        len(record.frame),
        record.original_length,
    )
    padding = bytes(-len(record.frame) % 4)
    return _block(PACKET, body + record.frame + padding + _options(options))


def encode(
    interfaces: Sequence[tuple[str, bytes]], records: Iterable[Record], about: Iterable[str] = ()
) -> bytes:
    """A pcapng file: ``interfaces`` are (port name, address), ``about`` the section's comments."""
    numbers = {name: number for number, (name, _) in enumerate(interfaces)}
    blocks = [head(about), *(interface(name, mac) for name, mac in interfaces)]
    blocks += [packet(record, numbers) for record in records]
    return b"".join(blocks)


def annotated(block: bytes, comment: str, after: int) -> bytes:
    """A packet's block with one more comment, after the first ``after`` that it has."""
    length = struct.unpack_from("<I", block, 20)[0]
    at = 28 + length + -length % 4
    for _ in range(after):
        code, size = struct.unpack_from("<HH", block, at)
        if code != COMMENT:
            break
        at += 4 + size + -size % 4
    more = _options([(COMMENT, _text(comment))])[:-4]
    return _block(PACKET, block[8:at] + more + block[at:-4])


def write(path: str | Path, content: bytes) -> None:
    """Write a capture over the one that may be there.

    It is not truncated first, nor replaced by another file: either would make some file
    systems wait for the disk, for longer than a test takes.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o644)
    except FileNotFoundError:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, flags, 0o644)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        left = memoryview(content)
        while left:
            left = left[file.write(left) :]
        if os.fstat(descriptor).st_size > len(content):
            file.truncate()


def path_of(node_id: str) -> Path:
    """Where the capture of a test goes, below the directory of captures.

    No two node ids share a file: a character that is not plain in a file name is
    written as %XX for each of its bytes, and a name that is too long ends in a hash.
    """
    head, bracket, parameters = node_id.partition("[")
    parts = [name for part in head.split("::") for name in part.split("/")]
    parts[-1] += bracket + parameters
    *folders, name = [_plain(part) for part in parts]
    return Path(*folders, f"{name}.pcapng")


def _plain(part: str) -> str:
    raw = part.encode("utf-8", "surrogatepass")
    if part in ("", ".", ".."):
        return "%" + raw.hex()
    plain = re.sub(rb"[^A-Za-z0-9_.,=+\[\]-]", lambda odd: b"%%%02X" % odd.group()[0], raw)
    name = plain.decode("ascii")
    if len(name) <= LONGEST_NAME:
        return name
    # "~" is never plain, so no shorter name looks like this one.
    return f"{name[:LONGEST_NAME]}~{hashlib.sha256(raw).hexdigest()[:32]}"
