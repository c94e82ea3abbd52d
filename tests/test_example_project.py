"""A project of a user's own, with the built wheel in a fresh environment, away from here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAN = "--lan=mine=python:my_switch:Switch"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, as users get it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bin_folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    return folder / "bin"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the example project."""
    return Path(shutil.copytree(ROOT / "fixtures" / "example-project", tmp_path / "project"))


def run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    return subprocess.run(
        command,
        cwd=project,
        env={**clean, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
    )


def lines(results: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in results.read_text().splitlines()]


def test_the_wheel_has_one_top_level_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"harness"}
    assert "harness/testcases/test_delivery.py" in names


def test_its_own_tests_run_on_its_own_lan(project: Path, bin_folder: Path) -> None:
    done = run(project, str(bin_folder / "pytest"), LAN)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout
    first, *tests, _ = lines(project / "reports" / "results.jsonl")
    assert first["own_rules"] == [
        {
            "id": "ACME-1",
            "text": "Port 1 can monitor: in promiscuous mode it receives every frame.",
            "source": "my-switch manual, chapter 3",
        }
    ]
    assert "tests/test_my_switch.py::test_unicast_reaches_its_owner[mine]" in {
        test["id"] for test in tests
    }
    assert "ACME-1" in (project / "reports" / "index.html").read_text()


def test_a_run_without_our_fixtures_leaves_nothing(project: Path, bin_folder: Path) -> None:
    done = run(project, str(bin_folder / "pytest"), "tests/test_unrelated.py")
    assert done.returncode == 0, done.stdout
    assert not (project / "reports").exists()
    assert "rules:" not in done.stdout
    assert "report" not in done.stdout


def test_the_suite_runs_from_the_wheel_with_the_same_test_ids(
    project: Path, bin_folder: Path
) -> None:
    unicast = ["--", "-k", "test_unicast_reaches_its_owner_alone"]
    done = run(project, str(bin_folder / "lguest-harness"), "run", LAN[len("--lan=") :], *unicast)
    assert done.returncode == 0, done.stdout + done.stderr
    first, test, _ = lines(project / "reports" / "results.jsonl")
    assert first["specs"] == {"mine": "python:my_switch:Switch"}
    assert test["id"] == "testcases/test_delivery.py::test_unicast_reaches_its_owner_alone[mine]"
    assert (project / "reports" / str(test["capture"]["path"])).is_file()  # type: ignore[index]


def test_own_rules_are_listed_with_their_tests(project: Path, bin_folder: Path) -> None:
    program = str(bin_folder / "lguest-harness")
    listed = run(project, program, "rules", "tests")
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.splitlines()[:2] == [
        "ACME-1  Port 1 can monitor: in promiscuous mode it receives every frame."
        "  [my-switch manual, chapter 3]",
        "          tests/test_my_switch.py::test_port_1_can_monitor",
    ]
    assert listed.stdout.splitlines()[-1] == "1 rule of your own, 0 without a test"
    untested = run(project, program, "rules", "my_switch.py")
    assert untested.returncode == 1
    assert untested.stderr.strip() == "ACME-1 has no test"
