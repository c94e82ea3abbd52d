"""``command:CMD``: programs that answer wrongly, die, hang, flood, or outstay their welcome."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.pytester import Pytester

from harness.evidence import results
from harness.lan import LanError
from harness.lans.command import CommandLan
from harness.lans.wire.process import readable, shown
from tests.lans.users import SUITE, lan_name, leaving_nothing, program, unicast

PATIENCE_S = 10.0
LIMIT_S = 2.0


@pytest.fixture(autouse=True)
def _clean(folder: Path, tmp_path: Path) -> Iterator[None]:
    with leaving_nothing(folder, tmp_path):
        yield


# Programs that misbehave before there is a LAN

ANSWER = """
def answer(self, request):
    if request["message"] == {message!r}:
        print({line!r}, flush=True)
        return True
    return super().answer(request)
"""
START = (
    '{{"answer":"start","contract":{contract},"name":{name},"version":"1","features":{features},'
    '"limits":{{"shortest":14,"longest":{longest},"ports":8}}}}'
)


def start(contract: str = "1", name: str = '"x"', features: str = "[]", longest: str = "99") -> str:
    return START.format(contract=contract, name=name, features=features, longest=longest)


@pytest.mark.parametrize(
    ("message", "line", "expected"),
    [
        ("start", "Hello!", "start: not JSON: 'Hello!'"),
        ("start", "[" * 9999, "start: not JSON: '[[["),
        ("start", "[1]", "start: not a JSON object: '[1]'"),
        ("start", "{}", "start: answer is missing: '{}'"),
        ("start", start(contract="2"), "start: it uses contract 2; the harness uses contract 1"),
        ("start", start(longest="true"), "start: limits.longest is True, and should be a whole"),
        ("start", start(longest="59"), "start: limits.longest is 59, and should be 60 to 262144"),
        ("start", start(name='""'), "start: name is '', and should be a few printable"),
        ("start", start(features="[3]"), "start: features[0] is 3, and should be a string"),
        ("start", start(features='"learns"'), "start: features should be a list"),
        ("start", start(features='["flies"]'), "start: unknown feature 'flies': contract 1 has"),
        (
            "start",
            start(features='["learns"]'),
            "feature: it declares 'learns', and denies it when asked",
        ),
        ("start", start(features='["unordered"]'), "start: feature 'unordered' and limits.wait_ms"),
        ("start", start(longest='99,"wait_ms":9'), "start: feature 'unordered' and limits.wait_ms"),
        (
            "start",
            start(longest='99,"wait_ms":0'),
            "start: limits.wait_ms is 0, and should be 1 to",
        ),
        ("start", start() + "\n{}", "feature: unrequested output: '{}"),
        ("start", '{"error":"not today"}', "start: it refused: not today"),
        ("feature", '{"answer":"feature","has":true}', "feature: it declares 'made-up-"),
        ("feature", '{"answer":"feature","has":1}', "feature: has is 1, and should be true or"),
        ("feature", '{"answer":"port","has":false}', "feature: it answers 'port'"),
        ("feature", '{"answer":"feature","has":false,"x":1}', "feature: x is not in the contract"),
        ("port", '{"answer":"port","socket":"/etc/x"}', "port: socket '/etc/x' is not in /"),
    ],
)
def test_a_wrong_answer_is_one_clear_line(
    tmp_path: Path, message: str, line: str, expected: str
) -> None:
    words = program(tmp_path, ANSWER.format(message=message, line=line))
    with pytest.raises(LanError) as error:
        _make_and_use(words)
    line = str(error.value)
    assert line.startswith("command '")
    assert str(tmp_path / "mine.py") in line
    assert expected in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("message", "does", "expected"),
    [
        (
            "start",
            "sys.exit('no device')",
            "start: it has ended with exit code 1; stderr: no device",
        ),
        ("port", "os.abort()", "port: it was killed by SIGABRT; stderr: nothing"),
        ("port", "time.sleep(99)", "port: no answer within 2 s; stderr: nothing"),
        ("start", "os.close(1); time.sleep(99)", "start: it has closed its standard input or outp"),
        ("start", "while True: os.write(1, b'x' * 4096)", "start: a line without an end: 'xxx"),
        ("stop", "time.sleep(99)", "stop: no answer within 2 s"),
        (
            "stop",
            'print(\'{"answer":"stop"}\', flush=True); time.sleep(99)',
            "stop: it did not end",
        ),
        ("stop", 'print(\'{"answer":"stop"}\', flush=True); os.abort()', "stop: it was killed by"),
        (
            "stop",
            'print(\'{"answer":"stop"}\'); sys.exit(3)',
            "stop: it has ended with exit code 3",
        ),
    ],
)
def test_a_program_that_dies_or_hangs_is_reported_with_its_last_lines(
    tmp_path: Path, message: str, does: str, expected: str
) -> None:
    body = f"""
    def answer(self, request):
        if request["message"] == {message!r}:
            {does}
        return super().answer(request)
    """
    with pytest.raises(LanError) as error:
        _make_and_use(program(tmp_path, body))
    assert expected in str(error.value)


def test_a_program_that_is_no_lan_is_reported(tmp_path: Path) -> None:
    with pytest.raises(LanError, match=r"start: it has ended with exit code 0; stderr: nothing"):
        _make_and_use(["true"])
    unfit = tmp_path / "unfit"
    unfit.write_text("neither")
    unfit.chmod(0o700)
    with pytest.raises(LanError, match=r"start: .*; stderr: .*unfit"):
        _make_and_use([str(unfit)])


def test_what_a_program_line_is_shown_as_it_is() -> None:
    assert shown(b'\xff{"a":\t1}') == r"""'\xff{"a":\t1}'"""
    assert shown("\u00e4".encode() * 70) == f"'{'ä' * 30}'..."


def _make_and_use(words: list[str]) -> None:
    lan = CommandLan(words, answer_s=LIMIT_S, fence_s=LIMIT_S)
    try:
        unicast(lan)
    finally:
        lan.close()


# Programs that misbehave with frames

FRAMES = """
def forward(self, sender, frame):
    if is_marker(frame):
        return super().forward(sender, frame)
    victim = self.ports[2].connection
    {does}
