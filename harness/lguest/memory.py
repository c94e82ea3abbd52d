"""A Guest's physical memory, and the device pages that Guests share.

The bytes here are the truth: the Host finds everything it copies by them, and
whatever is cached (a checked section list, the roster of a device page) is
cached for exactly the bytes that are there.

A Guest sees three regions, one above the other: its normal memory, one page of
device descriptors, and the pages of each device that its Launcher mapped for it.
All of them are demand-zero maps, so a LAN of 682 Guests stays small.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from itertools import compress
from typing import NamedTuple, Protocol

from harness.lguest import dma
from harness.lguest.dma import PAGE_SIZE

ADDRESS_BYTES = 6
"""Bytes in one published address (``struct lguest_net``)."""

PROMISC_BIT = 0x01
"""In the first published byte: "send me everything" (PUB-3, D:570)."""

ADDRESS_SPACE = 1 << 32
"""A 32-bit Guest: addresses are taken modulo this."""


class LguestError(Exception):
    """The simulation refuses a request; the message is one line."""


class BadList(Exception):
    """A section list that the Host refuses (DMA-4); the message names the bad section."""

    def __init__(self, section: dma.Section) -> None:
        super().__init__(f"bad DMA entry: {section.length}@{section.address:#x}")


class BadArray(Exception):
    """A bound array of DMA structures that does not lie in its owner's memory."""


class Chunk(NamedTuple):
    """A checked section: ``length`` bytes at ``offset`` of ``store``."""

    store: mmap.mmap
    offset: int
    length: int


class Key:
    """The place that a hypercall's key names; one object per place, compared by identity.

    ``space`` is the device pages for a shared mapping, wherever each Guest sees
    them (the futex trick), and the Guest's own memory for a private one. ``bound``
    is the Host's: the arrays bound to this key, the newest first.
    """

    __slots__ = ("bound", "offset", "shared", "space")

    def __init__(self, space: DevicePages | GuestMemory, offset: int) -> None:
        self.space = space
        self.offset = offset
        self.shared = isinstance(space, DevicePages)
        self.bound: list[Binding] = []


class Owner(Protocol):
    """Who has memory and can bind arrays: a Guest, as the Host sees it (``guest.Guest``).

    ``pending`` has a bit per interrupt raised and not yet taken; ``dead`` is why the Host
    killed it, or None; ``routes`` are the shared keys that it used; ``filled`` gives the
    address of each structure that was filled the number of its last fill, by which DEF-2 is
    mended; ``launcher`` answers SEND_DMA on a private key.
    """

    id: int
    memory: GuestMemory
    pending: int
    dead: str | None
    routes: dict[int, Key]
    filled: dict[int, int]

    @property
    def launcher(self) -> Callable[[Owner, int, int], None] | None: ...

    def interrupt(self) -> bool:
        """Take every pending interrupt; whether any handler had work."""


@dataclass(slots=True, eq=False)
class Binding:
    """A bound array of ``count`` DMA structures (DMA-1).

    ``store`` is the normal memory that the array lies in, None if it does not lie
    there whole. ``cursor`` is where the search for a free buffer starts, always less
    than ``count``; where ``wraps``, it follows a count of ``transfers`` in 16 bits (DEF-10).
    """

    guest: Owner
    key: Key
    array: int
    count: int
    interrupt_bit: int
    store: mmap.mmap | None
    words: memoryview | None
    wraps: bool = False
    cursor: int = 0
    transfers: int = 0

    def advance(self) -> None:
        """Move the cursor by one (DMA-2)."""
        if self.wraps:
            self.transfers = (self.transfers + 1) & 0xFFFF
            self.cursor = self.transfers % self.count
        else:
            self.cursor = (self.cursor + 1) % self.count


@dataclass(frozen=True, slots=True)
class Roster:
    """Who is on a device page: its bytes, parsed once (D:570).

    ``used`` and ``promiscuous`` are slots in ascending order; ``owners`` maps an
    address, its promiscuous bit cleared, to the slots that publish it.
    """

    page: bytes
    used: tuple[int, ...]
    promiscuous: tuple[int, ...]
    owners: dict[bytes, tuple[int, ...]]


