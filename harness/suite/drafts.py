"""Drafts a deviations file from a run of the suite on a LAN.

Every test runs as if no deviation was known. A test that fails on what its rule says is
listed: under the entry that has it already, else under a new one that has no reason yet.
A test that gave no verdict (inconclusive, an error), or that needs a feature the LAN
declares to lack, is never listed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harness.deviations import Deviation, test_name
from harness.evidence.results import RED
from harness.plugin import writer
from harness.registry import Entry
from harness.suite.run import FAILS_BY_VERDICT, message_of, run_quietly

TO_FILL_IN = """\
# A draft. Fill in each empty `reason` from the LAN's source or documentation. `evidence` is
# what was observed; explain it. `versions` may be shortened to the part that matters.
"""

_LONGEST_LINE = 80


@dataclass(frozen=True, slots=True)
class Failure:
    """A test that failed on what its rule says, and the first line of what was observed."""

    test: str
    rules: tuple[str, ...]
    observed: str


@dataclass(slots=True)
class Run:
    """A run of the suite on one LAN, as a pytest plugin.

    ``others`` are tests that no entry may name, as they did not fail on what their rule
    says; ``unclear`` those of them that gave no verdict, with the reason.
    """

    lan: Entry
    failures: list[Failure] = field(default_factory=list)
    others: set[str] = field(default_factory=set)
    unclear: dict[str, str] = field(default_factory=dict)
    _asserted: set[str] = field(default_factory=set)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and message_of(report).startswith(FAILS_BY_VERDICT):
            self._asserted.add(report.nodeid)
        result = writer.result_of(report)
        if result is None or result.lan != self.lan.name:
            return
        test = test_name(result.id, self.lan.name)
        if result.outcome == "failed" and result.id in self._asserted:
            self.failures.append(Failure(test, tuple(result.rules), result.reason))
        elif result.outcome in ("passed", *RED):
            self.others.add(test)
            if result.outcome in RED:
                self.unclear[test] = result.reason or "no reason given"


def run(lan: Entry) -> Run:
    """Run the suite on a LAN; SuiteError if that cannot be done."""
    observed = Run(lan)
    given = lan.spec if lan.spec == lan.name else f"{lan.name}={lan.spec}"
    with tempfile.NamedTemporaryFile(suffix=".toml") as none_known:
        ignoring = ["--deviations", none_known.name]
        more = ["--no-captures", "--tb=line", "-n", "0"]
        run_quietly(["--lan", given, *ignoring, *more], observed, [0, 1])
    return observed


def entries(observed: Run, known: Iterable[Deviation]) -> list[Deviation]:
    """What a run showed: known entries that still hold, then new ones without a reason."""
    version = observed.lan.version()
    left = list(observed.failures)
    made: list[Deviation] = []
    for entry in known:
        covered = [failure for failure in left if _belongs(failure, entry)]
        left = [failure for failure in left if failure not in covered]
        if covered or entry.sometimes:
            names = _names(covered, observed)
            if entry.sometimes or set(names) == set(entry.tests):
                names = entry.tests
            versions = entry.versions
            if not entry.holds(version):
                versions = (*versions, version)
            made.append(replace(entry, tests=names, versions=versions))
    for rule in dict.fromkeys(failure.rules[0] for failure in left):
        failures = [failure for failure in left if failure.rules[0] == rule]
        versions = (version,) if version else ()
        made.append(Deviation(rule, "", failures[0].observed, _names(failures, observed), versions))
    return made


def _belongs(failure: Failure, entry: Deviation) -> bool:
    """Whether a known entry covers a failure; one without a reason takes all of its rule."""
    unexplained = not entry.reason and entry.rule == failure.rules[0]
    return unexplained or entry.covers(failure.rules, failure.test)


def _names(failures: Sequence[Failure], observed: Run) -> tuple[str, ...]:
    """A test's name alone if all of its parameters are among these failures."""
    here = {failure.test for failure in failures}
    elsewhere = observed.others | {failure.test for failure in observed.failures} - here
    partly = {test.partition("[")[0] for test in elsewhere}
    names = ((failure.test.partition("[")[0], failure.test) for failure in failures)
    return tuple(dict.fromkeys(full if short in partly else short for short, full in names))


def text(lan: Entry, deviations: Sequence[Deviation], head: str = "") -> str:
    """The entries as a deviations file; ``head`` are comments to begin with."""
    version = lan.version()
    lines = [head or f"# Where {lan.name} deviates{f' ({version})' if version else ''}.\n"]
    if any(not entry.reason for entry in deviations):
        lines.append(TO_FILL_IN)
    for entry in deviations:
        strings = {key: _string(getattr(entry, key)) for key in ("rule", "reason", "evidence")}
        lists = {key: _list(getattr(entry, key)) for key in ("tests", "versions")}
        pairs = [f"{key} = {value}\n" for key, value in (strings | lists).items() if value]
        pairs += ["sometimes = true\n"] if entry.sometimes else []
        lines += ["\n[[deviation]]\n", *pairs]
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
    strings = [_string(value) for value in values]
    line = f"[{', '.join(strings)}]" if strings else ""
    if len(strings) < 2 or len(line) < _LONGEST_LINE:
        return line
    return "".join(["[\n", *(f"    {string},\n" for string in strings), "]"])
