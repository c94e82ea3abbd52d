"""A capture's lines from what happened on a simulated Host."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.lan import Record
from harness.lguest.driver import NetDevice
from harness.lguest.events import (
    Copied,
    Dropped,
    Event,
    RawSend,
    Received,
    Refused,
    Transmitted,
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
        self._found: list[Record] = []
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
                    told: tuple[str, ...] = ()
                    if event.packed < event.sections:
                        told = (f"Megapacket: {event.packed} of {event.sections} sections sent",)
                    self._sent(event, event.slot, told)
                case RawSend():
                    if event.guest in self._firsts:
                        raw = f"raw SEND_DMA to key {event.key:#x}"
                        self._sent(event, self._firsts[event.guest], (raw,))
                case Refused():
                    self._sent(event, event.slot, (f"refused: {event.reason}",))
                case Copied():
                    self._copied(event)
                case Received() | Dropped():
                    self._received(event)
        self._read = len(events)
        return self._found

    def _meet(self) -> None:
        for device in self._devices[self._known :]:
            key = (device.guest.id, device.slot)
            self._names[key] = self._at_slot[device.slot] = name_of(device)
            self._firsts.setdefault(device.guest.id, device.slot)
        self._known = len(self._devices)

    def _sent(
        self, event: Transmitted | RawSend | Refused, slot: int, told: tuple[str, ...]
    ) -> None:
        port = self._names.get((event.guest, slot))
        if port is None:
            return  # a device that is not on this LAN
        self._sending[event.guest] = len(self._found)
        frame = event.frame[:LONGEST_CAPTURED]
        self._found.append(Record(event.time, port, "sent", frame, len(event.frame), told))

    def _copied(self, event: Copied) -> None:
        slot = event.key // 4
        length = event.moved
        if event.sender is not None and event.sender in self._sending:
            index = self._sending[event.sender]
            record = self._found[index]
            length = len(record.frame)
            to = self._at_slot.get(slot, f"slot {slot}")
            told: tuple[str, ...] = ()
            if event.reason:
                told = (f"to {to}: {event.reason}",)
            elif event.moved != length:
                told = (f"to {to}: {event.moved} of {length} bytes copied",)
            if told:
                self._found[index] = record._replace(comments=record.comments + told)
        if event.receiver is not None and event.buffer is not None:
            self._whole[event.receiver, slot, event.buffer] = length

    def _received(self, event: Received | Dropped) -> None:
        size = len(event.frame)
        key = (event.guest, event.slot)
        length = max(size, self._whole.pop((*key, event.buffer), size))
        port = self._names.get(key)
        if port is None:
            return
        told: tuple[str, ...] = (f"copied by the Host into buffer {event.buffer}, interrupt",)
        if isinstance(event, Dropped):
            told = (event.reason, *told)
        elif length > size:
            told = (f"cut: {size} of {length} bytes arrived", *told)
        self._found.append(Record(event.time, port, "received", event.frame, length, told))


def records_of(events: Iterable[Event], devices: Sequence[NetDevice]) -> list[Record]:
    """The records of events that are all there."""
    return Recorder(devices).up_to(list(events))
