"""``;kind=KIND`` at the end of ``--lan``: the kind of a LAN that cannot declare it itself."""

from __future__ import annotations

import typing
from dataclasses import replace
from typing import Literal

from harness.lan import LanError, Traits

Kind = Literal["repeater", "learning", "directory", "wire"]

_SEPARATOR = ";kind="
_FILTERS: dict[Kind, Literal["sender", "receiver", "nobody"]] = {
    "repeater": "nobody",
    "learning": "receiver",
    "directory": "sender",
    "wire": "nobody",
}


def split(text: str) -> tuple[str, Kind | None]:
    """The text before ``;kind=``, and the kind; LanError for an unknown one."""
    rest, separator, word = text.rpartition(_SEPARATOR)
    if not separator:
        return text, None
    for kind in typing.get_args(Kind):
        if word == kind:
            return rest, kind
    raise LanError(f"kind={word}: choose from {', '.join(typing.get_args(Kind))}")


def with_kind(traits: Traits, kind: Kind | None) -> Traits:
    """Traits of a LAN of a kind; unchanged for None."""
    if kind is None:
        return traits
    return replace(traits, kind=kind, learns=kind == "learning", filters=_FILTERS[kind])
