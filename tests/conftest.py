"""What several tests of the harness need."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import small_run

Tshark = Callable[..., list[dict[str, list[str]]]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--exchanges",
        metavar="N",
        type=int,
        default=1000,
        help="exchanges per LAN while every processor is busy (default: %(default)s)",
    )


@pytest.fixture
def tshark() -> Tshark:
    """Reads a capture back: the named fields of each packet, each a list of values."""
    program = shutil.which("tshark")
    if program is None:
        pytest.skip("tshark is not installed (apt-get install tshark)")

    def read(path: Path, *fields: str) -> list[dict[str, list[str]]]:
        command = [program, "-n", "-r", str(path), "-T", "json"]
        for field in ("frame.number", *fields):
            command += ["-e", field]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        packets: list[dict[str, Any]] = json.loads(done.stdout)
        return [packet["_source"]["layers"] for packet in packets]

    return read


@pytest.fixture(autouse=True)
def _no_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs inside tests add nothing to the summary of the CI that runs these."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reports of a small run; to be read only."""
    folder = tmp_path_factory.mktemp("small")
    done = small_run.run(folder)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    return folder / "reports"


@pytest.fixture
def reports(small: Path, tmp_path: Path) -> Path:
    """A copy of the reports of a small run, to be changed."""
    return Path(shutil.copytree(small, tmp_path / "reports"))
