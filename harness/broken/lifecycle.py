"""Broken LANs whose devices open, close or join wrongly (G)."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import Any, Self

from harness.broken.base import Broken, broken_device, broken_guest, broken_lguest
from harness.broken.hooks import AfterTransmit
from harness.lans.lguest import Parts
from harness.lguest.driver import NUM_SKBS, Counters, NetDevice
from harness.lguest.guest import ACKNOWLEDGE, DESCRIPTOR, DRIVER, DRIVER_OK, FAILED, Guest
from harness.lguest.launcher import Launcher, SharedFile
from harness.lguest.memory import ADDRESS_BYTES, DevicePages, LguestError

# Opening (LIF-1, LIF-2)


class _PublishesLast(NetDevice):
    def open(self) -> int:
        result = super().open()
        if result == 0:
            self.pages.publish(self.slot, self.address)
            self.show_promiscuity()
        return result

    def show_promiscuity(self) -> None:
        if self.is_open:
            super().show_promiscuity()
        else:
            self.unpublish()


class _BindsOnce(Guest):
    def bind_dma(self, key: int, array: int, count: int, interrupt: int) -> bool:
        opening = any(array == device.ring and not device.is_open for device in self.devices)
        if opening and self.host.binding(self, key, array) is not None:
            return True
        return super().bind_dma(key, array, count, interrupt)


class _BindsFirst(NetDevice):
    def fill(self, slot: int) -> bool:
        if slot == 0 and not self.is_open:
            self.guest.bind_dma(self.key, self.ring, NUM_SKBS, self.interrupt)
        return super().fill(slot)

    def give_up(self, filled: int) -> int:
        self.guest.bind_dma(self.key, self.ring, NUM_SKBS, 0)
        return super().give_up(filled)


class _BindsSeven(Guest):
    def bind_dma(self, key: int, array: int, count: int, interrupt: int) -> bool:
        if any(array == device.ring for device in self.devices):
            count = min(count, NUM_SKBS - 1)
        return super().bind_dma(key, array, count, interrupt)


class _FailedOpenSucceeds(NetDevice):
    def give_up(self, filled: int) -> int:
        super().give_up(filled)
        return 0


class _FailedOpenSaysOne(NetDevice):
    def give_up(self, filled: int) -> int:
        super().give_up(filled)
        return -1


class _FailedOpenStaysPublished(NetDevice):
    def give_up(self, filled: int) -> int:
        published = self.pages.published(self.slot)
        result = super().give_up(filled)
        self.pages.publish(self.slot, published)
        return result


class _FailedOpenKeepsBuffers(NetDevice):
    def give_up(self, filled: int) -> int:
        del filled
        return super().give_up(0)

    def fill(self, slot: int) -> bool:
        if not self.is_open and len(self.spare) < 2:
            self.guest.log(f"{self.name}: could not fill slot {slot}")
            return False
        return super().fill(slot)


class _UnboundIsPassedOver(NetDevice):
    def transfer(self, listed: bytes, length: int, slot: int) -> None:
        key = self.guest.memory.key(self.peer_key(slot))
        if key is None or not key.shared or key.bound:
            super().transfer(listed, length, slot)


class _UnboundCountsAsSent(NetDevice):
    def transfer(self, listed: bytes, length: int, slot: int) -> None:
        key = self.guest.memory.key(self.peer_key(slot))
        if key is None or not key.shared or key.bound:
            super().transfer(listed, length, slot)
        else:
            self.counters.tx_packets += 1
            self.counters.tx_bytes += length


# The result of transmit (LIF-3)


class _FailureIsReported(AfterTransmit):
    def sent(self, frame: bytes, before: Counters, done: int) -> int:
        del frame
        return -5 if self.counters.tx_carrier_errors > before.tx_carrier_errors else done


class _TotalFailureIsBusy(AfterTransmit):
    def sent(self, frame: bytes, before: Counters, done: int) -> int:
        del frame
        failed = self.counters.tx_carrier_errors > before.tx_carrier_errors
        return 1 if failed and self.counters.tx_packets == before.tx_packets else done


class _ReceiversAreReported(AfterTransmit):
    def sent(self, frame: bytes, before: Counters, done: int) -> int:
        del frame
        receivers = self.counters.tx_packets - before.tx_packets
        return receivers if receivers > 1 else done


# Devices (DEV)


class _PeerNumberInAByte(NetDevice):
    mask = 0xFF

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.slot &= self.mask


class _PeerNumberInNineBits(_PeerNumberInAByte):
    mask = 0x1FF


class _TakesTheLast(SharedFile):
    def take_slot(self, slot: int | None = None, shared: Collection[int] = ()) -> int:
        for last in reversed(range(self.pages.slots)) if slot is None else ():
            with suppress(LguestError):
                return super().take_slot(last, shared)
        return super().take_slot(slot, shared)


class _TakesWithoutLock(SharedFile):
    def take_slot(self, slot: int | None = None, shared: Collection[int] = ()) -> int:
        taken = super().take_slot(slot, shared)
        self.free_slot(taken)
        return taken


class _SharesTheLast(SharedFile):
    def take_slot(self, slot: int | None = None, shared: Collection[int] = ()) -> int:
        try:
            return super().take_slot(slot, shared)
        except LguestError:
            return self.pages.slots - 1


class _KeepsTheLock(SharedFile):
    def free_slot(self, slot: int) -> None:
        """The lock stays."""


def _set_status(guest: Guest, index: int, status: int) -> None:
    at = guest.memory.normal + index * DESCRIPTOR.size
    kind, features, _, pages, pfn = DESCRIPTOR.unpack(guest.memory.read(at, DESCRIPTOR.size))
    guest.memory.write(at, DESCRIPTOR.pack(kind, features, status, pages, pfn))


class _OtherStatus(NetDevice):
    def last(self, status: int) -> int:
        """The final status of a probed device."""
        raise NotImplementedError

    @classmethod
    def probe(cls, guest: Guest, index: int, rx_offset: int = 16) -> Self:
        device = super().probe(guest, index, rx_offset)
        _set_status(guest, index, device.last(guest.status(index)))
        return device


class _DriverOkMissing(_OtherStatus):
    def last(self, status: int) -> int:
        return status & ~DRIVER_OK


class _LastStatusOnly(_OtherStatus):
    def last(self, status: int) -> int:
        return DRIVER_OK if status & DRIVER_OK else status


class _AcknowledgeMissing(_OtherStatus):
    def last(self, status: int) -> int:
        return status & ~ACKNOWLEDGE


class _FailedToo(_OtherStatus):
    def last(self, status: int) -> int:
        return status | FAILED


class _DriverFirst(NetDevice):
    @classmethod
    def probe(cls, guest: Guest, index: int, rx_offset: int = 16) -> Self:
        _set_status(guest, index, DRIVER)
        return super().probe(guest, index, rx_offset)


class _AcceptsMorePages(Launcher):
    fewest, most = 8, 8

    def join(
        self,
        network: DevicePages | SharedFile,
        slot: int | None = None,
        *,
        nocsum: bool = True,
        randomness: bool = False,
        rx_offset: int = 16,
    ) -> NetDevice:
        if (
            isinstance(network, DevicePages)
            and self.fewest <= network.pages <= self.most
            and slot is not None
        ):
            network.publish(slot, bytes(ADDRESS_BYTES))
            self.slots.append((network, slot, None))
            return self.offer_device(network, slot, False, False, rx_offset)
        return super().join(
            network, slot, nocsum=nocsum, randomness=randomness, rx_offset=rx_offset
        )


class _AcceptsSixteenPages(_AcceptsMorePages):
    fewest, most = 16, 16


def _file(name: str, rule: str, what: str, file: type[SharedFile]) -> Broken:
    return broken_lguest(name, rule, what, Parts(file=file))


BROKEN = (
    broken_device(
        "publishes-last",
        "LIF-1",
        "opening publishes after filling and binding",
        _PublishesLast,
    ),
    broken_lguest(
        "binds-first",
        "LIF-2",
        "opening binds before it fills",
        Parts(guest=_BindsOnce, device=_BindsFirst),
    ),
    broken_guest("binds-seven", "LIF-1", "opening binds seven of the eight buffers", _BindsSeven),
    broken_device("failed-open-succeeds", "LIF-1", "a failed open returns 0", _FailedOpenSucceeds),
    broken_device("failed-open-says-one", "LIF-1", "a failed open returns -1", _FailedOpenSaysOne),
    broken_device(
        "failed-open-keeps-buffers",
        "LIF-1",
        "a failed open does not free what it filled, and the next one fails",
        _FailedOpenKeepsBuffers,
    ),
    broken_device(
        "failed-open-stays-published",
        "LIF-1",
        "a failed open leaves its address published",
        _FailedOpenStaysPublished,
    ),
    broken_device(
        "unbound-is-passed-over",
        "LIF-2",
        "a peer that published and did not bind counts no failure",
        _UnboundIsPassedOver,
    ),
    broken_device(
        "unbound-counts-as-sent",
        "LIF-2",
        "a frame to a peer that published and did not bind counts as sent",
        _UnboundCountsAsSent,
    ),
    broken_device(
        "failure-is-reported",
        "LIF-3",
        "transmit reports a failed transfer to its caller",
        _FailureIsReported,
    ),
    broken_device(
        "total-failure-is-busy",
        "LIF-3",
        "transmit says busy where every transfer failed",
        _TotalFailureIsBusy,
    ),
    broken_device(
        "receivers-are-reported",
        "LIF-3",
        "transmit returns the number of receivers when there are several",
        _ReceiversAreReported,
    ),
    broken_device(
        "peer-number-in-a-byte",
        "DEV-1",
        "only the low eight bits of the peer number are read",
        _PeerNumberInAByte,
    ),
    broken_device(
        "peer-number-in-nine-bits",
        "DEV-1",
        "only the low nine bits of the peer number are read",
        _PeerNumberInNineBits,
    ),
    _file("takes-the-last-slot", "DEV-2", "a Launcher takes the last free slot", _TakesTheLast),
    _file(
        "takes-a-slot-without-lock",
        "DEV-2",
        "a Launcher takes the first free slot without locking it",
        _TakesWithoutLock,
    ),
    _file(
        "shares-the-last-slot",
        "DEV-2",
        "without a free slot a Launcher takes the last one",
        _SharesTheLast,
    ),
    _file(
        "keeps-the-lock-at-exit",
        "DEV-2",
        "a Launcher that ends keeps its slot locked",
        _KeepsTheLock,
    ),
    broken_device("driver-ok-missing", "DEV-3", "DRIVER_OK is not set", _DriverOkMissing),
    broken_device("acknowledge-missing", "DEV-3", "ACKNOWLEDGE is not kept", _AcknowledgeMissing),
    broken_device(
        "last-status-only", "DEV-3", "each status bit clears those before", _LastStatusOnly
    ),
    broken_device("failed-too", "DEV-3", "FAILED is set beside DRIVER_OK", _FailedToo),
    broken_device("driver-before-acknowledge", "DEV-3", "DRIVER is set first", _DriverFirst),
    broken_lguest(
        "accepts-eight-pages",
        "DEV-4",
        "a Guest can join a LAN of eight pages, without NOCSUM",
        Parts(launcher=_AcceptsMorePages),
    ),
    broken_lguest(
        "accepts-sixteen-pages",
        "DEV-4",
        "a Guest can join a LAN of sixteen pages, without NOCSUM",
        Parts(launcher=_AcceptsSixteenPages),
    ),
)
