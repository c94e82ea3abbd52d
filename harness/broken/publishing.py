"""Broken LANs that publish addresses, or read them, wrongly (A)."""

from __future__ import annotations

from typing import Any

from harness.broken.base import broken_device, broken_host
from harness.lguest.driver import NetDevice
from harness.lguest.guest import Guest
from harness.lguest.host import Host
from harness.lguest.memory import ADDRESS_BYTES, PROMISC_BIT, Owner, Roster


class _AnyByteIsUsed(NetDevice):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        slots = set(super().wanted_by(destination, roster))
        if destination[0] & 1:
            starts = range(0, self.pages.slots * ADDRESS_BYTES, ADDRESS_BYTES)
            addresses = (roster.page[at : at + ADDRESS_BYTES] for at in starts)
            slots |= {slot for slot, address in enumerate(addresses) if any(address)}
        return tuple(sorted(slots - {self.slot}))


class _BitAloneIsUnused(NetDevice):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        wanted = super().wanted_by(destination, roster)
        return tuple(slot for slot in wanted if roster.page[slot * ADDRESS_BYTES] > PROMISC_BIT)


class _BigEndianId(NetDevice):
    def __init__(self, guest: Guest, *rest: Any) -> None:
        super().__init__(guest, *rest)
        self.address = b"\x02\x00" + guest.id.to_bytes(2, "big") + b"\x00\x00"


class _IdInOneByte(NetDevice):
    def __init__(self, guest: Guest, *rest: Any) -> None:
        super().__init__(guest, *rest)
        self.address = bytes((2, 0, guest.id & 0xFF, 0, 0, 0))


class _EightBytes(NetDevice):
    def open(self) -> int:
        self.pages.write(self.slot * ADDRESS_BYTES, self.address + bytes(2))
        return super().open()


class _OnlyThreeIsPromiscuous(NetDevice):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        wanted = super().wanted_by(destination, roster)
        if destination[0] & 1:
            return wanted
        owners = roster.owners.get(destination, ())
        return tuple(
            slot for slot in wanted if slot in owners or roster.page[slot * ADDRESS_BYTES] == 3
        )


class _RemembersPromiscuous(NetDevice):
    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._once: set[int] = set()

    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        self._once.update(roster.promiscuous)
        slots = {*super().wanted_by(destination, roster), *self._once.intersection(roster.used)}
        return tuple(sorted(slots - {self.slot}))


class _ForgetsGroups(NetDevice):
    def wants_everything(self) -> bool:
        return self.promiscuous or self.all_multicast


class _ForgetsAllMulticast(NetDevice):
    def wants_everything(self) -> bool:
        return self.promiscuous or self.multicast_count > 0


class _OneGroupIsNone(NetDevice):
    def wants_everything(self) -> bool:
        return self.promiscuous or self.all_multicast or self.multicast_count > 1


class _GroupsInAByte(NetDevice):
    def wants_everything(self) -> bool:
        return self.promiscuous or self.all_multicast or self.multicast_count & 0xFF > 0


class _BitStays(NetDevice):
    def show_promiscuity(self) -> None:
        if not self.pages.published(self.slot)[0] & PROMISC_BIT:
            super().show_promiscuity()


class _NotAtOpening(NetDevice):
    def show_promiscuity(self) -> None:
        if self.is_open:
            super().show_promiscuity()


class _CallbackWhileClosed(NetDevice):
    def set_flags(
        self, *, promiscuous: bool = False, all_multicast: bool = False, multicast_count: int = 0
    ) -> None:
        super().set_flags(
            promiscuous=promiscuous, all_multicast=all_multicast, multicast_count=multicast_count
        )
        if not self.is_open:
            self.show_promiscuity()


class _BitInSlotZero(NetDevice):
    def show_promiscuity(self) -> None:
        if not self.is_open:
            super().show_promiscuity()
            return
        mine, self.slot = self.slot, 0
        super().show_promiscuity()
        self.slot = mine


class _CloseForgetsFlags(NetDevice):
    def close(self) -> None:
        super().close()
        self.promiscuous = self.all_multicast = False
        self.multicast_count = 0


class _KeepsAddress(NetDevice):
    def unpublish(self) -> None:
        if not self.is_open:
            super().unpublish()


class _ZeroesOneByte(NetDevice):
    def unpublish(self) -> None:
        self.pages.publish(self.slot, b"\0" + self.pages.published(self.slot)[1:])


class _ZeroesAfterUnbinding(_KeepsAddress):
    def close(self) -> None:
        super().close()
        self.unpublish()


class _CloseLeavesBound(NetDevice):
    def close(self) -> None:
        binding = self.guest.host.binding(self.guest, self.key, self.ring)
        super().close()
        if binding is not None:
            self.guest.bind_dma(self.key, self.ring, binding.count, self.interrupt)


