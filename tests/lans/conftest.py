"""Fixtures: every LAN that can run here, and a private folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import registry
from harness.lan import Lan
from tests.lans.real import REAL


@pytest.fixture(params=REAL)
def real(request: pytest.FixtureRequest) -> str:
    """The name of every LAN that can run here."""
    name: str = request.param
    if reason := REAL[name].missing():
        pytest.skip(reason)
    return name


@pytest.fixture
def network(real: str) -> Iterator[Lan]:
    lan = registry.create(real)
    try:
        yield lan
    finally:
        lan.close()


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where this test's LANs make their directories; its path is short, as sockets need."""
    made = Path(tempfile.mkdtemp(prefix="t-"))
    monkeypatch.setenv("TMPDIR", str(made))
    try:
        yield made
    finally:
        shutil.rmtree(made)
