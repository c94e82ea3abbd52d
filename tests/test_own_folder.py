"""`report -o DIR` writes what is ours, and keeps what is not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli.main import main
from harness.evidence import merge
from harness.evidence.answer import CANNOT_WRITE
from harness.evidence.own_folder import MARKER
from tests.small_run import edit, lines, of

PASSES = "test_passes[lguest-0]"


def report(folder: Path, *paths: Path) -> Result:
    result = CliRunner().invoke(main, ["report", *map(str, paths), "-o", str(folder)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def everything(folder: Path) -> dict[str, bytes | str]:
    """Path below a folder to content, or where a link leads."""
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink()
        else path.read_bytes() if path.is_file() else ""
        for path in folder.rglob("*")
    }  # fmt: skip


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A folder of the user's that must stay as it is."""
    folder = tmp_path / "precious"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "thesis.txt").write_text("three years of work")
    (folder / "results.jsonl").write_text("not ours")
    return folder


def test_a_folder_with_other_files_is_refused(small: Path, precious: Path) -> None:
    before = everything(precious)
    result = report(precious, small)
    assert result.exit_code == 2
    assert result.output == (
        f"{precious}: not empty, and not made by lguest-harness: name a new folder\n"
    )
    assert everything(precious) == before


def test_a_numbered_folder_that_we_did_not_write_is_kept(small: Path, tmp_path: Path) -> None:
    into = tmp_path / "out"
    report(into, small)
    mine = into / "runs" / "2"
    mine.mkdir()
    (mine / "thesis.txt").write_text("three years of work")
    report(into, small)
    assert (mine / "thesis.txt").read_text() == "three years of work"
    assert sorted(path.name for path in (into / "runs").iterdir()) == ["1", "2"]


def test_what_was_put_into_a_copy_is_kept(small: Path, tmp_path: Path) -> None:
    into = tmp_path / "out"
    report(into, small)
    (into / "runs" / "1" / "captures" / "thesis.txt").write_text("three years of work")
    report(into, small)
    assert everything(into / "runs" / "1") == {
        "captures": "",
        "captures/thesis.txt": b"three years of work",
    }
    assert (into / "runs" / "2" / "results.jsonl").exists()


@pytest.mark.parametrize("where", ["runs", "runs/1", "runs/1/captures", "index.html"])
def test_links_are_not_followed(small: Path, tmp_path: Path, precious: Path, where: str) -> None:
    into = tmp_path / "out"
    report(into, small)
    (precious / MARKER).write_text('"below/thesis.txt"\n')
    before = everything(precious)
    link = into / where
    if link.is_dir():
        shutil.rmtree(link)
    else:
        link.unlink()
    link.symlink_to(precious / "results.jsonl" if where == "index.html" else precious)
    result = report(into, small)
    assert everything(precious) == before
    assert link.is_symlink()
    if where in ("runs", "index.html"):
        assert result.exit_code == 2
        assert result.output.startswith(f"{link}: a link")


@pytest.mark.parametrize("name", ["../../../precious/below/thesis.txt", "ABSOLUTE", "link/below/x"])
def test_a_list_that_leads_outside_removes_nothing(
    small: Path, tmp_path: Path, precious: Path, name: str
) -> None:
    into = tmp_path / "out"
    report(into, small)
    copy = into / "runs" / "1"
    (copy / "link").symlink_to(precious)
    (precious / "below" / "x").write_text("x")
    before = everything(precious)
    listed = str(precious / "below" / "thesis.txt") if name == "ABSOLUTE" else name
    (copy / MARKER).write_text(f'"{listed}"\nmoon\n[1]\n')
    report(into, small)
    assert everything(precious) == before


def test_a_page_of_the_user_is_not_replaced(reports: Path) -> None:
    (reports / "index.html").write_text("<title>my page</title>")
    result = report(reports, reports)
    assert result.exit_code == 2
    assert "index.html: not written by lguest-harness: it is kept" in result.output
    assert (reports / "index.html").read_text() == "<title>my page</title>"


