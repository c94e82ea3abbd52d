"""Sends what a capture has through a LAN, and judges every frame by the model of its kind.

Hosts are given to ports by the addresses that they send from, in the order in which they first
do; one port more, where the LAN has it, stands by. A LAN that knows its ports' addresses (a
directory) would deliver no unicast of a strange host: there hosts get their port's address, in
the Ethernet header. Frames that a LAN does not take are judged as it declares: cut, or dropped.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.bench_port import BenchPort
from harness.evidence import foreign
from harness.evidence.files import LARGEST
from harness.evidence.foreign import Captured, Contents
from harness.exchange import Testbench
from harness.frames import describe
from harness.lan import FrameRefused, LanError, Port
from harness.models import NO_ADDRESS, arrives_as, is_group

Addresses = Literal["auto", "capture", "ports"]
"""Whether frames keep the capture's addresses, or hosts get those of their ports."""

HEADER = 14
MOST_LINES = 20
"""Frames that a message lists."""


class BadReplay(LanError):
    """A capture that cannot be replayed; the message is one line."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a frame; ``number`` is that of the packet in the capture.

    ``expected`` names the ports that had to receive it, ``allowed`` those that might. ``wrong``
    has a line for each difference, ``note`` what else is to be said.
    """

    number: int
    sender: str
    frame: bytes
    expected: tuple[str, ...]
    allowed: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        where = ", ".join(self.expected) or ("" if self.allowed else "nobody")
        if self.allowed:
            where += f"{' and ' * bool(where)}perhaps {', '.join(self.allowed)}"
        said = "; ".join(self.wrong) or self.note or "as expected"
        return f"packet {self.number}: {self.sender} to {where}, {len(self.frame)} B: {said}"

    def in_words(self) -> str:
        """The same, with what the frame is."""
        return f"{self}  ({describe(self.frame)})"


@dataclass(frozen=True, slots=True)
class Replayed:
    """A capture that was sent through a LAN, frame by frame."""

    path: Path
    lan: str
    hosts: Mapping[str, str]
    """Address of each host in the capture to its port."""
    rewritten: bool
    """Whether hosts got the addresses of their ports."""
    verdicts: tuple[Verdict, ...]
    seconds: float

    @property
    def failed(self) -> list[Verdict]:
        """The frames that were not delivered as the model says."""
        return [verdict for verdict in self.verdicts if verdict.wrong]

    def summary(self) -> str:
        """One line."""
        good = len(self.verdicts) - len(self.failed)
        text = f"{self.path.name} on {self.lan}: {good} of {len(self.verdicts)} frames as expected"
        hosts = f"{len(self.hosts)} host{'s' * (len(self.hosts) != 1)}"
        changed = ", with the addresses of their ports" if self.rewritten else ""
        notes = [verdict for verdict in self.verdicts if verdict.note and not verdict.wrong]
        more = f"; {len(notes)} that the LAN does not take whole" if notes else ""
        return f"{text}; {hosts}{changed}{more}"


def load(path: Path, partial: bool = False, most: int = LARGEST) -> Contents:
    """A capture; BadReplay, in one line, if something of it cannot be replayed.

    ``partial``: it is returned all the same if something of it can.
    """
    contents = foreign.read(path, most)
    if contents.problems and not (partial and contents.packets):
        raise BadReplay(f"{path}: {'; '.join(contents.problems)}")
    return contents


def hosts_of(packets: Iterable[Captured]) -> list[bytes]:
    """The addresses that send, in the order in which they first do."""
    senders = (packet.frame[6:12] for packet in packets if len(packet.frame) >= HEADER)
    return list(dict.fromkeys(address for address in senders if _is_host(address)))


def _is_host(address: bytes) -> bool:
    return address != NO_ADDRESS and not is_group(address)


def parsed_map(given: Iterable[str]) -> dict[bytes, str]:
    """``MAC=PORT`` as address and name, or number, of a port; BadReplay for anything else."""
    mapping = {}
    for text in given:
        address, _, port = text.partition("=")
        try:
            known = bytes.fromhex(address.replace(":", "").replace("-", ""))
        except ValueError:
            known = b""
        if len(known) != 6 or not port:
            raise BadReplay(f"--map {text}: should be MAC=PORT, as in 02:00:00:00:00:01=2")
        mapping[known] = port
    return mapping


def replay(
    lan: Testbench,
    path: Path | str,
    *,
    ports: Mapping[bytes, str] | None = None,
    addresses: Addresses = "auto",
    timing: bool = False,
    partial: bool = False,
) -> Replayed:
    """Send a capture through a LAN; AssertionError if a frame was not delivered as expected.

    ``ports`` gives hosts to ports, by name or number from 1. ``timing``: frames are sent as far
    apart as they were captured.
    """
    path = Path(path)
    done = run(lan, path, load(path, partial).packets, ports, addresses, timing=timing)
    if done.failed:
        raise AssertionError(failure(done))
    return done


