"""What ``lguest-harness show`` prints: the diagrams of a capture."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from harness.evidence.comments import TEST
from harness.evidence.reader import BadCapture, Section, sections
from harness.report.terminal import can_draw, for_encoding, lines


def show(path: Path, width: int, first: int = 1, test: str = "") -> Iterator[str]:
    """A line at a time, ``width`` columns wide, from packet ``first`` on.

    Of a capture of many tests those whose name has ``test`` in it. BadCapture if it cannot
    be read, or there is nothing to show.
    """
    wanted = [each for each in sections(path) if _named(each, test)]
    if not wanted:
        raise BadCapture(f"{path}: no test in it has {test!r} in its name")
    if first > 1:
        wanted = [each for each in wanted if each.packets and each.packets[-1].number >= first]
        if not wanted:
            raise BadCapture(f"{path}: there is no packet {first} in it")
    for number, section in enumerate(wanted):
        if number:
            yield ""
        yield from lines(section, width, first)


def print_all(path: Path, first: int, test: str, *, ascii_only: bool) -> None:
    """Print it as wide as the terminal, and with the characters that it has."""
    # What Scapy warns of is what BadCapture says.
    logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
    encoding = sys.stdout.encoding
    ascii_only = ascii_only or not can_draw(encoding, os.environ.get("TERM"))
    for line in show(path, shutil.get_terminal_size().columns, first, test):
        click.echo(for_encoding(line, encoding, ascii_only=ascii_only))


def _named(section: Section, test: str) -> bool:
    return not test or any(
        comment.startswith(TEST) and test in comment.removeprefix(TEST)
        for comment in section.comments
    )
