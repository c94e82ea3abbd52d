"""A LAN that settles by a fence.

A fence is a marked broadcast that a port sends after its frames: once another port
shows the marker, a frame of that sender that it has not received will never arrive. Fences
run both ways, from every port that sent to all others, then back to it, so that nothing
more can arrive at the sender either. Markers are neither arrivals nor records. They come
from addresses of their own, so they teach a learning LAN nothing about a port's address.
A LAN cannot know a marker beforehand: all but its destination and EtherType comes from a seed
(``seed_markers``), which is random unless given. Each must arrive once and whole: see
``take_marker_faults``.

For a LAN that settles by waiting (``Traits.settles``), the time that it declares is waited
after the fences as well: a frame that a fence overtook arrives within that time.

What carries frames is a ``Transport``, one per port; what makes transports is a ``Plant``.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from harness.lan import (
    Arrival,
    Counters,
    Fate,
    FateKind,
    FrameRefused,
    Inconclusive,
    LanError,
    Layout,
    Record,
    Traits,
    Unsupported,
    check_calm,
)
from harness.lans.wire.chatter import Chatter
from harness.lans.wire.markers import ETHERTYPE, Fault, Markers
from harness.lans.wire.one_cpu import OneCpu
from harness.lans.wire.transport import Got, Plant, Transport, VerbTransport

FENCE_LIMIT_S = 10.0
"""How long a fence may take to arrive: a LAN's threads may have to wait for a processor."""

RETRY_S = 0.005
"""A port that comes up repeats its marker at this interval until all others see it."""

AT_ONCE = 1024
"""Frames read from a port before the clock is checked again."""

HEADER = 14


def mac_of(number: int) -> bytes:
    """The address of port ``number``."""
    return b"\x02\0\0\0" + number.to_bytes(2, "big")


class FencedPort:
    """A port of a real LAN."""

    def __init__(self, lan: FencedLan, name: str, mac: bytes, transport: Transport) -> None:
        self.name = name
        self.mac = mac
        self.transport = transport
        self.is_open = True
        self.linked = True
        self.paused = False
        """It reads nothing: what arrives waits."""
        self.promiscuous = False
        self.joined: set[bytes] = set()
        self.marker_seen = 0
        """The number of the last marker that arrived."""
        self.markers_sent = 0
        self.markers_received = 0
        self.arrived: list[Arrival] = []
        self.sent_before = 0
        """Frames that the LAN's ports had sent when this one was read last."""
        self._lan = lan

    @property
    def lan(self) -> FencedLan:
        """The LAN that it is a port of."""
        return self._lan

    def __repr__(self) -> str:
        return f"<{self.name} of {self._lan.name}>"

    def send(self, frame: bytes, layout: Layout | None = None) -> None:
        if layout is not None and layout != Layout():
            raise LanError(f"{self.name}: {self._lan.name} takes no layouts")
        self._lan.send(self, frame)

    def arrivals(self) -> list[Arrival]:
        with self._lan.lock:
            arrived, self.arrived = self.arrived, []
            if not self.paused:
                self.sent_before = self._lan.frames_sent
            return arrived

    def set_promiscuous(self, on: bool) -> None:
        if not self.paused:
            self._lan.read(self)
        self.transport.set_promiscuous(on)
        self.promiscuous = on

    def join_groups(self, count: int) -> None:
        """A port receives every group's frames: there is nothing to join, only to leave."""
        for group in () if count else sorted(self.joined):
            self.leave_group(group)

    def close(self) -> None:
        if self.is_open:
            self._prepare_to_leave()
            self.transport.unplug()
            self.is_open = False
            self._lan.regroup()

    def open(self) -> None:
        if not self.is_open:
            self.transport.plug()
            self.is_open = True
            self._return()

    def _prepare_to_leave(self) -> None:
        """Nothing is in flight any more; what waits for a port that is paused is lost."""
        self._lan.settle()
        while self.paused and self._lan.read(self):
            pass
        if self.paused:
            self.arrived.clear()

    def _return(self) -> None:
        if self.is_open and self.linked:
            self._lan.welcome([self])
            self._lan.regroup()

    # What the LAN's traits declare beside

    @property
    def _able(self) -> VerbTransport:
        return cast("VerbTransport", self.transport)

    def link_down(self) -> None:
        if self.linked:
            self._prepare_to_leave()
            self._able.set_link(False)
            self.linked = False
            self._lan.regroup()

    def link_up(self) -> None:
        if not self.linked:
            self._able.set_link(True)
            self.linked = True
            self._return()

    def vanish(self) -> None:
        if self.is_open:
            self._prepare_to_leave()
            self._able.vanish()
            self.is_open = False
            self._lan.regroup()

    def pause(self) -> None:
        self._lan.settle()
        self.paused = True

    def resume(self) -> None:
        if self.paused:
            self.paused = False
            self._lan.catch_up(self)

    def join_group(self, group: bytes) -> None:
        if group not in self.joined:
            self._able.set_member(group, True)
            self.joined.add(group)

    def leave_group(self, group: bytes) -> None:
        if group in self.joined:
            self._able.set_member(group, False)
            self.joined.remove(group)

    def counters(self) -> Counters:
        """The LAN's, less the markers of fences."""
        self._lan.settle()
        sent, received = self._able.counters()
        return Counters(sent - self.markers_sent, received - self.markers_received)

    def wants(self, got: Got) -> bool:
        """Whether a host's card would pass the frame up."""
        if len(got.frame) < HEADER:
            return False
        if self.promiscuous:
            return True
        if got.passes_filter is not None:
            return got.passes_filter
        return got.frame[:6] == self.mac or bool(got.frame[0] & 1)


