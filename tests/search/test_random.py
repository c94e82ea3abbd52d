"""Random programs: ``--campaign N`` seeds of them, shared out over workers and hosts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness import registry
from harness.evidence import pcapng
from harness.lans.lguest import LguestLan, lguest
from harness.search.lockstep import Mismatch
from harness.search.programs import PROGRAMS, Tried, try_programs
from tests.search.conftest import Make


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        count: int = metafunc.config.getoption("campaign")
        metafunc.parametrize("seed", range(count), ids=lambda seed: f"seed{seed}")


def run(make: Make, seed: int, reports: Path) -> Tried:
    """One seed; a program that differs leaves its capture."""
    try:
        return try_programs(make, seed)
    except Mismatch as mismatch:
        lan = mismatch.lockstep.lan
        path = reports / f"seed{seed}.pcapng"
        content = pcapng.encode(lan.interfaces(), mismatch.lockstep.records, [str(mismatch)[:2000]])
        pcapng.write(path, content)
        mismatch.add_note(f"\ncapture: {path}")
        raise


def test_random_programs(
    make: Make, covered: Callable[..., None], seed: int, search_reports: Path
) -> None:
    first = run(make, seed, search_reports)
    again = run(make, seed, search_reports)
    assert first == again, f"seed {seed} does not give the same programs twice"
    covered(programs=min(first.programs, PROGRAMS), programs_asked=PROGRAMS, steps=first.steps)


def try_seeds(count: int, tmp_path: Path, make: Make = lguest) -> None:
    for seed in range(count):
        run(make, seed, tmp_path)


def test_the_search_finds_a_defect_and_prints_a_short_program(tmp_path: Path) -> None:
    with pytest.raises(Mismatch) as mismatch:
        try_seeds(30, tmp_path)
    message = str(mismatch.value)
    assert "lockstep = Lockstep(lguest, 3)" in message
    assert len(mismatch.value.lockstep.steps) <= 12
    assert list(tmp_path.glob("seed*.pcapng"))


@pytest.mark.parametrize(
    "name", ["oldest-array-first", "reaches-own-devices", "failed-refill-in-silence"]
)
def test_faults_of_arrays_devices_and_refills_are_found(name: str, tmp_path: Path) -> None:
    def make() -> LguestLan:
        lan = registry.create(f"broken:{name}")
        assert isinstance(lan, LguestLan)
        return lan

    with pytest.raises(Mismatch) as mismatch:
        try_seeds(12, tmp_path, make)
    assert len(mismatch.value.lockstep.steps) <= 12
