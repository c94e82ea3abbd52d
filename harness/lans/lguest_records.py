"""A capture's records from what happened on a simulated Host, each with its fates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import assert_never

from harness.lan import DROPPED, Fate, FateKind, Record
from harness.lguest.driver import NetDevice
from harness.lguest.events import (
    Copied,
    Dropped,
    Event,
    Fault,
    Killed,
    Message,
    RawSend,
    Received,
    Refused,
    Transmitted,
    Warned,
)

LONGEST_CAPTURED = 262_144
"""Bytes of a frame that Wireshark accepts."""


def name_of(device: NetDevice) -> str:
    """What a device's interface is called: its Guest, and its own name if not the first."""
    base = f"guest{device.guest.id}"
    return base if device.name == "eth0" else f"{base}.{device.name}"


class Recorder:
    """Turns events into records as they come.

    ``devices`` are those of the LAN; more may join it later.
    """

    def __init__(self, devices: Sequence[NetDevice]) -> None:
        self._devices = devices
        self._known = 0
        self._names: dict[tuple[int, int], str] = {}
        self._firsts: dict[int, int] = {}
        self._at_slot: dict[int, str] = {}
        self._read = 0
        self._records: list[Record] = []
        self._sending: dict[int, int] = {}
        """Guest id to the number of the record that it sent last."""
        self._whole: dict[tuple[int, int, int], int] = {}
        """(Guest id, slot, buffer) to the length of the frame before it was copied there."""

    def up_to(self, events: Sequence[Event]) -> list[Record]:
        """The records of all events; those that were read before are not read again."""
        self._meet()
        for event in events[self._read :]:
            match event:
                case Transmitted():
                    self._sent(event, event.slot, _transmitted(event))
                case RawSend():
                    if event.guest in self._firsts:
                        reason = f"SEND_DMA to key {event.key:#x}"
                        fate = Fate(FateKind.SENT_RAW, reason)
                        self._sent(event, self._firsts[event.guest], fate)
                case Refused():
                    self._sent(event, event.slot, Fate(FateKind.REFUSED, event.reason))
                case Copied():
                    self._copied(event)
                case Received() | Dropped():
                    self._received(event)
                case Message() | Warned() | Killed() | Fault():
                    pass  # of a Guest, or its Launcher, and of no frame
                case _ as unknown:
                    assert_never(unknown)
        self._read = len(events)
        return self._records

    def take(self, events: Sequence[Event]) -> list[Record]:
        """The records of all events, which are then forgotten; the next are read from the first."""
        taken = self.up_to(events)
        self._records, self._read = [], 0
        self._sending.clear()
        self._whole.clear()
        return taken

    def _meet(self) -> None:
        for device in self._devices[self._known :]:
            key = (device.guest.id, device.slot)
            self._names[key] = self._at_slot[device.slot] = name_of(device)
            self._firsts.setdefault(device.guest.id, device.slot)
        self._known = len(self._devices)

    def _sent(self, event: Transmitted | RawSend | Refused, slot: int, fate: Fate) -> None:
        port = self._names.get((event.guest, slot))
        if port is None:
            return  # a device that is not on this LAN
        self._sending[event.guest] = len(self._records)
        frame = event.frame[:LONGEST_CAPTURED]
        self._records.append(
            Record(event.time, port, "sent", frame, len(event.frame), fates=(fate,))
        )

    def _copied(self, event: Copied) -> None:
        slot = event.key // 4
        length = event.moved
        if event.sender is not None and event.sender in self._sending:
            index = self._sending[event.sender]
            record = self._records[index]
            length = len(record.frame)
            if event.reason or event.moved != length:
                to = self._at_slot.get(slot, f"slot {slot}")
                fate = Fate(FateKind.UNDELIVERED, event.reason, to, event.moved, length)
                if fate not in record.fates:
                    self._records[index] = record._replace(fates=(*record.fates, fate))
        if event.receiver is not None and event.buffer is not None:
            self._whole[event.receiver, slot, event.buffer] = length

    def _received(self, event: Received | Dropped) -> None:
        size = len(event.frame)
        key = (event.guest, event.slot)
        length = max(size, self._whole.pop((*key, event.buffer), size))
        port = self._names.get(key)
        if port is None:
            return
        reason, kind = "", FateKind.DELIVERED
        if isinstance(event, Dropped):
            reason, kind = event.reason.removesuffix(f", {DROPPED}"), FateKind.DROPPED
        elif length > size:
            kind = FateKind.TRUNCATED
        fate = Fate(kind, reason, buffer=event.buffer)
        if length > size:
            fate = replace(fate, count=size, of=length)
        self._records.append(
            Record(event.time, port, "received", event.frame, length, fates=(fate,))
        )


def _transmitted(event: Transmitted) -> Fate:
    if event.packed < event.sections:
        return Fate(FateKind.SENT_PARTLY, count=event.packed, of=event.sections)
    return Fate(FateKind.SENT)


def records_of(events: Iterable[Event], devices: Sequence[NetDevice]) -> list[Record]:
    """The records of a finished list of events."""
    return Recorder(devices).up_to(list(events))
