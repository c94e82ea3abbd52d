"""Writes ``docs/lans.md`` from the results of ``make real-lans``: rules by real LAN.

``python docs/make_lans.py RESULTS...``; a LAN that was in none of these runs is left out.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.evidence import results
from harness.evidence.results import RED, Outcome, Result
from harness.lans.files import schema
from harness.lans.files.schema import LanFile
from harness.report.matrix import plain
from harness.rules import RULES

DOCS = Path(__file__).parent
PAGE = DOCS / "lans.md"
RECIPES = DOCS.parent / "fixtures" / "lans" / "real"
KINDS = ("repeater", "learning", "directory", "wire")
MARKS: Mapping[Outcome, str] = {"failed": "**FAILED**", "inconclusive": "**?**"}

HEAD = """\
# Real LANs

What the suite says of real LANs: the [recipes](../fixtures/lans/real), each a
[LAN file](lan-files.md) that starts the real software in network namespaces of its own.
`make real-lans` installs what they need (as root on Debian), runs the suite on all of them, and
writes this page again. Faults that the suite showed are in [findings](findings.md).

In the tables: `+` every test of the rule passed; `D` the LAN breaks the rule, a deviation whose
reason is below (`D+`: other tests of the rule passed); `-` no test of the rule can run on this LAN;
empty if the rule is not for its kind.
"""


@dataclass
class Column:
    """A LAN under test, its file, and how the tests of every rule ended on it."""

    name: str
    file: LanFile
    version: str = ""
    seconds: float = 0.0
    outcomes: dict[str, Counter[Outcome]] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The kind that the file declares."""
        return self.file.kind or "repeater"

    def add(self, test: Result) -> None:
        """Count a test."""
        self.seconds += test.seconds
        self.version = self.version or test.version
        for rule in test.rules if test.applies else ():
            self.outcomes.setdefault(rule, Counter())[test.outcome] += 1

    def cell(self, rule: str) -> str:
        """How the tests of a rule ended, as a mark."""
        counts = self.outcomes.get(rule)
        if not counts:
            return ""
        for outcome, mark in MARKS.items():
            if counts[outcome]:
                return mark
        if counts["deviation"]:
            return "D+" if counts["passed"] else "D"
        return "+" if counts["passed"] else "-"

    def count(self, mark: str) -> int:
        """Rules with a mark that begins so."""
        return sum(self.cell(rule).startswith(mark) for rule in self.outcomes)


def columns(paths: Iterable[Path]) -> list[Column]:
    """The LANs of some runs that are recipes, in the order of their kinds and names."""
    listed: dict[str, Column] = {}
    for path in paths:
        lines = results.read(path)
        run = lines.run
        for name, spec in run.specs.items():
            file = Path(spec)
            if file.parent.name == RECIPES.name and (RECIPES / file.name).exists():
                recipe = RECIPES / file.name
                content = schema.parsed(schema.text_of(recipe), recipe)
                listed[name] = Column(name, content, run.lans.get(name, ""))
        for test in lines.tests:
            if test.lan in listed:
                listed[test.lan].add(test)
    ran = [column for column in listed.values() if column.outcomes]
    return sorted(ran, key=lambda column: (KINDS.index(column.kind), column.name))


def page(listed: Sequence[Column]) -> str:
    """The whole page."""
    return "\n".join([HEAD, *_overview(listed), *_matrices(listed), *_deviations(listed)]) + "\n"


def _overview(listed: Sequence[Column]) -> Iterator[str]:
    yield f"## {len(listed)} LANs"
    yield ""
    yield "| LAN | what it is | kind | version | rules that hold | with deviations | ports | s |"
    yield "|---|---|---|---|---|---|---|---|"
    for column in listed:
        file = column.file
        ports = len(file.ports.spec) if isinstance(file.ports.spec, list) else file.properties.ports
        yield (
            f"| [{column.name}](../fixtures/lans/real/{column.name}.toml) | {plain(file.summary)} "
            f"| {column.kind} | {plain(column.version)} | {column.count('+')} "
            f"| {column.count('D')} | {ports} | {column.seconds:.0f} |"
        )
    yield ""


def _matrices(listed: Sequence[Column]) -> Iterator[str]:
    for kind in KINDS:
        group = [column for column in listed if column.kind == kind]
        if not group:
            continue
        yield f"## Rules of the {kind} LANs"
        yield ""
        yield f"| rule | {' | '.join(column.name for column in group)} |"
        yield f"|---|{'---|' * len(group)}"
        for rule in RULES:
            cells = [column.cell(rule) for column in group]
            if any(cells):
                yield f"| {rule} | {' | '.join(cells)} |"
        yield ""


def _deviations(listed: Sequence[Column]) -> Iterator[str]:
    yield "## Deviations"
    yield ""
    yield "| LAN | rule | reason | evidence |"
    yield "|---|---|---|---|"
    for column in listed:
        for entry in column.file.deviation:
            words = map(plain, (column.name, entry.rule, entry.reason, entry.evidence))
            yield f"| {' | '.join(words)} |"


if __name__ == "__main__":
    made = columns(map(Path, sys.argv[1:]))
    PAGE.write_text(page(made))
    counts = [count for column in made for count in column.outcomes.values()]
    red = sum(count[word] for count in counts for word in RED)
    print(f"{PAGE}: {len(made)} LANs, {red} red cells")
