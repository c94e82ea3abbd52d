"""A whole run as one capture: the packets of its tests, one test after the other.

It is one section, as Wireshark 4.0 takes the interfaces of a second one for those of the
first. So that tests can be told apart the first packet of each names it in a comment.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from harness.evidence import results
from harness.evidence.comments import RULES_AND_OUTCOME, TEST
from harness.evidence.pcapng import INTERFACE, PACKET, annotated, encode
from harness.evidence.reader import BadCapture, blocks

FILE_NAME = "run.pcapng"


@dataclass(frozen=True, slots=True)
class Merged:
    """How many tests are in the file, and why others are not, a line each."""

    tests: int
    problems: tuple[str, ...]


def merge(folder: Path) -> Merged:
    """Write ``run.pcapng`` from the results in a folder, in the order in which tests ended.

    One capture is held at a time. A test that left no packet is counted, and not to be
    seen. OSError if the file cannot be written.
    """
    tests = 0
    problems: list[str] = []
    with (folder / FILE_NAME).open("wb") as file:
        file.write(encode([], [], ["a whole run of lguest-harness"]))
        out = _Out(file)
        for test in _with_captures(folder / results.FILE_NAME):
            assert test.capture is not None
            path = folder / test.capture.path
            try:
                out.add(path, path.read_bytes(), test.id)
            except OSError as error:
                problems.append(f"{path}: {error.strerror}")
            except BadCapture as error:
                problems.append(str(error))
            else:
                tests += 1
    return Merged(tests, tuple(problems))


@dataclass(slots=True)
class _Out:
    file: BinaryIO
    numbers: dict[bytes, int] = field(default_factory=dict)
    """An interface's block to its number in the file."""

    def add(self, path: Path, content: bytes, test: str) -> None:
        """The packets of a capture, and those of its interfaces that are not there yet.

        BadCapture, and nothing is written, if the capture is damaged.
        """
        found = [(kind, content[at : at + size]) for at, kind, size in blocks(path, content)]
        interfaces = [block for kind, block in found if kind == INTERFACE]
        packets = [block for kind, block in found if kind == PACKET]
        own = [struct.unpack_from("<I", packet, 8)[0] for packet in packets]
        if any(number >= len(interfaces) for number in own):
            raise BadCapture(f"{path}: a packet is of no interface")
        if packets:
            numbers = [self._number(interface) for interface in interfaces]
        about = f"{TEST}{test}"
        for number, packet in zip(own, packets, strict=True):
            moved = packet[:8] + struct.pack("<I", numbers[number]) + packet[12:]
            self.file.write(annotated(moved, about, RULES_AND_OUTCOME) if about else moved)
            about = ""

    def _number(self, interface: bytes) -> int:
        if interface not in self.numbers:
            self.numbers[interface] = len(self.numbers)
            self.file.write(interface)
        return self.numbers[interface]


def _with_captures(path: Path) -> Iterator[results.Result]:
    with path.open("rb") as file:
        for text in file:
            line = results.parse(text)
            if isinstance(line, results.Result) and line.capture is not None:
                yield line
