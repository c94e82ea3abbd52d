"""The command ``lguest-harness``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

EXIT_DISAGREES = 1
EXIT_BAD_INPUT = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lguest-harness")
def main() -> None:
    """Conformance of virtual LANs. The suite itself is run by pytest: `pytest testcases/`."""


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def play(files: tuple[Path, ...]) -> None:
    r"""Play recordings of the original driver on the simulated `lguest` LAN.

    Prints a line per disagreement. Exit code: 0 if all agree, 1 if any differs, 2 if a
    file could not be read as recordings (the others are played all the same).

    \b
    Example:
      lguest-harness play fixtures/recorded/*.jsonl
    """
    from harness import recording

    agree = differ = bad = 0
    for path in files:
        try:
            for number, scenario in recording.scenarios(path):
                try:
                    found = recording.play(scenario)
                except recording.BadRecording as error:
                    bad += 1
                    click.echo(f"{path}:{number}: {error}", err=True)
                    continue
                for each in found:
                    click.echo(str(each))
                differ += bool(found)
                agree += not found
        except OSError as error:
            bad += 1
            click.echo(f"{path}: {error.strerror}", err=True)
    click.echo(f"{agree} scenarios agree, {differ} differ")
    sys.exit(EXIT_BAD_INPUT if bad else EXIT_DISAGREES if differ else 0)


@main.command()
def lans() -> None:
    """List the LANs that `--lan` can name."""
    from harness.lans import registry

    for name in registry.LANS:
        click.echo(f"{name:<20}  {registry.describe(name)}")


@main.command()
def rules() -> None:
    """List the rules, and the tests of each."""
    from harness.catalogue import tests_of_rules
    from harness.rules import RULES

    found = tests_of_rules()
    for rule in RULES.values():
        click.echo(f"{rule.id:<7} {rule.text}  [{rule.source}; {rule.scope}, {rule.view}]")
        for test in found.get(rule.id, ()):
            click.echo(f"          {test}")
