"""``struct lguest_dma``, and how a frame is packed into its sections (D:570).

The structure is 100 bytes: ``used_len`` u32 at 0, sixteen addresses u32 at 4,
sixteen lengths u16 at 68, all little-endian. A length of 0 ends the list when
fewer than sixteen are used. The 96 bytes behind ``used_len`` are "the list".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

PAGE_SIZE = 4096
"""Bytes in a page."""

SIZE = 100
"""Bytes in one ``struct lguest_dma``."""

MAX_SECTIONS = 16
"""LGUEST_MAX_DMA_SECTIONS."""

USED_LEN = struct.Struct("<I")
"""The first field: 0 while the buffer is free, then the bytes moved."""

NO_LENGTH = bytes(USED_LEN.size)
"""A ``used_len`` of 0 as it lies in memory."""

_LIST = struct.Struct("<16I16H")


class Section(NamedTuple):
    """One (physical address, length) pair."""

    address: int
    length: int


def pack(sections: Sequence[tuple[int, int]]) -> bytes:
    """The 96 bytes of a list; behind fewer than sixteen sections all is zero (SEC-2).

    Raises ValueError for more sections than the structure holds, or a number
    that does not fit its field.
    """
    if len(sections) > MAX_SECTIONS:
        raise ValueError(f"{len(sections)} sections do not fit in a struct lguest_dma of 16")
    spare = (0,) * (MAX_SECTIONS - len(sections))
    try:
        return _LIST.pack(
            *(address for address, _ in sections), *spare, *(size for _, size in sections), *spare
        )
    except struct.error as error:
        raise ValueError(f"a section does not fit its fields: {error}") from None


def unpack(listed: bytes) -> list[Section]:
    """The sections of a list, up to its terminator; what lies behind it is ignored."""
    numbers = _LIST.unpack(listed)
    sections = []
    for address, length in zip(numbers[:MAX_SECTIONS], numbers[MAX_SECTIONS:], strict=True):
        if not length:
            break
        sections.append(Section(address, length))
    return sections


def linear_sections(address: int, length: int) -> list[Section]:
    """A contiguous range, cut at page boundaries (SEC-1, SEC-5)."""
    sections = []
    while length > 0:
        size = min(length, PAGE_SIZE - address % PAGE_SIZE)
        sections.append(Section(address, size))
        address += size
        length -= size
    return sections
