"""Rules by LAN with the outcomes of their tests, as a Markdown table."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable

from harness.evidence.results import Outcome, Result
from harness.evidence.text import visible
from harness.rules import RULES

WORDS: tuple[Outcome, ...] = (
    "failed",
    "inconclusive",
    "deviation",
    "unsupported",
    "skipped",
    "passed",
)
"""Outcomes, the most urgent first."""


def table(tests: Iterable[Result]) -> list[str]:
    """A row for each rule that was tested on a LAN; no lines if there is none."""
    cells: dict[tuple[str, str], Counter[Outcome]] = {}
    for test in tests:
        for rule in test.rules if test.lan is not None else ():
            cells.setdefault((rule, test.lan or ""), Counter())[test.outcome] += 1
    lans = list(dict.fromkeys(lan for _, lan in cells))
    others = dict.fromkeys(rule for rule, _ in cells if rule not in RULES)
    rows = [
        [rule, *(_counts(cells.get((rule, lan))) for lan in lans)]
        for rule in (*RULES, *others)
        if any((rule, lan) in cells for lan in lans)
    ]
    if not rows:
        return []
    head = [["rule", *lans], ["---"] * (len(lans) + 1)]
    return [f"| {' | '.join(map(plain, row))} |" for row in (*head, *rows)]


def plain(text: str) -> str:
    """Text for Markdown, in one line, shown literally: no tag, no link, no end of a cell."""
    one_line = visible(" ".join(text.split()))
    escaped = re.sub(r"([\\`*_{}\[\]()#+!|~@:$])", r"\\\1", one_line)
    return html.escape(escaped, quote=False)


def _counts(outcomes: Counter[Outcome] | None) -> str:
    if not outcomes:
        return ""
    return ", ".join(f"{outcomes[word]} {word}" for word in WORDS if outcomes[word])
