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

from harness.frames import ethernet
from harness.lan import FrameRefused, Unsupported
from harness.lans import registry
from harness.lans.command import CommandLan
from testcases.lans.users import (
    EXAMPLES,
    ROOT,
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
    for name in ("switch.c", "hub.py"):
        assert len((EXAMPLES / name).read_text().splitlines()) < 150


def test_the_switch_in_c_passes_the_suite(switch: str, pytester: Pytester) -> None:
    files = [
        str(ROOT / "testcases" / name) for name in ("test_delivery.py", "test_receive_length.py")
    ]
    result = pytester.runpytest_subprocess(
        *files,
        "--lan",
        f"command:{switch}",
        "--reports",
        str(pytester.path),
        "-p",
        "no:cacheprovider",
    )
    outcomes = result.parseoutcomes()
    assert outcomes.keys() == {"passed", "deselected"}
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


def test_traits_follow_from_what_is_declared(switch: str) -> None:
    lan = registry.make(f"command:{switch}")
    try:
        assert lan.name == f"example-switch 1.0 (command:{switch})"
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


@pytest.mark.parametrize("listens", [False, True])
def test_only_a_lan_that_declares_it_is_told_of_promiscuous_ports(
    tmp_path: Path, listens: bool
) -> None:
    words = program(
        tmp_path,
        f"""
        FEATURES.extend(["filters-at-sender"] + ["promiscuous"] * {listens})
        def answer(self, asked):
            if asked["message"] == "promiscuous":
                print('{{"answer":"promiscuous"}}', flush=True)
                return True
            return super().answer(asked)
        """,
    )
    lan = CommandLan(words)
    try:
        sender, _ = lan.ports(2)
        sender.listen_to_all(False)
        if listens:
            sender.listen_to_all(True)
        else:
            with pytest.raises(Unsupported, match="port1: the LAN does not declare 'promiscuous'"):
                sender.listen_to_all(True)
    finally:
        lan.close()


def test_the_directory_is_private_and_the_test_is_not_told(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "the answer")
    told = tmp_path / "told"
    words = program(
        tmp_path,
        f"""
        def answer(self, asked):
            if asked["message"] == "start":
                open({str(told)!r}, "w").write(repr(dict(os.environ)))
            return super().answer(asked)
        """,
    )
    lan = CommandLan(words)
    try:
        (made,) = folder.iterdir()
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
        assert "HOME" in told.read_text()
        assert "PYTEST" not in told.read_text()
    finally:
        lan.close()


def test_what_overtakes_a_fence_on_an_unordered_lan_is_waited_for(tmp_path: Path) -> None:
    words = program(
        tmp_path,
        """
        FEATURES.append("unordered")
        late = []
        def forward(self, sender, frame):
            if b"fence" not in frame:
                return self.late.append((sender, frame))
            super().forward(sender, frame)
            if self.late:
                time.sleep(0.02)
                super().forward(*self.late.pop())
        """,
    )
    lan = CommandLan(words)
    try:
        sent = ethernet(lan.ports(3)[1], lan.ports(3)[0])
        assert lan.traits.settles == "wait"
        assert unicast(lan) == [[], [sent], [sent]]
        assert lan.waited_s > 0.1
    finally:
        lan.close()
