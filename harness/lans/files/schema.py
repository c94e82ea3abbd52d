"""What a LAN file may hold. The JSON Schema and the tables of the documentation come from here."""

from __future__ import annotations

import difflib
import re
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from harness.lan import LanError

LARGEST_FILE = 1 << 18
"""Bytes of the largest LAN file."""

MOST_DOTS = 300
"""Dots in one of its lines: the time that a key takes grows with the square of its parts."""

_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`(?: - at `\$\.?(.*)`)?")
_MISSING = re.compile(r"Object missing required field `(.*?)`(?: - at `\$\.?(.*)`)?")
_OTHER = re.compile(r"(.*?)(?: - at `\$\.?(.*)`)?")
_TYPES = {"str": "a text", "int": "a whole number", "bool": "true or false", "array": "a list"}
_TYPES |= {"float": "a number", "object": "a table", "list": "a list"}

_FORMS = {
    "name": "should be 1 to 40 letters, digits and . _ + -, a letter or digit first",
    "namespaces": "should be 1 to 32 letters, digits and . _ -, a letter or digit first",
    "ethertype": 'should be like "0x88cc"',
    "source": 'should be like "02:00:00:00:00:01"',
    "destination": 'should be like "02:00:00:00:00:01"',
}

Words = str | list[str]
"""A shell line, or a program with its arguments."""

Seconds = Annotated[float, Meta(gt=0, le=600)]
Length = Annotated[int, Meta(ge=1, le=262_144)]
Mac = Annotated[str, Meta(pattern="^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of a LAN file."""


class Ports(_Table, frozen=True):
    """Where the ports are."""

    form: Annotated[
        Literal["interfaces", "stream", "dgram", "vde", "command", "python"],
        Meta(description="a form of `--lan`"),
    ]
    spec: Annotated[
        Words,
        Meta(
            description="what follows the form's colon; a list is joined (`dgram` by `;`, others"
            " by `,`)"
        ),
    ]


class Command(_Table, frozen=True):
    """A command with more than its words."""

    run: Annotated[Words, Meta(description="a shell script, or a program with its arguments")]
    namespace: Annotated[
        str, Meta(description="the namespace it runs in; the first one if not given")
    ] = ""
    background: Annotated[
        bool, Meta(description="it goes on running; if it ends, the LAN has failed")
    ] = False


class Condition(_Table, frozen=True):
    """What must hold before the LAN is ready."""

    command: Annotated[Words | None, Meta(description="this command succeeds")] = None
    socket: Annotated[str, Meta(description="this Unix socket exists")] = ""
    interface: Annotated[str, Meta(description="this interface exists: NAMESPACE/IF")] = ""
    carrier: Annotated[str, Meta(description="this interface has a carrier: NAMESPACE/IF")] = ""
    namespace: Annotated[str, Meta(description="where `command` runs")] = ""


class Check(_Table, frozen=True):
    """A requirement that a command checks."""

    run: Annotated[Words, Meta(description="it succeeds where the requirement is met")]
    message: Annotated[str, Meta(description="what is said where it fails")]


class Needs(_Table, frozen=True):
    """What a LAN needs; the first thing that is missing is reported in one line."""

    programs: Annotated[
        dict[str, str], Meta(description="program, and the Debian package that has it")
    ] = {}
    modules: Annotated[
        list[str], Meta(description="kernel modules, loaded, built in or loadable")
    ] = []
    links: Annotated[
        list[str], Meta(description="kinds of link, as in `ip link add type KIND`")
    ] = []
    root: Annotated[bool, Meta(description="it needs root")] = False
    checks: Annotated[list[Check], Meta(description="other requirements")] = []


class Chatter(_Table, frozen=True):
    """Frames that the LAN itself sends: two of the keys at least."""

    ethertype: Annotated[
        str, Meta(pattern="^0x[0-9a-f]{4}$", description='bytes 13 and 14, as in `"0x88cc"`')
    ] = ""
    source: Annotated[Mac | Literal[""], Meta(description="their source address")] = ""
    destination: Annotated[Mac | Literal[""], Meta(description="their destination address")] = ""


class Properties(_Table, frozen=True):
    """Properties of the LAN, as `harness.Traits` has them; what is not given is not declared."""

    filters: Annotated[
        Literal["sender", "receiver", "nobody"] | None,
        Meta(description="who keeps frames from ports that do not want them"),
    ] = None
    ordered: Annotated[
        bool | None, Meta(description="frames of one sender to one receiver stay in order")
    ] = None
    shortest: Annotated[Length | None, Meta(description="bytes of the shortest frame")] = None
    longest: Annotated[
        Length | None, Meta(description="bytes of the longest frame, without FCS")
    ] = None
    oversized: Annotated[
        Literal["cut", "dropped", "delivered"] | None,
        Meta(description="what becomes of a longer frame"),
    ] = None
    burst: Annotated[
        Annotated[int, Meta(ge=1, le=65_536)] | None,
        Meta(description="frames that may be in flight at once without loss"),
    ] = None
    ports: Annotated[
        Annotated[int, Meta(ge=2, le=64)] | None, Meta(description="how many ports there are")
    ] = None
    wait_s: Annotated[
        Annotated[float, Meta(gt=0, le=10)] | None,
        Meta(description="how late a frame can be on a LAN that does not keep frames in order"),
    ] = None
    hairpin: Annotated[bool | None, Meta(description="a frame to one's own address comes back")] = (
        None
    )
    reserved: Annotated[
        Literal["forwarded", "filtered"] | None,
        Meta(description="what becomes of frames to 01:80:c2:00:00:00 to 0f"),
    ] = None
    unknown: Annotated[
        Literal["flooded", "dropped"] | None,
        Meta(description="what becomes of unicasts to an address that was not learned"),
    ] = None
    promiscuous: Annotated[
        Literal["all", "reached"] | None,
        Meta(description="a promiscuous port sees all frames, or what reaches it anyway"),
    ] = None
    padding: Annotated[
        Literal[0, 60] | None, Meta(description="60 if short frames are filled up with zeros")
    ] = None
    vlan: Annotated[
        Literal["transparent", "aware"] | None,
        Meta(description="`aware` if it may drop frames of VLANs that it does not carry"),
    ] = None
    addresses: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="how many its table holds")
    ] = None
    lag_s: Annotated[
        Annotated[float, Meta(ge=0, le=60)] | None, Meta(description="how long learning may take")
    ] = None
    learns_zero: Annotated[
        bool | None, Meta(description="it learns 00:00:00:00:00:00 like any other address")
    ] = None
    flushes: Annotated[
        Literal["own", "all"] | None,
        Meta(description="which addresses are forgotten when a port goes down"),
    ] = None
    moves_s: Annotated[
        Annotated[float, Meta(ge=0, le=600)] | None,
        Meta(description="how long an address may stay known at its old port"),
    ] = None
    ageing_s: Annotated[
        Annotated[float, Meta(gt=0, le=3600)] | None,
        Meta(description="after how long a silent address is forgotten"),
    ] = None
    groups: Annotated[
        Literal["all", "members"] | None,
        Meta(description="who gets frames of a group that a port has joined"),
    ] = None
    verbs: Annotated[
        list[Literal["link", "pause", "groups", "counters"]] | None,
        Meta(description="what its ports can do beside: see [harness.PortVerbs](api.md#portverbs)"),
    ] = None


class Deviation(_Table, frozen=True):
    """A rule that the LAN breaks knowingly, as in a deviations file."""

    rule: Annotated[str, Meta(description="the rule's id")]
    reason: Annotated[str, Meta(description="why the LAN breaks it")]
    evidence: Annotated[str, Meta(description="what shows that")]
    tests: Annotated[list[str], Meta(description="the tests that fail; all of the rule's")] = []
    versions: Annotated[list[str], Meta(description="how the versions begin; all")] = []
    sometimes: Annotated[bool, Meta(description="whether such a test may pass as well")] = False


class LanFile(_Table, frozen=True):
    """A LAN file."""

    ports: Annotated[Ports, Meta(description="where the ports are")]
    name: Annotated[
        Annotated[str, Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9._+-]{0,39})?$")],
        Meta(description="what reports call it; the file's name if not given"),
    ] = ""
    summary: Annotated[str, Meta(description="a line for people")] = ""
    kind: Annotated[
        Literal["repeater", "learning", "directory", "wire"] | None,
        Meta(description="who gets a unicast"),
    ] = None
    version: Annotated[
        Words, Meta(description="a command; the first line that it prints is the LAN's version")
    ] = ""
    namespaces: Annotated[
        list[Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$")]],
        Meta(description="network namespaces that are made for this LAN, private to it"),
    ] = []
    environment: Annotated[
        dict[str, str], Meta(description="environment variables of its commands")
    ] = {}
    start: Annotated[
        list[str | list[str] | Command],
        Meta(description="commands that start the LAN, in order; each must succeed"),
    ] = []
    ready: Annotated[
        list[str | Condition],
        Meta(
            description="what to wait for; a text is a command that is repeated until it succeeds"
        ),
    ] = []
    stop: Annotated[
        list[str | list[str] | Command],
        Meta(description="commands that stop it; what is left after them is killed"),
    ] = []
    timeout: Annotated[
        Seconds, Meta(description="seconds that a command, or a condition, may take")
    ] = 30.0
    patience: Annotated[
        Seconds | None, Meta(description="seconds that a frame, or a port that comes up, may take")
    ] = None
    shared: Annotated[
        bool | None,
        Meta(description="there is only one; true if nothing starts it, if not given"),
    ] = None
    needs: Annotated[Needs, Meta(description="what must be there")] = Needs()
    properties: Annotated[Properties, Meta(description="what the LAN declares")] = Properties()
    chatter: Annotated[
        list[Chatter], Meta(description="frames that the LAN itself sends: recorded, not judged")
    ] = []
    deviation: Annotated[list[Deviation], Meta(description="the LAN's known deviations")] = []


TABLES: tuple[type[_Table], ...] = (
    LanFile,
    Ports,
    Command,
    Condition,
    Needs,
    Check,
    Properties,
    Chatter,
    Deviation,
)
"""All tables, the outermost first."""


def text_of(path: Path) -> str:
    """The text of a LAN file; LanError, in one line, if it cannot be had."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise LanError(f"{path}: {error.strerror}") from None
    if len(content) > LARGEST_FILE:
        raise LanError(f"{path}: a LAN file has {LARGEST_FILE} bytes at most")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise LanError(f"{path}: not TOML: {error}") from None


def parsed(text: str, path: Path) -> LanFile:
    """The content of a LAN file; LanError, in one line with the key, for a bad one."""
    try:
        if any(line.count(".") > MOST_DOTS for line in text.splitlines()):
            raise ValueError(f"a line has more than {MOST_DOTS} dots")
        tables = tomllib.loads(text)
    except RecursionError:
        raise LanError(f"{path}: not TOML: nested too deeply") from None
    except ValueError as error:
        raise LanError(f"{path}: not TOML: {error}") from None
    try:
        return msgspec.convert(tables, LanFile)
    except msgspec.ValidationError as error:
        raise LanError(f"{path}: {_explained(str(error), tables)}") from None


def json_schema() -> dict[str, Any]:
    """The same, for editors."""
    schema = msgspec.json.schema(LanFile)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "LAN file"} | schema


def keys(table: type[_Table]) -> Iterator[tuple[str, str, str]]:
    """Key, type and description of everything in a table."""
    for field in msgspec.structs.fields(table):
        *_, meta = typing.get_type_hints(table, include_extras=True)[field.name].__metadata__
        must = " (required)" if field.required else ""
        yield field.name, _shape(field.type) + must, meta.description or ""


def _shape(hint: Any) -> str:
    """A type, for people."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _shape(inner[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner if value != "")
    if origin in (typing.Union, types.UnionType):
        shapes = [_shape(one) for one in inner if one is not type(None)]
        return " or ".join(dict.fromkeys(shape for shape in shapes if shape))
    if origin is list:
        return f"list of {_shape(inner[0])}"
    if origin is dict:
        return "table"
    return {str: "text", int: "number", float: "number", bool: "boolean"}.get(hint, "table")


def _explained(message: str, tables: Mapping[str, Any]) -> str:
    """A complaint of msgspec's, as a user of a file reads it."""
    if match := _UNKNOWN.fullmatch(message):
        key, where = match[1], match[2] or ""
        return f"{_joined(where, key)}: unknown key; {_advice(key, where)}"
    if match := _MISSING.fullmatch(message):
        return f"{_joined(match[2] or '', match[1])} is missing"
    match = _OTHER.fullmatch(message)
    what, where = (match[1], match[2] or "") if match else (message, "")
    if what.startswith("Invalid enum value"):
        what = f"{what.removeprefix('Invalid enum value ')}: choose from {_choices(where)}"
    elif "matching regex" in what:
        what = f"{_value_at(where, tables)!r} {_FORMS.get(_last(where), 'is not allowed here')}"
    return f"{_counted(where)}: {_in_words(what)}" if where else _in_words(what)


def _in_words(what: str) -> str:
    what = re.sub(r"^Expected `(.*?)`, got `(.*?)`", _expected, what)
    return re.sub(r"^Expected `(?:int|float)` ([<>]=?) (.*)", r"should be \1 \2", what)


def _expected(match: re.Match[str]) -> str:
    wanted = [_TYPES.get(name, name) for name in match[1].split(" | ") if name != "null"]
    return f"should be {' or '.join(dict.fromkeys(wanted))}, not {_TYPES.get(match[2], match[2])}"


def _advice(key: str, where: str) -> str:
    """What could have been meant by an unknown key."""
    known = _keys_at(where)
    if where and key in LanFile.__struct_fields__:
        return "it belongs above the first [table] of the file"
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"choose from {', '.join(known)}"


def _last(where: str) -> str:
    """The last key of a path."""
    return str(re.findall(r"[A-Za-z_]+", where)[-1])


def _value_at(where: str, tables: Mapping[str, Any]) -> object:
    value: Any = tables
    for key, number in re.findall(r"([A-Za-z_]+)|\[(\d+)\]", where):
        value = value[key] if key else value[int(number)]
    return value


def _joined(where: str, key: str) -> str:
    return f"{_counted(where)}.{key}" if where else key


def _counted(where: str) -> str:
    """Entries of lists are counted from 1."""
    return re.sub(r"\[(\d+)\]", lambda match: f"[{int(match[1]) + 1}]", where)


def _tables_at(where: str) -> list[Any]:
    """The types of what stands at a path."""
    kinds: list[Any] = [LanFile]
    for key in re.findall(r"[A-Za-z_]+", where):
        inside: list[Any] = []
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, _Table):
                inside += _parts(typing.get_type_hints(kind).get(key))
        kinds = inside
    return kinds


def _parts(hint: Any) -> list[Any]:
    """A type, and all that it is made of."""
    inner = () if typing.get_origin(hint) is Literal else typing.get_args(hint)
    return [hint, *(part for one in inner for part in _parts(one))]


def _keys_at(where: str) -> list[str]:
    tables = [kind for kind in _tables_at(where) if isinstance(kind, type)]
    return [key for kind in tables if issubclass(kind, _Table) for key in kind.__struct_fields__]


def _choices(where: str) -> str:
    literals = [kind for kind in _tables_at(where) if typing.get_origin(kind) is Literal]
    return ", ".join(str(value) for kind in literals for value in typing.get_args(kind))


def given(table: _Table) -> Mapping[str, Any]:
    """What a file gives in a table: all that is not None."""
    return {key: value for key, value in msgspec.structs.asdict(table).items() if value is not None}
