"""Runs the conformance suite: from a checkout, or from the installed package."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

CONFIGURATION = Path(__file__).with_name("pytest.ini")
"""pytest's configuration of the suite: the same wherever it lies, whoever starts it."""


FAILS_BY_VERDICT = ("assert", "AssertionError", "on the wire", "exchange")
"""How the message of a failed test begins if it failed on what its rule says."""


class SuiteError(Exception):
    """The suite could not be collected or run; what pytest printed."""


def message_of(report: pytest.TestReport) -> str:
    """What a failed test says, without the traceback."""
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(report.longrepr) if crash is None else str(crash.message)


def folder() -> Path:
    """Where the suite is: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "testcases"
    return installed if installed.is_dir() else package.parent / "testcases"


def arguments(suite: Path | None = None) -> list[str]:
    """Arguments of pytest with which node ids are the same from a checkout and installed."""
    suite = suite or folder()
    where = ["--rootdir", str(suite.parent), "-c", str(CONFIGURATION)]
    return [str(suite), *where, "-p", "no:cacheprovider"]


def run(lans: Sequence[str], more: Sequence[str] = ()) -> int:
    """Run the suite on LANs, with more arguments of pytest; pytest's exit code.

    Ids of tests among the arguments select those tests alone.

    Evidence goes to ``reports`` in the current directory unless ``more`` says otherwise.
    """
    chosen = [argument for lan in lans for argument in ("--lan", lan)]
    reports = ["--reports", str(Path.cwd() / "reports")]
    whole, *rest = arguments()
    root = Path(whole).parent
    named = [given for given in more if _names_a_test(root, given)]
    tests = [f"{root}/{given}" for given in named] or [whole]
    others = [given for given in more if given not in named]
    return int(pytest.main([*tests, *rest, *chosen, *reports, *others]))


def _names_a_test(root: Path, given: str) -> bool:
    """Whether an argument is the id of a test, or of a file, of the suite, as results have it."""
    path = given.partition("::")[0]
    return path.endswith(".py") and not given.startswith("-") and (root / path).is_file()


def run_quietly(more: Sequence[str], plugin: object, allowed: Sequence[int]) -> None:
    """Run the suite with a plugin, print nothing; SuiteError for any other exit code."""
    pytest_quietly([*arguments(), "-q", *more], plugin, allowed)


def pytest_quietly(arguments: Sequence[str], plugin: object, allowed: Sequence[int]) -> None:
    """Run pytest with a plugin, print nothing; SuiteError for any other exit code."""
    output = io.StringIO()
    chosen = os.environ.pop("PYTEST_ADDOPTS", None)  # a choice of tests would falsify the list
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            code = pytest.main(list(arguments), plugins=[plugin])
    finally:
        if chosen is not None:
            os.environ["PYTEST_ADDOPTS"] = chosen
    if code not in allowed:
        raise SuiteError(output.getvalue())
