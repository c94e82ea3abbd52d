"""LANs written for version 0.1 run the suite unchanged, with the verdicts of today's examples."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from _pytest.pytester import Pytester

from harness.evidence import results
from tests.lans.users import EXAMPLES, FOR_ANY_LAN, lan_name

VERSION_0_1 = EXAMPLES / "version-0.1"
"""Frozen: what users wrote against that version."""


def verdicts(pytester: Pytester, name: str, reports: Path) -> dict[str, str]:
    """The verdict of every test of the suite on a LAN, by the test's name."""
    result = pytester.runpytest_subprocess(
        *FOR_ANY_LAN, "--lan", name, "--reports", str(reports), "-p", "no:cacheprovider"
    )
    assert result.ret in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    return {test.id.replace(name, "LAN"): test.outcome for test in results.read(reports).tests}


def test_a_class_for_version_0_1_gets_the_verdicts_of_todays_class(
    pytester: Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = []
    for folder in (VERSION_0_1, EXAMPLES):
        monkeypatch.setenv("PYTHONPATH", str(folder))
        both.append(verdicts(pytester, "python:hub_class:Hub", pytester.path / folder.name))
    assert both[0] == both[1]
    assert list(both[0].values()).count("passed") > 90


def test_a_program_for_version_0_1_gets_the_verdicts_of_todays_program(pytester: Pytester) -> None:
    old, new = (
        verdicts(
            pytester,
            lan_name([sys.executable, str(folder / "hub.py")]),
            pytester.path / folder.name,
        )
        for folder in (VERSION_0_1, EXAMPLES)
    )
    assert old == new
    assert list(old.values()).count("passed") > 90
