"""One rule: what it says, which tests check it, which LANs break it and why."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from harness import deviations
from harness.broken.catalogue import BROKEN
from harness.registry import BROKEN_PREFIX
from harness.rules import RULES, Rule
from harness.suite.coverage import tests_of_rules

SCOPES = {
    "any": "any LAN",
    "lguest": "lguest's inside; other LANs are not asked",
    "repeater": "repeaters alone",
    "learning": "learning LANs alone",
    "directory": "directory LANs alone",
}
VIEWS = {"wire": "what reached the port", "host": "what a host's card would pass up"}


class UnknownRule(Exception):
    """A rule that is not in the table, said in one line."""


def rule(name: str) -> Rule:
    """The rule of that id, in capitals or not; UnknownRule names those that look like it."""
    rule = RULES.get(name.upper())
    if rule is not None:
        return rule
    near = difflib.get_close_matches(name.upper(), RULES, n=3, cutoff=0.5)
    like = f"did you mean {' or '.join(near)}?" if near else "`lguest-harness rules` lists them"
    raise UnknownRule(f"unknown rule {name!r}: {like}")


def explain(about: Rule) -> Iterator[str]:
    """Line by line; SuiteError if the tests cannot be collected, LanError for bad deviations."""
    yield f"{about.id}  {about.text}"
    yield ""
    yield f"source  {about.source}"
    yield f"scope   {about.scope}: {SCOPES[about.scope]}"
    yield f"view    {about.view}: {VIEWS[about.view]}"
    yield from _list("tests", tests_of_rules().get(about.id, []))
    yield from _list(
        "broken LANs that its tests must catch",
        [
            f"{BROKEN_PREFIX}{broken.name}: {broken.what}"
            for broken in BROKEN.values()
            if broken.rule == about.id
        ],
    )
    known = [
        (lan, deviation)
        for lan in sorted(path.stem for path in deviations.FOLDER.glob("*.toml"))
        for deviation in deviations.of(lan)
        if deviation.rule == about.id
    ]
    yield ""
    yield "LANs that deviate" if known else "no LAN is known to deviate"
    for lan, deviation in known:
        yield f"  {lan}: {deviation.reason}"
        yield f"    evidence: {deviation.evidence}"
        yield from (f"    shown by {test}" for test in deviation.tests)


def _list(title: str, items: list[str]) -> Iterator[str]:
    yield ""
    yield title if items else f"no {title}"
    yield from (f"  {item}" for item in items)
