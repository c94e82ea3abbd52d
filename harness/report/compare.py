"""Two runs side by side: what came, what is gone, what got better or worse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.evidence.answer import Answer
from harness.evidence.results import RED, BadResults, Outcome, Result, Results, read

ORDER: tuple[Outcome, ...] = (
    "passed",
    "deviation",
    "unsupported",
    "skipped",
    "inconclusive",
    "failed",
)
"""Outcomes from best to worst: what passed, what is known not to, what nobody knows, what is
wrong."""

How = Literal["worse", "unfinished", "gone", "added red", "better", "reason changed", "added"]

WORSE: tuple[How, ...] = ("worse", "unfinished", "gone", "added red")
"""What nobody wants to see of a change."""

HOWS: tuple[How, ...] = (*WORSE, "better", "reason changed", "added")
"""In the order in which they are told."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one test."""

    how: How
    test: str
    told: str


def changes(old: Results, new: Results) -> list[Change]:
    """Every test that is not as it was, worst first."""
    before = {each.id: each for each in old.tests}
    after = {each.id: each for each in new.tests}
    unfinished = set(new.unfinished())
    found = [
        each
        for test in dict.fromkeys([*before, *after, *new.run.collected])
        for each in _of_test(test, before.get(test), after.get(test), test in unfinished)
    ]
    return sorted(found, key=lambda each: HOWS.index(each.how))


def _of_test(
    test: str, old: Result | None, new: Result | None, unfinished: bool
) -> Iterator[Change]:
    if new is None:
        was = f"was {_told(old)}" if old is not None else "new"
        yield Change("unfinished" if unfinished else "gone", test, was)
    elif old is None:
        yield Change("added red" if new.outcome in RED else "added", test, _told(new))
    elif old.outcome != new.outcome:
        worse = ORDER.index(new.outcome) > ORDER.index(old.outcome)
        yield Change("worse" if worse else "better", test, f"{old.outcome}, now {_told(new)}")
    elif old.reason != new.reason:
        yield Change("reason changed", test, f"{_told(old)}; now: {new.reason or 'none'}")


def _told(test: Result) -> str:
    return f"{test.outcome} ({test.reason})" if test.reason else test.outcome


def answer(old: Path, new: Path) -> Answer:
    """Compare two files of results, or folders with one each.

    Code 0 if nothing got worse, 1 if something did, 2 if not all could be read.
    """
    try:
        one, other = read(old), read(new)
    except BadResults as error:
        return Answer((), (str(error),), 2)
    problems = (*one.problems, *other.problems)
    found = changes(one, other)
    lines = [f"{each.how}: {each.test}: {each.told}" for each in found]
    if one.run.rules != other.run.rules:
        lines.insert(0, "the rule tables differ: a rule may not say the same in both runs")
    counted = [f"{sum(each.how == how for each in found)} {how}" for how in HOWS]
    lines.append(", ".join(counted))
    worse = any(each.how in WORSE for each in found)
    return Answer(tuple(lines), problems, 2 if problems else int(worse))