"""


@pytest.mark.parametrize(
    ("does", "expected"),
    [
        (
            r"sys.stderr.write('oh no\n\nbad frame\n'); sys.stderr.flush(); os.abort()",
            r"port\d: the LAN .*; it was killed by SIGABRT; stderr: oh no \| bad frame",
        ),
        ("victim.sendall(bytes(4))", r"port2: garbage framing at byte \d+: a length of 0,"),
        (
            r"victim.sendall(b'\xff' * 4)",
            r"port2: garbage framing at byte \d+: a length of 4294967295,",
        ),
        (
            r"victim.sendall(b'\0\0\0\x3cabc'); self.hang_up(self.ports[2])",
            r"port2: .* in the middle of a frame: it begins at byte \d+, and 7 bytes of it arrived",
        ),
        (
            "self.hang_up(self.ports[2])",
            r"port2: the LAN closed the connection at byte \d+; stderr: nothing",
        ),
        (
            r"victim.setblocking(True); f = b'\0\0\0\x3c' + bytes(60)"
            "; [*map(victim.sendall, iter(lambda: f, None))]",
            r"storm: port2 received \d+ frames, with \d sent in all",
        ),
        (
            "time.sleep(99)",
            r"port\d of .*: the fence of port1 did not arrive within 2 s; stderr: nothing",
        ),
    ],
    ids=["dies", "length 0", "4 GB", "half a frame", "hangs up", "floods", "hangs"],
)
def test_what_goes_wrong_with_frames_names_command_port_and_offset(
    tmp_path: Path, does: str, expected: str
) -> None:
    words = program(tmp_path, FRAMES.format(does=does))
    with pytest.raises(LanError, match=expected) as error:
        _make_and_use(words)
    line = str(error.value)
    assert line.startswith((f"command '{' '.join(words)}': port", "storm: "))
    assert "\n" not in line


# As a user runs it


def test_a_run_goes_on_with_a_new_lan_after_one_that_died(
    tmp_path: Path, pytester: Pytester
) -> None:
    words = program(tmp_path, FRAMES.format(does="os.abort()"))
    pytester.makepyfile(test_suite=SUITE + SUITE.replace("test_unicast", "test_again"))
    result = pytester.runpytest_subprocess("--lan", lan_name(words))
    result.stdout.fnmatch_lines(["INCONCLUSIVE *: command '*mine.py': port*: the LAN *"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes() == {"inconclusive": 2}


@pytest.mark.parametrize("message", ["start", "port"])
def test_a_lan_that_cannot_be_made_is_tried_once(
    tmp_path: Path, pytester: Pytester, message: str
) -> None:
    body = f"""
    def answer(self, request):
        if request["message"] == {message!r}:
            open({str(tmp_path / "tries")!r}, "a").write("x")
            sys.exit("no device")
        return super().answer(request)
    """
    again = SUITE.replace("test_unicast", "test_again")
    pytester.makepyfile(test_one=SUITE + again, test_two=SUITE)
    result = pytester.runpytest_subprocess("--lan", lan_name(program(tmp_path, body)))
    assert result.parseoutcomes() == {"inconclusive": 3}
    lines = [line for line in result.outlines if "no device" in line]
    assert len(lines) == 1
    crashed = "INCONCLUSIVE 3 tests: the LAN crashed (exit code 1): command '"
    assert lines[0].startswith(f"{crashed}{sys.executable}")
    assert lines[0].endswith(f"{message}: it has ended with exit code 1; stderr: no device [DLV-2]")
    assert (tmp_path / "tries").read_text() == "x"


def test_a_right_delivery_and_an_unclean_end_show_both(tmp_path: Path, pytester: Pytester) -> None:
    body = """
    def answer(self, request):
        if request["message"] == "stop":
            sys.exit("leaked 7 bytes")
        return super().answer(request)
    """
    pytester.makepyfile(test_suite=SUITE)
    result = pytester.runpytest_subprocess("--lan", lan_name(program(tmp_path, body)))
    assert result.parseoutcomes()["passed"] == 1
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*stop: it has ended with exit code 1; stderr: leaked 7 bytes*"])
    (test,) = results.read(pytester.path / "reports").tests
    assert test.outcome in results.RED
    assert test.ending.endswith("stderr: leaked 7 bytes")


DAEMON = """
def run(self):
    if os.fork() == 0:
        os.setsid()
        daemon = os.fork()
        if daemon == 0:
            os.setsid()
            for descriptor in range(3):
                os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
            time.sleep(999)
        open({pid!r}, "w").write(str(daemon))
        os._exit(0)
    os.wait()
    super().run()
