"""The LANs that ``--lan`` can name: one row per LAN, one per form of a user's own.

Adding a LAN is one module in ``harness/lans`` and one row here.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import platform
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness import __version__
from harness.broken.catalogue import BROKEN
from harness.lan import Lan, LanError
from harness.lans.options import SEND_ON

BROKEN_PREFIX = "broken:"
"""Before the name of a deliberately broken LAN."""

ALL_BROKEN = "broken:*"
"""Stands for all of them."""


def _can_run() -> str | None:
    return None


def _own_version() -> str:
    return f"lguest-harness {__version__}"


def _kernel() -> str:
    return f"Linux {platform.release()}"


def _unknown_version() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A LAN that can be put under test.

    ``name`` stands in headings, columns, test ids and file names; ``spec`` is what ``--lan``
    was given. ``missing`` says why the LAN cannot run here, and what to install; ``version``
    is empty where only the running LAN knows it. ``kind`` is empty where only its traits
    say it. ``simulated``: made anew for each test; ``lguest``: open to tests of lguest's inside.
    ``user``: not one of ours; ``outside``: nor started by us. ``breaks`` is the rule that a
    deliberately broken LAN breaks. ``deviations`` are those that its own file lists;
    ``sends_on`` interfaces that are there already and that test frames are sent on; ``text``
    is that file's;
    ``resources`` what two runs cannot use at once, if it is ``outside``.
    """

    name: str
    summary: str
    make: Callable[[], Lan]
    missing: Callable[[], str | None] = _can_run
    version: Callable[[], str] = _own_version
    kind: str = ""
    simulated: bool = False
    lguest: bool = False
    outside: bool = False
    user: bool = False
    breaks: str = ""
    spec: str = ""
    deviations: Sequence[Mapping[str, Any]] = ()
    sends_on: Sequence[str] = ()
    resources: Sequence[str] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """A form of ``--lan`` for users' own LANs: ``prefix``, then what ``maker`` understands.

    ``short_name`` derives a name from that text, where the user gives none. ``outside``: the
    LAN is there already, so there is only one. ``why_not`` says why it cannot be used now.
    """

    prefix: str
    shape: str
    summary: str
    maker: Callable[[str], Callable[[], Lan]]
    short_name: Callable[[str], str]
    outside: bool = False
    why_not: Callable[[str], str | None] | None = None


def _in(module: str, function: str) -> Callable[..., Any]:
    """A function of ``harness.lans``; its module is imported when it is first called."""

    def call(*arguments: object) -> Any:
        return getattr(importlib.import_module(f"harness.lans.{module}"), function)(*arguments)

    return call


def _by_program(words: str) -> str:
    """The last word of a command that is no option and no interpreter, without folders."""
    try:
        parts = shlex.split(words)
    except ValueError:
        parts = words.split()
    named = [_stem(part) for part in parts if not part.startswith("-") and "=" not in part]
    interpreted = len(named) > 1 and re.match(r"(python|sh$|bash|perl|node|ruby|sudo)", named[0])
    return "".join(named[1:2] if interpreted else named[:1])


def _stem(path: str) -> str:
    """A file's name without folders and ending."""
    return Path(path).stem


def _last_part(text: str) -> str:
    """What follows the last colon."""
    return text.rpartition(":")[2]


def _first_word(text: str) -> str:
    """What stands before the first comma."""
    return text.partition(",")[0]


def _first_file(text: str) -> str:
    """The first address, without folders."""
    return Path(_first_word(text)).name


_SIMULATED = (
    Entry(
        "lguest",
        "The lguest LAN as shipped in Linux 2.6.23.",
        _in("lguest", "lguest"),
        kind="directory",
        simulated=True,
        lguest=True,
    ),
    Entry(
        "lguest-repaired",
        "The lguest LAN with its known defects mended.",
        _in("lguest", "repaired"),
        kind="directory",
        simulated=True,
        lguest=True,
    ),
    Entry(
        "memory-repeater",
        "A correct repeater in memory: every frame leaves by every other port.",
        _in("memory", "repeater"),
        kind="repeater",
        simulated=True,
    ),
    Entry(
        "memory-learning",
        "A correct learning LAN in memory: an IEEE 802.1 bridge.",
        _in("memory", "learning"),
        kind="learning",
        simulated=True,
    ),
    Entry(
        "memory-directory",
        "A correct directory LAN in memory: it knows its ports' addresses.",
        _in("memory", "directory"),
        kind="directory",
        simulated=True,
    ),
)

