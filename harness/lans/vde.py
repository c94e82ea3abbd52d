"""vde_switch, as a switch that learns and as a hub.

A port is a pair of Unix sockets: a stream to the switch's ``ctl``, which requests the
port and holds it, and a datagram socket with one frame per datagram. ``vde:DIR`` is a switch
that is running already: the directory of a vde_switch, or the socket of a uml_switch.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shutil
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from harness.lan import Lan, LanError, Traits
from harness.lans.options import split
from harness.lans.wire.datagram import DatagramChannel
from harness.lans.wire.fence import FencedLan
from harness.lans.wire.process import Process, version_line
from harness.lans.wire.stream import connected_to
from harness.lans.wire.transport import Got, Transport

PROGRAM = "vde_switch"
PORTS = 64

VDE = Traits(
    filters="receiver",
    learns=True,
    ordered=True,
    shortest=1,
    longest=1518,
    oversized="cut",
    burst=8,
    layouts=False,
    counters=False,
    settles="fence",
    needs=(PROGRAM,),
    kind="learning",
    reserved="forwarded",
    promiscuous="reached",
    padding=0,
    vlan="aware",
    learns_zero=True,
    flushes="all",
    moves_s=3.0,
)
VDE_HUB = replace(
    VDE, filters="nobody", learns=False, kind="repeater", promiscuous="all", vlan="transparent"
)
RUNNING = Traits(
    filters="nobody",
    learns=False,
    ordered=True,
    shortest=1,
    longest=1514,
    oversized="dropped",
    burst=8,
    layouts=False,
    counters=False,
    settles="fence",
)
"""Nothing is known about a switch of the user's."""

_MAGIC, _VERSION, _ANY_PORT = 0xFEEDFACE, 3, 0
_PATH = 108
_REQUEST = struct.Struct(f"=IIIH{_PATH}s")
_ADDRESS = struct.Struct(f"=H{_PATH}s")


@dataclass(frozen=True, slots=True)
class Control:
    """How to reach a switch: its control socket, and what to try while it starts.

    ``process`` holds the private directory for our own sockets, and is the switch itself if
    we have started it. ``describes``: the switch takes a description of every port.
    """

    path: Path
    process: Process
    describes: bool = True


class VdePort:
    """A port of a switch."""

    def __init__(self, name: str, control: Control) -> None:
        self._name = name
        self._switch = control
        self._turns = itertools.count(1)
        self._control = self._data = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._own = Path()
        self._data.close()
        self.plug()

    def plug(self) -> None:
        # A new name every time: frames queued for the previous socket cannot reach this one.
        self._own = self._switch.process.directory / f"{self._name}.{next(self._turns)}"
        address = str(self._own).encode()
        if not self._switch.describes:
            # uml_switch recognizes a port by all 108 bytes, which a path does not fill.
            address = (b"\0" + address).ljust(_PATH, b"\0")
        ask = functools.partial(connected_to, str(self._switch.path))
        self._control = self._switch.process.wait_for(ask)
        self._data = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._data.bind(address)
            request = _REQUEST.pack(_MAGIC, _VERSION, _ANY_PORT, socket.AF_UNIX, address)
            description = self._name.encode() + b"\0" if self._switch.describes else b""
            self._control.sendall(request + description)
            answer = self._control.recv(_ADDRESS.size, socket.MSG_WAITALL)
            if len(answer) < _ADDRESS.size:
                raise LanError(f"{self._name}: the switch gave no port: {self._last_line()}")
            self._data.connect(_address_of(answer))
            self._data.setblocking(False)
            self._channel = DatagramChannel(self._name, "the switch", self._data)
        except OSError as error:
            self.unplug()
            raise LanError(f"{self._name}: the switch: {error.strerror or error}") from None
        except BaseException:
            self.unplug()
            raise

    def _last_line(self) -> str:
        return self._switch.process.last_line()

    def fileno(self) -> int:
        return self._data.fileno()

    def send(self, frame: bytes) -> None:
        self._channel.send(frame)

    def receive(self) -> Got | None:
        return self._channel.receive()

    def lost(self) -> int:
        return 0

    def set_promiscuous(self, on: bool) -> None:
        """Nothing to do: there is no card."""

    def unplug(self) -> None:
        self._data.close()
        self._control.close()
        with contextlib.suppress(FileNotFoundError):
            self._own.unlink()

    def close(self) -> None:
        self.unplug()


