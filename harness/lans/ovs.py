"""Open vSwitch's user-space datapath, with veth ends as its ports.

Its database and its switch are started by hand, each in a private directory and in a
network namespace of their own; no system service is used, started or changed.

The datapath reads frames in batches and forwards them flow by flow, so frames to different
addresses overtake each other within a batch, fences included (lib/dpif-netdev.c
dp_netdev_input__: what needs an upcall goes first, then flow by flow). A batch is sent
before the next is read, and a second fence, sent when the first is back, is in a later one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from harness.lan import Lan, LanError
from harness.lans.bridge import BRIDGE
from harness.lans.wire.fence import FencedLan
from harness.lans.wire.namespace import Namespace, why_not
from harness.lans.wire.process import PATIENCE_S, Process, version_line
from harness.lans.wire.stream import connected_to
from harness.lans.wire.transport import Transport
from harness.lans.wire.veth import FAR_MAC, far_end, packet_port, tried

SWITCH, DATABASE = "ovs-vswitchd", "ovsdb-server"
PROGRAMS = (SWITCH, "ovs-vsctl", DATABASE, "ovsdb-tool")

TRAITS = replace(
    BRIDGE,
    ordered=False,
    burst=64,
    lag_s=1.0,
    learns_zero=None,
    flushes="own",
    verbs=("pause", "groups"),
    needs=("root", "/dev/net/tun", "pyroute2", SWITCH),
)

_PLACES = ("usr/bin", "usr/sbin", "usr/lib/openvswitch-switch")
_SCHEMA = "usr/share/openvswitch/vswitch.ovsschema"
_KEEP = """
ovsdb-tool create conf.db "$1" && exec ovsdb-server --unixctl=none --remote=punix:db conf.db
"""


def unpacked() -> Path:
    """Where Debian's package may be unpacked; installing it would start services."""
    return Path(sys.prefix) / "ovs"


def _path() -> str:
    places = [str(root / place) for root in (unpacked(), Path("/")) for place in _PLACES]
    return os.pathsep.join([os.environ.get("PATH", ""), *places])


def program(name: str) -> str | None:
    """The path of one of Open vSwitch's programs; None if it is not here."""
    return shutil.which(name, path=_path())


def _schema() -> Path | None:
    places = (root / _SCHEMA for root in (unpacked(), Path("/")))
    return next(filter(Path.exists, places), None)


class OvsPlant:
    """A switch with one bridge, and a veth pair per port."""

    one_cpu = True
    fences = 2

    def __init__(self) -> None:
        self._namespace = Namespace()
        self._database: Process | None = None
        self._process: Process | None = None
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        # Relative: each program works in its own private directory.
        private = {f"OVS_{what}DIR": "." for what in ("RUN", "LOG", "DB", "SYSCONF")}
        private["PATH"] = _path()
        keep = ["/bin/sh", "-c", _KEEP, DATABASE, str(_schema())]
        self._database = self._namespace.run(Process, keep, private)
        path = str(self._database.directory / "db")
        self._database.wait_for(lambda: connected_to(path).close())
        self._where = f"unix:{path}"
        switch = [SWITCH, "--unixctl=none", self._where]
        self._process = self._namespace.run(Process, switch, private)
        bridge = ["datapath_type=netdev", "fail_mode=standalone", "mcast_snooping_enable=false"]
        address = f'other_config:hwaddr="{FAR_MAC.format(0, 0)}"'
        self._configure("add-br", "lan", "--", "set", "bridge", "lan", *bridge, address)

    def _configure(self, *words: str) -> None:
        """Change the configuration, and wait until the switch has applied it."""
        command = [program("ovs-vsctl") or "", f"--db={self._where}", f"--timeout={PATIENCE_S:.0f}"]
        done = subprocess.run([*command, *words], capture_output=True, text=True)
        if done.returncode or done.stderr:
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise LanError(f"ovs-vsctl {words[0]}: {lines[-1]}")

    def connect(self, number: int, name: str, mac: bytes) -> Transport:
        space = self._namespace
        far, index = far_end(space, number, name, mac)
        port = packet_port(space, name, index)
        try:
            self._configure("add-port", "lan", far)
        except BaseException:
            port.close()
            raise
        return port

    def close(self) -> None:
        for child in (self._process, self._database):
            if child is not None:
                child.close()
        self._namespace.close()


def ovs() -> Lan:
    """Open vSwitch's user-space datapath; ports are veth ends with AF_PACKET."""
    return FencedLan("ovs", TRAITS, OvsPlant())


def missing() -> str | None:
    """Why it cannot run here; None if it can."""
    for name in PROGRAMS:
        if program(name) is None:
            return f"no {name}: apt-get install openvswitch-switch (on Debian it starts services)"
    if _schema() is None:
        return f"no /{_SCHEMA}: apt-get install openvswitch-switch (on Debian it starts services)"
    return why_not(tap=True) or tried(OvsPlant)


def version() -> str:
    """The program's version line; empty if it is not here."""
    return version_line(program(SWITCH))
