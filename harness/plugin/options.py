"""Command-line options of the plugin."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

EXPLICIT = ("lan", "deviations", "own_rule", "reports", "shard", "one_capture")
"""Options that, when given, ask for this plugin even before a test uses its fixtures."""


def add(parser: pytest.Parser) -> None:
    """Declare them."""
    group = parser.getgroup("lguest-harness", "LAN conformance")
    group.addoption(
        "--lan",
        action="append",
        metavar="[NAME=]SPEC",
        help="LAN under test (lguest if not given; repeat it to run each test once per LAN);"
        " NAME is what test ids and reports call it; `lguest-harness lans` lists what SPEC can"
        " be; broken:* stands for all deliberately broken LANs",
    )
    group.addoption(
        "--yes-send-on",
        action="append",
        default=[],
        metavar="IF",
        help="send test frames on this interface of --lan interfaces:... although it carries a"
        " default route",
    )
    group.addoption(
        "--deviations",
        metavar="FILE",
        type=Path,
        help="known deviations of the LAN under test, instead of its own; one --lan only",
    )
    group.addoption(
        "--own-rule",
        action="store_true",
        help="on a deliberately broken LAN, run only the tests of the rule that it breaks",
    )
    group.addoption(
        "--quick",
        action="store_true",
        help="run one test of each rule: seconds instead of minutes, and less proof",
    )
    group.addoption(
        "--reports",
        metavar="DIR",
        help="where captures, results and report go (default: reports/ in the root directory)",
    )
    group.addoption(
        "--shard",
        metavar="K/N",
        help="run the K-th of N shares of the tests; all N together run each test once",
    )
    group.addoption(
        "--search-lan",
        metavar="NAME",
        default="lguest-repaired",
        help="simulated LAN that searches walk (default: %(default)s)",
    )
    group.addoption(
        "--campaign",
        metavar="N",
        type=_count,
        default=8,
        help="seeds of random programs to try (default: %(default)s)",
    )
    group.addoption(
        "--wire-seed",
        metavar="SEED",
        help="seed of the markers of fences and of control broadcasts, as the results of a run"
        " have it (default: random; fixed for simulated LANs)",
    )
    group.addoption(
        "--no-captures",
        action="store_true",
        help="write no captures, results or report (verdicts are the same)",
    )
    group.addoption(
        "--allow-unsupported",
        action="store_true",
        help="a run in which most rules could not be judged is a success too",
    )
    group.addoption(
        "--one-capture",
        action="store_true",
        help="at the end merge the captures of all tests into one, run.pcapng, beside them",
    )


def _count(text: str) -> int:
    """A number from 1; argparse wants its own error."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text)
