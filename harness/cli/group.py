"""What the commands have in common: their group, options, exit codes."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from harness.evidence.answer import Answer
from harness.evidence.files import LARGEST
from harness.evidence.text import visible

EXIT_DISAGREES = 1
EXIT_BAD_INPUT = 2

RESULTS = click.Path(path_type=Path)
"""A file of results, or a folder with one."""

AFTER_DASHES = "harness.after-dashes"
_TAKE_DASHES = frozenset({"run", "replay", "join", "serve"})
"""Commands that send on what follows `--`."""

largest_option = click.option(
    "--largest",
    metavar="BYTES",
    type=click.IntRange(min=1),
    default=LARGEST,
    show_default=True,
    help="Refuse files that are larger.",
)

send_on_option = click.option(
    "--yes-send-on",
    "send_on",
    metavar="IF",
    multiple=True,
    help="Send frames on this interface although it carries a default route.",
)


def finish(answer: Answer) -> NoReturn:
    """Print an answer, and end with its exit code."""
    for line in answer.errors:
        click.echo(visible(line), err=True)
    for line in answer.lines:
        click.echo(visible(line))
    sys.exit(answer.code)


def _unwrapped(text: str | None) -> str | None:
    r"""Help whose lines after a ``\b`` click leaves as they are: a docstring has it in letters."""
    return text and text.replace("\\b\n", "\b\n")


class Command(click.Command):
    """A command; what follows ``--`` is not click's for those that send it on."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.help = _unwrapped(self.help)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if self.name in _TAKE_DASHES and "--" in args:
            at = args.index("--")
            ctx.meta[AFTER_DASHES] = args[at + 1 :]
            args = args[:at]
        return super().parse_args(ctx, args)


class Group(click.Group):
    """The group of all commands, which suggests a name for one that it does not know."""

    command_class = Command

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.help = _unwrapped(self.help)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], self.commands, n=1)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean {near[0]}?", ctx) from None
