"""The details of one test in the report, from its result and its capture."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scapy.utils import hexdump

from harness import frames
from harness.evidence import judge
from harness.evidence.files import LARGEST
from harness.evidence.reader import Packet
from harness.evidence.results import Exchange, Result
from harness.report import sequence, svg
from harness.rules import RULES, Rule

MOST_BYTES = 128
"""Bytes of a frame that are printed; the capture has all of them."""

MOST_EXCHANGES = 5
"""Exchanges whose deliveries are shown side by side."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one port was expected to receive, and what it received, in words."""

    port: str
    expected: str
    received: str
    differs: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """One exchange's delivery, port by port."""

    title: str
    held: bool
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Deciding:
    """The frame that decides the verdict: its number in the capture, its bytes, decoded."""

    number: int
    where: str
    dump: str
    more: int
    reading: str


@dataclass(frozen=True, slots=True)
class Detail:
    """All details; ``problem`` says why the capture cannot be shown."""

    result: Result
    rules: tuple[Rule, ...]
    about: str
    command: str
    capture: str
    problem: str
    drawing: svg.Drawing | None
    compared: tuple[Compared, ...]
    hidden_exchanges: int
    deciding: Deciding | None


def detail(
    result: Result, folder: Path, capture: str, repeat: Sequence[str], most: int = LARGEST
) -> Detail:
    """The details of a test; ``capture`` is the link to its capture, "" if it has none."""
    try:
        packets: Sequence[Packet] = judge.evidence(result, folder, most)
        exchanges, problem = result.exchanges, ""
    except judge.BadEvidence as error:
        packets, exchanges, problem = [], [], str(error)
    wrong = next((exchange for exchange in exchanges if not exchange.held), None)
    watched = {port for exchange in exchanges for port in exchange.ports}
    ports = [port for port in result.ports if port in watched or not watched]
    drawn = sequence.diagram(ports, packets, len(packets), wrong.first if wrong else 1)
    strays = {
        packet.number
        for exchange in exchanges
        if not exchange.held
        for packet in judge.strays(exchange, packets)
    }
    ordered = sorted(enumerate(exchanges, start=1), key=lambda numbered: numbered[1].held)
    compared = [
        _compared(number, exchange, ports, packets) for number, exchange in ordered[:MOST_EXCHANGES]
    ]
    differs = {
        number: [_difference(row) for row in one.rows if row.differs]
        for (number, _), one in zip(ordered, compared, strict=False)
    }
    return Detail(
        result,
        tuple(RULES[rule] for rule in result.rules if rule in RULES),
        " ".join(result.doc.split()),
        command(result, repeat),
        capture,
        problem,
        svg.draw(drawn, result.ports, exchanges, strays, differs) if drawn.steps else None,
        tuple(compared),
        max(0, len(ordered) - MOST_EXCHANGES),
        _deciding(wrong, packets),
    )


def command(result: Result, repeat: Sequence[str]) -> str:
    """The command that runs just this test, with its seed."""
    lan = ["--lan", result.lan] if result.lan is not None else []
    return shlex.join(["pytest", result.id, *lan, *repeat])


def _compared(
    number: int, exchange: Exchange, ports: Sequence[str], packets: Sequence[Packet]
) -> Compared:
    want, got = judge.expected(exchange, packets), judge.received(exchange, packets)
    rows = [
        Row(port, _sizes(want.get(port, ())), _sizes(got.get(port, ())), differs)
        for port in ports
        if (differs := want.get(port, ()) != got.get(port, ())) or len(ports) <= 16 or got.get(port)
    ]
    rows.sort(key=lambda row: not row.differs)
    return Compared(f"exchange {number}", exchange.held, tuple(rows[:16]))


def _difference(row: Row) -> str:
    same = " with other bytes" * (row.expected == row.received)
    return f"{row.port} expected {row.expected}, received {row.received}{same}"


def _sizes(received: Sequence[bytes]) -> str:
    if not received:
        return "nothing"
    shown = ", ".join(str(len(frame)) for frame in received[:5]) + ", …" * (len(received) > 5)
    return f"{len(received)} frame{'s' * (len(received) > 1)} of {shown} bytes"


def _deciding(wrong: Exchange | None, packets: Sequence[Packet]) -> Deciding | None:
    if not packets:
        return None
    if wrong is None:
        arrived = [packet for packet in packets if packet.direction == "received"]
        chosen = (arrived or packets)[-1]
    else:
        inside = packets[wrong.first - 1 : wrong.last]
        chosen = [*judge.strays(wrong, packets), *inside, *packets][0]
    shown = chosen.frame[:MOST_BYTES]
    way = "sent by" if chosen.direction == "sent" else "received by"
    return Deciding(
        chosen.number,
        f"{way} {chosen.port}",
        str(hexdump(shown, dump=True)),
        len(chosen.frame) - len(shown),
        frames.describe(chosen.frame),
    )
