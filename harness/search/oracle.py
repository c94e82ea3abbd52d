"""What a LAN should do: an independent model, written from the specification.

It shares no code with the simulated LAN and knows nothing of memory, hypercalls or bytes in
a page other than what peers can see. For each step it gives who receives what, which counters
move, and who is interrupted. It models correct behaviour, so the defects of 2.6.23 show as
differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

PAGE = 4096
MOST_SECTIONS = 16
MOST_ARRAYS = 32
BUFFERS = 8
SHORTEST, LONGEST = 14, 1514
NOTHING_PUBLISHED = bytes(6)
ENOMEM = -12

Happened = tuple[str, int, object]
"""An event: its kind, the slot (of a Guest: that of its first device), and what."""


@dataclass(slots=True, eq=False)
class Array:
    """Receive buffers that a Guest bound to the key of a slot.

    ``held`` is what lies in each buffer (None: it is free), ``order`` the filled ones, the
    oldest first.
    """

    guest_id: int
    key: int
    interrupt: int
    held: list[bytes | None]
    cursor: int = 0
    order: list[int] = field(default_factory=list)

    def free(self) -> int | None:
        """DMA-2: the first free buffer from the cursor on."""
        for step in range(len(self.held)):
            at = (self.cursor + step) % len(self.held)
            if self.held[at] is None:
                return at
        return None

    def empty(self) -> None:
        """All buffers are free again."""
        self.held = [None] * len(self.held)
        self.order = []


@dataclass(slots=True, eq=False)
class Peer:
    """A device on the LAN, in a slot of its own; number ``index`` of its Guest.

    ``ring`` holds its receive buffers while they are bound.
    """

    slot: int
    guest_id: int
    index: int = 0
    is_open: bool = False
    alive: bool = True
    wants_all: bool = False
    ring: Array | None = None
    tx_packets: int = 0
    tx_bytes: int = 0
    tx_carrier_errors: int = 0
    rx_packets: int = 0
    rx_bytes: int = 0

    @property
    def address(self) -> bytes:
        """PUB-2."""
        return b"\x02\x00" + self.guest_id.to_bytes(2, "little") + b"\x00\x00"

    @property
    def interrupt(self) -> int:
        """Of the first device 1, of the second 2, and so on."""
        return self.index + 1

    def counters(self) -> tuple[int, int, int, int, int]:
        """tx_packets, tx_bytes, tx_carrier_errors, rx_packets, rx_bytes."""
        return (
            self.tx_packets,
            self.tx_bytes,
            self.tx_carrier_errors,
            self.rx_packets,
            self.rx_bytes,
        )


@dataclass(slots=True)
class Expected:
    """The whole LAN: its peers by slot, the addresses on its page, and what Guests bound.

    ``arrays`` holds the newest first. ``pending`` are interrupts that were raised and not
    taken, ``memory_left`` the allocations that still succeed (absent: all do), both by
    Guest id.
    """

    peers: dict[int, Peer]
    page: dict[int, bytes] = field(default_factory=dict)
    arrays: list[Array] = field(default_factory=list)
    pending: dict[int, set[int]] = field(default_factory=dict)
    memory_left: dict[int, int] = field(default_factory=dict)

    def devices(self, guest_id: int) -> list[Peer]:
        """The devices of a Guest, in order."""
        return [peer for peer in self.peers.values() if peer.guest_id == guest_id]

    def allocate(self, guest_id: int) -> bool:
        """Whether one more allocation of this Guest succeeds."""
        left = self.memory_left.get(guest_id)
        if left:
            self.memory_left[guest_id] = left - 1
        return left is None or left > 0

    # Publishing and binding (A, DMA-1, LIF-1)

    def open(self, slot: int) -> tuple[int, list[Happened]]:
        """LIF-1: publish, fill, bind: the result, and what is logged."""
        peer = self.peers[slot]
        for number in range(BUFFERS):
            if not self.allocate(peer.guest_id):
                self.page.pop(slot, None)  # DEF-7, mended
                return ENOMEM, [self.could_not_fill(peer, number)]
        peer.ring = self.bind(peer.guest_id, slot, peer.interrupt, BUFFERS)
        if peer.ring is None:
            self.page.pop(slot, None)
            return ENOMEM, []
        peer.is_open = True
        self.publish(peer)
        return 0, []

    def could_not_fill(self, peer: Peer, number: int) -> Happened:
        """RCV-5: the message of a refill that failed."""
        first = self.devices(peer.guest_id)[0].slot
        return ("message", first, f"eth{peer.index}: could not fill slot {number}")

    def close(self, slot: int) -> None:
        """PUB-5. A pending interrupt stays pending (RCV-1)."""
        peer = self.peers[slot]
        if peer.ring is not None:
            self.arrays.remove(peer.ring)
        peer.ring = None
        peer.is_open = False
        self.page.pop(slot, None)

    def bind(self, guest_id: int, key: int, interrupt: int, count: int) -> Array | None:
        """DMA-1: an array of so many free buffers; None when the Guest has 32."""
        if sum(array.guest_id == guest_id for array in self.arrays) >= MOST_ARRAYS:
            return None
        array = Array(guest_id, key, interrupt, [None] * count)
        self.arrays.insert(0, array)
        return array

    def listen(self, slot: int, *, to_all: bool) -> None:
        """PUB-4: the bit follows on an open device only."""
        peer = self.peers[slot]
        peer.wants_all = to_all
        if peer.is_open:
            self.publish(peer)

    def die(self, slot: int) -> None:
        """PUB-6: no close, no Launcher to clean up; only the buffers are unbound."""
        guest_id = self.peers[slot].guest_id
        self.arrays = [array for array in self.arrays if array.guest_id != guest_id]
        self.pending.pop(guest_id, None)
        for peer in self.devices(guest_id):
            peer.alive = peer.is_open = False
            peer.ring = None

    def publish(self, peer: Peer) -> None:
        """PUB-2, PUB-3."""
        first = peer.address[0] | peer.wants_all
        self.page[peer.slot] = bytes((first,)) + peer.address[1:]

    # Who receives (B)

    def receivers(self, sender: int, destination: bytes) -> list[int]:
        """DLV-1 to DLV-7: the slots, ascending, that a frame is sent to."""
        return [
            slot
            for slot in sorted(self.page)
            if slot != sender
            and self.page[slot][0] != 0
            and (
                is_group(destination) or is_group(self.page[slot]) or self.page[slot] == destination
            )
        ]

    # Sending (C, D, F)

    def transmit(
        self,
        sender: int,
        frame: bytes,
        linear: int,
        offset: int,
        fragments: Sequence[tuple[int, int]],
    ) -> int:
        """A frame given to the driver; how many Megapacket messages it logs (SEC-3)."""
        sections = sections_of(linear, offset, fragments)
        packed = frame[: sum(sections[:MOST_SECTIONS])]
        wanted_by = self.receivers(sender, frame[:6])
        peer = self.peers[sender]
        for slot in wanted_by:
            if self.deliver(sender, slot, packed) == len(frame):
                peer.tx_packets += 1
                peer.tx_bytes += len(frame)
            else:
                peer.tx_carrier_errors += 1
        return len(wanted_by) if len(sections) > MOST_SECTIONS else 0

    def found_by(self, sender: int, slot: int) -> Array | None:
        """DMA-2, DLV-8: the array bound to a slot's key last, by another Guest."""
        guest_id = self.peers[sender].guest_id
        for array in self.arrays:
            if array.key == slot and array.guest_id != guest_id:
                return array
        return None

    def interrupt(self, array: Array) -> None:
        """The interrupt that an array was bound with is raised."""
        self.pending.setdefault(array.guest_id, set()).add(array.interrupt)

    def deliver(self, sender: int, slot: int, data: bytes) -> int:
        """One SEND_DMA to the key of a slot: bytes moved (DMA-2, DMA-3, DMA-5, DMA-6)."""
        array = self.found_by(sender, slot)
        if array is None:
            return 0
        at = array.free()
        self.interrupt(array)
        if at is None:
            return 0
        array.cursor = (array.cursor + 1) % len(array.held)
        if data:
            array.held[at] = data[:LONGEST]
            array.order.append(at)
        return min(len(data), LONGEST)

    def send_bad_list(self, sender: int, slot: int) -> bool:
        """DMA-4: whether a SEND_DMA with a bad list kills its sender."""
        array = self.found_by(sender, slot)
        if array is None:
            return False
        if array.free() is None:
            self.interrupt(array)
            return False
        for peer in self.devices(self.peers[sender].guest_id):
            peer.alive = False
        return True

    # Receiving (E)

    def take_interrupts(self, slot: int) -> list[Happened]:
        """RCV-1: every pending interrupt of a Guest; what its devices pass up and log."""
        guest_id = self.peers[slot].guest_id
        raised = self.pending.pop(guest_id, set())
        return [
            event
            for peer in self.devices(guest_id)
            if peer.interrupt in raised and peer.ring is not None
            for event in self.receive(peer, peer.ring)
        ]

    def receive(self, peer: Peer, ring: Array) -> list[Happened]:
        """RCV-1, DLV-11, LEN-1, CNT-4, RCV-5; with no memory the frame is dropped (DEF-8)."""
        happened: list[Happened] = []
        for at in ring.order:
            frame = ring.held[at] or b""
            if not self.allocate(peer.guest_id):
                happened.append(self.could_not_fill(peer, at))
            elif SHORTEST <= len(frame) <= LONGEST:
                peer.rx_packets += 1
                peer.rx_bytes += len(frame) - SHORTEST
                happened.append(("receive", peer.slot, frame))
        ring.empty()
        return happened


def is_group(address: bytes) -> bool:
    """DLV-3, PUB-3: the lowest bit of the first byte."""
    return bool(address[0] & 1)


def sections_of(linear: int, offset: int, fragments: Sequence[tuple[int, int]]) -> list[int]:
    """SEC-1: the length of each section, the linear part cut at pages."""
    lengths = []
    while linear > 0:
        lengths.append(min(linear, PAGE - offset))
        linear -= lengths[-1]
        offset = 0
    return lengths + [size for size, _ in fragments]