_REAL = (
    Entry(
        "bridge",
        "A Linux bridge; ports are veth ends with AF_PACKET, in a namespace of their own.",
        _in("bridge", "bridge"),
        _in("bridge", "missing"),
        _kernel,
        kind="learning",
    ),
    Entry(
        "bridge-tap",
        "A Linux bridge; ports are TAPs, as a virtual machine monitor uses it.",
        _in("bridge", "bridge_tap"),
        _in("bridge", "missing_tap"),
        _kernel,
        kind="learning",
    ),
    Entry(
        "macvlan",
        "Linux macvlan in bridge mode; ports are macvlan devices with AF_PACKET.",
        _in("bridge", "macvlan"),
        _in("bridge", "missing_macvlan"),
        _kernel,
        kind="directory",
    ),
    Entry(
        "vde",
        "vde_switch, learning, on private Unix sockets.",
        _in("vde", "vde"),
        _in("vde", "missing"),
        _in("vde", "version"),
        kind="learning",
    ),
    Entry(
        "vde-hub",
        "vde_switch as a hub (-x), on private Unix sockets.",
        _in("vde", "vde_hub"),
        _in("vde", "missing"),
        _in("vde", "version"),
        kind="repeater",
    ),
    Entry(
        "qemu-hub",
        "QEMU's hub with stream netdevs on private Unix sockets, without a machine.",
        _in("qemu", "qemu_hub"),
        _in("qemu", "missing"),
        _in("qemu", "version"),
        kind="repeater",
    ),
    Entry(
        "ovs",
        "Open vSwitch's user-space datapath; ports are veth ends with AF_PACKET.",
        _in("ovs", "ovs"),
        _in("ovs", "missing"),
        _in("ovs", "version"),
        kind="learning",
    ),
)

LANS: Mapping[str, Entry] = MappingProxyType({row.name: row for row in (*_SIMULATED, *_REAL)})
"""Our own LANs by name, without those that are deliberately broken."""

FORMS: Sequence[Form] = (
    Form(
        "command:",
        "command:CMD",
        "A program that the harness starts and asks for ports in JSON lines.",
        _in("command", "maker"),
        _by_program,
    ),
    Form(
        "stream:",
        "stream:PATH",
        "Unix or TCP sockets that take QEMU's stream framing, a connection per port.",
        _in("unix_stream", "maker"),
        _stem,
        outside=True,
        why_not=_in("unix_stream", "why_not"),
    ),
    Form(
        "python:",
        "python:MODULE:CLASS",
        "A Python class with the methods of harness.Lan.",
        _in("python_class", "maker"),
        _last_part,
    ),
    Form(
        "dgram:",
        "dgram:LOCAL,REMOTE[;LOCAL,REMOTE...]",
        "Unix or UDP datagram sockets, a frame per datagram, a pair of addresses per port.",
        _in("dgram", "maker"),
        _first_file,
        outside=True,
        why_not=_in("dgram", "why_not"),
    ),
    Form(
        "vde:",
        "vde:DIR",
        "A vde_switch or uml_switch that is running already.",
        _in("vde", "maker"),
        _stem,
        outside=True,
        why_not=_in("vde", "why_not"),
    ),
    Form(
        "interfaces:",
        "interfaces:[NETNS/]IF,[NETNS/]IF,...",
        "Linux network interfaces, each possibly in a namespace (a name, or a process id).",
        _in("interfaces", "maker"),
        _first_word,
        outside=True,
    ),
)
"""Forms of a user's own LAN."""

FILE = "file:"
FILE_SHAPE = "file:LAN.toml"
FILE_SUMMARY = "A TOML file: how a LAN is started, where its ports are, what it declares."

_NAMED = re.compile(r"([^\s:=/\[\]]+)=(.*)", re.DOTALL)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}")


def entry(given: str, send_on: Sequence[str] = ()) -> Entry:
    """The LAN that ``NAME``, ``SPEC`` or ``NAME=SPEC`` stands for; LanError if none does.

    ``send_on`` are interfaces that frames are sent on although they carry a default route.
    """
    match = _NAMED.fullmatch(given)
    name, spec = match.groups() if match else ("", given)
    if name and not _PLAIN_NAME.fullmatch(name):
        raise LanError(
            f"LAN name {_shown(name)}: use 1 to 40 letters, digits and . _ + - (first a letter"
            " or digit)"
        )
    if name in LANS and name != spec:
        raise LanError(f"LAN name {name!r} is taken by a built-in LAN: choose another")
    row = _entry(spec, send_on)
    return replace(row, name=name or row.name, spec=spec)


def entries(given: Iterable[str], send_on: Sequence[str] = ()) -> dict[str, Entry]:
    """The LANs by name, without repetitions, ``broken:*`` expanded; LanError as for ``entry``.

    Two different LANs cannot have one name.
    """
    rows: dict[str, Entry] = {}
    for text in given:
        for row in [entry(name, send_on) for name in _expanded(text)]:
            other = rows.setdefault(row.name, row)
            if other.spec != row.spec:
                raise LanError(
                    f"two LANs would be called {row.name!r}: name one, as in"
                    f" --lan new={shlex.quote(row.spec)}"
                )
    return rows


