"""The LANs that the adapters of ``harness.lans`` make, and what they could leave behind."""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.lans import bridge, ovs, qemu, vde
from harness.lans.bridge import BridgePlant, MacvlanPlant
from harness.lans.wire.transport import Plant


@dataclass(frozen=True)
class Real:
    """A LAN of this part: why it may not run here, and what it is made of."""

    missing: Callable[[], str | None]
    plant: Callable[[], Plant]


REAL = {
    "bridge": Real(functools.cache(bridge.missing), functools.partial(BridgePlant, "veth")),
    "bridge-tap": Real(functools.cache(bridge.missing_tap), functools.partial(BridgePlant, "tap")),
    "macvlan": Real(functools.cache(bridge.missing_macvlan), MacvlanPlant),
    "vde": Real(functools.cache(vde.missing), vde.VdePlant),
    "vde-hub": Real(functools.cache(vde.missing), functools.partial(vde.VdePlant, "-x")),
    "qemu-hub": Real(functools.cache(qemu.missing), qemu.QemuPlant),
    "ovs": Real(functools.cache(ovs.missing), ovs.OvsPlant),
}


def namespaces(process: str = "self") -> set[str]:
    """The network namespaces that a process and its threads live in; ``*`` for all of them."""
    seen = set()
    for link in Path("/proc").glob(f"{process}/task/[0-9]*/ns/net"):
        # A process may end while it is looked at.
        with contextlib.suppress(OSError):
            seen.add(str(link.readlink()))
    return seen


def processes(folder: Path) -> set[str]:
    """Every process that works in a folder."""
    seen = set()
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if link.readlink().is_relative_to(folder):
                seen.add(link.parent.name)
    return seen


def traces(folder: Path) -> dict[str, set[str]]:
    """What a LAN with its directories in ``folder`` could leave behind, by kind."""
    sockets = Path("/proc/net/unix").read_text(errors="replace").splitlines()
    return {
        "namespaces": namespaces(),
        "interfaces": {name for _, name in socket.if_nameindex() if name.startswith("port")},
        "directories": {path.name for path in folder.iterdir()},
        "processes": processes(folder),
        "sockets": {line for line in sockets if str(folder) in line},
        "descriptors": {str(len(list(Path("/proc/self/fd").iterdir())))},
        "threads": {thread.name for thread in threading.enumerate()},
    }
