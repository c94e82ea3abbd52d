"""``file:LAN.toml``, or plain ``LAN.toml``: a LAN that a file describes.

The file has the ports in one of the other forms, the commands that start the LAN and stop it,
and what the LAN declares. ``harness.lans.files.schema`` is the list of its keys.
"""

from __future__ import annotations

import contextlib
import os
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.lan import Lan, LanError, Port, Record, Traits, Unsupported
from harness.lans import command, dgram, interfaces, python_class, unix_stream, vde
from harness.lans.files import needs, schema
from harness.lans.files.commands import Commands
from harness.lans.files.schema import Command, Condition, LanFile
from harness.lans.options import SEND_ON, Options
from harness.lans.python_class import UsersLan
from harness.lans.wire.chatter import Chatter
from harness.lans.wire.fence import FencedLan
from harness.lans.wire.journal import namespace_path
from harness.lans.wire.process import GOING_S

PREFIX = "file:"
SUFFIX = ".toml"

_MAKERS: Mapping[str, Callable[[str], Callable[[], Lan]]] = {
    "interfaces": interfaces.maker,
    "stream": unix_stream.maker,
    "dgram": dgram.maker,
    "vde": vde.maker,
    "command": command.maker,
    "python": python_class.maker,
}
_WHY_NOT: Mapping[str, Callable[[str], str | None]] = {
    "stream": unix_stream.why_not,
    "dgram": dgram.why_not,
    "vde": vde.why_not,
}
_BEHIND_ADDRESSES = ("interfaces", "stream", "dgram", "vde")
"""Forms that take ``;kind=`` and ``;patience=``."""


@dataclass(frozen=True, slots=True)
class Described:
    """A LAN file that was read and checked."""

    path: Path
    content: LanFile
    send_on: Sequence[str] = ()
    """Interfaces that frames are sent on although they carry a default route."""
    text: str = ""
    """What the file says."""

    @property
    def name(self) -> str:
        """What reports call the LAN."""
        return self.content.name or self.path.stem

    @property
    def shared(self) -> bool:
        """Whether there is only one such LAN, whoever uses it."""
        given = self.content.shared
        started_by_us = self.content.start or self.content.ports.form in ("command", "python")
        return not started_by_us if given is None else given

    @property
    def deviations(self) -> Sequence[Mapping[str, Any]]:
        """The entries that a deviations file would have."""
        return [schema.given(entry) for entry in self.content.deviation]

    @property
    def sends_on(self) -> Sequence[str]:
        """The interfaces, not of the file's own namespaces, that test frames are sent on."""
        if self.content.ports.form != "interfaces":
            return ()
        own = self.content.namespaces
        listed = self.spec().partition(";")[0]
        places = interfaces.parsed(listed)
        return [
            interfaces.shown(*place) for place in places if not own or place[0] not in (*own, "")
        ]

    def missing(self) -> str | None:
        """Why it cannot run here; None if it can."""
        if reason := needs.missing(self.content, self._folder):
            return reason
        why_not = _WHY_NOT.get(self.content.ports.form)
        return why_not(self.spec()) if self.shared and why_not else None

    def version(self) -> str:
        """The first line that its version command prints; empty if it has none."""
        if not self.content.version:
            return ""
        environment = {**os.environ, **self.content.environment}
        return needs.run(self.content.version, self._folder, environment)[1]

    def make(self) -> Lan:
        """Start the LAN, and plug in."""
        commands: Commands | None = None
        file = self.content
        try:
            if file.namespaces or file.start or file.stop or file.ready:
                commands = Commands(file, self.path)
                commands.start()
            lan = self._ports(commands)
        except BaseException as error:
            with contextlib.ExitStack() as stack:
                if commands is not None:
                    stack.callback(commands.close)
                if isinstance(error, LanError) and commands is not None:
                    raise _explained(error, commands) from None
                raise
        return FileLan(self.name, lan, commands)

    @property
    def _folder(self) -> Path:
        return self.path.resolve().parent

    def _ports(self, commands: Commands | None) -> FencedLan | UsersLan:
        file = self.content
        spec = self.spec()
        if commands is not None:
            spec = commands.expanded(spec)
        if commands is not None and file.ports.form == "interfaces":
            listed, semicolon, options = spec.partition(";")
            words = [_placed(word, file, commands) for word in listed.split(",")]
            private = list(map(commands.namespace, file.namespaces))
            make = interfaces.maker(",".join(words) + semicolon + options, private)
        else:
            make = _MAKERS[file.ports.form](spec)
        lan = typing.cast("FencedLan | UsersLan", make())
        lan.traits = self.traits(lan.traits)
        if isinstance(lan, FencedLan):
            lan.chatter = [_chatter(entry) for entry in file.chatter]
        return lan

    def spec(self) -> str:
        """What follows the colon of the form."""
        ports = self.content.ports
        joined = ports.spec
        if not isinstance(joined, str):
            joined = (";" if ports.form == "dgram" else ",").join(joined)
        if ports.form in _BEHIND_ADDRESSES:
            joined += f";kind={self.content.kind}" if self.content.kind else ""
            joined += f";patience={self.content.patience:g}" if self.content.patience else ""
        if ports.form == "interfaces" and self.send_on:
            joined += f";{SEND_ON}={','.join(self.send_on)}"
        return joined

    def traits(self, traits: Traits) -> Traits:
        """What the LAN declares by its form, and what the file declares above that."""
        declared = dict(schema.given(self.content.properties))
        if "verbs" in declared:
            declared["verbs"] = tuple(declared["verbs"])
        if "wait_s" in declared:
            declared |= {"settles": "wait", "ordered": False}
        return replace(Options(self.content.kind).traits(traits), **declared)

    def check(self) -> None:
        """LanError, with the key, for what can be known before anything is started."""
        file, path = self.content, self.path
        named = {"": ""} | dict.fromkeys(file.namespaces, "")
        if len(named) != len(file.namespaces) + 1:
            raise LanError(f"{path}: namespaces: a name stands there twice")
        for key, commands in (("start", file.start), ("stop", file.stop), ("ready", file.ready)):
            for number, entry in enumerate(commands, 1):
                where = f"{path}: {key}[{number}]"
                if isinstance(entry, Condition):
                    _check_condition(where, entry, named, others=self._may_make_namespaces)
                if isinstance(entry, Command | Condition) and entry.namespace not in named:
                    raise LanError(f"{where}.namespace: {entry.namespace!r} is not in namespaces")
        for number, frames in enumerate(file.chatter, 1):
            if sum(map(bool, schema.given(frames).values())) < 2:
                raise LanError(
                    f"{path}: chatter[{number}]: give two of ethertype, source, destination"
                )
        if file.chatter and file.ports.form == "python":
            raise LanError(f"{path}: chatter: a LAN of the form python has none")
        if file.properties.ordered is False and file.properties.wait_s is None:
            raise LanError(f"{path}: properties.wait_s is missing: frames may overtake each other")
        if file.properties.ordered and file.properties.wait_s is not None:
            raise LanError(f"{path}: properties.wait_s: only where frames are not ordered")
        self._check_ports()

    @property
    def _may_make_namespaces(self) -> bool:
        """Whether its commands run where the harness does, and may make namespaces there."""
        return bool(self.content.start) and not self.content.namespaces

    def _check_ports(self) -> None:
        """Addresses that exist before the LAN is started are tried; of others, the form."""
        file = self.content
        try:
            if not (file.start or file.namespaces):
                _MAKERS[file.ports.form](self.spec())
            elif file.ports.form == "interfaces":
                for namespace, _ in interfaces.parsed(self.spec().partition(";")[0]):
                    ours = not namespace or namespace in file.namespaces
                    there = ours or Path(namespace_path(namespace)).exists()
                    if not there and not self._may_make_namespaces:
                        raise LanError(f"{namespace!r} is not in namespaces, and does not exist")
            elif file.ports.form == "dgram":
                dgram.parsed(self.spec().partition(";kind=")[0].partition(";patience=")[0])
        except LanError as error:
            raise LanError(f"{self.path}: ports.spec: {error}") from None