def create(given: str) -> Lan:
    """A new LAN (`Lan`) for what ``--lan`` takes: ``NAME``, ``SPEC`` or ``NAME=SPEC``.

    LanError, in one line, for one that is not known or cannot be made. Close it after use.

    >>> lan = create("lguest-repaired")
    >>> [port.name for port in lan.ports(3)]
    ['guest1', 'guest2', 'guest3']
    >>> lan.close()
    >>> try:
    ...     create("bridgee")
    ... except LanError as error:
    ...     print(str(error).partition("?")[0])
    unknown LAN 'bridgee': did you mean bridge
    """
    return entry(given).make()


def _expanded(given: str) -> list[str]:
    return [BROKEN_PREFIX + name for name in BROKEN] if given == ALL_BROKEN else [given]


def _entry(spec: str, send_on: Sequence[str]) -> Entry:
    if spec in LANS:
        return LANS[spec]
    if spec.startswith(BROKEN_PREFIX):
        broken = BROKEN.get(spec.removeprefix(BROKEN_PREFIX))
        if broken is not None:
            summary = f"{broken.rule}: {broken.what}"
            return Entry(
                spec,
                summary,
                broken.make,
                kind=broken.kind,
                simulated=True,
                lguest=broken.lguest,
                breaks=broken.rule,
            )
    if spec.startswith(FILE) or spec.endswith(".toml"):
        return _from_file(spec.removeprefix(FILE), send_on)
    for form in FORMS:
        if spec.startswith(form.prefix):
            text = spec.removeprefix(form.prefix)
            interfaces = form.prefix == "interfaces:"
            allowed = f";{SEND_ON}={','.join(send_on)}" if interfaces and send_on else ""
            made = form.maker(text + allowed)
            return Entry(
                _derived(form, text),
                form.summary,
                made,
                functools.partial(form.why_not, text) if form.why_not else _can_run,
                version=_unknown_version,
                user=True,
                outside=form.outside,
                sends_on=_in("interfaces", "sends_on")(text) if interfaces else (),
                resources=_resources(spec) if form.outside else (),
            )
    raise LanError(_unknown(spec))


def _resources(spec: str) -> list[str]:
    """What a LAN that is there already consists of: files with their whole path, and addresses.

    They are those of the spec, so that two that share one of them are seen to do so.
    """
    form, _, rest = spec.partition(":")
    addresses = re.sub(r";(kind|patience|yes-send-on)=[^;]*", "", rest)
    words = [word.strip() for word in re.split(r"[,;]|listen=", addresses)]
    return [
        f"{form}:{Path(word).resolve() if Path(word).exists() else word}"
        for word in words
        if word and not word.startswith("hello=")
    ]


def _from_file(text: str, send_on: Sequence[str]) -> Entry:
    """The LAN that a file describes."""
    file = _in("files.lan_file", "described")(text, send_on)
    name = f"file-{file.name}" if file.name in LANS else file.name
    return Entry(
        re.sub(r"[^A-Za-z0-9._+-]+", "-", name),
        file.content.summary or FILE_SUMMARY,
        file.make,
        file.missing,
        file.version,
        kind=file.content.kind or "",
        user=True,
        outside=file.shared,
        deviations=file.deviations,
        sends_on=file.sends_on,
        resources=_file_resources(file) if file.shared else (),
        text=file.text,
    )


def _file_resources(file: Any) -> list[str]:
    return [f"file:{file.path.resolve()}", *_resources(f"{file.content.ports.form}:{file.spec()}")]


def _derived(form: Form, text: str) -> str:
    """A short, stable name for a user's LAN that was given without one."""
    kind = form.prefix.removesuffix(":")
    plain = re.sub(r"[^A-Za-z0-9._+-]+", "-", form.short_name(text)).strip("-.+_")[:30]
    return f"{kind}-{plain}" if plain in LANS or not plain else plain


def _unknown(spec: str) -> str:
    names = [
        *LANS,
        *(form.prefix for form in FORMS),
        FILE,
        *(BROKEN_PREFIX + name for name in BROKEN),
    ]
    near = difflib.get_close_matches(spec, names, n=1, cutoff=0.75)
    word, colon, rest = spec.partition(":")
    prefixes = [*(form.prefix for form in FORMS), FILE, BROKEN_PREFIX]
    if colon and word + colon not in prefixes:
        near = difflib.get_close_matches(word + colon, prefixes, n=1, cutoff=0.7)
        near = [f"{prefix}{rest}" for prefix in near]
    meant = f"did you mean {_plain(near[0])}? Else " if near else ""
    shapes = ", ".join(["broken:NAME", *(form.shape for form in FORMS), FILE_SHAPE])
    return f"unknown LAN {_shown(spec)}: {meant}choose from {', '.join(LANS)}, {shapes}"


def _plain(text: str) -> str:
    """Text as a suggestion: without quotes where it is printable and short."""
    return text if text.isprintable() and len(text) <= 60 else _shown(text)


def _shown(text: str, longest: int = 60) -> str:
    shown = repr(text.encode("utf-8", "backslashreplace").decode())
    return shown if len(shown) <= longest else f"{shown[:longest]}...'"
