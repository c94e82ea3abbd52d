"""Runs the commands of a LAN file, and knows when one of them has ended badly.

They run below a guard (``harness.lans.wire.process``) in a private directory, ``$DIR``, and in
network namespaces of their own, if the file asks for any. All of that is gone when the LAN is
closed, or when the harness ends, however that happens.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import string
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.lan import LanError
from harness.lans.files.schema import Command, Condition, LanFile, Words
from harness.lans.wire.process import LineProcess, NoAnswer

PLACE = "run/netns"
"""Where the namespaces are, in the eyes of the commands."""

_RUNNER = Path(__file__).parents[1] / "wire" / "runner.py"
_MAKING_S = 30.0
"""How long it may take to make namespaces."""
_PAUSE_S = 0.05
_SLACK_S = 5.0
_TAIL = 4096
_SHOWN = 60


class Commands:
    """The commands of one LAN file, and what they started."""

    def __init__(self, file: LanFile, path: Path) -> None:
        self._file = file
        self._path = path
        self._folder = path.resolve().parent
        self._background: dict[str, str] = {}
        program = [sys.executable, "-I", "-S", str(_RUNNER), *file.namespaces]
        self._runner = LineProcess(program)
        try:
            self.directory = self._runner.directory
            self._environment = _environment(file, self.directory)
            if reason := self._read(_MAKING_S).get("error"):
                raise LanError(f"{path}: {reason} (run as root, or under `unshare -Urn`)")
        except BaseException:
            self._runner.close()
            raise

    def start(self) -> None:
        """Run what starts the LAN, and wait until it is ready."""
        for number, command in enumerate(self._file.start, 1):
            self._run(f"start[{number}]", command)
        for number, wanted in enumerate(self._file.ready, 1):
            condition = Condition(command=wanted) if isinstance(wanted, str) else wanted
            self._wait(f"ready[{number}]", condition)

    def expanded(self, text: str) -> str:
        """A text with ``$DIR`` and the file's environment filled in."""
        return string.Template(text).safe_substitute(self._environment)

    def namespace(self, name: str) -> str:
        """The path of one of the file's namespaces, in the mount namespace of its runner."""
        return str(Path("/proc") / str(self._runner.pid) / "root" / PLACE / name)

    def failure(self, limit_s: float = 0.0) -> str:
        """Which of the commands in the background ends within the limit, and how; else nothing."""
        deadline = time.monotonic() + limit_s
        while self._background:
            for key, code in self._ask(_SLACK_S, message="ended")["ended"].items():
                return self._how(key, code)
            if time.monotonic() >= deadline:
                break
            time.sleep(_PAUSE_S)
        return ""

    def close(self) -> None:
        """Run what stops the LAN, and kill the rest; may be called twice."""
        if self._runner.exit_reason() is not None:
            self._runner.close()
            return
        try:
            for number, command in enumerate(self._file.stop, 1):
                self._run(f"stop[{number}]", command)
        finally:
            self._runner.close()

    def _run(self, key: str, given: Words | Command) -> None:
        command = given if isinstance(given, Command) else Command(run=given)
        code = self._code(key, command, self._file.timeout)
        if command.background:
            self._background[key] = _text(command.run)
        elif code is None:
            raise LanError(self._how(key, None, command.run))
        elif code:
            raise LanError(self._how(key, code, command.run))

    def _code(self, key: str, command: Command, limit_s: float) -> int | None:
        """A command's exit code; None if it is in the background or was too slow."""
        answer = self._ask(
            limit_s + _SLACK_S,
            message="run",
            key=key,
            words=_words(command.run, self.expanded),
            namespace=command.namespace,
            background=command.background,
            environment=self._environment,
            folder=str(self._folder),
            limit_s=limit_s,
            log=str(self._log(key)),
        )
        if reason := answer.get("error"):
            raise LanError(f"{self._path}: {key} {_quoted(command.run)}: {reason}")
        code: int | None = answer["code"]
        return code

    def _wait(self, key: str, condition: Condition) -> None:
        deadline = time.monotonic() + self._file.timeout
        while not self._holds(key, condition, max(0.1, deadline - time.monotonic())):
            if reason := self.failure():
                raise LanError(reason)
            if time.monotonic() > deadline:
                line = self._last_line(key) if condition.command else ""
                wanted = f"{_condition(condition)}{f': {line}' if line else ''}"
                raise LanError(f"{self._path}: {key} not within {self._file.timeout:g} s: {wanted}")
            time.sleep(_PAUSE_S)

    def _holds(self, key: str, condition: Condition, limit_s: float) -> bool:
        if condition.command is not None:
            command = Command(run=condition.command, namespace=condition.namespace)
            return self._code(key, command, limit_s) == 0
        if condition.socket:
            return Path(self.expanded(condition.socket)).is_socket()
        namespace, _, name = (condition.interface or condition.carrier).rpartition("/")
        state = self._ask(_SLACK_S, message="link", interface=name, namespace=namespace)["state"]
        return state == "carrier" or (state == "there" and not condition.carrier)

    def _ask(self, answer_s: float, **request: object) -> dict[str, Any]:
        try:
            self._runner.write_line(json.dumps(request).encode())
        except NoAnswer as error:
            raise LanError(f"{self._path}: {error}") from None
        return self._read(answer_s)

    def _read(self, limit_s: float) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = json.loads(self._runner.read_line(limit_s))
        except NoAnswer as error:
            raise LanError(f"{self._path}: {error}") from None
        return answer

    def _how(self, key: str, code: int | None, run: Words | None = None) -> str:
        """How a command ended, with the last line that it printed."""
        words = self._background[key] if run is None else _text(run)
        line = self._last_line(key)
        if code is None:
            end = f"has not ended within {self._file.timeout:g} s"
        elif code < 0:
            end = f"was killed by {signal.Signals(-code).name}"
        else:
            end = f"has ended with exit code {code}"
        return f"{self._path}: {key} {_quoted(words)} {end}{f': {line}' if line else ''}"

    def _log(self, key: str) -> Path:
        return self.directory / f".{key}.log"

    def _last_line(self, key: str) -> str:
        """The last line that a command printed."""
        try:
            with self._log(key).open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
                lines = log.read().decode(errors="replace").split("\n")
        except OSError:
            return ""
        return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")


def _environment(file: LanFile, directory: Path) -> Mapping[str, str]:
    """Ours without pytest's variables, the directories of a superuser's programs, the file's."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    path = f"{own.get('PATH') or os.defpath}:/usr/local/sbin:/usr/sbin:/sbin"
    return {**own, "PATH": path, "DIR": str(directory), **file.environment}


def _words(run: Words, expanded: Any) -> Sequence[str]:
    return ["sh", "-ec", run] if isinstance(run, str) else [expanded(word) for word in run]


def _text(run: Words) -> str:
    return run if isinstance(run, str) else shlex.join(run)


def _quoted(run: Words) -> str:
    """The first line of a command, for a message."""
    first, _, more = _text(run).strip().partition("\n")
    cut = "..." if more or len(first) > _SHOWN else ""
    return f"'{first[:_SHOWN]}{cut}'"


def _condition(condition: Condition) -> str:
    if condition.command is not None:
        return f"{_quoted(condition.command)} succeeds"
    if condition.socket:
        return f"socket {condition.socket} exists"
    if condition.interface:
        return f"interface {condition.interface} exists"
    return f"interface {condition.carrier} has a carrier"
