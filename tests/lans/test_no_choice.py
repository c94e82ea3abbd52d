"""A class of the user's cannot choose its verdict: what it returns and raises is checked."""

from __future__ import annotations

import fnmatch
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from _pytest.pytester import Pytester

from harness.frames import ethernet
from harness.lan import Inconclusive, LanError, Unsupported
from harness.lans import python_class
from tests.lans.users import CLASS, SUITE, unicast


def changed(*changes: tuple[str, str]) -> str:
    """The LAN without a fault, with some of its text replaced."""
    text = CLASS
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def lan_of(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> python_class.UsersLan:
    """A LAN of a class with this text, as the harness uses it."""
    name = f"mine_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    lan = python_class.maker(f"{name}:Lan")()
    assert isinstance(lan, python_class.UsersLan)
    return lan


Check = Callable[..., None]


@pytest.fixture
def inconclusive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Use a LAN with this text: it must give no verdict, and this line."""

    def check(text: str, line: str, to: bytes | None = None) -> None:
        def use() -> None:
            lan = lan_of(tmp_path, text, monkeypatch)
            sender, owner, _ = lan.ports(3)
            for _ in range(2):
                sender.send(ethernet(to or owner, sender))
                lan.settle()
                for port in lan.ports(3):
                    port.arrivals()
                lan.records()

        with pytest.raises(BaseException) as error:  # noqa: PT011  # its type is checked
            use()
        assert type(error.value) in (Inconclusive, LanError)
        assert error.value.__cause__ is None
        message = str(error.value)
        assert message.isprintable()
        assert fnmatch.fnmatchcase(message, f"python:mine_*:Lan: {line}"), message

    return check


# What it returns

ARRIVALS = "arrived, self.arrived = self.arrived, []\n        return arrived"
SENT = "port.arrived.append(Arrival(time.time_ns(), frame, bool(mine)))"


def returned(expression: str) -> tuple[str, str]:
    return ARRIVALS, f"arrived, self.arrived = self.arrived, []\n        return {expression}"


@pytest.mark.parametrize(
    ("expression", "line"),
    [
        ("7", "arrivals returned 7, and should return a list of Arrival (port mine1)"),
        ("'no'", "arrivals returned 'no', and should return a list of Arrival (port mine1)"),
        ("None", "arrivals returned None, and should return a list of Arrival (port mine1)"),
        (
            "[tuple(a) for a in arrived]",
            "arrivals returned (*, and should return a harness.lan.Arrival (port mine2)",
        ),
        (
            "[a._replace(frame=a.frame.hex()) for a in arrived]",
            "arrivals returned the frame '020000*, and should return bytes (port mine2)",
        ),
        (
            "[a._replace(frame=None) for a in arrived]",
            "arrivals returned the frame None, and should return bytes (port mine2)",
        ),
        (
            "[a._replace(time='now') for a in arrived]",
            "arrivals returned the time 'now', and should return nanoseconds (port mine2)",
        ),
        (
            "[a._replace(time=-1) for a in arrived]",
            "arrivals returned the time -1, and should return nanoseconds (port mine2)",
        ),
        (
            "[a._replace(passes_filter=1) for a in arrived]",
            "arrivals returned passes_filter 1, and should return True or False (port mine2)",
        ),
        (
            "[tuple.__new__(Arrival, (1, b'')) for a in arrived]",
            "arrivals returned * harness.lan.Arrival (port mine2)",
        ),
        (
            "(a / 0 for a in arrived)",
            "arrivals raised TypeError: unsupported operand*, mine_*.py:* (port mine2)",
        ),
    ],
)
def test_wrong_arrivals_are_one_line(inconclusive: Check, expression: str, line: str) -> None:
    inconclusive(changed(returned(expression)), line)


@pytest.mark.parametrize(
    ("expression", "line"),
    [
        (
            "[a._replace(passes_filter=True) for a in arrived]",
            "arrivals returned passes_filter=True for a frame to 02:00:00:00:00:02, and the port"
            " has the address 02:00:00:00:00:03 and is not promiscuous (port mine3)",
        ),
        (
            "[a._replace(passes_filter=False) for a in arrived]",
            "arrivals returned passes_filter=False for a frame to 02:00:00:00:00:02, and the port"
            " has the address 02:00:00:00:00:02 and is not promiscuous (port mine2)",
        ),
    ],
)
def test_a_false_claim_of_the_filter_is_one_line(
    inconclusive: Check, expression: str, line: str
) -> None:
    inconclusive(changed(returned(expression)), line)


def test_a_group_frame_passes_every_filter(inconclusive: Check) -> None:
    text = changed((SENT, SENT.replace("bool(mine)", "frame[:6] == port.mac")))
    line = (
        "arrivals returned passes_filter=False for a frame to ff:ff:ff:ff:ff:ff, and*(port mine?)"
    )
    inconclusive(text, line, b"\xff" * 6)


def test_a_promiscuous_port_passes_all_while_it_is_promiscuous(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lan = lan_of(tmp_path, CLASS, monkeypatch)
    port = lan.ports(3)[2]
    port.set_promiscuous(True)
    unicast(lan)
    lan.ports(3)[0].send(b"\2\0\0\0\0\2".ljust(60, b"\0"))
    port.set_promiscuous(False)
    assert [arrival.passes_filter for arrival in port.arrivals()] == [True]
    lan.ports(3)[0].send(b"\2\0\0\0\0\2".ljust(60, b"\0"))
    assert [arrival.passes_filter for arrival in port.arrivals()] == [False]


SUBCLASS = """
class Frame(bytes):
    def __eq__(self, other): return True
    def __hash__(self): return 0
    def __bytes__(self): return b"lie"
"""


@pytest.mark.parametrize("kind", ["Frame", "bytearray", "memoryview"])
@pytest.mark.parametrize("values", ["[{}]", "({})"])
def test_frames_are_copied_to_plain_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, values: str
) -> None:
    expression = values.format(f"a._replace(frame={kind}(a.frame)) for a in arrived")
    lan = lan_of(tmp_path, SUBCLASS + changed(returned(expression)), monkeypatch)
    sender, owner, _ = lan.ports(3)
    frame = owner.mac + sender.mac + bytes(48)
    sender.send(frame)
    (arrival,) = owner.arrivals()
    assert type(arrival.frame) is bytes
    assert arrival.frame == frame


def test_a_frame_that_changes_later_changes_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = changed((SENT, SENT.replace("frame, bool", "lan_frame(frame), bool"))) + (
        "\nFRAMES = []\ndef lan_frame(frame):\n"
        "    FRAMES.append(bytearray(frame))\n    return FRAMES[-1]\n"
    )
    lan = lan_of(tmp_path, text, monkeypatch)
    sender, owner, _ = lan.ports(3)
    frame = owner.mac + sender.mac + bytes(48)
    sender.send(frame)
    (arrival,) = owner.arrivals()
    for kept in sys.modules[f"mine_{tmp_path.name}"].FRAMES:
        kept[:] = bytes(60)
    assert arrival.frame == frame


NAME = 'f"mine{number}"'
MAC = "bytes((2, 0, 0, 0, 0, number))"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (NAME, "number", "ports made port 1, whose name is 1, and should be a few printable*"),
        (NAME, "''", "ports made port 1, whose name is '', and should be a few printable*"),
        (NAME, r"'a\nb'", r"ports made port 1, whose name is 'a\nb', and should be*"),
        (NAME, r"'\udc80'", r"ports made port 1, whose name is '\udc80', and should be*"),
        (NAME, "'same'", "ports made two ports with the name same"),
        (MAC, "'02:00'", "ports made port mine1, whose mac is '02:00', and should be bytes"),
        (MAC, "bytes(5)", r"ports made port mine1, whose mac is b'*', and should be 6 bytes"),
        (MAC, "b'\\1' * 6", "ports made port mine1, whose mac is 01:*, which is * of a group"),
        (MAC, "bytes(6)", "ports made ports mine1 and mine2 with one address, 00:00:00:00:00:00"),
    ],
)
def test_a_port_that_cannot_be_named_or_addressed_is_one_line(
    inconclusive: Check, old: str, new: str, line: str
) -> None:
    inconclusive(changed((old, new)), line)


@pytest.mark.parametrize(
    ("traits", "line"),
    [
        ('"nobody", 0, True, 1, 65535, "delivered", 8, False, False, "barrier"', "learns=0*"),
        ('"none", False, True, 1, 65535, "delivered", 8, False, False, "barrier"', "filters='no*"),
        ('"nobody", False, True, 60, 59, "delivered", 8, False, False, "barrier"', "longest=59*"),
        ('"nobody", False, True, 1, 99, "delivered", 0, False, False, "barrier"', "burst=0*"),
    ],
)
def test_traits_that_cannot_be_are_one_line(inconclusive: Check, traits: str, line: str) -> None:
    old = '"nobody", False, True, 1, 65535, "delivered", 8, False, False, "barrier"'
    inconclusive(changed((old, traits)), f"its traits have {line}")


@pytest.mark.parametrize(
    ("expression", "line"),
    [
        ("None", "records returned None, and should return a list of Record"),
        ("self.log[:1] * (len(self.log) < 2)", "records returned 0 records, and 1 before"),
        ("[tuple(r) for r in self.log]", "records returned (*, and should * harness.lan.Record"),
        ("[r._replace(frame=3) for r in self.log]", "records returned the frame 3, and should*"),
        ("[r._replace(port='x') for r in self.log]", "records returned one of port x, which is*"),
        ("[r._replace(direction='up') for r in self.log]", "records returned direction 'up', and*"),
        (
            "[r._replace(original_length=1) for r in self.log]",
            "records returned original_length 1*",
        ),
        ("[r._replace(comments=[3]) for r in self.log]", "records returned a comment, which is 3*"),
        ("[r._replace(fates=['x']) for r in self.log]", "records returned the fate 'x', and*"),
    ],
)
def test_wrong_records_are_one_line(inconclusive: Check, expression: str, line: str) -> None:
    inconclusive(changed(("return self.log", f"return {expression}")), line)


def test_records_are_copied_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lan = lan_of(tmp_path, CLASS, monkeypatch)
    unicast(lan)
    (first,) = lan.records()
    inner = lan._lan
    inner.log[0] = first._replace(frame=b"another")  # type: ignore[attr-defined]
    unicast(lan)
    assert [record.frame for record in lan.records()] == [first.frame] * 2


# What it raises

RAISED = [
    ("pytest.skip('not today')", "Skipped: not today"),
    ("pytest.xfail('known')", "XFailed: known"),
    ("pytest.fail('no')", "Failed: no"),
    ("pytest.exit('bye', 0)", "Exit: bye"),
    ("sys.exit(0)", "SystemExit: 0"),
    ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ("raise GeneratorExit", "GeneratorExit"),
    ("raise harness.lan.Unsupported('not mine')", "Unsupported: not mine"),
    ("raise Both('mine')", "Both: mine"),
    ("raise Mute", "Mute: its message cannot be read"),
]
HEAD = """
import pytest, sys, os, harness.lan
class Both(harness.lan.Inconclusive, harness.lan.Unsupported): pass
class Mute(Exception):
    def __str__(self): raise pytest.skip.Exception("not today")
"""
METHODS = {
    "settle": "def settle(self): pass",
    "arrivals": ARRIVALS,
    "send": 'self.lan.log.append(Record(time.time_ns(), self.name, "sent", frame, len(frame)))',
    "records": "return self.log",
}


@pytest.mark.parametrize(("statement", "cause"), RAISED)
@pytest.mark.parametrize("method", METHODS)
def test_what_a_lan_raises_is_inconclusive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, statement: str, cause: str
) -> None:
    old = METHODS[method]
    new = f"def settle(self): {statement}" if method == "settle" else statement
    lan = lan_of(tmp_path, HEAD + changed((old, new)), monkeypatch)

    def use() -> None:
        unicast(lan)
        lan.records()

    with pytest.raises(BaseException) as error:  # noqa: PT011  # its type is checked
        use()
    assert type(error.value) is Inconclusive
    assert error.value.__cause__ is None
    assert f": {method} raised {cause}, mine_" in str(error.value)


@pytest.mark.parametrize("statement", [RAISED[0][0], RAISED[7][0]])
def test_a_run_on_a_lan_that_raises_a_verdict_is_red(pytester: Pytester, statement: str) -> None:
    text = HEAD + changed(("def settle(self): pass", f"def settle(self): {statement}"))
    pytester.makepyfile(test_suite=SUITE, mine=text)
    result = pytester.runpytest_subprocess("--lan", "python:mine:Lan")
    assert result.parseoutcomes() == {"inconclusive": 1}
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["INCONCLUSIVE *: python:mine:Lan: settle raised *, mine.py:*"])


@pytest.mark.parametrize("statement", [RAISED[0][0], RAISED[4][0], RAISED[5][0], "os._exit(0)"])
def test_a_lan_that_raises_while_it_is_made_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    text = HEAD + changed(("self.made, self.log = [], []", f"{statement}; x = 0"))
    with pytest.raises(LanError, match=r"^python:mine_\w+:Lan(:| cannot be made:) .*"):
        lan_of(tmp_path, text, monkeypatch)
    (tmp_path / "again").mkdir()
    with pytest.raises(LanError, match=r"^python:mine_again:Lan: mine_again cannot be imported: "):
        lan_of(tmp_path / "again", f"{HEAD}\n{statement}\n{CLASS}", monkeypatch)


@pytest.mark.parametrize(
    "statement", ["os._exit(0)", "os.execv('/bin/true', ['true'])", "os.execlp('true', 'true')"]
)
def test_a_lan_that_ends_the_process_is_one_line(inconclusive: Check, statement: str) -> None:
    text = HEAD + changed(("def settle(self): pass", f"def settle(self): {statement}"))
    inconclusive(text, "settle failed: os.* was called")


def test_a_run_on_a_lan_that_ends_the_process_is_red(pytester: Pytester) -> None:
    text = HEAD + changed(("def settle(self): pass", "def settle(self): os._exit(0)"))
    pytester.makepyfile(test_suite=SUITE, mine=text)
    result = pytester.runpytest_subprocess("--lan", "python:mine:Lan")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes() == {"inconclusive": 1}
    result.stdout.fnmatch_lines(
        ["INCONCLUSIVE *: python:mine:Lan: settle failed: os._exit(0) was called*"]
    )


def test_a_thread_that_ends_the_process_and_hides_it_is_one_line(inconclusive: Check) -> None:
    body = """def settle(self):
        import threading
        def end():
            try: os._exit(0)
            except BaseException: pass
        thread = threading.Thread(target=end, name="quiet")
        thread.start()
        thread.join()"""
    text = HEAD + changed(("def settle(self): pass", body))
    inconclusive(text, "settle failed: os._exit(0) was called in the thread quiet")


def test_a_child_of_the_lan_may_end_by_exit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "def settle(self):\n        if os.fork() == 0: os._exit(0)\n        os.wait()"
    lan = lan_of(tmp_path, HEAD + changed(("def settle(self): pass", body)), monkeypatch)
    assert len(unicast(lan)[1]) == 1


def test_a_lan_that_kills_its_worker_is_red_and_names_the_test(pytester: Pytester) -> None:
    kills = "def settle(self): os.kill(os.getpid(), 9)"
    text = HEAD + changed(("def settle(self): pass", kills))
    pytester.makepyfile(test_suite=SUITE, mine=text)
    result = pytester.runpytest_subprocess("--lan", "python:mine:Lan", "-n", "1")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*worker 'gw0' crashed while running '*test_unicast*'*"])
    alone = pytester.runpytest_subprocess("--lan", "python:mine:Lan")
    assert alone.ret == -signal.SIGKILL


def test_ctrl_c_in_a_lan_is_no_error_of_the_lan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lan = lan_of(
        tmp_path, changed(("settle(self): pass", "settle(self): time.sleep(60)")), monkeypatch
    )
    lan.ports(2)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            lan.settle()
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)


# What it may lack


def test_promiscuous_mode_is_lacked_always_or_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacks = "\n        if on and self.lan.{}: raise harness.lan.Unsupported('no such mode')"
    body = "def set_promiscuous(self, on):" + lacks.format("lacks") + "\n        self.all = on"
    text = HEAD + changed(
        ("def set_promiscuous(self, on): self.all = on", body),
        ("self.made, self.log = [], []", "self.made, self.log, self.lacks = [], [], True"),
    )
    lan = lan_of(tmp_path, text, monkeypatch)
    port, other = lan.ports(2)
    with pytest.raises(Unsupported, match=r"^no such mode$"):
        port.set_promiscuous(True)
    port.set_promiscuous(False)
    lan._lan.lacks = False  # type: ignore[attr-defined]
    other.set_promiscuous(True)
    lan._lan.lacks = True  # type: ignore[attr-defined]
    with pytest.raises(Inconclusive, match="set_promiscuous raised Unsupported: no such mode"):
        port.set_promiscuous(True)


def test_more_ports_than_declared_may_be_lacking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "def ports(self, count):\n        raise harness.lan.Unsupported('too many')"
    text = HEAD + changed(("def ports(self, count):", body))
    lan = lan_of(tmp_path, text, monkeypatch)
    with pytest.raises(Unsupported, match="too many"):
        lan.ports(9)
    with pytest.raises(LanError, match="ports raised Unsupported: too many") as error:
        lan.ports(8)
    assert type(error.value) is LanError
