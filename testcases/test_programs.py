"""PRG. Random programs; ``--campaign N`` tries N seeds of each."""

from __future__ import annotations

import pytest

from harness.exchange import Testbench
from harness.plugin.marks import rule
from harness.suite import programs
from harness.suite.programs import NewBench


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        count: int = metafunc.config.getoption("campaign")
        metafunc.parametrize("seed", range(count), ids=lambda seed: f"seed{seed}")


@rule("PRG-1")
def test_a_program_that_sends_one_frame_at_a_time(
    lan: Testbench, new_bench: NewBench | None, seed: int
) -> None:
    programs.check(programs.program(seed, lan.traits, bursts=False), lan, new_bench)


@rule("PRG-1")
def test_a_program_that_sends_bursts(lan: Testbench, new_bench: NewBench | None, seed: int) -> None:
    programs.check(programs.program(seed, lan.traits, bursts=True), lan, new_bench)