def failure(done: Replayed) -> str:
    """What was wrong, frame by frame."""
    lines = [done.summary(), *(verdict.in_words() for verdict in done.failed[:MOST_LINES])]
    more = len(done.failed) - MOST_LINES
    return "\n".join([*lines, *([f"and {more} more"] if more > 0 else [])])


def run(
    lan: Testbench,
    path: Path,
    packets: Sequence[Captured],
    mapping: Mapping[bytes, str] | None = None,
    addresses: Addresses = "auto",
    *,
    timing: bool = False,
) -> Replayed:
    """The same for packets that were read, without raising for frames that went wrong."""
    hosts = hosts_of(packets)
    # Ports that were used before must be watched too.
    available = lan.some_ports(max(3, len(hosts) + 1, len(lan.model.peers)))
    at = _places(lan, hosts, available, mapping or {})
    rewritten = addresses == "ports" or (
        addresses == "auto" and lan.kind in ("directory", "unknown")
    )
    verdicts = []
    began = time.monotonic()
    for packet in packets:
        sender = at.get(packet.frame[6:12], available[0])
        frame = _readdressed(packet.frame, at) if rewritten else packet.frame
        if timing:
            _wait(began, packet.time - packets[0].time)
        verdicts.append(_send(lan, packet.number, sender, frame))
    seconds = time.monotonic() - began
    named = {address.hex(":"): port.name for address, port in at.items()}
    return Replayed(path, lan.lan.name, named, rewritten, tuple(verdicts), seconds)


def _wait(began: float, after_ns: int) -> None:
    """Wait until a frame is due: the time of the capture, not a time-out."""
    left = began + after_ns / 1e9 - time.monotonic()
    if left > 0:
        time.sleep(left)


def _places(
    lan: Testbench,
    hosts: Sequence[bytes],
    ports: Sequence[BenchPort],
    mapping: Mapping[bytes, str],
) -> dict[bytes, BenchPort]:
    """The port of each host; hosts share ports if there are more of them."""
    by_name = {port.name: port for port in ports}
    by_name |= {str(number): port for number, port in enumerate(ports, start=1)}
    places = {}
    for number, host in enumerate(hosts):
        named = mapping.get(host)
        if named is not None and named not in by_name:
            raise BadReplay(f"{lan.lan.name} has no port {named} among its first {len(ports)}")
        places[host] = ports[number % len(ports)] if named is None else by_name[named]
    for address in mapping:
        if address not in places:
            raise BadReplay(f"no frame of the capture is from {address.hex(':')}")
    return places


def _readdressed(frame: bytes, at: Mapping[bytes, BenchPort]) -> bytes:
    """The frame with the addresses of its hosts' ports."""
    to, by = at.get(frame[:6]), at.get(frame[6:12])
    return (to.mac if to else frame[:6]) + (by.mac if by else frame[6:12]) + frame[12:]


def _send(lan: Testbench, number: int, sender: BenchPort, frame: bytes) -> Verdict:
    traits = lan.traits
    if len(frame) < traits.shortest:
        note = f"not sent: the LAN takes no frame under {traits.shortest} bytes"
        return Verdict(number, sender.name, frame, (), note=note)
    receivers = lan.model.receivers(sender.name, frame)
    before = len(lan.violations)
    note = ""
    if len(frame) > traits.longest:
        note = f"longer than the {traits.longest} bytes that the LAN takes: {traits.oversized}"
    try:
        delivery = lan.exchange_any(sender, frame)
    except FrameRefused as error:
        refused = str(error)
        if note:
            return Verdict(number, sender.name, frame, (), note=f"{note}, by refusing it")
        return Verdict(
            number, sender.name, frame, receivers.must, receivers.may, (f"refused: {refused}",)
        )
    wanted: dict[Port, list[bytes]] = {}
    for port, received in delivery.received.items():
        arrived = [seen for seen in received if arrives_as(traits, frame, seen)]
        if port.name in receivers.must:
            wanted[port] = arrived[:1] or [frame]
        elif port.name in receivers.may:
            wanted[port] = arrived[:1]
        if arrived and len(arrived[0]) < len(frame) and not note:
            note = f"{len(arrived[0])} bytes arrived: {traits.oversized}, as declared"
    held = delivery == wanted
    wrong = tuple(str(violation) for violation in lan.violations[before:])
    if not held and not wrong:
        wrong = ("received otherwise than expected",)
    return Verdict(number, sender.name, frame, receivers.must, receivers.may, wrong, note)
