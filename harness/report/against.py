"""What changed since an older run: new failures, fixed ones, and those that still fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.evidence.merge import Runs, Test
from harness.evidence.results import RED, Run


@dataclass(frozen=True, slots=True)
class Past:
    """How a test ended in one run."""

    run: Run
    started: str
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class OfLan:
    """The red tests of one LAN, set against those of the older run."""

    lan: str
    new: tuple[str, ...]
    fixed: tuple[str, ...]
    still: tuple[str, ...]
    gone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """All LANs; ``since`` is when the older run began."""

    since: str
    lans: tuple[OfLan, ...]


def change(now: Runs, before: Runs) -> Change:
    """Tests by id: a red one is new if it was not red before, or not there."""
    old = {test.result.id: test for test in before.tests}
    new = {test.result.id: test for test in now.tests}
    names = dict.fromkeys(test.result.lan or "" for test in (*now.tests, *before.tests))
    started = dict.fromkeys(run.run.started for run in before.runs)
    return Change(", ".join(started), tuple(_of_lan(lan, new, old) for lan in names))


def _of_lan(lan: str, new: Mapping[str, Test], old: Mapping[str, Test]) -> OfLan:
    def red(tests: Mapping[str, Test]) -> list[str]:
        return [
            name
            for name, test in tests.items()
            if (test.result.lan or "") == lan and test.result.outcome in RED
        ]

    was, now = red(old), red(new)
    return OfLan(
        lan,
        tuple(name for name in now if name not in set(was)),
        tuple(name for name in was if name in new and name not in set(now)),
        tuple(name for name in now if name in set(was)),
        tuple(name for name in was if name not in new),
    )


def past(runs: Sequence[Runs]) -> dict[str, list[Past]]:
    """Test id to how it ended in each of the runs, as they are given."""
    ended: dict[str, list[Past]] = {}
    if len(runs) == 1 and len(runs[0].runs) == 1:
        return ended
    for several in runs:
        for run in several.runs:
            for test in run.tests:
                one = Past(run.run, run.run.started, test.outcome, test.reason)
                ended.setdefault(test.id, []).append(one)
    return ended