"""


def test_a_daemon_that_the_program_started_is_gone_when_the_lan_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "daemon"
    lan = CommandLan(program(tmp_path, DAEMON.format(pid=str(path))))
    try:
        unicast(lan)
        daemon = os.pidfd_open(int(path.read_text()))
        assert not readable(daemon, 0.0)
    finally:
        lan.close()
    ended = readable(daemon, 0.0)
    os.close(daemon)
    assert ended


WORKER = """
import sys
from harness import registry

lan = registry.create(sys.argv[1])
lan.ports(3)
program = lan._dialogue._program
print(program.pid, program._guard.pid)
sys.stdout.flush()
sys.stdin.read()
"""


def test_a_killed_worker_leaves_nothing_of_a_stubborn_program(tmp_path: Path, folder: Path) -> None:
    words = program(
        tmp_path,
        f"""
        def run(self):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            child = subprocess.Popen(["sleep", "999"], start_new_session=True)
            open({str(tmp_path / "child")!r}, "w").write(str(child.pid))
            super().run()
            time.sleep(999)
        """,
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, lan_name(words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert worker.stdout is not None
    with worker, worker.stdout:
        pids = worker.stdout.readline().decode().split()
        pids.append((tmp_path / "child").read_text())
        alive = [os.pidfd_open(int(pid)) for pid in pids]
        assert len(list(folder.iterdir())) == 1
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        for process in alive:
            ready, _, _ = select.select([process], [], [], PATIENCE_S)
            os.close(process)
            assert ready, "a process outlives its worker"
    assert list(folder.iterdir()) == []
