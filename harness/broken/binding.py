"""Broken LANs whose Host binds arrays, searches for buffers or kills Guests wrongly (D)."""

from __future__ import annotations

from typing import Any

from harness.broken.base import broken_guest, broken_host
from harness.broken.hooks import listed_bytes, next_buffer, used_len
from harness.lguest import dma
from harness.lguest.guest import Guest
from harness.lguest.host import IRQS, MAX_BOUND, Host
from harness.lguest.memory import Binding, Key, Owner


class _AcceptsInterrupt32(Host):
    def bind_dma(self, guest: Owner, key: int, array: int, count: int, interrupt: int) -> bool:
        if interrupt != IRQS:
            return super().bind_dma(guest, key, array, count, interrupt)
        done = super().bind_dma(guest, key, array, count, IRQS - 1)
        binding = self.binding(guest, key, array)
        if done and binding is not None:
            binding.interrupt_bit = 1 << IRQS
        return done


class _RefusesInterrupt31(Host):
    def bind_dma(self, guest: Owner, key: int, array: int, count: int, interrupt: int) -> bool:
        if interrupt == IRQS - 1:
            return False
        return super().bind_dma(guest, key, array, count, interrupt)


class _InterruptInFourBits(Host):
    def bind_dma(self, guest: Owner, key: int, array: int, count: int, interrupt: int) -> bool:
        done = super().bind_dma(guest, key, array, count, interrupt)
        binding = self.binding(guest, key, array) if done and interrupt else None
        if binding is not None:
            binding.interrupt_bit = 1 << (interrupt & 15)
        return done


class _OtherTable(Host):
    places = MAX_BOUND

    def bind_dma(self, guest: Owner, key: int, array: int, count: int, interrupt: int) -> bool:
        self.tables.setdefault(guest.id, [None] * self.places)
        return super().bind_dma(guest, key, array, count, interrupt)


class _Accepts33Arrays(_OtherTable):
    places = MAX_BOUND + 1


class _Accepts31Arrays(_OtherTable):
    places = MAX_BOUND - 1


class _UnbindsByKey(Host):
    def unbind(self, guest: Owner, key: Key, array: int) -> bool:
        first = next((entry for entry in self.bound_by(guest) if entry.key is key), None)
        return super().unbind(guest, key, array if first is None else first.array)


class _UnbindsByArray(Host):
    def unbind(self, guest: Owner, key: Key, array: int) -> bool:
        first = next((entry for entry in self.bound_by(guest) if entry.array == array), None)
        return super().unbind(guest, key if first is None else first.key, array)


class _UnbindingKeepsThePlace(Host):
    def forget(self, binding: Binding) -> None:
        super().forget(binding)
        self.tables[binding.guest.id].remove(None)


class _CursorMovesTwice(Host):
    def transfer(self, sender: Owner, binding: Binding, address: int) -> bool:
        before = binding.cursor
        full = super().transfer(sender, binding, address)
        if binding.cursor != before:
            binding.cursor = (binding.cursor + 1) % binding.count
        return full


class _CursorBehindTheUsed(Host):
    def transfer(self, sender: Owner, binding: Binding, address: int) -> bool:
        before, index = binding.cursor, next_buffer(self, binding)
        full = super().transfer(sender, binding, address)
        if binding.cursor != before and index is not None:
            binding.cursor = (index + 1) % binding.count
        return full


class _SearchesFromZero(Host):
    def free_buffer(self, binding: Binding) -> int | None:
        kept, binding.cursor = binding.cursor, 0
        index = super().free_buffer(binding)
        binding.cursor = kept
        return index


class _OddArraysHaveNoCursor(Host):
    def free_buffer(self, binding: Binding) -> int | None:
        kept = binding.cursor
        binding.cursor = 0 if binding.array % 4 else kept
        index = super().free_buffer(binding)
        binding.cursor = kept
        return index


class _ArraysStayInPrivateMemory(Host):
    def bind_dma(self, guest: Owner, key: int, array: int, count: int, interrupt: int) -> bool:
        if interrupt and array + count * dma.SIZE > guest.memory.private_size:
            return False
        return super().bind_dma(guest, key, array, count, interrupt)


