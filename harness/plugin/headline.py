"""The verdict at the end of a run: failures by cause, and how many rules each LAN passed.

A run that judged few of the rules that apply is no success.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

import pytest

from harness.evidence.groups import Group, crash, groups, some
from harness.evidence.results import RED, Outcome, Result
from harness.evidence.text import visible
from harness.plugin import commands, writer
from harness.plugin.items import LANS_OF_RUN, RULES_OF_RUN
from harness.registry import Entry
from harness.rules import Rule

JUDGED: frozenset[Outcome] = frozenset({"passed", "failed", "deviation"})
"""Outcomes in which a rule was judged."""

ENOUGH = 2
"""A run is no success if fewer than one in ``ENOUGH`` of the rules that apply was judged."""

HEADLINE = "lguest-harness-headline"
"""The name of the plugin that prints the verdict."""

MOST_GROUPS = 12
"""Causes that the terminal lists; the report has all."""

MOST_LINES = 20
"""Red tests that pytest lists one by one; of more, the causes say enough."""


class Headline:
    """Collects the results of a run, and prints its verdict."""

    def __init__(self, config: pytest.Config, *, allow_unsupported: bool) -> None:
        self._config = config
        self._allow_unsupported = allow_unsupported
        self._rules: dict[str, dict[str, set[Outcome]]] = {}
        """LAN to rule to the outcomes of its tests."""
        self._tests: dict[str, list[Result]] = {}
        """LAN to its red tests."""
        self._counts: dict[str, int] = {}
        """LAN to the number of its tests."""
        self._failed: list[pytest.TestReport] = []
        """All reports of failures, while only one for each cause is printed."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        result = writer.result_of(report)
        if result is not None:
            self.add(result)

    def add(self, result: Result) -> None:
        """Count a test."""
        lan = result.lan or ""
        self._counts[lan] = self._counts.get(lan, 0) + 1
        if result.outcome in RED:
            self._tests.setdefault(lan, []).append(result)
        if result.lan is not None and result.applies:
            rules = self._rules.setdefault(result.lan, {})
            for rule in result.rules:
                rules.setdefault(rule, set()).add(result.outcome)

    def pytest_report_header(self) -> list[str]:
        known = self._config.stash[RULES_OF_RUN]
        lans = self._config.stash[LANS_OF_RUN].values()
        return [f"LAN: {visible(_header(entry, known))}" for entry in lans]

    def lines(self) -> Iterator[str]:
        """A line per LAN."""
        for lan, rules in self._rules.items():
            judged = _judged(rules)
            words = [outcomes for outcomes in rules.values() if outcomes & JUDGED]
            passed = sum(outcomes <= {"passed", "unsupported"} for outcomes in words)
            failed = sum("failed" in outcomes for outcomes in rules.values())
            deviating = sum("deviation" in outcomes for outcomes in rules.values())
            undecided = sum("inconclusive" in outcomes for outcomes in rules.values())
            counts = [f"{passed} passed"]
            counts += [f"{failed} failed"] if failed else []
            counts += [f"{deviating} with deviations"] if deviating else []
            counts += [f"{undecided} inconclusive"] if undecided else []
            red = len(self._tests.get(lan, ()))
            of = f"; {red:,} of {self._counts[lan]:,} tests are red" if red else ""
            yield (
                f"{visible(lan)}: {self._word(lan)}judged {judged} of {len(rules)} rules:"
                f" {', '.join(counts)}{of}"
            )

    def _word(self, lan: str) -> str:
        ends = dict.fromkeys(filter(None, map(crash, self._tests.get(lan, ()))))
        return f"LAN CRASHED ({', '.join(ends)}), " if ends else ""

    def thin(self) -> list[str]:
        """LANs of which too few rules were judged."""
        return [lan for lan, rules in self._rules.items() if _judged(rules) * ENOUGH < len(rules)]

    def _groups(self) -> list[Group]:
        return groups(test for tests in self._tests.values() for test in tests)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.exitstatus == 0 and self.thin() and not self._allow_unsupported:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> Generator[None, None, None]:
        causes = self._groups()
        self._fold(terminalreporter, causes)
        try:
            yield
        finally:
            self._print(terminalreporter, causes)

    def _fold(self, reporter: pytest.TerminalReporter, causes: list[Group]) -> None:
        """Print one failure for each cause; -v prints all."""
        red = sum(len(group.tests) for group in causes)
        if red > MOST_LINES:
            reporter.reportchars = reporter.reportchars.replace("f", "").replace("E", "")
        if reporter.verbosity > 0:
            return
        of_lan = [group for group in causes if group.lan and len(group.tests) > 1]
        more = {group.example.id: len(group.tests) - 1 for group in of_lan}
        folded = {test.id for group in of_lan for test in group.tests} - more.keys()
        self._failed = reporter.stats.get("failed", [])
        shown = [report for report in self._failed if report.nodeid not in folded]
        for report in shown:
            if count := more.get(report.nodeid):
                text = f"{count} more failed for this cause: -v prints them, the report has them"
                report.sections.append(("more of the same cause", text))
        if self._failed:
            reporter.stats["failed"] = shown

    def unfold(self, reporter: pytest.TerminalReporter) -> None:
        """All failures count, whatever was printed of them."""
        if self._failed:
            reporter.stats["failed"] = self._failed

    def _print(self, reporter: pytest.TerminalReporter, causes: list[Group]) -> None:
        self.unfold(reporter)
        if causes:
            reporter.section("failures by cause", sep="-", red=True)
        for group in causes[:MOST_GROUPS]:
            reporter.write_line(_line(group, several=len(self._rules) > 1), red=True)
        if len(causes) > MOST_GROUPS:
            reporter.write_line(f"and {len(causes) - MOST_GROUPS} more causes", red=True)
        for line in self.lines():
            reporter.write_line(line)
        for lan in [] if self._allow_unsupported else self.thin():
            reporter.write_line(
                f"{visible(lan)}: most rules that apply could not be judged, so this run is no"
                " success (--allow-unsupported accepts it)",
                red=True,
            )
        results = self._config.pluginmanager.get_plugin(writer.WRITER)
        if isinstance(results, writer.Writer) and results.index is not None:
            reporter.write_line(f"report: {commands.near(Path(results.index), self._config)}")


