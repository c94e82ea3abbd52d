"""Edges of a LAN in use: TAPs, streams and datagrams that carry the frames of a port elsewhere.

One thread waits for all of them, for the LAN, and for the end.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from harness.lan import FrameRefused, LanError, Port
from harness.lans.wire.address import Address, bound
from harness.lans.wire.namespace import Namespace
from harness.lans.wire.stream import HungUp, StreamSocket
from harness.lans.wire.tap import KernelTap
from harness.lans.wire.transport import Got
from harness.live.pump import TICK_S
from harness.live.traffic import Heard, Traffic

AT_ONCE = 64
"""Frames that are read from an edge before the others have their turn."""


class Edge(Protocol):
    """What carries the frames of one port elsewhere."""

    def fileno(self) -> int:
        """Readable when a frame can be received."""

    def send(self, frame: bytes) -> None:
        """FrameRefused if it does not go."""

    def receive(self) -> Got | None:
        """The next frame; None if there is none. LanError if the other end is gone."""

    def close(self) -> None:
        """Release everything."""


class TapEdge:
    """A TAP in a namespace: the kernel there is the host at the port."""

    def __init__(
        self, path: str | None, name: str, mac: bytes, address: str = "", mtu: int | None = None
    ) -> None:
        self._name = name
        self._space = Namespace(path)
        try:
            self._tap = self._space.run(KernelTap, name)
        except BaseException:
            self._space.close()
            raise
        try:
            index = self._space.index(name)
            settings = {"mtu": mtu} if mtu else {}
            self._space.link("set", index=index, address=mac.hex(":"), **settings)
            if address:
                self._add(index, address)
            self._space.link("set", index=index, state="up")
        except BaseException:
            self.close()
            raise

    def _add(self, index: int, address: str) -> None:
        ip, _, length = address.partition("/")
        links = self._space.links
        try:
            self._space.run(links.addr, "add", index=index, address=ip, prefixlen=int(length or 32))
        except Exception as error:
            raise LanError(f"{self._name}: address {address}: {error}") from None

    def fileno(self) -> int:
        return self._tap.fileno()

    def send(self, frame: bytes) -> None:
        try:
            os.write(self._tap.fileno(), frame)
        except OSError as error:
            raise FrameRefused(f"{self._name}: {error.strerror}") from None

    def receive(self) -> Got | None:
        try:
            frame = os.read(self._tap.fileno(), 65_600)
        except OSError:
            return None
        return Got(frame, len(frame))

    def close(self) -> None:
        self._tap.close()
        self._space.close()


class Listening:
    """A socket that takes a connection per port, in QEMU's stream framing."""

    def __init__(self, where: Address) -> None:
        self._where = where
        self._socket = bound(where, socket.SOCK_STREAM)
        self._socket.listen()
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Readable when somebody connects."""
        return self._socket.fileno()

    def accept(self, name: str) -> StreamSocket | None:
        """The next connection, as an edge of port ``name``; None if it has gone again."""
        try:
            made, _ = self._socket.accept()
        except OSError:
            return None
        if made.family != socket.AF_UNIX:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return StreamSocket(name, lambda: made)

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()
        self._where.remove()


class Edges:
    """Carries frames between ports of a LAN and their edges, until a signal or a child ends it.

    ``say`` gets a line for what happens. ``more`` gives a port for one more that connects, or
    None if there is none left. ``any_host``: hosts may have other addresses than their ports.
    """

    def __init__(
        self,
        traffic: Traffic,
        say: Callable[[str], None],
        listening: Listening | None = None,
        more: Callable[[], Port | None] = lambda: None,
        *,
        any_host: bool = False,
    ) -> None:
        self.traffic = traffic
        self.refused = 0
        """Frames that a port or an edge did not take."""
        self._say = say
        self._listening = listening
        self._more = more
        self._any_host = any_host or traffic.lan.traits.filters != "sender"
        self._edges: dict[str, Edge] = {}
        self._served: list[Port] = []
        """Ports of those that connected, some of whom may have gone."""
        self._strange: set[str] = set()
        """Ports of which it was said that their host has another address."""

    def join(self, port: Port, edge: Edge) -> None:
        """Let an edge carry the frames of a port."""
        self._edges[port.name] = edge
        self.traffic.add(port)
        self.traffic.listen(port.name, lambda heard: self._carry(port.name, heard))

    def _carry(self, name: str, heard: Heard) -> None:
        edge = self._edges.get(name)
        if heard.outgoing or edge is None:
            return
        try:
            edge.send(heard.frame)
        except (FrameRefused, LanError):
            self.refused += 1

    def run(self, child: subprocess.Popen[bytes] | None = None) -> None:
        """Carry frames until a signal, or until the child ends."""
        with _ending(child) as ends:
            while True:
                ready = self._wait(ends)
                for name, edge in tuple(self._edges.items()):
                    if edge.fileno() in ready:
                        self._read(name, edge)
                if self._listening is not None and self._listening.fileno() in ready:
                    self._welcome(self._listening)
                self.traffic.turn()
                if any(end in ready for end in ends):
                    return

    def _wait(self, ends: Sequence[int]) -> set[int]:
        filenos = getattr(self.traffic.lan, "filenos", None)
        waiting = select.poll()
        for fileno in (*ends, *(edge.fileno() for edge in self._edges.values())):
            waiting.register(fileno, select.POLLIN)
        if self._listening is not None:
            waiting.register(self._listening.fileno(), select.POLLIN)
        for fileno in filenos() if filenos is not None else ():
            waiting.register(fileno, select.POLLIN)
        quiet = filenos is not None or self.traffic.at_once
        return {fileno for fileno, _ in waiting.poll(None if quiet else 1000 * TICK_S)}

    def _read(self, name: str, edge: Edge) -> None:
        for _ in range(AT_ONCE):
            try:
                got = edge.receive()
            except (HungUp, LanError) as error:
                self._lose(name, edge, str(error))
                return
            if got is None:
                return
            self._look_at(name, got.frame)
            try:
                self.traffic.send(name, got.frame)
            except FrameRefused:
                self.refused += 1

    def _look_at(self, name: str, frame: bytes) -> None:
        """Say it if a host's address is not its port's: a directory LAN does not know it."""
        port = self.traffic.ports[name]
        if self._any_host or name in self._strange or frame[6:12] == port.mac:
            return
        self._strange.add(name)
        self._say(
            f"{name}: the host there has the address {frame[6:12].hex(':')}, so it gets no"
            f" unicasts: the port's is {port.mac.hex(':')}"
        )

    def _lose(self, name: str, edge: Edge, why: str) -> None:
        del self._edges[name]
        edge.close()
        self._say(f"{name}: disconnected ({why})")

    def _welcome(self, listening: Listening) -> None:
        left = (port for port in self._served if port.name not in self._edges)
        port = next(left, None) or self._more()
        edge = listening.accept(port.name if port else "one connection too many")
        if edge is None:
            return
        if port is None:
            edge.close()
            self._say(f"refused a connection: all {len(self._served)} ports are connected")
            return
        if port in self._served:
            self._edges[port.name] = edge
        else:
            self._served.append(port)
            self.join(port, edge)
        self._say(f"{port.name}: connected, {port.mac.hex(':')}")

    def close(self) -> None:
        """Release all edges."""
        while self._edges:
            self._edges.popitem()[1].close()
        if self._listening is not None:
            self._listening.close()


@contextmanager
def _ending(child: subprocess.Popen[bytes] | None) -> Iterator[list[int]]:
    """File descriptors that are readable when it is time to end: a signal came, the child did."""
    event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    ends = [event]

    def end(_number: int, _frame: FrameType | None) -> None:
        os.eventfd_write(event, 1)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        if child is not None:
            ends.append(os.pidfd_open(child.pid))
        yield ends
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for fileno in ends:
            os.close(fileno)
