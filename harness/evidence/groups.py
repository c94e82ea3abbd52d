"""Failures that have one cause: the same kind of difference, of the same kind of frame."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.evidence.results import RED, Difference, Outcome, Result

MOST_NAMED = 3
"""Ports and rules that a line names."""

_NUMBER = re.compile(r"0x[0-9a-f]+|[0-9]+")
_CRASH = re.compile(r"it has ended with (exit code [1-9][0-9]*)|it was killed by (SIG[A-Z0-9]+)")


@dataclass(frozen=True, slots=True)
class Group:
    """Tests of one LAN that are red for one cause, in the order in which they ended."""

    lan: str
    outcome: Outcome
    rule: str
    cause: str
    tests: tuple[Result, ...]

    @property
    def example(self) -> Result:
        """The simplest of these tests: one that compares, with the fewest packets."""
        return min(self.tests, key=_effort)

    @property
    def checked(self) -> list[str]:
        """The rules that these tests check."""
        return list(dict.fromkeys(rule for test in self.tests for rule in test.rules))


def _effort(test: Result) -> tuple[bool, int]:
    compares = any(not exchange.held for exchange in test.exchanges)
    return not compares, test.capture.packets if test.capture else 0


def groups(tests: Iterable[Result]) -> list[Group]:
    """The red tests by LAN and cause, the largest group first."""
    by_cause: dict[tuple[str, Outcome, str, str], list[Result]] = {}
    for test in tests:
        if test.outcome in RED:
            by_cause.setdefault((test.lan or "", test.outcome, *_key(test)), []).append(test)
    causes = [
        Group(lan, outcome, rule, _text(alike), tuple(alike))
        for (lan, outcome, rule, _), alike in by_cause.items()
    ]
    return sorted(causes, key=lambda group: -len(group.tests))


def crash(test: Result) -> str:
    """How the LAN's program ended under an inconclusive test; "" if it did not crash."""
    match = _CRASH.search(test.reason) if test.outcome == "inconclusive" else None
    return (match[1] or match[2]) if match else ""


def _key(test: Result) -> tuple[str, str]:
    if test.differences and test.outcome == "failed":
        first = test.differences[0]
        return first.rule, cause(first, "")
    if ended := crash(test):
        return "", ended
    rule = test.rules[0] if test.rules and test.outcome == "failed" else ""
    return rule, _NUMBER.sub("#", test.reason)


def _text(alike: Sequence[Result]) -> str:
    first = alike[0]
    if ended := crash(first):
        return f"the LAN crashed ({ended}): {first.reason.removeprefix('inconclusive: ')}"
    if not first.differences or first.outcome != "failed":
        return first.reason.removeprefix("inconclusive: ")
    ports = dict.fromkeys(test.differences[0].port for test in alike if test.differences)
    joined = "or" if first.differences[0].kind == "missing" else "and"
    return cause(first.differences[0], some(sorted(ports), "port", joined))


def some(names: Sequence[str], what: str, joined: str = "and") -> str:
    """The first of these names, and how many more of ``what`` there are."""
    more = len(names) - MOST_NAMED
    if more > 0:
        return f"{', '.join(names[:MOST_NAMED])} {joined} {more} more {what}{'s' * (more > 1)}"
    *others, last = names or [""]
    return f"{', '.join(others)} {joined} {last}" if others else last


def cause(difference: Difference, ports: str) -> str:
    """What is wrong, without what differs from test to test; ``ports`` where it happened."""
    what, text = difference.what or "a frame", difference.text
    looks = text.partition(": looks like ")[2]
    at = re.search(r"the first at ([0-9]+)", text)
    match difference.kind:
        case "missing":
            return f"{what} does not reach {ports}"
        case "unexpected receiver":
            return f"{what} reaches {ports} too"
        case "returned to sender":
            return f"{what} comes back to its sender"
        case "duplicate":
            return f"{what} arrives{f' at {ports}' if ports else ''} more than once"
        case "reordered":
            return "frames of one sender arrive in another order"
        case "truncated":
            return f"{what} arrives truncated"
        case "longer":
            return f"{what} arrives longer" + (f": looks like {looks}" if looks else "")
        case "altered" if "tag" in text:
            return f"{what} arrives altered: {text.partition(', of the frame')[0]}"
        case "altered":
            return f"{what} arrives altered" + (f", the first byte at {at[1]}" if at else "")
        case "stale":
            return "a frame of an earlier exchange arrives again"
        case "late":
            return "a frame of an earlier exchange arrives late"
        case _:
            return "a frame arrives that no port sent"
