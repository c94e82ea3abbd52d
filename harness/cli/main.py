"""The command ``lguest-harness``."""

from __future__ import annotations

import click

from harness.cli import evidence, live, suite
from harness.cli.group import Group


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lguest-harness")
def main() -> None:
    r"""Test whether a virtual LAN delivers Ethernet frames correctly.

    Exit codes: 0 if all is well; 1 if what a command looked at is not; 2 if it could not look,
    because input is missing or damaged or the command line is wrong.

    \b
    Example:
      lguest-harness run bridge
      lguest-harness COMMAND --help
      eval "$(_LGUEST_HARNESS_COMPLETE=bash_source lguest-harness)"    # completion, in bash
    """


for command in (
    suite.run,
    suite.play,
    suite.lans,
    suite.probe,
    suite.restore,
    suite.rules,
    suite.deviations,
    suite.explain,
    live.replay,
    live.join,
    live.serve,
    evidence.matrix,
    evidence.judge,
    evidence.diff,
    evidence.report,
    evidence.show,
    evidence.wireshark,
):
    main.add_command(command)
