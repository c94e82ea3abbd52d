"""Exchanges on a bridge while every processor is busy: no verdict is lost or late.

pytest tests/lans/test_load.py --exchanges 10000
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from _pytest.pytester import Pytester

from tests.lans.real import REAL

HOG = "import os, sys\nwhile os.getppid() == int(sys.argv[1]): pass"
"""Keeps a processor busy until its parent has ended."""

LOADED = """
import os
from pathlib import Path

import pytest
from harness.exchange import Testbench
from harness.frames import BROADCAST, ethernet
from harness.plugin.marks import rule

@rule("DLV-2")
@pytest.mark.parametrize("turn", range({lans}))
def test_many(lan: Testbench, turn: int) -> None:
    sender, owner, other = lan.ports(3)
    to_whom = ((owner, [owner]), (other, [other]), (BROADCAST, [owner, other]), (sender, []))
    for stamp in range({exchanges}):
        to, receivers = to_whom[stamp % len(to_whom)]
        frame = ethernet(to, sender, stamp=stamp)
        assert lan.exchange(sender, frame) == {{port: [frame] for port in receivers}}
    Path({folder!r}, str(turn)).write_text(str(os.getpid()))
"""


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """A busy process for every processor."""
    command = [sys.executable, "-c", HOG, str(os.getpid())]
    hogs = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


@pytest.mark.parametrize("lans", [1, 2])
def test_no_verdict_is_lost_or_late_while_all_cores_are_busy(
    lans: int, pytester: Pytester, pytestconfig: pytest.Config
) -> None:
    if reason := REAL["bridge"].missing():
        pytest.skip(reason)
    exchanges = pytestconfig.getoption("exchanges")
    folder = pytester.mkdir("workers")
    suite = LOADED.format(lans=lans, exchanges=exchanges, folder=str(folder))
    pytester.makepyfile(test_suite=suite)
    with busy():
        result = pytester.runpytest_subprocess("--lan", "bridge", "-n", str(lans), "-v")
    assert result.parseoutcomes() == {"passed": lans}
    workers = {path.read_text() for path in folder.iterdir()}
    assert len(workers) == lans, "every worker has a LAN of its own"
