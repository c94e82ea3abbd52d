"""``python:module:Class``: a Python class of the user's that is a ``harness.lan.Lan``.

It is made without arguments. The LAN is checked for everything in ``Lan``, and every port for
everything in ``Port``, before either is used. What its methods return is copied and checked,
and what they raise is an error of the LAN: a LAN cannot choose its verdict.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, cast

from harness.lan import (
    VERBS,
    Arrival,
    Counters,
    Lan,
    LanError,
    LanVerbs,
    Layout,
    Port,
    Record,
    Traits,
    version_of,
    waited_s,
)
from harness.lans import copied
from harness.lans.copied import BadValue
from harness.lans.users_code import UsersCode, by_signal, summary

_NAMES_0_1 = {"set_promiscuous": "listen_to_all"}
"""What version 0.1 called a method; classes written for it still work."""


class UsersPort:
    """A port of the user's; its errors are reported as errors of the LAN."""

    def __init__(self, lan: UsersLan, port: Port, name: str, mac: bytes) -> None:
        self.name = name
        self.mac = mac
        self._lan = lan
        self._port: Any = port
        self._promiscuous = False
        self._modes = {False}
        """Promiscuous or not, since the last call of ``arrivals``."""

    @property
    def lan(self) -> UsersLan:
        """The LAN that it is a port of."""
        return self._lan

    def __repr__(self) -> str:
        return f"<{self.name} of {self._lan.name}>"

    def send(self, frame: bytes, layout: Layout | None = None) -> None:
        traits = self._lan.traits
        inside = traits.shortest <= len(frame) <= traits.longest
        lacks = not inside or (layout is not None and not traits.layouts)
        self._run("send", self._port.send, frame, layout, may_refuse=True, may_lack=lacks)

    def arrivals(self) -> Sequence[Arrival]:
        arrived: list[Arrival] = self._run(
            "arrivals",
            lambda: copied.arrivals(self._port.arrivals(), self.mac, self._modes),
        )
        self._modes = {self._promiscuous}
        return arrived

    def set_promiscuous(self, on: bool) -> None:
        self._lan.use_option("set_promiscuous", on, self._run, self._set_promiscuous)
        self._promiscuous = on
        self._modes.add(on)

    def _set_promiscuous(self, on: bool) -> None:
        current = getattr(self._port, "set_promiscuous", None)
        (current or self._port.listen_to_all)(on)

    def join_groups(self, count: int) -> None:
        self._lan.use_option("join_groups", count, self._run, self._port.join_groups)

    def close(self) -> None:
        self._run("close", self._port.close)

    def open(self) -> None:
        self._run("open", self._port.open)

    # What the LAN's traits declare beside

    def link_down(self) -> None:
        self._run("link_down", self._port.link_down)

    def link_up(self) -> None:
        self._run("link_up", self._port.link_up)

    def vanish(self) -> None:
        self._run("vanish", self._port.vanish)

    def pause(self) -> None:
        self._run("pause", self._port.pause)

    def resume(self) -> None:
        self._run("resume", self._port.resume)

    def join_group(self, group: bytes) -> None:
        self._run("join_group", self._port.join_group, group)

    def leave_group(self, group: bytes) -> None:
        self._run("leave_group", self._port.leave_group, group)

    def counters(self) -> Counters:
        counted: Counters = self._run("counters", lambda: copied.counters(self._port.counters()))
        return counted

    def _run(self, method: str, work: Callable[..., Any], *args: object, **options: Any) -> Any:
        return self._lan.code.run(method, work, *args, port=self.name, **options)


