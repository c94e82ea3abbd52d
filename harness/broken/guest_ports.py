"""Broken LANs whose Guests are right, and whose ports give something else than their device."""

from __future__ import annotations

from collections.abc import Sequence

from harness.broken.base import Broken
from harness.lan import Arrival
from harness.lans.lguest import LguestLan, LguestPort
from harness.lguest.defects import REPAIRED
from harness.lguest.driver import NetDevice


class _FramesOfTheGuest(LguestPort):
    def __init__(self, lan: LguestLan, device: NetDevice) -> None:
        super().__init__(lan, device)
        self.lan = lan
        self.given: dict[int, int] = {}

    def arrivals(self) -> list[Arrival]:
        arrivals = super().arrivals()
        for device in self.device.guest.devices:
            if isinstance(device, NetDevice) and device is not self.device:
                frames = self.lan.received(device)
                new = frames[self.given.get(device.slot, 0) :]
                self.given[device.slot] = len(frames)
                arrivals += [Arrival(self.lan.host.now, frame) for frame in new]
        return arrivals


class _LeavesItsGroupsToo(LguestPort):
    def set_promiscuous(self, on: bool) -> None:
        super().set_promiscuous(on)
        if not on:
            self.join_groups(0)


class _OpensInSilence(LguestPort):
    def open(self) -> None:
        self.device.open()


class _PassesNothingForeign(LguestPort):
    def arrivals(self) -> list[Arrival]:
        return [
            arrival._replace(
                passes_filter=arrival.frame[0] & 1 == 1 or arrival.frame[:6] == self.mac
            )
            for arrival in super().arrivals()
        ]


def _lan_with(port_class: type[LguestPort]) -> type[LguestLan]:
    class OtherPorts(LguestLan):
        def ports(self, count: int) -> Sequence[LguestPort]:
            made: dict[int, LguestPort] = self.__dict__.setdefault("made", {})
            devices = [port.device for port in super().ports(count)]
            for device in devices:
                if device.slot not in made:
                    made[device.slot] = port_class(self, device)
            return [made[device.slot] for device in devices]

    return OtherPorts


def _broken_port(name: str, rule: str, what: str, port_class: type[LguestPort]) -> Broken:
    lan_class = _lan_with(port_class)

    def build(lan_name: str) -> LguestLan:
        return lan_class(lan_name, REPAIRED)

    return Broken(name, rule, what, build, "directory", lguest=True)


BROKEN = (
    _broken_port(
        "port-of-the-whole-guest",
        "DLV-2",
        "a port has the frames of every device of its Guest",
        _FramesOfTheGuest,
    ),
    _broken_port(
        "port-leaves-its-groups-too",
        "PUB-4",
        "a port that leaves promiscuous mode leaves its groups too",
        _LeavesItsGroupsToo,
    ),
    _broken_port(
        "port-opens-in-silence",
        "LIF-1",
        "a port that could not be opened says nothing",
        _OpensInSilence,
    ),
    _broken_port(
        "port-marks-foreign-frames",
        "RCV-3",
        "a promiscuous port marks frames to others as not passing its filter",
        _PassesNothingForeign,
    ),
)
