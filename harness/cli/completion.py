"""What the shell completes: ids of rules and names of LANs."""

from __future__ import annotations

import click


def rules(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    """Ids of rules that begin with what was typed, in capitals or not."""
    from harness.rules import RULES

    return [rule for rule in RULES if rule.startswith(typed.upper())]


def lans(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
    """Names of LANs that begin with what was typed; broken ones only after a first letter."""
    from harness import registry
    from harness.broken.catalogue import BROKEN

    names = [*registry.LANS]
    if typed:
        names += [f"{registry.BROKEN_PREFIX}{name}" for name in BROKEN]
    return [name for name in names if name.startswith(typed)]
