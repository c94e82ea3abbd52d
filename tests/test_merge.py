"""Many runs as one: shards, machines, LANs; and what is said when they do not fit."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli.main import main
from harness.evidence import merge, results
from tests.small_run import FILE, OUTCOMES, Line, edit, lines, of, run, write

SHARDS = 3


@pytest.fixture(scope="session")
def all_shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The reports of the shards of a small run over two LANs; to be read only."""
    folder = tmp_path_factory.mktemp("shards")
    both = ["--lan", "lguest", "--lan", "lguest-repaired"]
    for number in range(1, SHARDS + 1):
        run(folder / str(number), *both, "--shard", f"{number}/{SHARDS}")
    return [folder / str(number) / "reports" for number in range(1, SHARDS + 1)]


@pytest.fixture
def shards(all_shards: list[Path], tmp_path: Path) -> list[Path]:
    """Copies of them, to be changed."""
    return [
        Path(shutil.copytree(path, tmp_path / "given" / str(number)))
        for number, path in enumerate(all_shards)
    ]


def report(folder: Path, *paths: Path) -> Result:
    result = CliRunner().invoke(main, ["report", *map(str, paths), "-o", str(folder)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_one_run_is_runs_too(small: Path) -> None:
    runs = merge.load([small])
    assert [path.path for path in runs.runs] == [small / "results.jsonl"]
    assert {test.result.id for test in runs.tests} == {f"{FILE}::{name}" for name in OUTCOMES}
    assert {test.folder for test in runs.tests} == {small}
    assert runs.unfinished == ()
    assert runs.problems == ()


def test_all_shards_have_every_test_once(all_shards: list[Path]) -> None:
    runs = merge.load(all_shards)
    assert runs.problems == ()
    assert runs.unfinished == ()
    ids = [test.result.id for test in runs.tests]
    assert len(ids) == len(set(ids)) == 2 * len(OUTCOMES)
    assert [len(lines.run.collected) for lines in runs.runs] == [6, 6, 6]
    assert [lines.run.shard for lines in runs.runs] == ["1/3", "2/3", "3/3"]


def test_machines_of_a_run_may_differ_a_little(shards: list[Path]) -> None:
    changed = lines(shards[1])
    changed[0].update(machine="one with a newer kernel")
    changed[0]["lans"]["lguest"] = "of that kernel"
    write(shards[1], changed)
    assert merge.load(shards).problems == ()


def test_a_shard_that_is_missing_is_named(all_shards: list[Path]) -> None:
    one, two, three = all_shards
    assert merge.load([one, three]).problems == ("missing shard 2/3: only 1/3, 3/3 given",)
    assert merge.load([two]).problems == ("missing shard 1/3, 3/3: only 2/3 given",)


def test_a_shard_that_died_shows_its_unfinished_tests(shards: list[Path]) -> None:
    whole = lines(shards[1])
    write(shards[1], whole[:3])
    runs = merge.load(shards)
    assert runs.unfinished == tuple(whole[0]["collected"][2:])
    assert runs.problems == (f"{shards[1] / 'results.jsonl'}: the run did not finish",)
    assert len(runs.tests) + len(runs.unfinished) == 2 * len(OUTCOMES)


@pytest.mark.parametrize("content", [b"", b"moon\n"])
def test_a_shard_that_died_before_it_collected_is_named(shards: list[Path], content: bytes) -> None:
    path = shards[1] / "results.jsonl"
    path.write_bytes(content)
    problems = merge.load(shards).problems
    assert problems[0].startswith(f"{path}:1: ")
    assert problems[1:] == ("missing shard 2/3: only 1/3, 3/3 given",)
    with pytest.raises(results.BadResults):
        merge.load([shards[1]])


def test_a_test_in_two_shards_is_named(shards: list[Path]) -> None:
    one, two = lines(shards[0]), lines(shards[1])
    two[0]["collected"].append(one[1]["id"])
    two.insert(1, one[1])
    two[-1]["outcomes"][one[1]["outcome"]] = two[-1]["outcomes"].get(one[1]["outcome"], 0) + 1
    write(shards[1], two)
    assert merge.load(shards).problems == (f"shards 1/3 and 2/3 both have {one[1]['id']}",)


def test_shares_of_other_tests_are_named(shards: list[Path]) -> None:
    """The second job tested another state of the suite: it has one test less."""
    two = lines(shards[1])
    gone = two.pop(1)
    two[0]["collected"].remove(gone["id"])
    two[-1]["outcomes"][gone["outcome"]] -= 1
    write(shards[1], two)
    problems = merge.load(shards).problems
    assert "the 3 shards are not from the same set of tests" in problems


def test_a_run_that_is_given_twice_is_named(small: Path, reports: Path) -> None:
    assert merge.load([small, reports]).problems == (
        f"{reports / 'results.jsonl'}: the same run as {small / 'results.jsonl'}",
    )


def test_two_machines_may_have_the_same_shards(shards: list[Path], tmp_path: Path) -> None:
    others = [Path(shutil.copytree(path, tmp_path / f"other{n}")) for n, path in enumerate(shards)]
    for other in others:
        changed = lines(other)
        changed[0].update(machine="the other", started="later")
        write(other, changed)
    runs = merge.load([*shards, *others])
    assert runs.problems == ()
    assert len(runs.tests) == 4 * len(OUTCOMES)
    assert merge.load([*shards, *others[:2]]).problems == (
        "missing shard 3/3: only 1/3, 2/3 given",
    )


def test_other_rules_are_refused_in_a_line(shards: list[Path], tmp_path: Path) -> None:
    changed = lines(shards[2])
    changed[0]["rules"] = "0" * 64
    write(shards[2], changed)
    outcome = report(tmp_path / "out", *shards)
    assert outcome.exit_code == 2
    assert outcome.output == (
        f"{shards[2] / 'results.jsonl'}: its rule table differs from that of"
        f" {shards[0] / 'results.jsonl'}; runs with different rules cannot be merged\n"
    )
    assert not (tmp_path / "out").exists()


def test_another_schema_is_refused_in_a_line(shards: list[Path], tmp_path: Path) -> None:
    changed = lines(shards[2])
    changed[0]["schema"] = 99
    write(shards[2], changed)
    outcome = report(tmp_path / "out", *shards)
    assert outcome.exit_code == 2
    assert outcome.output.endswith("unknown schema 99; this version reads 1\n")


def test_a_shard_that_is_none_is_refused(shards: list[Path], tmp_path: Path) -> None:
    for bad in ("moon", "0/3", "4/3", "1/99999999999"):
        changed = lines(shards[0])
        changed[0]["shard"] = bad
        write(shards[0], changed)
        outcome = report(tmp_path / "out", *shards)
        assert (outcome.exit_code, outcome.output.count("\n")) == (2, 1)
        assert f"{bad!r} is not a shard K/N" in outcome.output


# The report


def test_the_report_can_be_carried_away(shards: list[Path], tmp_path: Path) -> None:
    into = tmp_path / "out"
    outcome = report(into, *shards)
    assert outcome.exit_code == 1  # tests are red
    assert outcome.output.splitlines()[-1] == f"report: {into / 'index.html'}"
    for shard in shards:
        shutil.rmtree(shard)
    moved = into.rename(tmp_path / "carried")
    copies = [moved / "runs" / str(number) for number in (1, 2, 3)]
    judged = CliRunner().invoke(main, ["judge", *map(str, copies)])
    assert judged.exit_code == 0, judged.output
    runs = merge.load(copies)
    page = (moved / "index.html").read_text()
    assert str(tmp_path) not in page
    for test in runs.tests:
        assert test.result.capture is not None
        assert (test.folder / test.result.capture.path).exists()


def test_a_report_where_the_run_lies_copies_nothing(reports: Path) -> None:
    before = {path for path in reports.rglob("*") if path.is_file()}
    assert report(reports, reports).exit_code == 1
    after = {path for path in reports.rglob("*") if path.is_file()}
    assert after - before <= {reports / ".lguest-harness.lock"}
    assert before <= after


def test_a_report_made_again_has_nothing_of_the_one_before(
    shards: list[Path], tmp_path: Path
) -> None:
    into = tmp_path / "out"
    report(into, *shards)
    (into / "runs" / "mine").mkdir()
    report(into, shards[0])
    assert sorted(path.name for path in (into / "runs").iterdir()) == ["1", "mine"]
    # Made of its own copies, and one more:
    report(into, into / "runs" / "1", shards[1], shards[2])
    again = merge.load([into / "runs" / path for path in ("1", "2", "3")])
    assert again.problems == ()
    assert len(again.tests) == 2 * len(OUTCOMES)


def test_a_capture_that_is_missing_or_outside_is_named(reports: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    gone = of(lines(reports), "test_fails[lguest]")["capture"]["path"]
    (reports / gone).unlink()
    edit(reports, "test_passes[lguest-0]", lambda line: line["capture"].update(path="../secret"))
    own = str((reports / gone).resolve())
    edit(reports, "test_passes[lguest-1]", lambda line: line["capture"].update(path=own))
    outcome = report(tmp_path / "out", reports)
    assert outcome.exit_code == 1
    assert f"{reports / gone}: No such file or directory" in outcome.output
    assert f"'../secret' is not a path below {reports}" in outcome.output
    assert f"{own!r} is not a path below {reports}" in outcome.output
    copied = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert b"secret" not in {path.read_bytes() for path in copied}


def test_a_corrupt_line_is_named_the_rest_is_kept_and_it_ends_in_1(
    tmp_path: Path,
) -> None:
    done = run(tmp_path / "run", "-k", "passes")
    assert done.returncode == 0, done.stdout
    given = tmp_path / "run" / "reports"
    clean = report(tmp_path / "clean", given)
    assert clean.exit_code == 0, clean.output
    with (given / "results.jsonl").open("a") as file:
        file.write("moon\n")
    outcome = report(tmp_path / "out", given)
    assert outcome.exit_code == 1
    assert re.search(r"results.jsonl:6: not a line of results: ", outcome.output)
    assert len(merge.load([tmp_path / "out" / "runs" / "1"]).tests) == 3


STRANGE: list[Line] = [
    {"first": -5},
    {"first": 0},
    {"last": 99, "control": 99},
    {"control": -1},
    {"expected": {"guest2": [{"length": 60, "packet": 9}]}},
    {"expected": {"guest2": [{"length": 60, "packet": 2}]}},
    {"expected": {"guest2": [{"length": -3, "hex": "zz"}]}},
    {"expected": {"<b>": [{"length": 60, "packet": 1}]}},
    {"ports": []},
    {"held": False},
]


@pytest.mark.parametrize("strange", STRANGE, ids=str)
def test_doctored_results_make_a_report_all_the_same(
    reports: Path, tmp_path: Path, strange: Line
) -> None:
    edit(reports, "test_passes[lguest-1]", lambda line: line["exchanges"][0].update(strange))
    outcome = report(tmp_path / "out", reports)
    assert outcome.output.splitlines()[-1].startswith("report: ")


def test_nothing_to_write_to_is_said_in_a_line(small: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = report(tmp_path / "file", small)
    assert outcome.exit_code == 2
    assert outcome.output.count("\n") == 1
    assert str(tmp_path / "file") in outcome.output


def test_no_results_are_said_in_a_line(tmp_path: Path) -> None:
    outcome = report(tmp_path / "out", tmp_path / "nothing")
    assert (outcome.exit_code, outcome.output) == (
        2,
        f"{tmp_path / 'nothing'}: No such file or directory\n",
    )
