"""One target for each reader of files: damaged input is read, or refused in one line.

``FUZZ_INPUTS`` is how many inputs each target gets (``make fuzz``: 20,000), ``FUZZ_FROM``
where their numbers begin. An input is made from its number, which a failure names; those
that once failed are kept in ``KEPT`` and always tried.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from harness import deviations, registry
from harness.evidence import judge, merge, own_folder, results
from harness.evidence.reader import BadCapture, parse
from harness.evidence.results import BadResults
from harness.evidence.text import visible
from harness.lan import LanError
from harness.report import compare, html, show, summary
from harness.suite import recordings
from tests.fuzz.damage import damaged

INPUTS = int(os.environ.get("FUZZ_INPUTS", "150"))
FIRST = int(os.environ.get("FUZZ_FROM", "0"))
KEPT: dict[str, Sequence[int]] = {"recording": (453, 1560), "marker": (143, 6309)}
"""Target to the numbers of inputs that it once failed on."""

ROOT = Path(__file__).parents[2]
Target = Callable[[Path, bytes], None]


def one_line(error: Exception) -> None:
    assert "\n" not in visible(str(error))
    assert str(error)


def capture(path: Path, content: bytes) -> None:
    try:
        packets = parse(path, content)
    except BadCapture as error:
        one_line(error)
        packets = None
    path.write_bytes(content)
    try:
        shown = list(show.show(path, 80))
    except BadCapture as error:
        one_line(error)
        assert packets is None
    else:
        assert packets is not None
        assert all("\n" not in line for line in shown)


def result_file(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        run = results.read(path)
    except BadResults as error:
        one_line(error)
        return
    for judged in judge.judge_all(run):
        assert all(isinstance(problem, str) for problem in judged.problems)
    with contextlib.suppress(BadResults):
        runs = merge.load([path])
        assert all(line.isprintable() for line in summary.markdown(runs).splitlines())
        html.write(runs, path.parent)
    compare.answer(path, path)


def deviations_file(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        deviations.read(path)
    except LanError as error:
        one_line(error)


def recording(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for _, scenario in recordings.scenarios(path):
        try:
            for disagreement in recordings.play(scenario):
                assert visible(str(disagreement)).isprintable()
        except recordings.BadRecording as error:
            one_line(error)


def marker(path: Path, content: bytes) -> None:
    copy = path.parent / "copy"
    kept = path.parent / "kept"
    kept.write_text("kept")
    copy.mkdir()
    try:
        (copy / own_folder.MARKER).write_bytes(content)
        own_folder.remove_copy(copy)
        assert kept.read_text() == "kept"
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def shard(_path: Path, content: bytes) -> None:
    from harness.evidence import shards

    text = content.decode("utf-8", "surrogateescape")
    read = shards.read(text)
    assert read is None or 1 <= read.number <= read.total


def lan_name(_path: Path, content: bytes) -> None:
    text = content.decode("utf-8", "surrogateescape")
    with contextlib.suppress(LanError):
        registry.entries([text])


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (capture, result_file, deviations_file, recording, marker, shard, lan_name)
}


@pytest.fixture
def corpus(small: Path) -> dict[str, Sequence[bytes]]:
    """Valid inputs for each target."""
    recorded = sorted((ROOT / "fixtures" / "recorded").glob("*.jsonl"))
    lines = [line for path in recorded for line in path.read_bytes().splitlines()[:3]]
    return {
        "capture": [path.read_bytes() for path in sorted(small.rglob("*.pcapng"))],
        "result_file": [(small / "results.jsonl").read_bytes()],
        "deviations_file": [path.read_bytes() for path in sorted(deviations.FOLDER.glob("*.toml"))],
        "recording": lines,
        "marker": [b'"results.jsonl"\n"captures/a/b.pcapng"\n"../kept"\n'],
        "shard": [b"1/3", b"12/400"],
        "lan_name": [b"lguest", b"broken:hears-its-own-groups", b"command:./x -y", b"old=bridge"],
    }


def numbers(target: str) -> Iterator[int]:
    yield from KEPT.get(target, ())
    yield from range(FIRST, FIRST + INPUTS)


@pytest.mark.parametrize("target", TARGETS)
def test_damaged_input_is_read_or_refused(
    target: str, corpus: dict[str, Sequence[bytes]], small: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(small, tmp_path / "reports"))
    path = folder / ("results.jsonl" if target == "result_file" else "input")
    assert corpus[target]
    for number in numbers(target):
        content = damaged(f"{target}:{number}", corpus[target])
        try:
            TARGETS[target](path, content)
        except Exception as error:
            raise AssertionError(f"{target}, input {number}: {error!r}") from error
