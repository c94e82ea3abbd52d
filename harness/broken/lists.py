"""Broken LANs whose Host checks lists of sections wrongly (D: DMA-4)."""

from __future__ import annotations

from contextlib import suppress

from harness.broken.base import broken_guest, broken_host
from harness.broken.hooks import OtherMemory, list_at, next_buffer
from harness.lguest import dma
from harness.lguest.dma import Section
from harness.lguest.host import Host
from harness.lguest.memory import BadList, Binding, Chunk, GuestMemory, Key, Owner


class _BlamesAnother(Host):
    _parties: tuple[Owner, Owner] | None = None

    def blamed(self, guest: Owner, sender: Owner, receiver: Owner) -> tuple[Owner, ...]:
        """Who dies when ``guest`` has a bad list."""
        raise NotImplementedError

    def transfer(self, sender: Owner, binding: Binding, address: int) -> bool:
        self._parties = sender, binding.guest
        full = super().transfer(sender, binding, address)
        self._parties = None
        return full

    def kill(self, guest: Owner, reason: str) -> None:
        bad = self._parties is not None and reason.startswith("bad DMA entry")
        for party in self.blamed(guest, *self._parties) if bad and self._parties else (guest,):
            super().kill(party, reason)


class _BlamesTheSender(_BlamesAnother):
    def blamed(self, guest: Owner, sender: Owner, receiver: Owner) -> tuple[Owner, ...]:
        del guest, receiver
        return (sender,)


class _BlamesTheReceiver(_BlamesAnother):
    def blamed(self, guest: Owner, sender: Owner, receiver: Owner) -> tuple[Owner, ...]:
        del guest, sender
        return (receiver,)


class _BlamesBoth(_BlamesAnother):
    def blamed(self, guest: Owner, sender: Owner, receiver: Owner) -> tuple[Owner, ...]:
        del guest
        return sender, receiver


class _MemoryReadBehindTheEnd(GuestMemory):
    def check_list(self, listed: bytes) -> tuple[Chunk, ...]:
        half = 4 * dma.MAX_SECTIONS
        for at in range(dma.MAX_SECTIONS):
            address = listed[4 * at : 4 * at + 4]
            length = listed[half + 2 * at : half + 2 * at + 2]
            super().check_list(address + bytes(half - 4) + length + bytes(half // 2 - 2))
        return super().check_list(listed)


class _LooksBehindTheEnd(OtherMemory):
    memory_class = _MemoryReadBehindTheEnd


class _MemoryWithoutPages(GuestMemory):
    def check_list(self, listed: bytes) -> tuple[Chunk, ...]:
        chunks: list[Chunk] = []
        for section in dma.unpack(listed):
            for part in dma.linear_sections(*section):
                chunks += super().check_list(dma.pack([part]))
        return tuple(chunks)


class _SectionsMayCross(OtherMemory):
    memory_class = _MemoryWithoutPages


class _MemoryCutAtItsEnd(GuestMemory):
    def check_list(self, listed: bytes) -> tuple[Chunk, ...]:
        inside = [
            Section(address, min(length, self.limit - address) if address < self.limit else length)
            for address, length in dma.unpack(listed)
        ]
        return super().check_list(dma.pack(inside))


class _SectionsMayReachOutside(OtherMemory):
    memory_class = _MemoryCutAtItsEnd


class _MemoryThatForgives(GuestMemory):
    def check_list(self, listed: bytes) -> tuple[Chunk, ...]:
        good: tuple[Chunk, ...] = ()
        sections = dma.unpack(listed)
        for count in range(1, len(sections) + 1):
            try:
                good = super().check_list(dma.pack(sections[:count]))
            except BadList:
                if count == 1:
                    raise
                break
        return good


class _LaterSectionsForgiven(OtherMemory):
    memory_class = _MemoryThatForgives


class _JudgesEarly(Host):
    def judge(self, sender: Owner, address: int) -> None:
        """Kill a sender whose list is bad."""
        try:
            sender.memory.sections(list_at(sender, address))
        except BadList as bad:
            self.kill(sender, str(bad))


class _JudgesSenderFirst(_JudgesEarly):
    def transfer(self, sender: Owner, binding: Binding, address: int) -> bool:
        if next_buffer(self, binding) is not None:
            self.judge(sender, address)
        return sender.dead is None and super().transfer(sender, binding, address)


class _JudgesAgainstAFullRing(_JudgesEarly):
    def transfer(self, sender: Owner, binding: Binding, address: int) -> bool:
        if next_buffer(self, binding) is None:
            self.judge(sender, address)
        return super().transfer(sender, binding, address)


class _JudgesWithoutReceiver(_JudgesEarly):
    def try_send(self, guest: Owner, key: Key, address: int) -> bool:
        if all(binding.guest is guest for binding in key.bound):
            self.judge(guest, address)
        return super().try_send(guest, key, address)


class _CopiesBeforeJudging(Host):
    def transfer(self, sender: Owner, binding: Binding, address: int) -> bool:
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
    def transfer(self, sender: Owner, binding: Binding, address: int) -> bool:
        full = super().transfer(sender, binding, address)
        self.interrupt(binding)
        return full


BROKEN = (
    broken_host(
        "blames-the-sender",
        "DMA-4",
        "a bad list of the receiver kills the sender",
        _BlamesTheSender,
    ),
    broken_host(
        "blames-the-receiver",
        "DMA-4",
        "a bad list of the sender kills the receiver",
        _BlamesTheReceiver,
    ),
    broken_host("blames-both", "DMA-4", "a bad list kills sender and receiver", _BlamesBoth),
    broken_guest(
        "looks-behind-the-end",
        "DMA-4",
        "what stands behind the end of a list is checked too",
        _LooksBehindTheEnd,
    ),
    broken_guest(
        "sections-may-cross", "DMA-4", "a section that crosses a page is copied", _SectionsMayCross
    ),
    broken_guest(
        "sections-may-reach-outside",
        "DMA-4",
        "a section that reaches beyond the memory is cut at its end",
        _SectionsMayReachOutside,
    ),
    broken_guest(
        "later-sections-forgiven",
        "DMA-4",
        "a bad section behind a good one ends the list",
        _LaterSectionsForgiven,
    ),
    broken_host(
        "judges-the-sender-first",
        "DMA-4",
        "the sender's list is checked before the receiver's",
        _JudgesSenderFirst,
    ),
    broken_host(
        "judges-against-a-full-ring",
        "DMA-4",
        "the sender's list is checked although no buffer is free",
        _JudgesAgainstAFullRing,
    ),
    broken_host(
        "judges-without-receiver",
        "DMA-2",
        "the sender's list is checked although no Guest has bound the key",
        _JudgesWithoutReceiver,
    ),
    broken_host(
        "copies-before-judging",
        "DMA-4",
        "the first section is copied before a later one turns out to be bad",
        _CopiesBeforeJudging,
    ),
    broken_host(
        "interrupts-on-failure",
        "DMA-4",
        "the receiver is interrupted after a copy that failed",
        _InterruptsOnFailure,
    ),
)
