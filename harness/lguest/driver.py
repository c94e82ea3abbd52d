"""The Guest's network driver, ``lguest_net.c``: one device, one slot.

Opening publishes an address, fills eight receive buffers and binds them (D:550).
Transmitting looks through the published addresses and makes one SEND_DMA for
each peer that wants the frame (D:570). On an interrupt, filled buffers are taken,
replaced, and passed up to the network stack if their length is valid (D:560).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Self

from harness.lguest import dma
from harness.lguest.dma import NO_LENGTH, PAGE_SIZE, USED_LEN, Section
from harness.lguest.events import (
    ETH_ALEN,
    ETH_HLEN,
    Dropped,
    Fault,
    Point,
    Received,
    Refused,
    Transmitted,
)
from harness.lguest.guest import (
    ACKNOWLEDGE,
    DESCRIPTOR,
    DRIVER,
    DRIVER_OK,
    SEND_PAGES,
    TYPE_NET,
    Guest,
)
from harness.lguest.host import STEP_NS
from harness.lguest.memory import ADDRESS_BYTES, PROMISC_BIT, DevicePages, LguestError, Roster

NUM_SKBS = 8
"""Receive buffers of a device."""

BUFFER_BYTES = ETH_HLEN + 1500
"""Bytes in a receive buffer (SEC-5)."""

LARGEST_FRAME = 65535
"""Bytes in the largest packet a network stack makes."""

ENOMEM = -12
NOCSUM = 0x4000
"""LGUEST_NET_F_NOCSUM, a feature bit (RCV-4)."""

MEGAPACKET = "Woah dude!  Megapacket!"

MOST_REMEMBERED = 4096
"""Destinations whose receivers a device remembers."""

_USED = struct.Struct("<" + "I96x" * NUM_SKBS)
_SLOTS = range(NUM_SKBS)
_NONE_USED = (0,) * NUM_SKBS
_RING_BYTES = NUM_SKBS * dma.SIZE
_new_tuple = tuple.__new__  # a NamedTuple's own __new__ takes twice as long
_get_length = USED_LEN.unpack_from


@dataclass(slots=True)
class Counters:
    """A device's statistics (F)."""

    tx_packets: int = 0
    tx_bytes: int = 0
    tx_carrier_errors: int = 0
    rx_packets: int = 0
    rx_bytes: int = 0


