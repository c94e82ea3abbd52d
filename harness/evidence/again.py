"""Commands that look at one test again, quoted for the shell."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from harness.evidence.results import Run

SUITE_PROGRAM = "lguest-harness run"
"""The command that runs the suite; any other test is run by pytest."""

FOLDER = "rerun"
"""Where a repeated test leaves its evidence: beside that of the run, not over it."""


def lan_argument(lan: str, specs: Mapping[str, str]) -> str:
    """What ``--lan`` takes for a LAN; ``specs`` has those that are not named as they are given."""
    return f"{lan}={specs[lan]}" if lan in specs else lan


def rerun(program: str, test: str, lan: str | None, repeat: Sequence[str]) -> str:
    """The command that runs one test, with its seeds; ``lan`` is what ``--lan`` takes."""
    rest = [*repeat, "--reports", FOLDER]
    if program == SUITE_PROGRAM and lan is not None:
        return shlex.join([*program.split(), lan, "--", test, *rest])
    given = ["--lan", lan] if lan is not None else []
    return shlex.join(["pytest", test, *given, *rest])


def of_run(run: Run, test: str, lan: str | None) -> str:
    """The same, of a run as its results describe it."""
    given = None if lan is None else lan_argument(lan, run.specs)
    return rerun(run.program, test, given, run.repeat)


def show(capture: str) -> str:
    """The command that prints a capture as a diagram."""
    return shlex.join(["lguest-harness", "show", capture])
