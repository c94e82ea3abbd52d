"""Runs that are killed, and workers that crash: what had ended is not lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli.main import main
from harness.evidence import merge, results
from harness.evidence.judge import judge_all
from tests.small_run import FILE, put, run

COUNT = 200
MANY = f"""
import pytest
from harness.exchange import Testbench
from harness.frames import ethernet
from harness.plugin.marks import rule

@rule("DLV-2")
@pytest.mark.parametrize("n", range({COUNT}))
def test_passes(lan: Testbench, n: int) -> None:
    sender, owner, _ = lan.ports(3)
    frame = ethernet(owner, sender, stamp=n)
    assert lan.exchange(sender, frame) == {{owner: [frame]}}
"""


def kill_after(folder: Path, count: int, *arguments: str) -> None:
    """Start a run in a process group of its own, and kill all of it after ``count`` lines."""
    put(folder, MANY)
    path = folder / "reports" / "results.jsonl"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly"]
    process = subprocess.Popen(
        [*command, *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while not path.exists() or path.read_bytes().count(b"\n") < count:
            assert process.poll() is None, "it ended before it could be killed"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["alone", "two workers"])
@pytest.mark.parametrize("count", [1, 2, COUNT // 2])
def test_what_had_ended_is_there(tmp_path: Path, count: int, arguments: tuple[str, ...]) -> None:
    kill_after(tmp_path, count, *arguments)
    found = results.read(tmp_path / "reports")
    assert found.end is None
    assert count - 1 <= len(found.tests) < COUNT
    assert len(found.tests) + len(found.unfinished()) == COUNT
    assert [each for each in judge_all(found) if each.problems or each.exchanges != 1] == []
    assert len(found.problems) <= 1  # the line that was being written
    told = CliRunner().invoke(main, ["judge", str(tmp_path / "reports")])
    assert told.exit_code == 1
    assert told.output.count("unfinished: ") == len(found.unfinished())


def test_a_killed_run_makes_a_report_with_its_unfinished_tests(tmp_path: Path) -> None:
    kill_after(tmp_path, 10)
    into = tmp_path / "merged"
    told = CliRunner().invoke(main, ["report", str(tmp_path / "reports"), "-o", str(into)])
    assert told.exit_code == 1, told.output
    runs = merge.load([tmp_path / "reports"])
    assert f"unfinished: {runs.unfinished[0]}" in told.output
    page = (into / "index.html").read_text()
    assert all(each.partition("[")[2] in page for each in runs.unfinished)


CRASH = (
    MANY.replace(str(COUNT), "20")
    + """
@rule("DLV-7")
def test_dies(lan: Testbench) -> None:
    "It takes its process along."
    import os
    os._exit(3)
"""
)


def test_a_worker_that_crashes_is_a_failure_and_nothing_is_lost(tmp_path: Path) -> None:
    done = run(tmp_path, "-n", "2", suite=CRASH)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    found = results.read(tmp_path / "reports")
    assert found.problems == []
    assert found.unfinished() == []
    words = {test.id: test.outcome for test in found.tests}
    (dead,) = [test for test in found.tests if test.outcome != "passed"]
    assert len(words) == 21
    assert (dead.id, dead.outcome) == (f"{FILE}::test_dies[lguest]", "failed")
    assert (list(dead.rules), dead.lan) == (["DLV-7"], "lguest")
    assert dead.doc == "It takes its process along."
    assert "crashed while running" in dead.reason
    assert [each for each in judge_all(found) if each.problems] == []


def test_a_run_that_crashes_alone_is_unfinished(tmp_path: Path) -> None:
    done = run(tmp_path, suite=CRASH)
    assert done.returncode == 3
    found = results.read(tmp_path / "reports")
    assert found.end is None
    assert found.unfinished() == [f"{FILE}::test_dies[lguest]"]
    assert [each for each in judge_all(found) if each.problems] == []


def test_two_runs_in_one_folder_are_told_and_make_no_traceback(tmp_path: Path) -> None:
    meddling = MANY.replace(str(COUNT), "2") + (
        "\ndef test_meddles(pytestconfig) -> None:\n"
        "    (pytestconfig.rootpath / 'reports' / 'results.jsonl').write_text('')\n"
    )
    done = run(tmp_path, suite=meddling)
    assert "no report: " in done.stdout
    assert "INTERNALERROR" not in done.stdout + done.stderr
    assert "3 passed" in done.stdout
