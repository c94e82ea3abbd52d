"""The summary in Markdown: what a CI shows of a run."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from harness.cli.main import main
from harness.evidence import merge
from harness.evidence.text import visible
from harness.report import summary, verdict
from harness.report.matrix import plain
from tests.small_run import FILE, edit, lines, run, write


class Tables(HTMLParser):
    """The cells of every table, row by row, and every other tag's name."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1] and data != "\n":
            self.rows[-1][-1] += data


def rendered(text: str) -> Tables:
    tables = Tables()
    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
    tables.feed(markdown.render(text))
    return tables


@given(st.text(max_size=60) | st.text(r"\`*_{}[]()<>#+-.!|~&@:$ abc;/", max_size=60))
def test_any_text_is_shown_as_it_is(text: str) -> None:
    shown = rendered(f"| a | b |\n|---|---|\n| x{plain(text)} | x |\n")
    assert len(shown.rows) == 2
    assert shown.tags == {"table", "thead", "tbody", "tr", "th", "td"}
    want = visible(" ".join(text.split()))
    assert shown.rows[1] == [f"x{want}".rstrip(), "x"]


def test_a_run_is_told(small: Path) -> None:
    runs = merge.load([small])
    text = summary.markdown(runs)
    shown = rendered(text)
    assert text.startswith("### ")
    assert verdict.line(runs) in re.sub(r"\\(.)", r"\1", text.splitlines()[0])
    assert [row for row in shown.rows if row[0].startswith(FILE)] == [
        [
            f"{FILE}::test_fails[lguest]",
            "failed",
            "guest2: unexpected receiver: the frame of 60 bytes from guest1 is not for this port",
            f"captures/{FILE}/test_fails[lguest].pcapng",
        ],
        [
            f"{FILE}::test_knows_nothing[lguest]",
            "inconclusive",
            "inconclusive: lguest: no port received anything, nor a control broadcast from guest1",
            f"captures/{FILE}/test_knows_nothing[lguest].pcapng",
        ],
    ]
    at = shown.rows.index(["rule", "lguest"])
    assert shown.rows[at + 1 :] == [
        ["DLV-2", "1 failed, 1 unsupported, 1 skipped, 3 passed"],
        ["DLV-7", "1 inconclusive, 1 passed"],
        ["DLV-9", "1 deviation"],
    ]


def test_the_matrix_has_a_column_for_each_lan(reports: Path, tmp_path: Path, small: Path) -> None:
    changed = lines(reports)
    for line in changed[1:-1]:
        line["lan"] = "my|lan"
    changed[0]["machine"] = "another"
    changed[1]["rules"] = ["OLD-1", "DLV-2"]
    changed[2]["lan"] = None
    write(reports, changed)
    shown_by = CliRunner().invoke(main, ["matrix", str(small), str(reports)])
    assert shown_by.exit_code == 0
    assert rendered(shown_by.output).rows == [
        ["rule", "lguest", "my|lan"],
        [
            "DLV-2",
            "1 failed, 1 unsupported, 1 skipped, 3 passed",
            "1 failed, 1 unsupported, 1 skipped, 2 passed",
        ],
        ["DLV-7", "1 inconclusive, 1 passed", "1 inconclusive, 1 passed"],
        ["DLV-9", "1 deviation", "1 deviation"],
        ["OLD-1", "", "1 passed"],
    ]
    bad = CliRunner().invoke(main, ["matrix", str(tmp_path / "nothing")])
    assert bad.exit_code == 2


def test_what_is_not_whole_is_told(reports: Path) -> None:
    write(reports, lines(reports)[:-2])
    text = summary.markdown(merge.load([reports]))
    assert "the run did not finish" in text
    assert "Unfinished" in text
    assert plain(f"{FILE}::test_knows_nothing[lguest]") in text


@pytest.mark.parametrize("room", [300, 1000, 5000, summary.MOST_BYTES])
def test_it_fits_and_says_what_it_left_out(reports: Path, room: int) -> None:
    run_read = merge.load([reports])
    (failed,) = [test for test in run_read.tests if test.result.outcome == "failed"]
    many = [
        merge.Test(msgspec.structs.replace(failed.result, id=f"{n}", reason="é" * 500), failed.run)
        for n in range(1500)
    ]
    runs = merge.Runs(run_read.runs, tuple(many), (), ())
    text = summary.markdown(runs, room)
    assert len(text.encode()) <= room
    (left,) = re.findall(r"\n(\d+) more lines do not fit here", text)
    shown = [row[0] for row in rendered(text).rows[1:]]
    assert shown == [str(n) for n in range(len(shown))]
    # What is left out are the other tests, and the three lines of the matrix.
    heads = 2 if not shown and "| test |" not in text else 0
    assert int(left) + len(shown) == len(many) + 3 + heads


def test_no_room_is_no_text(small: Path) -> None:
    for room in (-5, 0, 1, 10):
        assert len(summary.markdown(merge.load([small]), room).encode()) <= max(room, 0)


def test_a_run_adds_it_to_the_file_that_is_named(tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    run(tmp_path / "run", GITHUB_STEP_SUMMARY=str(file))
    first = file.read_text()
    assert first == "before\n" + summary.markdown(merge.load([tmp_path / "run" / "reports"]))
    run(tmp_path / "run", "-n", "2", GITHUB_STEP_SUMMARY=str(file))
    assert file.read_text().count("### ") == 2  # the workers added none
    run(tmp_path / "run", "--collect-only", GITHUB_STEP_SUMMARY=str(file))
    run(tmp_path / "run", "--no-captures", GITHUB_STEP_SUMMARY=str(file))
    assert file.read_text().count("### ") == 2


def test_the_command_report_adds_it_too(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "summary.md"
    monkeypatch.setenv(summary.VARIABLE, str(file))
    shown_by = CliRunner().invoke(main, ["report", str(small), "-o", str(tmp_path / "out")])
    assert shown_by.exit_code == 1
    assert file.read_text() == summary.markdown(merge.load([small]))


def test_a_file_that_is_full_gets_no_more(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "summary.md"
    monkeypatch.setenv(summary.VARIABLE, str(file))
    for before in (summary.MOST_BYTES - 1000, summary.MOST_BYTES - 1, summary.MOST_BYTES + 5):
        file.write_bytes(b"x" * before)
        assert summary.add(merge.load([small])) == ""
        assert file.stat().st_size <= max(before, summary.MOST_BYTES)


def test_a_file_that_cannot_be_written_is_said_in_a_line(tmp_path: Path) -> None:
    done = run(tmp_path, "-k", "passes", GITHUB_STEP_SUMMARY=str(tmp_path / "no" / "file"))
    assert done.returncode == 0
    shown_by = f"GITHUB_STEP_SUMMARY: {tmp_path / 'no' / 'file'}: No such file or directory"
    assert shown_by in done.stdout.splitlines()


def test_names_and_reasons_are_escaped(reports: Path) -> None:
    nasty = "<script>x</script>|![i](http://x)\n# h `"
    edit(reports, "test_fails[lguest]", lambda line: line.update(reason=nasty, lan=nasty))
    text = summary.markdown(merge.load([reports]))
    shown = rendered(text)
    assert shown.tags == {"h3", "table", "thead", "tbody", "tr", "th", "td"}
    assert " ".join(nasty.split()) in [row[2] for row in shown.rows if len(row) > 2]
