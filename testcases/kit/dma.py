"""DMA structures written without the driver, as a hostile Guest may write them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.comparing import present, same
from harness.frames import PAGE, ethernet
from harness.lans.lguest import LguestLan
from harness.lans.lguest_records import name_of
from harness.lguest import dma
from harness.lguest.driver import NUM_SKBS, NetDevice
from harness.lguest.events import Copied, Killed, Point, Received
from harness.lguest.guest import Guest
from harness.lguest.launcher import GUEST_PAGES
from harness.lguest.memory import GuestMemory, Owner

from .steps import same_frames

Sections = Sequence[tuple[int, int]]

STRUCTURE = 60 * PAGE
"""Where a Guest keeps the structure that it sends."""

ARRAY = 61 * PAGE
"""Where it keeps arrays that it binds without the driver."""

DATA = 64 * PAGE
"""The data that it sends starts here."""

ROOM = 128 * PAGE
"""Its receive buffers for those arrays; no driver uses these pages."""

END = (GUEST_PAGES + 2) * PAGE
"""End of the memory of a Guest with one device page: below it are the descriptors."""

SPARE_SLOT = 600
"""An unused slot: its key, and those above, are free for arrays bound without the driver."""

STALE = 0xDEADBEEF
"""A ``used_len`` that no copy leaves behind."""


def number(memory: GuestMemory, address: int) -> int:
    return int.from_bytes(memory.read(address, 4), "little")


def send(sender: Guest, key: int, sections: Sections) -> int:
    """One SEND_DMA of this list; returns the ``used_len`` that it left."""
    sender.memory.write(STRUCTURE + 4, dma.pack(sections))
    return sender.send_dma(key, STRUCTURE)


def send_over_stale(sender: Guest, key: int, sections: Sections) -> int:
    """The same, with ``STALE`` in ``used_len`` beforehand."""
    sender.memory.write(STRUCTURE, STALE.to_bytes(4, "little") + dma.pack(sections))
    sender.host.send_dma(sender, key, STRUCTURE)
    return number(sender.memory, STRUCTURE)


def send_bytes(sender: Guest, key: int, data: bytes) -> int:
    """One SEND_DMA of these bytes, in as few sections as possible."""
    sender.memory.write(DATA, data)
    return send(sender, key, dma.linear_sections(DATA, len(data)))


def crosses(lguest: LguestLan, sender: NetDevice, to: NetDevice, stamp: int = 77) -> bool:
    """Whether a frame crosses from one device to the other: the control for a negative test."""
    before = len(lguest.received(to))
    frame = ethernet(to.address, sender.address, stamp=stamp)
    moved = send_bytes(sender.guest, sender.peer_key(to.slot), frame)
    lguest.settle()
    return moved == len(frame) and lguest.received(to)[before:] == [frame]


def must_cross(lguest: LguestLan, sender: NetDevice, to: NetDevice, stamp: int = 77) -> None:
    """A frame crosses from one device to the other."""
    before = len(lguest.received(to))
    frame = ethernet(to.address, sender.address, stamp=stamp)
    moved = send_bytes(sender.guest, sender.peer_key(to.slot), frame)
    lguest.settle()
    same(f"used_len, SEND_DMA of {name_of(sender)}", moved, len(frame))
    same_frames(lguest, to, [frame], since=before)


def fill_up(sender: NetDevice, owner: NetDevice, count: int = NUM_SKBS) -> list[bytes]:
    """Send frames that fill so many of the owner's buffers, without running its interrupt."""
    frames = [ethernet(owner.address, sender.address, stamp=100 + n) for n in range(count)]
    for frame in frames:
        sender.transmit(frame)
    return frames


def bind(guest: Guest, key: int, count: int, interrupt: int = 9, size: int = 1514) -> bool:
    """Bind an array of so many free buffers, one at the start of each page from ROOM on."""
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
    """Where the Host starts its search for the device's next free buffer."""
    binding = present(
        "the array that is bound", device.guest.host.binding(device.guest, device.key)
    )
    return binding.cursor


def killed(lguest: LguestLan) -> list[int]:
    """The Guests that the Host killed, in order."""
    return [event.guest for event in lguest.host.events if isinstance(event, Killed)]


def filled(lguest: LguestLan) -> list[int | None]:
    """The buffer that each SEND_DMA used."""
    return [event.buffer for event in lguest.host.events if isinstance(event, Copied)]


def passed_up(lguest: LguestLan, device: NetDevice) -> list[Received]:
    """The frames that a device passed up so far, with their type and protocol."""
    return [
        event
        for event in lguest.host.events
        if isinstance(event, Received)
        and (event.guest, event.slot) == (device.guest.id, device.slot)
    ]


def whenever(lguest: LguestLan, point: Point, act: Callable[[], object]) -> list[int]:
    """Another CPU acts at every such point; the list returned names the Guest of each."""
    reached: list[int] = []

    def act_there(where: Point, guest: Owner) -> None:
        if where is point:
            reached.append(guest.id)
            act()

    lguest.host.interleave = act_there
    return reached


def fill_memory(*devices: NetDevice) -> None:
    """Fill the memory that Guests send from and receive into, so that a misplaced byte shows."""
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
    addresses: set[int] = set()
    for page in range(0, len(before), PAGE):
        old, new = before[page : page + PAGE], after[page : page + PAGE]
        if old != new:
            addresses.update(page + n for n in range(len(old)) if old[n] != new[n])
    return addresses
