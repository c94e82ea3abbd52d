"""Reads a capture back."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from scapy.error import Scapy_Exception
from scapy.utils import RawPcapNgReader

from harness.lan import DROPPED, NOT_FOR_HOST


class BadCapture(Exception):
    """A capture that cannot be read, said in one line."""


class Packet(NamedTuple):
    """A packet of a capture; ``number`` counts from 1, ``time`` is nanoseconds since 1970."""

    number: int
    time: int
    port: str
    direction: Literal["sent", "received"]
    frame: bytes
    original_length: int
    comments: tuple[str, ...]

    @property
    def dropped(self) -> bool:
        """Whether the receiver threw it away: it reached a buffer, and nobody."""
        return any(each.endswith(DROPPED) for each in self.comments)

    @property
    def for_host(self) -> bool:
        """Whether a host's card would have passed it up."""
        return NOT_FOR_HOST not in self.comments


def read(path: Path) -> list[Packet]:
    """All packets of a capture; BadCapture unless every byte of it can be read."""
    try:
        content = path.read_bytes()
        _check_blocks(path, content)
        reader = RawPcapNgReader(str(path))
    except OSError as error:
        raise BadCapture(f"{path}: {error.strerror}") from None
    except Scapy_Exception as error:
        raise BadCapture(f"{path}: not a pcapng file: {error}") from None
    with reader:
        found = cast("Iterable[tuple[bytes, Any]]", reader)
        return [
            Packet(
                number,
                ((about.tshigh or 0) << 32) + (about.tslow or 0),
                (about.ifname or b"").decode("utf-8", "replace"),
                "sent" if about.direction == 2 else "received",
                frame,
                about.wirelen,
                tuple(each.decode("utf-8", "replace") for each in about.comments or ()),
            )
            for number, (frame, about) in enumerate(found, start=1)
        ]


def _check_blocks(path: Path, content: bytes) -> None:
    """The reader takes a file that was cut short for a shorter one; this does not."""
    at = 0
    while at < len(content):
        size = struct.unpack_from("<I", content, at + 4)[0] if at + 8 <= len(content) else 0
        ends = content[at + size - 4 : at + size] == struct.pack("<I", size)
        if size < 12 or at + size > len(content) or not ends:
            raise BadCapture(f"{path}: broken off or damaged at byte {at}")
        at += size
    if at == 0:
        raise BadCapture(f"{path}: empty")
