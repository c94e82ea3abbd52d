"""Runs as one: shards, machines, LANs."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import msgspec

from harness.evidence import shards
from harness.evidence.judge import BadEvidence, capture_path
from harness.evidence.results import (
    FILE_NAME,
    BadResults,
    Headless,
    Result,
    Results,
    read,
)
from harness.evidence.shards import Shard

FOLDER = "runs"
"""Where copies of merged runs lie, below the folder of their report: 1, 2, ..."""

MOST_NAMED = 3
"""Tests that a problem names; there may be thousands with the same cause."""


@dataclass(frozen=True, slots=True)
class Test:
    """A test of one of the runs."""

    result: Result
    run: Results

    @property
    def folder(self) -> Path:
        """What the path of its capture is relative to."""
        return self.run.path.parent

    @property
    def repeat(self) -> Sequence[str]:
        """Arguments of pytest that make the run the same again."""
        return self.run.run.repeat


@dataclass(frozen=True, slots=True)
class Runs:
    """One run or several, as one.

    ``unfinished`` are tests that were collected and never reported; ``problems`` say, in a
    line each, what is incomplete or contradictory. With either there is no clean verdict.
    """

    runs: tuple[Results, ...]
    tests: tuple[Test, ...]
    unfinished: tuple[str, ...]
    problems: tuple[str, ...]


def load(paths: Sequence[Path]) -> Runs:
    """Read files of results, or folders with one each, as one.

    BadResults for a file that cannot be opened, an unknown schema, different rule tables, or
    if no file has a run. A file without its first line, as of a run that was killed early, is
    one of the problems, if there is another file.
    """
    runs: list[Results] = []
    problems: list[str] = []
    headless: list[Headless] = []
    for path in paths:
        try:
            runs.append(read(path))
        except Headless as error:
            headless.append(error)
            problems.append(str(error))
    if not runs:
        raise headless[0] if headless else BadResults("no results given")
    _refuse_other_rules(runs)
    problems += [each for run in runs for each in run.problems]
    problems += [f"{run.path}: the run did not finish" for run in runs if run.end is None]
    problems += _given_twice(runs)
    for family in _families(runs):
        problems += _shard_problems(family)
    return Runs(
        tuple(runs),
        tuple(Test(each, run) for run in runs for each in run.tests),
        tuple(each for run in runs for each in run.unfinished()),
        tuple(problems),
    )


def _refuse_other_rules(runs: Sequence[Results]) -> None:
    first = runs[0]
    for other in runs[1:]:
        if other.run.rules != first.run.rules:
            raise BadResults(
                f"{other.path}: its rule table differs from that of {first.path}; runs with"
                " different rules cannot be merged"
            )


def _given_twice(runs: Sequence[Results]) -> Iterator[str]:
    for number, run in enumerate(runs):
        for earlier in runs[:number]:
            if run.run == earlier.run:
                yield f"{run.path}: the same run as {earlier.path}"
                break


def _families(runs: Iterable[Results]) -> Iterator[list[Results]]:
    """The shards of each run that was split.

    Shards of one run agree in their number, LANs and options. Their machines may differ a
    little, as those of a CI do, and with them the versions of LANs; only when a shard is
    there twice are the machines compared.
    """
    alike: dict[str, list[Results]] = {}
    for each in runs:
        if each.run.shard:
            kind = repr((_shard(each).total, list(each.run.lans), dict(each.run.options)))
            alike.setdefault(kind, []).append(each)
    for family in alike.values():
        if max(Counter(each.run.shard for each in family).values()) == 1:
            yield family
            continue
        machines: dict[str, list[Results]] = {}
        for each in family:
            machines.setdefault(each.run.machine, []).append(each)
        yield from machines.values()


def _shard(run: Results) -> Shard:
    shard = shards.read(run.run.shard)
    if shard is None:
        raise BadResults(f"{run.path}: {run.run.shard!r} is not a shard K/N")
    return shard


def _shard_problems(family: Sequence[Results]) -> Iterator[str]:
    total = _shard(family[0]).total
    given = {_shard(each).number for each in family}
    missing = [f"{each}/{total}" for each in range(1, total + 1) if each not in given]
    if missing:
        there = [f"{each}/{total}" for each in sorted(given)]
        yield f"missing shard {_some(missing)}: only {_some(there)} given"
    first: dict[str, Results] = {}
    twice: dict[tuple[str, str], list[str]] = {}
    for each in family:
        for test in each.run.collected:
            other = first.setdefault(test, each)
            if other is not each:
                twice.setdefault((other.run.shard, each.run.shard), []).append(test)
    for pair, tests in twice.items():
        yield f"shards {' and '.join(pair)} both have {_some(tests)}"
    if not missing and not twice:
        odd = [
            each
            for each in family
            if sorted(each.run.collected) != shards.share(first, _shard(each))
        ]
        if odd:
            yield f"the {total} shards are not from the same set of tests"


def _some(tests: Sequence[str]) -> str:
    more = len(tests) - MOST_NAMED
    return ", ".join(tests[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def gather(runs: Runs, folder: Path) -> Runs:
    """Copy results and captures below ``folder``, so that it can be carried away whole.

    A run that lies there already stays where it is; a copy from an earlier time goes. Each
    copy can be judged like the run itself. A capture that cannot be copied is a problem of
    the runs that come back, whose paths are absolute. OSError if nothing can be written there.
    """
    home = folder.resolve()
    given = [run.path.resolve() for run in runs.runs]
    stay = {path.parent for path in given if path.is_relative_to(home)}
    copies = home / FOLDER
    for old in copies.iterdir() if copies.is_dir() else ():
        if old.name.isdecimal() and not any(each.is_relative_to(old) for each in stay):
            shutil.rmtree(old)
    free = (each for n in count(1) if not (each := copies / str(n)).exists())
    problems: list[str] = []
    moved = [
        msgspec.structs.replace(run, path=path)
        if path.parent in stay
        else _copy(run, next(free), problems)
        for run, path in zip(runs.runs, given, strict=True)
    ]
    return Runs(
        tuple(moved),
        tuple(Test(each, run) for run in moved for each in run.tests),
        runs.unfinished,
        (*runs.problems, *problems),
    )


def _copy(run: Results, into: Path, problems: list[str]) -> Results:
    into.mkdir(parents=True)
    shutil.copyfile(run.path, into / FILE_NAME)
    for test in run.tests:
        if test.capture is None:
            continue
        to = into / test.capture.path
        try:
            source = capture_path(test.capture, run.path.parent)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, to)
        except BadEvidence as error:
            problems.append(str(error))
        except FileNotFoundError:
            problems.append(f"{source}: there is no such capture")
    return msgspec.structs.replace(run, path=into / FILE_NAME)
