"""`explain`, help and completion."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner, Result

from harness import deviations, registry
from harness.broken.catalogue import BROKEN
from harness.cli.main import main
from harness.rules import RULES


def explained(rule: str) -> Result:
    return CliRunner().invoke(main, ["explain", rule])


def test_a_rule_is_told_with_all_that_is_known_of_it() -> None:
    result = explained("dlv-9")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[:5] == [
        "DLV-9  The bytes that arrive are the bytes that were sent, header included.",
        "",
        "source  D:570, io.c copy_data",
        "scope   any: any LAN",
        "view    host: what a host's card would pass up",
    ]
    tests = lines.index("tests")
    assert lines[tests + 1] == (
        "  testcases/test_bytes_and_order.py::test_real_frames_arrive_as_they_were_sent"
    )
    mine = {
        f"broken:{broken.name}: {broken.what}"
        for broken in BROKEN.values()
        if broken.rule == "DLV-9"
    }
    assert mine
    assert mine == {line.strip() for line in lines if line.startswith("  broken:")}
    at = lines.index("LANs that deviate")
    (shipped,) = (deviation for deviation in deviations.of("lguest") if deviation.rule == "DLV-9")
    assert lines[at + 1 : at + 4] == [
        f"  lguest: {shipped.reason}",
        f"    evidence: {shipped.evidence}",
        f"    shown by {shipped.tests[0]}",
    ]


def test_a_rule_that_every_lan_keeps() -> None:
    known = {deviation.rule for lan in registry.LANS for deviation in deviations.of(lan)}
    kept = next(deviation for deviation in RULES if deviation not in known)
    assert explained(kept).output.endswith("no LAN is known to deviate\n")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("DLV-99", "did you mean DLV-9 or "),
        ("dlv9", "did you mean DLV-9"),
        ("SECT-1", "did you mean SEC-1"),
        ("?", "`lguest-harness rules` lists them"),
    ],
)
def test_an_unknown_rule_is_told_in_one_line(name: str, hint: str) -> None:
    result = explained(name)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"unknown rule {name!r}: {hint}")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", sorted(main.commands))
def test_help_has_an_example_and_the_exit_codes(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    lines = result.output.splitlines()
    assert "\\b" not in result.output
    assert "Exit code" in " ".join(result.output.split())
    at = lines.index("  Example:")
    assert lines[at + 1].startswith(f"    lguest-harness {command}")


def completed(*words: str) -> list[str]:
    """What bash would be offered for the last of the words."""
    environment = {
        **os.environ,
        "_LGUEST_HARNESS_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(("lguest-harness", *words)),
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_rules_and_lans_complete() -> None:
    assert completed("explain", "SEC") == [rule for rule in RULES if rule.startswith("SEC-")]
    assert completed("explain", "dlv-1") == ["DLV-1", "DLV-10", "DLV-11"]
    assert completed("deviations", "lg") == ["lguest", "lguest-repaired"]
    assert completed("deviations", "broken:") == [f"broken:{name}" for name in BROKEN]
    assert completed("sh") == ["show"]


def test_each_command_that_names_a_rule_or_a_lan_completes_it() -> None:
    named = {"rule", "rules", "lan", "lans"}
    for command in main.commands.values():
        context = click.Context(command)
        for parameter in command.params:
            if parameter.name in named and parameter.type is click.STRING:
                assert parameter.shell_complete(context, ""), f"{command.name} {parameter.name}"
