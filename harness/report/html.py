"""``index.html``: the report of a run, or of several as one; one file, no network access."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from harness.evidence.files import LARGEST
from harness.evidence.judge import BadEvidence, capture_path
from harness.evidence.merge import Runs, Test
from harness.evidence.own_folder import replace
from harness.evidence.results import RED, Outcome
from harness.report.details import Detail, detail
from harness.report.matrix import WORDS
from harness.rules import RULES, Rule

FILE_NAME = "index.html"

OURS = b"LAN conformance</title>"
"""What every report begins with; a page of the user does not have it."""

SIGNS: Mapping[Outcome, str] = {
    "failed": "✗",
    "inconclusive": "?",
    "deviation": "≠",
    "unsupported": "—",
    "skipped": "○",
    "passed": "✓",
}
"""The sign of an outcome, where there is no room for its name."""

MOST_OPEN = 50
"""Failures that are expanded when the page opens."""

SETTLED = {
    "barrier": "barrier: the simulated LAN has nothing in flight",
    "fence": "fence: every port received a marked broadcast after the frames of the test",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A rule on a LAN: the most urgent outcome, and how many tests had each."""

    rule: str
    lan: str
    word: Outcome
    counts: tuple[tuple[Outcome, int], ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A test in the list."""

    number: int
    test: Test
    title: str
    parameters: str
    opened: bool


def write(runs: Runs, folder: Path, most: int = LARGEST) -> Path:
    """Write the report into a folder; its captures lie below that folder, or are linked.

    OSError if it cannot be written, or a page of the user is there.
    """
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    tests = sorted(runs.tests, key=lambda test: test.result.outcome not in RED)
    lans = _versions(runs)
    lines = [_line(number, test) for number, test in enumerate(tests)]
    one = environment.get_template("detail.html.j2")
    shown = [one.render(detail=_detail(test, folder, most), signs=SIGNS) for test in tests]
    page = environment.get_template("report.html.j2").render(
        runs=runs,
        verdict=verdict(runs),
        mood=mood(runs),
        counts=_counts(test.result.outcome for test in tests),
        lans=lans,
        parts=_matrix(tests, list(lans)),
        reasons=_reasons(tests),
        settled=_settled(tests),
        lines=lines,
        details=_packed(shown),
        signs=SIGNS,
        words=WORDS,
        red=RED,
    )
    target = folder / FILE_NAME
    replace(target, page.encode("utf-8", "backslashreplace"), OURS)
    return target


def verdict(runs: Runs) -> str:
    """The verdict on a run, in one line."""
    counts = Counter(test.result.outcome for test in runs.tests)
    lans = _lans(runs.tests)
    on = f" on {', '.join(lans)}" if lans else ""
    counted = [f"{counts[word]:,} {_PLURAL[word]}" for word in WORDS if counts[word]]
    if runs.unfinished:
        counted.append(f"{len(runs.unfinished):,} unfinished")
    listed = ", ".join(counted) or "no test ran"
    word = {"bad": "FAILED", "open": "NO VERDICT", "good": "PASSED"}[mood(runs)]
    why = ""
    if word == "NO VERDICT":
        complete = not runs.unfinished and not runs.problems
        why = " (no test passed)" if complete else " (the run is incomplete)"
    return f"{word}{on}: {listed}{why}"


def mood(runs: Runs) -> str:
    """The verdict: good, bad, or open."""
    if any(test.result.outcome in RED for test in runs.tests):
        return "bad"
    passed = any(test.result.outcome == "passed" for test in runs.tests)
    return "good" if passed and not runs.unfinished and not runs.problems else "open"


def _versions(runs: Runs) -> dict[str, str]:
    """Each LAN that was tested, with its versions."""
    by_lan: dict[str, dict[str, None]] = {lan: {} for lan in _lans(runs.tests)}
    for results in runs.runs:
        for lan, version in results.run.lans.items():
            if lan in by_lan and version:
                by_lan[lan][version] = None
    for test in runs.tests:
        if test.result.lan is not None and test.result.version:
            by_lan[test.result.lan][test.result.version] = None
    return {lan: ", ".join(versions) for lan, versions in by_lan.items()}


_PLURAL: Mapping[Outcome, str] = {
    "failed": "failed",
    "inconclusive": "inconclusive",
    "deviation": "known deviations",
    "unsupported": "unsupported",
    "skipped": "skipped",
    "passed": "passed",
}


def _line(number: int, test: Test) -> Line:
    path, _, rest = test.result.id.rpartition("::")
    name, _, parameters = (rest or path).partition("[")
    lan = test.result.lan or ""
    shown = parameters.removesuffix("]").removeprefix(lan).removeprefix("-")
    title = name.removeprefix("test_").replace("_", " ")
    return Line(number, test, title, shown, test.result.outcome in RED and number < MOST_OPEN)


def _detail(test: Test, folder: Path, most: int) -> Detail:
    link = ""
    if test.result.capture is not None:
        with contextlib.suppress(BadEvidence):
            path = capture_path(test.result.capture, test.folder)
            near = path.relative_to(folder) if path.is_relative_to(folder) else path.absolute()
            link = quote(near.as_posix(), errors="surrogateescape")
    return detail(test.result, test.folder, link, test.repeat, most)


def _counts(outcomes: Iterable[Outcome]) -> list[tuple[Outcome, int]]:
    counted = Counter(outcomes)
    return [(word, counted[word]) for word in WORDS if counted[word]]


def _lans(tests: Sequence[Test]) -> list[str]:
    return list(dict.fromkeys(test.result.lan for test in tests if test.result.lan is not None))


def _matrix(tests: Sequence[Test], lans: Sequence[str]) -> list[tuple[Rule, list[Cell | None]]]:
    """A row for each rule that was tested, a cell for each LAN."""
    cells: dict[tuple[str, str], list[Test]] = {}
    for test in tests:
        for rule in test.result.rules:
            cells.setdefault((rule, test.result.lan or ""), []).append(test)
    rows = [
        (rule, [_cell(rule.id, lan, cells.get((rule.id, lan), [])) for lan in lans])
        for rule in RULES.values()
    ]
    return [(rule, row) for rule, row in rows if any(row)]


def _cell(rule: str, lan: str, tests: Sequence[Test]) -> Cell | None:
    if not tests:
        return None
    counts = _counts(test.result.outcome for test in tests)
    reasons = dict.fromkeys(test.result.reason for test in tests if test.result.reason)
    return Cell(rule, lan, counts[0][0], tuple(counts), tuple(reasons)[:4])


def _reasons(tests: Sequence[Test]) -> list[tuple[Outcome, str, str, int]]:
    """Why tests deviated, or did not run: (outcome, LAN, reason, how many)."""
    counted = Counter(
        (test.result.outcome, test.result.lan or "", test.result.reason)
        for test in tests
        if test.result.outcome in ("deviation", "unsupported", "skipped")
    )
    return [(*key, count) for key, count in counted.items()]


def _settled(tests: Sequence[Test]) -> list[tuple[str, list[str]]]:
    """How it was known that nothing more would arrive, and on which LANs."""
    lans: dict[str, dict[str, None]] = {}
    for test in tests:
        if test.result.settled and test.result.lan:
            how = SETTLED.get(test.result.settled, test.result.settled)
            lans.setdefault(how, {})[test.result.lan] = None
    return [(how, list(names)) for how, names in lans.items()]


def _packed(shown: Sequence[str]) -> str:
    """All details, compressed: they repeat each other, and most are never opened."""
    return base64.b64encode(gzip.compress(json.dumps(shown).encode(), 6, mtime=0)).decode()
