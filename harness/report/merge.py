"""Interim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.results import Result, Results, read


@dataclass(frozen=True, slots=True)
class Test:
    """Interim."""

    result: Result
    folder: Path
    repeat: Sequence[str]


@dataclass(frozen=True, slots=True)
class Runs:
    """Interim."""

    runs: Sequence[Results]
    tests: Sequence[Test]
    unfinished: Sequence[str]
    problems: Sequence[str]


def load(paths: Sequence[Path]) -> Runs:
    """Interim."""
    runs = [read(path) for path in paths]
    return Runs(
        runs,
        [Test(t, r.path.parent, r.run.repeat) for r in runs for t in r.tests],
        [t for r in runs for t in r.unfinished()],
        [p for r in runs for p in r.problems],
    )
