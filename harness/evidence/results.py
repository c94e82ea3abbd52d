"""What a run leaves for machines: ``results.jsonl``, one JSON object per line, UTF-8.

The first line is a ``Run``, then comes a ``Result`` per test in the order in which they
ended, then an ``End``; a file without its end is of a run that did not finish. Every line
says its ``kind``: run, test or end; the classes below are its fields. A line is written
whole as soon as its test is over and its capture is written.

A reader refuses an unknown ``schema``, names a line that it cannot read and continues with
the next, and ignores unknown fields. Adding a field keeps the number of the schema; changing
or removing one makes the next number. Rule ids are permanent: never renumbered, never
reused. Except for times, and for the order of tests when several workers run them, the same
seed gives the same lines.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, Literal

import msgspec

from harness.evidence.files import LARGEST, BadFile, opened
from harness.rules import RULES

SCHEMA = 1
FILE_NAME = "results.jsonl"

Outcome = Literal["passed", "failed", "deviation", "unsupported", "skipped", "inconclusive"]
RED: frozenset[Outcome] = frozenset({"failed", "inconclusive"})


class BadResults(Exception):
    """A file of results that cannot be read; the message is one line."""


class Headless(BadResults):
    """A file that does not begin with a run: killed before collection ended, or damaged."""


class Wanted(msgspec.Struct, frozen=True, omit_defaults=True):
    """A frame that was expected: ``length`` bytes.

    They are the first of packet ``packet`` (from 1) of the test's capture, or, where none
    that was sent begins so, ``hex``.
    """

    length: int
    packet: int = 0
    hex: str = ""


class Exchange(msgspec.Struct, frozen=True):
    """Frames sent, and what was expected to arrive, as packets of the test's capture.

    The packets are ``first`` to ``last`` (from 1; ``last`` is less if there are none); those
    after it up to ``control`` are the control broadcast that proved a silent LAN alive.
    ``ports`` are those that the test watched (a LAN may have more); ``expected`` names some of
    them, and every other one was to receive nothing. ``held`` is the run's own verdict.
    ``strays``: a unicast at a port that the test did not watch counts too.
    """

    first: int
    last: int
    control: int
    view: Literal["wire", "host"]
    ports: Sequence[str]
    expected: Mapping[str, Sequence[Wanted]]
    held: bool
    strays: bool = True


class Difference(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a delivery differed at one port, as ``harness.differences`` classifies it.

    ``what`` is the kind of frame: unicast, multicast, broadcast or runt. ``rule`` is the one
    that such a difference breaks. ``packet`` shows it (0: none does), ``sent`` is the frame as
    it was sent (0: it was not): numbers of packets in the capture, from 1.
    """

    kind: str
    port: str
    text: str
    what: str = ""
    rule: str = ""
    packet: int = 0
    sent: int = 0

    def __str__(self) -> str:
        return f"{self.port}: {self.kind}: {self.text}"


class Source(msgspec.Struct, frozen=True):
    """Where compared frames stand in the capture.

    They are those that ``port`` passed up among the first ``packets`` packets, without the
    ``first`` oldest of them.
    """

    port: str
    first: int
    packets: int


class Compared(msgspec.Struct, frozen=True, omit_defaults=True):
    """Two values that a test compared: ``what`` names them, ``held`` is the run's verdict.

    They were to be the same (or different: ``relation``). Bytes are ``{"hex": ...}``, fields of
    a structure stand under their names, with ``is`` for its class. Of a long value there are
    the ``length``, the ``sha256`` and the start.
    """

    what: str
    expected: Any
    received: Any
    held: bool
    relation: Literal["same", "different"] = "same"
    source: Source | None = None


class Capture(msgspec.Struct, frozen=True):
    """A test's capture: its path below the directory of the results, and what it held."""

    path: str
    packets: int
    sha256: str


class OwnRule(msgspec.Struct, frozen=True):
    """A rule that the project under test defines."""

    id: str
    text: str
    source: str = ""


class Run(msgspec.Struct, frozen=True, tag="run", tag_field="kind"):
    """How a run began.

    ``rules`` is the hash of the rule table; ``lans`` has each LAN's version; ``options`` are
    those that decide what is tested, seeds included, and ``repeat`` the same as arguments of
    pytest; ``collected`` the node ids of all tests that were to run; ``shard`` is K/N or "".
    ``specs`` is what ``--lan`` was given for a LAN, where that is not its name; ``own_rules``
    are rules of the project under test. ``program`` started it: pytest, or lguest-harness run.
    ``lan_files`` is the text of each LAN file.
    """

    schema: int
    harness: str
    rules: str
    lans: Mapping[str, str]
    options: Mapping[str, str]
    repeat: Sequence[str]
    shard: str
    collected: Sequence[str]
    machine: str
    started: str
    specs: Mapping[str, str] = {}
    own_rules: Sequence[OwnRule] = ()
    program: str = "pytest"
    lan_files: Mapping[str, str] = {}


