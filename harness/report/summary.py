"""A run in Markdown: the verdict, rules by LAN, and what failed; for the page of a CI job."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.evidence.answer import Answer
from harness.evidence.files import LARGEST
from harness.evidence.merge import Runs, Test, load
from harness.evidence.results import RED, BadResults
from harness.report import verdict
from harness.report.matrix import plain, table

VARIABLE = "GITHUB_STEP_SUMMARY"
"""The environment variable that names the file of a CI's summary."""

MOST_BYTES = 1024 * 1024
"""The limit of a CI for one step; of more it shows nothing."""

LONGEST_REASON = 400
"""Characters of a reason; the report has the rest."""

RESERVED = 200
"""Bytes that are kept for the line that says what was left out."""


def markdown(runs: Runs, room: int = MOST_BYTES) -> str:
    """The summary, in at most ``room`` bytes of UTF-8; what is left out is counted."""
    lines = list(_lines(runs))
    kept: list[str] = []
    size = 0
    for number, line in enumerate(lines):
        size += len(line.encode()) + 1
        if size > room - RESERVED:
            left = sum(bool(rest) for rest in lines[number:])
            kept += ["", f"{left} more lines do not fit here; the report has all."]
            break
        kept.append(line)
    text = "\n".join(kept) + "\n"
    return text if len(text.encode()) <= room else ""


def _lines(runs: Runs) -> Iterator[str]:
    yield f"### {plain(verdict.line(runs))}"
    yield ""
    if runs.problems:
        yield from (f"- {plain(problem)}" for problem in runs.problems)
        yield ""
    bad = [test for test in runs.tests if test.result.outcome in RED]
    if bad:
        yield "| test | verdict | reason | capture |"
        yield "|---|---|---|---|"
        yield from map(_row, bad)
        yield ""
    if runs.unfinished:
        yield "Unfinished:"
        yield ""
        yield from (f"- {plain(test)}" for test in runs.unfinished)
        yield ""
    yield from table(test.result for test in runs.tests)


def _row(test: Test) -> str:
    result = test.result
    reason = result.reason[:LONGEST_REASON] + "..." * (len(result.reason) > LONGEST_REASON)
    capture = result.capture.path if result.capture else ""
    return f"| {' | '.join(map(plain, (result.id, result.outcome, reason, capture)))} |"


def add(runs: Runs) -> str:
    """Append the summary to the file that the environment names, if it names one.

    Returns why that failed, or "". Others may have written there before: the limit is for all.
    """
    name = os.environ.get(VARIABLE)
    if not name:
        return ""
    try:
        with Path(name).open("ab") as file:
            # A file in append mode may report position 0 before the first seek.
            file.write(markdown(runs, MOST_BYTES - file.seek(0, os.SEEK_END)).encode())
    except OSError as error:
        return f"{VARIABLE}: {name}: {error.strerror}"
    return ""


def matrix(paths: Sequence[Path], most: int = LARGEST) -> Answer:
    """Rules by LAN of these runs; code 2 if one cannot be read."""
    try:
        runs = load(paths, most)
    except BadResults as error:
        return Answer((), (str(error),), 2)
    return Answer(tuple(table(test.result for test in runs.tests)), runs.problems, 0)
