"""Judging a run again: what its evidence does not support is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli.main import main
from harness.evidence import results
from harness.evidence.judge import judge, judge_all
from harness.lan import Record
from tests.small_run import FILE, OUTCOMES, Line, adopt, edit, lines, of, rewrite, run, write

PASSES, SILENT, FAILS = "test_passes[lguest-1]", "test_stays_silent[lguest]", "test_fails[lguest]"
DEVIATES = "test_deviates[lguest]"


def judged(*paths: Path) -> tuple[int, list[str]]:
    """Exit code and lines of the command; the test's file is left out of its id."""
    result = CliRunner().invoke(main, ["judge", *map(str, paths)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output.replace(f"{FILE}::", "").splitlines()


def doubts(reports: Path) -> dict[str, tuple[str, ...]]:
    """Each verdict that is not supported, and why not."""
    saved = judge_all(results.read(reports))
    return {
        judged.test.removeprefix(f"{FILE}::"): judged.problems
        for judged in saved
        if judged.problems
    }


def test_a_run_that_was_left_alone_is_supported(small: Path) -> None:
    assert judged(small) == (
        0,
        [
            "6 of 6 verdicts re-checked (100.0 %): 6 from captures, 0 from recorded values alone;"
            " 0 not supported by the evidence"
        ],
    )
    assert judged(small / "results.jsonl") == judged(small)


def test_the_bytes_of_a_capture_must_be_those_that_were_written(reports: Path) -> None:
    path = reports / of(lines(reports), PASSES)["capture"]["path"]
    content = path.read_bytes()
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 1
        path.write_bytes(changed)
        assert list(doubts(reports)) == [PASSES], f"byte {at} was changed"
    for size in range(len(content)):
        path.write_bytes(content[:size])
        assert list(doubts(reports)) == [PASSES], f"cut to {size} bytes"
    path.unlink()
    assert doubts(reports) == {PASSES: (f"{path}: No such file or directory",)}
    code, said = judged(reports)
    assert code == 1
    assert said[0] == f"{PASSES}: {path}: No such file or directory"
    assert said[-1].endswith("; 1 not supported by the evidence")


def test_no_capture_is_too_damaged_to_be_judged(reports: Path) -> None:
    """With a hash that fits the damage, only its content is left to speak."""
    saved = lines(reports)
    line = of(saved, PASSES)
    path = reports / line["capture"]["path"]
    content = path.read_bytes()
    refuted = 0
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 0xFF
        path.write_bytes(changed)
        adopt(line, path, 2)
        test = results.parse(json.dumps(line).encode())
        assert isinstance(test, results.Result)
        refuted += bool(judge(test, reports).problems)
    assert refuted > 200


@pytest.mark.parametrize("word", sorted({*OUTCOMES.values()}))
@pytest.mark.parametrize("name", [PASSES, SILENT, FAILS, DEVIATES])
def test_an_outcome_that_was_changed_is_caught(reports: Path, name: str, word: str) -> None:
    if OUTCOMES[name] == word:
        assert doubts(reports) == {}
        return
    edit(reports, name, lambda line: line.update(outcome=word))
    assert list(doubts(reports)) == [name]
    assert judged(reports)[0] == 1


def test_a_pass_that_hides_its_reason_is_caught_by_its_capture(reports: Path) -> None:
    edit(reports, FAILS, lambda line: line.update(outcome="passed", reason="", told=[]))
    assert doubts(reports) == {
        FAILS: (
            "passed, but exchange 1 was not delivered as expected",
            "results: DLV-2 passed; capture: DLV-2 failed",
        )
    }


def test_a_rule_that_was_changed_is_caught(reports: Path) -> None:
    edit(reports, FAILS, lambda line: line.update(rules=["DLV-3"]))
    assert doubts(reports) == {FAILS: ("results: DLV-3 failed; capture: DLV-2 failed",)}


def expect(port: str, *frames: Line) -> Callable[[Line], object]:
    return lambda line: line["exchanges"][0]["expected"].update({port: list(frames)})


EXPECTED: dict[str, Callable[[Line], object]] = {
    "nothing": expect("guest2"),
    "another port": expect("guest3", {"length": 60, "packet": 1}),
    "twice": expect("guest2", {"length": 60, "packet": 1}, {"length": 60, "packet": 1}),
    "shorter": expect("guest2", {"length": 59, "packet": 1}),
    "longer": expect("guest2", {"length": 61, "packet": 1}),
    "no length": expect("guest2", {"length": -1, "packet": 1}),
    "other bytes": expect("guest2", {"length": 60, "hex": "00" * 60}),
    "no bytes": expect("guest2", {"length": 60, "hex": "moon"}),
    "what was received": expect("guest2", {"length": 60, "packet": 2}),
    "a packet before": expect("guest2", {"length": 60, "packet": -2}),
    "a packet behind": expect("guest2", {"length": 60, "packet": 3}),
    "a port that nobody watched": expect("guest4", {"length": 60, "packet": 1}),
    "held": lambda line: line["exchanges"][0].update(held=False),
    "watched": lambda line: line["exchanges"][0].update(ports=["guest1", "guest3"]),
    "no packets": lambda line: line["exchanges"][0].update(last=0, control=0),
    "from nowhere": lambda line: line["exchanges"][0].update(first=-1),
    "to nowhere": lambda line: line["exchanges"][0].update(last=99, control=99),
    "backwards": lambda line: line["exchanges"][0].update(control=1),
    "again": lambda line: line["exchanges"].append(line["exchanges"][0]),
}


@pytest.mark.parametrize("what", EXPECTED)
def test_an_expectation_that_was_changed_is_caught(reports: Path, what: str) -> None:
    edit(reports, PASSES, EXPECTED[what])
    assert list(doubts(reports)) == [PASSES]
    assert judged(reports)[0] == 1


def test_a_failure_that_came_to_expect_what_it_got_is_caught(reports: Path) -> None:
    def embellish(line: Line) -> None:
        line.update(outcome="passed", reason="", told=[])
        line["exchanges"][0].update(expected={"guest2": [{"length": 60, "packet": 1}]}, held=True)

    edit(reports, FAILS, embellish)
    assert doubts(reports) == {FAILS: ("results: DLV-2 passed; capture: DLV-2 failed",)}


@pytest.mark.parametrize("number", [0, 1])
def test_a_packet_that_was_taken_out_is_caught(reports: Path, number: int) -> None:
    rewrite(reports, PASSES, lambda got: got[:number] + got[number + 1 :], last=1, control=1)
    assert list(doubts(reports)) == [PASSES]


def test_a_frame_that_was_taken_for_dropped_is_caught(reports: Path) -> None:
    def drop(got: list[Record]) -> list[Record]:
        return [
            got[0],
            got[1]._replace(comments=("DLV-2", "passed", "runt: dropped by the receiver")),
        ]

    rewrite(reports, PASSES, drop)
    assert list(doubts(reports)) == [PASSES]


def test_silence_without_its_control_is_caught(reports: Path) -> None:
    unproved = {SILENT: ("exchange 1: nothing was received, and nothing proves the LAN alive",)}
    rewrite(reports, SILENT, lambda got: got[:1], control=1)
    assert doubts(reports) == unproved


def test_silence_whose_control_reached_nobody_is_caught(reports: Path) -> None:
    rewrite(reports, SILENT, lambda got: got[:2], control=2)
    assert list(doubts(reports)) == [SILENT]


def test_silence_whose_control_is_no_broadcast_is_caught(reports: Path) -> None:
    def to_one(got: list[Record]) -> list[Record]:
        return [got[0], *(packet._replace(frame=bytes(6) + packet.frame[6:]) for packet in got[1:])]

    rewrite(reports, SILENT, to_one)
    assert list(doubts(reports)) == [SILENT]


def test_silence_after_nothing_was_sent_is_caught(reports: Path) -> None:
    edit(reports, SILENT, lambda line: line["exchanges"][0].update(last=0))
    assert doubts(reports) == {SILENT: ("exchange 1: nothing was sent, so it proves nothing",)}


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../../secret", "captures/../../x", "a\0b", "."]
)
def test_a_capture_outside_is_not_opened(reports: Path, path: str) -> None:
    edit(reports, PASSES, lambda line: line["capture"].update(path=path))
    ((name, (problem,)),) = doubts(reports).items()
    assert name == PASSES
    if path != ".":
        assert problem == f"{path!r} is not a path below {reports}"


def test_a_link_that_leads_outside_is_not_followed(reports: Path, tmp_path: Path) -> None:
    path = reports / of(lines(reports), PASSES)["capture"]["path"]
    outside = tmp_path / "outside.pcapng"
    path.rename(outside)
    path.symlink_to(outside)
    assert "is not a path below" in doubts(reports)[PASSES][0]


def test_a_run_that_is_not_whole_is_named(reports: Path) -> None:
    whole = lines(reports)
    path = reports / "results.jsonl"
    write(reports, whole[:-2])
    code, said = judged(reports)
    assert code == 1
    assert said[:2] == ["unfinished: test_knows_nothing[lguest]", f"{path}: the run did not finish"]
    with path.open("a") as file:
        file.write("moon\n")
    assert judged(reports)[1][0].startswith(f"{path}:{len(whole) - 1}: not a line of results")


def test_a_file_that_cannot_be_read_ends_in_2_and_the_others_are_judged(
    small: Path, tmp_path: Path
) -> None:
    code, said = judged(tmp_path / "nothing", small)
    assert code == 2
    assert said[0] == f"{tmp_path / 'nothing'}: No such file or directory"
    assert said[1].startswith("6 of 6 verdicts re-checked")
    assert judged(tmp_path / "nothing") == (2, said[:1])


def test_a_capture_that_cannot_be_opened_is_no_evidence(reports: Path) -> None:
    path = reports / of(lines(reports), PASSES)["capture"]["path"]
    path.unlink()
    path.mkdir()
    assert doubts(reports) == {PASSES: (f"{path}: Is a directory",)}


def test_what_has_no_evidence_is_not_counted_as_judged(reports: Path) -> None:
    for path in reports.rglob("*.pcapng"):
        path.unlink()
    code, said = judged(reports)
    assert code == 1
    counted = "0 of 6 verdicts re-checked (0.0 %): 0 from captures, 0 from recorded values alone"
    assert said[-1] == f"{counted}; 9 not supported by the evidence"


NO_MEMORY = """
from harness.exchange import Testbench
from harness.frames import ethernet
from harness.lans.lguest import LguestLan
from harness.plugin.marks import rule

@rule("RCV-5")
def test_refill_fails(lan: Testbench, lan_under_test: LguestLan) -> None:
    sender, owner, _ = lan.ports(3)
    lan_under_test.devices[1].guest.memory_left = 0
    assert lan.exchange(sender, ethernet(owner, sender)) == {}
"""


def test_a_frame_dropped_for_lack_of_memory_is_judged_as_it_was(tmp_path: Path) -> None:
    run(tmp_path, "--lan", "lguest-repaired", suite=NO_MEMORY)
    (test,) = results.read(tmp_path / "reports").tests
    # The test asked for the drop; the model of the wire knows nothing of the Guest's memory.
    assert (test.outcome, test.exchanges[0].held) == ("failed", True)
    assert test.reason.startswith("on the wire, WIRE-1: guest2: missing")
    assert doubts(tmp_path / "reports") == {}
    assert test.capture is not None
    shown = CliRunner().invoke(main, ["show", str(tmp_path / "reports" / test.capture.path)])
    assert "no memory for a fresh buffer, dropped by the" in shown.output


VALUES = """
import pytest
from harness.comparing import Source, differ, same, same_in_capture
from harness.exchange import Testbench
from harness.frames import ethernet
from harness.lans.lguest import LguestLan
from harness.plugin.marks import rule

@rule("CNT-1")
def test_inside(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    frame = ethernet(owner.address, sender.address)
    sender.transmit(frame)
    lguest.settle()
    same("counters of the sender", sender.counters.tx_packets, 1)
    differ("slots", sender.slot, owner.slot)
    got = lguest.received(owner)
    same_in_capture("frames", got, [frame], Source("guest2", 0, len(lguest.records())))

@rule("CNT-1")
def test_inside_fails(lguest: LguestLan) -> None:
    (sender,) = lguest.open_devices(1)
    same("counters of the sender", sender.counters.tx_packets, 1)

@rule("CNT-1")
def test_asserts(lguest: LguestLan) -> None:
    (sender,) = lguest.open_devices(1)
    assert sender.counters.tx_packets == 0

@rule("CNT-1")
def test_goes_on(lguest: LguestLan) -> None:
    try:
        same("one", 1, 2)
    except AssertionError:
        pass

@rule("CNT-1")
def test_many(lguest: LguestLan) -> None:
    for number in range(600):
        same("number", number, number)
"""


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """A run of tests that look inside the simulated LAN."""
    run(tmp_path, suite=VALUES)
    return tmp_path / "reports"


def test_recorded_values_are_compared_again(inside: Path) -> None:
    code, said = judged(inside)
    assert code == 0
    assert said == [
        "505 recorded values compared again, 1 of them with packets of captures",
        "4 of 5 verdicts re-checked (80.0 %): 1 from captures, 3 from recorded values alone;"
        " 0 not supported by the evidence",
    ]
    tests = {test.id.partition("::")[2]: test for test in results.read(inside).tests}
    many = tests["test_many[lguest]"]
    assert (len(many.compared), many.compared_more) == (500, 100)
    fails = tests["test_inside_fails[lguest]"]
    assert fails.reason == "counters of the sender: expected 1, received 0"
    goes_on = tests["test_goes_on[lguest]"]
    assert (goes_on.outcome, goes_on.reason) == (
        "failed",
        "one: not as expected, and the test went on",
    )


FORGED: dict[str, Callable[[Line], object]] = {
    "another value": lambda line: line["compared"][0].update(received=2),
    "another expectation": lambda line: line["compared"][0].update(expected=2),
    "another relation": lambda line: line["compared"][1].pop("relation"),
    "not held": lambda line: line["compared"][0].update(held=False),
    "frames that did not arrive": lambda line: line["compared"][2].update(received=[], expected=[]),
    "another port": lambda line: line["compared"][2]["source"].update(port="guest1"),
    "fewer packets": lambda line: line["compared"][2]["source"].update(packets=1),
    "packets behind the last": lambda line: line["compared"][2]["source"].update(packets=99),
    "packets before the first": lambda line: line["compared"][2]["source"].update(first=-1),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_comparison_that_was_changed_is_caught(inside: Path, what: str) -> None:
    edit(inside, "test_inside[lguest]", FORGED[what])
    assert list(doubts(inside)) == ["test_inside[lguest]"]
    assert judged(inside)[0] == 1


def test_a_pass_whose_values_differ_is_caught(inside: Path) -> None:
    name = "test_inside_fails[lguest]"
    edit(inside, name, lambda line: line.update(outcome="passed", reason="", told=[]))
    assert (
        doubts(inside)[name][0] == "passed, but comparison 1 did not hold: counters of the sender"
    )
