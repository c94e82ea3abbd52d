"""Re-checks verdicts, from captures, expected deliveries and recorded values alone.

A delivery is compared again with the packets of its capture. Values that a test compared are
compared again as they were recorded; frames among them also with the capture, where it has
them. Results are not trusted: a path that leads out of their folder is not opened, and an expected
frame must be one that was sent in its own exchange. Only evidence that is forged throughout,
with captures, hashes and verdicts in agreement, cannot be refuted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.evidence import results
from harness.evidence.answer import Answer
from harness.evidence.comments import RULES_AND_OUTCOME
from harness.evidence.files import LARGEST, BadFile, content
from harness.evidence.reader import BadCapture, Packet, parse
from harness.evidence.results import (
    RED,
    BadResults,
    Capture,
    Compared,
    Exchange,
    Result,
    Results,
    Source,
    Wanted,
)
from harness.models import is_group
from harness.values import holds, recorded

BROADCAST = b"\xff" * 6
VERDICTS = frozenset({"passed", "failed", "deviation"})
"""Outcomes that say something about a rule."""

Frames = Mapping[str, tuple[bytes, ...]]
"""Port to the frames that it received, or was to receive, in order."""


class BadEvidence(Exception):
    """Evidence that is incomplete or contradicts itself; the message is one line."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the evidence says of a test's verdict.

    ``exchanges`` is how many deliveries were compared again, ``values`` how many recorded
    values, ``in_capture`` how many of these with packets of the capture. ``verdict``: the test
    has one. ``derived``: it follows from what was compared again; else only a run of the test
    can confirm it.
    """

    test: str
    exchanges: int
    problems: tuple[str, ...]
    values: int = 0
    in_capture: int = 0
    verdict: bool = False
    derived: bool = False


def expected(exchange: Exchange, packets: Sequence[Packet]) -> Frames:
    """The expected frames; BadEvidence for a packet that does not exist."""
    return {
        port: tuple(_frame(frame, exchange, packets) for frame in wanted)
        for port, wanted in exchange.expected.items()
    }


def _frame(wanted: Wanted, exchange: Exchange, packets: Sequence[Packet]) -> bytes:
    if not wanted.packet:
        try:
            frame = bytes.fromhex(wanted.hex)
        except ValueError:
            raise BadEvidence(f"{wanted.hex!r} is not a frame in hexadecimal") from None
    elif exchange.first <= wanted.packet <= min(exchange.last, len(packets)):
        packet = packets[wanted.packet - 1]
        # A received frame must not stand in for an expected one.
        if packet.direction != "sent":
            raise BadEvidence(f"packet {wanted.packet} was expected, and no port sent it")
        frame = packet.frame[: max(wanted.length, 0)]
    else:
        raise BadEvidence(f"packet {wanted.packet} is not in its exchange")
    if len(frame) != wanted.length:
        raise BadEvidence(f"an expected frame of {wanted.length} bytes has {len(frame)}")
    return frame


def arrivals(exchange: Exchange, packets: Sequence[Packet]) -> list[Packet]:
    """What arrived at the watched ports, and unicasts that strayed elsewhere, in the view.

    A frame that came back to its sender counts in either view.
    """
    inside = packets[exchange.first - 1 : exchange.last]
    own = {(packet.port, packet.frame) for packet in inside if packet.direction == "sent"}
    watched = set(exchange.ports)
    return [
        packet
        for packet in inside
        if packet.arrived
        and (packet.port in watched or (exchange.strays and not is_group(packet.frame)))
        and (exchange.view == "wire" or packet.passes_filter or (packet.port, packet.frame) in own)
    ]


def received(exchange: Exchange, packets: Sequence[Packet]) -> Frames:
    """The same, as frames by port."""
    frames: dict[str, list[bytes]] = {}
    for arrival in arrivals(exchange, packets):
        frames.setdefault(arrival.port, []).append(arrival.frame)
    return {port: tuple(arrived) for port, arrived in frames.items()}


def strays(exchange: Exchange, packets: Sequence[Packet]) -> list[Packet]:
    """Arrivals other than the frame that was expected next at their port."""
    due = {port: iter(frames) for port, frames in expected(exchange, packets).items()}
    return [
        packet
        for packet in arrivals(exchange, packets)
        if next(due.get(packet.port, iter(())), None) != packet.frame
    ]


def proved_alive(exchange: Exchange, packets: Sequence[Packet]) -> bool:
    """Whether a control broadcast was sent after the exchange, and reached another port."""
    senders: dict[bytes, set[str]] = {}
    control = packets[exchange.last : exchange.control]
    for packet in control:
        if packet.direction == "sent" and packet.frame.startswith(BROADCAST):
            senders.setdefault(packet.frame, set()).add(packet.port)
    return any(
        packet.arrived and bool(senders.get(packet.frame, set()) - {packet.port})
        for packet in control
    )


def capture_of(test: Result, folder: Path, most: int = LARGEST) -> list[Packet]:
    """The packets of a test's capture; BadEvidence if it is not the one that was written."""
    if test.capture is None:
        return []
    path = capture_path(test.capture, folder)
    try:
        written = content(path, most)
        # What is hashed is what is read: the file may change meanwhile.
        same = hashlib.sha256(written).hexdigest() == test.capture.sha256
        packets = parse(path, written) if same else []
    except (BadFile, BadCapture) as error:
        raise BadEvidence(str(error)) from None
    if not same or len(packets) != test.capture.packets:
        raise BadEvidence(f"{path}: not the capture that this test wrote")
    return packets


