"""The kernel's table of network interfaces, ``net/dev``: what it counted at each of them."""

from __future__ import annotations

import os
from typing import NamedTuple

from harness.lans.wire.namespace import Namespace

_LARGEST = 1 << 20
_COLUMNS = (1, 9, 11)


class Row(NamedTuple):
    """Frames that the LAN received from an interface, sent to it, and could not send."""

    received: int
    sent: int
    dropped: int


class NetDev:
    """The table of a namespace, open for reading."""

    def __init__(self, space: Namespace) -> None:
        self._fd = space.run(os.open, "/proc/thread-self/net/dev", os.O_RDONLY)

    def row(self, interface: str) -> Row:
        """What was counted at an interface of the LAN."""
        table = self._table()
        line = next(row for row in table.splitlines() if row.strip().startswith(f"{interface}:"))
        columns = line.split(":")[1].split()
        return Row(*(int(columns[at]) for at in _COLUMNS))

    def _table(self) -> str:
        """The whole of it: the kernel gives a page at a time."""
        table = b""
        while part := os.pread(self._fd, _LARGEST, len(table)):
            table += part
        return table.decode()

    def close(self) -> None:
        """Close the table."""
        os.close(self._fd)
