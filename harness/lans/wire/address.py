"""Addresses of sockets as ``--lan`` takes them: the path of a Unix socket, or HOST:PORT."""

from __future__ import annotations

import re
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.lan import LanError

_INTERNET = re.compile(r"(\[[^\]]+\]|[^/:\[\]]+):(\d+)")
LONGEST_PATH = 107
"""Bytes in the longest path of a Unix socket."""


@dataclass(frozen=True, slots=True)
class Address:
    """A Unix socket's ``path``, or, if that is empty, ``host`` and ``port``."""

    text: str
    path: str = ""
    host: str = ""
    port: int = 0

    def resolved(self, kind: socket.SocketKind) -> tuple[int, Any]:
        """Family, and what ``bind`` and ``connect`` take; LanError for an unknown host."""
        if self.path:
            return socket.AF_UNIX, self.path
        try:
            (family, _, _, _, where), *_ = socket.getaddrinfo(self.host, self.port, type=kind)
        except OSError as error:
            raise LanError(f"{self.text}: {error.strerror or error}") from None
        return family, where

    def made(self, kind: socket.SocketKind) -> tuple[socket.socket, Any]:
        """A new socket of the address's family, and the address for it."""
        family, where = self.resolved(kind)
        return socket.socket(family, kind), where

    def remove(self) -> None:
        """Remove the file of a Unix socket."""
        if self.path:
            with suppress(FileNotFoundError):
                Path(self.path).unlink()


def parsed(text: str) -> Address:
    """An address; LanError for a text that is none."""
    match = _INTERNET.fullmatch(text)
    if match and not _is_socket(text):
        port = int(match[2])
        if not 0 < port < 65_536:
            raise LanError(f"{text}: the port is {port}, and should be 1 to 65535")
        return Address(text, host=match[1].strip("[]"), port=port)
    if not text or not text.isprintable():
        raise LanError(f"{text!r} is not the path of a Unix socket, and not HOST:PORT")
    if len(text.encode()) > LONGEST_PATH:
        raise LanError(f"{text}: the path of a Unix socket has {LONGEST_PATH} bytes at most")
    return Address(text, path=text)


def _is_socket(path: str) -> bool:
    with suppress(OSError):
        return stat.S_ISSOCK(Path(path).stat().st_mode)
    return False


def bound(address: Address, kind: socket.SocketKind) -> socket.socket:
    """A socket bound to an address; LanError if it is in use.

    The file of a Unix socket that nobody listens on, as a killed run leaves it, is replaced.
    """
    made, where = address.made(kind)
    try:
        if not address.path and kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.path and _is_socket(address.path) and not _is_served(address, kind):
            address.remove()
        made.bind(where)
    except OSError as error:
        made.close()
        raise LanError(f"{address.text}: {error.strerror or error}") from None
    except BaseException:
        made.close()
        raise
    return made


def in_use(address: Address, kind: socket.SocketKind) -> str | None:
    """Why a socket cannot be bound to an address; None if it can."""
    try:
        bound(address, kind).close()
    except LanError as error:
        return str(error)
    address.remove()
    return None


def not_there(address: Address) -> str | None:
    """Why the Unix socket at an address cannot be connected to; None if it can be tried."""
    if address.path and not _is_socket(address.path):
        there = Path(address.path).exists()
        return f"{address.text}: {'it is no socket' if there else 'there is no such socket'}"
    return None


def _is_served(address: Address, kind: socket.SocketKind) -> bool:
    asking, where = address.made(kind)
    with asking:
        try:
            asking.connect(where)
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
    return True
