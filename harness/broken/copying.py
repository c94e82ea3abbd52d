"""Broken LANs whose Host copies the wrong bytes or to the wrong place (D: DMA-3, DMA-8, DMA-10)."""

from __future__ import annotations

import mmap
from collections.abc import Sequence

from harness.broken.base import broken_host
from harness.broken.hooks import listed_bytes, next_buffer, used_len
from harness.lguest import dma
from harness.lguest.dma import PAGE_SIZE
from harness.lguest.events import ETH_ALEN, ETH_HLEN
from harness.lguest.host import Host
from harness.lguest.memory import Binding, Chunk, Owner


def _length(chunks: Sequence[Chunk]) -> int:
    return sum(chunk.length for chunk in chunks)


def place(chunks: Sequence[Chunk], index: int) -> tuple[mmap.mmap, int]:
    """Where byte number ``index`` of these sections lies."""
    for store, offset, length in chunks:
        if index < length:
            return store, offset + index
        index -= length
    raise IndexError(index)


class _FirstSourceSectionOnly(Host):
    def copy(self, source: tuple[Chunk, ...], into: tuple[Chunk, ...]) -> int:
        return super().copy(source[:1], into)


class _FirstReceivingSectionOnly(Host):
    def copy(self, source: tuple[Chunk, ...], into: tuple[Chunk, ...]) -> int:
        return super().copy(source, into[:1])


class _FifteenSourceSections(Host):
    def copy(self, source: tuple[Chunk, ...], into: tuple[Chunk, ...]) -> int:
        return super().copy(source[: dma.MAX_SECTIONS - 1], into)


class _ForgetsReceivingOffset(Host):
    def copy(self, source: tuple[Chunk, ...], into: tuple[Chunk, ...]) -> int:
        moved = super().copy(source, into)
        if len(into) == 1:
            for chunk in source[1:]:
                super().copy((chunk,), into)
        return moved


class _LaterSectionsFromPageStart(Host):
    def copy(self, source: tuple[Chunk, ...], into: tuple[Chunk, ...]) -> int:
        later = (
            Chunk(store, offset - offset % PAGE_SIZE, length)
            for store, offset, length in source[1:]
        )
        return super().copy((*source[:1], *later), into)


class _LeavesTheOddByte(Host):
    def copy(self, source: tuple[Chunk, ...], into: tuple[Chunk, ...]) -> int:
        last = min(_length(source), _length(into)) - 1
        if last < 0 or last % 2:
            return super().copy(source, into)
        store, at = place(into, last)
        kept = store[at]
        moved = super().copy(source, into)
        store[at] = kept
        return moved


class _NothingMovedIsSuccess(Host):
    def transfer(self, sender: Owner, binding: Binding, address: int) -> bool:
        before, dead = binding.cursor, (sender.dead, binding.guest.dead)
        full = super().transfer(sender, binding, address)
        if not full and binding.cursor == before and dead == (sender.dead, binding.guest.dead):
            binding.cursor = (before + 1) % binding.count
            self.interrupt(binding)
        return full


class _CursorMovesOnFailure(Host):
    def transfer(self, sender: Owner, binding: Binding, address: int) -> bool:
        before = binding.cursor
        full = super().transfer(sender, binding, address)
        if not full and binding.cursor == before:
            binding.cursor = (before + 1) % max(binding.count, 1)
        return full


class _WantsAHeader(Host):
    shortest = ETH_HLEN

    def copy(self, source: tuple[Chunk, ...], into: tuple[Chunk, ...]) -> int:
        return 0 if _length(source) < self.shortest else super().copy(source, into)


class _WantsADestination(_WantsAHeader):
    shortest = ETH_ALEN


class _RefusesToCut(Host):
    def copy(self, source: tuple[Chunk, ...], into: tuple[Chunk, ...]) -> int:
        return 0 if _length(source) > _length(into) else super().copy(source, into)


class _ReceiverGetsWhatWasSent(Host):
    def transfer(self, sender: Owner, binding: Binding, address: int) -> bool:
        index = next_buffer(self, binding)
        full = super().transfer(sender, binding, address)
        if index is not None and used_len(sender, address):
            at = binding.array + index * dma.SIZE
            self.write_used_len(binding.guest, at, listed_bytes(sender, address))
        return full


class _AByteTooMany(Host):
    def copy(self, source: tuple[Chunk, ...], into: tuple[Chunk, ...]) -> int:
        moved = super().copy(source, into)
        if into and moved == _length(into) < _length(source):
            giver, begin = place(source, moved)
            taker, last = place(into, moved - 1)
            if last + 1 < len(taker):
                taker[last + 1] = giver[begin]
        return moved


class _WholeWords(Host):
    def copy(self, source: tuple[Chunk, ...], into: tuple[Chunk, ...]) -> int:
        moved = super().copy(source, into)
        if len(source) == 1 and len(into) == 1:
            giver, begin, _ = source[0]
            taker, place, room = into[0]
            behind = giver[begin + moved : begin + moved + min(-moved % 4, room - moved)]
            taker[place + moved : place + moved + len(behind)] = behind
        return moved


BROKEN = (
    broken_host(
        "first-source-section-only",
        "DMA-3",
        "the copy ends with the sender's first section",
        _FirstSourceSectionOnly,
    ),
    broken_host(
        "first-receiving-section-only",
        "DMA-3",
        "the copy ends with the receiver's first section",
        _FirstReceivingSectionOnly,
    ),
    broken_host(
        "fifteen-source-sections",
        "DMA-3",
        "the copy ends with the sender's fifteenth section",
        _FifteenSourceSections,
    ),
    broken_host(
        "forgets-receiving-offset",
        "DMA-3",
        "each section of the sender is copied to the start of the receiver's",
        _ForgetsReceivingOffset,
    ),
    broken_host(
        "later-sections-from-page-start",
        "DMA-3",
        "the sender's second section and those after it are read from the start of their page",
        _LaterSectionsFromPageStart,
    ),
    broken_host(
        "nothing-moved-is-success",
        "DMA-3",
        "a copy into an empty list moves the cursor and interrupts",
        _NothingMovedIsSuccess,
    ),
    broken_host(
        "cursor-moves-on-failure",
        "DMA-3",
        "the cursor moves after a copy that failed",
        _CursorMovesOnFailure,
    ),
    broken_host(
        "leaves-the-odd-byte",
        "DLV-9",
        "the last byte of an odd length is not copied",
        _LeavesTheOddByte,
    ),
    broken_host(
        "refuses-to-cut",
        "LEN-3",
        "a frame that does not fit into the buffer is not copied at all",
        _RefusesToCut,
    ),
    broken_host(
        "receiver-told-what-was-sent",
        "LEN-3",
        "the receiver's used_len is what the sender listed, not what was moved",
        _ReceiverGetsWhatWasSent,
    ),
    broken_host(
        "wants-a-header", "DMA-8", "the Host copies no frame below 14 bytes", _WantsAHeader
    ),
    broken_host(
        "wants-a-destination", "DMA-8", "the Host copies no frame below 6 bytes", _WantsADestination
    ),
    broken_host(
        "a-byte-too-many",
        "DMA-10",
        "the first byte that does not fit is written behind the receiver's buffer",
        _AByteTooMany,
    ),
    broken_host(
        "copies-whole-words",
        "DMA-10",
        "up to three bytes that lie behind the frame are copied along",
        _WholeWords,
    ),
)
