"""Broken LANs: end of memory, long counts, unbinding twice, one file twice (DEF-9 to DEF-12)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from harness.broken.base import Broken, broken_guest, broken_host, broken_lguest
from harness.broken.hooks import OtherMemory
from harness.lans.lguest import Parts
from harness.lguest import dma
from harness.lguest.host import Host
from harness.lguest.launcher import Launcher, SharedFile
from harness.lguest.memory import (
    Binding,
    Chunk,
    DevicePages,
    GuestMemory,
    Key,
    LguestError,
    Owner,
)

# DMA-4: the end of memory (DEF-9)


class _MemoryOfSections(GuestMemory):
    def check_list(self, listed: bytes) -> tuple[Chunk, ...]:
        self.last_end -= 1
        try:
            return super().check_list(listed)
        finally:
            self.last_end += 1


class _SectionsMayNotEndIt(OtherMemory):
    memory_class = _MemoryOfSections


class _MemoryOfStructures(GuestMemory):
    def address_ok(self, address: int, length: int) -> bool:
        if length == dma.SIZE and address + length == self.limit:
            return False
        return super().address_ok(address, length)


class _StructuresMayNotEndIt(OtherMemory):
    memory_class = _MemoryOfStructures


class _MemoryOfTheFirstDevice(GuestMemory):
    def map(self, device: DevicePages) -> int:
        end = self.last_end
        base = super().map(device)
        if len(self.mapped()) > 1:
            self.last_end = end
        return base


class _SecondDeviceIsOutside(OtherMemory):
    memory_class = _MemoryOfTheFirstDevice


# DMA-2: many transfers (DEF-10)


class _CursorOfBits(Host):
    bits = 16

    def __init__(self, *rest: Any, **named: Any) -> None:
        super().__init__(*rest, **named)
        self._counts: dict[int, int] = {}

    def bind_dma(self, guest: Owner, key: int, array: int, count: int, interrupt: int) -> bool:
        done = super().bind_dma(guest, key, array, count, interrupt)
        self._counts = {
            id(binding): self._counts.get(id(binding), 0) for binding in self.bound_by(guest)
        }
        return done

    def transfer(self, sender: Owner, binding: Binding, address: int) -> bool:
        before = binding.cursor
        full = super().transfer(sender, binding, address)
        if binding.cursor != before:
            count = self._counts.get(id(binding), 0) + 1
            self._counts[id(binding)] = count
            binding.cursor = count % (1 << self.bits) % binding.count
        return full


class _CursorOfAByte(_CursorOfBits):
    bits = 8


class _CursorOf15Bits(_CursorOfBits):
    bits = 15


# DMA-1: unbinding (DEF-11)


class _SecondUnbindingSucceeds(Host):
    def __init__(self, *rest: Any, **named: Any) -> None:
        super().__init__(*rest, **named)
        self._unbound: set[tuple[int, int, int]] = set()

    def unbind(self, guest: Owner, key: Key, array: int) -> bool:
        known = (guest.id, key.offset, array)
        done = super().unbind(guest, key, array) or known in self._unbound
        self._unbound.add(known)
        return done


class _SecondUnbindingTakesAnother(Host):
    def unbind(self, guest: Owner, key: Key, array: int) -> bool:
        if super().unbind(guest, key, array):
            return True
        for binding in self.bound_by(guest)[:1]:
            self.forget(binding)
        return False


class _SecondUnbindingKills(Host):
    def unbind(self, guest: Owner, key: Key, array: int) -> bool:
        done = super().unbind(guest, key, array)
        if not done:
            self.kill(guest, "unbound what was not bound")
        return done


class _UnbindsAllCopies(Host):
    def unbind(self, guest: Owner, key: Key, array: int) -> bool:
        done = super().unbind(guest, key, array)
        while super().unbind(guest, key, array):
            pass
        return done


# DEV-2: one file twice (DEF-12)


class _SharesItsSlot(Launcher):
    def own_slots(self, pages: DevicePages) -> set[int]:
        return {slot for other, slot, _ in self.slots if other.identity == pages.identity}


class _JoinsOnce(Launcher):
    def own_slots(self, pages: DevicePages) -> set[int]:
        if any(other.identity == pages.identity for other, _, file in self.slots if file):
            raise LguestError("this Launcher has a device on that network already")
        return super().own_slots(pages)


class _SlotsOfAllFiles(Launcher):
    def own_slots(self, pages: DevicePages) -> set[int]:
        del pages
        return set()

    def exit(self) -> None:
        for pages, slot, file in self.slots[1:]:
            pages.publish(slot, bytes(6))
            if file is not None:
                file.free_slot(slot)
        del self.slots[:1]
        super().exit()


class _OneSlotAnOpening(SharedFile):
    def take_slot(self, slot: int | None = None, shared: Collection[int] = ()) -> int:
        if slot is None and self.taken:
            return min(self.taken)
        return super().take_slot(slot, shared)


# DMA-9: a Launcher that ended


class _EndsByItsId(Launcher):
    @property
    def runs(self) -> bool:
        return self.guest.id in self.host.guests

    def exit(self) -> None:
        guest = self.host.guests.get(self.guest.id)
        if guest is not None and guest is not self.guest:
            self.host.release(guest)
        super().exit()


class _ReleasesByItsId(Host):
    def release(self, guest: Owner) -> None:
        super().release(self.guests.get(guest.id, guest))


def _launcher(name: str, rule: str, what: str, launcher: type[Launcher]) -> Broken:
    return broken_lguest(name, rule, what, Parts(launcher=launcher))


BROKEN = (
    broken_guest(
        "sections-may-not-end-memory",
        "DMA-4",
        "a section that ends where memory ends is bad",
        _SectionsMayNotEndIt,
    ),
    broken_guest(
        "structures-may-not-end-memory",
        "DMA-4",
        "a structure that ends where memory ends is bad",
        _StructuresMayNotEndIt,
    ),
    broken_guest(
        "second-device-is-outside",
        "DMA-4",
        "the page of a Guest's second device counts as outside its memory",
        _SecondDeviceIsOutside,
    ),
    broken_host(
        "cursor-in-16-bits",
        "DMA-2",
        "the cursor is 0 again after 65,536 transfers",
        _CursorOfBits,
    ),
    broken_host(
        "cursor-in-15-bits",
        "DMA-2",
        "the cursor is 0 again after 32,768 transfers",
        _CursorOf15Bits,
    ),
    broken_host(
        "cursor-in-a-byte", "DMA-2", "the cursor is 0 again after 256 transfers", _CursorOfAByte
    ),
    broken_host(
        "second-unbinding-succeeds",
        "DMA-1",
        "unbinding an array that was unbound already succeeds",
        _SecondUnbindingSucceeds,
    ),
    broken_host(
        "second-unbinding-takes-another",
        "DMA-1",
        "unbinding an array that is not bound unbinds the first of the Guest's arrays",
        _SecondUnbindingTakesAnother,
    ),
    broken_host(
        "second-unbinding-kills",
        "DMA-1",
        "unbinding an array that is not bound kills the Guest",
        _SecondUnbindingKills,
    ),
    broken_host(
        "unbinds-all-copies",
        "DMA-1",
        "unbinding an array that was bound twice unbinds it twice",
        _UnbindsAllCopies,
    ),
    _launcher(
        "launcher-shares-its-slot",
        "DEV-2",
        "a Launcher given one file twice takes one slot for both devices",
        _SharesItsSlot,
    ),
    _launcher(
        "launcher-joins-once",
        "DEV-2",
        "a Launcher cannot have two devices on one network",
        _JoinsOnce,
    ),
    _launcher(
        "launcher-frees-its-later-slots",
        "DEV-2",
        "a Launcher that ends keeps the first of its slots locked",
        _SlotsOfAllFiles,
    ),
    broken_lguest(
        "one-slot-an-opening",
        "DEV-2",
        "one opening of the file gives the same slot again",
        Parts(file=_OneSlotAnOpening),
    ),
    _launcher(
        "ending-twice-ends-the-heir",
        "DMA-9",
        "a Launcher that ends twice ends the next Guest of the id",
        _EndsByItsId,
    ),
    broken_host(
        "released-by-its-id",
        "DMA-9",
        "releasing a Guest again releases the next Guest of the id",
        _ReleasesByItsId,
    ),
)
