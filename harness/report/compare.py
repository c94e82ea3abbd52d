"""Compares two runs: tests added, removed, improved, worse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.evidence.answer import Answer
from harness.evidence.files import LARGEST
from harness.evidence.results import RED, BadResults, Outcome, Result, Results, read

ORDER: tuple[Outcome, ...] = (
    "passed",
    "deviation",
    "unsupported",
    "skipped",
    "inconclusive",
    "failed",
)
"""Outcomes from best to worst."""

How = Literal["worse", "unfinished", "gone", "added red", "better", "reason changed", "added"]

WORSE: tuple[How, ...] = ("worse", "unfinished", "gone", "added red")
"""Changes that make the exit code 1."""

HOWS: tuple[How, ...] = (*WORSE, "better", "reason changed", "added")
"""In the order in which they are printed."""


@dataclass(frozen=True, slots=True)
class Change:
    """How one test changed."""

    how: How
    test: str
    details: str


def changes(old: Results, new: Results) -> list[Change]:
    """Every test that changed, worst first.

    Tests are paired by id; those of two different LANs, one in each run, by their names.
    """
    before, after = _by_name(old, new)
    unfinished = set(new.unfinished())
    planned = new.run.collected if two_lans(old, new) is None else ()
    changed = [
        change
        for test in dict.fromkeys([*before, *after, *planned])
        for change in _of_test(test, before.get(test), after.get(test), test in unfinished)
    ]
    return sorted(changed, key=lambda change: HOWS.index(change.how))


def two_lans(old: Results, new: Results) -> tuple[str, str] | None:
    """The LANs of two runs, if each tested one, and they are different."""
    names = [{test.lan for test in run.tests if test.lan is not None} for run in (old, new)]
    if [len(one) for one in names] != [1, 1] or names[0] == names[1]:
        return None
    return names[0].pop(), names[1].pop()


def _by_name(old: Results, new: Results) -> tuple[dict[str, Result], dict[str, Result]]:
    if two_lans(old, new) is None:
        return {test.id: test for test in old.tests}, {test.id: test for test in new.tests}
    one, other = ({_without_lan(test): test for test in run.tests} for run in (old, new))
    return one, other


def _without_lan(test: Result) -> str:
    head, bracket, parameters = test.id.partition("[")
    lan = re.escape(test.lan or "")
    rest = re.sub(rf"^{lan}(-|$)|-{lan}$", "", parameters.removesuffix("]"), count=1)
    return f"{head}[{rest}]" if bracket and rest else head


def _of_test(
    test: str, old: Result | None, new: Result | None, unfinished: bool
) -> Iterator[Change]:
    if new is None:
        was = f"was {_outcome(old)}" if old is not None else "new"
        yield Change("unfinished" if unfinished else "gone", test, was)
    elif old is None:
        yield Change("added red" if new.outcome in RED else "added", test, _outcome(new))
    elif old.outcome != new.outcome:
        worse = ORDER.index(new.outcome) > ORDER.index(old.outcome)
        yield Change("worse" if worse else "better", test, f"{old.outcome}, now {_outcome(new)}")
    elif old.reason != new.reason:
        yield Change("reason changed", test, f"{_outcome(old)}; now: {new.reason or 'none'}")


def _outcome(test: Result) -> str:
    return f"{test.outcome} ({test.reason})" if test.reason else test.outcome


def answer(old: Path, new: Path, most: int = LARGEST) -> Answer:
    """Compare two files of results, or folders with one each.

    Prints nothing where they do not differ. Code 0 if nothing got worse, 1 if something did,
    2 if something cannot be read.
    """
    try:
        one, other = read(old, most), read(new, most)
    except BadResults as error:
        return Answer((), (str(error),), 2)
    problems = (*one.problems, *other.problems)
    changed = changes(one, other)
    lines = [f"{change.how}: {change.test}: {change.details}" for change in changed]
    if one.run.rules != other.run.rules:
        lines.insert(0, "the rule tables differ: a rule may have changed between the runs")
    if pair := two_lans(one, other):
        lines.insert(0, f"different LANs: {pair[0]}, then {pair[1]}")
    counts = {how: sum(change.how == how for change in changed) for how in HOWS}
    lines += [", ".join(f"{count} {how}" for how, count in counts.items() if count)]
    lines = [line for line in lines if line]
    worse = any(change.how in WORSE for change in changed)
    return Answer(tuple(lines), problems, 2 if problems else int(worse))
