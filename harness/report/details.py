"""The details of one test in the report, from its result and its capture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.evidence import again, judge
from harness.evidence.files import LARGEST
from harness.evidence.reader import Packet
from harness.evidence.results import RED, Difference, Exchange, Result, Run
from harness.explanation import sizes
from harness.report import bugreport, packets, sequence, svg
from harness.report.against import Past
from harness.report.topology import Topology, topology
from harness.rules import RULES, Rule

MOST_EXCHANGES = 5
"""Exchanges whose deliveries are shown side by side."""

MOST_AHEAD = 30
"""Packets between a frame as it was sent and as it was wrong, for both to be shown."""

FEW_AHEAD = 3
"""Packets that are shown before the wrong one otherwise."""

MOST_PORTS = 16
"""Ports in a table; of a larger LAN those that received something, or differ."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one port was expected to receive, and what it received, in words."""

    port: str
    expected: str
    received: str
    differs: str


@dataclass(frozen=True, slots=True)
class Compared:
    """One exchange's delivery, port by port."""

    title: str
    held: bool
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Detail:
    """All details; ``problem`` says why the capture cannot be shown."""

    result: Result
    rules: tuple[Rule, ...]
    about: str
    rerun: str
    show: str
    capture: str
    problem: str
    picture: Topology | None
    drawing: svg.Drawing | None
    compared: tuple[Compared, ...]
    hidden_exchanges: int
    rows: tuple[packets.Row, ...]
    hidden_packets: int
    bug: str
    past: tuple[Past, ...]


def detail(
    result: Result,
    run: Run,
    folder: Path,
    capture: tuple[str, str],
    past: Sequence[Past] = (),
    *,
    whole: bool,
    most: int = LARGEST,
) -> Detail:
    """The details of a test; ``capture`` is the link to its capture, and the path for the shell.

    ``whole``: with the fields and bytes of its packets.
    """
    try:
        captured: Sequence[Packet] = judge.evidence(result, folder, most)
        exchanges, problem = result.exchanges, ""
    except judge.BadEvidence as error:
        captured, exchanges, problem = [], [], str(error)
    wrong = next((exchange for exchange in exchanges if not exchange.held), None)
    watched = {port for exchange in exchanges for port in exchange.ports}
    ports = [port for port in result.ports if port in watched or not watched]
    first = _first(result, wrong, captured)
    drawn = sequence.diagram(ports, captured, len(captured), first)
    ordered = sorted(enumerate(exchanges, start=1), key=lambda numbered: numbered[1].held)
    kinds = _kinds(result.differences)
    compared = [
        _compared(number, exchange, ports, captured, kinds)
        for number, exchange in ordered[:MOST_EXCHANGES]
    ]
    rows = packets.rows(captured, result.differences, first, whole=whole)
    rules = tuple(RULES[rule] for rule in result.rules if rule in RULES)
    rerun = again.of_run(run, result.id, result.lan)
    table = [
        (row.port, row.expected, row.received, bool(row.differs)) for row in _first_of(compared)
    ]
    red = result.outcome in RED
    link, path = capture
    return Detail(
        result,
        rules,
        " ".join(result.doc.split()),
        rerun,
        again.show(path) if path else "",
        link,
        problem,
        topology(result.lan or "", ports, result.ports, captured, kinds) if captured else None,
        svg.draw(drawn, result.ports, exchanges, _strays(exchanges, captured))
        if drawn.steps
        else None,
        tuple(compared),
        max(0, len(ordered) - MOST_EXCHANGES),
        tuple(rows),
        len(captured) - len(rows),
        bugreport.markdown(result, run, rules, table, captured, rerun) if red else "",
        tuple(past),
    )


def _first_of(compared: Sequence[Compared]) -> tuple[Row, ...]:
    return compared[0].rows if compared and not compared[0].held else ()


def _first(result: Result, wrong: Exchange | None, captured: Sequence[Packet]) -> int:
    """The packet with which the diagram begins: that of the exchange that is wrong."""
    if wrong is not None:
        return wrong.first
    for difference in result.differences:
        packet, sent = difference.packet, difference.sent
        if 0 < packet <= len(captured):
            near = 0 < sent <= packet < sent + MOST_AHEAD
            return sent if near else max(1, packet - FEW_AHEAD)
    return 1


def _kinds(differences: Sequence[Difference]) -> Mapping[str, list[str]]:
    """What was wrong at each port, in the words of the classification."""
    kinds: dict[str, list[str]] = {}
    for difference in differences:
        listed = kinds.setdefault(difference.port, [])
        if difference.kind not in listed:
            listed.append(difference.kind)
    return kinds


def _strays(exchanges: Sequence[Exchange], captured: Sequence[Packet]) -> set[int]:
    """Packets that were not expected, in a capture that does not say itself what is wrong."""
    if any(packet.wrong for packet in captured):
        return set()
    return {
        packet.number
        for exchange in exchanges
        if not exchange.held
        for packet in judge.strays(exchange, captured)
    }


def _compared(
    number: int,
    exchange: Exchange,
    ports: Sequence[str],
    captured: Sequence[Packet],
    kinds: Mapping[str, Sequence[str]],
) -> Compared:
    want, got = judge.expected(exchange, captured), judge.received(exchange, captured)
    rows = []
    for port in ports:
        expected, received = want.get(port, ()), got.get(port, ())
        differs = expected != received
        word = ", ".join(kinds.get(port, ())) or "differs"
        if differs or len(ports) <= MOST_PORTS or received:
            rows.append(Row(port, sizes(expected), sizes(received), word if differs else ""))
    rows.sort(key=lambda row: not row.differs)
    return Compared(f"exchange {number}", exchange.held, tuple(rows[:MOST_PORTS]))
