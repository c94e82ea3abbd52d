"""``command:CMD``: the two examples, and what is made of what a program declares."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.pytester import Pytester

from harness import registry
from harness.evidence import judge, results
from harness.frames import ethernet
from harness.lan import FrameRefused, Unsupported, version_of
from harness.lans.command import CommandLan
from tests.lans.users import (
    EXAMPLES,
    FOR_ANY_LAN,
    ROOT,
    SUITE,
    lan_name,
    leaving_nothing,
    program,
    running,
    unicast,
)


@pytest.fixture(scope="module")
def switch(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The example in C, built by the system's compiler."""
    if shutil.which("cc") is None:
        pytest.skip("no cc: apt-get install gcc libc6-dev")
    built = tmp_path_factory.mktemp("built") / "switch"
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    source = EXAMPLES / "switch.c"
    subprocess.run(["cc", "-O2", *warnings, "-o", built, source], check=True)
    return str(built)


@pytest.fixture(autouse=True)
def _clean(folder: Path, tmp_path: Path) -> Iterator[None]:
    with leaving_nothing(folder, tmp_path):
        yield


# The examples


def test_the_examples_are_short() -> None:
    for name in ("switch.c", "hub.py", "hub_class.py"):
        assert len((EXAMPLES / name).read_text().splitlines()) < 150


def test_the_switch_in_c_passes_the_suite(switch: str, pytester: Pytester) -> None:
    result = pytester.runpytest_subprocess(
        *FOR_ANY_LAN,
        "--lan",
        f"command:{switch}",
        "--reports",
        str(pytester.path),
        "-p",
        "no:cacheprovider",
    )
    outcomes = result.parseoutcomes()
    assert outcomes.keys() == {"passed", "deselected", "unsupported"}
    assert outcomes["unsupported"] == 1, "a broadcast among 24 ports"
    assert outcomes["passed"] > 100
    assert not running([switch])


def test_the_hub_in_python_passes_what_it_declares(pytester: Pytester) -> None:
    name = lan_name([sys.executable, str(EXAMPLES / "hub.py")])
    result = pytester.runpytest_subprocess(
        str(ROOT / "testcases" / "test_receive_length.py"),
        "--lan",
        name,
        "--reports",
        str(pytester.path),
        "-p",
        "no:cacheprovider",
    )
    outcomes = result.parseoutcomes()
    assert outcomes.keys() == {"passed", "deselected", "unsupported"}
    assert outcomes["unsupported"] == 16, "runts, which it does not take"


