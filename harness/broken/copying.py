"""LANs whose Host binds, searches, checks or copies in a wrong way (D)."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from harness.broken.base import Broken
from harness.broken.hooks import OtherMemory, list_at, listed_bytes, next_buffer, used_len
from harness.lans.lguest import Parts
from harness.lguest import dma
from harness.lguest.dma import PAGE_SIZE, Section
from harness.lguest.events import ETH_ALEN, ETH_HLEN, Point
from harness.lguest.guest import Guest
from harness.lguest.host import IRQS, MAX_BOUND, Host
from harness.lguest.memory import BadList, Binding, Chunk, GuestMemory, Key

# Binding (DMA-1)


class _AcceptsInterrupt32(Host):
    def bind_dma(self, guest: Guest, key: int, array: int, count: int, interrupt: int) -> bool:
        if interrupt != IRQS:
            return super().bind_dma(guest, key, array, count, interrupt)
        done = super().bind_dma(guest, key, array, count, IRQS - 1)
        binding = self.binding(guest, key, array)
        if done and binding is not None:
            binding.interrupt_bit = 1 << IRQS
        return done


class _RefusesInterrupt31(Host):
    def bind_dma(self, guest: Guest, key: int, array: int, count: int, interrupt: int) -> bool:
        if interrupt == IRQS - 1:
            return False
        return super().bind_dma(guest, key, array, count, interrupt)


class _InterruptInFourBits(Host):
    def bind_dma(self, guest: Guest, key: int, array: int, count: int, interrupt: int) -> bool:
        done = super().bind_dma(guest, key, array, count, interrupt)
        binding = self.binding(guest, key, array) if done and interrupt else None
        if binding is not None:
            binding.interrupt_bit = 1 << (interrupt & 15)
        return done


class _OtherTable(Host):
    places = MAX_BOUND

    def bind_dma(self, guest: Guest, key: int, array: int, count: int, interrupt: int) -> bool:
        self._tables.setdefault(guest.id, [None] * self.places)
        return super().bind_dma(guest, key, array, count, interrupt)


class _Accepts33Arrays(_OtherTable):
    places = MAX_BOUND + 1


class _Accepts31Arrays(_OtherTable):
    places = MAX_BOUND - 1


class _UnbindsByKey(Host):
    def _unbind(self, guest: Guest, key: Key, array: int) -> bool:
        found = next((each for each in self.bound_by(guest) if each.key is key), None)
        return super()._unbind(guest, key, array if found is None else found.array)


class _UnbindsByArray(Host):
    def _unbind(self, guest: Guest, key: Key, array: int) -> bool:
        found = next((each for each in self.bound_by(guest) if each.array == array), None)
        return super()._unbind(guest, key if found is None else found.key, array)


class _UnbindingKeepsThePlace(Host):
    def _forget(self, binding: Binding) -> None:
        super()._forget(binding)
        self._tables[binding.guest.id].remove(None)


# The search and the cursor (DMA-2)


class _CursorMovesTwice(Host):
    def transfer(self, sender: Guest, binding: Binding, address: int) -> bool:
        before = binding.cursor
        full = super().transfer(sender, binding, address)
        if binding.cursor != before:
            binding.cursor = (binding.cursor + 1) % binding.count
        return full


class _CursorBehindTheUsed(Host):
    def transfer(self, sender: Guest, binding: Binding, address: int) -> bool:
        before, index = binding.cursor, next_buffer(self, binding)
        full = super().transfer(sender, binding, address)
        if binding.cursor != before and index is not None:
            binding.cursor = (index + 1) % binding.count
        return full


class _SearchesFromZero(Host):
    def free_buffer(self, binding: Binding) -> int | None:
        kept, binding.cursor = binding.cursor, 0
        found = super().free_buffer(binding)
        binding.cursor = kept
        return found


class _SearchDoesNotWrap(Host):
    def free_buffer(self, binding: Binding) -> int | None:
        found = super().free_buffer(binding)
        return None if found is not None and found < binding.cursor else found


class _CursorSurvivesUnbinding(Host):
    def __init__(self, *rest: Any, **named: Any) -> None:
        super().__init__(*rest, **named)
        self._cursors: dict[tuple[int, int, int], int] = {}

    def bind_dma(self, guest: Guest, key: int, array: int, count: int, interrupt: int) -> bool:
        done = super().bind_dma(guest, key, array, count, interrupt)
        binding = self.binding(guest, key, array) if done and interrupt else None
        if binding is not None and binding.count:
            known = (guest.id, binding.key.offset, array)
            binding.cursor = self._cursors.get(known, 0) % binding.count
        return done

    def _forget(self, binding: Binding) -> None:
        known = (binding.guest.id, binding.key.offset, binding.array)
        self._cursors[known] = binding.cursor
        super()._forget(binding)


class _OneInterruptForAll(Host):
    def bind_dma(self, guest: Guest, key: int, array: int, count: int, interrupt: int) -> bool:
        done = super().bind_dma(guest, key, array, count, interrupt)
        binding = self.binding(guest, key, array) if done and interrupt else None
        if binding is not None:
            binding.interrupt_bit = 1 << 1
        return done


class _SenderToldWhatItListed(Host):
    def transfer(self, sender: Guest, binding: Binding, address: int) -> bool:
        full = super().transfer(sender, binding, address)
        if not full and used_len(sender, address):
            self.write_used_len(sender, address, listed_bytes(sender, address))
        return full


class _OwnArrayHidesOthers(Host):
    def try_send(self, guest: Guest, key: Key, address: int) -> bool:
        if key.bound and key.bound[0].guest is guest:
            key = Key(key.space, key.offset)
        return super().try_send(guest, key, address)


class _TriesUnboundTwice(Host):
    def try_send(self, guest: Guest, key: Key, address: int) -> bool:
        full = super().try_send(guest, key, address)
        return full or all(binding.guest is guest for binding in key.bound)


# The copy (DMA-3, DMA-8, DMA-10)


def _length(chunks: Sequence[Chunk]) -> int:
    return sum(chunk.length for chunk in chunks)


def _place(chunks: Sequence[Chunk], index: int) -> tuple[mmap.mmap, int]:
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
        store, at = _place(into, last)
        kept = store[at]
        moved = super().copy(source, into)
        store[at] = kept
        return moved


class _NothingMovedIsSuccess(Host):
    def transfer(self, sender: Guest, binding: Binding, address: int) -> bool:
        before, dead = binding.cursor, (sender.dead, binding.guest.dead)
        full = super().transfer(sender, binding, address)
        if not full and binding.cursor == before and dead == (sender.dead, binding.guest.dead):
            binding.cursor = (before + 1) % binding.count
            self.interrupt(binding)
        return full


class _CursorMovesOnFailure(Host):
    def transfer(self, sender: Guest, binding: Binding, address: int) -> bool:
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


class _ReceiverToldWhatWasSent(Host):
    def transfer(self, sender: Guest, binding: Binding, address: int) -> bool:
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
            giver, begin = _place(source, moved)
            taker, last = _place(into, moved - 1)
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


# Checked lists (DMA-4)


class _BlamesAnother(Host):
    _parties: tuple[Guest, Guest] | None = None

    def blamed(self, guest: Guest, sender: Guest, receiver: Guest) -> tuple[Guest, ...]:
        """Who dies when ``guest`` has a bad list."""
        raise NotImplementedError

    def transfer(self, sender: Guest, binding: Binding, address: int) -> bool:
        self._parties = sender, binding.guest
        full = super().transfer(sender, binding, address)
        self._parties = None
        return full

    def kill(self, guest: Guest, reason: str) -> None:
        bad = self._parties is not None and reason.startswith("bad DMA entry")
        for each in self.blamed(guest, *self._parties) if bad and self._parties else (guest,):
            super().kill(each, reason)


class _BlamesTheSender(_BlamesAnother):
    def blamed(self, guest: Guest, sender: Guest, receiver: Guest) -> tuple[Guest, ...]:
        del guest, receiver
        return (sender,)


class _BlamesTheReceiver(_BlamesAnother):
    def blamed(self, guest: Guest, sender: Guest, receiver: Guest) -> tuple[Guest, ...]:
        del guest, sender
        return (receiver,)


class _BlamesBoth(_BlamesAnother):
    def blamed(self, guest: Guest, sender: Guest, receiver: Guest) -> tuple[Guest, ...]:
        del guest
        return sender, receiver


class _MemoryReadBehindTheEnd(GuestMemory):
    def _check(self, listed: bytes) -> tuple[Chunk, ...]:
        half = 4 * dma.MAX_SECTIONS
        for at in range(dma.MAX_SECTIONS):
            address = listed[4 * at : 4 * at + 4]
            length = listed[half + 2 * at : half + 2 * at + 2]
            super()._check(address + bytes(half - 4) + length + bytes(half // 2 - 2))
        return super()._check(listed)


class _LooksBehindTheEnd(OtherMemory):
    memory_class = _MemoryReadBehindTheEnd


class _MemoryWithoutPages(GuestMemory):
    def _check(self, listed: bytes) -> tuple[Chunk, ...]:
        chunks: list[Chunk] = []
        for section in dma.unpack(listed):
            for part in dma.linear_sections(*section):
                chunks += super()._check(dma.pack([part]))
        return tuple(chunks)


class _SectionsMayCross(OtherMemory):
    memory_class = _MemoryWithoutPages


class _MemoryCutAtItsEnd(GuestMemory):
    def _check(self, listed: bytes) -> tuple[Chunk, ...]:
        inside = [
            Section(address, min(length, self.limit - address) if address < self.limit else length)
            for address, length in dma.unpack(listed)
        ]
        return super()._check(dma.pack(inside))


class _SectionsMayReachOutside(OtherMemory):
    memory_class = _MemoryCutAtItsEnd


class _MemoryThatForgives(GuestMemory):
    def _check(self, listed: bytes) -> tuple[Chunk, ...]:
        good: tuple[Chunk, ...] = ()
        sections = dma.unpack(listed)
        for count in range(1, len(sections) + 1):
            try:
                good = super()._check(dma.pack(sections[:count]))
            except BadList:
                if count == 1:
                    raise
                break
        return good


class _LaterSectionsForgiven(OtherMemory):
    memory_class = _MemoryThatForgives


class _JudgesEarly(Host):
    def judge(self, sender: Guest, address: int) -> None:
        """Kill a sender whose list is bad."""
        try:
            sender.memory.sections(list_at(sender, address))
        except BadList as bad:
            self.kill(sender, str(bad))


class _JudgesSenderFirst(_JudgesEarly):
    def transfer(self, sender: Guest, binding: Binding, address: int) -> bool:
        if next_buffer(self, binding) is not None:
            self.judge(sender, address)
        return sender.dead is None and super().transfer(sender, binding, address)


class _JudgesAgainstAFullRing(_JudgesEarly):
    def transfer(self, sender: Guest, binding: Binding, address: int) -> bool:
        if next_buffer(self, binding) is None:
            self.judge(sender, address)
        return super().transfer(sender, binding, address)


class _JudgesWithoutReceiver(_JudgesEarly):
    def try_send(self, guest: Guest, key: Key, address: int) -> bool:
        if all(binding.guest is guest for binding in key.bound):
            self.judge(guest, address)
        return super().try_send(guest, key, address)


class _CopiesBeforeJudging(Host):
    def transfer(self, sender: Guest, binding: Binding, address: int) -> bool:
        index = next_buffer(self, binding)
        listed = list_at(sender, address)
        if index is not None:
            try:
                sender.memory.sections(listed)
            except BadList:
                into = list_at(binding.guest, binding.array + index * dma.SIZE)
                with suppress(BadList):
                    first = sender.memory.sections(dma.pack(dma.unpack(listed)[:1]))
                    self.copy(first, binding.guest.memory.sections(into))
        return super().transfer(sender, binding, address)


class _InterruptsOnFailure(Host):
    def transfer(self, sender: Guest, binding: Binding, address: int) -> bool:
        full = super().transfer(sender, binding, address)
        self.interrupt(binding)
        return full


# A full ring, an empty DMA (DMA-5, DMA-6)


class _FullRingWithoutInterrupt(Host):
    def _no_buffer(self, sender: Guest, binding: Binding) -> bool:
        before = binding.guest.pending
        full = super()._no_buffer(sender, binding)
        binding.guest.pending = before
        return full


class _CountsTries(Host):
    tries = 0

    def send_dma(self, guest: Guest, key: int, address: int) -> None:
        before, self.tries = self.tries, 0
        super().send_dma(guest, key, address)
        self.tries = before

    def try_send(self, guest: Guest, key: Key, address: int) -> bool:
        self.tries += 1
        return super().try_send(guest, key, address)


class _NoRetry(_CountsTries):
    def try_send(self, guest: Guest, key: Key, address: int) -> bool:
        return self.tries == 0 and super().try_send(guest, key, address)


class _KeepsTheLock(Host):
    def try_send(self, guest: Guest, key: Key, address: int) -> bool:
        super().try_send(guest, key, address)
        return False


class _RetriesTwice(_CountsTries):
    def try_send(self, guest: Guest, key: Key, address: int) -> bool:
        full = super().try_send(guest, key, address)
        if not full or self.tries != 2:
            return full
        if self.interleave is not None:
            self.interleave(Point.RESTOCK, guest)
        return super().try_send(guest, key, address)


class _OverwritesAFullRing(Host):
    def free_buffer(self, binding: Binding) -> int | None:
        found = super().free_buffer(binding)
        if found is None and binding.store is not None and binding.count:
            return binding.cursor
        return found


class _EmptyIsSpecial(Host):
    def transfer(self, sender: Guest, binding: Binding, address: int) -> bool:
        before, pending = binding.cursor, binding.guest.pending
        full = super().transfer(sender, binding, address)
        if not full and not dma.unpack(list_at(sender, address)):
            self.moved_nothing(binding, before, pending)
        return full

    def moved_nothing(self, binding: Binding, cursor: int, pending: int) -> None:
        """After an empty DMA; the cursor and interrupts were these."""
        raise NotImplementedError


class _EmptyKeepsTheCursor(_EmptyIsSpecial):
    def moved_nothing(self, binding: Binding, cursor: int, pending: int) -> None:
        del pending
        binding.cursor = cursor


class _EmptyDoesNotInterrupt(_EmptyIsSpecial):
    def moved_nothing(self, binding: Binding, cursor: int, pending: int) -> None:
        del cursor
        binding.guest.pending = pending


class _EmptyIgnored(_EmptyIsSpecial):
    def moved_nothing(self, binding: Binding, cursor: int, pending: int) -> None:
        binding.cursor = cursor
        binding.guest.pending = pending


# Bad keys, death (DMA-7, DMA-9)


class _RoundsKeysDown(Host):
    ignored = 3

    def bind_dma(self, guest: Guest, key: int, array: int, count: int, interrupt: int) -> bool:
        return super().bind_dma(guest, key & ~self.ignored, array, count, interrupt)

    def send_dma(self, guest: Guest, key: int, address: int) -> None:
        super().send_dma(guest, key & ~self.ignored, address)


class _KeysOfHalfWords(_RoundsKeysDown):
    ignored = 2


class _ForgivesBadBinding(Host):
    def kill(self, guest: Guest, reason: str) -> None:
        if not reason.startswith("bad dma key"):
            super().kill(guest, reason)


class _ForgivesBadSending(Host):
    def kill(self, guest: Guest, reason: str) -> None:
        if not reason.startswith("bad sending DMA key"):
            super().kill(guest, reason)


class _KilledRunsOn(Guest):
    def alive(self) -> None:
        if self.id not in self.host.guests:
            super().alive()


class _DeathUnbinds(Host):
    def kill(self, guest: Guest, reason: str) -> None:
        super().kill(guest, reason)
        for binding in self.bound_by(guest):
            self._forget(binding)


class _KilledIsNotFilled(Host):
    def transfer(self, sender: Guest, binding: Binding, address: int) -> bool:
        return binding.guest.dead is None and super().transfer(sender, binding, address)


class _ExitLeavesBound(Host):
    def release(self, guest: Guest) -> None:
        self._tables.pop(guest.id, None)
        super().release(guest)


def _host(name: str, rule: str, what: str, host: type[Host]) -> Broken:
    return Broken(name, rule, what, Parts(host=host))


def _guest(name: str, rule: str, what: str, guest: type[Guest]) -> Broken:
    return Broken(name, rule, what, Parts(guest=guest))


BROKEN = (
    _host(
        "accepts-interrupt-32",
        "DMA-1",
        "a buffer array can be bound with interrupt 32",
        _AcceptsInterrupt32,
    ),
    _host(
        "refuses-interrupt-31",
        "DMA-1",
        "a buffer array cannot be bound with interrupt 31",
        _RefusesInterrupt31,
    ),
    _host(
        "interrupt-in-four-bits",
        "DMA-1",
        "an array bound with interrupt 17 raises interrupt 1",
        _InterruptInFourBits,
    ),
    _host("accepts-33-arrays", "DMA-1", "a Guest can bind 33 arrays", _Accepts33Arrays),
    _host("accepts-31-arrays", "DMA-1", "a Guest can bind only 31 arrays", _Accepts31Arrays),
    _host(
        "unbinds-by-key",
        "DMA-1",
        "unbinding takes the first array of the key, whatever its address",
        _UnbindsByKey,
    ),
    _host(
        "unbinds-by-array",
        "DMA-1",
        "unbinding takes the first array at the address, whatever its key",
        _UnbindsByArray,
    ),
    _host(
        "unbinding-keeps-the-place",
        "DMA-1",
        "an array that was unbound still counts among the 32",
        _UnbindingKeepsThePlace,
    ),
    _host("cursor-moves-twice", "DMA-2", "the cursor moves by two", _CursorMovesTwice),
    _host(
        "cursor-behind-the-used",
        "DMA-2",
        "the cursor moves to behind the buffer that was used",
        _CursorBehindTheUsed,
    ),
    _host(
        "searches-from-zero",
        "DMA-2",
        "the search for a free buffer has no cursor",
        _SearchesFromZero,
    ),
    _host(
        "search-does-not-wrap",
        "DMA-2",
        "the search for a free buffer ends at the end of the array",
        _SearchDoesNotWrap,
    ),
    _host(
        "cursor-survives-unbinding",
        "DMA-2",
        "an array bound again keeps the cursor that it had",
        _CursorSurvivesUnbinding,
    ),
    _host(
        "one-interrupt-for-all",
        "DMA-2",
        "every array raises interrupt 1",
        _OneInterruptForAll,
    ),
    _host(
        "sender-told-what-it-listed",
        "DMA-2",
        "the sender's used_len is what it listed, not what was moved",
        _SenderToldWhatItListed,
    ),
    _host(
        "own-array-hides-others",
        "DMA-2",
        "an array of the sender's own hides an older one of another Guest",
        _OwnArrayHidesOthers,
    ),
    _host(
        "tries-unbound-twice",
        "DMA-2",
        "the Host lets go of its lock and tries again where nobody has bound the key",
        _TriesUnboundTwice,
    ),
    _host(
        "first-source-section-only",
        "DMA-3",
        "the copy ends with the sender's first section",
        _FirstSourceSectionOnly,
    ),
    _host(
        "first-receiving-section-only",
        "DMA-3",
        "the copy ends with the receiver's first section",
        _FirstReceivingSectionOnly,
    ),
    _host(
        "fifteen-source-sections",
        "DMA-3",
        "the copy ends with the sender's fifteenth section",
        _FifteenSourceSections,
    ),
    _host(
        "forgets-receiving-offset",
        "DMA-3",
        "each section of the sender is copied to the start of the receiver's",
        _ForgetsReceivingOffset,
    ),
    _host(
        "later-sections-from-page-start",
        "DMA-3",
        "the sender's second section and those after it are read from the start of their page",
        _LaterSectionsFromPageStart,
    ),
    _host(
        "nothing-moved-is-success",
        "DMA-3",
        "a copy into an empty list moves the cursor and interrupts",
        _NothingMovedIsSuccess,
    ),
    _host(
        "cursor-moves-on-failure",
        "DMA-3",
        "the cursor moves after a copy that failed",
        _CursorMovesOnFailure,
    ),
    _host(
        "leaves-the-odd-byte",
        "DLV-9",
        "the last byte of an odd length is not copied",
        _LeavesTheOddByte,
    ),
    _host(
        "refuses-to-cut",
        "LEN-3",
        "a frame that does not fit into the buffer is not copied at all",
        _RefusesToCut,
    ),
    _host(
        "receiver-told-what-was-sent",
        "LEN-3",
        "the receiver's used_len is what the sender listed, not what was moved",
        _ReceiverToldWhatWasSent,
    ),
    _host(
        "blames-the-sender",
        "DMA-4",
        "a bad list of the receiver kills the sender",
        _BlamesTheSender,
    ),
    _host(
        "blames-the-receiver",
        "DMA-4",
        "a bad list of the sender kills the receiver",
        _BlamesTheReceiver,
    ),
    _host("blames-both", "DMA-4", "a bad list kills sender and receiver", _BlamesBoth),
    _guest(
        "looks-behind-the-end",
        "DMA-4",
        "what stands behind the end of a list is checked too",
        _LooksBehindTheEnd,
    ),
    _guest(
        "sections-may-cross", "DMA-4", "a section that crosses a page is copied", _SectionsMayCross
    ),
    _guest(
        "sections-may-reach-outside",
        "DMA-4",
        "a section that reaches beyond the memory is cut at its end",
        _SectionsMayReachOutside,
    ),
    _guest(
        "later-sections-forgiven",
        "DMA-4",
        "a bad section behind a good one ends the list",
        _LaterSectionsForgiven,
    ),
    _host(
        "judges-the-sender-first",
        "DMA-4",
        "the sender's list is checked before the receiver's",
        _JudgesSenderFirst,
    ),
    _host(
        "judges-against-a-full-ring",
        "DMA-4",
        "the sender's list is checked although no buffer is free",
        _JudgesAgainstAFullRing,
    ),
    _host(
        "judges-without-receiver",
        "DMA-2",
        "the sender's list is checked although nobody has bound the key",
        _JudgesWithoutReceiver,
    ),
    _host(
        "copies-before-judging",
        "DMA-4",
        "the first section is copied before a later one turns out to be bad",
        _CopiesBeforeJudging,
    ),
    _host(
        "interrupts-on-failure",
        "DMA-4",
        "the receiver is interrupted after a copy that failed",
        _InterruptsOnFailure,
    ),
    _host(
        "full-ring-without-interrupt",
        "DMA-5",
        "a receiver without a free buffer is not interrupted",
        _FullRingWithoutInterrupt,
    ),
    _host(
        "no-retry",
        "DMA-5",
        "the Host lets the receiver restock, and does not try again",
        _NoRetry,
    ),
    _host(
        "keeps-the-lock",
        "DMA-5",
        "the Host does not let the receiver restock",
        _KeepsTheLock,
    ),
    _host("retries-twice", "DMA-5", "the Host tries three times", _RetriesTwice),
    _host(
        "overwrites-a-full-ring",
        "DMA-5",
        "without a free buffer the one at the cursor is overwritten",
        _OverwritesAFullRing,
    ),
    _host(
        "empty-keeps-the-cursor",
        "DMA-6",
        "an empty SEND_DMA does not move the cursor",
        _EmptyKeepsTheCursor,
    ),
    _host(
        "empty-does-not-interrupt",
        "DMA-6",
        "an empty SEND_DMA does not interrupt",
        _EmptyDoesNotInterrupt,
    ),
    _host("empty-is-ignored", "DMA-6", "an empty SEND_DMA does nothing", _EmptyIgnored),
    _host(
        "rounds-keys-down", "DMA-7", "a key is rounded down to a multiple of four", _RoundsKeysDown
    ),
    _host(
        "keys-of-half-words",
        "DMA-7",
        "a key two above a multiple of four is taken for that",
        _KeysOfHalfWords,
    ),
    _host(
        "forgives-bad-binding",
        "DMA-7",
        "binding a bad key fails and kills nobody",
        _ForgivesBadBinding,
    ),
    _host(
        "forgives-bad-sending",
        "DMA-7",
        "sending to a bad key does nothing",
        _ForgivesBadSending,
    ),
    _host("wants-a-header", "DMA-8", "the Host copies no frame below 14 bytes", _WantsAHeader),
    _host(
        "wants-a-destination", "DMA-8", "the Host copies no frame below 6 bytes", _WantsADestination
    ),
    _guest("killed-runs-on", "DMA-9", "a killed Guest can still send and bind", _KilledRunsOn),
    _host("death-unbinds", "DMA-9", "a killed Guest's buffers are unbound at once", _DeathUnbinds),
    _host(
        "killed-is-not-filled",
        "DMA-9",
        "nothing is copied to a killed Guest",
        _KilledIsNotFilled,
    ),
    _host(
        "exit-leaves-bound",
        "DMA-9",
        "buffers stay bound when the Launcher has ended",
        _ExitLeavesBound,
    ),
    _host(
        "a-byte-too-many",
        "DMA-10",
        "the first byte that does not fit is written behind the receiver's buffer",
        _AByteTooMany,
    ),
    _host(
        "copies-whole-words",
        "DMA-10",
        "up to three bytes that lie behind the frame are copied along",
        _WholeWords,
    ),
)
