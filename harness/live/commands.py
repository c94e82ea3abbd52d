"""`join` and `serve`: a LAN whose ports are TAPs, stations and sockets, until the end."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.lan import Lan, LanError, Port
from harness.lans import dgram
from harness.lans.wire import address
from harness.lans.wire.journal import namespace_path
from harness.lans.wrappers import Counting, Fault, Faulty, parsed_fault
from harness.live.edge import Edges, Listening, TapEdge
from harness.live.recording import LiveCapture
from harness.live.station import station
from harness.live.traffic import Heard, Traffic

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Tap:
    """A TAP to make: its name, its namespace (a name, or a process id; ours if empty), its IP."""

    name: str
    namespace: str = ""
    ip: str = ""

    @property
    def shown(self) -> str:
        """The TAP as a user names it."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def parsed_tap(text: str, namespace: str = "") -> Tap:
    """``[NETNS/]NAME[=ADDRESS/PREFIX]``; LanError for anything else."""
    where, _, ip = text.partition("=")
    space, _, name = where.rpartition("/")
    if not name or len(name) > 15 or "/" in space:
        raise LanError(f"--tap {text}: should be [NETNS/]NAME[=ADDRESS/PREFIX]")
    return Tap(name, space or namespace, ip)


@dataclass(frozen=True, slots=True)
class Use:
    """How a LAN is used: what both commands take."""

    capture: Path | None = None
    fault: Fault | None = None
    command: Sequence[str] = ()
    """Run when all is ready; the LAN is closed when it ends."""


def use(capture: Path | None, fault: str, command: Sequence[str]) -> Use:
    """The same from a command line; LanError for faults that cannot be."""
    return Use(capture, parsed_fault(fault) if fault else None, command)


def join(
    lan: Lan,
    taps: Sequence[Tap],
    answering: Sequence[str],
    using: Use,
    say: Say,
    *,
    mac: bytes | None = None,
    mtu: int | None = None,
) -> int:
    """Put ports of a LAN on TAPs, and stations that answer on the next ports; the exit code."""
    ports = _wrapped(lan.ports(len(taps) + len(answering)), using)
    with _edges(lan, using, say, any_host=mac is not None) as edges:
        for tap, port in zip(taps, ports, strict=False):
            path = namespace_path(tap.namespace) if tap.namespace else None
            own = mac if mac is not None and port is ports[0] else port.mac
            place = path or "/proc/thread-self/ns/net"
            edges.join(port, TapEdge(place, tap.name, own, tap.ip, mtu))
            say(f"{tap.shown} is {port.name} of {lan.name}, {own.hex(':')}")
        for ip, port in zip(answering, ports[len(taps) :], strict=True):
            _answer(edges.traffic, port, ip)
            say(f"{ip} answers at {port.name} of {lan.name}, {port.mac.hex(':')}")
        return _carry(edges, ports, using, say)


def serve(
    lan: Lan,
    stream: str,
    datagrams: Sequence[str],
    count: int,
    using: Use,
    say: Say,
    *,
    promiscuous: bool = False,
) -> int:
    """Offer ports of a LAN on sockets: ``count`` to those that connect; the exit code."""
    pairs = [dgram.parsed_pair(text) for text in datagrams]
    ports: list[Port] = []

    def one_more() -> Port | None:
        if len(ports) >= len(pairs) + (count if stream else 0):
            return None
        ports.extend(_wrapped(lan.ports(len(ports) + 1)[-1:], using))
        if promiscuous:
            ports[-1].set_promiscuous(True)
        return ports[-1]

    listening = Listening(address.parsed(stream)) if stream else None
    with _edges(lan, using, say, listening, one_more, any_host=promiscuous) as edges:
        for pair in pairs:
            port = one_more()
            assert port is not None
            edges.join(port, dgram.DatagramSocket(port.name, pair))
            say(f"{pair.local.text} is {port.name} of {lan.name}, {port.mac.hex(':')}")
        if stream:
            say(f"{stream} takes {count} connections to {lan.name}")
        return _carry(edges, ports, using, say)


def _wrapped(ports: Sequence[Port], using: Use) -> list[Port]:
    harmed = [port if using.fault is None else Faulty(port, using.fault) for port in ports]
    return [Counting(port) for port in harmed]


def _answer(traffic: Traffic, port: Port, ip: str) -> None:
    host = station(port.mac, ip)

    def hear(heard: Heard) -> None:
        answer = None if heard.outgoing else host.answer(heard.frame)
        if answer is not None:
            traffic.send(port.name, answer)

    traffic.add(port)
    traffic.listen(port.name, hear)


@contextlib.contextmanager
def _edges(
    lan: Lan,
    using: Use,
    say: Say,
    listening: Listening | None = None,
    more: Callable[[], Port | None] = lambda: None,
    *,
    any_host: bool = False,
) -> Iterator[Edges]:
    capture = None
    if using.capture is not None:
        capture = LiveCapture(using.capture, (f"{lan.name}, in use",))
    traffic = Traffic(lan, capture=capture, forget=True)
    edges = Edges(traffic, say, listening, more, any_host=any_host)
    try:
        yield edges
    finally:
        edges.traffic.close()
        edges.close()


def _carry(edges: Edges, ports: Sequence[Port], using: Use, say: Say) -> int:
    """Carry frames until the end, and sum up; the command's exit code, or 0."""
    child = None
    if using.command:
        try:
            child = subprocess.Popen(using.command)
        except OSError as error:
            raise LanError(f"{using.command[0]}: {error.strerror}") from None
    else:
        say("ready: ends with Ctrl-C")
    try:
        edges.run(child)
    finally:
        if child is not None and child.poll() is None:
            child.terminate()
            child.wait()
    for port in ports:
        if isinstance(port, Counting) and (port.sent or port.received):
            faults = getattr(port.port, "acted", {})
            harmed = "".join(f", {number} by {what}" for what, number in sorted(faults.items()))
            say(f"{port.name}: {port.sent} frames sent, {port.received} received{harmed}")
    if edges.refused:
        say(f"{edges.refused} frames were refused")
    return child.returncode if child is not None else 0
