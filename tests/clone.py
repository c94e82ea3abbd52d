"""A clean copy of the project, for tests that run its commands as a reader would."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def clone(folder: Path) -> Path:
    """The project as git would give it, with the Python that runs this as its ``.venv``."""
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
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(bin_folder.parent)
    return folder