class _DeathUnpublishes(Host):
    def kill(self, guest: Owner, reason: str) -> None:
        super().kill(guest, reason)
        for device in guest.devices if isinstance(guest, Guest) else ():
            device.pages.publish(device.slot, bytes(ADDRESS_BYTES))


class _KeepsTheGhost(NetDevice):
    def open(self) -> int:
        ghost = self.pages.published(self.slot)
        result = super().open()
        if ghost[0]:
            self.pages.publish(self.slot, ghost)
        return result


class _OverwritesHalfTheGhost(NetDevice):
    def open(self) -> int:
        ghost = self.pages.published(self.slot)
        result = super().open()
        if result == 0:
            self.pages.publish(self.slot, self.pages.published(self.slot)[:4] + ghost[4:])
        return result


BROKEN = (
    broken_device(
        "any-byte-makes-a-slot-used",
        "PUB-1",
        "a slot whose first byte is 0 but another is not gets frames to groups",
        _AnyByteIsUsed,
    ),
    broken_device(
        "promiscuous-bit-alone-is-unused",
        "PUB-1",
        "a slot whose first byte is 01 counts as unused",
        _BitAloneIsUnused,
    ),
    broken_device(
        "big-endian-guest-id",
        "PUB-2",
        "the Guest id stands big-endian in the address",
        _BigEndianId,
    ),
    broken_device(
        "guest-id-in-one-byte", "PUB-2", "the high byte of the Guest id is lost", _IdInOneByte
    ),
    broken_device(
        "publishes-eight-bytes",
        "PUB-2",
        "opening zeroes the first two bytes of the next slot",
        _EightBytes,
    ),
    broken_device(
        "only-03-is-promiscuous",
        "PUB-3",
        "the promiscuous bit counts only in a first byte of 03",
        _OnlyThreeIsPromiscuous,
    ),
    broken_device(
        "remembers-promiscuous-peers",
        "PUB-3",
        "a peer whose bit was seen set keeps getting everything",
        _RemembersPromiscuous,
    ),
    broken_device(
        "forgets-joined-groups",
        "PUB-4",
        "a joined group does not set the promiscuous bit",
        _ForgetsGroups,
    ),
    broken_device(
        "forgets-all-multicast",
        "PUB-4",
        "all-multicast does not set the promiscuous bit",
        _ForgetsAllMulticast,
    ),
    broken_device(
        "one-group-is-none",
        "PUB-4",
        "the promiscuous bit is set from the second group on",
        _OneGroupIsNone,
    ),
    broken_device(
        "groups-in-a-byte",
        "PUB-4",
        "with 256 joined groups the promiscuous bit is not set",
        _GroupsInAByte,
    ),
    broken_device(
        "promiscuous-bit-stays", "PUB-4", "the promiscuous bit is not cleared again", _BitStays
    ),
    broken_device(
        "promiscuous-bit-not-at-opening",
        "PUB-4",
        "the promiscuous bit is computed in the callback only",
        _NotAtOpening,
    ),
    broken_device(
        "callback-while-closed",
        "PUB-4",
        "the callback runs on a closed device",
        _CallbackWhileClosed,
    ),
    broken_device(
        "promiscuous-bit-in-slot-zero",
        "PUB-4",
        "the callback writes to slot 0 instead of its own",
        _BitInSlotZero,
    ),
    broken_device(
        "close-forgets-flags",
        "PUB-4",
        "a device that was promiscuous is not after closing and opening",
        _CloseForgetsFlags,
    ),
    broken_device(
        "close-keeps-the-address", "PUB-5", "closing leaves the address published", _KeepsAddress
    ),
    broken_device(
        "close-zeroes-one-byte",
        "PUB-5",
        "closing zeroes the first byte of the slot only",
        _ZeroesOneByte,
    ),
    broken_device(
        "close-zeroes-after-unbinding",
        "PUB-5",
        "closing unbinds before it zeroes the slot",
        _ZeroesAfterUnbinding,
    ),
    broken_device(
        "close-leaves-bound", "PUB-5", "closing leaves the buffers bound", _CloseLeavesBound
    ),
    broken_host(
        "death-unpublishes", "PUB-6", "a killed Guest's address vanishes at once", _DeathUnpublishes
    ),
    broken_device(
        "keeps-the-ghost",
        "PUB-6",
        "a ghost's address survives the opening of the slot's next owner",
        _KeepsTheGhost,
    ),
    broken_device(
        "overwrites-half-the-ghost",
        "PUB-6",
        "opening leaves the last two bytes that a ghost published",
        _OverwritesHalfTheGhost,
    ),
)
