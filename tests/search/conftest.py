"""What the searches share: the LAN that they walk, and a count of what they covered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness import registry
from harness.lans.lguest import LguestLan

Make = Callable[[], LguestLan]

CAMPAIGN = 40
"""From so many seeds of random programs on, a run is a campaign: all searches are complete."""


def is_campaign(config: pytest.Config) -> bool:
    """Whether there is time for everything (`make searches`)."""
    count: int = config.getoption("campaign")
    return count >= CAMPAIGN


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Make:
    """Makes the LAN that the search walks (``--search-lan``)."""
    name: str = request.config.getoption("search_lan")

    def new() -> LguestLan:
        lan = registry.create(name)
        assert isinstance(lan, LguestLan), f"--search-lan {name}: not a simulated LAN"
        return lan

    return new


@pytest.fixture
def covered(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Counts what was covered; the sums are printed at the end of the run."""

    def count_up(**counts: int) -> None:
        for what, count in counts.items():
            request.node.user_properties.append((f"covered {what.replace('_', ' ')}", count))

    return count_up


@pytest.fixture
def search_reports(request: pytest.FixtureRequest) -> Path:
    """Where the captures of programs that differ are written."""
    given = request.config.getoption("reports")
    return (Path(given) if given else request.config.rootpath / "reports") / "captures" / "search"
