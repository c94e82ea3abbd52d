"""A simulated LAN and the oracle, stepped together and compared.

Each step is made on both; then all visible state is compared: frames passed up, log lines,
deaths, faults, pending interrupts, counters, the whole page, buffers that Guests bound by hand.
The steps are kept, so that a difference can be printed as a short program.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.lan import Layout, Record
from harness.lans.lguest import LguestLan
from harness.lans.lguest_records import records_of
from harness.lguest import dma
from harness.lguest.driver import MEGAPACKET, NetDevice
from harness.lguest.events import Event, Fault, Killed, Message, Received
from harness.search.oracle import NOTHING_PUBLISHED, Array, Expected, Happened, Peer

SCRATCH_PAGE = 100
"""A Guest's pages from here on are the player's."""

ARRAY_PAGE = 200
"""Where a Guest's first array bound by hand lies; each takes this page and those behind it."""

ARRAY_PAGES = 10
BY_HAND = 20
"""The interrupt of a Guest's first array bound by hand."""

PLAIN = Layout()


class Mismatch(AssertionError):
    """The LAN and the oracle differ; ``lockstep`` holds the steps."""

    def __init__(self, what: str, lockstep: Lockstep) -> None:
        super().__init__(f"{what}\n\nThe steps, to paste into a test:\n\n{lockstep.program()}")
        self.lockstep = lockstep


