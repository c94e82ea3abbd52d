"""The workflow in ``fixtures/ci``: its steps are run here, in a clean copy."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from harness.cli.main import main
from harness.evidence import merge

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / "fixtures" / "ci" / "conformance.yml"
FEW = "not host and (runt or own_address)"
"""A few tests of the suite; the workflow runs it all."""


@pytest.fixture
def jobs() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    return found


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The project as git would give it, with the Python that runs this."""
    git = shutil.which("git")
    bin_folder = Path(sys.executable).parent
    if git is None or not (ROOT / ".git").exists() or not (bin_folder / "lguest-harness").exists():
        pytest.skip("not a git checkout with a virtual environment")
    listed = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    folder = tmp_path / "clone"
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(bin_folder.parent)
    return folder


def filled_in(text: str, shard: int, total: int) -> str:
    values = {"matrix.shard": str(shard), "strategy.job-total": str(total)}
    return re.sub(r"\$\{\{ *([a-z.-]+) *\}\}", lambda match: values[match[1]], text)


def run_steps(
    job: dict[str, Any], clone: Path, summary: Path, shard: int, total: int
) -> Iterator[int]:
    """Run the commands of a job; the exit code of each."""
    for step in job["steps"]:
        if "run" not in step:
            continue
        command = filled_in(step["run"], shard, total)
        if command.startswith("make "):
            command += " --dry-run"  # it would make this very environment anew
        done = subprocess.run(
            ["bash", "-e", "-c", command],
            cwd=clone,
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": str(clone),
                "PYTHONPATH": str(clone),
                "PYTEST_ADDOPTS": f'-p no:randomly -k "{FEW}"',
                "GITHUB_STEP_SUMMARY": str(summary),
            },
            capture_output=True,
            text=True,
        )
        print(command, done.stdout, done.stderr, sep="\n")
        yield done.returncode


def upload(job: dict[str, Any], clone: Path, into: Path, shard: int, total: int) -> None:
    """What actions/upload-artifact does; names that it refuses are refused here."""
    (step,) = [each for each in job["steps"] if "upload-artifact" in each.get("uses", "")]
    assert step["if"] == "always()"
    source = clone / step["with"]["path"]
    odd = [path for path in source.rglob("*") if set('":<>|*?\r\n') & set(path.name)]
    assert odd == []
    shutil.copytree(source, into / filled_in(step["with"]["name"], shard, total))


def test_every_step_is_one_that_exists(jobs: dict[str, Any]) -> None:
    assert list(jobs) == ["shard", "report"]
    for job in jobs.values():
        assert job["runs-on"] == "ubuntu-latest"
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            if "uses" in step:
                assert re.fullmatch(r"actions/[a-z-]+@v[0-9]+", step["uses"])


def test_the_steps_make_one_report(jobs: dict[str, Any], clone: Path, tmp_path: Path) -> None:
    shards = jobs["shard"]["strategy"]["matrix"]["shard"]
    assert shards == list(range(1, len(shards) + 1))
    for shard in shards:
        summary = tmp_path / f"summary-{shard}"
        codes = list(run_steps(jobs["shard"], clone, summary, shard, len(shards)))
        assert codes == [0, 0]
        assert summary.read_text().startswith("### ")
        upload(jobs["shard"], clone, tmp_path / "artifacts", shard, len(shards))
        shutil.rmtree(clone / "reports")
    (download,) = [
        job["with"] for job in jobs["report"]["steps"] if "download" in job.get("uses", "")
    ]
    for each in (tmp_path / "artifacts").glob(download["pattern"]):
        shutil.copytree(each, clone / download["path"] / each.name)
    summary = tmp_path / "summary"
    assert list(run_steps(jobs["report"], clone, summary, 0, 0)) == [0, 0]
    upload(jobs["report"], clone, tmp_path / "artifacts", 0, 0)
    got = tmp_path / "artifacts" / "report"
    runs = merge.load(sorted((got / "runs").iterdir()))
    assert [each.run.shard for each in runs.runs] == [f"{n}/{len(shards)}" for n in shards]
    assert runs.problems == ()
    assert {test.result.lan for test in runs.tests} == {"lguest", "lguest-repaired"}
    assert (got / "index.html").exists()
    assert "| DLV-" in summary.read_text()
    judged = CliRunner().invoke(main, ["judge", *(str(each.path) for each in runs.runs)])
    assert judged.exit_code == 0, judged.output

    # Without a share it is red, and it says which.
    shutil.rmtree(clone / "shards" / "results-2")
    assert list(run_steps(jobs["report"], clone, summary, 0, 0)) == [0, 1]
    assert "without shard 2/3" in summary.read_text()
    shutil.rmtree(clone / "shards")
    assert list(run_steps(jobs["report"], clone, summary, 0, 0)) == [0, 2]