def capture_path(capture: Capture, folder: Path) -> Path:
    """Where a capture lies; BadEvidence for a path out of the folder of the results."""
    given = PurePosixPath(capture.path)
    path = folder / given
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # of a loop, or a name that no file can have
        inside = False
    if not inside or not given.parts or given.is_absolute() or ".." in given.parts:
        raise BadEvidence(f"{capture.path!r} is not a path below {folder}")
    return path


def evidence(test: Result, folder: Path, most: int = LARGEST) -> list[Packet]:
    """The packets of a test's capture; BadEvidence if its exchanges are not parts of it."""
    packets = capture_of(test, folder, most)
    before = 0
    for number, exchange in enumerate(test.exchanges, start=1):
        if not before < exchange.first <= exchange.last + 1 <= exchange.control + 1:
            raise BadEvidence(
                f"exchange {number} overlaps another one, or its packets are not in order"
            )
        if exchange.control > len(packets):
            raise BadEvidence(f"exchange {number} is not in the capture")
        strangers = [port for port in expected(exchange, packets) if port not in exchange.ports]
        if strangers:
            raise BadEvidence(
                f"exchange {number} expects frames at {strangers[0]}, and did not watch that port"
            )
        before = exchange.control
    return packets


def judge(test: Result, folder: Path, most: int = LARGEST) -> Judgement:
    """Re-check a test's verdict; ``folder`` is where its results lie."""
    verdict = test.outcome in VERDICTS
    try:
        problems = tuple(_problems(test, evidence(test, folder, most)))
    except BadEvidence as error:
        return Judgement(test.id, 0, (str(error),), verdict=verdict)
    held = [exchange.held for exchange in test.exchanges]
    held += [compared.held for compared in test.compared]
    agree = all(held) is (test.outcome == "passed")
    return Judgement(
        test.id,
        len(test.exchanges),
        problems,
        values=len(test.compared),
        in_capture=sum(compared.source is not None for compared in test.compared),
        verdict=verdict,
        derived=verdict and bool(held) and agree and not problems,
    )


def judge_all(run: Results, most: int = LARGEST) -> Iterator[Judgement]:
    """Every test of a file of results."""
    for test in run.tests:
        yield judge(test, run.path.parent, most)


def answer(paths: Sequence[Path], most: int = LARGEST) -> Answer:
    """Re-check files of results, or folders with one each.

    Code 0 if the evidence supports all verdicts; 1 if it does not support one, or if a run is
    unfinished or incomplete; 2 if a file cannot be read (the others are still checked).
    """
    lines: list[str] = []
    errors: list[str] = []
    judgements: list[Judgement] = []
    incomplete = 0
    for path in paths:
        try:
            run = results.read(path, most)
        except BadResults as error:
            errors.append(str(error))
            continue
        missing = [*run.problems, *(f"unfinished: {test}" for test in run.unfinished())]
        if run.end is None:
            missing.append(f"{run.path}: the run did not finish")
        incomplete += len(missing)
        lines += missing
        for judgement in judge_all(run, most):
            judgements.append(judgement)
            lines += [f"{judgement.test}: {problem}" for problem in judgement.problems]
    if len(errors) == len(paths):
        return Answer((), tuple(errors), 2)
    lines += summary(judgements)
    doubted = any(judgement.problems for judgement in judgements)
    code = 2 if errors else 1 if doubted or incomplete else 0
    return Answer(tuple(lines), tuple(errors), code)