class Lockstep:
    """``peers`` Guests in the first slots of a LAN, none of them open."""

    def __init__(self, lan: LguestLan, peers: int) -> None:
        self.lan = lan
        self.steps: list[tuple[object, ...]] = []
        self.transitions = 0
        self._peers = peers
        self.devices: list[NetDevice] = [lan.device(slot) for slot in range(peers)]
        self.expected = Expected(
            {device.slot: Peer(device.slot, device.guest.id) for device in self.devices}
        )
        self.by_hand: dict[int, list[Array | None]] = {}
        self._history: list[Event] = []
        self._page = bytes(lan.pages.size)
        self._published: dict[int, bytes] = {}

    def program(self) -> str:
        """The steps so far, as Python."""
        made = f"lockstep = Lockstep(lguest, {self._peers})"
        return "\n".join([made, *(f"lockstep.{_written(*step)}" for step in self.steps)])

    @property
    def records(self) -> list[Record]:
        """A capture of the steps so far, if the LAN traces."""
        return records_of([*self._history, *self.lan.host.events], self.devices)

    # Steps

    def open(self, slot: int) -> None:
        """Open a closed device."""
        self.steps.append(("open", slot))
        result = self.devices[slot].open()
        expected, happened = self.expected.open(slot)
        if result != expected:
            raise Mismatch(f"open gave {result}, not {expected} (LIF-1)", self)
        self._compare(happened)

    def close(self, slot: int) -> None:
        """Close an open device."""
        self.steps.append(("close", slot))
        self.devices[slot].close()
        self.expected.close(slot)
        self._compare()

    def listen(self, slot: int, how: str) -> None:
        """Flags: ``promiscuous``, ``all_multicast``, ``groups``, or ``nothing``."""
        self.steps.append(("listen", slot, how))
        self.devices[slot].set_flags(
            promiscuous=how == "promiscuous",
            all_multicast=how == "all_multicast",
            multicast_count=2 * (how == "groups"),
        )
        self.expected.listen(slot, to_all=how != "nothing")
        self._compare()

    def second(self, slot: int) -> None:
        """The Guest of a slot gets one more device, in the next slot."""
        self.steps.append(("second", slot))
        new = len(self.devices)
        guest = self.devices[slot].guest
        self.devices.append(self.lan.second_device(guest, new))
        index = len(self.expected.devices(guest.id))
        self.expected.peers[new] = Peer(new, guest.id, index)
        self._compare()

    def memory(self, slot: int, left: int | None) -> None:
        """So many more allocations of the Guest succeed; None: all of them."""
        self.steps.append(("memory", slot, left))
        guest = self.devices[slot].guest
        guest.memory_left = left
        self.expected.memory_left.pop(guest.id, None)
        if left is not None:
            self.expected.memory_left[guest.id] = left
        self._compare()

    def bind_array(self, slot: int, to: int, count: int) -> None:
        """The Guest binds buffers by hand to the key of a slot."""
        self.steps.append(("bind_array", slot, to, count))
        device = self.devices[slot]
        guest = device.guest
        arrays = self.by_hand.setdefault(guest.id, [])
        number = len(arrays)
        at = self._array_at(number)
        for index in range(count):
            room = dma.pack([(at + (1 + index) * dma.PAGE_SIZE, 1514)])
            guest.memory.write(at + index * dma.SIZE, bytes(4) + room)
        bound = guest.bind_dma(device.peer_key(to), at, count, BY_HAND + number)
        array = self.expected.bind(guest.id, to, BY_HAND + number, count)
        arrays.append(array)
        if bound != (array is not None):
            raise Mismatch(f"bind_dma gave {bound} (DMA-1)", self)
        self._compare()

    def unbind_array(self, slot: int, number: int) -> None:
        """The Guest unbinds an array that it bound by hand, maybe again."""
        self.steps.append(("unbind_array", slot, number))
        device = self.devices[slot]
        guest = device.guest
        array = self.by_hand[guest.id][number]
        assert array is not None
        key = device.peer_key(array.key)
        done = guest.bind_dma(key, self._array_at(number), len(array.held), 0)
        if done != (array in self.expected.arrays):
            raise Mismatch(f"unbinding gave {done} (DMA-1)", self)
        if done:
            self.expected.arrays.remove(array)
        self._compare()

    def empty_array(self, slot: int, number: int) -> None:
        """The Guest offers the buffers of an array that it bound by hand again."""
        self.steps.append(("empty_array", slot, number))
        guest = self.devices[slot].guest
        array = self.by_hand[guest.id][number]
        assert array is not None
        for index in range(len(array.held)):
            guest.memory.write(self._array_at(number) + index * dma.SIZE, bytes(4))
        array.empty()
        self._compare()

    def _array_at(self, number: int) -> int:
        return (ARRAY_PAGE + number * ARRAY_PAGES) * dma.PAGE_SIZE

    def die(self, slot: int) -> None:
        """The Guest's Launcher is killed: the device is not closed."""
        self.steps.append(("die", slot))
        self.lan.host.release(self.devices[slot].guest)
        self.expected.die(slot)
        self.devices[slot].guest.pending = 0
        self._compare()

    def transmit(self, slot: int, frame: bytes, layout: Layout = PLAIN) -> None:
        """Transmit a frame from an open device."""
        self.steps.append(("transmit", slot, frame, layout))
        linear = len(frame) if layout.linear is None else layout.linear
        result = self.devices[slot].transmit(frame, linear, layout.offset, layout.fragments)
        complaints = self.expected.transmit(slot, frame, linear, layout.offset, layout.fragments)
        if result != 0:
            raise Mismatch(f"transmit gave {result} (LIF-3)", self)
        first = self._first_slot(slot)
        self._compare(("message", first, MEGAPACKET) for _ in range(complaints))

    def send_raw(self, slot: int, to: int, data: bytes, sizes: Sequence[int]) -> None:
        """A SEND_DMA past the driver: ``data`` in sections of these sizes, a page each."""
        self.steps.append(("send_raw", slot, to, data, sizes))
        guest = self.devices[slot].guest
        sections = []
        done = 0
        for number, size in enumerate(sizes):
            address = (SCRATCH_PAGE + 1 + number) * dma.PAGE_SIZE
            guest.memory.write(address, data[done : done + size])
            sections.append((address, size))
            done += size
        moved = self._send(slot, to, sections)
        expected = self.expected.deliver(slot, to, data[:done])
        if moved != expected:
            raise Mismatch(f"used_len is {moved}, not {expected} (DMA-2)", self)
        self._compare()

    def send_bad(self, slot: int, to: int, sections: Sequence[tuple[int, int]]) -> None:
        """A SEND_DMA with a list that has a bad section."""
        self.steps.append(("send_bad", slot, to, sections))
        moved = self._send(slot, to, sections)
        dies = self.expected.send_bad_list(slot, to)
        if moved != 0:
            raise Mismatch(f"used_len is {moved} after a bad list (DMA-4)", self)
        self._compare([("kill", self._first_slot(slot), "")] if dies else [])

    def _first_slot(self, slot: int) -> int:
        return self.expected.devices(self.devices[slot].guest.id)[0].slot

    def _send(self, slot: int, to: int, sections: Sequence[tuple[int, int]]) -> int:
        device = self.devices[slot]
        at = SCRATCH_PAGE * dma.PAGE_SIZE
        device.guest.memory.write(at + 4, dma.pack(sections))
        return device.guest.send_dma(device.peer_key(to), at)

    def interrupt(self, slot: int) -> None:
        """Take the pending interrupt, if there is one."""
        self.steps.append(("interrupt", slot))
        self.devices[slot].guest.interrupt()
        self._compare(self.expected.take_interrupts(slot))

    # Comparing

    def _compare(self, happened: Iterable[Happened] = ()) -> None:
        """Compare all visible state after a step."""
        self.transitions += 1
        expected = list(happened)
        events = self.lan.host.events
        got = [seen for event in events if (seen := _visible(event)) is not None] if events else []
        if got != expected:
            raise Mismatch(f"events: {_brief(got)}, not {_brief(expected)}", self)
        if self.lan.host.trace:
            self._history += events
        events.clear()
        if self.expected.page != self._published:
            self._draw_page()
        if self.lan.pages.store[:] != self._page:
            raise Mismatch("the device page is not as expected", self)
        for device in self.devices:
            peer = self.expected.peers[device.slot]
            raised = self.expected.pending.get(peer.guest_id, ())
            if device.guest.pending != sum(1 << interrupt for interrupt in raised):
                pending = f"{device.guest.pending:#x}, not {sorted(raised)}"
                raise Mismatch(f"slot {device.slot}: pending interrupts {pending}", self)
            counters = device.counters
            counted = (
                counters.tx_packets,
                counters.tx_bytes,
                counters.tx_carrier_errors,
                counters.rx_packets,
                counters.rx_bytes,
            )
            if counted != peer.counters():
                wanted = peer.counters()
                raise Mismatch(f"slot {device.slot}: counters {counted}, not {wanted}", self)
        for device in self.devices if self.by_hand else ():
            for number, array in enumerate(self.by_hand.get(device.guest.id, ())):
                if array is not None:
                    self._compare_array(device, number, array)

    def _compare_array(self, device: NetDevice, number: int, array: Array) -> None:
        at = self._array_at(number)
        memory = device.guest.memory
        for index, data in enumerate(array.held):
            used_len = int.from_bytes(memory.read(at + index * dma.SIZE, 4), "little")
            room = memory.read(at + (1 + index) * dma.PAGE_SIZE, used_len)
            if room != (data or b""):
                where = f"buffer {index} of array {number} in slot {device.slot}"
                raise Mismatch(f"{where} holds {used_len} bytes (DMA-2)", self)

    def _draw_page(self) -> None:
        page = bytearray(self.lan.pages.size)
        for slot, address in self.expected.page.items():
            page[6 * slot : 6 * slot + 6] = address
        self._page = bytes(page)
        self._published = dict(self.expected.page)

    def seen(self) -> tuple[object, ...]:
        """The state of the LAN, as far as the oracle distinguishes states."""
        return tuple(
            (
                self.expected.page.get(slot, NOTHING_PUBLISHED),
                peer.is_open,
                peer.alive,
                peer.wants_all,
                tuple(self.expected.pending.get(peer.guest_id, ())),
                peer.ring is not None and (peer.ring.cursor, tuple(peer.ring.order)),
            )
            for slot, peer in self.expected.peers.items()
        )


def _written(name: object, *arguments: object) -> str:
    shown = [
        f"bytes.fromhex({argument.hex()!r})" if isinstance(argument, bytes) else repr(argument)
        for argument in arguments
    ]
    return f"{name}({', '.join(shown)})"


def _visible(event: object) -> Happened | None:
    match event:
        case Received():
            return ("receive", event.slot, event.frame)
        case Message():
            return ("message", event.guest - 1, event.text)
        case Killed():
            return ("kill", event.guest - 1, "")
        case Fault():
            return ("fault", event.guest - 1, event.text)
    return None


def _brief(happened: Sequence[Happened]) -> str:
    parts = []
    for kind, slot, what in happened:
        shown = f"{len(what)} bytes {what[:24].hex()}" if isinstance(what, bytes) else what
        parts.append(f"{kind} in slot {slot} {shown}".strip())
    return "; ".join(parts) or "nothing"
