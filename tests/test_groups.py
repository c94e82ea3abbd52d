"""Failures grouped by their cause, as the terminal and the report show them."""

from __future__ import annotations

import pytest
from _pytest.pytester import Pytester

from harness.evidence.groups import cause, crash, groups
from harness.evidence.results import Difference, Result


def red(number: int, *differences: Difference, reason: str = "so", lan: str = "x") -> Result:
    return Result(
        f"test.py::test_{number}[{lan}]",
        ["DLV-2"],
        lan,
        "failed",
        reason=reason,
        differences=differences,
    )


def stray(port: str, size: int) -> Difference:
    text = f"the frame of {size} bytes from a is not for this port"
    return Difference("unexpected receiver", port, text, "unicast", "WIRE-2")


def test_one_cause_at_several_ports_is_one_group() -> None:
    lost = Difference("missing", "p2", "the frame of 60 bytes from a", "broadcast", "WIRE-1")
    tests = [red(1, stray("p3", 60)), red(2, lost), red(3, stray("p4", 99), lost)]
    first, second = groups(tests)
    assert (first.rule, first.cause) == ("WIRE-2", "unicast reaches p3 and p4 too")
    assert [test.id for test in first.tests] == [tests[0].id, tests[2].id]
    assert (second.rule, second.cause) == ("WIRE-1", "broadcast does not reach p2")


def test_lans_and_other_reasons_stay_apart() -> None:
    tests = [
        red(1, stray("p3", 60)),
        red(2, stray("p3", 60), lan="y"),
        red(3, reason="counter tx_packets of guest1: 3, expected 4"),
        red(4, reason="counter tx_packets of guest2: 5, expected 8"),
        red(5, reason="the slot is used"),
    ]
    assert [len(group.tests) for group in groups(tests)] == [2, 1, 1, 1]
    assert groups(tests)[0].cause == "counter tx_packets of guest1: 3, expected 4"


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("altered", "1 of 60 bytes, the first at 14", "arrives altered, the first byte at 14"),
        ("longer", "4 bytes more: looks like an FCS", "arrives longer: looks like an FCS"),
        ("returned to sender", "its own frame came back", "comes back to its sender"),
        ("duplicate", "the frame of 60 bytes arrived 3 times", "arrives at p2 more than once"),
        ("truncated", "20 of 60 bytes arrived", "arrives truncated"),
    ],
)
def test_every_kind_has_a_cause_in_words(kind: str, text: str, expected: str) -> None:
    assert cause(Difference(kind, "p2", text, "unicast", "WIRE-6"), "p2") == f"unicast {expected}"


@pytest.mark.parametrize(
    ("reason", "ended"),
    [
        ("x: settle: it has ended with exit code 139", "exit code 139"),
        ("x: settle: it was killed by SIGSEGV", "SIGSEGV"),
        ("x: settle: it has ended with exit code 0", ""),
        ("x: no answer within 5 s", ""),
    ],
)
def test_a_crash_is_known_by_how_the_program_ended(reason: str, ended: str) -> None:
    test = Result("test.py::test", ["DLV-2"], "x", "inconclusive", reason=reason)
    assert crash(test) == ended


SUITE = """
import pytest
from harness.exchange import Testbench
from harness.frames import ethernet
from harness.plugin.marks import rule

@rule("DLV-2")
@pytest.mark.parametrize("n", range(24))
def test_many(lan: Testbench, n: int) -> None:
    sender, owner, other = lan.ports(3)
    frame = ethernet(owner, sender, stamp=n)
    assert lan.exchange(sender, frame) == {other: [frame], owner: [frame]}

@rule("DLV-2")
def test_alone(lan: Testbench) -> None:
    sender, owner, other = lan.ports(3)
    frame = ethernet(owner, sender)
    assert lan.exchange(sender, frame) == {}
"""


def test_a_run_prints_one_failure_of_each_cause_and_then_the_causes(pytester: Pytester) -> None:
    pytester.makepyfile(test_suite=SUITE)
    result = pytester.runpytest_subprocess("-ra")
    result.assert_outcomes(failed=25)
    titles = [line for line in result.outlines if line.startswith("___")]
    assert len(titles) == 2
    assert "FAILED" not in result.stdout.str()
    result.stdout.fnmatch_lines(
        [
            "E   assert guest3: missing: the frame of 60 bytes from guest1",
            "23 more failed for this cause: *",
            "WIRE-1: 24 tests: unicast does not reach guest3 [[]DLV-2]",
            "WIRE-2: 1 test: unicast reaches guest2 too [[]DLV-2]",
            "    test_suite.py::test_alone[[]lguest]",
            "lguest: judged 1 of 1 rules: 0 passed, 1 failed; 25 of 25 tests are red",
            "report: reports/index.html",
            "=* 25 failed in *",
        ],
        consecutive=False,
    )
    every = pytester.runpytest_subprocess("-v")
    assert len([line for line in every.outlines if line.startswith("___")]) == 25


def test_the_header_names_lan_kind_version_and_rules(pytester: Pytester) -> None:
    pytester.makepyfile(test_suite=SUITE)
    result = pytester.runpytest_subprocess("--lan", "memory-learning", "-k", "alone")
    result.stdout.fnmatch_lines(
        ["LAN: memory-learning (learning, lguest-harness *): * rules apply"]
    )