def read_roster(page: bytes) -> Roster:
    """The roster of a device page with these bytes."""
    slots = len(page) // ADDRESS_BYTES
    used = tuple(compress(range(slots), page[::ADDRESS_BYTES]))
    promiscuous = []
    owners: dict[bytes, tuple[int, ...]] = {}
    for slot in used:
        first = page[slot * ADDRESS_BYTES]
        if first & PROMISC_BIT:
            promiscuous.append(slot)
        rest = page[slot * ADDRESS_BYTES + 1 : slot * ADDRESS_BYTES + ADDRESS_BYTES]
        address = bytes((first & ~PROMISC_BIT,)) + rest
        owners[address] = (*owners.get(address, ()), slot)
    return Roster(page, used, tuple(promiscuous), owners)


class DevicePages:
    """The page (or two, or four) on which peers publish their addresses.

    ``store`` is the mapping, anonymous unless one of a file is given. It is written
    through ``write`` alone, so that ``version`` counts its changes; where others may
    write it too, another process or a copy by the Host, it is ``exposed``. On a
    ``shared`` one, keys are the same for every Guest that maps it; on a private
    one they reach the Guest's Launcher (HST-2).
    """

    def __init__(
        self,
        pages: int,
        *,
        shared: bool = True,
        store: mmap.mmap | None = None,
        identity: object = None,
    ) -> None:
        self.pages = pages
        self.shared = shared
        self.size = pages * PAGE_SIZE
        self.slots = self.size // ADDRESS_BYTES
        self.store = mmap.mmap(-1, self.size) if store is None else store
        self.exposed = store is not None
        self.version = 0
        self.identity = identity
        self.keys: dict[int, Key] = {}
        self._roster = read_roster(self.store[:])

    def key(self, offset: int) -> Key:
        """The key at an offset: the same for every Guest."""
        return self.keys.setdefault(offset, Key(self, offset))

    def published(self, slot: int) -> bytes:
        """The six bytes of a slot."""
        return self.store[slot * ADDRESS_BYTES : (slot + 1) * ADDRESS_BYTES]

    def publish(self, slot: int, address: bytes) -> None:
        """Write the six bytes of a slot, whatever they are."""
        if len(address) != ADDRESS_BYTES:
            raise LguestError(f"an address has six bytes, not {len(address)}")
        self.write(slot * ADDRESS_BYTES, address)

    def write(self, offset: int, data: bytes) -> None:
        """Put bytes anywhere on the pages."""
        self.store[offset : offset + len(data)] = data
        self.version += 1

    def roster(self) -> Roster:
        """Who is on the page as it is now."""
        page = self.store[:]
        if page != self._roster.page:
            self._roster = read_roster(page)
        return self._roster


