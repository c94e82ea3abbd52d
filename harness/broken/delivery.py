"""LANs that deliver to the wrong peers, or not what was sent (B)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.broken.base import Broken
from harness.broken.hooks import AfterTransmit
from harness.lans.lguest import Parts
from harness.lguest.dma import PAGE_SIZE
from harness.lguest.driver import BUFFER_BYTES, Counters, NetDevice
from harness.lguest.events import BROADCAST, ETH_ALEN, ETH_HLEN
from harness.lguest.guest import Guest
from harness.lguest.host import Host
from harness.lguest.memory import ADDRESS_BYTES, Key, Roster

_SHORTEST_ON_A_CABLE = 60


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
        """What this device takes for a group."""
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


class _PromiscuousToldTwice(NetDevice):
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


class _FirstPromiscuous(_Others):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        if destination[0] & 1:
            return super().wanted_by(destination, roster)
        return self.others(roster.owners.get(destination, ()), self.others(roster.promiscuous)[:1])


class _LoopsBack(AfterTransmit):
    def loops(self, frame: bytes) -> bool:
        """Whether the device hears this frame of its own."""
        raise NotImplementedError

    def sent(self, frame: bytes, before: Counters, done: int) -> int:
        del before
        if len(frame) >= ETH_HLEN and self.loops(frame):
            self.hand_up(0, frame[:BUFFER_BYTES])
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
    def try_send(self, guest: Guest, key: Key, address: int) -> bool:
        if key.bound and all(binding.guest is guest for binding in key.bound):
            return self.transfer(guest, key.bound[0], address)
        return super().try_send(guest, key, address)


class _SkipsOwnDevices(NetDevice):
    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        own = {device.slot for device in self.guest.devices if device.pages is self.pages}
        wanted = super().wanted_by(destination, roster)
        return tuple(slot for slot in wanted if slot not in own)


class _RewritesSource(NetDevice):
    def transmit(
        self,
        frame: bytes,
        linear: int | None = None,
        offset: int = 0,
        fragments: Sequence[tuple[int, int]] = (),
    ) -> int:
        if len(frame) >= 2 * ETH_ALEN:
            frame = frame[:ETH_ALEN] + self.address + frame[2 * ETH_ALEN :]
        return super().transmit(frame, linear, offset, fragments)


class _PadsWhatItSends(NetDevice):
    def transmit(
        self,
        frame: bytes,
        linear: int | None = None,
        offset: int = 0,
        fragments: Sequence[tuple[int, int]] = (),
    ) -> int:
        if linear is None and len(frame) >= ETH_HLEN:
            frame = frame.ljust(_SHORTEST_ON_A_CABLE, b"\0")
        return super().transmit(frame, linear, offset, fragments)


class _StripsTags(NetDevice):
    def hand_up(self, slot: int, frame: bytes) -> None:
        if frame[12:ETH_HLEN] == b"\x81\x00" and len(frame) >= 18:
            frame = frame[:12] + frame[16:]
        super().hand_up(slot, frame)


class _StripsPadding(NetDevice):
    def hand_up(self, slot: int, frame: bytes) -> None:
        said = int.from_bytes(frame[12:ETH_HLEN], "big")
        super().hand_up(slot, frame[: ETH_HLEN + said] if said < 0x0600 else frame)


class _KeepsRunts(NetDevice):
    def transmit(
        self,
        frame: bytes,
        linear: int | None = None,
        offset: int = 0,
        fragments: Sequence[tuple[int, int]] = (),
    ) -> int:
        if ETH_ALEN <= len(frame) < ETH_HLEN:
            return 0
        return super().transmit(frame, linear, offset, fragments)


class _WantsALinearHeader(NetDevice):
    def _why_not(
        self, frame: bytes, linear: int, offset: int, fragments: Sequence[tuple[int, int]]
    ) -> str:
        if ETH_ALEN <= linear < ETH_HLEN:
            return "its header is not linear"
        return super()._why_not(frame, linear, offset, fragments)


class _ReadsBehindTheLinearPart(NetDevice):
    def _why_not(
        self, frame: bytes, linear: int, offset: int, fragments: Sequence[tuple[int, int]]
    ) -> str:
        why = super()._why_not(frame, linear, offset, fragments)
        return "" if "(DLV-10)" in why and linear >= 0 and len(frame) >= ETH_ALEN else why


class _LastInFirstOut(Host):
    def fill_order(self, guest: Guest, key: int, array: int) -> dict[int, int]:
        order = super().fill_order(guest, key, array)
        return {slot: -number for slot, number in order.items()}


class _FillsCountedToSixteen(Host):
    def fill_order(self, guest: Guest, key: int, array: int) -> dict[int, int]:
        order = super().fill_order(guest, key, array)
        return {slot: number % 16 for slot, number in order.items()}


class _DrainsFromSlotZero(Host):
    def fill_order(self, guest: Guest, key: int, array: int) -> dict[int, int]:
        return dict.fromkeys(super().fill_order(guest, key, array), 0)


class _DrainsFromTheCursor(Host):
    def fill_order(self, guest: Guest, key: int, array: int) -> dict[int, int]:
        binding = self.binding(guest, key, array)
        if binding is None:
            return {}
        return {slot: (slot - binding.cursor) % binding.count for slot in binding.filled}


BROKEN = (
    Broken(
        "compares-five-bytes",
        "DLV-1",
        "the last byte of an address is not compared",
        Parts(device=_ComparesFiveBytes),
    ),
    Broken(
        "compares-a-word",
        "DLV-1",
        "the last two bytes of an address are not compared",
        Parts(device=_ComparesAWord),
    ),
    Broken(
        "ignores-the-first-byte",
        "DLV-1",
        "the first byte of an address is not compared",
        Parts(device=_IgnoresFirstByte),
    ),
    Broken(
        "first-of-two-slots",
        "DLV-2",
        "of two slots with one address only the first gets a unicast",
        Parts(device=_FirstOfTwo),
    ),
    Broken(
        "unicast-twice",
        "DLV-2",
        "a unicast reaches its peer twice",
        Parts(device=_UnicastTwice),
    ),
    Broken(
        "unicast-misses-slot-zero",
        "DLV-2",
        "a unicast never reaches slot 0",
        Parts(device=_MissesSlotZero),
    ),
    Broken(
        "only-broadcast-is-a-group",
        "DLV-3",
        "treats only ff:ff:ff:ff:ff:ff as a group",
        Parts(device=_OnlyBroadcastIsAGroup),
    ),
    Broken(
        "ipv6-groups-are-unicast",
        "DLV-3",
        "treats 33:33 groups as unicast addresses",
        Parts(device=_Ipv6IsUnicast),
    ),
    Broken(
        "only-known-groups",
        "DLV-3",
        "treats groups other than broadcast, 01 and 33:33 as unicast addresses",
        Parts(device=_OnlyKnownGroups),
    ),
    Broken(
        "group-misses-the-last-slot",
        "DLV-3",
        "a frame to a group never reaches the last slot of the pages",
        Parts(device=_GroupMissesLastSlot),
    ),
    Broken(
        "looks-at-the-first-page-only",
        "DLV-3",
        "slots behind the first device page never receive",
        Parts(device=_FirstPageOnly),
    ),
    Broken(
        "promiscuous-miss-groups",
        "DLV-4",
        "promiscuous peers miss frames to groups",
        Parts(device=_PromiscuousMissGroups),
    ),
    Broken(
        "promiscuous-told-twice",
        "DLV-4",
        "a promiscuous peer gets what is addressed to it twice",
        Parts(device=_PromiscuousToldTwice),
    ),
    Broken(
        "promiscuous-miss-unknown",
        "DLV-4",
        "promiscuous peers miss frames to an address that nobody publishes",
        Parts(device=_PromiscuousMissUnknown),
    ),
    Broken(
        "promiscuous-miss-promiscuous",
        "DLV-4",
        "promiscuous peers miss what another promiscuous peer sends to others",
        Parts(device=_PromiscuousMissPromiscuous),
    ),
    Broken(
        "first-promiscuous-only",
        "DLV-4",
        "of several promiscuous peers only the first gets unicasts to others",
        Parts(device=_FirstPromiscuous),
    ),
    Broken(
        "hears-its-own-groups",
        "DLV-5",
        "a sender hands its own frames to groups up",
        Parts(device=_HearsItsGroups),
    ),
    Broken(
        "hears-its-own-address",
        "DLV-5",
        "a sender hands frames to its own address up",
        Parts(device=_HearsItsOwnAddress),
    ),
    Broken(
        "hears-itself-when-promiscuous",
        "DLV-5",
        "a promiscuous sender hands its own unicasts up",
        Parts(device=_HearsItselfWhenPromiscuous),
    ),
    Broken(
        "sends-to-its-own-slot",
        "DLV-5",
        "a frame to a group is offered to the sender's own slot too, where it fails",
        Parts(device=_SendsToItsOwnSlot),
    ),
    Broken(
        "fills-the-gaps",
        "DLV-6",
        "frames to groups go to the unused slots between used ones too",
        Parts(device=_FillsTheGaps),
    ),
    Broken(
        "zero-matches-unused",
        "DLV-6",
        "a frame to 00:00:00:00:00:00 goes to the unused slots",
        Parts(device=_ZeroMatchesUnused),
    ),
    Broken(
        "floods-unknown",
        "DLV-7",
        "a unicast that nobody publishes reaches everybody",
        Parts(device=_FloodsUnknown),
    ),
    Broken(
        "unknown-goes-to-the-first",
        "DLV-7",
        "a unicast that nobody publishes reaches the first other peer",
        Parts(device=_UnknownGoesToTheFirst),
    ),
    Broken(
        "unknown-is-an-error",
        "DLV-7",
        "sending to an address that nobody publishes reports an error",
        Parts(device=_UnknownIsAnError),
    ),
    Broken(
        "reaches-own-devices",
        "DLV-8",
        "the Host delivers to another device of the sending Guest",
        Parts(host=_ReachesOwnDevices),
    ),
    Broken(
        "skips-own-devices",
        "DLV-8",
        "another device of the sending Guest is passed over and counts nothing",
        Parts(device=_SkipsOwnDevices),
    ),
    Broken(
        "rewrites-the-source",
        "DLV-9",
        "the source address is overwritten with the sender's own",
        Parts(device=_RewritesSource),
    ),
    Broken(
        "pads-what-it-sends",
        "DLV-9",
        "frames shorter than 60 bytes are sent with zeros behind",
        Parts(device=_PadsWhatItSends),
    ),
    Broken(
        "strips-tags",
        "DLV-9",
        "the receiver takes VLAN tags out",
        Parts(device=_StripsTags),
    ),
    Broken(
        "strips-padding",
        "DLV-9",
        "the receiver cuts 802.3 frames to the length that their header names",
        Parts(device=_StripsPadding),
    ),
    Broken(
        "keeps-runts",
        "DLV-10",
        "a runt is not sent at all",
        Parts(device=_KeepsRunts),
    ),
    Broken(
        "wants-a-linear-header",
        "DLV-10",
        "refuses a frame that has 6 to 13 linear bytes and fragments",
        Parts(device=_WantsALinearHeader),
    ),
    Broken(
        "reads-behind-the-linear-part",
        "DLV-10",
        "sends a frame with fewer than six linear bytes",
        Parts(device=_ReadsBehindTheLinearPart),
    ),
    Broken(
        "last-in-first-out",
        "DLV-11",
        "a batch of frames is handed up backwards",
        Parts(host=_LastInFirstOut),
    ),
    Broken(
        "fills-counted-to-sixteen",
        "DLV-11",
        "the number of a fill wraps at 16, and a batch across that is out of order",
        Parts(host=_FillsCountedToSixteen),
    ),
    Broken(
        "drains-from-slot-zero",
        "DLV-11",
        "a batch that wraps round the ring is handed up in slot order",
        Parts(host=_DrainsFromSlotZero),
    ),
    Broken(
        "drains-from-the-cursor",
        "DLV-11",
        "the order of a batch is guessed from the cursor, which empty DMAs move too",
        Parts(host=_DrainsFromTheCursor),
    ),
)
