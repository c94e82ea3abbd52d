"""Broken LANs that deliver other bytes than were sent, or in another order (B: DLV-9 to DLV-11)."""

from __future__ import annotations

from collections.abc import Sequence

from harness.broken.base import broken_device, broken_host
from harness.broken.hooks import OtherFrame
from harness.lguest.driver import NetDevice
from harness.lguest.events import ETH_ALEN, ETH_HLEN
from harness.lguest.host import Host
from harness.lguest.memory import Owner

_SHORTEST_ON_A_CABLE = 60


class _RewritesSource(OtherFrame):
    def instead(self, frame: bytes, linear: int | None) -> bytes | None:
        del linear
        if len(frame) < 2 * ETH_ALEN:
            return frame
        return frame[:ETH_ALEN] + self.address + frame[2 * ETH_ALEN :]


class _PadsWhatItSends(OtherFrame):
    def instead(self, frame: bytes, linear: int | None) -> bytes | None:
        whole = linear is None and len(frame) >= ETH_HLEN
        return frame.ljust(_SHORTEST_ON_A_CABLE, b"\0") if whole else frame


class _StripsTags(NetDevice):
    def pass_up(self, slot: int, frame: bytes) -> None:
        if frame[12:ETH_HLEN] == b"\x81\x00" and len(frame) >= 18:
            frame = frame[:12] + frame[16:]
        super().pass_up(slot, frame)


class _StripsPadding(NetDevice):
    def pass_up(self, slot: int, frame: bytes) -> None:
        length = int.from_bytes(frame[12:ETH_HLEN], "big")
        super().pass_up(slot, frame[: ETH_HLEN + length] if length < 0x0600 else frame)


class _KeepsRunts(OtherFrame):
    def instead(self, frame: bytes, linear: int | None) -> bytes | None:
        del linear
        return None if ETH_ALEN <= len(frame) < ETH_HLEN else frame


class _WantsALinearHeader(NetDevice):
    def why_not(
        self, frame: bytes, linear: int, offset: int, fragments: Sequence[tuple[int, int]]
    ) -> str:
        if ETH_ALEN <= linear < ETH_HLEN:
            return "its header is not linear"
        return super().why_not(frame, linear, offset, fragments)


class _ReadsBehindTheLinearPart(NetDevice):
    def why_not(
        self, frame: bytes, linear: int, offset: int, fragments: Sequence[tuple[int, int]]
    ) -> str:
        why = super().why_not(frame, linear, offset, fragments)
        return "" if "(DLV-10)" in why and linear >= 0 and len(frame) >= ETH_ALEN else why


class _LastInFirstOut(Host):
    def fill_order(self, guest: Owner, array: int, count: int) -> list[int]:
        return [-number for number in super().fill_order(guest, array, count)]


class _FillsCountedToSixteen(Host):
    def fill_order(self, guest: Owner, array: int, count: int) -> list[int]:
        return [number % 16 for number in super().fill_order(guest, array, count)]


class _DrainsFromSlotZero(Host):
    def fill_order(self, guest: Owner, array: int, count: int) -> list[int]:
        del guest, array
        return [0] * count


class _DrainsFromTheCursor(Host):
    def fill_order(self, guest: Owner, array: int, count: int) -> list[int]:
        cursors = [binding.cursor for binding in self.bound_by(guest) if binding.array == array]
        return [(slot - cursors[0]) % count if cursors else 0 for slot in range(count)]


class _OrderOfTheNewestArray(Host):
    """The key's, that is: the driver's own array may be an older one."""

    def fill_order(self, guest: Owner, array: int, count: int) -> list[int]:
        keys = [binding.key for binding in self.bound_by(guest) if binding.array == array]
        newest = next((entry for key in keys for entry in key.bound if entry.guest is guest), None)
        if newest is None or newest.array != array:
            return [0] * count
        return super().fill_order(guest, array, count)


BROKEN = (
    broken_device(
        "rewrites-the-source",
        "DLV-9",
        "the source address is overwritten with the sender's own",
        _RewritesSource,
    ),
    broken_device(
        "pads-what-it-sends",
        "DLV-9",
        "frames shorter than 60 bytes are sent with zeros behind",
        _PadsWhatItSends,
    ),
    broken_device("strips-tags", "DLV-9", "the receiver takes VLAN tags out", _StripsTags),
    broken_device(
        "strips-padding",
        "DLV-9",
        "the receiver cuts 802.3 frames to the length that their header names",
        _StripsPadding,
    ),
    broken_device("keeps-runts", "DLV-10", "a runt is not sent at all", _KeepsRunts),
    broken_device(
        "wants-a-linear-header",
        "DLV-10",
        "refuses a frame that has 6 to 13 linear bytes and fragments",
        _WantsALinearHeader,
    ),
    broken_device(
        "reads-behind-the-linear-part",
        "DLV-10",
        "sends a frame with fewer than six linear bytes",
        _ReadsBehindTheLinearPart,
    ),
    broken_host(
        "last-in-first-out", "DLV-11", "a batch of frames is passed up backwards", _LastInFirstOut
    ),
    broken_host(
        "fills-counted-to-sixteen",
        "DLV-11",
        "the number of a fill wraps at 16, and a batch across that is out of order",
        _FillsCountedToSixteen,
    ),
    broken_host(
        "drains-from-slot-zero",
        "DLV-11",
        "a batch that wraps round the ring is passed up in slot order",
        _DrainsFromSlotZero,
    ),
    broken_host(
        "drains-from-the-cursor",
        "DLV-11",
        "the order of a batch is guessed from the cursor, which empty DMAs move too",
        _DrainsFromTheCursor,
    ),
    broken_host(
        "order-of-the-newest-array",
        "RCV-1",
        "a batch is passed up in slot order once its ring is unbound, or another array is newer",
        _OrderOfTheNewestArray,
    ),
)
