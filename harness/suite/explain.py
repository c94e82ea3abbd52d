"""All that is known of one rule: what it asks, who checks it, who breaks it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from harness import deviations
from harness.broken.catalogue import BROKEN
from harness.registry import BROKEN_PREFIX
from harness.rules import RULES, Rule
from harness.suite.coverage import tests_of_rules

SCOPES = {"any": "any LAN", "lguest": "lguest's inside; other LANs are not asked"}
VIEWS = {"wire": "what reached the port", "host": "what a host's card would pass up"}


class UnknownRule(Exception):
    """A rule that is not in the table, said in one line."""


def rule(name: str) -> Rule:
    """The rule of that id, in capitals or not; UnknownRule names those that look like it."""
    found = RULES.get(name.upper())
    if found is not None:
        return found
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
    broken = [each for each in BROKEN.values() if each.rule == about.id]
    yield from _list(
        "broken LANs that its tests must catch",
        [f"{BROKEN_PREFIX}{each.name}: {each.what}" for each in broken],
    )
    known = [
        (lan, each)
        for lan in sorted(path.stem for path in deviations.FOLDER.glob("*.toml"))
        for each in deviations.of(lan)
        if each.rule == about.id
    ]
    yield ""
    yield "LANs that deviate" if known else "no LAN is known to deviate"
    for lan, each in known:
        yield f"  {lan}: {each.reason}"
        yield f"    evidence: {each.evidence}"
        yield from (f"    shown by {test}" for test in each.tests)


def _list(title: str, what: list[str]) -> Iterator[str]:
    yield ""
    yield title if what else f"no {title}"
    yield from (f"  {each}" for each in what)
