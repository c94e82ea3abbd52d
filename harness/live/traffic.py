"""Passes on what arrives at the ports of a LAN, to everybody who listens there.

One lock guards the LAN: its own (an optional attribute ``lock``), so that whoever uses a port
directly is safe too. A LAN whose quiet is a barrier settles with every frame. A real LAN that
has the optional method ``drain`` is only read, without fences; any other is settled.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from harness.lan import Arrival, Lan, LanError, Port, Record
from harness.live.recording import LiveCapture


class Heard(NamedTuple):
    """A frame at a port, in nanoseconds since 1970: ``time`` by this computer's clock.

    ``lan_time`` is by the LAN's own clock, which is another one if it is simulated.
    ``outgoing``: the port sent it. ``passes_filter``: see ``Arrival``.
    """

    time: int
    lan_time: int
    frame: bytes
    passes_filter: bool = True
    outgoing: bool = False


Listener = Callable[[Heard], None]
"""Called, under the lock, for every frame at a port."""


class Judged(Protocol):
    """A LAN that judges what arrives (`harness.Testbench`)."""

    lan: Lan
    in_use: bool

    def take_judged(self) -> Mapping[Port, Sequence[Arrival]]:
        """Settle, judge and return what arrived at every port."""


class Traffic:
    """The frames of a LAN in use.

    ``judge`` sees everything that arrives, in place of the LAN itself. ``capture`` gets the
    LAN's records; the LAN then forgets them (optional method ``take_records``), as it does if
    ``forget`` is set. Nobody else may need them.
    """

    def __init__(
        self,
        lan: Lan,
        *,
        judge: Judged | None = None,
        capture: LiveCapture | None = None,
        forget: bool = False,
    ) -> None:
        self.lan = lan
        self.lock: threading.RLock = getattr(lan, "lock", None) or threading.RLock()
        self.at_once = lan.traits.settles == "barrier"
        """Whether a frame has arrived, or never will, when ``send`` returns."""
        self.sent = self.received = 0
        self._judge = judge
        self._capture = capture
        self._forget = forget or capture is not None
        self._ports: dict[str, Port] = {}
        self._listeners: dict[str, list[Listener]] = {}
        self._promiscuous: dict[str, int] = {}
        self._heard: deque[tuple[str, Heard]] = deque()
        self._waiting = 0
        """Frames sent since the LAN last settled."""
        self._passing_on = False
        self._drain: Callable[[], None] = getattr(lan, "drain", lan.settle)
        self._burst = lan.traits.burst if lan.traits.ordered else 1
        if self._drain != lan.settle and judge is None:
            self._burst = 1 << 30  # the kernel's queues hold what is in flight

    # Ports

    def add(self, port: Port) -> None:
        """Use a port: what arrives there is passed on from now on.

        A wrapper takes the place of the port inside.
        """
        with self.lock:
            self._ports[port.name] = port

    @property
    def ports(self) -> Mapping[str, Port]:
        """The ports in use, by name."""
        return self._ports

    def listen(self, name: str, listener: Listener) -> None:
        """Pass on every frame at a port."""
        with self.lock:
            self._listeners.setdefault(name, []).append(listener)

    def leave(self, name: str, listener: Listener) -> None:
        """Pass on nothing more to a listener."""
        with self.lock:
            if listener in self._listeners.get(name, ()):
                self._listeners[name].remove(listener)

    def ask_for_all(self, name: str, on: bool) -> None:
        """A listener needs the port to be promiscuous, or no longer does."""
        with self.lock:
            before = self._promiscuous.get(name, 0)
            self._promiscuous[name] = now = before + (1 if on else -1)
            if not before and now:
                self._ports[name].set_promiscuous(True)
            elif before and not now:
                # A port that is gone, or dead, needs nothing.
                with contextlib.suppress(Exception):
                    self._ports[name].set_promiscuous(False)

    def use(self, on: bool) -> None:
        """Somebody reads what arrives, or no longer does: a judge leaves it alone meanwhile."""
        if self._judge is not None:
            self._judge.in_use = on

    # Frames

    def send(self, name: str, frame: bytes, *, lan_time: bool = False) -> int:
        """Send a frame from a port; when, by this computer's clock or the LAN's.

        FrameRefused if the port will not.
        """
        with self.lock:
            if self._waiting >= self._burst:
                self._collect()
            before = len(self.lan.records()) if lan_time else 0
            now = time.time_ns()
            self._ports[name].send(frame)
            self.sent += 1
            self._waiting += 1
            at = self._sent_at(name, before) if lan_time else now
            self._heard.append((name, Heard(now, at, frame, outgoing=True)))
            if self.at_once:
                self.turn()
            return at

    def _sent_at(self, name: str, before: int) -> int:
        new: Sequence[Record] = self.lan.records()[before:]
        return next(
            (record.time for record in new if record.port == name and record.direction == "sent"),
            time.time_ns(),
        )

    def turn(self) -> None:
        """Let everything arrive, and pass it on; also what is sent in answer."""
        with self.lock:
            if self._passing_on:
                return
            self._passing_on = True
            try:
                self._collect()
                while self._heard:
                    name, heard = self._heard.popleft()
                    for listener in tuple(self._listeners.get(name, ())):
                        listener(heard)
                    if not self._heard and self._waiting:
                        self._collect()
                self._write()
            finally:
                self._passing_on = False

    def _collect(self) -> None:
        self._waiting = 0
        if self._judge is not None:
            for port, arrivals in self._judge.take_judged().items():
                self._add(port.name, arrivals)
            return
        self._drain()
        for name, port in self._ports.items():
            self._add(name, port.arrivals())

    def _add(self, name: str, arrivals: Sequence[Arrival]) -> None:
        now = time.time_ns()
        for arrival in arrivals:
            self.received += 1
            heard = Heard(now, arrival.time, arrival.frame, arrival.passes_filter)
            self._heard.append((name, heard))

    def _write(self) -> None:
        if not self._forget:
            return
        take = getattr(self.lan, "take_records", None)
        faults = [
            record
            for port in self._ports.values()
            for record in getattr(port, "take_faults", list)()
        ]
        if self._capture is not None:
            self._capture.add(self.lan, take)
            self._capture.write(self.lan.interfaces(), faults)
        elif take is not None:
            take()

    def close(self) -> None:
        """Pass on what still arrives, and end the capture."""
        with self.lock:
            try:
                self.turn()
            except LanError:
                self._write()
            if self._capture is not None:
                self._capture.close()
