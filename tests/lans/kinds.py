"""A correct LAN of each kind as a program: for `command:`, or on a socket for `stream:`.

Run it with the kind, for `stream:` with the path of a Unix socket too.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "fixtures" / "lans"))

import hub  # type: ignore[import-not-found]

FEATURES = {
    "repeater": [],
    "learning": ["learns", "age"],
    "directory": ["filters-at-sender", "promiscuous"],
}
AGEING_S = 300
ADDRESS, HEADER = 6, 14
"""Bytes in an address, and in a header."""

LONGEST = 1514
"""Bytes in the longest frame; others are dropped."""


class Lan(hub.Hub):  # type: ignore[misc]
    """The hub of the examples, which asks its kind where a frame goes."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.ports: dict[int, Any]
        self.kind = kind
        self.table: dict[bytes, tuple[Any, int]] = {}
        self.clock_s = 0
        self.sees_all: set[Any] = set()
        self.addresses: dict[bytes, Any] = {}

    def answer(self, request: dict[str, Any]) -> bool:
        message = request["message"]
        if message == "age":
            self.clock_s += request["seconds"]
        elif message == "promiscuous":
            port = self.ports[request["port"]]
            (self.sees_all.add if request["on"] else self.sees_all.discard)(port)
        if message in ("age", "promiscuous"):
            print(json.dumps({"answer": message}), flush=True)
            return True
        if request["message"] == "link" and not request["up"]:
            self.forget(self.ports[request["port"]])
        going_on = bool(super().answer(request))
        if request["message"] == "port":
            self.addresses[bytes.fromhex(request["mac"].replace(":", ""))] = self.ports[
                request["port"]
            ]
        return going_on

    def hang_up(self, port: Any) -> None:
        self.forget(port)
        super().hang_up(port)

    def forget(self, port: Any) -> None:
        self.table = {mac: entry for mac, entry in self.table.items() if entry[0] is not port}

    def wanted(self, port: Any, frame: bytes) -> bool:
        """Whether a port is sent a frame."""
        to = frame[:ADDRESS]
        if self.kind == "repeater" or to[0] & 1:
            return True
        if self.kind == "directory":
            return self.addresses.get(to) is port or port in self.sees_all
        at, heard_s = self.table.get(to, (None, 0))
        if at is None or self.clock_s - heard_s >= AGEING_S:
            return True
        return at is port

    def forward(self, sender: Any, frame: bytes) -> None:
        if not HEADER <= len(frame) <= LONGEST:
            return
        source = frame[ADDRESS : 2 * ADDRESS]
        if not source[0] & 1 and any(source):
            self.table[source] = sender, self.clock_s
        everybody: dict[int, Any] = self.ports
        self.ports = {
            number: port
            for number, port in everybody.items()
            if port is sender or self.wanted(port, frame)
        }
        try:
            super().forward(sender, frame)
        finally:
            self.ports = everybody


class Accepted:
    """A port of a stream: its connection is there from the start."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection: socket.socket | None = connection
        self.received = self.unsent = b""
        self.linked = True
        self.frames = {"sent": 0, "received": 0}


def serve(lan: Lan, path: str) -> None:
    """Take connections on a Unix socket; each is a port, with the next address that is free."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen()
    lan.waiting.register(listener, selectors.EVENT_READ, None)
    while True:
        for key, _ in lan.waiting.select():
            if key.data is not None:
                handler, port = key.data
                if key.fileobj is port.connection:
                    handler(port)
                continue
            connection, _ = listener.accept()
            connection.setblocking(False)
            port = Accepted(connection)
            used = {number for number, old in lan.ports.items() if old.connection is not None}
            number = next(n for n in range(1, 1 << 16) if n not in used)
            lan.ports[number] = port
            lan.addresses[b"\x02\0\0\0" + number.to_bytes(2, "big")] = port
            lan.waiting.register(connection, selectors.EVENT_READ, (lan.receive, port))


if __name__ == "__main__":
    kind = sys.argv[1]
    hub.FEATURES += FEATURES[kind]
    if kind == "learning":
        hub.LIMITS["ageing_s"] = AGEING_S
    if len(sys.argv) > 2:
        serve(Lan(kind), sys.argv[2])
    else:
        Lan(kind).run()
