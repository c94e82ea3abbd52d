"""LANs as a user writes them, good and bad, and what they could leave behind."""

from __future__ import annotations

import contextlib
import shlex
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from harness.frames import ethernet
from harness.lan import Lan
from tests.lans.real import traces

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "fixtures" / "lans"
FOR_ANY_LAN = [
    str(ROOT / "testcases" / f"test_{name}.py")
    for name in ("delivery", "bytes_and_order", "receive_length")
]
"""The part of the suite that runs on any LAN."""

_PROGRAM = """
import os, signal, subprocess, sys, time
sys.path.insert(0, {examples!r})
from hub import *

def is_marker(frame):
    "Whether a frame is a fence's: a broadcast that no port sent."
    return frame[:6] == b"\\xff" * 6 and frame[6:11] != b"\\2" + bytes(4)

class Mine(Hub):
{body}

Mine().run()
"""

SUITE = """
from harness.exchange import Testbench
from harness.frames import ethernet
from harness.plugin.marks import rule

@rule("DLV-2")
def test_unicast(lan: Testbench) -> None:
    sender, owner, bystander = lan.ports(3)
    frame = ethernet(owner, sender)
    assert lan.exchange(sender, frame) == {owner: [frame]}
"""
"""One test, for a LAN to pass or fail."""

CLASS = """
import time
from harness.lan import Arrival, FrameRefused, Record, Traits

class Port:
    def __init__(self, lan, number):
        self.lan, self.name, self.mac = lan, f"mine{number}", bytes((2, 0, 0, 0, 0, number))
        self.all, self.here, self.arrived = False, True, []
    def send(self, frame, layout=None):
        if not self.here: raise FrameRefused("not here")
        self.lan.log.append(Record(time.time_ns(), self.name, "sent", frame, len(frame)))
        for port in self.lan.made:
            if port is not self and port.here and len(frame) >= 14:
                mine = port.all or frame[:6] == port.mac or frame[0] & 1
                port.arrived.append(Arrival(time.time_ns(), frame, bool(mine)))
    def arrivals(self):
        arrived, self.arrived = self.arrived, []
        return arrived
    def set_promiscuous(self, on): self.all = on
    def join_groups(self, count): pass
    def close(self): self.here = False
    def open(self): self.here = True

class Lan:
    name = "mine"
    traits = Traits("nobody", False, True, 1, 65535, "delivered", 8, False, False, "barrier")
    def __init__(self): self.made, self.log = [], []
    def ports(self, count):
        while len(self.made) < count:
            self.made.append(Port(self, len(self.made) + 1))
        return self.made[:count]
    def settle(self): pass
    def interfaces(self): return [(port.name, port.mac) for port in self.made]
    def records(self): return self.log
    def close(self): pass
"""
"""A LAN as a Python class, without a fault."""


def program(folder: Path, body: str) -> list[str]:
    """The words of a command that runs the example hub, changed by the body of a class."""
    path = folder / "mine.py"
    indented = textwrap.indent(textwrap.dedent(body), "    ")
    path.write_text(_PROGRAM.format(examples=str(EXAMPLES), body=indented))
    return [sys.executable, str(path)]


def lan_name(words: list[str]) -> str:
    """What to give to ``--lan`` for a command."""
    return f"command:{shlex.join(words)}"


def running(words: list[str]) -> set[str]:
    """Processes whose command line ends in the last of these words."""
    pids = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        # A process may end while it is looked at.
        with contextlib.suppress(OSError):
            if path.read_bytes().rstrip(b"\0").endswith(words[-1].encode()):
                pids.add(path.parent.name)
    return pids


@contextlib.contextmanager
def leaving_nothing(folder: Path, programs: Path) -> Iterator[None]:
    """No trace of what is done stays, nor of the program that ``program`` wrote."""
    before = traces(folder)
    yield
    assert traces(folder) == before
    assert not running([str(programs / "mine.py")])


def unicast(lan: Lan) -> list[list[bytes]]:
    """A unicast from the first of three ports to the second: who received what."""
    sender, owner, other = lan.ports(3)
    sender.send(ethernet(owner, sender))
    lan.settle()
    return [[arrival.frame for arrival in port.arrivals()] for port in (sender, owner, other)]
