"""The LANs that ``--lan`` can name."""

from __future__ import annotations

import difflib
import platform
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from harness import __version__
from harness.broken.catalogue import BROKEN
from harness.lan import Lan, LanError
from harness.lans import lguest


def _bridge() -> Lan:
    """A Linux bridge; ports are veth ends with AF_PACKET, in a namespace of their own."""
    from harness.lans import bridge

    return bridge.bridge()


def _bridge_tap() -> Lan:
    """A Linux bridge; ports are TAPs, as a machine monitor uses it."""
    from harness.lans import bridge

    return bridge.bridge_tap()


def _macvlan() -> Lan:
    """Linux macvlan in bridge mode; ports are macvlan devices with AF_PACKET."""
    from harness.lans import bridge

    return bridge.macvlan()


def _vde() -> Lan:
    """vde_switch, learning, on private Unix sockets."""
    from harness.lans import vde

    return vde.vde()


def _vde_hub() -> Lan:
    """vde_switch as a hub (-x), on private Unix sockets."""
    from harness.lans import vde

    return vde.vde_hub()


def _qemu_hub() -> Lan:
    """QEMU's hub with stream netdevs on private Unix sockets, without a machine."""
    from harness.lans import qemu

    return qemu.qemu_hub()


def _ovs() -> Lan:
    """Open vSwitch's user-space datapath; ports are veth ends with AF_PACKET."""
    from harness.lans import ovs

    return ovs.ovs()


LANS: Mapping[str, Callable[[], Lan]] = MappingProxyType(
    {
        "lguest": lguest.lguest,
        "lguest-repaired": lguest.repaired,
        "bridge": _bridge,
        "bridge-tap": _bridge_tap,
        "macvlan": _macvlan,
        "vde": _vde,
        "vde-hub": _vde_hub,
        "qemu-hub": _qemu_hub,
        "ovs": _ovs,
    }
)
"""Name to what makes the LAN; the maker's docstring says what it is."""


def _command(text: str) -> Callable[[], Lan]:
    from harness.lans import command

    return command.maker(text)


def _stream(text: str) -> Callable[[], Lan]:
    from harness.lans import unix_stream

    return unix_stream.maker(text)


def _python(text: str) -> Callable[[], Lan]:
    from harness.lans import python_class

    return python_class.maker(text)


USERS: Mapping[str, Callable[[str], Callable[[], Lan]]] = MappingProxyType(
    {"command:": _command, "stream:": _stream, "python:": _python}
)
"""Prefix of a LAN of the user's own to what takes the rest of its name to a maker."""

BROKEN_PREFIX = "broken:"
"""Before the name of a LAN that is wrong on purpose."""


def make(name: str) -> Lan:
    """A new LAN of that name; LanError for a name that nobody has."""
    return maker(name)()


def maker(name: str) -> Callable[[], Lan]:
    """What makes the LAN of that name; LanError for a name that nobody has."""
    if name.startswith(BROKEN_PREFIX):
        found = BROKEN.get(name.removeprefix(BROKEN_PREFIX))
        if found is not None:
            return found.make
    elif name in LANS:
        return LANS[name]
    for prefix, users in USERS.items():
        if name.startswith(prefix):
            return users(name.removeprefix(prefix))
    own = "broken:NAME, command:CMD, stream:PATH, python:MODULE:CLASS"
    known = [*LANS, *USERS, *(BROKEN_PREFIX + each for each in BROKEN)]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    meant = f"did you mean {near[0]}? Else " if near else ""
    raise LanError(f"unknown LAN {name!r}: {meant}choose from {', '.join(LANS)}, {own}")


def missing(name: str) -> str | None:
    """Why a LAN cannot run here, and what to install, in a line; None if it can."""
    if name in ("bridge", "bridge-tap", "macvlan"):
        from harness.lans import bridge

        ask = {"bridge-tap": bridge.missing_tap, "macvlan": bridge.missing_macvlan}
        return ask.get(name, bridge.missing)()
    if name in ("vde", "vde-hub"):
        from harness.lans import vde

        return vde.missing()
    if name == "qemu-hub":
        from harness.lans import qemu

        return qemu.missing()
    if name == "ovs":
        from harness.lans import ovs

        return ovs.missing()
    return None


def users(name: str) -> bool:
    """Whether it is the name of a LAN of the user's own."""
    return name.startswith(tuple(USERS))


def version(name: str) -> str:
    """The version of what a LAN is made of; empty where only a running LAN could tell.

    A LAN of the kernel has the kernel's release, a program what it says itself, a
    simulated LAN the harness's own version; of a user's LAN, ask ``harness.lan.version_of``.
    """
    if name in ("bridge", "bridge-tap", "macvlan"):
        return f"Linux {platform.release()}"
    if name in ("vde", "vde-hub"):
        from harness.lans import vde

        return vde.version()
    if name == "qemu-hub":
        from harness.lans import qemu

        return qemu.version()
    if name == "ovs":
        from harness.lans import ovs

        return ovs.version()
    if users(name):
        return ""
    return f"lguest-harness {__version__}"


def expand(names: Iterable[str]) -> list[str]:
    """The names, each once, with ``broken:*`` as all that it stands for."""
    found: list[str] = []
    for name in names:
        found += [BROKEN_PREFIX + each for each in BROKEN] if name == "broken:*" else [name]
    return list(dict.fromkeys(found))


def broken_rule(name: str) -> str | None:
    """The rule that a LAN breaks on purpose; None for one that does not."""
    if not name.startswith(BROKEN_PREFIX):
        return None
    return BROKEN[name.removeprefix(BROKEN_PREFIX)].rule


def describe(name: str) -> str:
    """What the LAN is, in a line."""
    return (maker(name).__doc__ or "").strip().splitlines()[0]
