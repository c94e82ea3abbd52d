"""Runs code of the user's so that what it raises is an error of the LAN, never a verdict.

``pytest.skip``, ``SystemExit``, ``KeyboardInterrupt`` and all else that the code raises becomes
``Inconclusive``. ``os._exit`` and ``os.exec*`` would end the run with an exit code of the
code's choice: in this process they are errors too, from the first LAN of the user's on.
"""

from __future__ import annotations

import opcode
import os
import sysconfig
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from harness.lan import FrameRefused, Inconclusive, LanError, Unsupported
from harness.lans.copied import BadValue, one_line

Result = TypeVar("Result")

_EXITS = ("_exit", "execv", "execve")
_LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
_RAISES = {opcode.opmap["RAISE_VARARGS"], opcode.opmap["RERAISE"]}


class ProcessEnd(BaseException):
    """Code of the user's wanted to end the process."""


@dataclass
class _Refused:
    """In place of a function that would end this process."""

    name: str
    real: Callable[..., NoReturn]
    pid: int = field(default_factory=os.getpid)
    calls: list[str] = field(default_factory=list)

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        if os.getpid() != self.pid:
            self.real(*args, **kwargs)
        thread = threading.current_thread()
        where = "" if thread is threading.main_thread() else f" in the thread {thread.name}"
        code = repr(args[0]) if self.name == "_exit" and args else "..."
        self.calls.append(f"os.{self.name}({code}) was called{where}")
        raise ProcessEnd(self.calls[-1])


def _refuse_exits() -> list[_Refused]:
    refused = []
    for name in _EXITS:
        function = getattr(os, name)
        if not isinstance(function, _Refused) or function.pid != os.getpid():
            function = _Refused(name, getattr(function, "real", function))
            setattr(os, name, function)
        refused.append(function)
    return refused


class UsersCode:
    """The code of one LAN; ``title`` begins every message."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._exits = _refuse_exits()
        for refused in self._exits:
            refused.calls.clear()

    def run(
        self,
        method: str,
        work: Callable[..., Result],
        *args: object,
        port: str = "",
        may_refuse: bool = False,
        may_lack: bool = False,
        error: type[LanError] = Inconclusive,
    ) -> Result:
        """The result of a method; ``error`` for all that goes wrong in it.

        It may raise FrameRefused if ``may_refuse``, Unsupported if ``may_lack``. No name for the
        method means that the LAN is being made.
        """
        where = f" (port {port})" if port else ""
        try:
            result = work(*args)
        except BaseException as raised:
            self._check_exits(method, where, error)
            if isinstance(raised, KeyboardInterrupt) and by_signal(raised):
                raise
            if isinstance(raised, BadValue):
                raise error(f"{self._begin(method)} {raised}{where}") from None
            if isinstance(raised, FrameRefused) and may_refuse:
                raise FrameRefused(_message(raised)) from None
            if isinstance(raised, Unsupported):
                if may_lack:
                    raise Unsupported(_message(raised)) from None
            elif isinstance(raised, LanError) and not isinstance(raised, FrameRefused):
                kind = Inconclusive if isinstance(raised, Inconclusive) else LanError
                raise kind(_message(raised)) from None
            begin = f"{self._begin(method)} raised" if method else f"{self.title} cannot be made:"
            raise error(f"{begin} {summary(raised)}, {_place(raised)}{where}") from None
        self._check_exits(method, where, error)
        return result

    def _check_exits(self, method: str, where: str, error: type[LanError]) -> None:
        for refused in self._exits:
            if refused.calls:
                call, *_ = refused.calls
                refused.calls.clear()
                raise error(f"{self._begin(method)} failed: {call}{where}") from None

    def _begin(self, method: str) -> str:
        return f"{self.title}: {method}".rstrip()


def summary(error: BaseException) -> str:
    """Type and message of an error, in one line."""
    text = _message(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _message(error: BaseException) -> str:
    try:
        return one_line(str(error))
    except BaseException:
        return "its message cannot be read"


def by_signal(error: BaseException) -> bool:
    """Whether a signal raised it, as Ctrl-C does, and not a statement of the code."""
    *_, last = _walk(error)
    return last.tb_frame.f_code.co_code[last.tb_lasti] not in _RAISES


def _walk(error: BaseException) -> list[Any]:
    entries = []
    entry = error.__traceback__
    while entry is not None:
        entries.append(entry)
        entry = entry.tb_next
    return entries


def _place(error: BaseException) -> str:
    """File and line of the innermost call that is not in a library."""
    frames = [
        (frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    own = [place for place in frames[1:] if not place[0].startswith(_LIBRARIES)]
    file, line = own[-1] if own else frames[-1]
    return f"{Path(file).name}:{line}"
