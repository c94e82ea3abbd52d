"""What the shell completes: ids of rules and names of LANs."""

from __future__ import annotations

import click


def rules(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Ids of rules that begin so, in capitals or not."""
    from harness.rules import RULES

    return [rule for rule in RULES if rule.startswith(begun.upper())]


def lans(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Names of LANs that begin so; those that are wrong on purpose once ``broken:`` is begun."""
    from harness import registry
    from harness.broken.catalogue import BROKEN

    names = [*registry.LANS]
    if begun:
        names += [f"{registry.BROKEN_PREFIX}{each}" for each in BROKEN]
    return [name for name in names if name.startswith(begun)]
