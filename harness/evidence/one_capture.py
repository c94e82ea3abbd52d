"""A whole run as one capture: the packets of its tests, one test after the other.

It is one section, as Wireshark 4.0 takes the interfaces of a second one for those of the
first. The first packet of each test has a comment with the name of the test. Ports of one name
are one interface. A test that began before the one ahead of it ended, as on every simulated LAN,
is moved to behind it, so that all packets are in the order of their times.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from harness.evidence import judge, results
from harness.evidence.comments import RULES_AND_OUTCOME, TEST
from harness.evidence.files import BadFile, opened
from harness.evidence.pcapng import INTERFACE, PACKET, annotated, encode
from harness.evidence.reader import BadCapture, blocks, interface_name, outlines

FILE_NAME = "run.pcapng"

GAP_NS = 1_000_000
"""Nanoseconds between two tests of which the second was moved."""


@dataclass(frozen=True, slots=True)
class Merged:
    """How many tests are in the file, and why others are not, one line each."""

    tests: int
    problems: tuple[str, ...]


def merge(folder: Path) -> Merged:
    """Write ``run.pcapng`` from the results in a folder, in the order in which tests ended.

    A test without packets is counted, but cannot be seen. OSError if the file cannot be
    written, BadFile if the results cannot be read.
    """
    tests = 0
    problems: list[str] = []
    with (folder / FILE_NAME).open("wb") as file:
        file.write(encode([], [], ["a whole run of lguest-harness"]))
        out = _Out(file)
        for test in _with_captures(folder / results.FILE_NAME):
            assert test.capture is not None
            try:
                out.add(judge.capture_path(test.capture, folder), test.id)
            except (BadFile, BadCapture, judge.BadEvidence) as error:
                problems.append(str(error))
            else:
                tests += 1
    return Merged(tests, tuple(problems))


@dataclass(slots=True)
class _Out:
    file: BinaryIO
    numbers: dict[str, int] = field(default_factory=dict)
    """An interface's name to its number in the file."""
    latest: int = 0
    """The time of the last packet."""

    def add(self, path: Path, test: str) -> None:
        """The packets of a capture, and those of its interfaces that are not there yet.

        BadCapture, and nothing is written, if the capture is damaged.
        """
        outlines(path)  # to read all of it before any of it is written
        about = f"{TEST}{test}"
        interfaces: list[tuple[str, bytes]] = []
        numbers: list[int] = []
        moved: int | None = None
        with opened(path) as file:
            for at, kind, block in blocks(path, file):
                if kind == INTERFACE:
                    interfaces.append((interface_name(path, at, block), block))
                elif kind == PACKET:
                    numbers += map(self._number, interfaces[len(numbers) :])
                    own = struct.unpack_from("<I", block, 8)[0]
                    high, low = struct.unpack_from("<II", block, 12)
                    time = (high << 32) + low
                    if moved is None:
                        moved = max(0, self.latest + GAP_NS - time) if self.latest else 0
                    self.latest = max(self.latest, time + moved)
                    head = struct.pack(
                        "<III", numbers[own], self.latest >> 32, self.latest & 0xFFFFFFFF
                    )
                    packet = block[:8] + head + block[20:]
                    if about:
                        packet = annotated(packet, about, RULES_AND_OUTCOME)
                    self.file.write(packet)
                    about = ""

    def _number(self, interface: tuple[str, bytes]) -> int:
        name, block = interface
        if name not in self.numbers:
            self.numbers[name] = len(self.numbers)
            self.file.write(block)
        return self.numbers[name]


def _with_captures(path: Path) -> Iterator[results.Result]:
    with opened(path) as file:
        for text in file:
            try:
                line = results.parse(text)
            except ValueError:  # `judge` and `report` name it
                continue
            if isinstance(line, results.Result) and line.capture is not None:
                yield line
