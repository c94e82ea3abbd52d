"""A Guest: memory, interrupts, hypercalls, and its devices.

What the driver does with them is in ``driver.py``. A hostile Guest needs no
driver: it writes what it likes with ``memory.write`` and makes any hypercall.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Protocol

from harness.lguest import dma
from harness.lguest.dma import PAGE_SIZE
from harness.lguest.events import Message, RawSend
from harness.lguest.host import STEP_NS, Host
from harness.lguest.memory import BadList, DevicePages, GuestMemory, Key, LguestError, Owner

DESCRIPTOR = struct.Struct("<HHHHI")
"""``struct lguest_device_desc``: type, features, status, num_pages, pfn."""

MAX_DEVICES = 16
"""LGUEST_MAX_DEVICES: descriptors in the page above normal memory."""

TYPE_NET = 2
ACKNOWLEDGE, DRIVER, DRIVER_OK, REMOVED, REMOVED_ACK, FAILED = 1, 2, 4, 8, 16, 128
"""Device status bits (DEV-3)."""


SEND_PAGES = 41
"""Pages that hold the frame being transmitted: room for 65,535 bytes in any layout."""


class Device(Protocol):
    """A device's driver, as its Guest sees it: its interrupt and the handler; where it is."""

    interrupt: int
    slot: int
    pages: DevicePages
    ring: int
    is_open: bool

    def receive(self) -> bool:
        """Handle an interrupt; false if there was nothing to do."""


class Guest:
    """One virtual machine.

    ``pending`` has a bit per interrupt raised and not yet taken; ``dead`` is the reason
    why the Host killed it, or None; ``memory_left`` how many more allocations succeed, or
    None for all of them; ``routes`` what the shared keys that it used name; ``filled`` the
    numbers of the fills of its buffers, by which DEF-2 is mended.
    """

    def __init__(self, host: Host, guest_id: int, pages: int) -> None:
        self.host = host
        self.id = guest_id
        host.admit(self)
        self.memory = GuestMemory(pages, refuses_end=host.defects.refuses_end_of_memory)
        self.pending = 0
        self.dead: str | None = None
        self.memory_left: int | None = None
        self.launcher: Callable[[Owner, int, int], None] | None = None
        self.devices: list[Device] = []
        self.routes: dict[int, Key] = {}
        self.filled: dict[int, int] = {}
        self._next_page = 0
        self.send_area = self.reserve(SEND_PAGES)

    def reserve(self, pages: int) -> int:
        """Set pages of normal memory aside for this Guest; returns their address."""
        address = self._next_page * PAGE_SIZE
        if address + pages * PAGE_SIZE > self.memory.normal:
            raise LguestError(
                f"Guest {self.id} has {self.memory.normal // PAGE_SIZE} pages of memory, too few"
            )
        self._next_page += pages
        return address

    def status(self, index: int) -> int:
        """The status bits in a descriptor (DEV-3)."""
        at = self.memory.normal + index * DESCRIPTOR.size
        return int(DESCRIPTOR.unpack(self.memory.read(at, DESCRIPTOR.size))[2])

    def allocate(self) -> bool:
        """Whether one more allocation succeeds."""
        if self.memory_left is None:
            return True
        if self.memory_left <= 0:
            return False
        self.memory_left -= 1
        return True

    def interrupt(self) -> bool:
        """Take every pending interrupt; whether any handler had work (RCV-1)."""
        if self.dead is not None:
            self.alive()
        self.host.now += STEP_NS
        pending, self.pending = self.pending, 0
        handled = False
        for device in self.devices:
            if self.dead is None and pending >> device.interrupt & 1 and device.receive():
                handled = True
        return handled

    def alive(self) -> None:
        """Raise for a Guest that was killed: it runs no more (DMA-9)."""
        if self.dead is not None:
            raise LguestError(f"Guest {self.id} was killed ({self.dead}): it runs no more")

    def log(self, text: str) -> None:
        """Add a line to the Guest's kernel log."""
        self.host.events.append(Message(self.host.now, self.id, text))

    # Hypercalls, as any code in the Guest may make them

    def bind_dma(self, key: int, array: int, count: int, interrupt: int) -> bool:
        """BIND_DMA (DMA-1)."""
        self.alive()
        return self.host.bind_dma(self, key, array, count, interrupt)

    def send_dma(self, key: int, address: int) -> int:
        """SEND_DMA: zero the structure's ``used_len``, call, return what it became (DMA-2)."""
        self.alive()
        memory = self.memory
        if memory.inside(address, 4):
            memory.write(address, b"\0\0\0\0")
        self.host.tick()
        if self.host.trace:
            self.host.events.append(RawSend(self.host.now, self.id, key, self._listed(address)))
        self.host.send_dma(self, key, address)
        if not memory.inside(address, 4):
            return 0
        return int.from_bytes(memory.read(address, 4), "little")

    def _listed(self, address: int) -> bytes:
        """The bytes that a structure lists; none where its list is bad."""
        if not self.memory.address_ok(address, dma.SIZE):
            return b""
        try:
            chunks = self.memory.sections(self.memory.read(address + 4, dma.SIZE - 4))
        except BadList:
            return b""
        return b"".join(store[start : start + length] for store, start, length in chunks)
