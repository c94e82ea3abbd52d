"""A program in a private directory, neither of which outlives us.

A shell starts the program and waits for the end of a pipe that only we hold: when we
close it, or end in whatever way, it kills the program and removes the directory.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from harness.lan import LanError

PREFIX = "lguest-harness-"
"""What names of private directories begin with."""

PATIENCE_S = 5.0
"""How long a program may take to start, and how long to go."""

_PAUSE_S = 0.002
_GUARD = """
dir=$(mktemp -d "${TMPDIR:-/tmp}/$1XXXXXX") && cd "$dir" || exit 1
shift
exec 3<&0
"$@" <&3 >log 2>&1 &
child=$!
echo "$child $dir"
cat >cat.log
kill -KILL $child
wait $child
cd / && rm -rf -- "$dir"
"""

T = TypeVar("T")


class Child:
    """The program, started in ``directory``, which is ours alone (0700).

    ``environment`` is added to our own.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._program = command[0]
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", PREFIX, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, **environment},
        )
        assert self._guard.stdout is not None
        with self._guard.stdout as told:
            pid, _, directory = told.readline().decode().strip().partition(" ")
        if not pid:
            self._guard.communicate()
            raise LanError(f"{self._program}: no private directory could be made")
        self.pid = int(pid)
        self.directory = Path(directory)

    def ended(self) -> bool:
        """Whether the program has ended by itself."""
        try:
            status = Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return True
        return status.rpartition(")")[2].split()[0] == "Z"

    def wait_for(self, attempt: Callable[[], T]) -> T:
        """Try until it raises no OSError; LanError when the program ends or takes too long."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return attempt()
            except OSError as error:
                if self.ended():
                    raise LanError(f"{self._program} has ended: {self.last_words()}") from None
                if time.monotonic() > deadline:
                    raise LanError(
                        f"{self._program} was not ready within {PATIENCE_S:g} s: {error.strerror}"
                    ) from None
            time.sleep(_PAUSE_S)

    def last_words(self) -> str:
        """The last line that the program wrote."""
        try:
            lines = (self.directory / "log").read_text(errors="replace").split("\n")
        except OSError:
            lines = []
        return next((line for line in reversed(lines) if line.strip()), "it said nothing")

    def close(self) -> None:
        """End the program and remove the directory."""
        guard = self._guard
        if guard.returncode is not None:
            return
        assert guard.stdin is not None
        guard.stdin.close()
        try:
            guard.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(guard.pid, signal.SIGKILL)
            guard.wait()
            shutil.rmtree(self.directory, ignore_errors=True)


def version_line(program: str | None) -> str:
    """The first line that a program answers to ``--version``; empty if it cannot be asked."""
    if program is None:
        return ""
    try:
        asked = [program, "--version"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return next(iter((done.stdout + done.stderr).strip().splitlines()), "")
