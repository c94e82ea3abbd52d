"""Broken LANs that deliver to the wrong peers (B: DLV-1 to DLV-8)."""

from __future__ import annotations

from collections.abc import Iterable

from harness.broken.base import broken_device, broken_host
from harness.broken.hooks import AfterTransmit
from harness.lguest.dma import PAGE_SIZE
from harness.lguest.driver import BUFFER_BYTES, Counters, NetDevice
from harness.lguest.events import BROADCAST, ETH_ALEN, ETH_HLEN
from harness.lguest.host import Host
from harness.lguest.memory import ADDRESS_BYTES, Key, Owner, Roster


class _Others(NetDevice):
    def others(self, *slots: Iterable[int]) -> tuple[int, ...]:
        """All of these slots but one's own, ascending."""
        return tuple(sorted(set().union(*slots) - {self.slot}))


class _ComparesLess(_Others):
    compared = slice(0, ETH_ALEN)

    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        wanted = super().wanted_by(destination, roster)
        if destination[0] & 1:
            return wanted
        alike = (
            slots
            for address, slots in roster.owners.items()
            if address[self.compared] == destination[self.compared]
        )
        return self.others(wanted, *alike)


class _ComparesFiveBytes(_ComparesLess):
    compared = slice(0, 5)


class _ComparesAWord(_ComparesLess):
    compared = slice(0, 4)


class _IgnoresFirstByte(_ComparesLess):
    compared = slice(1, ETH_ALEN)


class _FirstOfTwo(_Others):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        if destination[0] & 1:
            return super().wanted_by(destination, roster)
        return self.others(roster.owners.get(destination, ())[:1], roster.promiscuous)


class _UnicastTwice(NetDevice):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        wanted = super().wanted_by(destination, roster)
        if destination[0] & 1:
            return wanted
        again = set(wanted).intersection(roster.owners.get(destination, ()))
        return tuple(sorted((*wanted, *(again - set(roster.promiscuous)))))


class _MissesSlotZero(NetDevice):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        wanted = super().wanted_by(destination, roster)
        return wanted if destination[0] & 1 else tuple(slot for slot in wanted if slot)


class _SomeGroupsAreNone(NetDevice):
    def is_group(self, destination: bytes) -> bool:
        """Whether this device treats an address as a group."""
        return bool(destination[0] & 1)

    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        if destination[0] & 1 and not self.is_group(destination):
            return tuple(slot for slot in roster.promiscuous if slot != self.slot)
        return super().wanted_by(destination, roster)


class _OnlyBroadcastIsAGroup(_SomeGroupsAreNone):
    def is_group(self, destination: bytes) -> bool:
        return destination == BROADCAST


class _Ipv6IsUnicast(_SomeGroupsAreNone):
    def is_group(self, destination: bytes) -> bool:
        return destination[:2] != b"\x33\x33"


class _OnlyKnownGroups(_SomeGroupsAreNone):
    def is_group(self, destination: bytes) -> bool:
        return destination == BROADCAST or destination[0] == 1 or destination[:2] == b"\x33\x33"


class _GroupOfAnAddressIsUnicast(NetDevice):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        station = bytes((destination[0] & 0xFE,)) + destination[1:]
        return super().wanted_by(station if station in roster.owners else destination, roster)


class _GroupMissesLastSlot(NetDevice):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        wanted = super().wanted_by(destination, roster)
        if destination[0] & 1:
            return tuple(slot for slot in wanted if slot + 1 < self.pages.slots)
        return wanted


