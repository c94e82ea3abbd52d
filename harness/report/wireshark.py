"""A profile for Wireshark and tshark that shows the comments of our captures."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.evidence import comments
from harness.lan import FateKind

NAME = "lguest-harness"
"""The name of the profile, unless it is put elsewhere."""

COLUMNS = (
    ("No.", "%m"),
    ("Time", "%Rt"),
    ("Source", "%rhs"),
    ("Destination", "%rhd"),
    ("Port", "%Cus:frame.interface_name:0:R"),
    ("Direction", "%Cus:frame.packet_flags_direction:0:R"),
    ("What happened", "%Cus:frame.comment:3:R"),
    ("Protocol", "%p"),
    ("Length", "%Cus:frame.cap_len:0:R"),
    ("Original length", "%L"),
    ("Verdict", "%Cus:frame.comment:2:R"),
    ("Rule", "%Cus:frame.comment:1:R"),
    ("Info", "%i"),
)
"""Titles and fields. Comments 1 to 3 of a packet: rules, outcome, what happened."""

MOST_PORTS = 64
"""Ports of a LAN whose addresses have names."""

_RED = 'frame.comment == "failed" || frame.comment == "inconclusive"'
_WRONG = f'frame.comment matches "^{comments.WRONG}"'


def _states(kind: FateKind, *, reason: bool | None = None) -> str:
    """The filter for packets with such a fate."""
    quoted = comments.pattern(kind, reason=reason).replace('"', '\\"')
    return f'frame.comment matches "{quoted}"'


_CUT = (
    f"frame.cap_len < frame.len || {_states(FateKind.SENT_PARTLY)}"
    f" || {_states(FateKind.UNDELIVERED, reason=False)}"
)
_DROPPED = f"{_states(FateKind.DROPPED)} || {_states(FateKind.UNDELIVERED, reason=True)}"
_REFUSED = _states(FateKind.REFUSED)
_FILTERED = _states(FateKind.FILTERED)

COLOURS = (
    # The first match applies: the packet that is wrong, then what became of the others.
    ("wrong", f"({_WRONG}) && ({_RED})", "b3261e", "ffffff"),
    ("wrong, a known deviation", _WRONG, "6d3aa8", "ffffff"),
    ("refused", _REFUSED, "e8c6f0", "4a0d5c"),
    ("cut", _CUT, "ffe9a8", "5c4300"),
    ("dropped", _DROPPED, "ffc9bd", "6b1305"),
    ("not for this host", _FILTERED, "ececec", "6a6a6a"),
    ("of a test that failed", _RED, "fdf1f0", "5c1a14"),
    ("deviation", 'frame.comment == "deviation"', "d9e6fb", "16335e"),
)
"""Name, filter, background and text colour (RRGGBB); the first match applies."""


class NoProfile(Exception):
    """Why the profile cannot be written, in one line."""


def files() -> Mapping[str, str]:
    """Name to content of each file of the profile."""
    columns = ",\n\t".join(f'"{title}", "{what}"' for title, what in COLUMNS)
    colours = "".join(
        f"@{name}@{what}@[{_rgb(back)}][{_rgb(letters)}]\n" for name, what, back, letters in COLOURS
    )
    return {
        "preferences": f"# Columns for captures of lguest-harness.\n"
        f"gui.column.format: \n\t{columns}\nnameres.mac_name: TRUE\n",
        "ethers": "# Ports of LANs under test.\n" + "".join(_ethers()),
        "colorfilters": f"# Colours for captures of lguest-harness.\n{colours}",
    }


def _ethers() -> Iterator[str]:
    """Addresses and names of ports: lguest's Guests, and the ports of other LANs."""
    for number in range(1, MOST_PORTS + 1):
        yield f"02:00:{number:02x}:00:00:00 guest{number}\n"
        yield f"02:00:00:00:00:{number:02x} port{number}\n"


def _rgb(colour: str) -> str:
    """Wireshark's 16 bits for each of red, green and blue."""
    return ",".join(str(int(colour[at : at + 2], 16) * 257) for at in (0, 2, 4))


def usual_place() -> Path:
    """Where Wireshark looks for our profile, according to tshark; NoProfile without it."""
    program = shutil.which("tshark")
    if program is None:
        raise NoProfile("tshark is not installed, so the folder of profiles is unknown: name a DIR")
    done = subprocess.run([program, "-G", "folders"], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        what, _, where = line.partition(":")
        if what.strip() == "Personal configuration" and where.strip():
            return Path(where.strip()) / "profiles" / NAME
    raise NoProfile("tshark does not name the folder of profiles: name a DIR")


def advice(folder: Path) -> str:
    """How to use a profile in this folder."""
    if folder.absolute().parent.name == "profiles":
        return f"use it with -C {folder.name} (wireshark, tshark)"
    return "to use it, move it into `profiles` in the configuration folder of Wireshark"


def write(folder: Path, *, replace: bool = False) -> list[Path]:
    """Write the profile, and return which files it replaced.

    NoProfile if another profile exists and is not to be replaced, or it cannot be written.
    """
    content = files()
    try:
        others = [
            folder / name
            for name, text in content.items()
            if (folder / name).exists() and (folder / name).read_bytes() != text.encode()
        ]
        if others and not replace:
            raise NoProfile(f"{others[0]}: another profile exists (--force replaces it)")
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in content.items():
            (folder / name).write_text(text)
    except OSError as error:
        raise NoProfile(f"{error.filename}: {error.strerror}") from None
    return others
