"""Two runs compared: tests added, removed, improved, worse."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli.main import main
from tests.small_run import FILE, Line, edit, lines, of, write

BEST_TO_WORST = ["passed", "deviation", "unsupported", "skipped", "inconclusive", "failed"]
NAME = "test_passes[lguest-0]"


def diff(old: Path, new: Path) -> tuple[int, list[str]]:
    result = CliRunner().invoke(main, ["diff", str(old), str(new)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output.replace(f"{FILE}::", "").splitlines()


def sums(**counts: int) -> str:
    words = ("worse", "unfinished", "gone", "added red", "better", "reason changed", "added")
    counted = {word: counts.get(word.replace(" ", "_"), 0) for word in words}
    return ", ".join(f"{count} {word}" for word, count in counted.items() if count)


def drop(reports: Path, name: str, *, collected: bool) -> None:
    """Take a test out of results, as if it had not ended, or not been there."""
    written = lines(reports)
    gone = of(written, name)
    written.remove(gone)
    written[-1]["outcomes"][gone["outcome"]] -= 1
    if not collected:
        written[0]["collected"].remove(gone["id"])
    write(reports, written)


def change(reports: Path, name: str, **what: object) -> None:
    """Change a test, and let the end of the run agree."""
    written = lines(reports)
    test, counts = of(written, name), written[-1]["outcomes"]
    counts[test["outcome"]] -= 1
    test.update(what)
    counts[test["outcome"]] = counts.get(test["outcome"], 0) + 1
    write(reports, written)


def test_a_run_is_like_itself(small: Path) -> None:
    assert diff(small, small / "results.jsonl") == (0, [])


@pytest.mark.parametrize("new", BEST_TO_WORST)
@pytest.mark.parametrize("old", BEST_TO_WORST)
def test_outcomes_have_an_order(reports: Path, tmp_path: Path, old: str, new: str) -> None:
    for folder, word in (("old", old), ("new", new)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "results.jsonl").write_bytes((reports / "results.jsonl").read_bytes())
        change(tmp_path / folder, NAME, outcome=word)
    code, said = diff(tmp_path / "old", tmp_path / "new")
    before, after = BEST_TO_WORST.index(old), BEST_TO_WORST.index(new)
    if before == after:
        assert (code, said) == (0, [])
    elif before < after:
        assert (code, said) == (1, [f"worse: {NAME}: {old}, now {new}", sums(worse=1)])
    else:
        assert (code, said) == (0, [f"better: {NAME}: {old}, now {new}", sums(better=1)])


def test_another_reason_is_told_and_is_not_worse(small: Path, reports: Path) -> None:
    change(reports, "test_skips[lguest]", reason="the moon")
    assert diff(small, reports) == (
        0,
        [
            "reason changed: test_skips[lguest]: skipped (no reason); now: the moon",
            sums(reason_changed=1),
        ],
    )


def test_a_test_that_is_gone_is_worse_and_one_that_came_is_not(small: Path, reports: Path) -> None:
    drop(reports, NAME, collected=False)
    assert diff(small, reports) == (1, [f"gone: {NAME}: was passed", sums(gone=1)])
    assert diff(reports, small) == (0, [f"added: {NAME}: passed", sums(added=1)])


def test_a_test_that_did_not_end_is_worse(small: Path, reports: Path) -> None:
    drop(reports, NAME, collected=True)
    assert diff(small, reports) == (1, [f"unfinished: {NAME}: was passed", sums(unfinished=1)])


def test_a_test_that_came_red_is_worse(small: Path, reports: Path) -> None:
    drop(reports, "test_fails[lguest]", collected=False)
    code, (first, last) = diff(reports, small)
    assert (code, last) == (1, sums(added_red=1))
    assert first.startswith("added red: test_fails[lguest]: failed (guest2: unexpected receiver: ")


def test_two_lans_of_one_suite_are_compared_test_by_test(small: Path, reports: Path) -> None:
    written = lines(reports)
    for line in written[1:-1]:
        line["lan"] = "mine"
        line["id"] = line["id"].replace("[lguest", "[mine")
    written[0]["collected"] = [line["id"] for line in written[1:-1]]
    write(reports, written)
    assert diff(small, reports) == (0, ["different LANs: lguest, then mine"])
    change(reports, NAME.replace("lguest", "mine"), outcome="failed", reason="so")
    assert diff(small, reports) == (
        1,
        [
            "different LANs: lguest, then mine",
            "worse: test_passes[0]: passed, now failed (so)",
            sums(worse=1),
        ],
    )


def test_other_rules_are_said_plainly(small: Path, reports: Path) -> None:
    written = lines(reports)
    written[0]["rules"] = "0" * 64
    write(reports, written)
    assert diff(small, reports) == (
        0,
        ["the rule tables differ: a rule may have changed between the runs"],
    )


def test_what_cannot_be_read_ends_in_2(small: Path, reports: Path, tmp_path: Path) -> None:
    assert diff(small, tmp_path / "nothing") == (
        2,
        [f"{tmp_path / 'nothing'}: No such file or directory"],
    )

    def corrupt(line: Line) -> None:
        line.update(outcome="moon")

    edit(reports, NAME, corrupt)
    code, said = diff(small, reports)
    assert code == 2
    assert said[0].startswith(f"{reports / 'results.jsonl'}:2: not a line of results: ")
    assert f"unfinished: {NAME}: was passed" in said
