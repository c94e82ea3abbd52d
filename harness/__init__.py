"""Test whether a virtual LAN delivers Ethernet frames correctly.

The names in ``__all__`` are the public API; they follow semantic versioning, as do the
results schema, the ``command:`` contract and the rule ids. Everything else is private: any
module or name that is not listed here may change in any version.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.comparing import same
    from harness.delivery import Delivery
    from harness.exchange import Testbench
    from harness.frames import ethernet
    from harness.lan import (
        Arrival,
        Counters,
        Fate,
        FateKind,
        FrameRefused,
        Inconclusive,
        Lan,
        LanError,
        LanVerbs,
        Layout,
        Port,
        PortVerbs,
        Record,
        Traits,
        Unsupported,
    )
    from harness.plugin.marks import rule
    from harness.registry import create
    from harness.rules import RULES, Rule

__version__ = "0.2.0"

__all__ = [
    "RULES",
    "Arrival",
    "Counters",
    "Delivery",
    "Fate",
    "FateKind",
    "FrameRefused",
    "Inconclusive",
    "Lan",
    "LanError",
    "LanVerbs",
    "Layout",
    "Port",
    "PortVerbs",
    "Record",
    "Rule",
    "Testbench",
    "Traits",
    "Unsupported",
    "create",
    "ethernet",
    "rule",
    "same",
]

_HOMES = {
    "lan": (
        "Arrival",
        "Counters",
        "Fate",
        "FateKind",
        "FrameRefused",
        "Inconclusive",
        "Lan",
        "LanError",
        "LanVerbs",
        "Layout",
        "Port",
        "PortVerbs",
        "Record",
        "Traits",
        "Unsupported",
    ),
    "comparing": ("same",),
    "delivery": ("Delivery",),
    "exchange": ("Testbench",),
    "frames": ("ethernet",),
    "rules": ("RULES", "Rule"),
    "plugin.marks": ("rule",),
    "registry": ("create",),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``import harness`` alone costs nothing."""
    for module, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(f"harness.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'harness' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
