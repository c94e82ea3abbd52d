"""``command:CMD``, a LAN that is a program of the user's.

The harness starts it (words are split as in a shell, without a shell), makes a private
directory for it and exchanges JSON lines with it on its standard input and output, as
``harness.lans.contract`` describes. Every port is a Unix stream socket that the program
listens on in that directory; frames cross it in QEMU's stream framing. What the program
cannot do follows from the features and limits that it declares, and from nothing else.
"""

from __future__ import annotations

import secrets
import shlex
import shutil
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.lan import Counters, FrameRefused, Inconclusive, Lan, LanError, Storm, Unsupported
from harness.lans import contract
from harness.lans.wire.fence import FENCE_LIMIT_S, FencedLan, FencedPort
from harness.lans.wire.process import GOING_S, LineProcess, NoAnswer, shown
from harness.lans.wire.stream import HungUp, StreamSocket, connected_to
from harness.lans.wire.transport import Transport

ANSWER_LIMIT_S = 5.0
"""How long an answer may take."""

_PREFIX = "command "


class Dialogue:
    """The exchange of messages with the program."""

    def __init__(self, words: Sequence[str], limit_s: float) -> None:
        self.title = f"command {shlex.join(words)!r}"
        self.failed = False
        self._limit_s = limit_s
        try:
            self._program = LineProcess(words)
        except LanError as error:
            raise LanError(f"{self.title}: {error}") from None
        try:
            self.declared = self._start()
        except BaseException:
            self._program.close()
            raise

    def _start(self) -> contract.Declared:
        answer = self.ask(
            "start", contract=contract.VERSION, directory=str(self._program.directory)
        )
        try:
            declared = contract.declared(answer)
        except contract.BadAnswer as error:
            raise self._bad("start", str(error)) from None
        made_up = f"made-up-{secrets.token_hex(4)}"
        for word in (made_up, *sorted(declared.features)):
            claims = self.ask("feature", feature=word)["has"]
            if claims and word == made_up:
                raise self._bad("feature", f"it declares {word!r}, which the harness made up")
            if not claims and word != made_up:
                raise self._bad("feature", f"it declares {word!r}, and denies it when asked")
        return declared

    def ask(self, message: str, **fields: object) -> dict[str, Any]:
        """Its answer to a message."""
        try:
            self._program.write_line(contract.request(message, **fields))
            line = self._program.read_line(self._limit_s)
        except NoAnswer as error:
            raise self._bad(message, str(error), Inconclusive) from None
        try:
            return contract.answer(message, line)
        except contract.Refusal as error:
            raise self._bad(message, f"it refused: {error}") from None
        except contract.BadAnswer as error:
            raise self._bad(message, f"{error}: {shown(line)}") from None

    def join(self, number: int, mac: bytes) -> Callable[[], socket.socket]:
        """Have the program make a port; the result connects to it."""
        path = self.ask("port", port=number, mac=mac.hex(":"))["socket"]
        if Path(path).parent != self._program.directory:
            raise self._bad("port", f"socket {path!r} is not in {self._program.directory}")

        def connected() -> socket.socket:
            try:
                return connected_to(path)
            except OSError as error:
                reason = error.strerror or str(error)
                raise self._bad(f"port {number}", f"socket {path!r}: {reason}") from None

        return connected

    def _bad(self, message: str, what: str, kind: type[LanError] = LanError) -> LanError:
        return self.explained(kind(f"{message}: {what}"))

    def explained(self, error: LanError) -> LanError:
        """The error with the command, how it ended, and the last lines of its standard error."""
        if isinstance(error, FrameRefused | Unsupported):
            return error
        self.failed = True
        if isinstance(error, Storm) or str(error).startswith(_PREFIX):
            return error
        # Its sockets are closed a moment before it has ended.
        end = self._program.exit_reason(GOING_S if isinstance(error, HungUp) else 0.0)
        ended = f"; {end}" if end and end not in str(error) else ""
        log = " | ".join(self._program.log_lines()) or "nothing"
        return type(error)(f"{self.title}: {error}{ended}; stderr: {log}")

    def close(self) -> None:
        """Stop the program; LanError if it ends badly, unless it failed before."""
        try:
            if not self.failed:
                self.ask("stop")
                self._program.close_stdin()
                end = self._program.exit_reason(self._limit_s)
                if end is None:
                    raise self._bad("stop", f"it did not end within {self._limit_s:g} s")
                if end not in ("it has ended with exit code 0", "it has ended"):
                    raise self._bad("stop", end)
        finally:
            self.failed = True
            self._program.close()


