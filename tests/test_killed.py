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
from harness.evidence import lock, merge, results
from harness.evidence.answer import CANNOT_WRITE
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
    saved = results.read(tmp_path / "reports")
    assert saved.end is None
    assert count - 1 <= len(saved.tests) < COUNT
    assert len(saved.tests) + len(saved.unfinished()) == COUNT
    assert [judged for judged in judge_all(saved) if judged.problems or judged.exchanges != 1] == []
    assert len(saved.problems) <= 1  # the line that was being written
    result = CliRunner().invoke(main, ["judge", str(tmp_path / "reports")])
    assert result.exit_code == 1
    assert result.output.count("unfinished: ") == len(saved.unfinished())


def test_a_killed_run_makes_a_report_with_its_unfinished_tests(tmp_path: Path) -> None:
    kill_after(tmp_path, 10)
    into = tmp_path / "merged"
    result = CliRunner().invoke(main, ["report", str(tmp_path / "reports"), "-o", str(into)])
    assert result.exit_code == 1, result.output
    runs = merge.load([tmp_path / "reports"])
    assert f"unfinished: {runs.unfinished[0]}" in result.output
    page = (into / "index.html").read_text()
    assert all(test.partition("[")[2] in page for test in runs.unfinished)


INTERRUPTS = """
import os, signal

def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)

@pytest.fixture
def before(lan: Testbench) -> None:
    if "setup" in os.environ["WHERE"]:
        interrupt()

@pytest.fixture
def after(lan: Testbench):
    yield
    if "teardown" in os.environ["WHERE"]:
        interrupt()

@rule("DLV-7")
def test_z_is_interrupted(lan: Testbench, before: None, after: None) -> None:
    if "call" in os.environ["WHERE"]:
        interrupt()
"""


@pytest.mark.parametrize("where", ["setup", "call", "teardown"])
def test_an_interrupt_ends_in_pytests_exit_code_and_a_report(tmp_path: Path, where: str) -> None:
    suite = MANY.replace(str(COUNT), "5") + INTERRUPTS
    done = run(tmp_path, "--lan", "lguest", suite=suite, WHERE=where)
    assert done.returncode == pytest.ExitCode.INTERRUPTED, done.stdout + done.stderr
    assert "Error" not in done.stdout + done.stderr
    saved = results.read(tmp_path / "reports")
    assert saved.end is not None
    assert saved.end.exit_code == pytest.ExitCode.INTERRUPTED
    assert len(saved.tests) == 5
    assert saved.unfinished() == [f"{FILE}::test_z_is_interrupted[lguest]"]
    assert "1 unfinished" in (tmp_path / "reports" / "index.html").read_text()


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
    saved = results.read(tmp_path / "reports")
    assert saved.problems == []
    assert saved.unfinished() == []
    words = {test.id: test.outcome for test in saved.tests}
    (dead,) = [test for test in saved.tests if test.outcome != "passed"]
    assert len(words) == 21
    assert (dead.id, dead.outcome) == (f"{FILE}::test_dies[lguest]", "failed")
    assert (list(dead.rules), dead.lan) == (["DLV-7"], "lguest")
    assert dead.doc == "It takes its process along."
    assert "crashed while running" in dead.reason
    assert [judged for judged in judge_all(saved) if judged.problems] == []


def test_a_run_that_crashes_alone_is_unfinished(tmp_path: Path) -> None:
    done = run(tmp_path, suite=CRASH)
    assert done.returncode == 3
    saved = results.read(tmp_path / "reports")
    assert saved.end is None
    assert saved.unfinished() == [f"{FILE}::test_dies[lguest]"]
    assert [judged for judged in judge_all(saved) if judged.problems] == []


def test_results_that_somebody_else_empties_make_the_run_red(tmp_path: Path) -> None:
    meddling = MANY.replace(str(COUNT), "2") + (
        "\ndef test_meddles(pytestconfig) -> None:\n"
        "    (pytestconfig.rootpath / 'reports' / 'results.jsonl').write_text('')\n"
    )
    done = run(tmp_path, suite=meddling)
    assert "results.jsonl: removed or changed during the run" in done.stdout
    assert "INTERNALERROR" not in done.stdout + done.stderr
    assert "3 passed" in done.stdout
    assert done.returncode == pytest.ExitCode.TESTS_FAILED


DISK = """
mount -t tmpfs -o size=$1 none "$2" || exit 99
"$3" -m pytest -p no:cacheprovider -p no:randomly --reports "$2/reports" $4
code=$?
cp -r "$2" "$2.copy"
exit $code
"""


@pytest.mark.parametrize("arguments", ["", "-n 2"], ids=["alone", "two workers"])
@pytest.mark.parametrize("size", ["20k", "40k", "200k"])
def test_a_full_disk_ends_the_run_in_one_line_and_keeps_what_was_written(
    tmp_path: Path, size: str, arguments: str
) -> None:
    put(tmp_path, MANY)
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", DISK, "sh"]
    done = subprocess.run(
        [*words, size, str(disk), sys.executable, arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    if done.returncode == 99 or "unshare failed" in done.stderr:
        pytest.skip(f"no mount namespace here: {done.stderr.strip()}")
    said = done.stdout + done.stderr
    assert done.returncode == CANNOT_WRITE, said
    assert said.count("No space left on device") >= 1
    assert "Traceback" not in said
    assert "INTERNALERROR" not in said
    saved = results.read(Path(f"{disk}.copy") / "reports")
    assert [problem for problem in saved.problems if "not a line" in problem] == []
    assert len(saved.tests) + len(saved.unfinished()) == COUNT
    assert [judged for judged in judge_all(saved) if judged.problems] == []


def test_results_that_cannot_be_opened_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "reports" / "results.jsonl").mkdir(parents=True)
    done = run(tmp_path, suite=MANY)
    assert done.returncode == CANNOT_WRITE
    assert "reports/results.jsonl: Is a directory" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["alone", "two workers"])
def test_a_second_run_into_one_folder_says_who_writes_there(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    put(tmp_path, MANY)
    (tmp_path / "reports").mkdir()
    with lock.hold(tmp_path / "reports"):
        done = run(tmp_path, "--lan", "lguest", *arguments, suite=MANY)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"another run writes there (process {os.getpid()}, since" in done.stderr
    assert not (tmp_path / "reports" / "results.jsonl").exists()
    assert run(tmp_path, *arguments, suite=MANY).returncode == 0
