"""pytest glue: the seed of what a LAN must not know beforehand.

Markers of fences and control broadcasts are part of the judgement: a LAN that knows them could
treat them well and everything else badly. So the seed is random for every run, except for
simulated LANs, which are the harness's own: there it is fixed, and two runs leave the same
bytes. It is recorded in the results and in captures; ``--wire-seed`` repeats it.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

import pytest

from harness.lan import Lan
from harness.registry import Entry

FIXED = "0"
"""The seed for simulated LANs."""

_SEED = pytest.StashKey[str]()
_CROSSES = "lguest_harness_wire_seed"
"""How a worker is informed of the run's seed."""


def of_run(config: pytest.Config) -> str:
    """The seed of a run for LANs that are not simulated."""
    known = config.stash.get(_SEED, None)
    if known is None:
        given = config.getoption("wire_seed")
        known = given or getattr(config, "workerinput", {}).get(_CROSSES) or secrets.token_hex(8)
        config.stash[_SEED] = known
    return known


def of(config: pytest.Config, entry: Entry) -> str:
    """The seed for a LAN."""
    return FIXED if entry.simulated and not config.getoption("wire_seed") else of_run(config)


def say(node: Any) -> None:
    """Inform a worker."""
    node.workerinput[_CROSSES] = of_run(node.config)


def seed_markers(lan: Lan, seed: str) -> None:
    """Have a LAN make its markers from a seed, if it has any."""
    give = getattr(lan, "seed_markers", None)
    if give is not None:
        give(seed.encode())


def control(seed: str, test: str) -> int:
    """What selects the control broadcasts of a test."""
    if seed == FIXED:
        return 0
    return int.from_bytes(hashlib.sha256(f"{seed} {test}".encode()).digest()[:8], "big")
