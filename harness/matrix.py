"""Rule by LAN: what a run of the suite made of each, as a Markdown table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from harness.catalogue import run_suite
from harness.rules import RULES

WORDS = ("failed", "inconclusive", "deviation", "unsupported", "skipped", "passed")
"""Outcomes, the one that a reader must see first in front."""


class _Matrix:
    def __init__(self) -> None:
        self.cells: dict[tuple[str, str], Counter[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        told = dict(report.user_properties)
        decides = report.when == "call" or (report.when == "setup" and not report.passed)
        if decides and "lan" in told:
            word = str(told.get("outcome", report.outcome))
            for rule in str(told["rule"]).split(", "):
                self.cells.setdefault((rule, str(told["lan"])), Counter())[word] += 1


def table(lans: Sequence[str], workers: int) -> str:
    """Run the suite on these LANs; a row for each rule that any of them was judged by."""
    matrix = _Matrix()
    named = [word for lan in lans for word in ("--lan", lan)]
    run_suite([*named, "-n", str(workers), "--tb=no"], matrix, [0, 1])
    rows = [f"| rule | {' | '.join(lans)} |", f"|---|{'---|' * len(lans)}"]
    for rule in RULES:
        cells = [matrix.cells.get((rule, lan)) for lan in lans]
        if any(cells):
            rows.append(f"| {rule} | {' | '.join(map(_told, cells))} |")
    return "\n".join(rows)


def _told(outcomes: Counter[str] | None) -> str:
    if not outcomes:
        return ""
    return ", ".join(f"{outcomes[word]} {word}" for word in WORDS if outcomes[word])
