"""``python:module:Class``: a Python class of the user's that is a ``harness.lan.Lan``.

It is made without arguments. The LAN is checked for everything in ``Lan``, and every port for
everything in ``Port``, before either is used.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from harness.lan import (
    Arrival,
    Inconclusive,
    Lan,
    LanError,
    Layout,
    Port,
    Record,
    Traits,
    version_of,
    waited_s,
)

Answer = TypeVar("Answer")

_NAMES_0_1 = {"set_promiscuous": "listen_to_all"}
"""What version 0.1 called a method; classes written for it still work."""


class UsersPort:
    """A port of the user's; its errors are reported as errors of the LAN."""

    def __init__(self, title: str, port: Port) -> None:
        self._title = title
        self._port = port

    def __repr__(self) -> str:
        return repr(self._port)

    @property
    def name(self) -> str:
        return self._port.name

    @property
    def mac(self) -> bytes:
        return self._port.mac

    def send(self, frame: bytes, layout: Layout | None = None) -> None:
        _call(self._title, self._port.send, frame, layout)

    def arrivals(self) -> Sequence[Arrival]:
        return _call(self._title, self._port.arrivals)

    def set_promiscuous(self, on: bool) -> None:
        port: Any = self._port
        current = getattr(port, "set_promiscuous", None)
        _call(self._title, current or port.listen_to_all, on)

    def join_groups(self, count: int) -> None:
        _call(self._title, self._port.join_groups, count)

    def close(self) -> None:
        _call(self._title, self._port.close)

    def open(self) -> None:
        _call(self._title, self._port.open)


class UsersLan:
    """A LAN of the user's class; its ports are checked when they are first used."""

    def __init__(self, title: str, lan: Lan) -> None:
        self._title = title
        self._lan = lan
        self._ports: list[UsersPort] = []

    @property
    def name(self) -> str:
        return self._lan.name

    @property
    def traits(self) -> Traits:
        return self._lan.traits

    @property
    def version(self) -> str:
        return version_of(self._lan)

    @property
    def waited_s(self) -> float:
        return waited_s(self._lan)

    def ports(self, count: int) -> Sequence[UsersPort]:
        ports = _call(self._title, self._lan.ports, count)
        if len(ports) != count:
            raise LanError(f"{self._title}: ports({count}) gave {len(ports)}")
        for port in ports[len(self._ports) :]:
            if lacks := _lacking(port, Port):
                raise LanError(f"{self._title}: its port {port!r} lacks {lacks}")
            self._ports.append(UsersPort(self._title, port))
        return self._ports[:count]

    def settle(self) -> None:
        _call(self._title, self._lan.settle)

    def interfaces(self) -> Sequence[tuple[str, bytes]]:
        return _call(self._title, self._lan.interfaces)

    def records(self) -> Sequence[Record]:
        return _call(self._title, self._lan.records)

    def close(self) -> None:
        _call(self._title, self._lan.close)


def _call(title: str, method: Callable[..., Answer], *given: object) -> Answer:
    """The result of a user's method; Inconclusive, with the line of code, for its own errors."""
    try:
        return method(*given)
    except LanError:
        raise
    except Exception as error:
        *_, (frame, line) = traceback.walk_tb(error.__traceback__)
        where = f"{Path(frame.f_code.co_filename).name}:{line}"
        raise Inconclusive(
            f"{title}: {method.__name__} raised {_summary(error)}, {where}"
        ) from error


def maker(where: str) -> Callable[[], Lan]:
    """Makes LANs of a class; LanError for a class that cannot be imported."""
    module, colon, name = where.partition(":")
    if not (module and colon and name):
        raise LanError(f"python:{where}: should be python:MODULE:CLASS")
    title = f"python:{where}"
    made_by = _class(title, module, name)

    def make() -> Lan:
        """A Python class of the user's."""
        try:
            lan = made_by()
        except Exception as error:
            raise LanError(f"{title} cannot be made: {_summary(error)}") from error
        if lacks := _lacking(lan, Lan):
            raise LanError(f"{title} lacks {lacks}")
        if not isinstance(lan.traits, Traits):
            raise LanError(f"{title}: its traits are {lan.traits!r}, not a harness.lan.Traits")
        return UsersLan(title, lan)

    return make


def _class(title: str, module: str, name: str) -> Callable[[], Any]:
    here = os.getcwd()  # noqa: PTH109  # as a string it goes into sys.path
    if here not in sys.path:
        sys.path.append(here)
    try:
        value = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        raise LanError(f"{title}: there is no module {error.name!r}") from None
    except Exception as error:
        raise LanError(f"{title}: {module} cannot be imported: {_summary(error)}") from error
    if value is None:
        raise LanError(f"{title}: {module} has no {name!r}")
    if not isinstance(value, type):
        raise LanError(f"{title}: {name} is not a class, but {value!r}")
    return value


def _lacking(made: object, protocol: type) -> str:
    """Names of a protocol that an object lacks, or that should be methods and are not."""
    names = [name for name in vars(protocol) if not name.startswith("_")]
    return ", ".join(name for name in names if not _has(made, name, vars(protocol)[name]))


def _has(made: object, name: str, wanted: object) -> bool:
    names = (name, _NAMES_0_1.get(name, name))
    there = [getattr(made, known) for known in names if hasattr(made, known)]
    return bool(there) and (callable(there[0]) or not callable(wanted))


def _summary(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
