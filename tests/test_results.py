"""The file of results: what a run writes, and how a reader takes what is wrong in it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from harness.evidence import results
from harness.evidence.results import BadResults, Headless
from tests.small_run import FILE, OUTCOMES, edit, lines, of, run, write


def test_every_test_has_a_line_and_the_run_an_end(small: Path) -> None:
    saved = results.read(small)
    assert saved.problems == []
    assert saved.unfinished() == []
    assert saved.run.schema == results.SCHEMA
    assert saved.run.rules == results.rules_hash()
    assert list(saved.run.lans) == ["lguest"]
    assert saved.run.shard == ""
    assert {test.id: test.outcome for test in saved.tests} == {
        f"{FILE}::{name}": word for name, word in OUTCOMES.items()
    }
    assert list(saved.run.collected) == [test.id for test in saved.tests]
    assert saved.end is not None
    assert dict(saved.end.outcomes) == Counter(OUTCOMES.values())
    assert saved.end.exit_code == 1


def test_a_line_tells_what_its_class_says(small: Path) -> None:
    test = next(test for test in results.read(small).tests if "test_passes" in test.id)
    assert (list(test.rules), test.lan, test.settled) == (["DLV-2"], "lguest", "barrier")
    assert list(test.ports) == ["guest1", "guest2", "guest3"]
    (exchange,) = test.exchanges
    assert exchange == results.Exchange(
        1, 2, 2, "wire", ["guest1", "guest2", "guest3"], {"guest2": [results.Wanted(60, 1)]}, True
    )
    assert test.capture is not None
    assert (small / test.capture.path).exists()


def test_a_folder_stands_for_the_file_in_it(small: Path) -> None:
    assert results.read(small) == results.read(small / "results.jsonl")


def test_the_same_run_leaves_the_same_lines(tmp_path: Path, small: Path) -> None:
    def plain(reports: Path) -> list[dict[str, object]]:
        times = ("seconds", "started")
        return [{k: v for k, v in line.items() if k not in times} for line in lines(reports)]

    run(tmp_path)
    assert plain(tmp_path / "reports") == plain(small)


def test_an_unknown_schema_is_refused(reports: Path) -> None:
    saved = lines(reports)
    saved[0]["schema"] = results.SCHEMA + 1
    write(reports, saved)
    with pytest.raises(BadResults, match="unknown schema 2; this version reads 1"):
        results.read(reports)


def test_an_unknown_field_is_passed_over(reports: Path) -> None:
    edit(reports, "test_fails[lguest]", lambda line: line.update(moon=["full"]))
    saved = results.read(reports)
    assert saved.problems == []
    assert len(saved.tests) == len(OUTCOMES)


CORRUPT = [
    b"{",
    b"\xff\xfe",
    b"null",
    b"[]",
    b'{"kind":"test"}',
    b'{"kind":"moon"}',
    b'{"id":"a"}',
    b"[" * 100_000,
    b'{"kind":"test","moon":' + b"[" * 100_000,
    b'{"kind":"end","outcomes":{"passed":1e400},"exit_code":0,"seconds":0}',
]


@pytest.mark.parametrize("corrupt", CORRUPT, ids=range(len(CORRUPT)))
def test_a_corrupt_line_is_named_and_the_rest_is_kept(reports: Path, corrupt: bytes) -> None:
    path = reports / "results.jsonl"
    all_lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([*all_lines[:3], corrupt, *all_lines[3:]]))
    saved = results.read(path)
    (problem,) = saved.problems
    assert problem.startswith(f"{path}:4: not a line of results: ")
    assert "\n" not in problem
    assert len(saved.tests) == len(OUTCOMES)


def test_a_last_line_that_is_not_whole_is_named(reports: Path) -> None:
    path = reports / "results.jsonl"
    content = path.read_bytes()
    last = content.rstrip(b"\n").rindex(b"\n", 0, content.rindex(b'{"kind":"end"') - 1) + 1
    for size in (last + 1, last + 200):
        path.write_bytes(content[:size])
        saved = results.read(path)
        assert [problem.partition(": ")[0] for problem in saved.problems] == [
            f"{path}:{len(OUTCOMES) + 1}"
        ]
        assert len(saved.tests) == len(OUTCOMES) - 1
        assert saved.unfinished() == [list(saved.run.collected)[-1]]
        assert saved.end is None


def test_a_file_without_a_beginning_is_headless(reports: Path) -> None:
    path = reports / "results.jsonl"
    for content in (b"", b"\n", b"moon\n", b"".join(path.read_bytes().splitlines(True)[1:])):
        path.write_bytes(content)
        with pytest.raises(Headless, match=r"results\.jsonl:1: "):
            results.read(path)


def test_a_file_that_cannot_be_opened_is_bad(tmp_path: Path) -> None:
    with pytest.raises(BadResults, match="No such file or directory"):
        results.read(tmp_path / "nothing")


def test_what_contradicts_itself_is_named(reports: Path) -> None:
    whole = lines(reports)

    def problems(changed: list[dict[str, object]]) -> list[str]:
        write(reports, changed)
        return [
            problem.removeprefix(f"{reports / 'results.jsonl'}: ")
            for problem in results.read(reports).problems
        ]

    twice = of(whole, "test_fails[lguest]")
    assert problems([*whole[:-1], twice, whole[-1]]) == [f"{twice['id']} is reported twice"]
    assert problems([*whole, whole[0]]) == ["a second run in one file"]
    stray = {**twice, "id": "moon"}
    assert problems([*whole[:-1], stray, whole[-1]]) == [
        "moon is reported, but was not collected",
        "the run's last line counts 1 failed, but 2 are readable",
    ]
    gone = [test for test in whole if test.get("id") != twice["id"]]
    assert problems(gone) == ["the run's last line counts 1 failed, but 0 are readable"]
    green = {**whole[-1], "exit_code": 0}
    assert problems([*whole[:-1], green]) == [
        "the run ended with exit code 0, but some of its tests are red"
    ]
    stopped = {**whole[-1], "exit_code": 2}
    assert problems([*whole[:-1], stopped]) == [
        "the run ended with exit code 2, for a reason other than its tests"
    ]


def test_a_run_that_could_not_collect_says_so(tmp_path: Path) -> None:
    done = run(tmp_path, "--lan", "lguest", suite="import moon")
    assert done.returncode == pytest.ExitCode.INTERRUPTED
    saved = results.read(tmp_path / "reports")
    assert [problem.partition(": ")[2] for problem in saved.problems] == [
        "the run ended with exit code 2, for a reason other than its tests"
    ]


def test_the_example_in_the_reports_page_is_read(small: Path) -> None:
    page = (Path(__file__).parents[1] / "reports" / "README.md").read_text()
    examples = [line.strip() for line in page.splitlines() if line.startswith('    {"kind"')]
    kinds = [json.loads(example)["kind"] for example in examples]
    assert kinds == ["run", "test", "end"]
    for text, real in zip(
        examples, [lines(small)[0], lines(small)[1], lines(small)[-1]], strict=True
    ):
        results.parse(text.encode())
        assert json.loads(text).keys() == real.keys()


def test_a_failure_without_captures_is_reported_like_any_other(tmp_path: Path) -> None:
    done = run(tmp_path, "--no-captures")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "INTERNALERROR" not in done.stdout + done.stderr
    assert "guest2" in done.stdout
