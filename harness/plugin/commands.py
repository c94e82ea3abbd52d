"""pytest glue: the commands that look at a test again, for the directory of the user."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.evidence import again
from harness.plugin.items import LANS_OF_RUN, lan_of, place_of
from harness.registry import Entry

SUITE_CONFIGURATION = Path(__file__).parents[1] / "suite" / "pytest.ini"
"""With this file pytest was started by our command."""


def program(config: pytest.Config) -> str:
    """What the user called: our command that runs the suite, or pytest."""
    return again.SUITE_PROGRAM if config.inipath == SUITE_CONFIGURATION else "pytest"


def repeat(config: pytest.Config) -> list[str]:
    """Arguments that decide what is tested, unless they are the usual ones."""
    campaign, search_lan = str(config.getoption("campaign")), str(config.getoption("search_lan"))
    seeds = [] if campaign == "8" else ["--campaign", campaign]
    wire_seed = config.getoption("wire_seed")
    seeds += ["--wire-seed", wire_seed] if wire_seed else []
    return seeds + ([] if search_lan == "lguest-repaired" else ["--search-lan", search_lan])


def specs(lans: Mapping[str, Entry]) -> dict[str, str]:
    """What ``--lan`` was given for LANs that are called otherwise."""
    return {name: entry.spec for name, entry in lans.items() if entry.spec != name}


def near(path: Path, config: pytest.Config) -> str:
    """A path as the user's shell takes it."""
    base = config.invocation_params.dir
    return str(path.relative_to(base) if path.is_relative_to(base) else path)


def lines(item: pytest.Item) -> list[str]:
    """Where a test's capture is, and the commands to run and to show it."""
    config = item.config
    name = lan_of(item)
    lan = None if name is None else again.lan_argument(name, specs(config.stash[LANS_OF_RUN]))
    test = item.nodeid
    if program(config) == "pytest":
        test = "::".join([near(item.path, config), *item.nodeid.split("::")[1:]])
    capture = near(Path(place_of(item).path).absolute(), config)
    return [
        f"capture: {capture}",
        f"rerun:   {again.rerun(program(config), test, lan, repeat(config))}",
        f"show:    {again.show(capture)}",
    ]
