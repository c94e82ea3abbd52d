"""The pytest plugin: options, marks, deviations, and how a failure reads."""

from __future__ import annotations

import re

import pytest
from _pytest.pytester import Pytester
from click.testing import CliRunner

from harness import registry
from harness.cli.main import main
from harness.evidence import results
from harness.evidence.reader import read
from harness.lan import LanError

UNICAST = """
from harness.exchange import Testbench
from harness.frames import ethernet
from harness.plugin.marks import rule

@rule({rule!r})
def test_unicast(lan: Testbench) -> None:
    sender, owner, bystander = lan.ports(3)
    frame = ethernet(owner, sender)
    assert lan.exchange(sender, frame) == {expected}
"""


def suite(pytester: Pytester, rule: str = "DLV-2", expected: str = "{owner: [frame]}") -> None:
    pytester.makepyfile(test_suite=UNICAST.format(rule=rule, expected=expected))


def test_an_unknown_rule_is_an_error_at_collection(pytester: Pytester) -> None:
    suite(pytester, rule="DLV-99")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*test_suite.py::test_unicast: unknown rule 'DLV-99'*"])
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_an_unknown_lan_is_refused_in_one_line(pytester: Pytester) -> None:
    suite(pytester)
    result = pytester.runpytest_subprocess("--lan", "ethernet")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --lan: unknown LAN 'ethernet': choose from lguest, *"])
    assert "Traceback" not in result.stderr.str()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("bridgee", "bridge"),
        ("comand:./x", "command:./x"),
        ("brocken:floods-unknown", "broken:floods-unknown"),
        ("broken:floods-unkown", "broken:floods-unknown"),
    ],
)
def test_a_misspelt_lan_is_suggested(given: str, meant: str) -> None:
    with pytest.raises(LanError, match=re.escape(f"did you mean {meant}?")):
        registry.entry(given)


def test_a_misspelt_rule_or_command_is_suggested(pytester: Pytester) -> None:
    suite(pytester, rule="dlv-22")
    result = pytester.runpytest_subprocess()
    result.stdout.fnmatch_lines(["*unknown rule 'dlv-22'; did you mean DLV-2*"])
    command = CliRunner().invoke(main, ["repotr"])
    assert command.exit_code == 2
    assert "Did you mean report?" in command.output


def test_each_test_runs_once_per_lan(pytester: Pytester) -> None:
    suite(pytester)
    lans = ["--lan", "lguest", "--lan", "lguest-repaired", "--lan", "lguest"]
    result = pytester.runpytest_subprocess("-v", *lans)
    result.assert_outcomes(passed=2)
    for lan in ("lguest", "lguest-repaired"):
        result.stdout.fnmatch_lines(f"*test_unicast?{lan}? PASSED*")


def test_a_failure_explains_itself(pytester: Pytester) -> None:
    suite(pytester, expected="{bystander: [frame[:20] + b'?' + frame[21:]], owner: [frame[:-1]]}")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "test_suite.py:*: in test_unicast",
            "E *assert guest2: longer: 1 byte more at the end; 1 more",
            "DLV-2: A unicast reaches every peer that publishes that address, once each.*D:570*",
            "port    expected             received",
            "guest1  nothing              nothing",
            "guest2  1 frame of 59 bytes  1 frame of 60 bytes  <- longer",
            "guest3  1 frame of 60 bytes  nothing              <- missing",
            "WIRE-6  guest2: longer: 1 byte more at the end",
            "*first difference at offset 59 (0x003b)",
            "*expected  59 bytes: *02:00:01:00:00:00 > 02:00:02:00:00:00*",
            "*received  60 bytes: *02:00:01:00:00:00 > 02:00:02:00:00:00*",
            "WIRE-1  guest3: missing: the frame of 60 bytes, which no port sent",
            "*received  nothing",
            "capture: reports/captures/test_suite.py/test_unicast?lguest?.pcapng",
            "rerun:   pytest 'test_suite.py::test_unicast?lguest?' --lan lguest --reports rerun",
            "show:    lguest-harness show 'reports/captures/test_suite.py/*lguest?.pcapng'",
        ]
    )


@pytest.mark.parametrize("options", [[], ["--assert=plain"]], ids=["rewritten", "plain"])
def test_every_record_of_a_failure_has_the_same_words(
    pytester: Pytester, options: list[str]
) -> None:
    suite(pytester, expected="{bystander: [frame]}")
    pytester.runpytest_subprocess(*options).assert_outcomes(failed=1)
    (test,) = results.read(pytester.path / "reports").tests
    first = "guest2: unexpected receiver: the frame of 60 bytes from guest1 is not for this port"
    second = "guest3: missing: the frame of 60 bytes from guest1"
    assert list(map(str, test.differences)) == [first, second]
    assert first in test.reason
    assert test.capture is not None
    packets = read(pytester.path / "reports" / test.capture.path)
    assert [packet.wrong for packet in packets] == [
        second.removeprefix("guest3: ").replace("missing", "missing at guest3"),
        first.removeprefix("guest2: "),
    ]
    shown = CliRunner().invoke(main, ["show", str(pytester.path / "reports" / test.capture.path)])
    assert first in " ".join(shown.output.split())


