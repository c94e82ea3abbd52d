"""``--shard K/N``: keep one share of the tests that were collected."""

from __future__ import annotations

import pytest

from harness.evidence import shards
from harness.evidence.shards import Shard


class Sharder:
    """Keeps one share of what was collected."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard

    @pytest.hookimpl(trylast=True)  # after -k, -m and the like
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        mine = set(shards.share([item.nodeid for item in items], self._shard))
        kept = [item for item in items if item.nodeid in mine]
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in mine])
        items[:] = kept


def configure(config: pytest.Config) -> None:
    """Apply ``--shard``; UsageError for a bad one."""
    given = config.getoption("shard")
    if given is None:
        return
    shard = shards.read(given)
    if shard is None:
        raise pytest.UsageError(f"--shard {given}: not K/N with K from 1 to N, as in 2/3")
    config.pluginmanager.register(Sharder(shard))
