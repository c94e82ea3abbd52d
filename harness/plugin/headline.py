"""How many rules a run has judged, per LAN; a run that judged little is no success."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from harness.evidence.results import Outcome, Result
from harness.evidence.text import visible
from harness.plugin import writer

JUDGED: frozenset[Outcome] = frozenset({"passed", "failed", "deviation"})
"""Outcomes in which a rule was judged."""

ENOUGH = 2
"""A run is no success if fewer than one in ``ENOUGH`` of the rules that apply was judged."""


class Headline:
    """Counts the rules that were judged, and speaks at the end of the run."""

    def __init__(self, *, allow_unsupported: bool) -> None:
        self._allow_unsupported = allow_unsupported
        self._rules: dict[str, dict[str, set[Outcome]]] = {}
        """LAN to rule to the outcomes of its tests."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        result = writer.result_of(report)
        if result is not None:
            self.add(result)

    def add(self, result: Result) -> None:
        """Count a test."""
        if result.lan is not None and result.applies:
            rules = self._rules.setdefault(result.lan, {})
            for rule in result.rules:
                rules.setdefault(rule, set()).add(result.outcome)

    def lines(self) -> Iterator[str]:
        """A line per LAN."""
        for lan, rules in self._rules.items():
            judged = _judged(rules)
            words = [outcomes for outcomes in rules.values() if outcomes & JUDGED]
            passed = sum(outcomes <= {"passed", "unsupported"} for outcomes in words)
            failed = sum("failed" in outcomes for outcomes in rules.values())
            deviating = sum("deviation" in outcomes for outcomes in rules.values())
            undecided = sum("inconclusive" in outcomes for outcomes in rules.values())
            counts = [f"{passed} passed", f"{failed} failed"]
            counts += [f"{deviating} with deviations"] if deviating else []
            counts += [f"{undecided} inconclusive"] if undecided else []
            yield f"{visible(lan)}: judged {judged} of {len(rules)} rules: {', '.join(counts)}"

    def thin(self) -> list[str]:
        """LANs of which too few rules were judged."""
        return [lan for lan, rules in self._rules.items() if _judged(rules) * ENOUGH < len(rules)]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.exitstatus == 0 and self.thin() and not self._allow_unsupported:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in self.lines():
            terminalreporter.write_line(line)
        for lan in [] if self._allow_unsupported else self.thin():
            terminalreporter.write_line(
                f"{visible(lan)}: most rules that apply could not be judged, so this run is no"
                " success (--allow-unsupported accepts it)",
                red=True,
            )


def _judged(rules: Mapping[str, set[Outcome]]) -> int:
    return sum(bool(outcomes & JUDGED) for outcomes in rules.values())
