"""What the searches share: the LAN that they walk, and how they tell what they covered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness import registry
from harness.lans.lguest import LguestLan

Make = Callable[[], LguestLan]


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Make:
    """Makes the LAN that the search walks (``--search-lan``)."""
    name: str = request.config.getoption("search_lan")

    def new() -> LguestLan:
        lan = registry.make(name)
        assert isinstance(lan, LguestLan), f"--search-lan {name}: not a simulated LAN"
        return lan

    return new


@pytest.fixture
def covered(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Tells what was covered; the sums stand at the end of the run."""

    def tell(**counts: int) -> None:
        for what, count in counts.items():
            request.node.user_properties.append((f"covered {what.replace('_', ' ')}", count))

    return tell


@pytest.fixture
def search_reports(request: pytest.FixtureRequest) -> Path:
    """Where captures of programs that went wrong go."""
    given = request.config.getoption("reports")
    return (Path(given) if given else request.config.rootpath / "reports") / "captures" / "search"
