"""``stream:PATH`` and ``python:module:Class``, and the names of a user's LANs."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.pytester import Pytester

from harness import registry
from harness.frames import ethernet
from harness.lan import LanError
from tests.lans.real import traces
from tests.lans.users import CLASS, SUITE, unicast

# Names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("command:", "command:CMD needs a command"),
        ("command: ", "command:CMD needs a command"),
        ("command:./lan 'x", 'command "./lan \'x": No closing quotation'),
        ("command:/no/such -v", "no program '/no/such' that can be started"),
        ("stream:", "stream:PATH needs the path of a Unix socket"),
        ("python:", "python:: should be python:MODULE:CLASS"),
        ("python:os", "python:os: should be python:MODULE:CLASS"),
        ("python:no_such:Lan", "python:no_such:Lan: there is no module 'no_such'"),
        ("python:os:Lan", "python:os:Lan: os has no 'Lan'"),
        ("python:os:sep", "python:os:sep: sep is not a class, but '/'"),
        (
            "commando:x",
            "unknown LAN 'commando:x': did you mean command:x? Else choose from lguest,",
        ),
        ("moon", "unknown LAN 'moon': choose from lguest,"),
    ],
)
def test_a_name_that_cannot_be_is_refused_in_one_line(
    name: str, expected: str, pytester: Pytester
) -> None:
    with pytest.raises(LanError) as error:
        registry.entry(name)
    assert expected in str(error.value)
    result = pytester.runpytest_subprocess("--lan", name)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.stderr.lines == [f"ERROR: --lan: {error.value}", ""]


def test_a_users_lan_is_described(tmp_path: Path) -> None:
    assert registry.entry("command:true").summary.startswith("A program that the harness starts")
    assert registry.entry(f"stream:{tmp_path}").summary.startswith("Unix or TCP sockets that take")
    assert registry.entry("python:builtins:object").summary.startswith("A Python class")


# A stream


class Hub:
    """Sends what one connection says to all others, until ``close``."""

    def __init__(self, path: Path, answer: bytes | None = None) -> None:
        self.answer = answer
        self.lines: list[socket.socket] = []
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(8)
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self.listener.accept()
                self.lines.append(line)
                self.threads.append(threading.Thread(target=self._carry, args=(line,)))
                self.threads[-1].start()

    def _carry(self, line: socket.socket) -> None:
        with line.makefile("rb") as framed, contextlib.suppress(ConnectionResetError):
            while head := framed.read(4):
                frame = framed.read(int.from_bytes(head, "big"))
                with self.lock:
                    for other in self.lines:
                        if other is not line:
                            with contextlib.suppress(OSError):
                                other.sendall(self.answer or head + frame)
        with self.lock:
            self.lines.remove(line)
        line.close()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for line in list(self.lines):
            line.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()


@pytest.fixture
def hub(folder: Path) -> Iterator[Path]:
    path = folder / "hub"
    made = Hub(path)
    try:
        yield path
    finally:
        made.close()


def test_a_stream_carries_frames_and_leaves_nothing(hub: Path, folder: Path) -> None:
    registry.create("lguest").close()
    before = traces(folder)
    lan = registry.create(f"stream:{hub}")
    try:
        sender, owner, other = lan.ports(3)
        frame = ethernet(owner, sender)
        assert unicast(lan) == [[], [frame], [frame]]
        other.close()
        assert unicast(lan) == [[], [frame], []]
        other.open()
        assert unicast(lan) == [[], [frame], [frame]]
    finally:
        lan.close()
    assert traces(folder)["directories"] == before["directories"]


def test_a_stream_as_a_user_runs_it(hub: Path, pytester: Pytester) -> None:
    pytester.makepyfile(test_suite=SUITE)
    result = pytester.runpytest_subprocess("--lan", f"stream:{hub}")
    assert result.parseoutcomes() == {"passed": 1}


@pytest.mark.parametrize("bound", [False, True])
def test_a_stream_that_nobody_serves_is_reported(
    folder: Path, pytester: Pytester, bound: bool
) -> None:
    path = folder / "hub"
    if bound:
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.bind(str(path))
    pytester.makepyfile(test_suite=SUITE)
    result = pytester.runpytest_subprocess("--lan", f"stream:{path}")
    if bound:
        line = f"*stream:{path}: port1 cannot connect: Connection refused*"
        result.stdout.fnmatch_lines([line])
        assert result.ret == pytest.ExitCode.TESTS_FAILED
    else:
        result.stderr.fnmatch_lines([f"*hub cannot run here: {path}: there is no such socket"])
        assert result.ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (bytes(4), "port[123]: garbage framing at byte 0: a length of 0,"),
        (b"\xff" * 4, "port[123]: garbage framing at byte 0: a length of 4294967295,"),
    ],
)
def test_garbage_on_a_stream_names_the_port_and_the_byte(
    folder: Path, answer: bytes, expected: str
) -> None:
    made = Hub(folder / "hub", answer)
    lan = registry.create(f"stream:{folder / 'hub'}")
    try:
        with pytest.raises(LanError, match=expected):
            lan.ports(3)
    finally:
        lan.close()
        made.close()


# A class


def test_a_class_as_a_user_runs_it(pytester: Pytester) -> None:
    pytester.makepyfile(test_suite=SUITE, mine=CLASS)
    result = pytester.runpytest_subprocess("--lan", "python:mine:Lan")
    assert result.parseoutcomes() == {"passed": 1}


@pytest.mark.parametrize(
    ("change", "to", "expected"),
    [
        ("def settle", "def settles", "python:mine:Lan lacks settle"),
        ("def records(self): return self.log", "records = 3", "python:mine:Lan lacks records"),
        ("def join_groups", "def joins", "its port <mine.Port object at 0x*> lacks join_groups"),
        ("def __init__(self):", "def __init__(self, x):", "cannot be made: TypeError: *'x'"),
        ("self.made, self.log =", "1 / 0; x =", "cannot be made: ZeroDivisionError: division by"),
        ("Traits(", "(", "its traits are (*), not a harness.lan.Traits"),
        ("return self.made[:count]", "return self.made[:1]", "ports(8) gave 1"),
    ],
)
def test_a_class_that_is_not_a_lan_is_reported(
    pytester: Pytester, change: str, to: str, expected: str
) -> None:
    assert change in CLASS
    pytester.makepyfile(test_suite=SUITE, mine=CLASS.replace(change, to))
    result = pytester.runpytest_subprocess("--lan", "python:mine:Lan")
    result.stdout.fnmatch_lines([f"*python:mine:Lan*{expected.removeprefix('python:mine:Lan')}*"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize(
    ("change", "to", "expected"),
    [
        ("def settle(self): pass", "def settle(self): raise ValueError('no')", "settle raised"),
        ("def settle(self): pass", "def settle(self): assert None, 'no'", "settle raised"),
        ("def records(self): return self.log", "def records(self): None()", "records raised"),
        (
            "arrived, self.arrived = self.arrived, []",
            "arrived, x = self.arrived",
            "arrivals raised",
        ),
    ],
)
def test_an_error_in_a_class_is_a_line_and_no_verdict(
    pytester: Pytester, change: str, to: str, expected: str
) -> None:
    assert change in CLASS
    pytester.makepyfile(test_suite=SUITE, mine=CLASS.replace(change, to))
    result = pytester.runpytest_subprocess("--lan", "python:mine:Lan")
    assert result.parseoutcomes() == {"inconclusive": 1}
    result.stdout.fnmatch_lines([f"INCONCLUSIVE *: python:mine:Lan: {expected}*.py:*"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert "Error at" not in result.stdout.str()


def test_a_module_that_does_not_import_is_reported(pytester: Pytester) -> None:
    pytester.makepyfile(mine="import no_such_thing")
    result = pytester.runpytest_subprocess("--lan", "python:mine:Lan")
    result.stderr.fnmatch_lines(["ERROR: *python:mine:Lan: there is no module 'no_such_thing'"])
    pytester.makepyfile(mine="def x(:")
    result = pytester.runpytest_subprocess("--lan", "python:mine:Lan")
    result.stderr.fnmatch_lines(["ERROR: *mine cannot be imported: SyntaxError: *"])


def test_a_lan_that_gave_no_verdict_is_not_used_again(pytester: Pytester) -> None:
    """Although its ports can be put back in order."""
    once = "def settle(self):\n        Lan.asked += 1\n"
    once += "        if Lan.asked == 1: raise OSError('once')"
    counted = "asked = count = 0\n    def __init__(self): Lan.count += 1;"
    lan = CLASS.replace("def settle(self): pass", once).replace("def __init__(self):", counted)
    again = SUITE.replace("test_unicast", "test_again")
    again += "    import mine\n    assert mine.Lan.count == 2\n"
    pytester.makepyfile(mine=lan, test_suite=SUITE + again)
    result = pytester.runpytest_subprocess("--lan", "python:mine:Lan", "-p", "no:randomly")
    assert result.parseoutcomes() == {"inconclusive": 1, "passed": 1}
