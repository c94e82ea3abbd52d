"""Broken LANs that drain the ring or describe a received frame wrongly (E)."""

from __future__ import annotations

from typing import Any

from harness.broken.base import broken_device, broken_guest
from harness.broken.hooks import used_len
from harness.lguest import dma
from harness.lguest.dma import NO_LENGTH
from harness.lguest.driver import BUFFER_BYTES, NOCSUM, NUM_SKBS, NetDevice
from harness.lguest.events import (
    ETH_HLEN,
    ETH_P_802_2,
    ETH_P_802_3,
    FIRST_ETHERTYPE,
    Point,
    Received,
)
from harness.lguest.guest import Guest
from harness.lguest.launcher import RANDOMNESS


class _JudgesFirst(NetDevice):
    def take(self, slot: int, length: int) -> None:
        buffer = self.buffers[slot]
        if buffer is None or self.shortest <= length <= self.longest:
            super().take(slot, length)
        else:
            self.drop(slot, buffer, length, "not believed")
            self.offer(slot, buffer)


class _MissesTheLastBuffer(NetDevice):
    def receive(self) -> bool:
        at = self.ring + (NUM_SKBS - 1) * dma.SIZE
        memory = self.guest.memory
        kept = memory.read(at, 4)
        memory.write(at, NO_LENGTH)
        handled = super().receive()
        if kept != NO_LENGTH:
            memory.write(at, kept)
        return handled


class _LooksOnceAtAll(NetDevice):
    used: tuple[bool, ...] = ()

    def receive(self) -> bool:
        at = range(self.ring, self.ring + NUM_SKBS * dma.SIZE, dma.SIZE)
        self.used = tuple(used_len(self.guest, address) != 0 for address in at)
        return super().receive()

    def take(self, slot: int, length: int) -> None:
        if self.used[slot]:
            super().take(slot, length)


class _EveryInterruptIsItsOwn(NetDevice):
    def receive(self) -> bool:
        super().receive()
        return True


class _NoInterruptIsItsOwn(NetDevice):
    def receive(self) -> bool:
        handled = super().receive()
        return handled and self.is_open and used_len(self.guest, self.ring) != 0


class _CloseTakesTheInterrupt(NetDevice):
    def close(self) -> None:
        super().close()
        self.guest.pending &= ~(1 << self.interrupt)


class _OpenTakesTheInterrupt(NetDevice):
    def open(self) -> int:
        self.guest.pending &= ~(1 << self.interrupt)
        return super().open()


class _UsedLenFirst(NetDevice):
    def offer(self, slot: int, address: int) -> None:
        host, memory = self.guest.host, self.guest.memory
        at = self.ring + slot * dma.SIZE
        memory.write(at, NO_LENGTH)
        if host.interleave is not None:
            host.interleave(Point.LISTED, self.guest)
        filled = memory.read(at, 4)
        calling, host.interleave = host.interleave, None
        super().offer(slot, address)
        host.interleave = calling
        memory.write(at, filled)


class _UsedLenTwice(NetDevice):
    def offer(self, slot: int, address: int) -> None:
        self.guest.memory.write(self.ring + slot * dma.SIZE, NO_LENGTH)
        super().offer(slot, address)


class _FailedRefillInSilence(Guest):
    def log(self, text: str) -> None:
        if "could not fill slot" not in text:
            super().log(text)


class _FailedRefillOfTheNext(Guest):
    def log(self, text: str) -> None:
        before, slot, number = text.rpartition("could not fill slot ")
        super().log(f"{before}{slot}{int(number) + 1}" if slot else text)


class _AlwaysEth0(Guest):
    def log(self, text: str) -> None:
        name, colon, rest = text.partition(": could not fill slot")
        super().log(f"eth0{colon}{rest}" if colon and name else text)


class _ReceivesAs(NetDevice):
    event: type[Received] = Received

    def pass_up(self, slot: int, frame: bytes) -> None:
        super().pass_up(slot, frame)
        events = self.guest.host.events
        last = events[-1]
        if isinstance(last, Received):
            events[-1] = self.event(*last)


def _type_field(frame: bytes) -> int:
    return int.from_bytes(frame[12:ETH_HLEN], "big")