class NetDevice:
    """One lguest network device.

    ``slot`` is its peer number, ``address`` its six bytes (PUB-2), ``ring`` the
    physical address of its eight receive ``struct lguest_dma``, ``sending`` that of the
    one it sends with.
    """

    shortest = ETH_HLEN
    """Bytes in the shortest frame that is passed up (LEN-1, LEN-2)."""

    longest = BUFFER_BYTES
    """Bytes in the longest frame that is passed up (LEN-1, LEN-3)."""

    def __init__(
        self, guest: Guest, index: int, features: int, page: int, pages: int, rx_offset: int
    ) -> None:
        if not 0 <= rx_offset < PAGE_SIZE:
            raise LguestError(f"a receive buffer cannot start at {rx_offset} in a page")
        self.guest = guest
        self.name = f"eth{index}"
        self.interrupt = index + 1
        self.page = page
        self.slot = features & (pages * PAGE_SIZE - 1)
        self.checksum_unnecessary = bool(features & NOCSUM)
        self.scatter_gather = self.checksum_unnecessary  # only together (RCV-4)
        self.address = b"\x02\x00" + guest.id.to_bytes(2, "little") + b"\x00\x00"
        self.pages = self._mapped(page, pages)
        self.counters = Counters()
        self.promiscuous = False
        self.all_multicast = False
        self.multicast_count = 0
        self.is_open = False
        control = guest.reserve(1)
        self._store = guest.memory.private
        self._words = guest.memory.words
        self.ring = control
        self.sending = control + _RING_BYTES
        size = len(dma.linear_sections(rx_offset, BUFFER_BYTES))
        first = guest.reserve(size * (NUM_SKBS + 1)) + rx_offset
        self.spare = [first + i * size * PAGE_SIZE for i in reversed(range(NUM_SKBS + 1))]
        self.buffers: list[int | None] = [None] * NUM_SKBS
        self._version = -1
        self._roster = self.pages.roster()
        self._wanted: dict[bytes, tuple[int, ...]] = {}
        self._lists: dict[int, bytes] = {}
        self.offer_lists: dict[int, bytes] = {}

    @classmethod
    def probe(cls, guest: Guest, index: int, rx_offset: int = 16) -> Self:
        """Set up the device whose descriptor is number ``index`` (D:510, DEV-1, DEV-3).

        ``rx_offset`` is where in a page each of its receive buffers starts.
        """
        guest.alive()
        at = guest.memory.normal + index * DESCRIPTOR.size
        kind, features, status, pages, pfn = DESCRIPTOR.unpack(
            guest.memory.read(at, DESCRIPTOR.size)
        )
        if kind != TYPE_NET:
            raise LguestError(f"descriptor {index} of Guest {guest.id} is not a network device")
        for bit in (ACKNOWLEDGE, DRIVER, DRIVER_OK):
            status |= bit
            guest.memory.write(at, DESCRIPTOR.pack(kind, features, status, pages, pfn))
        device = cls(guest, index, features, pfn * PAGE_SIZE, pages, rx_offset)
        guest.devices.append(device)
        return device

    def _mapped(self, page: int, count: int) -> DevicePages:
        mapped = self.guest.memory.device_at(page)
        if mapped is None or mapped.pages != count:
            raise LguestError(f"{self._who()}: no {count} device pages at {page:#x}")
        if self.slot >= mapped.slots:
            raise LguestError(f"{self._who()}: peer number {self.slot} is not on {count} pages")
        return mapped

    # Opening and closing (D:550)

    @property
    def key(self) -> int:
        """The key of this device's own slot."""
        return self.peer_key(self.slot)

    def peer_key(self, slot: int) -> int:
        """The key of any slot: address of the device page plus four times the slot."""
        return self.page + 4 * slot

    def open(self) -> int:
        """Publish, fill, bind; 0, or -12 when there is no memory or no room to bind (LIF-1)."""
        self.guest.alive()
        if self.is_open:
            raise LguestError(f"{self._who()} is open already")
        host = self.guest.host
        host.tick()
        self.pages.publish(self.slot, self.address)
        self.show_promiscuity()
        if not self.goes_on(Point.PUBLISHED):
            return ENOMEM
        for slot in range(NUM_SKBS):
            if not self.fill(slot):
                return self.give_up(slot)
            if self.guest.dead is not None:
                return ENOMEM
        if not self.goes_on(Point.FILLED):
            return ENOMEM
        if not self.guest.bind_dma(self.key, self.ring, NUM_SKBS, self.interrupt):
            return self.give_up(NUM_SKBS)
        self.is_open = True
        return 0

    def goes_on(self, point: Point) -> bool:
        """Another CPU may act; false if this Guest was killed by it (DMA-9)."""
        guest = self.guest
        if guest.host.interleave is not None:
            guest.host.interleave(point, guest)
        return guest.dead is None

    def give_up(self, filled: int) -> int:
        """Undo an open that failed after this many buffers were filled; -12 (LIF-1, DEF-7)."""
        for slot in range(filled):
            self._free(slot)
        if not self.guest.host.defects.leaves_ghosts:
            self.unpublish()
        return ENOMEM

    def close(self) -> None:
        """Zero the slot, then unbind, then free the buffers (PUB-5)."""
        self.guest.alive()
        if not self.is_open:
            raise LguestError(f"{self._who()} is not open")
        host = self.guest.host
        host.tick()
        self.unpublish()
        if not self.goes_on(Point.UNPUBLISHED):
            return
        self.guest.bind_dma(self.key, self.ring, NUM_SKBS, 0)
        if not self.goes_on(Point.UNBOUND):
            return
        for slot in range(NUM_SKBS):
            self._free(slot)
        self.is_open = False

    def unpublish(self) -> None:
        """Zero the six bytes of the own slot (PUB-5)."""
        self.pages.publish(self.slot, bytes(ADDRESS_BYTES))

    def set_flags(
        self, *, promiscuous: bool = False, all_multicast: bool = False, multicast_count: int = 0
    ) -> None:
        """Change what the device listens to; the callback runs on an open device only (PUB-4)."""
        self.guest.alive()
        self.guest.host.tick()
        self.promiscuous = promiscuous
        self.all_multicast = all_multicast
        self.multicast_count = multicast_count
        if self.is_open:
            self.show_promiscuity()

    def show_promiscuity(self) -> None:
        """The set-multicast callback: set or clear the promiscuous bit (PUB-4)."""
        published = self.pages.published(self.slot)
        first = published[0] & ~PROMISC_BIT
        if self.wants_everything():
            first |= PROMISC_BIT
        self.pages.publish(self.slot, bytes((first,)) + published[1:])

    def wants_everything(self) -> bool:
        """Whether the device asks for every frame (PUB-4)."""
        return self.promiscuous or self.all_multicast or self.multicast_count > 0

    # Transmitting (D:570)

    def transmit(
        self,
        frame: bytes,
        linear: int | None = None,
        offset: int = 0,
        fragments: Sequence[tuple[int, int]] = (),
    ) -> int:
        """Send a frame to every peer that wants it; always 0, "success" (LIF-3).

        The first ``linear`` bytes (all, if None) lie at ``offset`` in a page, the rest in
        ``fragments`` of (size, offset in a page of its own). What a Guest's network stack
        would never give to the driver raises LguestError and sends nothing.
        """
        guest = self.guest
        host = guest.host
        host.now += STEP_NS
        length = len(frame)
        listed = self._lists.get(length)
        if (
            listed is None
            or linear is not None
            or offset
            or fragments
            or not self.is_open
            or guest.dead is not None
        ):
            listed, sections = self._prepare(frame, linear, offset, fragments)
        else:
            start = guest.send_area
            self._store[start : start + length] = frame
            sections = 1
        if host.trace:
            self._record_transmitted(frame, sections)
        pages = self.pages
        if pages.exposed or pages.version != self._version:
            self._refresh_roster()
        destination = frame[:ETH_ALEN]
        wanted = self._wanted.get(destination)
        if wanted is None:
            wanted = self._remember_wanted(destination)
        for slot in wanted:
            if host.interleave is not None and not self.goes_on(Point.ADDRESSED):
                break
            if sections > dma.MAX_SECTIONS:
                guest.log(MEGAPACKET)
            self.transfer(listed, length, slot)
            if guest.dead is not None:
                break
            if host.interleave is not None or pages.exposed:
                self._transmit_rest(frame, listed, sections, slot)
                break
        return 0

    def _refresh_roster(self) -> None:
        """Forget the remembered receivers if the page has changed."""
        self._version = self.pages.version
        roster = self.pages.roster()
        if roster is not self._roster:
            self._roster = roster
            self._wanted.clear()

    def _remember_wanted(self, destination: bytes) -> tuple[int, ...]:
        """``wanted_by``, cached until the page changes."""
        wanted = self.wanted_by(destination, self._roster)
        if len(self._wanted) < MOST_REMEMBERED:
            self._wanted[destination] = wanted
        return wanted

    def _transmit_rest(self, frame: bytes, listed: bytes, sections: int, after: int) -> None:
        """Send to the slots behind ``after``, reading the page afresh for each of them."""
        guest = self.guest
        host = guest.host
        while guest.dead is None:
            wanted = self.wanted_by(frame[:ETH_ALEN], self.pages.roster())
            slot = next((slot for slot in wanted if slot > after), None)
            if slot is None:
                return
            if host.interleave is not None and not self.goes_on(Point.ADDRESSED):
                return
            if sections > dma.MAX_SECTIONS:
                guest.log(MEGAPACKET)
            self.transfer(listed, len(frame), slot)
            after = slot

    def _prepare(
        self,
        frame: bytes,
        linear: int | None,
        offset: int,
        fragments: Sequence[tuple[int, int]],
    ) -> tuple[bytes, int]:
        """Check a frame, put it into Guest memory and pack it: the list, and its sections."""
        guest = self.guest
        guest.alive()
        if linear is None:
            linear = len(frame)
        why = self.why_not(frame, linear, offset, fragments)
        if why:
            if guest.host.trace:
                guest.host.events.append(Refused(guest.host.now, guest.id, self.slot, frame, why))
            raise LguestError(f"{self._who()} cannot send this frame: {why}")
        sections = self.sections_of(self.place(frame, linear, offset, fragments))
        listed = self.pack(sections)
        if sections == [Section(guest.send_area, len(frame))]:
            self._lists[len(frame)] = listed
        return listed, len(sections)

    def _record_transmitted(self, frame: bytes, sections: int) -> None:
        guest = self.guest
        packed = min(sections, dma.MAX_SECTIONS)
        guest.host.events.append(
            Transmitted(guest.host.now, guest.id, self.slot, frame, sections, packed)
        )

    def why_not(
        self, frame: bytes, linear: int, offset: int, fragments: Sequence[tuple[int, int]]
    ) -> str:
        """Why the frame cannot be sent, or nothing."""
        if not self.is_open:
            return "the device is not open"
        if not 0 <= offset < PAGE_SIZE:
            return f"a linear part cannot start at {offset} in a page"
        if linear < ETH_ALEN:
            return f"its linear part of {linear} bytes is too short for a destination (DLV-10)"
        if len(frame) > LARGEST_FRAME:
            return f"{len(frame)} bytes is more than the {LARGEST_FRAME} of the largest packet"
        if linear + sum(size for size, _ in fragments) != len(frame):
            return f"linear part and fragments do not add up to its {len(frame)} bytes"
        if offset + linear > dma.MAX_SECTIONS * PAGE_SIZE:
            needed = len(dma.linear_sections(offset, linear))
            known = " (DEF-4)" if self.guest.host.defects.overruns_section_list else ""
            return (
                f"its linear part takes {needed} sections, and would overrun the 16 of a"
                f" struct lguest_dma{known} (SEC-4)"
            )
        pages = -(-(offset + linear) // PAGE_SIZE) + len(fragments)
        if pages > SEND_PAGES:
            return f"it lies in {pages} pages, and the Guest keeps {SEND_PAGES} for sending"
        for size, start in fragments:
            if size < 1 or start < 0 or start + size > PAGE_SIZE:
                return f"a fragment of {size} bytes at {start} does not lie in one page (SEC-1)"
        return ""

    def place(
        self, frame: bytes, linear: int, offset: int, fragments: Sequence[tuple[int, int]]
    ) -> list[Section]:
        """Put a frame into Guest memory as its stack would; returns (address, length) runs."""
        memory = self.guest.memory
        start = self.guest.send_area + offset
        if not fragments:
            memory.private[start : start + linear] = frame
            return [Section(start, linear)]
        memory.private[start : start + linear] = frame[:linear]
        runs = [Section(start, linear)]
        page = start + linear + -(start + linear) % PAGE_SIZE
        done = linear
        for size, begin in fragments:
            memory.private[page + begin : page + begin + size] = frame[done : done + size]
            runs.append(Section(page + begin, size))
            page += PAGE_SIZE
            done += size
        return runs

    def sections_of(self, runs: list[Section]) -> list[Section]:
        """The sections of a frame: its linear part cut at pages, then its fragments (SEC-1)."""
        return dma.linear_sections(*runs[0]) + runs[1:]

    def pack(self, sections: list[Section]) -> bytes:
        """``skb_to_dma``: the list of what fits of these sections (SEC-2, SEC-3)."""
        return dma.pack(sections[: dma.MAX_SECTIONS])

    def wanted_by(self, destination: bytes, roster: Roster) -> tuple[int, ...]:
        """The slots that get a frame to this destination, ascending, never one's own (B)."""
        if destination[0] & 1:
            slots = set(roster.used)
        else:
            slots = {*roster.owners.get(destination, ()), *roster.promiscuous}
        return tuple(sorted(slots - {self.slot}))

    def transfer(self, listed: bytes, length: int, slot: int) -> None:
        """One SEND_DMA to one peer, and its effect on the counters (CNT-1, CNT-3)."""
        guest = self.guest
        store = self._store
        at = self.sending
        store[at : at + dma.SIZE] = NO_LENGTH + listed
        guest.host.send_dma(guest, self.page + 4 * slot, at)
        if guest.dead is not None:
            return
        counters = self.counters
        if _get_length(store, at)[0] == length:
            counters.tx_packets += 1
            counters.tx_bytes += length
        else:
            counters.tx_carrier_errors += 1

    # Receiving (D:560)

    def fill(self, slot: int) -> bool:
        """Put a fresh buffer in a slot of the ring; false when there is no memory (RCV-5)."""
        guest = self.guest
        if not guest.allocate():
            self.buffers[slot] = None
            guest.log(f"{self.name}: could not fill slot {slot}")
            return False
        self.offer(slot, self.spare.pop())
        return True

    def offer(self, slot: int, address: int) -> None:
        """Give a buffer to the Host: its list first, only then ``used_len`` 0 (RCV-2)."""
        self.buffers[slot] = address
        at = self.ring + slot * dma.SIZE
        listed = self.offer_lists.get(address) or self.offer_list(address)
        self._store[at + 4 : at + dma.SIZE] = listed
        if self.guest.host.interleave is not None and not self.goes_on(Point.LISTED):
            return
        self._words[at >> 2] = 0

    def offer_list(self, address: int) -> bytes:
        """The section list of a receive buffer that starts there (SEC-5)."""
        listed = self.offer_lists[address] = self.pack(dma.linear_sections(address, BUFFER_BYTES))
        return listed

    def _free(self, slot: int) -> None:
        buffer = self.buffers[slot]
        if buffer is not None:
            self.spare.append(buffer)
            self.buffers[slot] = None

    def receive(self) -> bool:
        """The interrupt handler: false if no buffer was filled, "not our interrupt" (RCV-1)."""
        store = self._store
        host = self.guest.host
        used = _USED.unpack_from(store, self.ring)
        if used == _NONE_USED:
            return False
        if not self.is_open:
            return self._receive_closed(used)
        if host.defects.drains_from_slot_zero:
            if host.interleave is None:
                for slot in compress(_SLOTS, used):
                    self.take(slot, used[slot])
                return True
            for slot in range(NUM_SKBS):
                length = _USED.unpack_from(store, self.ring)[slot]
                if length and self.guest.dead is None:
                    self.take(slot, length)
            return True
        if host.interleave is None:
            full = list(compress(_SLOTS, used))
            if len(full) > 1:
                full.sort(key=host.fill_order(self.guest, self.ring, NUM_SKBS).__getitem__)
            for slot in full:
                self.take(slot, used[slot])
            return True
        # Others may fill more meanwhile: what a ring holds is taken, the rest interrupts again.
        for _ in _SLOTS:
            used = _USED.unpack_from(store, self.ring)
            full = list(compress(_SLOTS, used))
            if not full or self.guest.dead is not None:
                break
            order = host.fill_order(self.guest, self.ring, NUM_SKBS)
            first = min(full, key=order.__getitem__)
            self.take(first, used[first])
        return True

    def _receive_closed(self, used: tuple[int, ...]) -> bool:
        """DEF-6: a closed device's handler still looks at its ring, whose buffers were freed."""
        guest = self.guest
        if not guest.host.defects.handler_survives_close:
            return False
        for slot, length in enumerate(used):
            if length:
                text = f"{self.name}: the handler of a closed device touched freed buffer {slot}"
                guest.host.events.append(Fault(guest.host.now, guest.id, "DEF-6", text))
        return True

    def take(self, slot: int, length: int) -> None:
        """Take a filled buffer, put a fresh one in its place, then judge the length (RCV-1)."""
        guest = self.guest
        host = guest.host
        if host.interleave is not None and not self.goes_on(Point.TAKEN):
            return
        buffer = self.buffers[slot]
        if guest.memory_left is None:
            self.offer(slot, self.spare.pop())
        elif not self.fill(slot) and not host.defects.failed_refill_leaves_hole:
            if buffer is not None:
                self.drop(slot, buffer, length, "no memory for a fresh buffer")
                self.offer(slot, buffer)
            return
        if guest.dead is not None:
            return
        if not self.shortest <= length <= self.longest:
            if buffer is not None:
                self.drop(slot, buffer, length, _bad_length(length))
                self.spare.append(buffer)
            return
        if buffer is None:
            text = f"{self.name}: slot {slot} looks used and has no buffer: null pointer"
            host.events.append(Fault(host.now, guest.id, "DEF-8", text))
            return
        frame = self._store[buffer : buffer + length]
        self.spare.append(buffer)
        self.pass_up(slot, frame)

    def pass_up(self, slot: int, frame: bytes) -> None:
        """Count a frame and pass it up to the Guest's network stack (CNT-4)."""
        guest = self.guest
        host = guest.host
        counters = self.counters
        counters.rx_packets += 1
        counters.rx_bytes += len(frame) - ETH_HLEN
        fields = (
            host.now,
            guest.id,
            self.slot,
            slot,
            frame,
            self.checksum_unnecessary,
            self.address,
        )
        host.events.append(_new_tuple(Received, fields))

    def drop(self, slot: int, buffer: int, length: int, reason: str) -> None:
        """Drop a frame of invalid length, in silence (LEN-1)."""
        guest = self.guest
        if guest.host.trace:
            size = min(length, BUFFER_BYTES)
            frame = guest.memory.private[buffer : buffer + size]
            guest.host.events.append(
                Dropped(guest.host.now, guest.id, self.slot, slot, frame, reason)
            )

    def _who(self) -> str:
        return f"{self.name} of Guest {self.guest.id}"


def _bad_length(length: int) -> str:
    kind = "runt" if length < ETH_HLEN else "giant"
    return f"{kind}: {length} bytes, dropped by the receiver"
