"""Works verdicts out again, from captures and expected deliveries alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.report.reader import BadCapture, Packet, read
from harness.results import RED, Exchange, Result, Results, Wanted

Frames = Mapping[str, tuple[bytes, ...]]
"""Port to the frames that it received, or was to receive, in order."""


class BadEvidence(Exception):
    """Evidence that is not whole, or contradicts itself, said in one line."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the evidence says of a test's verdict.

    ``exchanges`` is how many deliveries were compared anew: with none the verdict rests on
    the inside of the LAN, and can be confirmed by running the test only.
    """

    test: str
    exchanges: int
    problems: tuple[str, ...]


def expected(exchange: Exchange, packets: Sequence[Packet]) -> Frames:
    """What was to arrive, in bytes; BadEvidence for a packet that is not there."""
    return {
        port: tuple(_frame(each, packets) for each in wanted)
        for port, wanted in exchange.expected.items()
    }


def _frame(wanted: Wanted, packets: Sequence[Packet]) -> bytes:
    if not wanted.packet:
        frame = bytes.fromhex(wanted.hex)
    elif wanted.packet <= len(packets):
        frame = packets[wanted.packet - 1].frame[: wanted.length]
    else:
        raise BadEvidence(f"packet {wanted.packet} is not in the capture")
    if len(frame) != wanted.length:
        raise BadEvidence(f"an expected frame of {wanted.length} bytes has {len(frame)}")
    return frame


def arrivals(exchange: Exchange, packets: Sequence[Packet]) -> list[Packet]:
    """What arrived, in the exchange's view; what came back to its sender counts in either."""
    inside = packets[exchange.first - 1 : exchange.last]
    own = {(each.port, each.frame) for each in inside if each.direction == "sent"}
    return [
        each
        for each in inside
        if each.direction == "received"
        and not each.dropped
        and (exchange.view == "wire" or each.for_host or (each.port, each.frame) in own)
    ]


def received(exchange: Exchange, packets: Sequence[Packet]) -> Frames:
    """The same, as frames by port."""
    found: dict[str, tuple[bytes, ...]] = {}
    for each in arrivals(exchange, packets):
        found[each.port] = (*found.get(each.port, ()), each.frame)
    return found


def strays(exchange: Exchange, packets: Sequence[Packet]) -> list[Packet]:
    """Arrivals that are not those that were due next at their port."""
    due = {port: list(each) for port, each in expected(exchange, packets).items()}
    found = []
    for packet in arrivals(exchange, packets):
        waiting = due.get(packet.port, [])
        if not waiting or waiting.pop(0) != packet.frame:
            found.append(packet)
    return found


def proved_alive(exchange: Exchange, packets: Sequence[Packet]) -> bool:
    """Whether a control broadcast went out after the exchange, and came to another port."""
    control = packets[exchange.last : exchange.control]
    sent = [each for each in control if each.direction == "sent"]
    return any(
        each.direction == "received" and each.frame == one.frame and each.port != one.port
        for one in sent
        for each in control
    )


def capture_of(test: Result, folder: Path) -> list[Packet]:
    """The packets of a test's capture; BadEvidence if it is not the one that was written."""
    if test.capture is None:
        return []
    path = folder / test.capture.path
    try:
        packets = read(path)
        written = hashlib.sha256(path.read_bytes()).hexdigest() == test.capture.sha256
    except BadCapture as error:
        raise BadEvidence(str(error)) from None
    if not written or len(packets) != test.capture.packets:
        raise BadEvidence(f"{path}: not the capture that this test wrote")
    return packets


def judge(test: Result, folder: Path) -> Judgement:
    """Work a test's verdict out again; ``folder`` is where its results lie."""
    try:
        problems = tuple(_problems(test, capture_of(test, folder)))
    except (BadEvidence, ValueError) as error:
        problems = (str(error),)
    return Judgement(test.id, len(test.exchanges), problems)


def judge_all(results: Results) -> Iterator[Judgement]:
    """Every test of a file of results."""
    for test in results.tests:
        yield judge(test, results.path.parent)


def _problems(test: Result, packets: Sequence[Packet]) -> Iterator[str]:
    for number, exchange in enumerate(test.exchanges, start=1):
        if not 1 <= exchange.first <= exchange.last + 1 <= exchange.control + 1 <= len(packets) + 1:
            raise BadEvidence(f"exchange {number} is not in the capture")
        got = received(exchange, packets)
        want = {port: each for port, each in expected(exchange, packets).items() if each}
        held = got == want
        if held != exchange.held:
            told = "held" if exchange.held else "did not hold"
            yield f"exchange {number} {told}, says the run; the capture says otherwise"
        silent = not got and exchange.last >= exchange.first
        if held and silent and not proved_alive(exchange, packets):
            yield f"exchange {number} was silent, and nothing proves the LAN alive"
        if test.outcome == "passed" and not held:
            yield f"passed, and exchange {number} was not delivered as expected"
    reasons = test.reason or test.told or any(not each.held for each in test.exchanges)
    if test.outcome in RED | {"deviation"} and not reasons:
        yield f"{test.outcome}, and nothing says why"