class CommandPort(StreamSocket):
    """A port of the program."""

    def __init__(self, name: str, number: int, mac: bytes, dialogue: Dialogue) -> None:
        self._title = name
        self._number = number
        self._dialogue = dialogue
        self._promiscuous = False
        self._vanished = False
        super().__init__(name, dialogue.join(number, mac))

    def send(self, frame: bytes) -> None:
        limits = self._dialogue.declared
        if not limits.shortest <= len(frame) <= limits.longest:
            raise FrameRefused(
                f"{self._title}: {len(frame)} bytes, and the LAN takes {limits.shortest} to"
                f" {limits.longest}"
            )
        super().send(frame)

    def set_promiscuous(self, on: bool) -> None:
        features = self._dialogue.declared.features
        if "promiscuous" not in features:
            # A hub's ports see all frames anyway; a switch must be asked not to filter.
            if on and features & {"filters-at-sender", "learns"}:
                raise Unsupported(f"{self._title}: the LAN does not declare 'promiscuous'")
        elif on != self._promiscuous:
            self._dialogue.ask("promiscuous", port=self._number, on=on)
            self._promiscuous = on

    def unplug(self) -> None:
        self._dialogue.ask("close", port=self._number)
        super().unplug()

    def plug(self) -> None:
        if not self._vanished:
            self._dialogue.ask("open", port=self._number)
        self._vanished = False
        super().plug()

    def vanish(self) -> None:
        self._vanished = True
        super().unplug()

    def set_link(self, up: bool) -> None:
        self._dialogue.ask("link", port=self._number, up=up)

    def set_member(self, group: bytes, on: bool) -> None:
        message = "join" if on else "leave"
        self._dialogue.ask(message, port=self._number, group=group.hex(":"))

    def counters(self) -> Counters:
        answer = self._dialogue.ask("counters", port=self._number)
        return Counters(answer["sent"], answer["received"])


class CommandPlant:
    """The program, as a plant."""

    one_cpu = False
    fences = 1

    def __init__(self, words: Sequence[str], limit_s: float) -> None:
        self.dialogue = Dialogue(words, limit_s)

    def connect(self, number: int, name: str, mac: bytes) -> Transport:
        return CommandPort(name, number, mac, self.dialogue)

    def close(self) -> None:
        self.dialogue.close()


class CommandLan(FencedLan):
    """The program, as a LAN; errors carry its exit code and its last lines."""

    def __init__(
        self,
        words: Sequence[str],
        *,
        answer_s: float = ANSWER_LIMIT_S,
        fence_s: float = FENCE_LIMIT_S,
    ) -> None:
        plant = CommandPlant(words, answer_s)
        self._dialogue = plant.dialogue
        self.declared = plant.dialogue.declared
        name = f"{self.declared.name} {self.declared.version} (command:{shlex.join(words)})"
        super().__init__(name, self.declared.traits(), plant, fence_s)
        self.version = self.declared.version

    def ports(self, count: int) -> Sequence[FencedPort]:
        if count > self.declared.ports:
            raise Unsupported(f"{self.name}: has {self.declared.ports} ports")
        return super().ports(count)

    def age(self, seconds: float) -> None:
        self._dialogue.ask("age", seconds=round(seconds))

    def send(self, port: FencedPort, frame: bytes) -> None:
        try:
            super().send(port, frame)
        except LanError as error:
            raise self._dialogue.explained(error) from None

    def settle(self) -> None:
        try:
            super().settle()
        except LanError as error:
            raise self._dialogue.explained(error) from None

    def welcome(self, newcomers: Sequence[FencedPort]) -> None:
        try:
            super().welcome(newcomers)
        except LanError as error:
            raise self._dialogue.explained(error) from None

    def regroup(self) -> None:
        try:
            super().regroup()
        except LanError as error:
            raise self._dialogue.explained(error) from None

    def catch_up(self, port: FencedPort) -> None:
        try:
            super().catch_up(port)
        except LanError as error:
            raise self._dialogue.explained(error) from None


def maker(command: str) -> Callable[[], Lan]:
    """Makes LANs that are a command; LanError for a command that cannot be started."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise LanError(f"command {command!r}: {error}") from None
    if not words:
        raise LanError("command:CMD needs a command")
    if shutil.which(words[0]) is None:
        raise LanError(f"command {command!r}: no program {words[0]!r} that can be started")

    def make() -> Lan:
        """A program of the user's, driven on its standard input and output."""
        return CommandLan(words)

    return make