DEVIANT = """
[[deviation]]
rule = "DLV-2"
reason = "it likes nobody"
evidence = "none"
tests = ["test_suite.py::{test}"]
"""


def deviating(pytester: Pytester, *, test: str = "test_unicast") -> None:
    """The LAN lguest has this deviations file, in the run that pytester makes."""
    folder = pytester.mkdir("deviations")
    (folder / "lguest.toml").write_text(DEVIANT.format(test=test))
    pytester.makeconftest(
        f"""
        from pathlib import Path
        from harness import deviations
        original = deviations.of
        deviations.of = lambda lan: original(lan, Path({str(folder)!r}))
        """
    )


def test_a_known_deviation_is_an_expected_failure(pytester: Pytester) -> None:
    suite(pytester, expected="{bystander: [frame]}")
    deviating(pytester)
    result = pytester.runpytest_subprocess("-v")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "*test_unicast?lguest? DEVIATION*",
            "1 test: deviation of lguest from DLV-2: it likes nobody",
            "*1 deviation*",
        ]
    )


def test_a_deviation_that_does_not_show_is_a_failure(pytester: Pytester) -> None:
    suite(pytester)
    deviating(pytester)
    pytester.runpytest_subprocess().assert_outcomes(failed=1)


def test_an_error_is_not_taken_for_a_deviation(pytester: Pytester) -> None:
    suite(pytester, expected="{}[1]")
    deviating(pytester)
    pytester.runpytest_subprocess().assert_outcomes(failed=1)


def test_a_deviation_without_its_test_is_an_error(pytester: Pytester) -> None:
    suite(pytester)
    deviating(pytester, test="test_gone")
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*deviations of lguest: DLV-2 names test_suite.py::test_gone*"])


def test_a_run_ends_with_its_verdict_and_where_the_report_is(pytester: Pytester) -> None:
    suite(pytester)
    last = ["lguest: judged 1 of 1 rules: 1 passed", "report: reports/index.html"]
    for workers in ([], ["-n", "2"]):
        result = pytester.runpytest_subprocess(*workers)
        result.stdout.fnmatch_lines(last)
    assert (pytester.path / "reports" / "index.html").exists()


def test_no_captures_changes_no_verdict(pytester: Pytester) -> None:
    suite(pytester, expected="{}")
    result = pytester.runpytest_subprocess("--no-captures")
    result.assert_outcomes(failed=1)
    assert not (pytester.path / "reports").exists()


OUTCOMES = """
import pytest
from harness.exchange import Testbench
from harness.frames import ethernet
from harness.lan import Inconclusive
from harness.plugin.marks import rule

@rule("DLV-2")
def test_passes(lan: Testbench) -> None:
    sender, owner = lan.ports(2)
    frame = ethernet(owner, sender)
    assert lan.exchange(sender, frame) == {owner: [frame]}

@rule("DLV-2")
def test_fails(lan: Testbench) -> None:
    sender, owner = lan.ports(2)
    frame = ethernet(owner, sender)
    assert lan.exchange(sender, frame) == {}

@rule("DLV-2")
def test_lacks(lan: Testbench) -> None:
    lan.require(False, "cannot fly")

@rule("DLV-2")
def test_skips(lan: Testbench) -> None:
    pytest.skip("no reason")

@rule("DLV-7")
def test_knows_nothing(lan: Testbench) -> None:
    sender, owner = lan.ports(2)
    owner.device.guest.host.kill(owner.device.guest, "by this test")
    lan.exchange(sender, ethernet(owner, sender))
"""


def test_outcomes_have_a_word_each(pytester: Pytester) -> None:
    pytester.makepyfile(test_suite=OUTCOMES)
    result = pytester.runpytest_subprocess("-v")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines_random(
        [
            "*test_passes?lguest? PASSED*",
            "*test_fails?lguest? FAILED*",
            "*test_lacks?lguest? UNSUPPORTED*",
            "*test_skips?lguest? SKIPPED*",
            "*test_knows_nothing?lguest? INCONCLUSIVE*",
            "INCONCLUSIVE 1 test: *no port received anything, nor a control broadcast from guest1*",
            *(f"*1 {word}*" for word in ("failed", "passed", "skipped")),
            *(f"=*1 {word}*=" for word in ("unsupported", "inconclusive")),
        ]
    )


