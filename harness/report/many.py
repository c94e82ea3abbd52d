"""One report of many runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.evidence import merge
from harness.evidence.answer import Answer
from harness.evidence.results import BadResults
from harness.report import html, summary


def answer(paths: Sequence[Path], folder: Path) -> Answer:
    """Make the report of these runs in a folder that can be carried away.

    Code 0 if the verdict is clean, 1 if not, 2 if there is no report.
    """
    try:
        runs = merge.gather(merge.load(paths), folder)
        html.write(runs, folder.resolve())
        added = summary.add(runs)
    except BadResults as error:
        return Answer((), (str(error),), 2)
    except OSError as error:
        return Answer((), (f"{error.filename or folder}: {error.strerror}",), 2)
    lines = [*runs.problems, *(f"unfinished: {test}" for test in runs.unfinished)]
    lines += [added] if added else []
    lines += [html.verdict(runs), f"report: {folder / html.FILE_NAME}"]
    return Answer(tuple(lines), (), 0 if html.mood(runs) == "good" else 1)
