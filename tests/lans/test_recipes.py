"""Recipes of real LANs: short, complete, and each starts and carries frames."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness import registry
from harness.frames import BROADCAST, ethernet
from harness.lans.files import schema
from harness.rules import RULES
from tests.lans.users import ROOT

FOLDER = ROOT / "fixtures" / "lans" / "real"
RECIPES = sorted(FOLDER.glob("*.toml"))
LONGEST = 30
"""Lines of a recipe, without its deviations."""


def test_there_are_twenty_at_least() -> None:
    assert len(RECIPES) >= 20


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_recipe_is_short_and_says_what_it_is(recipe: Path) -> None:
    lines = recipe.read_text().partition("\n[[deviation]]")[0].rstrip().splitlines()
    assert len(lines) <= LONGEST
    file = schema.parsed(schema.text_of(recipe), recipe)
    assert file.summary
    assert file.kind
    assert file.version
    assert file.needs.programs
    for entry in file.deviation:
        assert entry.rule in RULES
        assert entry.reason
        assert entry.evidence
        assert entry.versions, "another version may not have this fault"
        for test in entry.tests:
            module, _, function = test.partition("[")[0].partition("::")
            text = (ROOT / "testcases" / module).read_text()
            assert re.search(rf"^def {function}\(", text, re.MULTILINE), test


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_recipe_starts_and_carries_frames(recipe: Path) -> None:
    entry = registry.entry(str(recipe))
    if reason := entry.missing():
        pytest.skip(reason)
    assert entry.version()
    lan = entry.make()
    try:
        ports = lan.ports(min(3, lan.traits.ports))
        for number, sender in enumerate(ports):
            frame = ethernet(BROADCAST, sender, stamp=number, size=100)
            sender.send(frame)
            lan.settle()
            for port in ports:
                got = [arrival.frame for arrival in port.arrivals()]
                assert got == ([frame] if port is not sender else got[:1]), port.name
        for sender, owner in zip(ports, [*ports[1:], ports[0]], strict=True):
            frame = ethernet(owner, sender, size=1000)
            owner.send(ethernet(BROADCAST, owner))
            lan.settle()
            sender.send(frame)
            lan.settle()
            assert frame in [arrival.frame for arrival in owner.arrivals()]
            for port in ports:
                port.arrivals()
    finally:
        lan.close()
