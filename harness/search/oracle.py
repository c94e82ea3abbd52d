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
BUFFERS = 8
SHORTEST, LONGEST = 14, 1514
NOTHING_PUBLISHED = bytes(6)


@dataclass(slots=True)
class Peer:
    """A Guest on the LAN, in a slot of its own.

    ``ring`` holds what lies in each receive buffer (None: it is free), ``order`` the
    filled ones, the oldest first. ``bound`` is whether the Host can fill them.
    """

    slot: int
    guest_id: int
    is_open: bool = False
    bound: bool = False
    alive: bool = True
    wants_all: bool = False
    pending: bool = False
    cursor: int = 0
    ring: list[bytes | None] = field(default_factory=lambda: [None] * BUFFERS)
    order: list[int] = field(default_factory=list)
    tx_packets: int = 0
    tx_bytes: int = 0
    tx_carrier_errors: int = 0
    rx_packets: int = 0
    rx_bytes: int = 0

    @property
    def address(self) -> bytes:
        """PUB-2."""
        return b"\x02\x00" + self.guest_id.to_bytes(2, "little") + b"\x00\x00"

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
    """The whole LAN: its peers by slot, and the addresses on its page."""

    peers: dict[int, Peer]
    page: dict[int, bytes] = field(default_factory=dict)

    # Publishing (A)

    def open(self, slot: int) -> None:
        """LIF-1: publish, fill, bind; the cursor starts at 0 (DMA-2)."""
        peer = self.peers[slot]
        peer.is_open = peer.bound = True
        peer.cursor = 0
        peer.ring = [None] * BUFFERS
        peer.order = []
        self.publish(peer)

    def close(self, slot: int) -> None:
        """PUB-5. A pending interrupt stays pending (RCV-1)."""
        peer = self.peers[slot]
        peer.is_open = peer.bound = False
        peer.ring = [None] * BUFFERS
        peer.order = []
        self.page.pop(slot, None)

    def listen(self, slot: int, *, to_all: bool) -> None:
        """PUB-4: the bit follows on an open device only."""
        peer = self.peers[slot]
        peer.wants_all = to_all
        if peer.is_open:
            self.publish(peer)

    def die(self, slot: int) -> None:
        """PUB-6: no close, no Launcher to clean up; only the buffers are unbound."""
        peer = self.peers[slot]
        peer.alive = peer.is_open = peer.bound = peer.pending = False
        peer.ring = [None] * BUFFERS
        peer.order = []

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

    def deliver(self, sender: int, slot: int, data: bytes) -> int:
        """One SEND_DMA to the key of a slot: bytes moved (DMA-2, DMA-3, DMA-5, DMA-6)."""
        peer = self.peers.get(slot)
        if peer is None or not peer.bound or slot == sender:
            return 0
        at = self.free_buffer(peer)
        peer.pending = True
        if at is None:
            return 0
        peer.cursor = (peer.cursor + 1) % BUFFERS
        if data:
            peer.ring[at] = data[:LONGEST]
            peer.order.append(at)
        return min(len(data), LONGEST)

    def free_buffer(self, peer: Peer) -> int | None:
        """DMA-2: the first free buffer from the cursor on."""
        for step in range(BUFFERS):
            at = (peer.cursor + step) % BUFFERS
            if peer.ring[at] is None:
                return at
        return None

    def send_bad_list(self, sender: int, slot: int) -> bool:
        """DMA-4: whether a SEND_DMA with a bad list kills its sender."""
        peer = self.peers.get(slot)
        if peer is None or not peer.bound or slot == sender:
            return False
        if self.free_buffer(peer) is None:
            peer.pending = True
            return False
        self.peers[sender].alive = False
        return True

    # Receiving (E)

    def interrupt(self, slot: int) -> list[bytes]:
        """The frames passed up: RCV-1, DLV-11, LEN-1, CNT-4."""
        peer = self.peers[slot]
        peer.pending = False
        if not peer.is_open:
            return []
        taken = [peer.ring[at] or b"" for at in peer.order]
        for at in peer.order:
            peer.ring[at] = None
        peer.order = []
        passed_up = [frame for frame in taken if SHORTEST <= len(frame) <= LONGEST]
        peer.rx_packets += len(passed_up)
        peer.rx_bytes += sum(len(frame) - SHORTEST for frame in passed_up)
        return passed_up


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