def test_the_hub_as_a_class_passes_the_suite(
    pytester: Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{EXAMPLES}:{ROOT}")
    result = pytester.runpytest_subprocess(
        *FOR_ANY_LAN,
        "--lan",
        "python:hub_class:Hub",
        "--reports",
        str(pytester.path),
        "-p",
        "no:cacheprovider",
    )
    outcomes = result.parseoutcomes()
    assert outcomes.keys() == {"passed", "deselected", "unsupported"}
    assert outcomes["unsupported"] == 17, "runts, and 24 ports"
    run = results.read(pytester.path)
    assert {test.version for test in run.tests if test.capture} == {"1.0"}
    answer = judge.answer([pytester.path])
    assert answer.code == 0
    passed = outcomes["passed"]
    assert answer.lines[-1].startswith(f"{passed} of {passed} verdicts re-checked (100.0 %): ")


def test_traits_follow_from_what_is_declared(switch: str) -> None:
    lan = registry.create(f"command:{switch}")
    try:
        assert lan.name == f"example-switch 1.0 (command:{switch})"
        assert version_of(lan) == "1.0"
        traits = lan.traits
        assert (traits.filters, traits.learns, traits.ordered) == ("sender", False, True)
        assert (traits.shortest, traits.longest, traits.settles) == (1, 1518, "fence")
        with pytest.raises(Unsupported, match="has 64 ports"):
            lan.ports(65)
        sender, owner = lan.ports(2)
        with pytest.raises(FrameRefused, match="port1: 1519 bytes, and the LAN takes 1 to 1518"):
            sender.send(ethernet(owner, sender, size=1519))
    finally:
        lan.close()


@pytest.mark.parametrize("filters", ["filters-at-sender", "learns"])
@pytest.mark.parametrize("listens", [False, True])
def test_only_a_lan_that_declares_it_is_asked_for_promiscuous_ports(
    tmp_path: Path, listens: bool, filters: str
) -> None:
    words = program(
        tmp_path,
        f"""
        FEATURES.extend([{filters!r}] + ["promiscuous"] * {listens})
        def answer(self, request):
            if request["message"] == "promiscuous":
                print('{{"answer":"promiscuous"}}', flush=True)
                return True
            return super().answer(request)
        """,
    )
    lan = CommandLan(words)
    try:
        sender, _ = lan.ports(2)
        sender.set_promiscuous(False)
        if listens:
            sender.set_promiscuous(True)
        else:
            with pytest.raises(Unsupported, match="port1: the LAN does not declare 'promiscuous'"):
                sender.set_promiscuous(True)
    finally:
        lan.close()


def test_the_directory_is_private_and_the_test_is_not_revealed(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "the answer")
    environment = tmp_path / "environment"
    words = program(
        tmp_path,
        f"""
        def answer(self, request):
            if request["message"] == "start":
                open({str(environment)!r}, "w").write(repr(dict(os.environ)))
            return super().answer(request)
        """,
    )
    lan = CommandLan(words)
    try:
        (made,) = folder.iterdir()
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
        assert "HOME" in environment.read_text()
        assert "PYTEST" not in environment.read_text()
    finally:
        lan.close()


UNORDERED = """
FEATURES.append("unordered")
LIMITS["wait_ms"] = {wait_ms}
late = []
def forward(self, sender, frame):
    if not is_marker(frame):
        return self.late.append((sender, frame))
    super().forward(sender, frame)
    while self.late:
        time.sleep(0.02)
        super().forward(*self.late.pop())
"""
"""A hub whose fences overtake all else, and whose last frame is the first to come."""


def test_what_overtakes_a_fence_on_an_unordered_lan_is_waited_for(tmp_path: Path) -> None:
    lan = CommandLan(program(tmp_path, UNORDERED.format(wait_ms=100)))
    try:
        sender, owner, _ = lan.ports(3)
        sent = ethernet(owner, sender)
        assert (lan.traits.ordered, lan.traits.settles, lan.traits.wait_s) == (False, "wait", 0.1)
        assert lan.waited_s == 0
        assert unicast(lan) == [[], [sent], [sent]]
        assert 0.1 <= lan.waited_s < 0.2
        two = [ethernet(owner, sender, stamp=stamp) for stamp in (1, 2)]
        for frame in two:
            sender.send(frame)
        lan.settle()
        assert [arrival.frame for arrival in owner.arrivals()] == two[::-1], "it does overtake"
        waited = lan.waited_s
        lan.settle()
        assert lan.waited_s == waited, "nothing was sent, and nothing waited for"
    finally:
        lan.close()


RESULTS = """
def pytest_runtest_logreport(report):
    if report.when == "teardown":
        print()
        print("settled:", *(value for key, value in report.user_properties if key == "settled"))
"""


def test_a_result_states_how_long_the_wait_was(tmp_path: Path, pytester: Pytester) -> None:
    name = lan_name(program(tmp_path, UNORDERED.format(wait_ms=100)))
    pytester.makeconftest(RESULTS)
    pytester.makepyfile(
        test_suite=SUITE
        + """
@rule("DLV-2")
def test_two(lan: Testbench) -> None:
    sender, owner, _ = lan.ports(3)
    sent = [ethernet(owner, sender, stamp=n) for n in range(2)]
    assert lan.exchange(sender, *sent) == {owner: sent}
"""
    )
    lans = ["--lan", name, "--lan", "lguest"]
    result = pytester.runpytest_subprocess("-s", "-p", "no:randomly", *lans)
    assert result.parseoutcomes() == {"passed": 4}
    settled = [line for line in result.outlines if line.startswith("settled:")]
    waits = [float(line.split()[2]) for line in settled if "waited" in line]
    assert settled.count("settled: barrier") == 2
    assert len(waits) == 2
    assert 0.1 <= min(waits) < 0.2 <= max(waits) < 0.3


def test_order_is_not_asked_of_an_unordered_lan(tmp_path: Path, pytester: Pytester) -> None:
    name = lan_name(program(tmp_path, UNORDERED.format(wait_ms=50)))
    result = pytester.runpytest_subprocess(
        str(ROOT / "testcases" / "test_bytes_and_order.py"),
        "-k",
        "sending_order or their_order or their_own_order",
        "--lan",
        name,
        "--no-captures",
        "-p",
        "no:cacheprovider",
    )
    assert result.parseoutcomes().keys() == {"unsupported", "deselected"}
