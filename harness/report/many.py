"""One report of many runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.evidence import lock, merge
from harness.evidence.answer import CANNOT_WRITE, Answer
from harness.evidence.files import LARGEST
from harness.evidence.results import BadResults
from harness.report import html, summary, verdict


def answer(
    paths: Sequence[Path], folder: Path, most: int = LARGEST, against: Sequence[Path] = ()
) -> Answer:
    """Make the report of these runs in a folder that can be carried away.

    It is compared with the runs ``against``, the latest first.

    Code 0 if the verdict is clean, 1 if not, 2 if a file cannot be read or the folder is not
    one for a report, CANNOT_WRITE if the report cannot be written.
    """
    try:
        older = [merge.load([path], most) for path in against]
        runs = merge.gather(merge.load(paths, most), folder, most)
        with lock.hold(folder):
            html.write(runs, folder.resolve(), most, older)
        added = summary.add(runs)
    except (BadResults, lock.Locked) as error:
        return Answer((), (str(error),), 2)
    except OSError as error:
        wrong = isinstance(error, FileExistsError | NotADirectoryError)
        code = 2 if wrong else CANNOT_WRITE
        return Answer((), (f"{error.filename or folder}: {error.strerror}",), code)
    lines = [*runs.problems, *(f"unfinished: {test}" for test in runs.unfinished)]
    lines += [added] if added else []
    lines += [verdict.line(runs), f"report: {folder / html.FILE_NAME}"]
    return Answer(tuple(lines), (), 0 if verdict.mood(runs) == "good" else 1)
