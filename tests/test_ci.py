"""Workflows and commit hooks: their steps are run here, in a clean copy."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from harness.cli.main import main
from harness.evidence import merge
from tests.clone import ROOT, clone

WORKFLOW = ROOT / "fixtures" / "ci" / "conformance.yml"
OWN_WORKFLOW = ROOT / ".github" / "workflows" / "test.yml"
HOOKS = ROOT / ".pre-commit-config.yaml"
FEW = "not host and (runt or own_address)"
"""A few tests of the suite; the workflow runs it all."""


@pytest.fixture
def jobs() -> dict[str, Any]:
    return jobs_of(WORKFLOW)


def jobs_of(workflow: Path) -> dict[str, Any]:
    jobs: dict[str, Any] = yaml.safe_load(workflow.read_text())["jobs"]
    return jobs


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A clean copy of the project."""
    return clone(tmp_path / "clone")


def filled_in(text: str, shard: int, total: int) -> str:
    values = {"matrix.shard": str(shard), "strategy.job-total": str(total)}
    return re.sub(r"\$\{\{ *([a-z.-]+) *\}\}", lambda match: values[match[1]], text)


def run_steps(
    job: dict[str, Any], project: Path, summary: Path, shard: int, total: int
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
            cwd=project,
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": str(project),
                "PYTHONPATH": str(project),
                "PYTEST_ADDOPTS": f'-p no:randomly -k "{FEW}"',
                "GITHUB_STEP_SUMMARY": str(summary),
            },
            capture_output=True,
            text=True,
        )
        print(command, done.stdout, done.stderr, sep="\n")
        yield done.returncode


def upload(job: dict[str, Any], project: Path, into: Path, shard: int, total: int) -> None:
    """What actions/upload-artifact does; names that it refuses are refused here."""
    (step,) = [step for step in job["steps"] if "upload-artifact" in step.get("uses", "")]
    assert step["if"] == "always()"
    source = project / step["with"]["path"]
    odd = [path for path in source.rglob("*") if set('":<>|*?\r\n') & set(path.name)]
    assert odd == []
    shutil.copytree(source, into / filled_in(step["with"]["name"], shard, total))


@pytest.mark.parametrize("workflow", [WORKFLOW, OWN_WORKFLOW], ids=lambda path: path.stem)
def test_every_step_is_one_that_exists(workflow: Path) -> None:
    for job in jobs_of(workflow).values():
        assert job["runs-on"] == "ubuntu-latest"
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            if "uses" in step:
                assert re.fullmatch(r"actions/[a-z-]+@v[0-9]+", step["uses"])


def test_the_projects_own_workflow_runs_all_tests(project: Path) -> None:
    (job,) = jobs_of(OWN_WORKFLOW).values()
    (command,) = [step["run"] for step in job["steps"] if step.get("run", "").startswith("make ")]
    done = subprocess.run(
        [*command.split(), "--dry-run"], cwd=project, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for check in ("ruff check", "mypy", "rules --coverage", "pytest testcases tests"):
        assert check in done.stdout


def test_the_commit_hooks_run(project: Path) -> None:
    """Each hook passes a good file; those of ruff refuse a bad one."""
    good, bad = project / "good.py", project / "bad.py"
    good.write_text('"""Good."""\n\nVALUE = 1\n')
    bad.write_text("import os\nVALUE = ( 1)\n")
    (repository,) = yaml.safe_load(HOOKS.read_text())["repos"]
    for hook in repository["hooks"]:
        command = hook["entry"].split()
        if hook.get("pass_filenames", True):
            assert subprocess.run([*command, good.name], cwd=project).returncode == 0
            assert subprocess.run([*command, bad.name], cwd=project).returncode == 1
        else:  # it checks the whole project, as `make test` does
            assert subprocess.run([*command, "--version"], cwd=project).returncode == 0


def test_the_steps_make_one_report(jobs: dict[str, Any], project: Path, tmp_path: Path) -> None:
    assert list(jobs) == ["shard", "report"]
    shards = jobs["shard"]["strategy"]["matrix"]["shard"]
    assert shards == list(range(1, len(shards) + 1))
    for shard in shards:
        summary = tmp_path / f"summary-{shard}"
        codes = list(run_steps(jobs["shard"], project, summary, shard, len(shards)))
        assert codes == [0, 0]
        assert summary.read_text().startswith("### ")
        upload(jobs["shard"], project, tmp_path / "artifacts", shard, len(shards))
        shutil.rmtree(project / "reports")
    (download,) = [
        job["with"] for job in jobs["report"]["steps"] if "download" in job.get("uses", "")
    ]
    for artifact in (tmp_path / "artifacts").glob(download["pattern"]):
        shutil.copytree(artifact, project / download["path"] / artifact.name)
    summary = tmp_path / "summary"
    assert list(run_steps(jobs["report"], project, summary, 0, 0)) == [0, 0]
    upload(jobs["report"], project, tmp_path / "artifacts", 0, 0)
    report = tmp_path / "artifacts" / "report"
    runs = merge.load(sorted((report / "runs").iterdir()))
    assert [run.run.shard for run in runs.runs] == [f"{n}/{len(shards)}" for n in shards]
    assert runs.problems == ()
    assert {test.result.lan for test in runs.tests} == {"lguest", "lguest-repaired"}
    assert (report / "index.html").exists()
    assert "| DLV-" in summary.read_text()
    judged = CliRunner().invoke(main, ["judge", *(str(run.path) for run in runs.runs)])
    assert judged.exit_code == 0, judged.output

    # Without a share it is red, and it says which.
    shutil.rmtree(project / "shards" / "results-2")
    assert list(run_steps(jobs["report"], project, summary, 0, 0)) == [0, 1]
    assert "missing shard 2/3" in summary.read_text()
    shutil.rmtree(project / "shards")
    assert list(run_steps(jobs["report"], project, summary, 0, 0)) == [0, 2]