class Result(msgspec.Struct, frozen=True, tag="test", tag_field="kind"):
    """How a test ended.

    ``reason`` is one line, ``details`` all lines of a failure (``told`` in the file).
    ``ending`` is what went wrong after the verdict, when everything was released. ``settled``
    says how it was known that nothing more would arrive. ``ports`` has the address of each
    port. ``version`` is that of a user's LAN: the run's first line is written before it starts.
    ``differences`` are what was wrong with deliveries, the first ones if they are many.
    ``compared`` are the values that the test compared; ``compared_more`` counts further ones,
    which were the same.
    """

    id: str
    rules: Sequence[str]
    lan: str | None
    outcome: Outcome
    reason: str = ""
    details: Sequence[str] = msgspec.field(default=(), name="told")
    ending: str = ""
    doc: str = ""
    settled: str = ""
    version: str = ""
    ports: Mapping[str, str] = {}
    exchanges: Sequence[Exchange] = ()
    capture: Capture | None = None
    seconds: float = 0.0
    applies: bool = True
    differences: Sequence[Difference] = ()
    compared: Sequence[Compared] = ()
    compared_more: int = 0


class End(msgspec.Struct, frozen=True, tag="end", tag_field="kind"):
    """How a run ended: how many tests had each outcome, and pytest's exit code."""

    outcomes: Mapping[str, int]
    exit_code: int
    seconds: float


Line = Run | Result | End

_DECODER: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


class Results(msgspec.Struct, frozen=True):
    """A file of results; ``problems`` has a line for everything wrong with it."""

    path: Path
    run: Run
    tests: Sequence[Result]
    end: End | None
    problems: Sequence[str]

    def unfinished(self) -> list[str]:
        """The tests that were collected and never reported."""
        done = {test.id for test in self.tests}
        return [test for test in self.run.collected if test not in done]


def line(of: Line) -> bytes:
    """One line of a file, its end included."""
    return msgspec.json.encode(of) + b"\n"


def parse(text: bytes) -> Line:
    """A line, decoded; ValueError if it is not one."""
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def rules_hash() -> str:
    """A hash of the rule table: results with different tables cannot be compared."""
    table = repr([astuple(rule) for rule in RULES.values()])
    return hashlib.sha256(table.encode()).hexdigest()


def wanted(frame: bytes, sent: Mapping[int, bytes]) -> Wanted:
    """A frame as the packet, of those ``sent`` by number, that it is, or is the start of."""
    for number, whole in sent.items():
        if whole.startswith(frame):
            return Wanted(len(frame), number)
    return Wanted(len(frame), hex=frame.hex())


def read(path: Path, most: int = LARGEST) -> Results:
    """Read a file of at most ``most`` bytes, or the one in a folder.

    BadResults if it cannot be opened, Headless if it does not begin with a run.
    """
    try:
        path = path / FILE_NAME if path.is_dir() else path
        with opened(path, most) as file:
            return _read(path, file)
    except BadFile as error:
        raise BadResults(str(error)) from None
    except OSError as error:
        raise BadResults(f"{path}: {error.strerror}") from None


def _read(path: Path, lines: Iterable[bytes]) -> Results:
    problems: list[str] = []
    decoded = _decoded(path, lines, problems)
    run = next(decoded, None)
    if not isinstance(run, Run):
        first = problems[0] if problems else f"{path}:1: a run's first line is missing"
        raise Headless(first)
    if run.schema != SCHEMA:
        raise BadResults(f"{path}:1: unknown schema {run.schema}; this version reads {SCHEMA}")
    tests: dict[str, Result] = {}
    end: End | None = None
    for following in decoded:
        if isinstance(following, Result):
            if following.id in tests:
                problems.append(f"{path}: {following.id} is reported twice")
            tests[following.id] = following
        elif isinstance(following, End):
            end = following
        else:
            problems.append(f"{path}: a second run in one file")
    collected = set(run.collected)
    strays = [test for test in tests if test not in collected]
    problems += [f"{path}: {stray} is reported, but was not collected" for stray in strays]
    if end is not None:
        problems += [
            f"{path}: {contradiction}"
            for contradiction in _contradictions(end, list(tests.values()))
        ]
    return Results(path, run, list(tests.values()), end, problems)


def _contradictions(end: End, tests: Sequence[Result]) -> Iterator[str]:
    """Where the end of a run contradicts its tests."""
    counted = Counter[str](test.outcome for test in tests)
    for word in sorted({*counted, *end.outcomes}):
        stated = end.outcomes.get(word, 0)
        if stated != counted[word]:
            yield f"the run's last line counts {stated} {word}, but {counted[word]} are readable"
    red = any(test.outcome in RED for test in tests)
    # pytest ends with 5 where nothing was collected: an empty share has no verdict.
    if end.exit_code not in (0, 1, 5) or (end.exit_code == 1 and not red):
        yield f"the run ended with exit code {end.exit_code}, for a reason other than its tests"
    elif end.exit_code == 0 and red:
        yield "the run ended with exit code 0, but some of its tests are red"


def _decoded(path: Path, lines: Iterable[bytes], problems: list[str]) -> Iterator[Line]:
    for number, text in enumerate(lines, start=1):
        if not text.strip(b"\n"):
            continue
        try:
            yield parse(text)
        except ValueError as error:
            problems.append(f"{path}:{number}: not a line of results: {error}")
