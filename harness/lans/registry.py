"""The LANs that ``--lan`` can name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from harness.lan import Lan, LanError
from harness.lans import lguest

LANS: Mapping[str, Callable[[], Lan]] = MappingProxyType(
    {"lguest": lguest.lguest, "lguest-repaired": lguest.repaired}
)
"""Name to what makes the LAN; the maker's docstring says what it is."""


def make(name: str) -> Lan:
    """A new LAN of that name; LanError for a name that nobody has."""
    return maker(name)()


def maker(name: str) -> Callable[[], Lan]:
    """What makes the LAN of that name; LanError for a name that nobody has."""
    if name not in LANS:
        raise LanError(f"unknown LAN {name!r}: choose from {', '.join(LANS)}")
    return LANS[name]


def describe(name: str) -> str:
    """What the LAN is, in a line."""
    return (maker(name).__doc__ or "").strip().splitlines()[0]