class _FirstPageOnly(NetDevice):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        wanted = super().wanted_by(destination, roster)
        return tuple(slot for slot in wanted if slot < PAGE_SIZE // ADDRESS_BYTES)


class _PromiscuousMissGroups(NetDevice):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        wanted = super().wanted_by(destination, roster)
        if destination[0] & 1:
            return tuple(slot for slot in wanted if slot not in roster.promiscuous)
        return wanted


class _PromiscuousGetsItTwice(NetDevice):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        wanted = super().wanted_by(destination, roster)
        owners = roster.owners.get(destination, ())
        again = (slot for slot in wanted if slot in owners and slot in roster.promiscuous)
        return tuple(sorted((*wanted, *again)))


class _PromiscuousMissUnknown(NetDevice):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        if destination[0] & 1 or destination in roster.owners:
            return super().wanted_by(destination, roster)
        return ()


class _PromiscuousMissPromiscuous(_Others):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        if destination[0] & 1 or self.slot not in roster.promiscuous:
            return super().wanted_by(destination, roster)
        return self.others(roster.owners.get(destination, ()))


class _PromiscuousOnFirstPage(_Others):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        if destination[0] & 1:
            return super().wanted_by(destination, roster)
        heard = [slot for slot in roster.promiscuous if slot < PAGE_SIZE // ADDRESS_BYTES]
        return self.others((*roster.owners.get(destination, ()), *heard))


class _FirstPromiscuous(_Others):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        if destination[0] & 1:
            return super().wanted_by(destination, roster)
        return self.others(roster.owners.get(destination, ()), self.others(roster.promiscuous)[:1])


class _LoopsBack(AfterTransmit):
    def loops(self, frame: bytes) -> bool:
        """Whether the device receives this frame of its own."""
        raise NotImplementedError

    def sent(self, frame: bytes, before: Counters, done: int) -> int:
        del before
        if len(frame) >= ETH_HLEN and self.loops(frame):
            self.pass_up(0, frame[:BUFFER_BYTES])
        return done


class _HearsItsGroups(_LoopsBack):
    def loops(self, frame: bytes) -> bool:
        return bool(frame[0] & 1)


class _HearsItsOwnAddress(_LoopsBack):
    def loops(self, frame: bytes) -> bool:
        return frame[:ETH_ALEN] == self.address


class _HearsItselfWhenPromiscuous(_LoopsBack):
    def loops(self, frame: bytes) -> bool:
        return not frame[0] & 1 and self.promiscuous


class _SendsToItsOwnSlot(NetDevice):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        wanted = super().wanted_by(destination, roster)
        return tuple(sorted((*wanted, self.slot))) if destination[0] & 1 else wanted


class _FillsTheGaps(_Others):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        if destination[0] & 1 and roster.used:
            return self.others(range(roster.used[0], roster.used[-1] + 1))
        return super().wanted_by(destination, roster)


class _ZeroMatchesUnused(_Others):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        wanted = super().wanted_by(destination, roster)
        if any(destination):
            return wanted
        return self.others(wanted, set(range(self.pages.slots)).difference(roster.used))


class _FloodsUnknown(_Others):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        if destination[0] & 1 or destination in roster.owners:
            return super().wanted_by(destination, roster)
        return self.others(roster.used)


class _UnknownGoesToTheFirst(_Others):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        wanted = super().wanted_by(destination, roster)
        if destination[0] & 1 or destination in roster.owners:
            return wanted
        return self.others(wanted, self.others(roster.used)[:1])


class _UnknownIsAnError(AfterTransmit):
    def sent(self, frame: bytes, before: Counters, done: int) -> int:
        del frame
        return -113 if self.counters == before else done


class _ReachesOwnDevices(Host):
    def try_send(self, guest: Owner, key: Key, address: int) -> bool:
        if key.bound and all(binding.guest is guest for binding in key.bound):
            return self.transfer(guest, key.bound[0], address)
        return super().try_send(guest, key, address)


class _SkipsOwnDevices(NetDevice):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        own = {device.slot for device in self.guest.devices if device.pages is self.pages}
        wanted = super().wanted_by(destination, roster)
        return tuple(slot for slot in wanted if slot not in own)


BROKEN = (
    broken_device(
        "compares-five-bytes",
        "DLV-1",
        "the last byte of an address is not compared",
        _ComparesFiveBytes,
    ),
    broken_device(
        "compares-a-word",
        "DLV-1",
        "the last two bytes of an address are not compared",
        _ComparesAWord,
    ),
    broken_device(
        "ignores-the-first-byte",
        "DLV-1",
        "the first byte of an address is not compared",
        _IgnoresFirstByte,
    ),
    broken_device(
        "first-of-two-slots",
        "DLV-2",
        "of two slots with one address only the first gets a unicast",
        _FirstOfTwo,
    ),
    broken_device("unicast-twice", "DLV-2", "a unicast reaches its peer twice", _UnicastTwice),
    broken_device(
        "unicast-misses-slot-zero", "DLV-2", "a unicast never reaches slot 0", _MissesSlotZero
    ),
    broken_device(
        "group-of-an-address-is-unicast",
        "DLV-3",
        "a published address with its group bit set reaches that address alone",
        _GroupOfAnAddressIsUnicast,
    ),
    broken_device(
        "only-broadcast-is-a-group",
        "DLV-3",
        "treats only ff:ff:ff:ff:ff:ff as a group",
        _OnlyBroadcastIsAGroup,
    ),
    broken_device(
        "ipv6-groups-are-unicast",
        "DLV-3",
        "treats 33:33 groups as unicast addresses",
        _Ipv6IsUnicast,
    ),
    broken_device(
        "only-known-groups",
        "DLV-3",
        "treats groups other than broadcast, 01 and 33:33 as unicast addresses",
        _OnlyKnownGroups,
    ),
    broken_device(
        "group-misses-the-last-slot",
        "DLV-3",
        "a frame to a group never reaches the last slot of the pages",
        _GroupMissesLastSlot,
    ),
    broken_device(
        "looks-at-the-first-page-only",
        "DLV-3",
        "slots behind the first device page never receive",
        _FirstPageOnly,
    ),
    broken_device(
        "promiscuous-miss-groups",
        "DLV-4",
        "promiscuous peers miss frames to groups",
        _PromiscuousMissGroups,
    ),
    broken_device(
        "promiscuous-told-twice",
        "DLV-4",
        "a promiscuous peer gets what is addressed to it twice",
        _PromiscuousGetsItTwice,
    ),
    broken_device(
        "promiscuous-miss-unknown",
        "DLV-4",
        "promiscuous peers miss frames to an unknown address",
        _PromiscuousMissUnknown,
    ),
    broken_device(
        "promiscuous-miss-promiscuous",
        "DLV-4",
        "promiscuous peers miss what another promiscuous peer sends to others",
        _PromiscuousMissPromiscuous,
    ),
    broken_device(
        "promiscuous-on-the-first-page",
        "DLV-4",
        "promiscuous peers behind the first page get only what is for them",
        _PromiscuousOnFirstPage,
    ),
    broken_device(
        "first-promiscuous-only",
        "DLV-4",
        "of several promiscuous peers only the first gets unicasts to others",
        _FirstPromiscuous,
    ),
    broken_device(
        "hears-its-own-groups",
        "DLV-5",
        "a sender passes up its own frames to groups",
        _HearsItsGroups,
    ),
    broken_device(
        "hears-its-own-address",
        "DLV-5",
        "a sender passes up frames to its own address",
        _HearsItsOwnAddress,
    ),
    broken_device(
        "hears-itself-when-promiscuous",
        "DLV-5",
        "a promiscuous sender passes up its own unicasts",
        _HearsItselfWhenPromiscuous,
    ),
    broken_device(
        "sends-to-its-own-slot",
        "DLV-5",
        "a frame to a group is offered to the sender's own slot too, where it fails",
        _SendsToItsOwnSlot,
    ),
    broken_device(
        "fills-the-gaps",
        "DLV-6",
        "frames to groups go to the unused slots between used ones too",
        _FillsTheGaps,
    ),
    broken_device(
        "zero-matches-unused",
        "DLV-6",
        "a frame to 00:00:00:00:00:00 goes to the unused slots",
        _ZeroMatchesUnused,
    ),
    broken_device(
        "floods-unknown",
        "DLV-7",
        "a unicast to an unknown address reaches everybody",
        _FloodsUnknown,
    ),
    broken_device(
        "unknown-goes-to-the-first",
        "DLV-7",
        "a unicast to an unknown address reaches the first other peer",
        _UnknownGoesToTheFirst,
    ),
    broken_device(
        "unknown-is-an-error",
        "DLV-7",
        "sending to an unknown address reports an error",
        _UnknownIsAnError,
    ),
    broken_host(
        "reaches-own-devices",
        "DLV-8",
        "the Host delivers to another device of the sending Guest",
        _ReachesOwnDevices,
    ),
    broken_device(
        "skips-own-devices",
        "DLV-8",
        "another device of the sending Guest is passed over and counts nothing",
        _SkipsOwnDevices,
    ),
)
