"""A LAN that floods fails soon, as a storm, and little of the flood is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from _pytest.pytester import Pytester
from click.testing import CliRunner

from harness.cli.main import main
from harness.evidence import results
from harness.exchange import Testbench
from harness.frames import ethernet
from harness.lan import CALM, COPIES, Storm
from tests.lans.test_trouble import Wired, wired
from tests.lans.users import CLASS, SUITE, lan_name, program

__all__ = ["wired"]

TIMES_201 = """
def forward(self, sender, frame):
    for _ in range(201):
        Hub.forward(self, sender, frame)
"""
ENDLESS = """
def forward(self, sender, frame):
    Hub.forward(self, sender, frame)
    if frame[0] & 1:
        return
    while sys.stdin not in [key.fileobj for key, _ in self.waiting.select(0)]:
        Hub.forward(self, sender, frame)
"""


def stormy(pytester: Pytester, lan: str) -> results.Result:
    """The one test of a run on a LAN; it must fail as a storm, and leave little."""
    pytester.makepyfile(test_it=SUITE)
    result = pytester.runpytest_subprocess("--lan", lan, "--reports", "reports")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    (test,) = results.read(pytester.path / "reports").tests
    assert test.outcome == "failed"
    assert test.reason.startswith("storm: ")
    files = [path for path in (pytester.path / "reports").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 2_000_000
    return test


@pytest.mark.parametrize("body", [TIMES_201, ENDLESS], ids=["201 times", "endless"])
def test_a_program_that_floods(pytester: Pytester, tmp_path: Path, body: str) -> None:
    stormy(pytester, lan_name(program(tmp_path, body)))


def changed(old: str, new: str) -> str:
    assert old in CLASS
    return CLASS.replace(old, new)


APPEND = "port.arrived.append(Arrival(time.time_ns(), frame, bool(mine)))"
RETURN = "arrived, self.arrived = self.arrived, []\n        return arrived"


@pytest.mark.parametrize(
    "text",
    [
        changed(APPEND, f"for _ in range(201): {APPEND}"),
        changed(
            RETURN,
            "import itertools\n"
            "        arrived, self.arrived = self.arrived, []\n"
            "        return itertools.cycle(arrived)",
        ),
    ],
    ids=["201 times", "endless"],
)
def test_a_class_that_floods(
    pytester: Pytester, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    pytester.makepyfile(mine=text)
    monkeypatch.setenv("PYTHONPATH", f"{pytester.path}:{Path(__file__).parents[2]}")
    test = stormy(pytester, "python:mine:Lan")
    assert "received " in test.reason
    assert test.reason.endswith(" frames, with 1 sent in all")
    assert test.capture is not None
    shown = CliRunner().invoke(main, ["show", str(pytester.path / "reports" / test.capture.path)])
    assert shown.exit_code == 0


def test_frames_that_are_kept_for_a_port_are_bounded(wired: Wired) -> None:
    lan, wires = wired
    sender, owner, _ = lan.ports(3)
    sender.send(ethernet(owner, sender))
    lan.settle()
    wires[2].floods = True
    with pytest.raises(Storm, match=r"^storm: port3 received \d+ frames, with 1 sent in all$"):
        lan.settle()
    assert len(lan.ports(3)[2].arrivals()) == CALM + COPIES + 1
    assert len(lan.records()) < CALM + COPIES + 10


def test_many_frames_that_were_asked_for_are_no_storm(wired: Wired) -> None:
    lan, _ = wired
    bench = Testbench(lan, shared=True)
    sender, owner, _ = bench.ports(3)
    for turn in range(10):
        frames = [ethernet(owner, sender, stamp=60 * turn + n) for n in range(60)]
        bench.exchange(sender, *frames)
    bench.finish()
    kinds = {violation.kind for violation in bench.violations}
    assert kinds <= {"unexpected receiver"}  # these wires are a hub