class _FirstTypeIsALength(Received):
    __slots__ = ()

    @property
    def protocol(self) -> int:
        if _type_field(self.frame) != FIRST_ETHERTYPE:
            return super().protocol
        no_llc = self.frame[ETH_HLEN : ETH_HLEN + 2] == b"\xff\xff"
        return ETH_P_802_3 if no_llc else ETH_P_802_2


class _LastLengthIsAType(Received):
    __slots__ = ()

    @property
    def protocol(self) -> int:
        protocol = _type_field(self.frame)
        return protocol if protocol == FIRST_ETHERTYPE - 1 else super().protocol


class _LengthsEndAt1500(Received):
    __slots__ = ()

    @property
    def protocol(self) -> int:
        protocol = _type_field(self.frame)
        return protocol if protocol > BUFFER_BYTES - ETH_HLEN else super().protocol


class _No8023(Received):
    __slots__ = ()

    @property
    def protocol(self) -> int:
        protocol = super().protocol
        return ETH_P_802_2 if protocol == ETH_P_802_3 else protocol


class _OneFillerIsEnough(Received):
    __slots__ = ()

    @property
    def protocol(self) -> int:
        protocol = super().protocol
        first = self.frame[ETH_HLEN : ETH_HLEN + 1]
        return ETH_P_802_3 if protocol == ETH_P_802_2 and first == b"\xff" else protocol


class _TooShortIs8023(Received):
    __slots__ = ()

    @property
    def protocol(self) -> int:
        protocol = super().protocol
        short = len(self.frame) < ETH_HLEN + 2
        return ETH_P_802_3 if protocol == ETH_P_802_2 and short else protocol


class _MulticastIsBroadcast(Received):
    __slots__ = ()

    @property
    def packet_type(self) -> str:
        return "broadcast" if self.frame[0] & 1 else super().packet_type


class _BroadcastIsMulticast(Received):
    __slots__ = ()

    @property
    def packet_type(self) -> str:
        return "multicast" if self.frame[0] & 1 else super().packet_type


class _OtherhostIsHost(Received):
    __slots__ = ()

    @property
    def packet_type(self) -> str:
        packet_type = super().packet_type
        return "host" if packet_type == "otherhost" else packet_type


class _FirstTypeIsALengthDevice(_ReceivesAs):
    event = _FirstTypeIsALength


class _LastLengthIsATypeDevice(_ReceivesAs):
    event = _LastLengthIsAType


class _LengthsEndAt1500Device(_ReceivesAs):
    event = _LengthsEndAt1500


class _No8023Device(_ReceivesAs):
    event = _No8023


class _OneFillerIsEnoughDevice(_ReceivesAs):
    event = _OneFillerIsEnough


class _TooShortIs8023Device(_ReceivesAs):
    event = _TooShortIs8023


class _MulticastIsBroadcastDevice(_ReceivesAs):
    event = _MulticastIsBroadcast


class _BroadcastIsMulticastDevice(_ReceivesAs):
    event = _BroadcastIsMulticast


class _OtherhostIsHostDevice(_ReceivesAs):
    event = _OtherhostIsHost


class _ChecksumsNeeded(NetDevice):
    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.checksum_unnecessary = False


class _ChecksumsNeverNeeded(NetDevice):
    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.checksum_unnecessary = True


class _AlwaysScatterGather(NetDevice):
    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.scatter_gather = True


class _NeverScatterGather(NetDevice):
    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.scatter_gather = False


class _RandomnessIsNocsum(NetDevice):
    def __init__(self, guest: Guest, index: int, features: int, *rest: Any) -> None:
        super().__init__(guest, index, features, *rest)
        self.checksum_unnecessary = bool(features & (NOCSUM | RANDOMNESS))
        self.scatter_gather = self.checksum_unnecessary


