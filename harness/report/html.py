"""``index.html``: a run, or several as one, to read in a browser; one file, no network."""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from harness.evidence.merge import Runs, Test
from harness.evidence.results import RED, Outcome
from harness.report.details import Detail, detail
from harness.report.matrix import WORDS
from harness.rules import RULES, Rule

FILE_NAME = "index.html"

SIGNS: Mapping[Outcome, str] = {
    "failed": "✗",
    "inconclusive": "?",
    "deviation": "≠",
    "unsupported": "—",
    "skipped": "○",
    "passed": "✓",
}
"""What stands for an outcome where there is no room for its word."""

MOST_OPEN = 50
"""Failures that are open at first: nobody reads more at once."""

SETTLED = {
    "barrier": "a barrier: the simulated LAN has nothing in flight",
    "fence": "a fence: a marked broadcast that every port saw after the test's frames",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A rule on a LAN: the word to see first, and how many tests ended in each."""

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


def write(runs: Runs, folder: Path) -> Path:
    """Write the report into a folder; its captures lie below that folder, or are linked."""
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    tests = sorted(runs.tests, key=lambda each: each.result.outcome not in RED)
    lans = _versions(runs)
    lines = [_line(number, each) for number, each in enumerate(tests)]
    one = environment.get_template("detail.html.j2")
    shown = [one.render(detail=_detail(test, folder), signs=SIGNS) for test in tests]
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
    target.write_text(page, encoding="utf-8")
    return target


def verdict(runs: Runs) -> str:
    """A run in a sentence."""
    counts = Counter(test.result.outcome for test in runs.tests)
    lans = _lans(runs.tests)
    on = f" on {', '.join(lans)}" if lans else ""
    told = [f"{counts[word]:,} {_PLURAL[word]}" for word in WORDS if counts[word]]
    if runs.unfinished:
        told.append(f"{len(runs.unfinished):,} not run to their end")
    listed = ", ".join(told) or "no test ran"
    how = mood(runs)
    if how == "bad":
        return f"Not every frame was delivered as the rules ask{on}: {listed}."
    if how == "open":
        whole = not runs.unfinished and not runs.problems
        why = "no test passed" if whole else "this run is not whole"
        return f"No verdict: {why}{on}: {listed}."
    but = ", but for known deviations," if counts["deviation"] else ""
    return f"Every frame was delivered as the rules ask{but}{on}: {listed}."


def mood(runs: Runs) -> str:
    """How the verdict looks: good, bad, or open."""
    if any(test.result.outcome in RED for test in runs.tests):
        return "bad"
    passed = any(test.result.outcome == "passed" for test in runs.tests)
    return "good" if passed and not runs.unfinished and not runs.problems else "open"


def _versions(runs: Runs) -> dict[str, str]:
    """Each LAN that was tested, with its versions."""
    found: dict[str, dict[str, None]] = {lan: {} for lan in _lans(runs.tests)}
    for each in runs.runs:
        for lan, version in each.run.lans.items():
            if lan in found and version:
                found[lan][version] = None
    for test in runs.tests:
        if test.result.lan is not None and test.result.version:
            found[test.result.lan][test.result.version] = None
    return {lan: ", ".join(versions) for lan, versions in found.items()}


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


def _detail(test: Test, folder: Path) -> Detail:
    link = ""
    if test.result.capture is not None:
        path = test.folder / test.result.capture.path
        near = path.relative_to(folder) if path.is_relative_to(folder) else path.absolute()
        link = quote(near.as_posix())
    return detail(test.result, test.folder, link, test.repeat)


def _counts(outcomes: Iterable[Outcome]) -> list[tuple[Outcome, int]]:
    counted = Counter(outcomes)
    return [(word, counted[word]) for word in WORDS if counted[word]]


def _lans(tests: Sequence[Test]) -> list[str]:
    return list(dict.fromkeys(test.result.lan for test in tests if test.result.lan is not None))


def _matrix(tests: Sequence[Test], lans: Sequence[str]) -> list[tuple[Rule, list[Cell | None]]]:
    """A row for each rule that was tested, a cell for each LAN."""
    found: dict[tuple[str, str], list[Test]] = {}
    for test in tests:
        for rule in test.result.rules:
            found.setdefault((rule, test.result.lan or ""), []).append(test)
    rows = [
        (rule, [_cell(rule.id, lan, found.get((rule.id, lan), [])) for lan in lans])
        for rule in RULES.values()
    ]
    return [(rule, cells) for rule, cells in rows if any(cells)]


def _cell(rule: str, lan: str, tests: Sequence[Test]) -> Cell | None:
    if not tests:
        return None
    counts = _counts(test.result.outcome for test in tests)
    reasons = dict.fromkeys(test.result.reason for test in tests if test.result.reason)
    return Cell(rule, lan, counts[0][0], tuple(counts), tuple(reasons)[:4])


def _reasons(tests: Sequence[Test]) -> list[tuple[Outcome, str, str, int]]:
    """Why tests deviated, or did not run: (word, LAN, reason, how many)."""
    counted = Counter(
        (test.result.outcome, test.result.lan or "", test.result.reason)
        for test in tests
        if test.result.outcome in ("deviation", "unsupported", "skipped")
    )
    return [(*key, count) for key, count in counted.items()]


def _settled(tests: Sequence[Test]) -> list[tuple[str, list[str]]]:
    """How it was known that nothing more would come, and on which LANs."""
    found: dict[str, dict[str, None]] = {}
    for test in tests:
        if test.result.settled and test.result.lan:
            told = SETTLED.get(test.result.settled, test.result.settled)
            found.setdefault(told, {})[test.result.lan] = None
    return [(told, list(lans)) for told, lans in found.items()]


def _packed(shown: Sequence[str]) -> str:
    """All details, compressed: they repeat each other, and most are never looked at."""
    return base64.b64encode(gzip.compress(json.dumps(shown).encode(), 6, mtime=0)).decode()
