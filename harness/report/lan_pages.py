"""A page for each LAN, and its badge: how many of the rules that were judged it passed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment

from harness.evidence.groups import groups
from harness.evidence.merge import Runs
from harness.evidence.own_folder import replace
from harness.evidence.pcapng import path_of
from harness.report import verdict
from harness.report.rows import parts

FOLDER = "lans"
MOST_LANS = 40
"""LANs with a page; a run of all broken LANs needs none."""

OURS = b"lguest-harness"
LETTER = 7
"""Pixels of a character of the badge, about."""


def stem(lan: str) -> str:
    """The name of a LAN's files, without their ending."""
    return path_of(lan).stem


def write(environment: Environment, runs: Runs, folder: Path, lans: Mapping[str, str]) -> None:
    """Write them below the folder of the report. OSError if a file of the user is there."""
    if not 0 < len(lans) <= MOST_LANS:
        return
    (folder / FOLDER).mkdir(exist_ok=True)
    page, badge = environment.get_template("lan.html.j2"), environment.get_template("badge.svg.j2")
    for of_lan in verdict.by_lan(runs):
        tests = [test for test in runs.tests if test.result.lan == of_lan.lan]
        name = stem(of_lan.lan)
        text = f"{of_lan.passed} of {of_lan.judged} rules"
        left, right = 10 + LETTER * len(of_lan.lan), 10 + LETTER * len(text)
        drawn = badge.render(of=of_lan, text=text, left=left, right=right)
        shown = page.render(
            of=of_lan,
            version=lans[of_lan.lan],
            badge=f"{name}.svg",
            parts=parts(tests, [of_lan.lan]),
            groups=groups(test.result for test in tests),
        )
        for ending, content in (("svg", drawn), ("html", shown)):
            target = folder / FOLDER / f"{name}.{ending}"
            replace(target, content.encode("utf-8", "backslashreplace"), OURS)
