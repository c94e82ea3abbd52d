"""A whole run as one capture: the captures of its tests, one section of the file each.

A section has interfaces of its own, and the comments that the test's capture has; the
first packet of each test also names it, so that it stands in the list of packets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import results
from harness.capture import PACKET, annotated
from harness.report.reader import BadCapture, blocks

FILE_NAME = "run.pcapng"
RULES_AND_OUTCOME = 2
"""Comments that come first in every packet."""


@dataclass(frozen=True, slots=True)
class Merged:
    """How many tests are in the file, and why others are not, a line each."""

    tests: int
    problems: tuple[str, ...]


def merge(folder: Path) -> Merged:
    """Write ``run.pcapng`` from the results in a folder, in the order in which tests ended.

    One capture is held at a time. OSError if the file cannot be written.
    """
    tests = 0
    problems: list[str] = []
    with (folder / FILE_NAME).open("wb") as out:
        for test in _with_captures(folder / results.FILE_NAME):
            assert test.capture is not None
            path = folder / test.capture.path
            try:
                out.write(named(path, path.read_bytes(), test.id))
            except OSError as error:
                problems.append(f"{path}: {error.strerror}")
            except BadCapture as error:
                problems.append(str(error))
            else:
                tests += 1
    return Merged(tests, tuple(problems))


def named(path: Path, content: bytes, test: str) -> bytes:
    """A test's capture whose first packet names it; BadCapture if it is damaged.

    ``path`` is what a complaint names.
    """
    first = next(
        ((at, size) for at, kind, size in list(blocks(path, content)) if kind == PACKET), None
    )
    if first is None:
        return content
    at, size = first
    packet = annotated(content[at : at + size], f"test: {test}", RULES_AND_OUTCOME)
    return content[:at] + packet + content[at + size :]


def _with_captures(path: Path) -> Iterator[results.Result]:
    with path.open("rb") as file:
        for text in file:
            line = results.parse(text)
            if isinstance(line, results.Result) and line.capture is not None:
                yield line
