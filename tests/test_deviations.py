"""Deviations files: what is refused, which versions an entry holds for, and drafts of them."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from _pytest.pytester import Pytester

from harness import deviations, registry
from harness.deviations import Deviation
from harness.evidence import results
from harness.lan import LanError
from harness.suite import drafts
from harness.suite.drafts import Failure, Run
from tests.lans.users import CLASS, SUITE

ENTRY = '[[deviation]]\nrule = "DLV-2"\nreason = "why"\nevidence = "where"\n'

# Files


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[[deviation]", "not a deviations file: "),
        ("x = 1", "not a deviations file: it should hold an array `deviation`, and nothing else"),
        ("deviation = 3", "not a deviations file: 'int' object is not iterable"),
        ("deviation = [3]", "not a deviations file: "),
        (ENTRY.replace("reason", "raisin"), "not a deviations file: unknown key 'raisin'"),
        ('[[deviation]]\nrule = "DLV-2"', "not a deviations file: 'reason' is missing"),
        (ENTRY.replace('"why"', "3"), "not a deviations file: 3 should be a string"),
        (ENTRY + 'tests = "all"', "not a deviations file: 'all' should be a list of strings"),
        (ENTRY + "sometimes = 1", "not a deviations file: sometimes = 1 should be true or false"),
        (ENTRY + "versions = [6]", "not a deviations file: [6] should be a list of strings"),
        (ENTRY.replace("DLV-2", "DLV-99"), "unknown rule 'DLV-99'"),
        (ENTRY.replace("why", " "), "the reason is empty (DLV-2, all tests): a person fills it in"),
        (ENTRY.replace("where", ""), "the evidence is empty (DLV-2, all tests): a person fills"),
    ],
)
def test_a_bad_file_is_told_in_one_line(pytester: Pytester, content: str, complaint: str) -> None:
    path = pytester.path / "some.toml"
    path.write_text(content)
    with pytest.raises(LanError) as error:
        deviations.read(path)
    assert str(error.value).startswith(f"{path}: {complaint}")
    result = pytester.runpytest_subprocess("--deviations", str(path))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {path}: *"])
    assert "Traceback" not in result.stderr.str()


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(LanError, match="none: No such file or directory"):
        deviations.read(tmp_path / "none")
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(LanError, match="bytes: not a deviations file: 'utf-8' codec"):
        deviations.read(tmp_path / "bytes")


def test_an_empty_file_says_that_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "none.toml").write_text("# nothing to tell\n")
    assert deviations.of("none", tmp_path) == ()


@pytest.mark.parametrize("lan", registry.LANS)
def test_the_entries_of_a_lan_here_hold_here(lan: str) -> None:
    version = registry.entry(lan).version()
    assert all(deviation.holds(version) for deviation in deviations.of(lan))


@pytest.mark.parametrize(
    ("versions", "version", "holds"),
    [
        ((), "Linux 6.18", True),
        (("Linux 6",), "Linux 6.18.44", True),
        (("Linux 6.1",), "Linux 6.18", False),
        (("Linux 6.1",), "Linux 6.1-rc2", True),
        (("Linux 6.18",), "Linux 6.18", True),
        (("Linux 5", "Linux 6"), "Linux 6.1", True),
        (("Linux 5",), "Linux 6.5", False),
        (("Linux 5",), "", True),
    ],
)
def test_an_entry_holds_for_the_versions_that_begin_so(
    versions: tuple[str, ...], version: str, holds: bool
) -> None:
    assert Deviation("DLV-2", "why", "where", (), versions).holds(version) == holds


def test_an_entry_of_another_version_is_no_excuse(pytester: Pytester) -> None:
    pytester.makepyfile(test_suite=SUITE.replace("{owner: [frame]}", "{}"))
    path = pytester.path / "known.toml"
    for version, outcome in (("lguest-harness 0", "deviation"), ("lguest-harness 9", "failed")):
        path.write_text(ENTRY + f'versions = ["{version}"]\n')
        result = pytester.runpytest_subprocess("--deviations", str(path))
        assert result.parseoutcomes() == {outcome: 1}


def test_a_file_is_given_for_one_lan_alone(pytester: Pytester) -> None:
    path = pytester.path / "known.toml"
    path.write_text("")
    lans = ["--lan", "lguest", "--lan", "lguest-repaired"]
    result = pytester.runpytest_subprocess(*lans, "--deviations", str(path))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: --deviations {path}: it is for one LAN, and 2 are under test"]
    )


# Drafts


def ran(*failed: str, passed: tuple[str, ...] = (), rule: str = "DLV-2") -> Run:
    return Run(
        registry.entry("lguest"), [Failure(test, (rule,), "seen") for test in failed], set(passed)
    )


def test_a_test_that_fails_with_all_parameters_is_named_alone() -> None:
    (made,) = drafts.entries(ran("a.py::x[1]", "a.py::x[2]", "a.py::y"), [])
    assert made.tests == ("a.py::x", "a.py::y")
    assert (made.rule, made.reason, made.evidence) == ("DLV-2", "", "seen")
    assert made.versions == (registry.entry("lguest").version(),)
    (made,) = drafts.entries(ran("a.py::x[1]", "a.py::x[2]", passed=("a.py::x[3]",)), [])
    assert made.tests == ("a.py::x[1]", "a.py::x[2]")


def test_an_entry_is_kept_as_far_as_it_holds() -> None:
    known = Deviation("DLV-2", "why", "where", ("a.py::y", "a.py::x"), ("0.0",))
    gone = Deviation("DLV-3", "why", "where")
    kept, new = drafts.entries(ran("a.py::x", "a.py::z"), [known, gone])
    assert (kept.reason, kept.evidence, kept.tests) == ("why", "where", ("a.py::x",))
    assert kept.versions == ("0.0", registry.entry("lguest").version())
    assert (new.reason, new.tests) == ("", ("a.py::z",))
    (same,) = drafts.entries(ran("a.py::x", "a.py::y"), [known])
    assert same.tests == known.tests


def test_failures_join_an_entry_that_has_no_reason_yet() -> None:
    drafted = Deviation("DLV-2", "", "seen", ("a.py::x[1]",))
    (made,) = drafts.entries(ran("a.py::x[1]", "a.py::x[2]", "a.py::y"), [drafted])
    assert made.tests == ("a.py::x", "a.py::y")


def test_two_entries_that_share_a_test_name_its_parameters() -> None:
    known = Deviation("DLV-2", "why", "where", ("a.py::x[1]",))
    observed = ran("a.py::x[1]", "a.py::x[2]")
    first, second = drafts.entries(observed, [known])
    assert (first.tests, second.tests) == (("a.py::x[1]",), ("a.py::x[2]",))
    explained = Deviation("DLV-2", "why", second.evidence, second.tests)
    assert drafts.entries(observed, [first, explained]) == [first, explained]


def test_a_draft_reads_back_and_is_refused_until_it_is_filled_in(tmp_path: Path) -> None:
    odd = 'quote " backslash \\ newline \n bell \a delete \x7f snowman \u2603 face \U0001f600'
    made = [
        Deviation("DLV-2", odd, odd, ("a.py::x", "a.py::y"), ("1",)),
        Deviation("DLV-3", "", "seen", tuple(f"a.py::{'long' * 9}{n}" for n in range(9))),
    ]
    path = tmp_path / "draft.toml"
    path.write_text(drafts.text(registry.entry("lguest"), made))
    assert list(deviations.read(path, draft=True)) == made
    assert "Fill in each empty" in path.read_text()
    with pytest.raises(LanError, match=r"the reason is empty \(DLV-3, a.py::long"):
        deviations.read(path)
    path.write_text(drafts.text(registry.entry("lguest"), made[:1], "# Mine.\n"))
    assert drafts.head_of(path) == "# Mine.\n"
    assert "Fill in" not in path.read_text()


def draft(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness.cli", "deviations", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_a_users_file_from_draft_to_run(pytester: Pytester) -> None:
    here = pytester.path
    send = "def send(self, frame, layout=None):"
    drops = '\n        if frame[:2] == b"33": return'
    arp = '\n        if frame[12:14] == b"\\x08\\x06": raise RuntimeError("no ARP")'
    mine = here / "mine.py"
    mine.write_text(CLASS.replace(send, send + drops + arp))
    lan, path = "python:mine:Lan", here / "mine.toml"

    done = draft(here, lan, "-o", "mine.toml")
    assert done.returncode == 1, "some tests gave no verdict"
    lines = done.stderr.splitlines()
    no_arp = "inconclusive: python:mine:Lan: send raised RuntimeError: no ARP, mine.py:11"
    assert lines[-1].endswith(" to be filled in")
    assert any(f"[arp]: {no_arp}" in line for line in lines[:-1])
    entries = {deviation.rule: deviation for deviation in deviations.read(path, draft=True)}
    group = "test_delivery.py::test_group_frame_reaches_everybody_but_its_sender"
    assert f"{group}[ipv6-multicast]" in entries["DLV-3"].tests
    assert entries["DLV-3"].evidence.startswith("mine2: missing: the frame of 60 bytes")
    assert not any("arp" in test for deviation in entries.values() for test in deviation.tests)

    mine.write_text(CLASS.replace(send, send + drops))
    assert draft(here, lan, "-o", "mine.toml").returncode == 0
    module = Path(__file__).parents[1] / "testcases" / "test_delivery.py"
    suite = [str(module), "--lan", lan, "--no-captures"]
    suite += ["--deviations", str(path), "-p", "no:cacheprovider"]
    refused = pytester.runpytest_subprocess(*suite)
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines([f"ERROR: {path}: the reason is empty (*): a person fills it in"])
    path.write_text(path.read_text().replace('reason = ""', 'reason = "no IPv6 here"'))
    run = pytester.runpytest_subprocess(*suite)
    assert run.ret == 0
    assert run.parseoutcomes()["deviation"] > 1

    text = path.read_text()
    assert draft(here, lan, "-o", "mine.toml").returncode == 0
    assert path.read_text() == text.replace(drafts.TO_FILL_IN, ""), "all is kept"
    mine.write_text(CLASS)
    done = draft(here, lan, "--known", "mine.toml")
    assert done.returncode == 0
    assert "[[deviation]]" not in done.stdout
    assert "left out, as no test shows it: DLV-3: no IPv6 here" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ethernet"], "unknown LAN 'ethernet': choose from lguest, "),
        (["lguest", "--known", "none.toml"], "none.toml: No such file or directory"),
        (["lguest", "--known", "bad.toml"], "bad.toml: not a deviations file: "),
        (["python:no_such:Lan"], "python:no_such:Lan: there is no module 'no_such'"),
    ],
)
def test_what_cannot_be_drafted_is_told_in_one_line(
    tmp_path: Path, words: list[str], message: str
) -> None:
    (tmp_path / "bad.toml").write_text("x = 1")
    done = draft(tmp_path, *words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1


def test_a_deviation_that_is_mended_says_so(pytester: Pytester) -> None:
    pytester.makepyfile(mine=CLASS, test_suite=SUITE)
    entry = """
        [[deviation]]
        rule = "DLV-2"
        reason = "unicasts get lost"
        evidence = "port2 got nothing"
        tests = ["test_suite.py::test_unicast"]
    """
    (pytester.path / "mine.toml").write_text(textwrap.dedent(entry))
    result = pytester.runpytest_subprocess("--lan", "python:mine:Lan", "--deviations", "mine.toml")
    assert result.parseoutcomes() == {"failed": 1}
    expected = "unexpected pass: remove it from the deviations file (Lan from DLV-2:"
    result.stdout.fnmatch_lines([f"{expected} unicasts get lost)"])


def test_a_deviation_that_shows_itself_sometimes_may_pass(pytester: Pytester) -> None:
    wrong = SUITE.replace("DLV-2", "DLV-1").replace("test_unicast", "test_wrong")
    wrong = wrong.replace("{owner: [frame]}", "{}")
    pytester.makepyfile(mine=CLASS, test_suite=SUITE + wrong)
    entry = '[[deviation]]\nrule = "{}"\nreason = "now and then"\nevidence = "seen"\n'
    entry += "sometimes = true\n"
    (pytester.path / "mine.toml").write_text(entry.format("DLV-2") + entry.format("DLV-1"))
    result = pytester.runpytest_subprocess("--lan", "python:mine:Lan", "--deviations", "mine.toml")
    assert result.ret == 0
    assert result.parseoutcomes() == {"passed": 1, "deviation": 1}
    saved = results.read(pytester.path / "reports")
    assert {test.rules[0]: test.outcome for test in saved.tests} == {
        "DLV-2": "passed",
        "DLV-1": "deviation",
    }
