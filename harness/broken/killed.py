"""Broken LANs whose Guests run on after they were killed in the middle of a step (DMA-9)."""

from __future__ import annotations

from harness.broken.base import broken_device, broken_guest, broken_host
from harness.lguest.driver import NetDevice
from harness.lguest.events import Point
from harness.lguest.guest import Guest
from harness.lguest.host import Host
from harness.lguest.memory import Binding, Key, Owner


class _RunsOn(NetDevice):
    points: tuple[Point, ...] = ()

    def goes_on(self, point: Point) -> bool:
        return super().goes_on(point) or point in self.points


class _SendsOnceMore(_RunsOn):
    points = (Point.ADDRESSED,)


class _PassesUpOneMore(NetDevice):
    def take(self, slot: int, length: int) -> None:
        guest = self.guest
        buffer = self.buffers[slot]
        super().take(slot, length)
        if guest.dead is not None and buffer is not None:
            self.pass_up(slot, guest.memory.read(buffer, length))


class _BindsAfterDeath(NetDevice):
    def goes_on(self, point: Point) -> bool:
        going = super().goes_on(point)
        if not going and point is Point.FILLED:
            self.guest.host.bind_dma(self.guest, self.key, self.ring, 8, self.interrupt)
        return going


class _UnbindsAfterDeath(NetDevice):
    def goes_on(self, point: Point) -> bool:
        going = super().goes_on(point)
        if not going and point is Point.UNPUBLISHED:
            self.guest.host.bind_dma(self.guest, self.key, self.ring, 8, 0)
        return going


class _CountsAfterDeath(NetDevice):
    def transfer(self, listed: bytes, length: int, slot: int) -> None:
        guest = self.guest
        super().transfer(listed, length, slot)
        if guest.dead is not None:
            self.counters.tx_packets += 1


class _EveryDeviceHandles(Guest):
    def interrupt(self) -> bool:
        pending = self.pending
        handled = super().interrupt()
        if self.dead is not None:
            reason, self.dead = self.dead, None
            for device in self.devices[1:]:
                if pending >> device.interrupt & 1:
                    device.receive()
            self.dead = reason
        return handled


class _NoSecondTryOfTheDead(Host):
    def try_send(self, guest: Owner, key: Key, address: int) -> bool:
        return guest.dead is None and super().try_send(guest, key, address)


class _FullNewestFallsBack(Host):
    def try_send(self, guest: Owner, key: Key, address: int) -> bool:
        others = [binding for binding in key.bound if binding.guest is not guest]
        for binding in others[:1]:
            if binding.count and self.is_full(binding) and len(others) > 1:
                return self.transfer(guest, others[1], address)
        return super().try_send(guest, key, address)

    def is_full(self, binding: Binding) -> bool:
        return binding.store is not None and self.free_buffer(binding) is None


class _DeadNewestFallsBack(Host):
    def try_send(self, guest: Owner, key: Key, address: int) -> bool:
        others = [binding for binding in key.bound if binding.guest is not guest]
        living = [binding for binding in others if binding.guest.dead is None]
        if living and others[0].guest.dead is not None:
            return self.transfer(guest, living[0], address)
        return super().try_send(guest, key, address)


class _SaysTheSendingKey(Host):
    def kill(self, guest: Owner, reason: str) -> None:
        super().kill(guest, f"{reason} 0x0" if reason == "bad sending DMA key" else reason)


class _OneTextForBadKeys(Host):
    def kill(self, guest: Owner, reason: str) -> None:
        super().kill(guest, "bad dma key" if reason.startswith("bad dma key") else reason)


BROKEN = (
    broken_device(
        "killed-sends-once-more",
        "DMA-9",
        "a Guest that is killed during a broadcast makes one more SEND_DMA",
        _SendsOnceMore,
    ),
    broken_device(
        "killed-passes-up-one-more",
        "DMA-9",
        "a Guest that is killed while it receives passes up one more frame",
        _PassesUpOneMore,
    ),
    broken_device(
        "killed-binds",
        "DMA-9",
        "a Guest that is killed while it opens still binds its buffers",
        _BindsAfterDeath,
    ),
    broken_device(
        "killed-unbinds",
        "DMA-9",
        "a Guest that is killed while it closes still unbinds its buffers",
        _UnbindsAfterDeath,
    ),
    broken_device(
        "killed-counts",
        "DMA-9",
        "a Guest that is killed in a SEND_DMA still counts it",
        _CountsAfterDeath,
    ),
    broken_guest(
        "killed-handles-the-second-device",
        "DMA-9",
        "a Guest that is killed in one interrupt handler still runs the next",
        _EveryDeviceHandles,
    ),
    broken_host(
        "no-second-try-of-the-dead",
        "DMA-9",
        "a sender that is killed between the two tries gets no second",
        _NoSecondTryOfTheDead,
    ),
    broken_host(
        "full-array-falls-back",
        "DMA-2",
        "where the newest array of a key is full an older one is searched",
        _FullNewestFallsBack,
    ),
    broken_host(
        "dead-array-falls-back",
        "DMA-2",
        "an array of a killed Guest does not hide an older one of the key",
        _DeadNewestFallsBack,
    ),
    broken_host(
        "says-the-sending-key",
        "DMA-7",
        "the reason for killing the sender of a bad key names an address",
        _SaysTheSendingKey,
    ),
    broken_host(
        "hides-the-binding-key",
        "DMA-7",
        "the reason for killing the binder of a bad key does not name it",
        _OneTextForBadKeys,
    ),
)