def test_an_inconclusive_test_alone_is_red(pytester: Pytester) -> None:
    pytester.makepyfile(test_suite=OUTCOMES)
    result = pytester.runpytest_subprocess("-k", "knows_nothing")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_under_strict_an_unexpected_skip_is_red(pytester: Pytester) -> None:
    pytester.makepyfile(test_suite=OUTCOMES)
    calm = pytester.runpytest_subprocess("-k", "skips or lacks", "--allow-unsupported")
    assert calm.ret == 0
    result = pytester.runpytest_subprocess("--strict", "-k", "skips or lacks")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*unexpected skip, under --strict: no reason*"])
    result.stdout.fnmatch_lines_random(["=*1 failed*=", "=*1 unsupported*="])


def test_under_strict_a_skip_is_red_in_a_test_without_a_lan(pytester: Pytester) -> None:
    pytester.makepyfile("import pytest\ndef test_it(): pytest.skip('no tshark')")
    assert pytester.runpytest_subprocess("--lan", "lguest").ret == 0
    result = pytester.runpytest_subprocess("--lan", "lguest", "--strict")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*unexpected skip, under --strict: no tshark*"])


def test_a_deviation_may_name_parameters(pytester: Pytester) -> None:
    pytester.makepyfile(
        test_suite="""
        import pytest
        from harness.exchange import Testbench
        from harness.plugin.marks import rule

        @rule("DLV-2")
        @pytest.mark.parametrize("n", [1, 2])
        def test_unicast(lan: Testbench, n: int) -> None:
            assert n == 1
        """
    )
    deviating(pytester, test="test_unicast[2]")
    result = pytester.runpytest_subprocess()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*1 passed, 1 deviation*"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--reports", "/proc/none"], "--reports: /proc/none: No such file or directory"),
        (["--reports", "test_suite.py"], "--reports: test_suite.py: File exists"),
        (["--campaign", "-3"], "*argument --campaign: '-3' is not a number from 1"),
        (["--campaign", "0"], "*argument --campaign: '0' is not a number from 1"),
        (["--lan", "brigde"], "--lan: unknown LAN 'brigde': did you mean bridge? Else choose *"),
        (["--lan", "broken:adds-crc32"], "--lan: unknown LAN 'broken:adds-crc32'*"),
    ],
)
def test_an_option_that_cannot_be_is_one_line(
    pytester: Pytester, options: list[str], message: str
) -> None:
    suite(pytester)
    result = pytester.runpytest_subprocess(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{message}"])
    assert "Traceback" not in result.stderr.str()


def test_a_run_that_judged_little_is_no_success(pytester: Pytester) -> None:
    pytester.makepyfile(test_suite=OUTCOMES)
    result = pytester.runpytest_subprocess("-k", "lacks")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["lguest: judged 0 of 1 rules: 0 passed", "lguest: most rules that apply*"]
    )
    accepted = pytester.runpytest_subprocess("-k", "lacks", "--allow-unsupported")
    assert accepted.ret == 0


VANISHING = """
import pathlib
from harness.exchange import Testbench
from harness.frames import ethernet
from harness.plugin.marks import rule

@rule("DLV-2")
def test_one(lan: Testbench) -> None:
    sender, owner = lan.ports(2)
    frame = ethernet(owner, sender)
    assert lan.exchange(sender, frame) == {{owner: [frame]}}

def test_two() -> None:
    {change}
"""


@pytest.mark.parametrize(
    "change",
    [
        "next(pathlib.Path('reports/captures').rglob('*.pcapng')).unlink()",
        "next(pathlib.Path('reports/captures').rglob('*.pcapng')).write_bytes(b'')",
        "pathlib.Path('reports/results.jsonl').unlink()",
        "pathlib.Path('reports/results.jsonl').write_bytes(b'')",
    ],
)
def test_evidence_that_vanishes_makes_the_run_red(pytester: Pytester, change: str) -> None:
    pytester.makepyfile(test_suite=VANISHING.format(change=change))
    result = pytester.runpytest_subprocess("-p", "no:randomly")
    assert result.parseoutcomes() == {"passed": 2}
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["reports/*: removed or changed during the run*"])


HIDDEN_LEAK = """
from harness.exchange import Testbench
from harness.frames import BROADCAST, ethernet
from harness.plugin.marks import rule

@rule("DLV-3")
def test_it(lan: Testbench) -> None:
    sender, other = lan.pair()
    lan.wire(sender, ethernet(BROADCAST, sender))
    arrive = other.port.arrivals
    late = [ethernet(BROADCAST, sender)]
    from harness.lan import Arrival
    other.port.arrivals = lambda: [*arrive(), *(Arrival(1, late.pop(), True) for _ in late[:1])]
"""


def test_what_arrives_after_a_test_has_judged_fails_it(pytester: Pytester) -> None:
    pytester.makepyfile(test_suite=HIDDEN_LEAK)
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["*on the wire, WIRE-7: guest2: stale: 60 bytes, sent in an earlier exchange*"]
    )
