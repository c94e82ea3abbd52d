"""DMA structures made by hand, past any driver, as a hostile Guest makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.frames import PAGE, ethernet
from harness.lans.lguest import LguestLan
from harness.lguest import dma
from harness.lguest.driver import NUM_SKBS, NetDevice
from harness.lguest.events import Copied, Killed, Point, Received
from harness.lguest.guest import Guest
from harness.lguest.launcher import GUEST_PAGES
from harness.lguest.memory import GuestMemory, Owner

Sections = Sequence[tuple[int, int]]

STRUCTURE = 60 * PAGE
"""Where a Guest keeps the structure that it sends."""

ARRAY = 61 * PAGE
"""Where it keeps arrays that it binds by hand."""

DATA = 64 * PAGE
"""What it sends begins here."""

ROOM = 128 * PAGE
"""Where it receives by hand; far from all that a driver uses."""

END = (GUEST_PAGES + 2) * PAGE
"""End of the memory of a Guest with one device page: below it are the descriptors."""

SPARE_SLOT = 600
"""A slot that no device has: its key, and those above, are free for arrays bound by hand."""

STALE = 0xDEADBEEF
"""A ``used_len`` that no copy leaves behind."""


def number(memory: GuestMemory, address: int) -> int:
    return int.from_bytes(memory.read(address, 4), "little")


def send(sender: Guest, key: int, sections: Sections) -> int:
    """One SEND_DMA of this list: what ``used_len`` became."""
    sender.memory.write(STRUCTURE + 4, dma.pack(sections))
    return sender.send_dma(key, STRUCTURE)


def send_over_stale(sender: Guest, key: int, sections: Sections) -> int:
    """The same, by a Guest that left ``STALE`` in ``used_len``."""
    sender.memory.write(STRUCTURE, STALE.to_bytes(4, "little") + dma.pack(sections))
    sender.host.send_dma(sender, key, STRUCTURE)
    return number(sender.memory, STRUCTURE)


def send_bytes(sender: Guest, key: int, data: bytes) -> int:
    """One SEND_DMA of these bytes, in as few sections as will do."""
    sender.memory.write(DATA, data)
    return send(sender, key, dma.linear_sections(DATA, len(data)))


def crosses(lguest: LguestLan, sender: NetDevice, to: NetDevice, stamp: int = 77) -> bool:
    """Whether a good frame gets from one device to the other: the control of a negative."""
    before = len(lguest.received(to))
    frame = ethernet(to.address, sender.address, stamp=stamp)
    moved = send_bytes(sender.guest, sender.peer_key(to.slot), frame)
    lguest.settle()
    return moved == len(frame) and lguest.received(to)[before:] == [frame]


def fill_up(sender: NetDevice, owner: NetDevice, count: int = NUM_SKBS) -> list[bytes]:
    """Frames for so many of the owner's buffers; it has not yet looked at them."""
    frames = [ethernet(owner.address, sender.address, stamp=100 + n) for n in range(count)]
    for frame in frames:
        sender.transmit(frame)
    return frames


def bind(guest: Guest, key: int, count: int, interrupt: int = 9, size: int = 1514) -> bool:
    """Bind an array of so many free buffers, each at the start of a page from ROOM on."""
    for index in range(count):
        room = dma.pack([(ROOM + index * PAGE, size)])
        guest.memory.write(ARRAY + index * dma.SIZE, bytes(4) + room)
    return guest.bind_dma(key, ARRAY, count, interrupt)


def used_lens(guest: Guest, array: int, count: int = NUM_SKBS) -> list[int]:
    """The ``used_len`` of each structure of an array."""
    return [number(guest.memory, array + index * dma.SIZE) for index in range(count)]


def set_used(guest: Guest, array: int, index: int, length: int) -> None:
    guest.memory.write(array + index * dma.SIZE, length.to_bytes(4, "little"))


def buffer_list(device: NetDevice, index: int) -> list[dma.Section]:
    """The section list of one receive buffer."""
    at = device.ring + index * dma.SIZE
    return dma.unpack(device.guest.memory.read(at + 4, dma.SIZE - 4))


def set_list(device: NetDevice, index: int, sections: Sections) -> None:
    """The Guest overwrites the section list of one receive buffer."""
    device.guest.memory.write(device.ring + index * dma.SIZE + 4, dma.pack(sections))


def gather(memory: GuestMemory, sections: Sections) -> bytes:
    return b"".join(memory.read(address, length) for address, length in sections)


def scatter(memory: GuestMemory, sections: Sections, data: bytes) -> None:
    done = 0
    for address, length in sections:
        memory.write(address, data[done : done + length])
        done += length


def cursor(device: NetDevice) -> int:
    """Where the Host looks for the device's next free buffer first."""
    binding = device.guest.host.binding(device.guest, device.key)
    assert binding is not None
    return binding.cursor


def killed(lguest: LguestLan) -> list[int]:
    """The Guests that the Host killed, in order."""
    return [event.guest for event in lguest.host.events if isinstance(event, Killed)]


def filled(lguest: LguestLan) -> list[int | None]:
    """The buffer that each SEND_DMA used."""
    return [event.buffer for event in lguest.host.events if isinstance(event, Copied)]


def handed_up(lguest: LguestLan, device: NetDevice) -> list[Received]:
    """What a device handed up so far, and as what."""
    return [
        event
        for event in lguest.host.events
        if isinstance(event, Received)
        and (event.guest, event.slot) == (device.guest.id, device.slot)
    ]


def whenever(lguest: LguestLan, point: Point, act: Callable[[], object]) -> list[int]:
    """Another CPU acts at every such point; returns the Guests that get there, as they do."""
    reached: list[int] = []

    def look(where: Point, guest: Owner) -> None:
        if where is point:
            reached.append(guest.id)
            act()

    lguest.host.interleave = look
    return reached


def soil(*devices: NetDevice) -> None:
    """Fill what Guests send from and receive into, so that a byte gone astray shows."""
    for device in devices:
        memory = device.guest.memory
        filling = bytes((0x80 | device.guest.id,))
        ring = memory.read(device.ring, PAGE)
        for start, end in ((0, STRUCTURE), (DATA, ROOM + 32 * PAGE)):
            memory.write(start, filling * (end - start))
        memory.write(device.ring, ring)


def snapshot(guest: Guest) -> bytes:
    """All of a Guest's own memory."""
    return guest.memory.read(0, guest.memory.private_size)


def changed(before: bytes | bytearray, after: bytes) -> set[int]:
    """The addresses of the bytes that differ."""
    found: set[int] = set()
    for page in range(0, len(before), PAGE):
        old, new = before[page : page + PAGE], after[page : page + PAGE]
        if old != new:
            found.update(page + n for n in range(len(old)) if old[n] != new[n])
    return found