def summary(judgements: Sequence[Judgement]) -> Iterator[str]:
    """What was re-checked, and from what, in two lines."""
    values = sum(judgement.values for judgement in judgements)
    if values:
        seen = sum(judgement.in_capture for judgement in judgements)
        yield f"{values} recorded values compared again, {seen} of them with packets of captures"
    verdicts = sum(judgement.verdict for judgement in judgements)
    derived = [judgement for judgement in judgements if judgement.derived]
    packets = sum(bool(judgement.exchanges or judgement.in_capture) for judgement in derived)
    share = f" ({100 * len(derived) / verdicts:.1f} %)" if verdicts else ""
    yield (
        f"{len(derived)} of {verdicts} verdicts re-checked{share}: {packets} from captures,"
        f" {len(derived) - packets} from recorded values alone;"
        f" {sum(bool(judgement.problems) for judgement in judgements)}"
        " not supported by the evidence"
    )


def _problems(test: Result, packets: Sequence[Packet]) -> Iterator[str]:
    for number, exchange in enumerate(test.exchanges, start=1):
        yield from _exchange_problems(test, number, exchange, packets)
    for number, compared in enumerate(test.compared, start=1):
        yield from _comparison_problems(test, f"comparison {number}", compared, packets)
    yield from _contradictions(test, packets)


def _exchange_problems(
    test: Result, number: int, exchange: Exchange, packets: Sequence[Packet]
) -> Iterator[str]:
    got = received(exchange, packets)
    want = {port: frames for port, frames in expected(exchange, packets).items() if frames}
    held = got == want
    if held != exchange.held:
        words = ("as expected", "not as expected")
        said, seen = words if exchange.held else reversed(words)
        yield f"exchange {number}: {said} according to the results, {seen} according to the capture"
    if test.outcome == "passed" and not held:
        yield f"passed, but exchange {number} was not delivered as expected"
    inside = packets[exchange.first - 1 : exchange.last]
    if not any(packet.direction == "sent" for packet in inside):
        yield f"exchange {number}: nothing was sent, so it proves nothing"
    elif not got and not proved_alive(exchange, packets):
        yield f"exchange {number}: nothing was received, and nothing proves the LAN alive"


def _comparison_problems(
    test: Result, name: str, compared: Compared, packets: Sequence[Packet]
) -> Iterator[str]:
    held = holds(compared.relation, compared.received, compared.expected)
    if held != compared.held:
        words = ("as expected", "not as expected")
        said, seen = words if compared.held else reversed(words)
        yield f"{name}: {said} according to the results, {seen} by its values"
    if test.outcome == "passed" and not held:
        yield f"passed, but {name} did not hold: {compared.what}"
    if compared.source is not None and compared.received != in_capture(compared.source, packets):
        yield f"{name}: {compared.what}: the capture has other frames"


def in_capture(source: Source, packets: Sequence[Packet]) -> object:
    """The frames of a comparison as they stand in the capture, in the form of recorded values."""
    if not 0 <= source.first <= source.packets <= len(packets):
        raise BadEvidence(f"the frames of {source.port} are not in the capture")
    inside = packets[: source.packets]
    arrived = [packet.frame for packet in inside if packet.arrived and packet.port == source.port]
    return recorded(arrived[source.first :])


def _contradictions(test: Result, packets: Sequence[Packet]) -> Iterator[str]:
    """Where a verdict contradicts itself, or its capture."""
    if test.outcome == "passed" and (test.reason or test.ending):
        yield f"passed, but with a reason for a failure: {test.reason or test.ending}"
    if test.outcome in RED | {"deviation"} and not test.reason:
        yield f"{test.outcome}, but without a reason"
    said = f"{', '.join(test.rules) or 'no rule'} {test.outcome}"
    in_capture = {" ".join(packet.comments[:RULES_AND_OUTCOME]) for packet in packets}
    for other in sorted(in_capture - {said}):
        # A capture is written before the test has released everything.
        if not test.ending:
            yield f"results: {said}; capture: {other}"
