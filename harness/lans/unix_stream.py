"""``stream:PATH``: any LAN that accepts QEMU's stream framing on a Unix socket.

Every port is a connection: connecting plugs it in, hanging up leaves the LAN. Nothing else
is known about such a LAN, so nothing else is declared for it.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable

from harness.lan import Lan, LanError, Traits
from harness.lans.wire.fence import FencedLan
from harness.lans.wire.stream import StreamSocket, connected_to
from harness.lans.wire.transport import Transport

TRAITS = Traits(
    filters="nobody",
    learns=False,
    ordered=True,
    shortest=1,
    longest=1514,
    oversized="dropped",
    burst=43,
    layouts=False,
    counters=False,
    settles="fence",
)


class StreamPlant:
    """A socket that takes one connection per port."""

    one_cpu = False
    fences = 1

    def __init__(self, path: str) -> None:
        self._path = path

    def connect(self, number: int, name: str, mac: bytes) -> Transport:  # noqa: ARG002
        return StreamSocket(name, functools.partial(self._connected, name))

    def _connected(self, name: str) -> socket.socket:
        try:
            return connected_to(self._path)
        except OSError as error:
            reason = error.strerror or error
            raise LanError(f"stream:{self._path}: {name} cannot connect: {reason}") from None

    def close(self) -> None:
        """Nothing: the socket is the user's."""


def maker(path: str) -> Callable[[], Lan]:
    """Makes LANs that connect to a path; LanError for an empty one."""
    if not path:
        raise LanError("stream:PATH needs the path of a Unix socket")

    def make() -> Lan:
        """Any LAN that takes QEMU's stream framing on a Unix socket, a connection per port."""
        return FencedLan(f"stream:{path}", TRAITS, StreamPlant(path))

    return make
