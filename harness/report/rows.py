"""The matrix of the report: a row for each rule, a cell for each LAN."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.evidence.merge import Test
from harness.evidence.results import RED, Outcome
from harness.report.matrix import WORDS
from harness.rules import RULES, Rule

MOST_REASONS = 4


@dataclass(frozen=True, slots=True)
class Cell:
    """A rule on a LAN: the most urgent outcome, and how many tests had each."""

    rule: str
    lan: str
    word: Outcome
    counts: tuple[tuple[Outcome, int], ...]
    reasons: tuple[str, ...]

    @property
    def summary(self) -> str:
        """The counts in words."""
        return ", ".join(f"{count} {word}" for word, count in self.counts)


@dataclass(frozen=True, slots=True)
class Row:
    """A rule; ``failing`` on some LAN, ``differs``: and passing on another."""

    rule: Rule
    cells: tuple[Cell | None, ...]
    failing: bool
    differs: bool


@dataclass(frozen=True, slots=True)
class Part:
    """Rules with a common title."""

    title: str
    rows: tuple[Row, ...]


def parts(tests: Sequence[Test], lans: Sequence[str]) -> list[Part]:
    """Rules that were tested: those of any LAN first, lguest's inside last."""
    by_cell: dict[tuple[str, str], list[Test]] = {}
    own: dict[str, Rule] = {}
    for test in tests:
        for rule in test.run.run.own_rules:
            own.setdefault(rule.id, Rule(rule.id, rule.text, rule.source, "any"))
        for name in test.result.rules:
            by_cell.setdefault((name, test.result.lan or ""), []).append(test)
    listed = [*RULES.values(), *own.values()]
    outside = [rule for rule in listed if rule.scope != "lguest"]
    inside = [rule for rule in listed if rule.scope == "lguest"]
    made = [
        Part(title, tuple(row for rule in rules if (row := _row(rule, lans, by_cell))))
        for title, rules in (("any LAN, and its kind", outside), ("inside lguest", inside))
    ]
    return [part for part in made if part.rows]


def _row(rule: Rule, lans: Sequence[str], by_cell: dict[tuple[str, str], list[Test]]) -> Row | None:
    cells = tuple(_cell(rule.id, lan, by_cell.get((rule.id, lan), [])) for lan in lans)
    if not any(cells):
        return None
    failing = any(cell and cell.word in RED for cell in cells)
    passing = any(cell and cell.word == "passed" for cell in cells)
    return Row(rule, cells, failing, failing and passing)


def _cell(rule: str, lan: str, tests: Sequence[Test]) -> Cell | None:
    if not tests:
        return None
    counted = Counter(test.result.outcome for test in tests)
    counts = [(word, counted[word]) for word in WORDS if counted[word]]
    reasons = dict.fromkeys(test.result.reason for test in tests if test.result.reason)
    return Cell(rule, lan, counts[0][0], tuple(counts), tuple(reasons)[:MOST_REASONS])