class VdePlant:
    """A vde_switch with its sockets in a private directory."""

    one_cpu = False
    fences = 1

    def __init__(self, *options: str) -> None:
        # Its console is standard input, and it ends at the end of that.
        console, self._console = os.pipe()
        try:
            self._process = Process(
                [PROGRAM, "-s", "ctl", "-n", str(PORTS), *options], stdin=console
            )
        except BaseException:
            os.close(self._console)
            raise
        finally:
            os.close(console)

    def connect(self, number: int, name: str, mac: bytes) -> Transport:  # noqa: ARG002
        control = Control(self._process.directory / "ctl" / "ctl", self._process)
        return VdePort(name, control)

    def close(self) -> None:
        self._process.close()
        if self._console >= 0:
            os.close(self._console)
            self._console = -1


def why_not(text: str) -> str | None:
    """Why the switch cannot be used now; None if it can."""
    path = _control_socket(Path(split(text)[0]))
    try:
        connected_to(str(path)).close()
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    return None


def _control_socket(place: Path) -> Path:
    return place / "ctl" if place.is_dir() else place


class RunningPlant:
    """A switch of the user's that is running already."""

    one_cpu = False
    fences = 1

    def __init__(self, name: str, place: Path) -> None:
        self._name = name
        if reason := why_not(str(place)):
            raise LanError(f"{name}: {reason}")
        path = _control_socket(place)
        # Nothing runs in it: it holds the private directory for our sockets.
        holder = Process(["sleep", "2147483647"])
        self._control = Control(path, holder, describes=place.is_dir())

    def connect(self, number: int, name: str, mac: bytes) -> Transport:  # noqa: ARG002
        try:
            return VdePort(name, self._control)
        except LanError as error:
            raise LanError(f"{self._name}: {error}") from None

    def close(self) -> None:
        self._control.process.close()


def maker(text: str) -> Callable[[], Lan]:
    """Makes LANs of a running switch; LanError for a place where none can be."""
    text, options = split(text)
    place = Path(text)
    if not text:
        raise LanError("vde:DIR needs the directory of a vde_switch, or a uml_switch's socket")
    if not place.exists():
        raise LanError(f"vde:{text}: there is no such directory, nor socket")
    name = f"vde:{text}"
    traits = options.traits(RUNNING)

    def make() -> Lan:
        """A running vde_switch or uml_switch."""
        return FencedLan(name, traits, RunningPlant(name, place), options.patience_s)

    return make


def _address_of(answer: bytes) -> bytes:
    """The switch's data socket. An abstract name has all its 108 bytes, zeros included."""
    path: bytes = _ADDRESS.unpack(answer)[1]
    return path if path.startswith(b"\0") else path.partition(b"\0")[0]


def vde() -> Lan:
    """vde_switch, learning, on private Unix sockets."""
    return FencedLan("vde", VDE, VdePlant())


def vde_hub() -> Lan:
    """vde_switch as a hub (-x), on private Unix sockets."""
    return FencedLan("vde-hub", VDE_HUB, VdePlant("-x"))


def missing() -> str | None:
    """Why it cannot run here; None if it can."""
    if shutil.which(PROGRAM) is None:
        return f"no {PROGRAM}: apt-get install vde2"
    return None


def version() -> str:
    """The program's version line; empty if it is not here."""
    return version_line(shutil.which(PROGRAM))
