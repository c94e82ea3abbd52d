"""``;kind=KIND`` and the like at the end of ``--lan``, for LANs behind an address."""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from harness.lan import LanError, Traits
from harness.lans.wire.fence import FENCE_LIMIT_S

Kind = Literal["repeater", "learning", "directory", "wire"]

LONGEST_PATIENCE_S = 600.0
SEND_ON = "yes-send-on"

_FILTERS: Mapping[Kind, Literal["sender", "receiver", "nobody"]] = MappingProxyType(
    {"repeater": "nobody", "learning": "receiver", "directory": "sender", "wire": "nobody"}
)


@dataclass(frozen=True, slots=True)
class Options:
    """What a user declares about a LAN that cannot declare it itself.

    ``patience_s`` is how long a fence, or a port that comes up, may take. ``send_on`` are
    interfaces that frames are sent on although they carry a default route.
    """

    kind: Kind | None = None
    patience_s: float = FENCE_LIMIT_S
    send_on: frozenset[str] = frozenset()

    def traits(self, traits: Traits, *, unless: Kind | None = None) -> Traits:
        """Traits of the declared kind; of kind ``unless``, if none was declared."""
        kind = self.kind or unless
        if kind is None:
            return traits
        return replace(traits, kind=kind, learns=kind == "learning", filters=_FILTERS[kind])


def split(text: str) -> tuple[str, Options]:
    """The address, and the options behind it; LanError for a value that cannot be."""
    options = Options()
    while True:
        rest, _, last = text.rpartition(";")
        key, _, value = last.partition("=")
        if key == "kind" and rest:
            options = replace(options, kind=_kind(value))
        elif key == "patience" and rest:
            options = replace(options, patience_s=_patience(value))
        elif key == SEND_ON and rest:
            options = replace(options, send_on=frozenset(value.split(",")))
        else:
            return text, options
        text = rest


def _kind(value: str) -> Kind:
    for kind in typing.get_args(Kind):
        if value == kind:
            return typing.cast("Kind", kind)
    raise LanError(f"kind={value}: choose from {', '.join(typing.get_args(Kind))}")


def _patience(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= LONGEST_PATIENCE_S:
        raise LanError(f"patience={value}: should be seconds, up to {LONGEST_PATIENCE_S:g}")
    return seconds
