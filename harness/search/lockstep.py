"""A simulated LAN and the oracle, stepped together and compared.

Each step is made on both; then all visible state is compared: frames passed up, log lines,
deaths, faults, pending interrupts, counters, the whole page. The steps are kept, so that a
difference can be printed as a short program.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.lan import Layout, Record
from harness.lans.lguest import LguestLan
from harness.lans.lguest_records import records_of
from harness.lguest import dma
from harness.lguest.driver import MEGAPACKET, NetDevice
from harness.lguest.events import Event, Fault, Killed, Message, Received
from harness.search.oracle import NOTHING_PUBLISHED, Expected, Peer

SCRATCH_PAGE = 100
"""A Guest's pages from here on are the player's."""

PLAIN = Layout()

Happened = tuple[str, int, object]
"""An event: its kind, the slot, and what."""


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
        self.devices: list[NetDevice] = [lan.device(slot) for slot in range(peers)]
        self.expected = Expected(
            {device.slot: Peer(device.slot, device.guest.id) for device in self.devices}
        )
        self._history: list[Event] = []
        self._page = bytes(lan.pages.size)
        self._published: dict[int, bytes] = {}

    def program(self) -> str:
        """The steps so far, as Python."""
        made = f"lockstep = Lockstep(lguest, {len(self.devices)})"
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
        self.expected.open(slot)
        if result != 0:
            raise Mismatch(f"open gave {result}", self)
        self._compare()

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
        self._compare(("message", slot, MEGAPACKET) for _ in range(complaints))

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
        self._compare([("kill", slot, "")] if dies else [])

    def _send(self, slot: int, to: int, sections: Sequence[tuple[int, int]]) -> int:
        device = self.devices[slot]
        at = SCRATCH_PAGE * dma.PAGE_SIZE
        device.guest.memory.write(at + 4, dma.pack(sections))
        return device.guest.send_dma(device.peer_key(to), at)

    def interrupt(self, slot: int) -> None:
        """Take the pending interrupt, if there is one."""
        self.steps.append(("interrupt", slot))
        self.devices[slot].guest.interrupt()
        frames = self.expected.interrupt(slot) if self.expected.peers[slot].pending else []
        self._compare(("receive", slot, frame) for frame in frames)

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
            if bool(device.guest.pending) != peer.pending:
                raise Mismatch(f"slot {device.slot}: interrupt pending: {not peer.pending}", self)
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
                peer.bound,
                peer.alive,
                peer.wants_all,
                peer.pending,
                peer.cursor,
                tuple(frame is not None for frame in peer.ring),
                tuple(peer.order),
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
