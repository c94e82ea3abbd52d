"""The Launcher: starts a Guest, finds it a slot, and plays the Host as a peer.

On a shared network the Launchers agree by file locks: each takes the first slot
whose byte it can lock (DEV-2). On a Host network there are two slots: the Guest
has 1, the Launcher 0, with a TAP behind it (H).
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Collection, Sequence
from pathlib import Path

from harness.lguest import dma
from harness.lguest.dma import NO_LENGTH, PAGE_SIZE, USED_LEN, Section
from harness.lguest.driver import NOCSUM, NetDevice
from harness.lguest.events import Copied, Warned
from harness.lguest.guest import DESCRIPTOR, MAX_DEVICES, TYPE_NET, Guest
from harness.lguest.host import Host
from harness.lguest.memory import (
    ADDRESS_BYTES,
    PROMISC_BIT,
    BadArray,
    Binding,
    DevicePages,
    LguestError,
    Owner,
)
from harness.lguest.tap import Tap

GUEST_PAGES = 399
"""Pages of normal memory; the descriptor page is number 400."""

RANDOMNESS = 0x8000
"""LGUEST_DEVICE_F_RANDOMNESS, a feature bit."""

HOST_SLOT, GUEST_SLOT = 0, 1
"""Slots on a Host network (HST-1)."""


class BadAddress(Exception):
    """A range that does not lie below the top of the Guest's memory; it ends the Launcher."""


_FLOCK = struct.Struct("hhqqi4x")


def check_pages(pages: int, *, speaks_of_defect: bool = False) -> None:
    """Refuse a LAN whose number of device pages cannot work (DEV-1, DEV-4, DEF-5)."""
    if pages >= 8:
        known = " (DEF-5)" if speaks_of_defect else ""
        raise LguestError(
            f"{pages} device pages: the mask that extracts the peer number would swallow"
            f" feature bits{known}; use 1, 2 or 4 (DEV-4)"
        )
    if pages not in (1, 2, 4):
        raise LguestError(f"{pages} device pages: must be 1, 2 or 4 (DEV-1)")


class SharedFile:
    """A shared network's file: the device pages, and a lock on one byte per taken slot.

    The locks belong to this open file, so they vanish when it is closed or its process
    ends, however it ends (DEV-2). Other processes, and other SharedFiles of this one,
    see them.
    """

    def __init__(self, path: Path, pages: int = 1) -> None:
        check_pages(pages)
        self.path = path
        self.taken: set[int] = set()
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LguestError(f"{path}: {error.strerror}") from None
        try:
            self._store = self._map(pages * PAGE_SIZE)
        except OSError as error:
            os.close(self._fd)
            raise LguestError(f"{path}: {error.strerror}") from None
        except LguestError:
            os.close(self._fd)
            raise
        about = os.fstat(self._fd)
        identity = (about.st_dev, about.st_ino)
        self.pages = DevicePages(pages, store=self._store, identity=identity)

    def _map(self, size: int) -> mmap.mmap:
        actual = os.fstat(self._fd).st_size
        if actual not in (0, size):
            pages = size // PAGE_SIZE
            raise LguestError(f"{self.path}: {actual} bytes, not the {size} of {pages} pages")
        os.ftruncate(self._fd, size)
        return mmap.mmap(self._fd, size)

    def take_slot(self, slot: int | None = None, shared: Collection[int] = ()) -> int:
        """Lock a slot, the first that is free if none is named; LguestError when taken.

        A lock on a ``shared`` slot is the caller's own, and does not keep it out (DEF-12).
        """
        candidates = range(self.pages.slots) if slot is None else (slot,)
        for candidate in candidates:
            if candidate in shared:
                return candidate
            # One open file may lock a byte twice, so what it holds is remembered.
            if candidate not in self.taken and self._lock(candidate):
                self.taken.add(candidate)
                return candidate
        if slot is not None:
            raise LguestError(f"{self.path}: slot {slot} is taken")
        raise LguestError(f"{self.path}: no free slot, all {self.pages.slots} are taken")

    def _lock(self, slot: int) -> bool:
        try:
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _flock(fcntl.F_WRLCK, slot))
        except (BlockingIOError, PermissionError):
            return False
        return True

    def free_slot(self, slot: int) -> None:
        """Release a slot."""
        fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _flock(fcntl.F_UNLCK, slot))
        self.taken.discard(slot)

    def close(self) -> None:
        """Close the file, which releases every slot taken through it."""
        self._store.close()
        os.close(self._fd)


def _flock(kind: int, byte: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, byte, 1, 0)


