"""Correct LANs of each kind are green to the last test, also as programs behind sockets."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lans.users import lan_name

PROGRAM = Path(__file__).with_name("kinds.py")
KINDS = ("repeater", "learning", "directory")
STARTING_S = 20.0

LONG = "not sixteen_bits"
"""All tests but one, which sends 66,000 frames."""


@contextmanager
def on_a_socket(kind: str, folder: Path) -> Iterator[str]:
    """The program as a LAN for ``stream:``."""
    path = folder / "lan.sock"
    program = subprocess.Popen([sys.executable, str(PROGRAM), kind, str(path)])
    try:
        deadline = time.monotonic() + STARTING_S
        while not path.exists():
            assert program.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield f"stream:{path};kind={kind}"
    finally:
        program.kill()
        program.wait()


def red_of(lan: str, folder: Path) -> str:
    """What the suite prints of a LAN, if it is not green."""
    command = [sys.executable, "-m", "harness.cli", "run", f"mine={lan}", "--", "-q", "-k", LONG]
    run = subprocess.run(
        [*command, "--no-captures", "--allow-unsupported"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if run.returncode == 0 else run.stdout + run.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_correct_program_is_green(kind: str, tmp_path: Path) -> None:
    assert red_of(lan_name([sys.executable, str(PROGRAM), kind]), tmp_path) == ""


@pytest.mark.parametrize("kind", ["repeater", "learning"])  # a stream announces no addresses
def test_a_correct_program_on_a_socket_is_green(kind: str, tmp_path: Path) -> None:
    with on_a_socket(kind, tmp_path) as lan:
        assert red_of(lan, tmp_path) == ""
