"""Commands about what runs have left: results, reports, captures."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.cli.group import (
    EXIT_BAD_INPUT,
    RESULTS,
    Command,
    finish,
    largest_option,
)
from harness.evidence.text import visible


@click.command(cls=Command)
@click.argument("results", nargs=-1, required=True, type=RESULTS)
@largest_option
def matrix(results: tuple[Path, ...], largest: int) -> None:
    r"""Print rule by LAN of one run or several, as a Markdown table.

    RESULTS are files, or folders with a results.jsonl. Exit code: 0, or 2 if a file cannot
    be read.

    \b
    Example:
      lguest-harness matrix reports
    """
    from harness.report import summary

    finish(summary.matrix(results, largest))


@click.command(cls=Command)
@click.argument("results", nargs=-1, required=True, type=RESULTS)
@largest_option
def judge(results: tuple[Path, ...], largest: int) -> None:
    r"""Re-check the verdicts of runs from their captures, without any LAN.

    RESULTS are files, or folders with a results.jsonl. Prints each verdict that the
    evidence does not support, and why. Exit code: 0 if all are supported, 1 if one is not,
    or if a run is unfinished or a line of it cannot be read, 2 if a file cannot be read.

    \b
    Example:
      lguest-harness judge reports
    """
    from harness.evidence import judge

    finish(judge.answer(results, largest))


@click.command(cls=Command)
@click.argument("old", type=RESULTS)
@click.argument("new", type=RESULTS)
@largest_option
def diff(old: Path, new: Path, largest: int) -> None:
    r"""Compare two runs: tests added, gone, changed for better or worse.

    From best to worst a test is passed, deviation, unsupported, skipped, inconclusive, failed.
    Exit code: 0 if nothing got worse; 1 if a test did, is gone or unfinished, or came and is
    red; 2 if a file cannot be read, or a line of one.

    \b
    Example:
      lguest-harness diff yesterday/results.jsonl reports
    """
    from harness.report import compare

    finish(compare.answer(old, new, largest))


@click.command(cls=Command)
@click.argument("results", nargs=-1, required=True, type=RESULTS)
@click.option("-o", "folder", required=True, type=RESULTS, help="Where the report goes.")
@click.option(
    "--against",
    multiple=True,
    type=RESULTS,
    help="An older run to compare with; the latest first, if there are several.",
)
@largest_option
def report(
    results: tuple[Path, ...], folder: Path, against: tuple[Path, ...], largest: int
) -> None:
    r"""Make one report of many runs: shards, machines, LANs.

    RESULTS are files, or folders with a results.jsonl. Below the folder go index.html and,
    in runs/, copies of the results with their captures; evidence.zip has the same, and lans/ has a
    page and a badge for each LAN. A Markdown summary is added to the
    file that GITHUB_STEP_SUMMARY names. Exit code: 0 if all tests of all runs ended and none
    is red; 1 if not, or if a line cannot be read, a capture or a shard is missing, or two
    shards have the same test; 2 if a file cannot be read, rule tables differ, or the folder
    has files that are not of a report; 74 if the report cannot be written. It may be made
    again in the same folder: only what it wrote there itself is replaced.

    \b
    Example:
      lguest-harness report shard-1 shard-2 shard-3 -o merged
      lguest-harness report today --against yesterday -o compared
    """
    from harness.report import many

    finish(many.answer(results, folder, largest, against))


@click.command(cls=Command)
@click.argument("capture", type=click.Path(path_type=Path))
@click.option("--from", "first", metavar="PACKET", default=1, help="Begin at that packet.")
@click.option("--test", metavar="TEXT", default="", help="Only tests with that in their name.")
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw with letters of ASCII only.")
@largest_option
def show(capture: Path, first: int, test: str, ascii_only: bool, largest: int) -> None:
    r"""Print a capture as a sequence diagram: ports as lifelines, frames as arrows.

    A cut frame is broken off (//), a dropped one ends in an x with the reason. Numbers are
    those of the packets in Wireshark. Exit code: 0, or 2 if there is no such capture, it is
    damaged, or nothing in it is asked for.

    \b
    Example:
      lguest-harness show "reports/captures/testcases/test_slots.py/test_first[lguest].pcapng"
      lguest-harness show reports/run.pcapng --test test_runt
    """
    from harness.evidence.reader import BadCapture
    from harness.report import show as shown

    try:
        shown.print_all(capture, first, test, ascii_only=ascii_only, most=largest)
    except BadCapture as error:
        click.echo(visible(str(error)), err=True)
        sys.exit(EXIT_BAD_INPUT)


@click.command(cls=Command)
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace another profile that is there.")
def wireshark(folder: Path | None, force: bool) -> None:
    r"""Write a profile for Wireshark and tshark: columns and colours for our captures.

    It goes where Wireshark looks for profiles, or to DIR, which is then the profile itself.
    Exit code: 0, or 2 if another profile is there, or it cannot be written.

    \b
    Example:
      lguest-harness wireshark
      wireshark -C lguest-harness reports/run.pcapng
      tshark -C lguest-harness --color -r reports/run.pcapng
    """
    from harness.report import wireshark as profile

    try:
        where = folder or profile.usual_place()
        replaced = profile.write(where, replace=force)
    except profile.NoProfile as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_BAD_INPUT)
    for path in replaced:
        click.echo(f"replaced {path}")
    click.echo(f"{where}: {profile.advice(where)}")
