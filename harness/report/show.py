"""Output of ``lguest-harness show``: the diagrams of a capture."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from harness.evidence import foreign
from harness.evidence.comments import TEST
from harness.evidence.files import LARGEST
from harness.evidence.reader import BadCapture, Outline, outlines, packets
from harness.report import hosts
from harness.report.terminal import can_draw, for_encoding, lines


def show(
    path: Path, width: int, first: int = 1, test: str = "", most: int = LARGEST
) -> Iterator[str]:
    """One line at a time, ``width`` columns wide, from packet ``first`` on.

    Of a capture of many tests those whose name contains ``test``. BadCapture if it cannot be
    read, or there is nothing to show. A capture of another program has hosts for ports.
    """
    if not test and foreign.is_readable(path, most) and not foreign.is_ours(path, most):
        contents = foreign.read(path, most)
        if contents.packets or contents.snapped:
            yield from hosts.show(contents, width, first)
            return
    wanted = [outline for outline in outlines(path, most) if _named(outline, test)]
    if not wanted:
        raise BadCapture(f"{path}: no test in it has {test!r} in its name")
    if first > 1:
        wanted = [outline for outline in wanted if outline.first + outline.count > first]
        if not wanted:
            raise BadCapture(f"{path}: there is no packet {first} in it")
    for number, outline in enumerate(wanted):
        if number:
            yield ""
        yield from lines(outline, packets(path, outline, most), width, first)


def print_all(path: Path, first: int, test: str, *, ascii_only: bool, most: int = LARGEST) -> None:
    """Print it as wide as the terminal, and with the characters that it has."""
    encoding = sys.stdout.encoding
    ascii_only = ascii_only or not can_draw(encoding, os.environ.get("TERM"))
    for line in show(path, shutil.get_terminal_size().columns, first, test, most):
        click.echo(for_encoding(line, encoding, ascii_only=ascii_only))


def _named(outline: Outline, test: str) -> bool:
    return not test or any(
        comment.startswith(TEST) and test in comment.removeprefix(TEST)
        for comment in outline.comments
    )
