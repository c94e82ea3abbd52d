"""``dgram:LOCAL,REMOTE[,hello=TEXT][;LOCAL,REMOTE...]``: a frame per datagram.

Every port is a pair of Unix or UDP addresses: ours, and that of the LAN. ``hello=`` is the
first datagram that a port sends, as vfkit and gvproxy want it. A port that leaves closes its
socket. UDP loses what does not fit into a buffer, so buffers are enlarged and loss is counted.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from harness.lan import Lan, LanError, Traits, Unsupported
from harness.lans.options import split
from harness.lans.wire import address
from harness.lans.wire.address import Address
from harness.lans.wire.datagram import DatagramChannel
from harness.lans.wire.fence import FencedLan, FencedPort
from harness.lans.wire.transport import Got, Transport

TRAITS = Traits(
    filters="nobody",
    learns=False,
    ordered=True,
    shortest=1,
    longest=1514,
    oversized="dropped",
    burst=32,
    layouts=False,
    counters=False,
    settles="fence",
    kind="unknown",
)

BUFFER = 4 << 20
"""Bytes in the buffers of a socket, where the kernel allows it."""

START_S = 5.0
"""How long the LAN's socket may take to exist."""

_FORM = "dgram:LOCAL,REMOTE[;LOCAL,REMOTE...]"
_HELLO = "hello="
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE, _SO_MEMINFO = 32, 33, 55
_DROPS = 8
_MEMINFO = struct.Struct("9I")


@dataclass(frozen=True, slots=True)
class Pair:
    """The addresses of a port, and what it says first."""

    local: Address
    remote: Address
    hello: bytes = b""


class DatagramSocket:
    """A port on a pair of datagram sockets."""

    def __init__(self, name: str, pair: Pair) -> None:
        self._name = name
        self._pair = pair
        self._lost = 0
        self._channel = self._opened()

    @property
    def _socket(self) -> socket.socket:
        return self._channel.socket

    def _opened(self) -> DatagramChannel:
        made = address.bound(self._pair.local, socket.SOCK_DGRAM)
        try:
            _enlarge(made)
            self._connect(made)
            made.setblocking(False)
            if self._pair.hello:
                made.send(self._pair.hello)
        except OSError as error:
            self._abandon(made)
            raise LanError(f"{self._pair.remote.text}: {error.strerror or error}") from None
        except BaseException:
            self._abandon(made)
            raise
        self._lost = 0
        remote = self._pair.remote
        peer = f"the LAN at {remote.text}"
        return DatagramChannel(self._name, peer, made, connectionless=not remote.path)

    def _connect(self, made: socket.socket) -> None:
        _, there = self._pair.remote.resolved(socket.SOCK_DGRAM)
        deadline = time.monotonic() + START_S
        while True:
            try:
                made.connect(there)
                return
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.01)

    def _abandon(self, made: socket.socket) -> None:
        made.close()
        self._pair.local.remove()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, frame: bytes) -> None:
        self._channel.send(frame)

    def receive(self) -> Got | None:
        return self._channel.receive()

    def lost(self) -> int:
        """Datagrams that did not fit into the receive buffer."""
        try:
            data = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        except OSError:
            return 0
        before, self._lost = self._lost, _MEMINFO.unpack(data)[_DROPS]
        return self._lost - before

    def set_promiscuous(self, on: bool) -> None:
        """Nothing to do: there is no card."""

    def unplug(self) -> None:
        self._abandon(self._socket)

    def plug(self) -> None:
        self._channel = self._opened()

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._abandon(self._socket)


def _enlarge(made: socket.socket) -> None:
    for forced, plain in (
        (_SO_RCVBUFFORCE, socket.SO_RCVBUF),
        (_SO_SNDBUFFORCE, socket.SO_SNDBUF),
    ):
        try:
            made.setsockopt(socket.SOL_SOCKET, forced, BUFFER)
        except OSError:
            with suppress(OSError):
                made.setsockopt(socket.SOL_SOCKET, plain, BUFFER)


class DatagramPlant:
    """A pair of datagram sockets per port."""

    one_cpu = False
    fences = 1

    def __init__(self, name: str, pairs: Sequence[Pair]) -> None:
        self._name = name
        self._pairs = pairs

    def connect(self, number: int, name: str, mac: bytes) -> Transport:  # noqa: ARG002
        try:
            return DatagramSocket(name, self._pairs[number - 1])
        except LanError as error:
            raise LanError(f"{self._name}: {name}: {error}") from None

    def close(self) -> None:
        """Nothing: ports close their sockets."""


class DatagramLan(FencedLan):
    """Datagram sockets as a LAN."""

    def ports(self, count: int) -> Sequence[FencedPort]:
        if count > self.traits.ports:
            raise Unsupported(f"{self.name}: has {self.traits.ports} ports")
        return super().ports(count)


def parsed_pair(part: str) -> Pair:
    """One port, ``LOCAL,REMOTE[,hello=TEXT]``; LanError for anything else."""
    words = part.strip().split(",")
    if len(words) not in (2, 3) or (len(words) == 3 and not words[2].startswith(_HELLO)):
        raise LanError(f"{_FORM}: {part!r} is not LOCAL,REMOTE")
    try:
        local, remote = map(address.parsed, words[:2])
    except LanError as error:
        raise LanError(f"{_FORM}: {error}") from None
    if bool(local.path) != bool(remote.path):
        raise LanError(f"{_FORM}: {part}: one is a Unix socket, the other is not")
    hello = words[2].removeprefix(_HELLO).encode() if len(words) == 3 else b""
    return Pair(local, remote, hello)


def parsed(text: str) -> list[Pair]:
    """The ports; LanError for a text without them."""
    pairs = [parsed_pair(part) for part in text.split(";")]
    if len(pairs) < 2:
        raise LanError(f"{_FORM} needs two ports at least")
    locals_ = [pair.local.text for pair in pairs]
    for text in locals_:
        if locals_.count(text) > 1:
            raise LanError(f"{_FORM}: {text} is used twice")
    return pairs


def why_not(text: str) -> str | None:
    """Why the addresses cannot be used now; None if they can."""
    pairs = parsed(split(text)[0])
    reasons = (address.in_use(pair.local, socket.SOCK_DGRAM) for pair in pairs)
    return next((reason for reason in reasons if reason), None)


def maker(text: str) -> Callable[[], Lan]:
    """Makes LANs of datagram sockets; LanError for a text without addresses."""
    listed, options = split(text)
    pairs = parsed(listed)
    name = f"dgram:{listed}"
    traits = replace(options.traits(TRAITS), ports=len(pairs))

    def make() -> Lan:
        """Any LAN that takes a frame per datagram, on Unix or UDP sockets."""
        return DatagramLan(name, traits, DatagramPlant(name, pairs), options.patience_s)

    return make
