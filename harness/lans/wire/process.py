"""A program in a private directory, neither of which outlives us.

``guard.py``, a process between us and the program, makes the directory (0700), starts the
program in a session of its own and waits for the end of a socket that only we hold: when we
close it, or end in whatever way, the guard kills the program with all that it started, and
removes the directory. Standard error of the program goes to a log in the directory, which is
read when the program fails.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from harness.lan import LanError

PREFIX = "lguest-harness-"
"""What names of private directories begin with."""

PATIENCE_S = 5.0
"""How long a program may take to start, and how long to end."""

LONGEST_LINE = 65_536
"""Bytes in the longest line that is accepted from a program."""

GOING_S = 0.5
"""How long a program may take to end after its pipes and sockets are closed."""

_LOG = "stderr"
_LOG_LINES = 3
_LONGEST_LOG_LINE = 200
_TAIL = 4096
_PAUSE_S = 0.002
_GUARD = Path(__file__).with_name("guard.py")

T = TypeVar("T")
_NOTHING: Mapping[str, str] = MappingProxyType({})


class NoAnswer(Exception):
    """The program did not answer, and why."""


class Process:
    """A program that runs beside us; ``directory`` is private to it and us.

    It works in ``directory``, or, if ``here``, in our own working directory. What it writes
    to standard output goes to the log too, unless ``stdout`` says otherwise. ``environment``
    is added to ours, without pytest's own variables.
    """

    def __init__(
        self,
        words: Sequence[str],
        environment: Mapping[str, str] = _NOTHING,
        *,
        here: bool = False,
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = None,
    ) -> None:
        self._name = words[0]
        where = "here" if here else "inside"
        output = "log" if stdout is None else "pipe"
        ours, theirs = socket.socketpair()
        with theirs:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", _GUARD, PREFIX, where, output, *words],
                stdin=stdin,
                stdout=subprocess.DEVNULL if stdout is None else stdout,
                stderr=theirs.fileno(),
                start_new_session=True,
                env={**_own_environment(), **environment},
            )
        self._lifeline = ours
        self._pidfd: int | None = None
        with ours.makefile("rb") as answer:
            line = answer.readline().decode(errors="replace").strip()
        pid, _, directory = line.partition(" ")
        if not pid.isdigit():
            self.close()
            raise LanError(
                f"{self._name}: no private directory could be made: {line or 'no answer'}"
            )
        self.pid = int(pid)
        self.directory = Path(directory)
        # Linux alone has such descriptors.
        self._pidfd = os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else None

    def exit_reason(self, limit_s: float = 0.0) -> str | None:
        """How the program ended by itself; None if it has not within the limit."""
        if not self._has_ended(limit_s):
            return None
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            code = os.waitstatus_to_exitcode(int(fields[-1]))
        except (OSError, ValueError):
            return "it has ended"
        if code < 0:
            return f"it was killed by {signal.Signals(-code).name}"
        return f"it has ended with exit code {code}"

    def _has_ended(self, limit_s: float) -> bool:
        if self._guard.returncode is not None:
            return True
        if self._pidfd is not None:
            return readable(self._pidfd, limit_s)
        deadline = time.monotonic() + limit_s
        while not _is_zombie(self.pid):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE_S)
        return True

    def wait_for(self, attempt: Callable[[], T]) -> T:
        """Try until it raises no OSError; LanError when the program ends or takes too long."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return attempt()
            except OSError as error:
                if self.exit_reason() is not None:
                    raise LanError(f"{self._name} has ended: {self.last_line()}") from None
                if time.monotonic() > deadline:
                    raise LanError(
                        f"{self._name} was not ready within {PATIENCE_S:g} s: {error.strerror}"
                    ) from None
            time.sleep(_PAUSE_S)

    def log_lines(self) -> list[str]:
        """The last lines that the program logged, none of them empty or long."""
        try:
            with (self.directory / _LOG).open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
                lines = log.read().decode(errors="replace").split("\n")
        except OSError:
            return []
        return [line.strip()[:_LONGEST_LOG_LINE] for line in lines if line.strip()][-_LOG_LINES:]

    def last_line(self) -> str:
        """The last line that the program logged."""
        return next(reversed(self.log_lines()), "it logged nothing")

    def close(self) -> None:
        """Kill what is left of the program, and remove the directory; may be called twice."""
        guard = self._guard
        if guard.returncode is not None:
            return
        # A process that we forked may hold a copy of the lifeline: closing it is not enough.
        with contextlib.suppress(OSError):
            self._lifeline.send(b"\0")
        self._lifeline.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
        try:
            guard.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            for group in (self.pid, guard.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)
            guard.wait()
            shutil.rmtree(self.directory, ignore_errors=True)


class LineProcess(Process):
    """A program that exchanges lines with us on its standard input and output."""

    def __init__(self, words: Sequence[str]) -> None:
        stdin, self._input = os.pipe()
        self._output, stdout = os.pipe()
        self._unread = b""
        try:
            super().__init__(words, here=True, stdin=stdin, stdout=stdout)
        except BaseException:
            self._close_pipes()
            raise
        finally:
            os.close(stdin)
            os.close(stdout)
        os.set_blocking(self._output, False)

    def write_line(self, line: bytes) -> None:
        """Write one line; NoAnswer when nobody reads it, or when unrequested output waits."""
        if self._read_more() or self._unread:
            raise NoAnswer(f"unrequested output: {shown(self._unread)}")
        rest = memoryview(line + b"\n")
        try:
            while rest:
                rest = rest[os.write(self._input, rest) :]
        except OSError:
            raise NoAnswer(self._gone()) from None

    def read_line(self, limit_s: float) -> bytes:
        """The next line; NoAnswer when none comes within the limit."""
        deadline = time.monotonic() + limit_s
        while b"\n" not in self._unread:
            if len(self._unread) > LONGEST_LINE:
                raise NoAnswer(f"a line without an end: {shown(self._unread)}")
            if not readable(self._output, deadline - time.monotonic()):
                raise NoAnswer(f"no answer within {limit_s:g} s")
            if not self._read_more():
                raise NoAnswer(self._gone())
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _read_more(self) -> bool:
        """Read what it has written; false if there is nothing."""
        try:
            data = os.read(self._output, LONGEST_LINE)
        except BlockingIOError:
            return False
        self._unread += data
        return bool(data)

    def _gone(self) -> str:
        return self.exit_reason(GOING_S) or "it has closed its standard input or output"

    def close_stdin(self) -> None:
        """Close its standard input; may be called twice."""
        if self._input >= 0:
            os.close(self._input)
            self._input = -1

    def _close_pipes(self) -> None:
        self.close_stdin()
        if self._output >= 0:
            os.close(self._output)
            self._output = -1

    def close(self) -> None:
        self._close_pipes()
        super().close()


def readable(descriptor: int, limit_s: float) -> bool:
    """Whether it can be read within the limit."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(1000 * max(0.0, limit_s)))


def shown(data: bytes, size: int = 60) -> str:
    """What a program wrote, printable and in one line."""
    more = "..." if len(data) > size else ""
    text = data[:size].decode(errors="backslashreplace")
    printable = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return f"'{''.join(printable)}'{more}"


def version_line(program: str | None) -> str:
    """The first line that a program prints for ``--version``; empty if it cannot be run."""
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=PATIENCE_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return next(iter((done.stdout + done.stderr).strip().splitlines()), "")


def _is_zombie(pid: int) -> bool:
    """Whether a process has ended; its parent, the guard, leaves it until it cleans up."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return not done.stdout.strip() or done.stdout.strip().startswith("Z")


def _own_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
