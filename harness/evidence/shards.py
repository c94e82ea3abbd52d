"""``--shard K/N``: a stable, balanced share of the tests, for the jobs of a CI."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shard:
    """Share ``number`` (from 1) of ``total``."""

    number: int
    total: int


def read(text: str) -> Shard | None:
    """``K/N`` with 1 <= K <= N; None for anything else."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})", text, re.ASCII)
    if match is None or int(match[1]) > int(match[2]):
        return None
    return Shard(int(match[1]), int(match[2]))


def share(ids: Iterable[str], shard: Shard) -> list[str]:
    """Every N-th id in sorted order.

    So the order of collection does not matter, and the cases of one slow test, whose ids
    stand together, are spread over all shares.
    """
    return sorted(ids)[shard.number - 1 :: shard.total]
