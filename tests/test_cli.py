"""The command: what it lists, and how it ends."""

from __future__ import annotations

import itertools
import subprocess
import sys

from click.testing import CliRunner

from harness import registry
from harness.broken.catalogue import BROKEN
from harness.cli.main import main
from harness.rules import RULES
from harness.suite import coverage


def test_lans_are_listed_with_what_they_are() -> None:
    result = CliRunner().invoke(main, ["lans"])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    names = [line.split()[0] for line in lines if line[0] != " "]
    forms = [*(form.shape for form in registry.FORMS), registry.FILE_SHAPE]
    assert names == [*registry.LANS, *forms, "broken:NAME"]
    assert f"[{registry.LANS['lguest'].version()}]" in lines[0]
    assert all(len(line.split()) > 2 for line in lines)


def test_broken_lans_are_listed_when_asked_for() -> None:
    result = CliRunner().invoke(main, ["lans", "--broken"])
    assert result.exit_code == 0
    names = [line.split()[0] for line in result.output.splitlines()]
    assert names[-len(BROKEN) :] == [f"broken:{name}" for name in BROKEN]


def test_rules_are_listed_with_their_tests() -> None:
    result = CliRunner().invoke(main, ["rules"])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == list(RULES)
    at = lines.index(next(line for line in lines if line.startswith("DLV-2 ")))
    tests = itertools.takewhile(lambda line: line.startswith(" "), lines[at + 1 :])
    owner_alone = "testcases/test_delivery.py::test_unicast_reaches_its_owner_alone"
    assert owner_alone in map(str.strip, tests)


def test_every_rule_has_tests_and_broken_lans() -> None:
    tests = coverage.tests_of_rules()
    breakers = {broken.rule for broken in BROKEN.values()}
    assert set(tests) == set(RULES) == breakers


def test_broken_lans_are_named_as_the_field_writes_names() -> None:
    assert len(BROKEN) >= 60
    for name, broken in BROKEN.items():
        assert name == broken.name == name.lower()
        assert name.replace("-", "").isalnum()
        assert broken.what
        lan = registry.create(f"broken:{name}")
        assert lan.name == f"broken:{name}"
        lan.close()


def test_the_command_has_help_and_a_version() -> None:
    for arguments in (["--help"], ["play", "--help"], ["rules", "-h"], ["--version"]):
        done = subprocess.run(
            [sys.executable, "-m", "harness.cli", *arguments], capture_output=True, text=True
        )
        assert done.returncode == 0
        assert "lguest-harness" in done.stdout or "Usage" in done.stdout
