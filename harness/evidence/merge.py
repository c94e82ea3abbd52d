"""Runs as one: shards, machines, LANs."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import msgspec

from harness.evidence import own_folder, shards
from harness.evidence.files import LARGEST, BadFile, opened
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


def load(paths: Sequence[Path], most: int = LARGEST) -> Runs:
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
            runs.append(read(path, most))
        except Headless as error:
            headless.append(error)
            problems.append(str(error))
    if not runs:
        raise headless[0] if headless else BadResults("no results given")
    _refuse_other_rules(runs)
    problems += [problem for run in runs for problem in run.problems]
    problems += [f"{run.path}: the run did not finish" for run in runs if run.end is None]
    problems += _given_twice(runs)
    for family in _families(runs):
        problems += _shard_problems(family)
    return Runs(
        tuple(runs),
        tuple(Test(result, run) for run in runs for result in run.tests),
        tuple(test for run in runs for test in run.unfinished()),
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
    for run in runs:
        if run.run.shard:
            kind = repr((_shard(run).total, list(run.run.lans), dict(run.run.options)))
            alike.setdefault(kind, []).append(run)
    for family in alike.values():
        if max(Counter(run.run.shard for run in family).values()) == 1:
            yield family
            continue
        machines: dict[str, list[Results]] = {}
        for run in family:
            machines.setdefault(run.run.machine, []).append(run)
        yield from machines.values()


def _shard(run: Results) -> Shard:
    shard = shards.read(run.run.shard)
    if shard is None:
        raise BadResults(f"{run.path}: {run.run.shard!r} is not a shard K/N")
    return shard


def _shard_problems(family: Sequence[Results]) -> Iterator[str]:
    total = _shard(family[0]).total
    given = {_shard(run).number for run in family}
    missing = [f"{number}/{total}" for number in range(1, total + 1) if number not in given]
    if missing:
        there = [f"{number}/{total}" for number in sorted(given)]
        yield f"missing shard {_some(missing)}: only {_some(there)} given"
    first: dict[str, Results] = {}
    twice: dict[tuple[str, str], list[str]] = {}
    for run in family:
        for test in run.run.collected:
            other = first.setdefault(test, run)
            if other is not run:
                twice.setdefault((other.run.shard, run.run.shard), []).append(test)
    for pair, tests in twice.items():
        yield f"shards {' and '.join(pair)} both have {_some(tests)}"
    if not missing and not twice:
        odd = [
            run for run in family if sorted(run.run.collected) != shards.share(first, _shard(run))
        ]
        if odd:
            yield f"the {total} shards are not from the same set of tests"


def _some(tests: Sequence[str]) -> str:
    more = len(tests) - MOST_NAMED
    return ", ".join(tests[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def gather(runs: Runs, folder: Path, most: int = LARGEST) -> Runs:
    """Copy results and captures below ``folder``, so that it can be carried away whole.

    A run that lies there already stays where it is; a copy from an earlier report is removed.
    Each copy can be re-checked like the run itself. A capture that cannot be copied is a
    problem of the runs that are returned, whose paths are absolute. OSError if the folder is
    not ours, or cannot be written.
    """
    given = [run.path.resolve() for run in runs.runs]
    home = folder.resolve()
    # The folder of a run is ours without a marker.
    if home not in (path.parent for path in given):
        home = own_folder.claim(folder)
    stay = {path.parent for path in given if path.is_relative_to(home)}
    copies = home / FOLDER
    if own_folder.real_folder(copies):
        for old in sorted(copies.iterdir()):
            used = any(kept.is_relative_to(old) for kept in stay)
            if old.name.isdecimal() and not used and not old.is_symlink():
                own_folder.remove_copy(old)
    free = (path for n in count(1) if not os.path.lexists(path := copies / str(n)))
    problems: list[str] = []
    moved = [
        msgspec.structs.replace(run, path=path)
        if path.parent in stay
        else _copy(run, next(free), problems, most)
        for run, path in zip(runs.runs, given, strict=True)
    ]
    return Runs(
        tuple(moved),
        tuple(Test(result, run) for run in moved for result in run.tests),
        runs.unfinished,
        (*runs.problems, *problems),
    )


def _copy(run: Results, into: Path, problems: list[str], most: int) -> Results:
    captures = {test.capture.path: test.capture for test in run.tests if test.capture}
    own_folder.begin_copy(into, [FILE_NAME, *captures])
    try:
        _copy_file(run.path, into / FILE_NAME, most)
    except BadFile as error:
        problems.append(str(error))
    for capture in captures.values():
        try:
            source = capture_path(capture, run.path.parent)
            to = into / capture.path
            to.parent.mkdir(parents=True, exist_ok=True)
            _copy_file(source, to, most)
        except (BadEvidence, BadFile) as error:
            problems.append(str(error))
        except OSError as error:
            if error.errno not in _OF_THE_NAME:
                raise
            problems.append(f"{capture.path!r} cannot be copied: {error.strerror}")
    return msgspec.structs.replace(run, path=into / FILE_NAME)


_OF_THE_NAME = frozenset(
    {errno.EEXIST, errno.EILSEQ, errno.EINVAL, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOTDIR}
)
"""Errors of a file's name alone: others can still be written."""


def _copy_file(source: Path, to: Path, most: int) -> None:
    """Copy a regular file; BadFile if it cannot be read, OSError if not written."""
    with opened(source, most) as file, own_folder.create(to) as copy:
        while True:
            try:
                chunk = file.read(1 << 20)
            except OSError as error:
                raise BadFile(f"{source}: {error.strerror}") from None
            if not chunk:
                return
            try:
                copy.write(chunk)
                copy.flush()
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(to)) from None
