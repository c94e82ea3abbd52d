"""A Launcher in its own process, which takes commands over a pipe.

The process is spawned, not forked, so it shares no open file with its parent.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from harness.lans.lguest import LguestLan, Parts
from harness.lguest.defects import Defects

PATIENCE_S = 60
"""How long an answer may take before the process counts as stuck."""


class LauncherProcess:
    """A process with a Host, a Launcher and a Guest; it takes no slot before ``join``."""

    def __init__(self, like: LguestLan, path: Path, guest_id: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, like.parts, like.host.defects, path, guest_id)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, command: str, *arguments: object) -> None:
        """Send a command without waiting for its answer."""
        self._pipe.send((command, arguments))

    def answer(self) -> Any:
        """The answer to the oldest command that is still unanswered."""
        if not self._pipe.poll(PATIENCE_S):
            raise TimeoutError("the Launcher's process does not answer")
        return self._pipe.recv()

    def do(self, command: str, *arguments: object) -> Any:
        """Send a command and wait for its answer."""
        self.ask(command, *arguments)
        return self.answer()

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _serve(pipe: Connection, parts: Parts, defects: Defects, path: Path, guest_id: int) -> None:
    """The process: runs each command and sends back its result."""
    lan = LguestLan("another process", defects, parts=parts)
    launcher = lan.launch(guest_id)
    file = parts.file(path)
    while True:
        try:
            command, arguments = pipe.recv()
        except EOFError:
            return
        match command:
            case "join":
                device = launcher.join(file)
                pipe.send(device.slot)
            case "open":
                pipe.send(device.open())
            case "listen":
                device.set_flags(promiscuous=True)
                pipe.send(None)
            case "close":
                device.close()
                pipe.send(None)
            case "read":
                pipe.send(file.pages.published(*arguments))
            case "exit":
                launcher.exit()
                pipe.send(None)
