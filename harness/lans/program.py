"""A program that is spoken to in lines, and that does not outlive us.

A shell makes a private directory, starts the program in a process group of its own and
waits for the end of a socket that only we hold: when we close it, or end in whatever way,
it kills the group and removes the directory. The program's standard input and output are
pipes to us; its standard error is a file in the directory, read when it is in trouble.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from harness.lan import LanError
from harness.lans.children import PATIENCE_S, PREFIX

LONGEST_LINE = 65_536
"""Bytes in the longest line that is believed."""

GOING_S = 0.5
"""How long a program may take to end after its pipes and sockets are closed."""

_WORDS = 3
_LONGEST_WORD = 200
_TAIL = 4096
_GUARD = """
dir=$(mktemp -d "${TMPDIR:-/tmp}/$1XXXXXX") || exit 1
shift
exec 3<&0
setsid "$@" <&3 3<&- 2>"$dir/stderr" &
child=$!
exec 3<&- </dev/null >/dev/null
echo "$child $dir" >&2
read -r _ <&2
exec 2>/dev/null
kill -s KILL $child
kill -s KILL -- -$child
wait $child
rm -rf -- "$dir"
"""


class NoAnswer(Exception):
    """The program did not answer, and why."""


class Program:
    """The program, told by its words, with a ``directory`` that is ours alone (0700)."""

    def __init__(self, words: Sequence[str]) -> None:
        ours, theirs = socket.socketpair()
        told = ours.makefile("rb")
        with theirs:
            self._guard = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "guard", PREFIX, *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=theirs.fileno(),
                start_new_session=True,
                env=_environment(),
            )
        self._lifeline = ours
        assert self._guard.stdin is not None
        assert self._guard.stdout is not None
        self._input, self._output = self._guard.stdin, self._guard.stdout
        os.set_blocking(self._output.fileno(), False)
        self._waiting = b""
        with told:
            line = told.readline().decode(errors="replace").strip()
        pid, _, directory = line.partition(" ")
        if not pid.isdigit():
            self.close()
            raise LanError(f"no private directory could be made: {line or 'no answer'}")
        self.pid = int(pid)
        self.directory = Path(directory)
        self._alive = os.pidfd_open(self.pid)

    def tell(self, line: bytes) -> None:
        """Write one line; NoAnswer when nobody takes it."""
        if self._more() or self._waiting:
            raise NoAnswer(f"it said what it was not asked: {shown(self._waiting)}")
        try:
            self._input.write(line + b"\n")
            self._input.flush()
        except OSError:
            raise NoAnswer(self._gone()) from None

    def hear(self, limit_s: float) -> bytes:
        """The next line; NoAnswer when none comes within the limit."""
        deadline = time.monotonic() + limit_s
        while b"\n" not in self._waiting:
            if len(self._waiting) > LONGEST_LINE:
                raise NoAnswer(f"a line without an end: {shown(self._waiting)}")
            left = deadline - time.monotonic()
            if not _ready(self._output.fileno(), left):
                raise NoAnswer(f"no answer within {limit_s:g} s")
            if not self._more():
                raise NoAnswer(self._gone())
        line, _, self._waiting = self._waiting.partition(b"\n")
        return line

    def _more(self) -> bool:
        """Take what it has said; false if there is nothing."""
        try:
            said = os.read(self._output.fileno(), LONGEST_LINE)
        except BlockingIOError:
            return False
        self._waiting += said
        return bool(said)

    def end(self, limit_s: float = 0.0) -> str | None:
        """How it ended by itself; None if it has not within the limit."""
        if not _ready(self._alive, limit_s):
            return None
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            code = os.waitstatus_to_exitcode(int(fields[-1]))
        except (OSError, ValueError):
            return "it has ended"
        if code < 0:
            return f"it was killed by {signal.Signals(-code).name}"
        return f"it has ended with exit code {code}"

    def _gone(self) -> str:
        return self.end(GOING_S) or "it has closed its standard input or output"

    def last_words(self) -> str:
        """The last lines of its standard error, in one."""
        try:
            with (self.directory / "stderr").open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
                lines = log.read().decode(errors="replace").split("\n")
        except OSError:
            lines = []
        said = [line.strip()[:_LONGEST_WORD] for line in lines if line.strip()]
        return "stderr: " + (" | ".join(said[-_WORDS:]) or "nothing")

    def hang_up(self) -> None:
        """Close its standard input."""
        with contextlib.suppress(OSError):
            self._input.close()

    def close(self) -> None:
        """Kill what is left of it, and remove the directory."""
        guard = self._guard
        if guard.returncode is not None:
            return
        self.hang_up()
        self._output.close()
        self._lifeline.close()
        if hasattr(self, "_alive"):
            os.close(self._alive)
        try:
            guard.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            for group in (self.pid, guard.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)
            guard.wait()
            shutil.rmtree(self.directory, ignore_errors=True)


def _ready(descriptor: int, limit_s: float) -> bool:
    """Whether it can be read within the limit."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(1000 * max(0.0, limit_s)))


def shown(said: bytes, size: int = 60) -> str:
    """What a program said, to be read in a line."""
    more = "..." if len(said) > size else ""
    text = said[:size].decode(errors="backslashreplace")
    told = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return f"'{''.join(told)}'{more}"


def _environment() -> dict[str, str]:
    """Ours, without what pytest tells of the test that runs."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