class _OldestArrayFirst(Host):
    def try_send(self, guest: Owner, key: Key, address: int) -> bool:
        key.bound.reverse()
        full = super().try_send(guest, key, address)
        key.bound.reverse()
        return full


class _SearchDoesNotWrap(Host):
    def free_buffer(self, binding: Binding) -> int | None:
        index = super().free_buffer(binding)
        return None if index is not None and index < binding.cursor else index


class _CursorSurvivesUnbinding(Host):
    def __init__(self, *rest: Any, **named: Any) -> None:
        super().__init__(*rest, **named)
        self._cursors: dict[tuple[int, int, int], int] = {}

    def bind_dma(self, guest: Owner, key: int, array: int, count: int, interrupt: int) -> bool:
        done = super().bind_dma(guest, key, array, count, interrupt)
        binding = self.binding(guest, key, array) if done and interrupt else None
        if binding is not None and binding.count:
            known = (guest.id, binding.key.offset, array)
            binding.cursor = self._cursors.get(known, 0) % binding.count
        return done

    def forget(self, binding: Binding) -> None:
        known = (binding.guest.id, binding.key.offset, binding.array)
        self._cursors[known] = binding.cursor
        super().forget(binding)


class _OneInterruptForAll(Host):
    def bind_dma(self, guest: Owner, key: int, array: int, count: int, interrupt: int) -> bool:
        done = super().bind_dma(guest, key, array, count, interrupt)
        binding = self.binding(guest, key, array) if done and interrupt else None
        if binding is not None:
            binding.interrupt_bit = 1 << 1
        return done


class _SenderGetsWhatItListed(Host):
    def transfer(self, sender: Owner, binding: Binding, address: int) -> bool:
        full = super().transfer(sender, binding, address)
        if not full and used_len(sender, address):
            self.write_used_len(sender, address, listed_bytes(sender, address))
        return full


class _OwnArrayHidesOthers(Host):
    def try_send(self, guest: Owner, key: Key, address: int) -> bool:
        if key.bound and key.bound[0].guest is guest:
            key = Key(key.space, key.offset)
        return super().try_send(guest, key, address)


class _TriesUnboundTwice(Host):
    def try_send(self, guest: Owner, key: Key, address: int) -> bool:
        full = super().try_send(guest, key, address)
        return full or all(binding.guest is guest for binding in key.bound)


class _RoundsKeysDown(Host):
    ignored = 3

    def bind_dma(self, guest: Owner, key: int, array: int, count: int, interrupt: int) -> bool:
        return super().bind_dma(guest, key & ~self.ignored, array, count, interrupt)

    def send_dma(self, guest: Owner, key: int, address: int) -> None:
        super().send_dma(guest, key & ~self.ignored, address)


class _KeysOfHalfWords(_RoundsKeysDown):
    ignored = 2


class _ForgivesBadBinding(Host):
    def kill(self, guest: Owner, reason: str) -> None:
        if not reason.startswith("bad dma key"):
            super().kill(guest, reason)


class _ForgivesBadSending(Host):
    def kill(self, guest: Owner, reason: str) -> None:
        if not reason.startswith("bad sending DMA key"):
            super().kill(guest, reason)


class _KilledRunsOn(Guest):
    def alive(self) -> None:
        if self.id not in self.host.guests:
            super().alive()


class _DeathUnbinds(Host):
    def kill(self, guest: Owner, reason: str) -> None:
        super().kill(guest, reason)
        for binding in self.bound_by(guest):
            self.forget(binding)


class _KilledIsNotFilled(Host):
    def transfer(self, sender: Owner, binding: Binding, address: int) -> bool:
        return binding.guest.dead is None and super().transfer(sender, binding, address)


class _ExitLeavesBound(Host):
    def release(self, guest: Owner) -> None:
        self.tables.pop(guest.id, None)
        super().release(guest)


