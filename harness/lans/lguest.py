"""The simulated lguest LAN, as a LAN under test.

A port is a Guest with one device in one slot. Settling is a barrier: interrupts run,
in ascending order of Guest id, until none is pending; then nothing can be in flight.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from harness.lan import Arrival, FrameRefused, LanError, Layout, Record, Traits
from harness.lans.lguest_records import Recorder, name_of
from harness.lguest.defects import AS_SHIPPED, REPAIRED, Defects
from harness.lguest.driver import LARGEST_FRAME, NUM_SKBS, NetDevice
from harness.lguest.events import ETH_ALEN, Event, Received
from harness.lguest.guest import Guest
from harness.lguest.host import EPOCH_NS, Host
from harness.lguest.launcher import GUEST_PAGES, HostNetwork, Launcher, SharedFile, check_pages
from harness.lguest.memory import DevicePages, LguestError
from harness.lguest.tap import Tap

TRAITS = Traits(
    filters="sender",
    learns=False,
    ordered=True,
    shortest=ETH_ALEN,
    longest=LARGEST_FRAME,
    oversized="cut",
    burst=NUM_SKBS,
    layouts=True,
    counters=True,
    settles="barrier",
)


class LguestPort:
    """A Guest's device, plugged in."""

    def __init__(self, lan: LguestLan, device: NetDevice) -> None:
        self.device = device
        self.name = name_of(device)
        self.mac = device.address
        self.lan = lan
        self._seen = len(lan.host.events)

    def __repr__(self) -> str:
        return f"<{self.name}, slot {self.device.slot}>"

    def send(self, frame: bytes, layout: Layout | None = None) -> None:
        layout = layout or Layout()
        try:
            with self.lan.lock:
                self.device.transmit(frame, layout.linear, layout.offset, layout.fragments)
        except LguestError as error:
            raise FrameRefused(str(error)) from None

    def forget(self) -> None:
        """The Host's events begin anew."""
        self._seen = 0

    def arrivals(self) -> list[Arrival]:
        with self.lan.lock:
            events = self.lan.host.events
            news, self._seen = events[self._seen :], len(events)
        device = self.device
        return [
            Arrival(event.time, event.frame, event.packet_type != "otherhost" or device.promiscuous)
            for event in news
            if isinstance(event, Received)
            and event.guest == device.guest.id
            and event.slot == device.slot
        ]

    def set_promiscuous(self, on: bool) -> None:
        self._flags(promiscuous=on)

    def join_groups(self, count: int) -> None:
        self._flags(groups=count)

    def _flags(self, *, promiscuous: bool | None = None, groups: int | None = None) -> None:
        device = self.device
        device.set_flags(
            promiscuous=device.promiscuous if promiscuous is None else promiscuous,
            all_multicast=device.all_multicast,
            multicast_count=device.multicast_count if groups is None else groups,
        )

    def close(self) -> None:
        self.device.close()

    def open(self) -> None:
        if self.device.open() != 0:
            raise LanError(f"{self.name} could not be opened: no memory")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a simulated LAN is made of; a broken LAN replaces one of them."""

    host: type[Host] = Host
    guest: type[Guest] = Guest
    device: type[NetDevice] = NetDevice
    pages: type[DevicePages] = DevicePages
    launcher: type[Launcher] = Launcher
    network: type[HostNetwork] = HostNetwork
    file: type[SharedFile] = SharedFile


PARTS = Parts()
"""What lguest itself is made of."""


class LguestLan:
    """A LAN of one to 2,730 Guests on one simulated Host."""

    traits = TRAITS

    def __init__(
        self,
        name: str,
        defects: Defects,
        *,
        pages: int = 1,
        start_ns: int = EPOCH_NS,
        parts: Parts = PARTS,
    ) -> None:
        check_pages(pages, speaks_of_defect=defects.mask_swallows_features)
        self.name = name
        self.lock = threading.RLock()
        """Held while a frame crosses: several threads may use the LAN."""
        self.parts = parts
        self.host = parts.host(defects, start_ns=start_ns, trace=True)
        self.pages = parts.pages(pages)
        self.devices: list[NetDevice] = []
        self._ports: list[LguestPort] = []
        self._taken: set[int] = set()
        self._next_slot = 0
        self._launchers: dict[int, Launcher] = {}
        self._recorder = Recorder(self.devices)
        self._reported = 0

    def device(
        self,
        slot: int | None = None,
        *,
        guest_id: int | None = None,
        nocsum: bool = True,
        rx_offset: int = 16,
    ) -> NetDevice:
        """A new Guest with a device on this LAN, not yet open.

        Without a ``slot`` it gets the lowest that no device has; its Guest id is the
        slot plus 1 unless given.
        """
        if slot is None:
            while self._next_slot in self._taken:
                self._next_slot += 1
            slot = self._next_slot
        launcher = self.launch(slot + 1 if guest_id is None else guest_id)
        return self._join(launcher, slot, nocsum, rx_offset)

    def launch(self, guest_id: int, pages: int = GUEST_PAGES) -> Launcher:
        """A Launcher with a new Guest, with so much memory, that has no device yet."""
        launcher = self.parts.launcher(
            self.host,
            guest_id,
            pages,
            guest_class=self.parts.guest,
            device_class=self.parts.device,
        )
        launcher.network_class = self.parts.network
        self._launchers[guest_id] = launcher
        return launcher

    def host_network(self, guest_id: int, tap: Tap) -> HostNetwork:
        """A new Guest on a network with its Launcher alone; the device is not yet open."""
        network = self.launch(guest_id).join_host(tap)
        self.devices.append(network.device)
        return network

    def second_device(self, guest: Guest, slot: int) -> NetDevice:
        """One more device of a Guest that has one, on this LAN too, not yet open."""
        return self._join(self._launchers[guest.id], slot, True, 16)

    def launcher(self, guest: Guest) -> Launcher:
        """The Launcher that started a Guest."""
        return self._launchers[guest.id]

    def _join(self, launcher: Launcher, slot: int, nocsum: bool, rx_offset: int) -> NetDevice:
        device = launcher.join(self.pages, slot, nocsum=nocsum, rx_offset=rx_offset)
        self.devices.append(device)
        self._taken.add(slot)
        return device

    def open_devices(self, count: int, *, rx_offset: int = 16) -> list[NetDevice]:
        """So many new Guests, each with an open device."""
        devices = [self.device(rx_offset=rx_offset) for _ in range(count)]
        for device in devices:
            if device.open() != 0:
                raise LanError(f"{name_of(device)} could not be opened: no memory")
        return devices

    def received(self, device: NetDevice) -> list[bytes]:
        """Every frame that a device passed up so far."""
        return [
            event.frame
            for event in self.host.events
            if isinstance(event, Received)
            and (event.guest, event.slot) == (device.guest.id, device.slot)
        ]

    def news(self) -> list[Event]:
        """The events on the Host since the last call."""
        events = self.host.events
        news, self._reported = events[self._reported :], len(events)
        return news

    def ports(self, count: int) -> Sequence[LguestPort]:
        while len(self._ports) < count:
            (device,) = self.open_devices(1)
            self._ports.append(LguestPort(self, device))
        return self._ports[:count]

    def settle(self) -> None:
        guests = self.host.guests
        with self.lock:
            while any(guest.pending and guest.dead is None for guest in guests.values()):
                for guest in list(guests.values()):
                    if guest.pending and guest.dead is None:
                        guest.interrupt()

    def interfaces(self) -> list[tuple[str, bytes]]:
        return [(name_of(device), device.address) for device in self.devices]

    def records(self) -> list[Record]:
        return self._recorder.up_to(self.host.events)

    def take_records(self) -> list[Record]:
        """The records since the last call; the LAN forgets them, and what has arrived.

        All must be quiet, and arrivals read.
        """
        with self.lock:
            taken = self._recorder.take(self.host.events)
            self.host.events.clear()
            self._reported = 0
            for port in self._ports:
                port.forget()
            return taken

    def close(self) -> None:
        self.host.close()


def lguest(start_ns: int = EPOCH_NS) -> LguestLan:
    """The lguest LAN as shipped in Linux 2.6.23."""
    return LguestLan("lguest", AS_SHIPPED, start_ns=start_ns)


def repaired(start_ns: int = EPOCH_NS) -> LguestLan:
    """The lguest LAN with its known defects mended."""
    return LguestLan("lguest-repaired", REPAIRED, start_ns=start_ns)
