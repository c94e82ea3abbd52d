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
from harness.evidence.groups import Group, groups
from harness.evidence.judge import BadEvidence, capture_path
from harness.evidence.merge import Runs, Test
from harness.evidence.own_folder import replace
from harness.evidence.results import RED, Outcome
from harness.report import against, archive, lan_pages, verdict
from harness.report.details import Detail, detail
from harness.report.matrix import WORDS
from harness.report.rows import parts

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

MOST_WHOLE = 100
"""Red tests whose packets are shown with all fields and bytes, besides one for each cause."""

MOST_OPEN = 5
"""Causes whose first test is expanded when the page opens."""

SETTLED = {
    "barrier": "barrier: the simulated LAN has nothing in flight",
    "fence": "fence: every port received a marked broadcast after the frames of the test",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A test in the list; ``group`` is the number of its cause from 0, -1 if it is not red."""

    number: int
    test: Test
    title: str
    parameters: str
    group: int


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause of failures; ``first`` is the number of its example in the list."""

    number: int
    group: Group
    first: int
    opened: bool


def write(
    runs: Runs, folder: Path, most: int = LARGEST, older: Sequence[Runs] = (), *, pack: bool = True
) -> Path:
    """Write the report into a folder; its captures lie below that folder, or are linked.

    ``older`` are runs that it is compared with, the latest first. ``pack``: beside it goes an
    archive of all results and captures. OSError if it cannot be written, or a page of the
    user is there.
    """
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    tests = sorted(runs.tests, key=lambda test: test.result.outcome not in RED)
    grouped = groups(test.result for test in tests)
    group_of = {test.id: n for n, group in enumerate(grouped) for test in group.tests}
    numbers = {test.result.id: number for number, test in enumerate(tests)}
    lines = [_line(number, test, group_of) for number, test in enumerate(tests)]
    causes = [
        Cause(n, group, numbers[group.example.id], n < MOST_OPEN) for n, group in enumerate(grouped)
    ]
    firsts = {cause.first for cause in causes}
    past = against.past([runs, *older])
    one = environment.get_template("detail.html.j2")
    shown = [
        one.render(
            detail=_detail(
                test,
                folder,
                past.get(test.result.id, ()),
                whole=test.result.outcome in RED and (number < MOST_WHOLE or number in firsts),
                most=most,
            ),
            signs=SIGNS,
            here=folder.resolve().name,
        )
        for number, test in enumerate(tests)
    ]
    lans = _versions(runs)
    packed = archive.write(runs, folder) if pack else ""
    page = environment.get_template("report.html.j2").render(
        runs=runs,
        verdict=verdict,
        lan_verdicts=verdict.by_lan(runs),
        causes=causes,
        change=against.change(runs, older[0]) if older else None,
        counts=_counts(test.result.outcome for test in tests),
        lans=lans,
        parts=parts(tests, list(lans)),
        reasons=_reasons(tests),
        settled=_settled(tests),
        lines=lines,
        details=_packed(shown),
        archive=packed,
        signs=SIGNS,
        words=WORDS,
        red=RED,
    )
    target = folder / FILE_NAME
    replace(target, page.encode("utf-8", "backslashreplace"), OURS)
    lan_pages.write(environment, runs, folder, lans)
    return target


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


def _line(number: int, test: Test, group_of: Mapping[str, int]) -> Line:
    path, _, rest = test.result.id.rpartition("::")
    name, _, parameters = (rest or path).partition("[")
    lan = test.result.lan or ""
    shown = parameters.removesuffix("]").removeprefix(lan).removeprefix("-")
    title = name.removeprefix("test_").replace("_", " ")
    return Line(number, test, title, shown, group_of.get(test.result.id, -1))


def _detail(
    test: Test, folder: Path, past: Sequence[against.Past], *, whole: bool, most: int
) -> Detail:
    link = path = ""
    if test.result.capture is not None:
        with contextlib.suppress(BadEvidence):
            where = capture_path(test.result.capture, test.folder)
            inside = where.is_relative_to(folder)
            near = where.relative_to(folder) if inside else where.absolute()
            link = quote(near.as_posix(), errors="surrogateescape")
            path = f"{folder.resolve().name}/{near.as_posix()}" if inside else str(near)
    others = [one for one in past if one.run is not test.run.run]
    return detail(
        test.result, test.run.run, test.folder, (link, path), others, whole=whole, most=most
    )


def _counts(outcomes: Iterable[Outcome]) -> list[tuple[Outcome, int]]:
    counted = Counter(outcomes)
    return [(word, counted[word]) for word in WORDS if counted[word]]


def _lans(tests: Sequence[Test]) -> list[str]:
    return list(dict.fromkeys(test.result.lan for test in tests if test.result.lan is not None))


def _reasons(tests: Sequence[Test]) -> list[tuple[Outcome, str, dict[str, int]]]:
    """Why tests deviated, or did not run: (outcome, reason, LAN to how many)."""
    counted: dict[tuple[Outcome, str], dict[str, int]] = {}
    for test in tests:
        result = test.result
        if result.outcome in ("deviation", "unsupported", "skipped"):
            lan = result.lan or ""
            reason = result.reason.removeprefix(f"{lan}: ").removeprefix(f"deviation of {lan} ")
            lans = counted.setdefault((result.outcome, reason), {})
            lans[lan] = lans.get(lan, 0) + 1
    return [(*key, lans) for key, lans in counted.items()]


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
