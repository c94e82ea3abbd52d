"""Broken LANs that accept, drop or count frames wrongly by their length (LEN)."""

from __future__ import annotations

from harness.broken.base import broken_device
from harness.lguest import dma
from harness.lguest.driver import BUFFER_BYTES, NetDevice
from harness.lguest.events import ETH_ALEN, ETH_HLEN


class _Accepts13(NetDevice):
    shortest = ETH_HLEN - 1


class _AcceptsAddresses(NetDevice):
    shortest = 2 * ETH_ALEN


class _Wants60(NetDevice):
    shortest = 60


class _Drops14(NetDevice):
    shortest = ETH_HLEN + 1


class _Accepts1515(NetDevice):
    longest = BUFFER_BYTES + 1


class _Drops1514(NetDevice):
    longest = BUFFER_BYTES - 1


class _CountsRunts(NetDevice):
    def drop(self, slot: int, buffer: int, length: int, reason: str) -> None:
        super().drop(slot, buffer, length, reason)
        if length < self.shortest:
            self.counters.rx_packets += 1


class _RuntIsATransmitError(NetDevice):
    def drop(self, slot: int, buffer: int, length: int, reason: str) -> None:
        super().drop(slot, buffer, length, reason)
        if length < self.shortest:
            self.counters.tx_carrier_errors += 1


class _RuntTakesTheBuffer(NetDevice):
    def take(self, slot: int, length: int) -> None:
        super().take(slot, length)
        if not self.shortest <= length <= self.longest:
            at = self.ring + slot * dma.SIZE
            self.guest.memory.write(at + 4, bytes(dma.SIZE - 4))


class _RuntTakesTheNext(NetDevice):
    _runt_before = False

    def drop(self, slot: int, buffer: int, length: int, reason: str) -> None:
        super().drop(slot, buffer, length, reason)
        self._runt_before = length < self.shortest

    def pass_up(self, slot: int, frame: bytes) -> None:
        if not self._runt_before:
            super().pass_up(slot, frame)
        self._runt_before = False


class _RuntIsLogged(NetDevice):
    def drop(self, slot: int, buffer: int, length: int, reason: str) -> None:
        super().drop(slot, buffer, length, reason)
        if length < self.shortest:
            self.guest.log(f"{self.name}: dropped a frame of {length} bytes")


class _PadsALoneHeader(NetDevice):
    def pass_up(self, slot: int, frame: bytes) -> None:
        super().pass_up(slot, frame + bytes(2) if len(frame) == ETH_HLEN else frame)


class _RoundsDownToWords(NetDevice):
    def pass_up(self, slot: int, frame: bytes) -> None:
        super().pass_up(slot, frame[:1512] if len(frame) == BUFFER_BYTES else frame)


BROKEN = (
    broken_device("accepts-13", "LEN-1", "a frame of 13 bytes is passed up", _Accepts13),
    broken_device("accepts-12", "LEN-1", "two addresses alone are passed up", _AcceptsAddresses),
    broken_device("wants-60", "LEN-1", "a frame below 60 bytes is dropped", _Wants60),
    broken_device("accepts-1515", "LEN-1", "a frame of 1,515 bytes is accepted", _Accepts1515),
    broken_device("drops-1514", "LEN-1", "a frame of 1,514 bytes is dropped", _Drops1514),
    broken_device("counts-runts", "LEN-1", "a runt counts as received", _CountsRunts),
    broken_device(
        "runt-is-an-error",
        "LEN-1",
        "a runt counts as a carrier error of its receiver",
        _RuntIsATransmitError,
    ),
    broken_device(
        "runt-takes-the-buffer",
        "LEN-1",
        "the buffer that held a runt is not restocked",
        _RuntTakesTheBuffer,
    ),
    broken_device(
        "runt-takes-the-next",
        "LEN-1",
        "the frame after a runt is dropped too",
        _RuntTakesTheNext,
    ),
    broken_device("runt-is-logged", "LEN-1", "a runt is not dropped in silence", _RuntIsLogged),
    broken_device("drops-14", "LEN-2", "a frame of 14 bytes is dropped", _Drops14),
    broken_device(
        "pads-a-lone-header",
        "LEN-2",
        "a frame of 14 bytes is passed up with two more",
        _PadsALoneHeader,
    ),
    broken_device(
        "longest-in-whole-words",
        "LEN-3",
        "a frame that fills its buffer is passed up without its last two bytes",
        _RoundsDownToWords,
    ),
)