class UsersLan:
    """A LAN of the user's class; its ports are checked when they are first used."""

    def __init__(self, code: UsersCode, lan: Lan, name: str, traits: Traits) -> None:
        self.code = code
        self.name = name
        self.traits = traits
        self._lan = lan
        self._ports: list[UsersPort] = []
        self._records: list[Record] = []
        self._interfaces: list[tuple[str, bytes]] = []
        self._works: set[str] = set()
        """Optional methods that have worked: a LAN cannot lack them later."""

    @property
    def version(self) -> str:
        return self.code.run("version", lambda: copied.one_line(version_of(self._lan)))

    @property
    def waited_s(self) -> float:
        return self.code.run("waited_s", waited_s, self._lan)

    def ports(self, count: int) -> Sequence[UsersPort]:
        if count > len(self._ports):
            lacks = count > self.traits.ports
            self.code.run("ports", self._make_ports, count, may_lack=lacks, error=LanError)
        return self._ports[:count]

    def _make_ports(self, count: int) -> None:
        ports = copied.a_list(self._lan.ports(count), "ports")
        if len(ports) != count:
            raise LanError(f"{self.code.title}: ports({count}) gave {len(ports)}")
        for number, port in enumerate(ports[len(self._ports) :], len(self._ports) + 1):
            if lacks := _lacking(port, Port):
                what = copied.shown(port)
                raise LanError(f"{self.code.title}: its port {what} lacks {lacks}")
            for verb in self.traits.verbs:
                if lacks := ", ".join(name for name in VERBS[verb] if not _calls(port, name)):
                    raise LanError(
                        f"{self.code.title}: its traits name the verb {verb!r}, and its port"
                        f" {copied.shown(port)} lacks {lacks}"
                    )
            name = copied.a_name(port.name, f"made port {number}, whose name")
            mac = copied.an_address(port.mac, f"made port {name}, whose mac")
            for other in self._ports:
                if other.name == name:
                    raise BadValue(f"made two ports with the name {name}")
                if other.mac == mac:
                    raise BadValue(
                        f"made ports {other.name} and {name} with one address, {mac.hex(':')}"
                    )
            self._ports.append(UsersPort(self, port, name, mac))

    def use_option(
        self, method: str, value: int, run: Callable[..., Any], work: Callable[..., Any]
    ) -> None:
        """Call a method that a LAN may lack: always, or never."""
        run(method, work, value, may_lack=bool(value) and method not in self._works)
        if value:
            self._works.add(method)

    def settle(self) -> None:
        self.code.run("settle", self._lan.settle)

    def age(self, seconds: float) -> None:
        self.code.run("age", cast("LanVerbs", self._lan).age, seconds)

    def interfaces(self) -> Sequence[tuple[str, bytes]]:
        self._interfaces = self.code.run(
            "interfaces", lambda: copied.interfaces(self._lan.interfaces())
        )
        return self._interfaces

    def records(self) -> Sequence[Record]:
        new = self.code.run(
            "records", lambda: copied.records(self._lan.records(), len(self._records))
        )
        names = {name for name, _ in self._interfaces}
        for record in new:
            if record.port not in names:
                names = {name for name, _ in self.interfaces()}
            if record.port not in names:
                raise LanError(
                    f"{self.code.title}: records returned one of port {record.port}, which is not"
                    " in interfaces()"
                )
        self._records += new
        return self._records

    def close(self) -> None:
        self.code.run("close", self._lan.close)


def maker(where: str) -> Callable[[], Lan]:
    """Makes LANs of a class; LanError for a class that cannot be imported."""
    module, colon, name = where.partition(":")
    if not (module and colon and name):
        raise LanError(f"python:{where}: should be python:MODULE:CLASS")
    title = f"python:{where}"
    code = UsersCode(title)
    made_by = _class(title, module, name)

    def make() -> Lan:
        """A Python class of the user's."""
        return code.run("", _made, code, made_by, error=LanError)

    return make


def _made(code: UsersCode, made_by: Callable[[], Any]) -> Lan:
    lan = made_by()
    if lacks := _lacking(lan, Lan):
        raise LanError(f"{code.title} lacks {lacks}")
    name = copied.a_name(lan.name, "its name")
    traits = copied.traits(lan.traits)
    if "age" in traits.verbs and not _calls(lan, "age"):
        raise LanError(f"{code.title}: its traits name the verb 'age', and it lacks age")
    return UsersLan(code, lan, name, traits)


def _class(title: str, module: str, name: str) -> Callable[[], Any]:
    here = os.getcwd()  # noqa: PTH109  # as a string it goes into sys.path
    if here not in sys.path:
        sys.path.append(here)
    try:
        value = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        raise LanError(f"{title}: there is no module {error.name!r}") from None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and by_signal(error):
            raise
        raise LanError(f"{title}: {module} cannot be imported: {summary(error)}") from None
    if value is None:
        raise LanError(f"{title}: {module} has no {name!r}")
    if not isinstance(value, type):
        raise LanError(f"{title}: {name} is not a class, but {copied.shown(value)}")
    return value


def _calls(made: object, name: str) -> bool:
    return callable(getattr(made, name, None))


def _lacking(made: object, protocol: type) -> str:
    """Names of a protocol that an object lacks, or that should be methods and are not."""
    names = [name for name in vars(protocol) if not name.startswith("_")]
    return ", ".join(name for name in names if not _has(made, name, vars(protocol)[name]))


def _has(made: object, name: str, wanted: object) -> bool:
    names = (name, _NAMES_0_1.get(name, name))
    there = [getattr(made, known) for known in names if hasattr(made, known)]
    return bool(there) and (callable(there[0]) or not callable(wanted))