class GuestMemory:
    """What one Guest can address: normal memory, descriptors, device pages.

    ``pages`` counts normal memory; the descriptor page lies right above it, and
    each mapped device above that, in the order of mapping. ``private`` is both of the
    first, ``words`` the same in units of four bytes, for asking whether one is zero.
    ``limit`` is where the memory ends; ``last_end`` is the highest address at which a range
    that the Host accepts may end, one less if the Host ``refuses_end`` (DEF-9).
    """

    def __init__(self, pages: int, *, refuses_end: bool = False) -> None:
        self.normal = pages * PAGE_SIZE
        self.private_size = self.normal + PAGE_SIZE
        self.private = mmap.mmap(-1, self.private_size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.words = memoryview(self.private).cast("I")
        self._refuses_end = refuses_end
        self._set_limit(self.private_size)
        self._regions: list[tuple[int, DevicePages]] = []
        self.keys: dict[int, Key] = {}
        self.checked: dict[bytes, tuple[Chunk, ...]] = {}

    def map(self, device: DevicePages) -> int:
        """Map device pages above all that is there; returns their address."""
        base = self.limit
        self._regions.append((base, device))
        self._set_limit(base + device.size)
        return base

    def _set_limit(self, limit: int) -> None:
        self.limit = limit
        self.last_end = limit - self._refuses_end
        self.last_structure = min(self.private_size, self.last_end) - dma.SIZE

    def mapped(self) -> list[DevicePages]:
        """The device pages that are mapped, in order."""
        return [device for _, device in self._regions]

    def device_at(self, address: int) -> DevicePages | None:
        """The device pages that begin at this address, if any do."""
        return next((device for base, device in self._regions if base == address), None)

    def inside(self, address: int, length: int) -> bool:
        """Whether the range lies in this memory and does not wrap round."""
        return address >= 0 and address + length <= self.limit

    def address_ok(self, address: int, length: int) -> bool:
        """Whether the Host accepts the range (DMA-4, DEF-9)."""
        return address >= 0 and address + length <= self.last_end

    def _locate(self, address: int) -> tuple[mmap.mmap, int, int]:
        """The store behind an address, the offset in it, and where its region ends."""
        if address < self.private_size:
            return self.private, address, self.private_size
        for base, device in self._regions:
            if base <= address < base + device.size:
                return device.store, address - base, base + device.size
        raise LguestError(f"address {address:#x} is outside the Guest's memory")

    def read(self, address: int, length: int) -> bytes:
        """Bytes at an address, across regions if need be."""
        if address >= 0 and address + length <= self.private_size:
            return self.private[address : address + length]
        parts = []
        while length > 0:
            store, offset, end = self._locate(address)
            size = min(length, end - address)
            parts.append(store[offset : offset + size])
            address += size
            length -= size
        return b"".join(parts)

    def write(self, address: int, data: bytes) -> None:
        """Put bytes at an address, across regions if need be."""
        length = len(data)
        if address >= 0 and address + length <= self.private_size:
            self.private[address : address + length] = data
            return
        done = 0
        while done < length:
            store, offset, end = self._locate(address + done)
            part = data[done : done + end - address - done]
            device = self._device_of(store)
            if device is None:
                store[offset : offset + len(part)] = part
            else:
                device.write(offset, part)
            done += len(part)

    def key(self, address: int) -> Key | None:
        """What a hypercall's key at this address names; None for a bad one (DMA-7)."""
        key = self.keys.get(address)
        if key is None and not address & 3 and self.inside(address, 4):
            key = self.keys[address] = self._key(address)
        return key

    def _key(self, address: int) -> Key:
        for base, device in self._regions:
            if base <= address < base + device.size and device.shared:
                return device.key(address - base)
        return Key(self, address)

    def sections(self, listed: bytes) -> tuple[Chunk, ...]:
        """Check a section list as it lies in memory (96 bytes, behind ``used_len``).

        Returns where its bytes are; BadList names the first section that is bad (DMA-4).
        """
        known = self.checked.get(listed)
        if known is None:
            if len(self.checked) >= 4096:
                self.checked.clear()
            known = self.checked[listed] = self.check_list(listed)
        return known

    def check_list(self, listed: bytes) -> tuple[Chunk, ...]:
        """Where the sections of a list lie; BadList for one that the Host refuses (DMA-4)."""
        chunks = []
        for section in dma.unpack(listed):
            address, length = section
            if not self.address_ok(address, length) or address % PAGE_SIZE + length > PAGE_SIZE:
                raise BadList(section)
            store, offset, _ = self._locate(address)
            device = self._device_of(store)
            if device is not None:
                device.exposed = True
            chunks.append(Chunk(store, offset, length))
        return tuple(chunks)

    def _device_of(self, store: mmap.mmap) -> DevicePages | None:
        return next((device for _, device in self._regions if device.store is store), None)

    def close(self) -> None:
        """Release the memory. Device pages belong to whoever made them."""
        self.checked.clear()
        self.words.release()
        self.private.close()
