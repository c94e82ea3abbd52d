"""What happens on a simulated LAN, in the order in which it happens.

``Received``, ``Message``, ``Warned``, ``Killed`` and ``Fault`` are always recorded; the rest
only when the Host traces. ``time`` is simulated, in nanoseconds since 1970.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

ETH_HLEN = 14
ETH_ALEN = 6
ETH_P_802_3 = 0x0001
ETH_P_802_2 = 0x0004
FIRST_ETHERTYPE = 0x0600
BROADCAST = b"\xff" * ETH_ALEN


class Point(enum.Enum):
    """Where another CPU may act: the Host's ``interleave`` is called there."""

    PUBLISHED = "open: address published, no buffer filled or bound yet (LIF-2)"
    FILLED = "open: buffers filled, not bound yet (LIF-2)"
    ADDRESSED = "transmit: a peer was chosen, SEND_DMA not yet made"
    RESTOCK = "SEND_DMA: no free buffer, the Host let go of its lock once (DMA-5)"
    COPIED = "SEND_DMA: bytes copied, neither used_len written; no hypercall can run now"
    TAKEN = "interrupt: a filled buffer was seen, not yet refilled"
    LISTED = "refill: the first of list and used_len is written, the second not yet (RCV-2)"
    UNPUBLISHED = "close: the slot is zero, the buffers still bound (PUB-5)"
    UNBOUND = "close: the buffers are unbound, not yet freed"


class Received(NamedTuple):
    """A frame passed up to a Guest's network stack (RCV-3, RCV-4)."""

    time: int
    guest: int
    slot: int
    buffer: int
    frame: bytes
    checksum_unnecessary: bool
    address: bytes

    @property
    def protocol(self) -> int:
        """The EtherType, or 0x0001 for 802.3 without LLC, or 0x0004 for 802.2 (RCV-3)."""
        field = int.from_bytes(self.frame[12:ETH_HLEN], "big")
        if field >= FIRST_ETHERTYPE:
            return field
        return ETH_P_802_3 if self.frame[ETH_HLEN : ETH_HLEN + 2] == b"\xff\xff" else ETH_P_802_2

    @property
    def packet_type(self) -> str:
        """``broadcast``, ``multicast``, ``otherhost`` or ``host`` (RCV-3)."""
        destination = self.frame[:ETH_ALEN]
        if destination[0] & 1:
            return "broadcast" if destination == BROADCAST else "multicast"
        return "host" if destination == self.address else "otherhost"


class Message(NamedTuple):
    """A line in a Guest's kernel log."""

    time: int
    guest: int
    text: str


class Warned(NamedTuple):
    """A line that a Guest's Launcher printed."""

    time: int
    guest: int
    text: str


class Killed(NamedTuple):
    """The Host killed a Guest; it runs no more (DMA-9)."""

    time: int
    guest: int
    reason: str


class Fault(NamedTuple):
    """Where the original would have touched memory that is not its own."""

    time: int
    guest: int
    defect: str
    text: str


class Transmitted(NamedTuple):
    """A frame given to the driver: how many sections it has, how many fit (SEC-3)."""

    time: int
    guest: int
    slot: int
    frame: bytes
    sections: int
    packed: int


class RawSend(NamedTuple):
    """A SEND_DMA not made by the driver, with the bytes that its list names if readable."""

    time: int
    guest: int
    key: int
    frame: bytes


class Refused(NamedTuple):
    """A frame that the simulated Guest would not send, and why."""

    time: int
    guest: int
    slot: int
    frame: bytes
    reason: str


class Copied(NamedTuple):
    """One SEND_DMA, or one frame from the Launcher: what it moved, and why not more.

    ``receiver`` and ``buffer`` are None when no array was bound, ``buffer`` alone when
    no buffer was free. ``key`` is the offset in the device pages: slot times 4.
    """

    time: int
    sender: int | None
    key: int
    receiver: int | None
    buffer: int | None
    moved: int
    reason: str


class Dropped(NamedTuple):
    """A buffer's content that its receiver threw away, and why (LEN-1)."""

    time: int
    guest: int
    slot: int
    buffer: int
    frame: bytes
    reason: str


Event = (
    Received
    | Message
    | Warned
    | Killed
    | Fault
    | Transmitted
    | RawSend
    | Refused
    | Copied
    | Dropped
)
