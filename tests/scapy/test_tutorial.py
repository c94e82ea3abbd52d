"""docs/scapy.md and docs/replay.md, typed in line by line."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.clone import ROOT

RUN = (
    "import doctest, sys; failed, tried = doctest.testfile(sys.argv[1], module_relative=False,"
    " optionflags=doctest.ELLIPSIS); print(tried); sys.exit(failed)"
)


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    page = ROOT / "docs" / "scapy.md"
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(page)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    examples = doctest.DocTestParser().get_examples(page.read_text())
    assert int(done.stdout) == len(examples) > 20
    assert (tmp_path / "talk.pcapng").stat().st_size > 1000


def test_the_commands_of_replay_run(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "replay.md").read_text()
    commands = re.findall(r"^\$ lguest-harness (.+)$", page, re.MULTILINE)
    assert len(commands) == 2
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "harness.cli", *shlex.split(command)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
