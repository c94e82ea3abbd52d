"""Broken LANs whose Host handles a full ring or an empty DMA wrongly (D: DMA-5, DMA-6)."""

from __future__ import annotations

from harness.broken.base import broken_host
from harness.broken.hooks import list_at
from harness.lguest import dma
from harness.lguest.events import Point
from harness.lguest.host import Host
from harness.lguest.memory import Binding, Key, Owner


class _FullRingWithoutInterrupt(Host):
    def no_buffer(self, sender: Owner, binding: Binding) -> bool:
        before = binding.guest.pending
        full = super().no_buffer(sender, binding)
        binding.guest.pending = before
        return full


class _CountsTries(Host):
    tries = 0

    def send_dma(self, guest: Owner, key: int, address: int) -> None:
        before, self.tries = self.tries, 0
        super().send_dma(guest, key, address)
        self.tries = before

    def try_send(self, guest: Owner, key: Key, address: int) -> bool:
        self.tries += 1
        return super().try_send(guest, key, address)


class _NoRetry(_CountsTries):
    def try_send(self, guest: Owner, key: Key, address: int) -> bool:
        return self.tries == 0 and super().try_send(guest, key, address)


class _KeepsTheLock(Host):
    def try_send(self, guest: Owner, key: Key, address: int) -> bool:
        super().try_send(guest, key, address)
        return False


class _RetriesTwice(_CountsTries):
    def try_send(self, guest: Owner, key: Key, address: int) -> bool:
        full = super().try_send(guest, key, address)
        if not full or self.tries != 2:
            return full
        if self.interleave is not None:
            self.interleave(Point.RESTOCK, guest)
        return super().try_send(guest, key, address)


class _OverwritesAFullRing(Host):
    def free_buffer(self, binding: Binding) -> int | None:
        index = super().free_buffer(binding)
        if index is None and binding.store is not None and binding.count:
            return binding.cursor
        return index


class _FullRingResetsTheCursor(Host):
    def no_buffer(self, sender: Owner, binding: Binding) -> bool:
        binding.cursor = 0
        return super().no_buffer(sender, binding)


class _WantsBuffers(Host):
    def bind_dma(self, guest: Owner, key: int, array: int, count: int, interrupt: int) -> bool:
        if interrupt and not count:
            return False
        return super().bind_dma(guest, key, array, count, interrupt)


class _OneInterruptAtATime(Host):
    def interrupt(self, binding: Binding) -> None:
        if not binding.guest.pending:
            super().interrupt(binding)


class _EmptyIsSpecial(Host):
    def transfer(self, sender: Owner, binding: Binding, address: int) -> bool:
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


BROKEN = (
    broken_host(
        "full-ring-without-interrupt",
        "DMA-5",
        "a receiver without a free buffer is not interrupted",
        _FullRingWithoutInterrupt,
    ),
    broken_host(
        "no-retry",
        "DMA-5",
        "the Host lets the receiver restock, and does not try again",
        _NoRetry,
    ),
    broken_host(
        "keeps-the-lock",
        "DMA-5",
        "the Host does not let the receiver restock",
        _KeepsTheLock,
    ),
    broken_host("retries-twice", "DMA-5", "the Host tries three times", _RetriesTwice),
    broken_host(
        "overwrites-a-full-ring",
        "DMA-5",
        "without a free buffer the one at the cursor is overwritten",
        _OverwritesAFullRing,
    ),
    broken_host(
        "full-ring-resets-the-cursor",
        "DMA-5",
        "the cursor is 0 after a try at a full ring",
        _FullRingResetsTheCursor,
    ),
    broken_host(
        "wants-buffers",
        "DMA-5",
        "an array of no buffers cannot be bound",
        _WantsBuffers,
    ),
    broken_host(
        "one-interrupt-at-a-time",
        "DMA-5",
        "a full ring raises no interrupt while another is pending",
        _OneInterruptAtATime,
    ),
    broken_host(
        "empty-keeps-the-cursor",
        "DMA-6",
        "an empty SEND_DMA does not move the cursor",
        _EmptyKeepsTheCursor,
    ),
    broken_host(
        "empty-does-not-interrupt",
        "DMA-6",
        "an empty SEND_DMA does not interrupt",
        _EmptyDoesNotInterrupt,
    ),
    broken_host("empty-is-ignored", "DMA-6", "an empty SEND_DMA does nothing", _EmptyIgnored),
)
