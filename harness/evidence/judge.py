"""Works verdicts out again, from captures and expected deliveries alone.

What a run's results say is believed nowhere: a path that leads out of their folder is not
opened, and an expected frame must be one that was sent in its own exchange. What cannot be
refuted is a story that is false throughout: captures, hashes and verdicts in agreement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.evidence import results
from harness.evidence.answer import Answer
from harness.evidence.comments import RULES_AND_OUTCOME
from harness.evidence.reader import BadCapture, Packet, read
from harness.evidence.results import RED, BadResults, Capture, Exchange, Result, Results, Wanted
from harness.exchange import is_unicast

BROADCAST = b"\xff" * 6

Frames = Mapping[str, tuple[bytes, ...]]
"""Port to the frames that it received, or was to receive, in order."""


class BadEvidence(Exception):
    """Evidence that is not whole, or contradicts itself, said in one line."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the evidence says of a test's verdict.

    ``exchanges`` is how many deliveries were compared anew: with none, and no problem, the
    verdict rests on the inside of the LAN, and can be confirmed by running the test only.
    """

    test: str
    exchanges: int
    problems: tuple[str, ...]


def expected(exchange: Exchange, packets: Sequence[Packet]) -> Frames:
    """What was to arrive, in bytes; BadEvidence for a packet that is not there."""
    return {
        port: tuple(_frame(each, exchange, packets) for each in wanted)
        for port, wanted in exchange.expected.items()
    }


def _frame(wanted: Wanted, exchange: Exchange, packets: Sequence[Packet]) -> bytes:
    if not wanted.packet:
        try:
            frame = bytes.fromhex(wanted.hex)
        except ValueError:
            raise BadEvidence(f"{wanted.hex!r} is no frame") from None
    elif exchange.first <= wanted.packet <= min(exchange.last, len(packets)):
        packet = packets[wanted.packet - 1]
        # What a port received is no measure of what it should have received.
        if packet.direction != "sent":
            raise BadEvidence(f"packet {wanted.packet} was expected, and nobody sent it")
        frame = packet.frame[: max(wanted.length, 0)]
    else:
        raise BadEvidence(f"packet {wanted.packet} is not in its exchange")
    if len(frame) != wanted.length:
        raise BadEvidence(f"an expected frame of {wanted.length} bytes has {len(frame)}")
    return frame


def arrivals(exchange: Exchange, packets: Sequence[Packet]) -> list[Packet]:
    """What arrived where the test looked, and unicasts that strayed elsewhere, in its view.

    What came back to its sender counts in either view.
    """
    inside = packets[exchange.first - 1 : exchange.last]
    own = {(each.port, each.frame) for each in inside if each.direction == "sent"}
    return [
        each
        for each in inside
        if each.arrived
        and (each.port in exchange.ports or is_unicast(each.frame))
        and (exchange.view == "wire" or each.passes_filter or (each.port, each.frame) in own)
    ]


def received(exchange: Exchange, packets: Sequence[Packet]) -> Frames:
    """The same, as frames by port."""
    found: dict[str, tuple[bytes, ...]] = {}
    for arrival in arrivals(exchange, packets):
        found[arrival.port] = (*found.get(arrival.port, ()), arrival.frame)
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
    sent = [
        each for each in control if each.direction == "sent" and each.frame.startswith(BROADCAST)
    ]
    return any(
        each.arrived and each.frame == one.frame and each.port != one.port
        for one in sent
        for each in control
    )


def capture_of(test: Result, folder: Path) -> list[Packet]:
    """The packets of a test's capture; BadEvidence if it is not the one that was written."""
    if test.capture is None:
        return []
    path = capture_path(test.capture, folder)
    try:
        written = hashlib.sha256(path.read_bytes()).hexdigest() == test.capture.sha256
        packets = read(path) if written else []
    except OSError as error:
        raise BadEvidence(f"{path}: {error.strerror}") from None
    except BadCapture as error:
        raise BadEvidence(str(error)) from None
    if not written or len(packets) != test.capture.packets:
        raise BadEvidence(f"{path}: not the capture that this test wrote")
    return packets


def capture_path(capture: Capture, folder: Path) -> Path:
    """Where a capture lies; BadEvidence for a path that leads out of the results' folder."""
    given = PurePosixPath(capture.path)
    path = folder / given
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError):  # of a loop, or a name that no file can have
        inside = False
    if not inside or not given.parts or given.is_absolute() or ".." in given.parts:
        raise BadEvidence(f"{capture.path!r} is no path below {folder}")
    return path


