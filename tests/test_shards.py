"""``--shard K/N``: shares that are stable, balanced, and together everything."""

from __future__ import annotations

import pytest
from _pytest.pytester import Pytester
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence import results
from harness.evidence.shards import Shard, read, share

SUITE = """
import pytest
from harness.plugin.marks import rule

@pytest.mark.parametrize("n", range(7))
def test_many(n: int) -> None:
    pass

@rule("DLV-2")
@pytest.mark.parametrize("n", range(4))
def test_of_a_lan(lan, n: int) -> None:
    pass
"""


@given(st.sets(st.text(), max_size=40), st.integers(1, 9), st.data())
def test_shares_are_balanced_and_have_each_test_once(
    ids: set[str], total: int, data: st.DataObject
) -> None:
    shares = []
    for number in range(1, total + 1):
        order = data.draw(st.permutations(sorted(ids)))
        shares.append(share(order, Shard(number, total)))
    assert sorted(test for one in shares for test in one) == sorted(ids)
    sizes = [len(test) for test in shares]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "two workers"])
def test_all_shares_run_every_test_once(pytester: Pytester, workers: tuple[str, ...]) -> None:
    pytester.makepyfile(test_suite=SUITE)
    seen: list[str] = []
    for number in range(1, 4):
        where = pytester.path / str(number)
        arguments = ["--shard", f"{number}/3", f"--reports={where}", "-k", "not many-6"]
        result = pytester.runpytest_subprocess(*arguments, *workers)
        assert result.ret == 0
        saved = results.read(where)
        assert saved.run.shard == f"{number}/3"
        assert sorted(saved.run.collected) == sorted(test.id for test in saved.tests)
        assert len(saved.tests) in (3, 4)
        seen += [test.id for test in saved.tests]
    assert len(seen) == len(set(seen)) == 11


def test_a_shuffled_order_changes_no_share(pytester: Pytester) -> None:
    pytester.makepyfile(test_suite=SUITE)
    shares = []
    for seed in (1, 2):
        result = pytester.runpytest_subprocess(
            "--shard", "1/2", "-p", "randomly", f"--randomly-seed={seed}"
        )
        assert result.ret == 0
        shares.append(sorted(results.read(pytester.path / "reports").run.collected))
    assert shares[0] == shares[1]


def test_what_others_left_out_is_not_shared(pytester: Pytester) -> None:
    pytester.makepyfile(test_suite=SUITE)
    even = "test_many and (0 or 2 or 4 or 6)"
    for number in (1, 2):
        result = pytester.runpytest_subprocess("--shard", f"{number}/2", "-k", even)
        result.assert_outcomes(passed=2, deselected=9)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "1",
        "0/3",
        "4/3",
        "1/0",
        "-1/3",
        "1/3/3",
        "a/b",
        "1.0/3",
        " 1/3",
        "\u0661/\u0663",
        "01/3",
    ],
)
def test_a_bad_share_is_refused_in_a_line(pytester: Pytester, bad: str) -> None:
    assert read(bad) is None
    if bad in ("", "4/3", "a/b"):
        pytester.makepyfile(test_suite=SUITE)
        result = pytester.runpytest_subprocess(f"--shard={bad}")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"ERROR: --shard {bad}: not K/N with K from 1 to N, *"])
        assert "Traceback" not in result.stderr.str()


def test_a_good_share_is_read() -> None:
    assert (read("1/1"), read("2/3"), read("12/120")) == (Shard(1, 1), Shard(2, 3), Shard(12, 120))
