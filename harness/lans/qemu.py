"""QEMU's hub, with a stream netdev per port and no virtual machine.

Ports are added and deleted over QMP, QEMU's control socket. A stream joins the hub only
when QEMU reports that it is connected: a hub that sends to an unconnected one may crash.
"""

from __future__ import annotations

import functools
import itertools
import json
import shutil
import socket
from typing import Any

from harness.lan import Lan, LanError, Traits
from harness.lans.wire.fence import FencedLan
from harness.lans.wire.process import PATIENCE_S, Process, version_line
from harness.lans.wire.stream import StreamSocket, connected_to
from harness.lans.wire.transport import Transport

PROGRAM = "qemu-system-x86_64"

TRAITS = Traits(
    filters="nobody",
    learns=False,
    ordered=True,
    shortest=1,
    longest=69_632,
    oversized="delivered",
    burst=64,
    layouts=False,
    counters=False,
    settles="fence",
    needs=(PROGRAM,),
    kind="repeater",
    reserved="forwarded",
    promiscuous="all",
    padding=0,
)


class Qmp:
    """A QMP connection to QEMU: a JSON object per line."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        connection.settimeout(PATIENCE_S)
        self._lines = connection.makefile("rb")
        self._events: list[dict[str, Any]] = []
        self._next()
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: object) -> None:
        """Run a command, and wait for its result; LanError when QEMU refuses."""
        request = {"execute": command, "arguments": arguments}
        try:
            self._connection.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise LanError(f"QEMU does not take commands: {error.strerror or error}") from None
        while "return" not in (answer := self._next()):
            if "error" in answer:
                raise LanError(f"QEMU: {command}: {answer['error']['desc']}")
            self._events.append(answer)

    def wait_for(self, event: str, netdev: str) -> None:
        """Wait for an event of a netdev."""

        def matches(line: dict[str, Any]) -> bool:
            return line.get("event") == event and line["data"]["netdev-id"] == netdev

        while not any(map(matches, self._events)):
            self._events.append(self._next())
        self._events = [line for line in self._events if not matches(line)]

    def _next(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except OSError as error:
            raise LanError(f"QEMU does not answer: {error.strerror or error}") from None
        if not line:
            raise LanError("QEMU has ended")
        message: dict[str, Any] = json.loads(line)
        return message

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._connection.close()


class HubPort(StreamSocket):
    """A stream netdev of QEMU, joined to its hub while plugged in."""

    def __init__(self, name: str, qmp: Qmp, process: Process) -> None:
        self._qmp = qmp
        self._process = process
        self._turns = itertools.count(1)
        self._netdev = ""
        super().__init__(name, functools.partial(self._join, name))

    def _join(self, name: str) -> socket.socket:
        self._netdev = netdev = f"{name}.{next(self._turns)}"
        path = self._process.directory / netdev
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.settimeout(PATIENCE_S)
            listener.bind(str(path))
            listener.listen(1)
            where = {"type": "unix", "path": netdev}
            self._qmp.ask("netdev_add", type="stream", id=netdev, server=False, addr=where)
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                raise LanError(f"{name}: QEMU does not connect") from None
            finally:
                path.unlink()
        try:
            self._qmp.wait_for("NETDEV_STREAM_CONNECTED", netdev)
            self._qmp.ask("netdev_add", type="hubport", id=f"hub.{netdev}", hubid=0, netdev=netdev)
        except BaseException:
            connection.close()
            raise
        return connection

    def unplug(self) -> None:
        self._qmp.ask("netdev_del", id=f"hub.{self._netdev}")
        self._qmp.ask("netdev_del", id=self._netdev)
        super().unplug()


class QemuPlant:
    """A QEMU that runs nothing but a hub."""

    one_cpu = False
    fences = 1

    def __init__(self) -> None:
        control = ["-qmp", "unix:qmp,server=on,wait=off"]
        self._qmp: Qmp | None = None
        self._process = Process(
            [PROGRAM, "-M", "none", "-nodefaults", "-nographic", "-monitor", "none", *control]
        )
        try:
            path = str(self._process.directory / "qmp")
            self._qmp = Qmp(self._process.wait_for(functools.partial(connected_to, path)))
        except BaseException:
            self.close()
            raise

    def connect(self, number: int, name: str, mac: bytes) -> Transport:  # noqa: ARG002
        assert self._qmp is not None
        return HubPort(name, self._qmp, self._process)

    def close(self) -> None:
        if self._qmp is not None:
            self._qmp.close()
        self._process.close()


def qemu_hub() -> Lan:
    """QEMU's hub with stream netdevs on private Unix sockets, without a virtual machine."""
    return FencedLan("qemu-hub", TRAITS, QemuPlant())


def missing() -> str | None:
    """Why it cannot run here; None if it can."""
    if shutil.which(PROGRAM) is None:
        return f"no {PROGRAM}: apt-get install --no-install-recommends qemu-system-x86"
    return None


def version() -> str:
    """The program's version line; empty if it is not here."""
    return version_line(shutil.which(PROGRAM))
