"""What real LANs leave behind: nothing, whatever ends them."""

from __future__ import annotations

import functools
import os
import select
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from harness import registry
from harness.frames import ethernet
from harness.lan import Inconclusive, Lan, LanError, Port
from harness.lans import bridge
from harness.lans.wire import stream
from harness.lans.wire.fence import FencedLan
from harness.lans.wire.process import Process
from harness.lans.wire.transport import Transport
from tests.lans.real import REAL, namespaces, processes, traces

PATIENCE_S = 10.0


def test_closing_leaves_nothing_behind(real: str, folder: Path) -> None:
    registry.create(real).close()
    before = traces(folder)
    lan = registry.create(real)
    lan.ports(8)
    lan.close()
    assert traces(folder) == before
    lan.close()


@pytest.mark.parametrize("at", [0, 1, 4])
def test_a_lan_that_fails_half_way_leaves_nothing_behind(real: str, at: int, folder: Path) -> None:
    registry.create(real).close()
    before = traces(folder)
    plant = REAL[real].plant()
    connect = plant.connect

    def fails(number: int, name: str, mac: bytes) -> Transport:
        if number > at:
            raise LanError("no more")
        return connect(number, name, mac)

    plant.connect = fails  # type: ignore[method-assign]
    lan = FencedLan(real, bridge.BRIDGE, plant)
    with pytest.raises(LanError, match="no more"):
        lan.ports(8)
    lan.close()
    assert traces(folder) == before


def test_a_program_that_ends_at_once_is_reported_with_its_last_lines(folder: Path) -> None:
    child = Process(["sh", "-c", "echo cannot do it; exit 3"])
    try:
        with pytest.raises(LanError, match="sh has ended: cannot do it"):
            child.wait_for(functools.partial(stream.connected_to, str(child.directory / "none")))
    finally:
        child.close()
    assert list(folder.iterdir()) == []


def test_a_private_directory_is_private() -> None:
    child = Process(["sleep", "60"])
    try:
        assert stat.S_IMODE(child.directory.stat().st_mode) == 0o700
        assert child.exit_reason() is None
    finally:
        child.close()


WORKER = """
import sys
from harness import registry
from harness.lans.wire.process import Process

lan = registry.create(sys.argv[1])
lan.ports(4)
kept = vars(lan._plant).values()
for child in [value for value in kept if isinstance(value, Process)]:
    print(child._guard.pid, child.pid, child.directory, end=" ")
print()
sys.stdout.flush()
sys.stdin.read()
"""


def test_a_killed_worker_leaves_nothing_behind(real: str, folder: Path) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, real], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert worker.stdout is not None
    with worker, worker.stdout:
        line = worker.stdout.readline().decode().split()
        gone = [os.pidfd_open(int(pid)) for pid in line if pid.isdigit()]
        for directory in line[2::3]:
            assert Path(directory).is_relative_to(folder)
            assert Path(directory).is_dir()
        own = namespaces(str(worker.pid)) - namespaces()
        assert gone or own, "the LAN is nowhere"
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        for process in gone:
            ready, _, _ = select.select([process], [], [], PATIENCE_S)
            os.close(process)
            assert ready, "a process outlives its worker"
    assert not own & namespaces("[0-9]*")
    assert list(folder.iterdir()) == []
    assert processes(folder) == set()


@pytest.mark.parametrize("name", ["vde", "qemu-hub", "ovs"])
def test_a_lan_that_dies_is_inconclusive_and_leaves_nothing(name: str, folder: Path) -> None:
    if reason := REAL[name].missing():
        pytest.skip(reason)
    before = traces(folder)
    lan = registry.create(name)
    try:
        sender, owner, *_ = lan.ports(3)
        child: Process = lan._plant._process  # type: ignore[attr-defined]
        dead = os.pidfd_open(child.pid)
        os.kill(child.pid, signal.SIGKILL)
        select.select([dead], [], [], PATIENCE_S)
        os.close(dead)
        with pytest.raises(
            Inconclusive, match=r"port\d: the (switch|LAN)|port\d of ovs: the fence"
        ):
            _send_and_settle(lan, sender, ethernet(owner, sender))
    finally:
        lan.close()
    assert traces(folder) == before


@pytest.mark.parametrize("name", ["vde", "qemu-hub", "ovs"])
def test_a_lan_that_hangs_is_inconclusive_and_leaves_nothing(name: str, folder: Path) -> None:
    if reason := REAL[name].missing():
        pytest.skip(reason)
    before = traces(folder)
    plant = REAL[name].plant()
    lan = FencedLan(name, bridge.BRIDGE, plant, limit_s=0.3)
    try:
        sender, owner, *_ = lan.ports(3)
        os.kill(plant._process.pid, signal.SIGSTOP)  # type: ignore[attr-defined]
        sender.send(ethernet(owner, sender))
        with pytest.raises(Inconclusive, match=r"port2 of .*: the fence of port1 did not"):
            lan.settle()
    finally:
        lan.close()
    assert traces(folder) == before


def _send_and_settle(lan: Lan, sender: Port, frame: bytes) -> None:
    sender.send(frame)
    lan.settle()