class Launcher:
    """The Host process that started one Guest.

    ``guest_class``, ``device_class`` and ``network_class`` are what it makes of its Guest, of
    the Guest's devices, and of a Host network.
    """

    network_class: type[HostNetwork]

    def __init__(
        self,
        host: Host,
        guest_id: int,
        pages: int = GUEST_PAGES,
        *,
        guest_class: type[Guest] = Guest,
        device_class: type[NetDevice] = NetDevice,
    ) -> None:
        self.host = host
        self.device_class = device_class
        self.guest = guest_class(host, guest_id, pages)
        self.guest.launcher = self.answer_send
        self._devices = 0
        self.slots: list[tuple[DevicePages, int, SharedFile | None]] = []
        self.networks: list[HostNetwork] = []

    def join(
        self,
        network: DevicePages | SharedFile,
        slot: int | None = None,
        *,
        nocsum: bool = True,
        randomness: bool = False,
        rx_offset: int = 16,
    ) -> NetDevice:
        """Offer the Guest a device on a shared network, and let it probe.

        On a SharedFile the ``slot`` is locked, the first free one if none is named; on plain
        device pages the caller says which.
        """
        file = network if isinstance(network, SharedFile) else None
        pages = file.pages if file is not None else network
        assert isinstance(pages, DevicePages)
        check_pages(pages.pages, speaks_of_defect=self.host.defects.mask_swallows_features)
        if slot is None and file is None:
            raise LguestError("device pages without a file have no locks: name the slot")
        if slot is not None and not 0 <= slot < pages.slots:
            raise LguestError(f"slot {slot} is not among the {pages.slots} of {pages.pages} pages")
        if file is not None:
            slot = file.take_slot(slot, self.own_slots(file.pages))
        assert slot is not None
        self.host.recognise(pages)
        if not self.host.defects.leaves_ghosts:
            pages.publish(slot, bytes(ADDRESS_BYTES))
        self.slots.append((pages, slot, file))
        return self.offer_device(pages, slot, nocsum, randomness, rx_offset)

    def own_slots(self, pages: DevicePages) -> set[int]:
        """The slots of a file that this Launcher's own locks do not keep it out of (DEF-12)."""
        if not self.host.defects.locks_belong_to_process:
            return set()
        return {slot for other, slot, _ in self.slots if other.identity == pages.identity}

    def join_host(self, tap: Tap, *, nocsum: bool = True, rx_offset: int = 16) -> HostNetwork:
        """Offer the Guest a device on a Host network, with this Launcher as slot 0 (HST-1)."""
        pages = DevicePages(1, shared=False)
        first = tap.address[0] | PROMISC_BIT
        pages.publish(HOST_SLOT, bytes((first,)) + tap.address[1:])
        device = self.offer_device(pages, GUEST_SLOT, nocsum, False, rx_offset)
        network = self.network_class(self, device, tap)
        self.networks.append(network)
        return network

    def offer_device(
        self, pages: DevicePages, slot: int, nocsum: bool, randomness: bool, rx_offset: int
    ) -> NetDevice:
        if self._devices >= MAX_DEVICES:
            raise LguestError(f"Guest {self.guest.id} has {MAX_DEVICES} devices already")
        features = slot | (NOCSUM if nocsum else 0) | (RANDOMNESS if randomness else 0)
        memory = self.guest.memory
        page = memory.map(pages)
        index = self._devices
        self._devices += 1
        memory.write(
            memory.normal + index * DESCRIPTOR.size,
            DESCRIPTOR.pack(TYPE_NET, features, 0, pages.pages, page // PAGE_SIZE),
        )
        return self.device_class.probe(self.guest, index, rx_offset)

    def answer_send(self, guest: Owner, key: int, address: int) -> None:
        """SEND_DMA on a private key: to the device that watches it, if one does (HST-2)."""
        try:
            sections = self.convert(address)
        except BadAddress as error:
            self.fail(str(error))
            return
        for network in self.networks:
            if key == network.device.peer_key(HOST_SLOT):
                network.output(address, sections)
                return
        self.warn(guest, key, address)

    def warn(self, guest: Owner, key: int, address: int) -> None:
        """Warn of a send to a key that no device watches (HST-2)."""
        text = f"Pending dma {address:#x}, key {key:#x}"
        self.host.events.append(Warned(self.host.now, guest.id, text))

    def convert(self, address: int) -> list[Section]:
        """The sections of a structure; BadAddress for what the Launcher cannot reach (HST-2)."""
        self.check(address, dma.SIZE)
        sections = dma.unpack(self.guest.memory.read(address + 4, dma.SIZE - 4))
        for section in sections:
            self.check(*section)
        return sections

    def check(self, address: int, length: int) -> None:
        """Raise BadAddress for a range that does not end below the top of memory."""
        if not self.guest.memory.inside(address, length + 1):
            raise BadAddress(f"invalid address {address:#x}")

    def fail(self, why: str) -> None:
        """End because of what the Guest did, and the Guest with it (HST-2)."""
        self.host.kill(self.guest, f"its Launcher ended: {why}")
        self.exit()

    @property
    def runs(self) -> bool:
        """Whether it has not ended; another Guest may have its Guest's id by then."""
        return self.host.guests.get(self.guest.id) is self.guest

    def exit(self) -> None:
        """End: the buffers are unbound, the slots free. Repaired, the addresses are gone too."""
        if not self.runs:
            return
        self.host.release(self.guest)
        for pages, slot, file in self.slots:
            if not self.host.defects.leaves_ghosts:
                pages.publish(slot, bytes(ADDRESS_BYTES))
            if file is not None:
                file.free_slot(slot)
        self.slots.clear()


class HostNetwork:
    """The Launcher as peer 0 of a network with one Guest."""

    def __init__(self, launcher: Launcher, device: NetDevice, tap: Tap) -> None:
        self.launcher = launcher
        self.host = launcher.host
        self.device = device
        self.tap = tap
        self.guest_has_sent = False

    def output(self, address: int, sections: Sequence[Section]) -> None:
        """Write these sections of the structure at ``address`` to the TAP in one call (HST-2)."""
        guest = self.device.guest
        data = self.gather(sections)
        self.guest_has_sent = True
        written = self.tap.write(data) if data else 0
        guest.memory.write(address, USED_LEN.pack(written & 0xFFFFFFFF))
        if self.host.trace:
            why = "" if written == len(data) else f"the TAP refused {len(data)} bytes"
            moved = max(written, 0)
            self.host.events.append(
                Copied(self.host.now, guest.id, HOST_SLOT, None, None, moved, why)
            )

    def gather(self, sections: Sequence[Section]) -> bytes:
        """The bytes of these sections."""
        return b"".join(self.device.guest.memory.read(*section) for section in sections)

    def input(self) -> bool:
        """Move one frame from the TAP to the Guest (HST-3); false if none was moved.

        A full ring: as shipped the last buffer is overwritten (DEF-3); repaired, the
        frame stays in the TAP. It stays there too when the Launcher ends.
        """
        host, device = self.host, self.device
        guest = device.guest
        if host.corrupt or not self.launcher.runs or not self.tap.waiting():
            return False
        host.tick()
        binding = self.newest_array()
        if binding is None or not binding.count:
            if self.guest_has_sent:
                host.events.append(Warned(host.now, guest.id, "network: no dma buffer!"))
            self.tap.read()
            self.record_copy(None, 0, "the Guest has bound no buffers: read and thrown away")
            return False
        try:
            index = self.first_free(binding.array, binding.count)
        except BadArray as error:
            host.kill(guest, str(error))
            self.launcher.fail("no buffer")
            return False
        if index is None:
            if not host.defects.overwrites_full_ring:
                return False
            index = binding.count - 1
        memory = guest.memory
        at = binding.array + index * dma.SIZE
        memory.write(at, USED_LEN.pack(binding.interrupt_bit.bit_length() - 1))
        try:
            sections = self.launcher.convert(at)
        except BadAddress as error:
            self.launcher.fail(str(error))
            return False
        if not sections:
            self.launcher.fail("reading network")
            return False
        frame = self.tap.read()
        done = 0
        for section in sections:
            memory.write(section.address, frame[done : done + section.length])
            done = min(len(frame), done + section.length)
        memory.write(at, USED_LEN.pack(done))
        host.note_fill(guest, at)
        host.interrupt(binding)
        self.record_copy(index, done, "" if done == len(frame) else "longer than the buffer")
        return True

    def newest_array(self) -> Binding | None:
        """Of the arrays that the Guest bound to its own key, the one bound last (HST-3)."""
        return self.host.binding(self.device.guest, self.device.key)

    def first_free(self, array: int, count: int) -> int | None:
        """The first buffer from slot 0 with ``used_len`` 0: no cursor here (HST-3).

        BadArray when the search reaches a buffer that is outside the Guest's memory.
        """
        memory = self.device.guest.memory
        for index in range(count):
            at = array + index * dma.SIZE
            if not memory.address_ok(at, dma.SIZE):
                raise BadArray(f"bad read address {at:#x} len {dma.SIZE}")
            if memory.read(at, 4) == NO_LENGTH:
                return index
        return None

    def record_copy(self, buffer: int | None, moved: int, why: str) -> None:
        """Add the event of a frame from the TAP."""
        if self.host.trace:
            guest = self.device.guest
            key = 4 * self.device.slot
            self.host.events.append(Copied(self.host.now, None, key, guest.id, buffer, moved, why))


Launcher.network_class = HostNetwork