def strange_paths(reports: Path, tmp_path: Path) -> dict[str, str]:
    """Paths in results of others: each with the words that refuse it."""
    (tmp_path / "secret").write_text("secret")
    os.mkfifo(reports / "fifo")
    (reports / "link").symlink_to(tmp_path / "secret")
    (reports / "folder").mkdir()
    with (reports / "sparse").open("wb") as file:
        file.truncate(20 * 1024**3)
    return {
        str(tmp_path / "secret"): "is not a path below",
        "../secret": "is not a path below",
        "captures/../../secret": "is not a path below",
        "link": "is not a path below",
        "": "is not a path below",
        "a\0b": "is not a path below",
        "fifo": "not a regular file",
        "folder": "Is a directory",
        "sparse": "more than the 1,073,741,824 allowed",
        "nothing": "No such file or directory",
        "x" * 300: "File name too long",
        "results.jsonl": "cannot be copied: File exists",
        "results.jsonl/x": "cannot be copied: File exists",
    }


@pytest.mark.parametrize("number", range(13))
def test_strange_paths_are_refused_one_by_one_and_the_rest_is_reported(
    reports: Path, tmp_path: Path, number: int
) -> None:
    path, words = list(strange_paths(reports, tmp_path).items())[number]
    edit(reports, PASSES, lambda line: line["capture"].update(path=path))
    result = report(tmp_path / "out", reports)
    assert result.exit_code == 1
    assert words in result.output
    assert result.output.isprintable() or "\0" not in result.output
    copy = tmp_path / "out" / "runs" / "1"
    assert len(merge.load([copy]).tests) == 9
    kept = of(lines(reports), "test_passes[lguest-1]")["capture"]["path"]
    assert (copy / kept).read_bytes() == (reports / kept).read_bytes()
    assert b"secret" not in everything(tmp_path / "out").values()


def test_two_tests_may_name_one_capture(reports: Path, tmp_path: Path) -> None:
    path = of(lines(reports), "test_passes[lguest-1]")["capture"]["path"]
    edit(reports, PASSES, lambda line: line["capture"].update(path=path))
    assert "cannot be copied" not in report(tmp_path / "out", reports).output


DISK = """
mount -t tmpfs -o size=$1 none "$2" || exit 99
"$3" -m harness.cli report "$4" -o "$2/out"
code=$?
"$3" -m harness.cli judge "$2"/out/runs/* >/dev/null 2>"$2.errors"
exit $code
"""


@pytest.mark.parametrize("size", ["4k", "16k", "64k", "72k"])
def test_a_full_disk_is_one_line_and_an_exit_code_of_its_own(
    small: Path, tmp_path: Path, size: str
) -> None:
    mount = tmp_path / "disk"
    mount.mkdir()
    words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", DISK, "sh"]
    done = subprocess.run(
        [*words, size, str(mount), sys.executable, str(small)], capture_output=True, text=True
    )
    if done.returncode == 99 or "unshare failed" in done.stderr:
        pytest.skip(f"no mount namespace here: {done.stderr.strip()}")
    assert done.returncode == CANNOT_WRITE, done.stdout + done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in (tmp_path / "disk.errors").read_text()


def test_a_folder_in_use_says_by_whom(reports: Path) -> None:
    from harness.evidence import lock

    with lock.hold(reports):
        result = report(reports, reports)
        assert result.exit_code == 2
        assert f"{reports}: another run writes there (process {os.getpid()}, since" in result.output
    assert report(reports, reports).exit_code == 1


EVIL = "\x1b[2J\r\n\u202e\x07 ]]> | <b>"


def test_control_characters_of_others_reach_no_terminal_and_no_markdown(
    reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    changes = {"reason": EVIL, "lan": EVIL, "version": EVIL, "rules": [EVIL], "outcome": "failed"}
    edit(reports, PASSES, lambda line: line.update(changes))
    edit(reports, PASSES, lambda line: line["capture"].update(path=EVIL))
    for words in (
        ["report", str(reports), "-o", str(tmp_path / "out")],
        ["judge", str(reports)],
        ["matrix", str(reports)],
        ["diff", str(reports), str(reports)],
    ):
        output = CliRunner().invoke(main, words).output
        assert output
        assert all(line.isprintable() for line in output.split("\n")), words
    assert all(line.isprintable() for line in summary.read_text().split("\n"))