class FencedLan:
    """A real LAN that settles by fences.

    ``limit_s`` is the limit for a fence, and for frames that keep arriving; ``waited_s`` the
    total time waited for a LAN that settles by waiting; ``foreign_frames`` how many frames were
    set aside as ``foreign``; ``version`` the LAN's version, if it states one; ``chatter`` what
    the LAN is declared to send by itself. ``lock`` is held while frames are sent and
    read: several threads may use the LAN.
    """

    def __init__(
        self, name: str, traits: Traits, plant: Plant, limit_s: float = FENCE_LIMIT_S
    ) -> None:
        self.name = name
        self.traits = traits
        self._plant = plant
        self.limit_s = limit_s
        self.waited_s = 0.0
        self.foreign_frames = 0
        self.version = ""
        self.chatter: Sequence[Chatter] = ()
        self._own: set[bytes] = set()
        self.lock = threading.RLock()
        self._ports: list[FencedPort] = []
        self._sent: list[FencedPort] = []
        self._records: list[Record] = []
        self.frames_sent = 0
        self._markers = Markers(os.urandom(16))
        self._cpu = OneCpu() if plant.one_cpu else None

    def seed_markers(self, seed: bytes) -> None:
        """Make all markers from this seed; before the first port is made."""
        self._markers = Markers(seed)

    def take_marker_faults(self) -> Sequence[Fault]:
        """What was wrong with markers that arrived since the last call."""
        return self._markers.take_faults()

    def ports(self, count: int) -> Sequence[FencedPort]:
        new: list[FencedPort] = []
        for number in range(len(self._ports) + 1, count + 1):
            name, mac = self.station(number)
            transport = self._plant.connect(number, name, mac)
            new.append(FencedPort(self, name, mac, transport))
            self._ports.append(new[-1])
        if new:
            self.welcome(new)
            self.regroup()
        return self._ports[:count]

    def station(self, number: int) -> tuple[str, bytes]:
        """Name and address of a port."""
        return f"port{number}", mac_of(number)

    def foreign(self, frame: bytes) -> bool:
        """Whether a frame that arrived is none of the harness's, and allowed on this LAN.

        What could be the harness's never is: a frame that was sent, a port's address as its
        source or its unicast destination, the harness's EtherType.
        """
        return bool(self.chatter) and (
            any(declared.covers(frame) for declared in self.chatter)
            and frame not in self._own
            and frame[12:14] != ETHERTYPE
            and not {frame[:6], frame[6:12]} & {port.mac for port in self._ports}
        )

    def send(self, port: FencedPort, frame: bytes) -> None:
        """Send one frame from a port, and record it."""
        with self.lock:
            self._send(port, frame)

    def _send(self, port: FencedPort, frame: bytes) -> None:
        if not port.is_open:
            raise FrameRefused(f"{port.name} is closed")
        if not port.linked:
            raise FrameRefused(f"{port.name} has no link")
        if self._cpu is not None:
            self._cpu.hold()
        if self.chatter:
            self._own.add(frame)
        now = time.time_ns()
        fates: tuple[Fate, ...] = ()
        try:
            port.transport.send(frame)
        except FrameRefused as error:
            fates = (Fate(FateKind.REFUSED, str(error)),)
            raise
        else:
            self.frames_sent += 1
            if port not in self._sent:
                self._sent.append(port)
        finally:
            self._records.append(Record(now, port.name, "sent", frame, len(frame), (), fates))

    def plugged(self) -> list[FencedPort]:
        """The ports that are open."""
        return [port for port in self._ports if port.is_open and port.linked]

    def reading(self) -> list[FencedPort]:
        """The ports that are open and read what arrives."""
        return [port for port in self.plugged() if not port.paused]

    def settle(self) -> None:
        with self.lock:
            self._settle()

    def drain(self) -> None:
        """Read what has arrived, without a fence: for those who use the LAN and test nothing."""
        with self.lock:
            try:
                for port in self.plugged():
                    self.read(port)
            finally:
                self._sent = []
                if self._cpu is not None:
                    self._cpu.let_go()

    def filenos(self) -> list[int]:
        """What can be read when there is something to ``drain``."""
        return [port.transport.fileno() for port in self.plugged()]

    def take_records(self) -> list[Record]:
        """The records since the last call, which the LAN forgets."""
        with self.lock:
            taken, self._records = self._records, []
            return taken

    def _settle(self) -> None:
        try:
            plugged = self.reading()
            deadline = time.monotonic() + self.limit_s
            if self._sent and len(plugged) < 2 and self.traits.settles == "fence":
                # Its frames may still be under way when another port is open again.
                self._sent = []
                raise Unsupported(f"{self.name}: a fence needs two ports that are open")
            fenced = self._sent if len(plugged) > 1 else []
            for sender in fenced * self._plant.fences:
                self._fence(sender, plugged, deadline)
            listening = [sender for sender in fenced if not sender.paused]
            for sender in listening:
                if sender.marker_seen < self._markers.last:
                    answering = next(port for port in plugged if port is not sender)
                    for _ in range(self._plant.fences):
                        self._fence(answering, listening, deadline)
            if self._sent and self.traits.settles == "wait":
                deadline += self._wait(plugged)
            for port in plugged:
                while self.read(port):
                    if time.monotonic() > deadline:
                        raise Inconclusive(
                            f"{port.name} of {self.name}: frames keep arriving"
                            f" {self.limit_s:g} s after the fence"
                        )
            self._sent = []
            for port in plugged:
                if lost := port.transport.lost():
                    raise Inconclusive(
                        f"{port.name} of {self.name}: the kernel dropped {lost} frames"
                    )
        finally:
            if self._cpu is not None:
                self._cpu.let_go()

    def _wait(self, plugged: Sequence[FencedPort]) -> float:
        """Read for the time that the LAN declares; how many seconds that took."""
        began = time.monotonic()
        waiting = select.poll()
        for port in plugged:
            waiting.register(port.transport, select.POLLIN)
        while (left := began + self.traits.wait_s - time.monotonic()) > 0:
            waiting.poll(1000 * left)
            for port in plugged:
                self.read(port)
        took = time.monotonic() - began
        self.waited_s += took
        return took

    def welcome(self, newcomers: Sequence[FencedPort]) -> None:
        """Return when the newcomers and all other ports reach each other."""
        plugged = self.reading()
        deadline = time.monotonic() + self.limit_s
        for port in newcomers:
            others = [other for other in plugged if other is not port]
            if not others:
                continue
            first = self._markers.last + 1
            while not self._reaches(port, others, first, deadline):
                pass
            self._fence(others[0], [port], deadline)

    def catch_up(self, port: FencedPort) -> None:
        """Return when a port that was paused has read what waited for it, and hears the others."""
        others = [other for other in self.reading() if other is not port]
        deadline = time.monotonic() + self.limit_s
        first = self._markers.last + 1
        while others and not self._reaches(others[0], [port], first, deadline):
            pass
        self.settle()

    def regroup(self) -> None:
        """Return when the LAN has noticed which ports left or joined, and has learned the rest.

        It may notice only after the frame in hand, and forget other addresses with it: hence
        two rounds in which every port sends.
        """
        plugged = self.reading()
        deadline = time.monotonic() + self.limit_s
        for port in 2 * plugged if len(plugged) > 1 else ():
            self._fence(port, plugged, deadline)

    def read(self, port: FencedPort) -> bool:
        """Read the queue of a port; True if there may be more."""
        receive = port.transport.receive
        for _ in range(AT_ONCE):
            got = receive()
            if got is None:
                return False
            frame = got.frame
            if number := self._markers.number(port.name, frame):
                port.markers_received += 1
                port.marker_seen = max(port.marker_seen, number)
                continue
            now = time.time_ns()
            if self.foreign(frame):
                self.foreign_frames += 1
                fates: tuple[Fate, ...] = (Fate(FateKind.DROPPED, "not sent by the harness"),)
                record = Record(now, port.name, "received", frame, got.length, (), fates)
                self._records.append(record)
                continue
            wanted = port.wants(got)
            fates = () if wanted else (Fate(FateKind.FILTERED),)
            port.arrived.append(Arrival(now, frame, wanted))
            check_calm(port.name, len(port.arrived), self.frames_sent - port.sent_before)
            self._records.append(Record(now, port.name, "received", frame, got.length, (), fates))
        return True

    def interfaces(self) -> list[tuple[str, bytes]]:
        return [(port.name, port.mac) for port in self._ports]

    def records(self) -> list[Record]:
        return self._records

    def close(self) -> None:
        if self._cpu is not None:
            self._cpu.let_go()
        try:
            # The kernel takes 10 ms to release a packet socket, of one or of all at once.
            with ThreadPoolExecutor(max(1, len(self._ports))) as threads:
                list(threads.map(lambda port: port.transport.close(), self._ports))
        finally:
            self._plant.close()

    def _mark(self, sender: FencedPort) -> int:
        sender.transport.send(self._markers.make(sender.name))
        sender.markers_sent += 1
        return self._markers.last

    def _fence(self, sender: FencedPort, receivers: Sequence[FencedPort], deadline: float) -> None:
        deaf = [port for port in receivers if port is not sender]
        if not deaf:
            raise Inconclusive(f"{sender.name} of {self.name}: no other port is open for a fence")
        number = self._mark(sender)
        deaf = self._missing_marker(number, deaf, deadline)
        if deaf:
            raise Inconclusive(
                f"{deaf[0].name} of {self.name}: the fence of {sender.name} did not arrive"
                f" within {self.limit_s:g} s"
            )

    def _reaches(
        self, port: FencedPort, others: Sequence[FencedPort], first: int, deadline: float
    ) -> bool:
        """Whether another marker, or one since ``first``, reaches all others soon."""
        try:
            self._mark(port)
        except FrameRefused as error:
            reason = str(error)
        else:
            reason = "its frames do not cross"
        soon = min(deadline, time.monotonic() + RETRY_S)
        deaf = self._missing_marker(first, others, soon)
        if deaf and time.monotonic() >= deadline:
            raise Inconclusive(
                f"{port.name} of {self.name} did not come up within {self.limit_s:g} s:"
                f" {deaf[0].name} does not receive from it, {reason}"
            )
        return not deaf

    def _missing_marker(
        self, number: int, receivers: Sequence[FencedPort], deadline: float
    ) -> list[FencedPort]:
        """The ports that marker ``number`` did not reach before the deadline."""
        deaf = list(receivers)
        while True:
            more = False
            for port in deaf:
                more |= self.read(port)
            deaf = [port for port in deaf if port.marker_seen < number]
            left = deadline - time.monotonic()
            if not deaf or left <= 0:
                return deaf
            if not more:
                waiting = select.poll()
                for port in deaf:
                    waiting.register(port.transport, select.POLLIN)
                waiting.poll(max(1, round(1000 * left)))