def evidence(test: Result, folder: Path) -> list[Packet]:
    """The packets of a test's capture; BadEvidence if its exchanges are no parts of it."""
    packets = capture_of(test, folder)
    before = 0
    for number, exchange in enumerate(test.exchanges, start=1):
        if not before < exchange.first <= exchange.last + 1 <= exchange.control + 1:
            raise BadEvidence(f"exchange {number} is not a part of the capture of its own")
        if exchange.control > len(packets):
            raise BadEvidence(f"exchange {number} is not in the capture")
        strangers = [port for port in expected(exchange, packets) if port not in exchange.ports]
        if strangers:
            raise BadEvidence(
                f"exchange {number} expects frames at {strangers[0]}, and did not look there"
            )
        before = exchange.control
    return packets


def judge(test: Result, folder: Path) -> Judgement:
    """Work a test's verdict out again; ``folder`` is where its results lie."""
    try:
        problems = tuple(_problems(test, evidence(test, folder)))
    except BadEvidence as error:
        return Judgement(test.id, 0, (str(error),))
    return Judgement(test.id, len(test.exchanges), problems)


def judge_all(found: Results) -> Iterator[Judgement]:
    """Every test of a file of results."""
    for test in found.tests:
        yield judge(test, found.path.parent)


def answer(paths: Sequence[Path]) -> Answer:
    """Judge files of results, or folders with one each.

    Code 0 if all evidence supports all verdicts; 1 if some does not, or if a run is not
    finished or not whole; 2 if a file cannot be read (the others are judged all the same).
    """
    lines: list[str] = []
    errors: list[str] = []
    anew = inside = doubted = incomplete = 0
    for path in paths:
        try:
            found = results.read(path)
        except BadResults as error:
            errors.append(str(error))
            continue
        told = [*found.problems, *(f"unfinished: {each}" for each in found.unfinished())]
        if found.end is None:
            told.append(f"{found.path}: the run did not finish")
        incomplete += len(told)
        lines += told
        for judgement in judge_all(found):
            anew += judgement.exchanges > 0
            inside += judgement.exchanges == 0 and not judgement.problems
            doubted += bool(judgement.problems)
            lines += [f"{judgement.test}: {problem}" for problem in judgement.problems]
    if len(errors) == len(paths):
        return Answer((), tuple(errors), 2)
    counted = f"{anew} verdicts judged again from captures, {inside} rest on the inside of the LAN"
    lines.append(f"{counted}, {doubted} not supported")
    code = 2 if errors else 1 if doubted or incomplete else 0
    return Answer(tuple(lines), tuple(errors), code)


def _problems(test: Result, packets: Sequence[Packet]) -> Iterator[str]:
    for number, exchange in enumerate(test.exchanges, start=1):
        yield from _exchange_problems(test, number, exchange, packets)
    yield from _contradictions(test, packets)


def _exchange_problems(
    test: Result, number: int, exchange: Exchange, packets: Sequence[Packet]
) -> Iterator[str]:
    got = received(exchange, packets)
    want = {port: each for port, each in expected(exchange, packets).items() if each}
    held = got == want
    if held != exchange.held:
        told = "held" if exchange.held else "did not hold"
        yield f"exchange {number} {told}, says the run; the capture says otherwise"
    if test.outcome == "passed" and not held:
        yield f"passed, and exchange {number} was not delivered as expected"
    inside = packets[exchange.first - 1 : exchange.last]
    if not any(each.direction == "sent" for each in inside):
        yield f"exchange {number} sent nothing, so it says nothing"
    elif not got and not proved_alive(exchange, packets):
        yield f"exchange {number} was silent, and nothing proves the LAN alive"


def _contradictions(test: Result, packets: Sequence[Packet]) -> Iterator[str]:
    """Where a verdict does not agree with itself, nor with what its capture says of it."""
    if test.outcome == "passed" and (test.reason or test.ending):
        yield f"passed, and something speaks against it: {test.reason or test.ending}"
    if test.outcome in RED | {"deviation"} and not test.reason:
        yield f"{test.outcome}, and nothing says why"
    said = f"{', '.join(test.rules) or 'no rule'} {test.outcome}"
    told = {" ".join(packet.comments[:RULES_AND_OUTCOME]) for packet in packets}
    for other in sorted(told - {said}):
        # A capture is written before the test has given all back.
        if not test.ending:
            yield f"{said}, and its capture says: {other}"
