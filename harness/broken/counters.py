"""Broken LANs that count wrongly (F)."""

from __future__ import annotations

from dataclasses import replace

from harness.broken.base import broken_device
from harness.broken.hooks import AfterTransmit, used_len
from harness.lguest.driver import Counters, NetDevice
from harness.lguest.events import ETH_ALEN, ETH_HLEN


class _GroupCountsOnce(AfterTransmit):
    def sent(self, frame: bytes, before: Counters, done: int) -> int:
        if self.counters.tx_packets > before.tx_packets:
            self.counters.tx_packets = before.tx_packets + 1
            self.counters.tx_bytes = before.tx_bytes + len(frame)
        return done


class _CountsInTwoBytes(NetDevice):
    def transfer(self, listed: bytes, length: int, slot: int) -> None:
        super().transfer(listed, length, slot)
        self.counters.tx_bytes &= 0xFFFF


class _CountsReceivedInTwoBytes(NetDevice):
    def pass_up(self, slot: int, frame: bytes) -> None:
        super().pass_up(slot, frame)
        self.counters.rx_bytes &= 0xFFFF


class _OpeningResetsCounters(NetDevice):
    def open(self) -> int:
        self.counters = Counters()
        return super().open()


class _BytesCountOnce(AfterTransmit):
    def sent(self, frame: bytes, before: Counters, done: int) -> int:
        if self.counters.tx_packets > before.tx_packets:
            self.counters.tx_bytes = before.tx_bytes + len(frame)
        return done


class _AfterTransfer(NetDevice):
    def transfer(self, listed: bytes, length: int, slot: int) -> None:
        before = replace(self.counters)
        super().transfer(listed, length, slot)
        self.transferred(length, used_len(self.guest, self.sending), before)

    def transferred(self, length: int, moved: int, before: Counters) -> None:
        """So many bytes of a frame were moved; ``before`` is what the counters were."""
        raise NotImplementedError


class _SentWithoutHeader(_AfterTransfer):
    def transferred(self, length: int, moved: int, before: Counters) -> None:
        del before
        if moved == length >= ETH_HLEN:
            self.counters.tx_bytes -= ETH_HLEN


class _SentAsOnACable(_AfterTransfer):
    def transferred(self, length: int, moved: int, before: Counters) -> None:
        if moved == length:
            self.counters.tx_bytes = before.tx_bytes + max(length, 60)


class _RuntsNotCounted(_AfterTransfer):
    def transferred(self, length: int, moved: int, before: Counters) -> None:
        del length
        if moved < ETH_HLEN:
            self.counters.tx_packets = before.tx_packets
            self.counters.tx_bytes = before.tx_bytes


class _UnwantedCountsAsSent(AfterTransmit):
    def sent(self, frame: bytes, before: Counters, done: int) -> int:
        if self.counters == before:
            self.counters.tx_packets += 1
            self.counters.tx_bytes += len(frame)
        return done


class _UnwantedCountsAsFailed(AfterTransmit):
    def sent(self, frame: bytes, before: Counters, done: int) -> int:
        if self.counters == before and frame[:ETH_ALEN] != self.address:
            self.counters.tx_carrier_errors += 1
        return done


class _PartCountsAsSent(_AfterTransfer):
    def transferred(self, length: int, moved: int, before: Counters) -> None:
        if 0 < moved < length:
            self.counters.tx_carrier_errors = before.tx_carrier_errors
            self.counters.tx_packets += 1
            self.counters.tx_bytes += length


class _PartCountsItsBytes(_AfterTransfer):
    def transferred(self, length: int, moved: int, before: Counters) -> None:
        del before
        if moved < length:
            self.counters.tx_bytes += moved


class _FailedCountsAsSentToo(_AfterTransfer):
    def transferred(self, length: int, moved: int, before: Counters) -> None:
        del before
        if moved != length:
            self.counters.tx_packets += 1


class _NothingMovedNotCounted(_AfterTransfer):
    def transferred(self, length: int, moved: int, before: Counters) -> None:
        del length
        if not moved:
            self.counters.tx_carrier_errors = before.tx_carrier_errors


