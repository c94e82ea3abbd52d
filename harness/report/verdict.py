"""The verdict on runs: one word, and how many rules and tests of each LAN failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.evidence.groups import crash
from harness.evidence.merge import Runs, Test
from harness.evidence.results import RED, Outcome
from harness.report.matrix import WORDS

JUDGED: frozenset[Outcome] = frozenset({"passed", "failed", "deviation"})
"""Outcomes in which a rule was judged."""

Mood = Literal["good", "bad", "open"]

_PLURAL: Mapping[Outcome, str] = {
    "failed": "failed",
    "inconclusive": "inconclusive",
    "deviation": "known deviations",
    "unsupported": "unsupported",
    "skipped": "skipped",
    "passed": "passed",
}


@dataclass(frozen=True, slots=True)
class LanVerdict:
    """How one LAN did; ``rules`` are those that were tested, ``passed`` of ``judged``.

    ``failed`` are those with a red test; ``undecided``: all red tests are inconclusive.
    """

    lan: str
    rules: int
    judged: int
    passed: int
    failed: int
    tests: int
    red: int
    undecided: bool
    crashed: str


def of_lan(lan: str, tests: Sequence[Test]) -> LanVerdict:
    """The verdict on one LAN from its tests."""
    rules: dict[str, set[Outcome]] = {}
    for test in tests:
        if test.result.applies:
            for rule in test.result.rules:
                rules.setdefault(rule, set()).add(test.result.outcome)
    judged = [outcomes for outcomes in rules.values() if outcomes & JUDGED]
    ends = dict.fromkeys(filter(None, (crash(test.result) for test in tests)))
    return LanVerdict(
        lan,
        len(rules),
        len(judged),
        sum(outcomes <= {"passed", "unsupported"} for outcomes in judged),
        sum(bool(outcomes & RED) for outcomes in rules.values()),
        len(tests),
        sum(test.result.outcome in RED for test in tests),
        all(test.result.outcome != "failed" for test in tests),
        ", ".join(ends),
    )


def by_lan(runs: Runs) -> list[LanVerdict]:
    """The verdict on each LAN; tests without a LAN are not in it."""
    tests: dict[str, list[Test]] = {}
    for test in runs.tests:
        if test.result.lan is not None:
            tests.setdefault(test.result.lan, []).append(test)
    return [of_lan(lan, listed) for lan, listed in tests.items()]


def mood(runs: Runs) -> Mood:
    """The verdict: good, bad, or open."""
    if any(test.result.outcome in RED for test in runs.tests):
        return "bad"
    passed = any(test.result.outcome == "passed" for test in runs.tests)
    return "good" if passed and not runs.unfinished and not runs.problems else "open"


def word(runs: Runs) -> str:
    """PASSED, FAILED, INCOMPLETE, LAN CRASHED (how) or NO VERDICT."""
    ends = dict.fromkeys(filter(None, (crash(test.result) for test in runs.tests)))
    if ends:
        return f"LAN CRASHED ({', '.join(ends)})"
    incomplete = bool(runs.unfinished or runs.problems)
    return {
        "bad": "FAILED",
        "good": "PASSED",
        "open": "INCOMPLETE" if incomplete else "NO VERDICT",
    }[mood(runs)]


def line(runs: Runs) -> str:
    """The verdict, in one line."""
    counts = Counter(test.result.outcome for test in runs.tests)
    names = dict.fromkeys(test.result.lan for test in runs.tests if test.result.lan is not None)
    on = f" on {', '.join(names)}" if names else ""
    counted = [f"{counts[outcome]:,} {_PLURAL[outcome]}" for outcome in WORDS if counts[outcome]]
    if runs.unfinished:
        counted.append(f"{len(runs.unfinished):,} unfinished")
    listed = ", ".join(counted) or "no test ran"
    why = " (no test passed)" if word(runs) == "NO VERDICT" else ""
    return f"{word(runs)}{on}: {listed}{why}"