class FileLan:
    """A LAN that a file describes; what it lacks is that of the form that its ports have."""

    def __init__(self, name: str, lan: FencedLan | UsersLan, commands: Commands | None) -> None:
        self.name = name
        self._lan = lan
        self._commands = commands
        lan.name = name

    def __getattr__(self, name: str) -> Any:
        """The optional attributes of a LAN."""
        return getattr(self._lan, name)

    @property
    def traits(self) -> Traits:
        return self._lan.traits

    def ports(self, count: int) -> Sequence[Port]:
        made: Sequence[Port] = self._tried(self._lan.ports, count)
        return made

    def settle(self) -> None:
        self._tried(self._lan.settle)

    def interfaces(self) -> Sequence[tuple[str, bytes]]:
        return self._lan.interfaces()

    def records(self) -> Sequence[Record]:
        return self._lan.records()

    def close(self) -> None:
        try:
            self._lan.close()
        finally:
            if self._commands is not None:
                self._commands.close()

    def _tried(self, work: Callable[..., Any], *arguments: object) -> Any:
        """What a method returns; an error of it says which command of the LAN has ended."""
        try:
            return work(*arguments)
        except Unsupported:
            raise
        except LanError as error:
            if self._commands is None:
                raise
            raise _explained(error, self._commands) from None


def _explained(error: LanError, commands: Commands) -> LanError:
    reason = ""
    with contextlib.suppress(LanError):
        # The sockets of a program are closed a moment before it has ended.
        reason = commands.failure(GOING_S)
    if not reason or reason in str(error):
        return error
    return type(error)(f"{error}; {reason}")


def _placed(word: str, file: LanFile, commands: Commands) -> str:
    """An interface, with the path of its namespace if that is one of the file's."""
    namespace, _, name = word.strip().rpartition("/")
    if not file.namespaces or (namespace and namespace not in file.namespaces):
        return word
    return f"{commands.namespace(namespace or file.namespaces[0])}/{name}"


def _check_condition(where: str, entry: Condition, named: Collection[str], *, others: bool) -> None:
    """A condition names one thing, in a namespace that there is, or may be later (``others``)."""
    kinds = (entry.command, entry.socket, entry.interface, entry.carrier)
    if sum(map(bool, kinds)) != 1:
        raise LanError(f"{where}: give one of command, socket, interface, carrier")
    for key in ("interface", "carrier"):
        namespace = getattr(entry, key).rpartition("/")[0]
        if namespace not in named and not others:
            raise LanError(f"{where}.{key}: {namespace!r} is not in namespaces")


def _chatter(entry: schema.Chatter) -> Chatter:
    return Chatter(
        bytes.fromhex(entry.destination.replace(":", "")),
        bytes.fromhex(entry.source.replace(":", "")),
        bytes.fromhex(entry.ethertype.removeprefix("0x")),
    )


def described(text: str, send_on: Sequence[str] = ()) -> Described:
    """A LAN file that can be used, as far as that is known before it is; else LanError."""
    if not text:
        raise LanError("file:LAN.toml needs a file")
    path = Path(text)
    content = schema.text_of(path)
    file = Described(path, schema.parsed(content, path), tuple(send_on), content)
    file.check()
    return file