class _FailuresCountOnce(AfterTransmit):
    def sent(self, frame: bytes, before: Counters, done: int) -> int:
        del frame
        most = before.tx_carrier_errors + 1
        self.counters.tx_carrier_errors = min(self.counters.tx_carrier_errors, most)
        return done


class _ReceivedWithHeader(NetDevice):
    def pass_up(self, slot: int, frame: bytes) -> None:
        super().pass_up(slot, frame)
        self.counters.rx_bytes += ETH_HLEN


class _BatchCountsOnce(NetDevice):
    def receive(self) -> bool:
        before = self.counters.rx_packets
        handled = super().receive()
        self.counters.rx_packets = min(self.counters.rx_packets, before + 1)
        return handled


class _OthersNotCounted(NetDevice):
    def pass_up(self, slot: int, frame: bytes) -> None:
        before = replace(self.counters)
        super().pass_up(slot, frame)
        if not frame[0] & 1 and frame[:ETH_ALEN] != self.address:
            self.counters = before


class _LoneHeadersNotCounted(NetDevice):
    def pass_up(self, slot: int, frame: bytes) -> None:
        super().pass_up(slot, frame)
        if len(frame) == ETH_HLEN:
            self.counters.rx_packets -= 1


BROKEN = (
    broken_device(
        "group-counts-once",
        "CNT-1",
        "a frame to a group counts once, however many receive it",
        _GroupCountsOnce,
    ),
    broken_device("tx-bytes-in-two", "CNT-1", "tx_bytes has 16 bits", _CountsInTwoBytes),
    broken_device("rx-bytes-in-two", "CNT-4", "rx_bytes has 16 bits", _CountsReceivedInTwoBytes),
    broken_device(
        "opening-counts-anew",
        "CNT-1",
        "opening a device sets its counters to 0",
        _OpeningResetsCounters,
    ),
    broken_device(
        "bytes-count-once",
        "CNT-1",
        "the bytes of a frame to a group count once, however many receive it",
        _BytesCountOnce,
    ),
    broken_device(
        "sent-without-header",
        "CNT-1",
        "tx_bytes leaves the header out",
        _SentWithoutHeader,
    ),
    broken_device(
        "sent-as-on-a-cable",
        "CNT-1",
        "tx_bytes counts a short frame as 60 bytes",
        _SentAsOnACable,
    ),
    broken_device("sent-runts-not-counted", "CNT-1", "a runt counts as not sent", _RuntsNotCounted),
    broken_device(
        "unwanted-counts-as-sent",
        "CNT-2",
        "a frame without a receiver counts as sent",
        _UnwantedCountsAsSent,
    ),
    broken_device(
        "unwanted-counts-as-failed",
        "CNT-2",
        "a frame without a receiver counts as a carrier error",
        _UnwantedCountsAsFailed,
    ),
    broken_device(
        "part-counts-as-sent",
        "CNT-3",
        "a transfer that moved a part of the frame counts as sent",
        _PartCountsAsSent,
    ),
    broken_device(
        "part-counts-its-bytes",
        "CNT-3",
        "tx_bytes counts what was moved of a cut frame",
        _PartCountsItsBytes,
    ),
    broken_device(
        "failed-counts-as-sent-too",
        "CNT-3",
        "a failed transfer adds 1 to tx_packets too",
        _FailedCountsAsSentToo,
    ),
    broken_device(
        "nothing-moved-not-counted",
        "CNT-3",
        "a transfer that moved nothing is not counted",
        _NothingMovedNotCounted,
    ),
    broken_device(
        "failures-count-once",
        "CNT-3",
        "a frame that fails for several peers counts one carrier error",
        _FailuresCountOnce,
    ),
    broken_device(
        "received-with-header",
        "CNT-4",
        "rx_bytes counts the header too",
        _ReceivedWithHeader,
    ),
    broken_device(
        "batch-counts-once",
        "CNT-4",
        "rx_packets counts interrupts, not frames",
        _BatchCountsOnce,
    ),
    broken_device(
        "others-not-counted",
        "CNT-4",
        "a promiscuous device does not count frames to others",
        _OthersNotCounted,
    ),
    broken_device(
        "lone-headers-not-counted",
        "CNT-4",
        "a frame without payload adds nothing to rx_packets",
        _LoneHeadersNotCounted,
    ),
)
