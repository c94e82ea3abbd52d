"""Control broadcasts: unknown to a LAN beforehand, and the same for the same seed."""

from __future__ import annotations

import re
from pathlib import Path

from _pytest.pytester import Pytester

from harness.evidence import results
from harness.evidence.reader import read
from tests.lans.users import EXAMPLES, lan_name

SILENT = """
from harness.exchange import Testbench
from harness.frames import ethernet
from harness.plugin.marks import rule

@rule("DLV-1")
def test_nothing_arrives(lan: Testbench) -> None:
    sender, _, _ = lan.ports(3)
    assert lan.exchange(sender) == {}
    lan.prove_alive(sender)
"""


def control(pytester: Pytester, name: str, lan: str, *options: str) -> tuple[bytes, results.Run]:
    """The control broadcast of a run, and the first line of its results."""
    pytester.makepyfile(test_it=SILENT)
    result = pytester.runpytest_subprocess("--lan", lan, "--reports", name, *options)
    assert result.ret == 0
    run = results.read(pytester.path / name)
    (test,) = run.tests
    assert test.capture is not None
    packets = read(pytester.path / name / test.capture.path)
    seed = run.run.options.get("wire-seed", "")
    about = (pytester.path / name / test.capture.path).read_bytes()
    assert bool(re.search(b"wire seed: [0-9a-z]+", about)) is bool(seed and lan != "lguest")
    return packets[0].frame, run.run


def test_control_broadcasts_differ_from_run_to_run_and_can_be_repeated(
    pytester: Pytester,
) -> None:
    lan = lan_name(["python3", str(Path(EXAMPLES) / "hub.py")])
    one, run = control(pytester, "one", f"hub={lan}")
    other, _ = control(pytester, "other", f"hub={lan}")
    assert one[:14] == other[:14]
    assert one[14:] != other[14:]
    seed = run.options["wire-seed"]
    assert run.repeat == []
    again, run = control(pytester, "again", f"hub={lan}", "--wire-seed", seed)
    assert again == one
    assert run.options["wire-seed"] == seed
    assert run.repeat == ["--wire-seed", seed]
    in_worker, _ = control(pytester, "worker", f"hub={lan}", "-n", "1", "--wire-seed", seed)
    assert in_worker == one


def test_on_a_simulated_lan_two_runs_leave_the_same_bytes(pytester: Pytester) -> None:
    one, run = control(pytester, "one", "lguest")
    other, _ = control(pytester, "other", "lguest")
    assert one == other
    assert "wire-seed" not in run.options
    seeded, _ = control(pytester, "seeded", "lguest", "--wire-seed", "moon")
    assert seeded != one
