"""What several tests of the harness need."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Tshark = Callable[..., list[dict[str, list[str]]]]


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
