"""Which tests check which rule, and which broken LANs they catch: asked of pytest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import pytest

from harness.broken.catalogue import BROKEN
from harness.plugin.items import RULES_OF_RUN, lan_of, rule_ids
from harness.registry import ALL_BROKEN, BROKEN_PREFIX
from harness.rules import RULES, Rule
from harness.suite.run import FAILS_BY_VERDICT, message_of, pytest_quietly, run_quietly

NO_TESTS = int(pytest.ExitCode.NO_TESTS_COLLECTED)

VERDICTS = (
    *FAILS_BY_VERDICT,
    "Failed: DID NOT RAISE",
    "harness.lan.FrameRefused",
    "harness.lan.LanError",
    "harness.lguest.memory.LguestError",
)
"""How the failure of a test begins where the LAN did not do what the rule says. Anything
else, a lost control broadcast or an error in the test, is no catch."""


class _Collector:
    def __init__(self) -> None:
        self.tests: dict[str, list[str]] = {}
        self.own: list[Rule] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        defined = session.config.stash.get(RULES_OF_RUN, RULES)
        self.own = [rule for rule in defined.values() if rule.id not in RULES]
        for item in session.items:
            name = item.nodeid.partition("[")[0]
            for rule in rule_ids(item):
                listed = self.tests.setdefault(rule, [])
                if name not in listed:
                    listed.append(name)


ONE_OF_EACH_KIND = MappingProxyType(
    {
        "repeater": "memory-repeater",
        "learning": "memory-learning",
        "directory": "memory-directory",
        "lguest": "lguest",
    }
)
"""Kinds of LANs, and a LAN of each."""


class _Counter:
    def __init__(self) -> None:
        self.tests: Counter[tuple[str, str]] = Counter()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            for rule in rule_ids(item):
                self.tests[rule, lan_of(item) or ""] += 1


def kinds_table() -> list[str]:
    """Rule by kind, with the number of tests: a Markdown table; SuiteError if there is none."""
    counter = _Counter()
    lans = [word for lan in ONE_OF_EACH_KIND.values() for word in ("--lan", lan)]
    run_quietly(["--collect-only", "--no-captures", *lans], counter, [0])
    lines = [
        f"| rule | {' | '.join(ONE_OF_EACH_KIND)} |",
        f"|---|{'---:|' * len(ONE_OF_EACH_KIND)}",
    ]
    for rule in RULES:
        counts = [counter.tests[rule, lan] for lan in ONE_OF_EACH_KIND.values()]
        lines.append(f"| {rule} | {' | '.join(str(count or '') for count in counts)} |")
    return lines


@dataclass(slots=True)
class Catch:
    """What the tests of its rule made of one broken LAN: names of tests, without parameters.

    ``caught_by`` failed on what the rule says; ``disturbed`` failed for another reason,
    such as a lost control broadcast.
    """

    caught_by: list[str] = field(default_factory=list)
    disturbed: list[str] = field(default_factory=list)


class _Catcher:
    def __init__(self) -> None:
        self.catches = {name: Catch() for name in BROKEN}
        self._longest_first = sorted(BROKEN, key=len, reverse=True)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.failed:
            return
        test, _, parameters = report.nodeid.partition("[")
        name = parameters.rpartition(BROKEN_PREFIX)[2]
        lan = next(broken for broken in self._longest_first if name.startswith(broken))
        verdict = report.when == "call" and message_of(report).startswith(VERDICTS)
        catch = self.catches[lan]
        listed = catch.caught_by if verdict else catch.disturbed
        if test not in listed:
            listed.append(test)


def tests_of_rules() -> dict[str, list[str]]:
    """Rule id to the node ids of its tests, parameters left out, in order of collection."""
    collector = _Collector()
    kinds = {rule.scope for rule in RULES.values()} - {"any", "lguest"}
    lans = ["lguest", *(f"memory-{kind}" for kind in sorted(kinds))]
    run_quietly(["--collect-only", *(f"--lan={lan}" for lan in lans)], collector, [0])
    return collector.tests


def own_rules(paths: Sequence[str]) -> tuple[list[Rule], dict[str, list[str]]]:
    """The rules that a project defines, and rule id to its tests below these paths."""
    collector = _Collector()
    arguments = [*paths, "--collect-only", "-q", "-p", "no:cacheprovider", "--lan=lguest"]
    pytest_quietly(arguments, collector, [0, NO_TESTS])
    return collector.own, collector.tests


def catches(workers: int) -> dict[str, Catch]:
    """Every broken LAN, run through the tests of the rule that it breaks."""
    catcher = _Catcher()
    quick = ["--own-rule", "--no-captures", "--tb=line", "--assert=plain"]
    # Workers import the tests afresh, so that no earlier run has rewritten their asserts.
    run_quietly(["--lan", ALL_BROKEN, *quick, "-n", str(max(1, workers))], catcher, [0, 1])
    return catcher.catches
