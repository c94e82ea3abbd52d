"""Drafts a deviations file from a run of the suite on a LAN.

Every test runs as if nothing was known of the LAN. What fails on what its rule says is
listed: under the entry that has it already, else under a new one that has no reason yet.
A test that gave no verdict (inconclusive, an error) or that the LAN has declared not to
support is never listed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harness import registry
from harness.deviations import Deviation, test_name
from harness.evidence.results import RED
from harness.plugin import writer
from harness.suite.coverage import run_suite

TO_FILL_IN = """\
# A draft: each empty `reason` is to be filled in by a person, from the LAN's source or
# documentation, and what stands in `evidence` is what was observed, to be explained.
# `versions` may be shortened to the part that matters.
"""

_LONGEST_LINE = 80
_ASSERTED = ("assert", "AssertionError")


@dataclass(frozen=True, slots=True)
class Shown:
    """A test that failed on what its rule says, and the first line of what was observed."""

    test: str
    rules: tuple[str, ...]
    observed: str


@dataclass(slots=True)
class Run:
    """A run of the suite on one LAN, as a pytest plugin.

    ``others`` are tests that may not be named by an entry, as they did not fail on what
    their rule says; ``unclear`` those of them that gave no verdict, with their words.
    """

    lan: str
    shown: list[Shown] = field(default_factory=list)
    others: set[str] = field(default_factory=set)
    unclear: dict[str, str] = field(default_factory=dict)
    _asserted: set[str] = field(default_factory=set)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        crash = getattr(report.longrepr, "reprcrash", None)
        if report.when == "call" and crash is not None and crash.message.startswith(_ASSERTED):
            self._asserted.add(report.nodeid)
        result = writer.result_of(report)
        if result is None or result.lan != self.lan:
            return
        test = test_name(result.id, self.lan)
        if result.outcome == "failed" and result.id in self._asserted:
            self.shown.append(Shown(test, tuple(result.rules), result.reason))
        elif result.outcome in ("passed", *RED):
            self.others.add(test)
            if result.outcome in RED:
                self.unclear[test] = result.reason or "it said nothing"


def run(lan: str) -> Run:
    """Run the suite on a LAN; SuiteError if that cannot be done."""
    found = Run(lan)
    ignoring = ["--deviations", os.devnull]
    arguments = ["--lan", lan, *ignoring, "--no-captures", "--tb=line", "-n", "0"]
    run_suite(arguments, found, [0, 1])
    return found


def entries(found: Run, known: Iterable[Deviation]) -> list[Deviation]:
    """What a run showed: known entries that still hold, then new ones without a reason."""
    version = registry.version(found.lan)
    left = list(found.shown)
    made: list[Deviation] = []
    for entry in known:
        mine = [each for each in left if entry.covers(each.rules, each.test)]
        left = [each for each in left if each not in mine]
        if mine:
            names = _names(mine, found.others)
            if set(names) == set(entry.tests):
                names = entry.tests
            versions = entry.versions
            if not entry.holds(version):
                versions = (*versions, version)
            made.append(replace(entry, tests=names, versions=versions))
    for rule in dict.fromkeys(each.rules[0] for each in left):
        mine = [each for each in left if each.rules[0] == rule]
        versions = (version,) if version else ()
        made.append(Deviation(rule, "", mine[0].observed, _names(mine, found.others), versions))
    return made


def _names(shown: Sequence[Shown], others: set[str]) -> tuple[str, ...]:
    """A test's name alone if it failed with all of its parameters."""
    whole = {test.partition("[")[0] for test in others}
    names = ((each.test.partition("[")[0], each.test) for each in shown)
    return tuple(dict.fromkeys(full if short in whole else short for short, full in names))


def text(lan: str, made: Sequence[Deviation], head: str = "") -> str:
    """The entries as a deviations file; ``head`` are comments to begin with."""
    version = registry.version(lan)
    lines = [head or f"# Where {lan} does otherwise{f' ({version})' if version else ''}.\n"]
    if any(not each.reason for each in made):
        lines.append(TO_FILL_IN)
    for each in made:
        words = {word: _string(getattr(each, word)) for word in ("rule", "reason", "evidence")}
        lists = {word: _list(getattr(each, word)) for word in ("tests", "versions")}
        told = [f"{word} = {value}\n" for word, value in (words | lists).items() if value]
        lines += ["\n[[deviation]]\n", *told]
    return "".join(lines)


def head_of(path: Path) -> str:
    """The comments that a deviations file begins with."""
    lines = path.read_text().splitlines(keepends=True)
    kept = next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return "".join(lines[:kept]).replace(TO_FILL_IN, "")


def _string(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _list(values: Sequence[str]) -> str:
    """Nothing, in a line where that is not too long, or one each."""
    told = [_string(value) for value in values]
    line = f"[{', '.join(told)}]" if told else ""
    if len(told) < 2 or len(line) < _LONGEST_LINE:
        return line
    return "".join(["[\n", *(f"    {each},\n" for each in told), "]"])
