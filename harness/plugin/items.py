"""pytest glue: what is known of a test before it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.evidence import pcapng
from harness.registry import Entry
from harness.rules import Rule

RULES_OF_RUN = pytest.StashKey[Mapping[str, Rule]]()
"""The rules of a run: ours, and the user's own."""

LANS_OF_RUN = pytest.StashKey[Mapping[str, Entry]]()
"""The LANs under test, by name."""

DEVIATION = "deviation of "
"""What the reason of a known deviation's expected failure begins with."""

_PLACE = pytest.StashKey["Place"]()
_RULE_IDS = pytest.StashKey[tuple[str, ...]]()


def rule_ids(item: pytest.Item | pytest.Function) -> tuple[str, ...]:
    """The rules that a test names, in its own order."""
    ids = item.stash.get(_RULE_IDS, None)
    if ids is None:
        marks = reversed(list(item.iter_markers("rule")))
        ids = tuple(dict.fromkeys(str(rule_id) for mark in marks for rule_id in mark.args))
        item.stash[_RULE_IDS] = ids
    return ids


def fixtures_of(item: pytest.Item) -> list[str]:
    """Names of the fixtures that a test asks for."""
    return list(getattr(item, "fixturenames", ()))


def lan_of(item: pytest.Item) -> str | None:
    """The name of a test's LAN; None if it needs none."""
    callspec = getattr(item, "callspec", None)
    name = None if callspec is None else callspec.params.get("lan_name")
    return name if isinstance(name, str) else None


def simulated(item: pytest.Item) -> bool:
    """Whether a test's LAN is simulated; true too where it has none."""
    name = lan_of(item)
    return name is None or item.config.stash[LANS_OF_RUN][name].simulated


def rules_of(item: pytest.Item) -> list[Rule]:
    """The rules that a test checks."""
    known = item.config.stash[RULES_OF_RUN]
    return [known[rule] for rule in rule_ids(item) if rule in known]


def scope_of(item: pytest.Item) -> str:
    """On which LANs a test has something to say: "any", "lguest" alone, or a kind."""
    return scope_of_rules(rules_of(item))


def scope_of_rules(rules: Iterable[Rule]) -> str:
    """On which LANs a test of these rules has something to say."""
    scopes = [rule.scope for rule in rules]
    return "lguest" if "lguest" in scopes else next((s for s in scopes if s != "any"), "any")


def reports_folder(config: pytest.Config) -> Path:
    """Where the run's captures, results and report go."""
    given = config.getoption("reports")
    return Path(given) if given else config.rootpath / "reports"


def shown(path: Path, config: pytest.Config) -> str:
    """A path as a user reads it."""
    return str(path.relative_to(config.rootpath) if path.is_relative_to(config.rootpath) else path)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a test's capture goes: its path, that below the reports, and that to show."""

    path: str
    below: str
    shown: str


def place_of(item: pytest.Item) -> Place:
    """Where a test's capture goes."""
    place = item.stash.get(_PLACE, None)
    if place is None:
        reports = reports_folder(item.config)
        below = f"captures/{pcapng.path_of(item.nodeid).as_posix()}"
        path = f"{shown(reports, item.config)}/{below}"
        place = item.stash[_PLACE] = Place(f"{reports}/{below}", below, path)
    return place


def described(item: pytest.Item) -> tuple[tuple[str, ...], str | None]:
    """The rules that a test names, and its LAN."""
    return rule_ids(item), lan_of(item)