BROKEN = (
    broken_device(
        "judges-before-refilling",
        "RCV-1",
        "a frame of invalid length is dropped and its own buffer offered again",
        _JudgesFirst,
    ),
    broken_device(
        "misses-the-last-buffer",
        "RCV-1",
        "the last of the eight buffers is never looked at",
        _MissesTheLastBuffer,
    ),
    broken_device(
        "looks-once-at-all-buffers",
        "RCV-1",
        "buffers that are filled while the handler runs wait for its next run",
        _LooksOnceAtAll,
    ),
    broken_device(
        "every-interrupt-is-its-own",
        "RCV-1",
        "an interrupt that finds nothing counts as handled",
        _EveryInterruptIsItsOwn,
    ),
    broken_device(
        "no-interrupt-is-its-own",
        "RCV-1",
        "an interrupt that finds frames counts as not handled",
        _NoInterruptIsItsOwn,
    ),
    broken_device(
        "close-takes-the-interrupt",
        "RCV-1",
        "closing takes a pending interrupt away",
        _CloseTakesTheInterrupt,
    ),
    broken_device(
        "open-takes-the-interrupt",
        "RCV-1",
        "opening takes a pending interrupt away",
        _OpenTakesTheInterrupt,
    ),
    broken_device(
        "used-len-before-the-list",
        "RCV-2",
        "a fresh buffer's used_len is 0 while its list is still the old one",
        _UsedLenFirst,
    ),
    broken_device(
        "used-len-twice",
        "RCV-2",
        "a fresh buffer's used_len is zeroed before its list is written, and after",
        _UsedLenTwice,
    ),
    broken_guest(
        "failed-refill-in-silence",
        "RCV-5",
        "a refill that fails is not logged",
        _FailedRefillInSilence,
    ),
    broken_guest(
        "failed-refill-of-the-next",
        "RCV-5",
        "the message of a failed refill counts slots from 1",
        _FailedRefillOfTheNext,
    ),
    broken_guest(
        "failed-refill-of-eth0",
        "RCV-5",
        "the message of a failed refill names eth0, whatever the device",
        _AlwaysEth0,
    ),
    broken_device(
        "first-type-is-a-length",
        "RCV-3",
        "0x0600 is taken for a length",
        _FirstTypeIsALengthDevice,
    ),
    broken_device(
        "last-length-is-a-type",
        "RCV-3",
        "0x05ff is taken for an EtherType",
        _LastLengthIsATypeDevice,
    ),
    broken_device(
        "lengths-end-at-1500",
        "RCV-3",
        "all above 1,500 is taken for an EtherType",
        _LengthsEndAt1500Device,
    ),
    broken_device(
        "no-802-3", "RCV-3", "a payload that starts ff:ff is not looked at", _No8023Device
    ),
    broken_device(
        "one-ff-is-802-3",
        "RCV-3",
        "one byte of ff makes a payload 802.3",
        _OneFillerIsEnoughDevice,
    ),
    broken_device(
        "too-short-is-802-3",
        "RCV-3",
        "a frame without two bytes of payload counts as 802.3",
        _TooShortIs8023Device,
    ),
    broken_device(
        "multicast-told-as-broadcast",
        "RCV-3",
        "every frame to a group has packet type broadcast",
        _MulticastIsBroadcastDevice,
    ),
    broken_device(
        "broadcast-told-as-multicast",
        "RCV-3",
        "a broadcast has packet type multicast",
        _BroadcastIsMulticastDevice,
    ),
    broken_device(
        "otherhost-told-as-host",
        "RCV-3",
        "a frame to another's address has packet type host",
        _OtherhostIsHostDevice,
    ),
    broken_device(
        "checksums-needed", "RCV-4", "NOCSUM does not spare the checksum", _ChecksumsNeeded
    ),
    broken_device(
        "checksums-never-needed",
        "RCV-4",
        "frames need no checksum even without NOCSUM",
        _ChecksumsNeverNeeded,
    ),
    broken_device(
        "always-scatter-gather",
        "RCV-4",
        "scatter-gather is offered without NOCSUM too",
        _AlwaysScatterGather,
    ),
    broken_device(
        "never-scatter-gather",
        "RCV-4",
        "scatter-gather is not offered with NOCSUM",
        _NeverScatterGather,
    ),
    broken_device(
        "randomness-is-nocsum",
        "RCV-4",
        "the randomness feature is taken for NOCSUM",
        _RandomnessIsNocsum,
    ),
)