BROKEN = (
    broken_host(
        "accepts-interrupt-32",
        "DMA-1",
        "a buffer array can be bound with interrupt 32",
        _AcceptsInterrupt32,
    ),
    broken_host(
        "refuses-interrupt-31",
        "DMA-1",
        "a buffer array cannot be bound with interrupt 31",
        _RefusesInterrupt31,
    ),
    broken_host(
        "interrupt-in-four-bits",
        "DMA-1",
        "an array bound with interrupt 17 raises interrupt 1",
        _InterruptInFourBits,
    ),
    broken_host("accepts-33-arrays", "DMA-1", "a Guest can bind 33 arrays", _Accepts33Arrays),
    broken_host("accepts-31-arrays", "DMA-1", "a Guest can bind only 31 arrays", _Accepts31Arrays),
    broken_host(
        "unbinds-by-key",
        "DMA-1",
        "unbinding takes the first array of the key, whatever its address",
        _UnbindsByKey,
    ),
    broken_host(
        "unbinds-by-array",
        "DMA-1",
        "unbinding takes the first array at the address, whatever its key",
        _UnbindsByArray,
    ),
    broken_host(
        "unbinding-keeps-the-place",
        "DMA-1",
        "an array that was unbound still counts among the 32",
        _UnbindingKeepsThePlace,
    ),
    broken_host("cursor-moves-twice", "DMA-2", "the cursor moves by two", _CursorMovesTwice),
    broken_host(
        "cursor-behind-the-used",
        "DMA-2",
        "the cursor moves to behind the buffer that was used",
        _CursorBehindTheUsed,
    ),
    broken_host(
        "searches-from-zero",
        "DMA-2",
        "the search for a free buffer has no cursor",
        _SearchesFromZero,
    ),
    broken_host(
        "odd-arrays-have-no-cursor",
        "DMA-2",
        "in an array at no multiple of four the search has no cursor",
        _OddArraysHaveNoCursor,
    ),
    broken_host(
        "arrays-stay-in-private-memory",
        "DMA-2",
        "an array that reaches into the device page cannot be bound",
        _ArraysStayInPrivateMemory,
    ),
    broken_host(
        "oldest-array-first",
        "DMA-2",
        "of two arrays with one key the one bound first is searched",
        _OldestArrayFirst,
    ),
    broken_host(
        "search-does-not-wrap",
        "DMA-2",
        "the search for a free buffer ends at the end of the array",
        _SearchDoesNotWrap,
    ),
    broken_host(
        "cursor-survives-unbinding",
        "DMA-2",
        "an array bound again keeps the cursor that it had",
        _CursorSurvivesUnbinding,
    ),
    broken_host(
        "one-interrupt-for-all",
        "DMA-2",
        "every array raises interrupt 1",
        _OneInterruptForAll,
    ),
    broken_host(
        "sender-told-what-it-listed",
        "DMA-2",
        "the sender's used_len is what it listed, not what was moved",
        _SenderGetsWhatItListed,
    ),
    broken_host(
        "own-array-hides-others",
        "DMA-2",
        "an array of the sender's own hides an older one of another Guest",
        _OwnArrayHidesOthers,
    ),
    broken_host(
        "tries-unbound-twice",
        "DMA-2",
        "the Host lets go of its lock and tries again where no Guest has bound the key",
        _TriesUnboundTwice,
    ),
    broken_host(
        "rounds-keys-down", "DMA-7", "a key is rounded down to a multiple of four", _RoundsKeysDown
    ),
    broken_host(
        "keys-of-half-words",
        "DMA-7",
        "a key two above a multiple of four is taken for that",
        _KeysOfHalfWords,
    ),
    broken_host(
        "forgives-bad-binding",
        "DMA-7",
        "binding a bad key fails and kills no Guest",
        _ForgivesBadBinding,
    ),
    broken_host(
        "forgives-bad-sending",
        "DMA-7",
        "sending to a bad key does nothing",
        _ForgivesBadSending,
    ),
    broken_guest(
        "killed-runs-on", "DMA-9", "a killed Guest can still send and bind", _KilledRunsOn
    ),
    broken_host(
        "death-unbinds", "DMA-9", "a killed Guest's buffers are unbound at once", _DeathUnbinds
    ),
    broken_host(
        "killed-is-not-filled",
        "DMA-9",
        "nothing is copied to a killed Guest",
        _KilledIsNotFilled,
    ),
    broken_host(
        "exit-leaves-bound",
        "DMA-9",
        "buffers stay bound when the Launcher has ended",
        _ExitLeavesBound,
    ),
)