def _line(group: Group, *, several: bool) -> str:
    """A cause, how many tests are red for it, and which rules they check."""
    count = f"{len(group.tests):,} test{'s' * (len(group.tests) > 1)}"
    word = "INCONCLUSIVE " if group.outcome == "inconclusive" else ""
    rule = f"{group.rule}: " if group.rule and not word else ""
    lan = f" on {group.lan}" if several and group.lan else ""
    checked = group.checked
    of = f" [{some(checked, 'rule')}]" if checked and checked != [group.rule] else ""
    example = "" if len(group.tests) > 1 else f"\n    {group.example.id}"
    return f"{visible(f'{word}{rule}{count}{lan}: {group.cause}{of}')}{example}"


def _header(entry: Entry, known: Mapping[str, Rule]) -> str:
    """A LAN, its kind, its version, and how many rules apply to it."""
    scopes = {"any", *(["lguest"] if entry.lguest else [])}
    scopes |= {entry.kind} if entry.kind else set()
    count = sum(rule.scope in scopes for rule in known.values())
    kind = entry.kind or "kind as it declares"
    parts = [kind, *filter(None, [entry.version()])]
    least = "" if entry.kind else "at least "
    return f"{entry.name} ({', '.join(parts)}): {least}{count} rules apply"


def _judged(rules: Mapping[str, set[Outcome]]) -> int:
    return sum(bool(outcomes & JUDGED) for outcomes in rules.values())
