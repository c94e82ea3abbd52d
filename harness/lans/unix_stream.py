"""``stream:``: any LAN that takes QEMU's stream framing on Unix or TCP sockets.

``stream:ADDRESS`` connects, ``stream:listen=ADDRESS`` is connected to; an address is the path
of a Unix socket or HOST:PORT. One address is for all ports; of several, separated by commas,
each is a port. Connecting plugs a port in, hanging up leaves the LAN. Nothing else is known
about such a LAN, so nothing else is declared for it.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from harness.lan import Lan, LanError, Traits, Unsupported
from harness.lans.options import split
from harness.lans.wire import address
from harness.lans.wire.address import Address
from harness.lans.wire.fence import FENCE_LIMIT_S, FencedLan, FencedPort
from harness.lans.wire.stream import StreamSocket
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
    kind="unknown",
)

CONNECT_S = 10.0
"""How long the LAN may take to connect to us."""

_FORM = "stream:PATH, stream:HOST:PORT or stream:listen=..."
_LISTEN = "listen="


class StreamPlant:
    """Sockets that take a connection per port: one for all ports, or one for every port."""

    one_cpu = False
    fences = 1

    def __init__(self, name: str, addresses: Sequence[Address]) -> None:
        self._name = name
        self._addresses = addresses

    def connect(self, number: int, name: str, mac: bytes) -> Transport:  # noqa: ARG002
        where = self._addresses[(number - 1) % len(self._addresses)]
        return StreamSocket(name, functools.partial(self._connected, name, where))

    def _connected(self, name: str, where: Address) -> socket.socket:
        made, there = where.made(socket.SOCK_STREAM)
        try:
            made.settimeout(FENCE_LIMIT_S)
            made.connect(there)
            _send_at_once(made)
        except OSError as error:
            made.close()
            reason = error.strerror or error
            raise LanError(f"{self._name}: {name} cannot connect: {reason}") from None
        except BaseException:
            made.close()
            raise
        return made

    def close(self) -> None:
        """Nothing: the sockets are the user's."""


class ListeningPlant(StreamPlant):
    """Sockets of ours that the LAN connects to, once per port."""

    def __init__(self, name: str, addresses: Sequence[Address]) -> None:
        super().__init__(name, addresses)
        self._listeners: dict[str, socket.socket] = {}
        try:
            for where in addresses:
                if where.text not in self._listeners:
                    listener = address.bound(where, socket.SOCK_STREAM)
                    self._listeners[where.text] = listener
                    listener.listen()
                    listener.settimeout(CONNECT_S)
        except LanError as error:
            self.close()
            raise LanError(f"{name}: {error}") from None
        except BaseException:
            self.close()
            raise

    def _connected(self, name: str, where: Address) -> socket.socket:
        try:
            made, _ = self._listeners[where.text].accept()
        except TimeoutError:
            raise LanError(
                f"{self._name}: {name}: nobody has connected within {CONNECT_S:g} s"
            ) from None
        _send_at_once(made)
        return made

    def close(self) -> None:
        for where in self._addresses:
            listener = self._listeners.pop(where.text, None)
            if listener is not None:
                listener.close()
                where.remove()


class StreamLan(FencedLan):
    """Streams as a LAN, with as many ports as there are addresses, if there are several."""

    def ports(self, count: int) -> Sequence[FencedPort]:
        if count > self.traits.ports:
            raise Unsupported(f"{self.name}: has {self.traits.ports} ports")
        return super().ports(count)


def _send_at_once(made: socket.socket) -> None:
    if made.family != socket.AF_UNIX:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def parsed(listed: str) -> tuple[bool, list[Address]]:
    """Whether we listen, and the addresses; LanError for a text without them."""
    listens = listed.startswith(_LISTEN)
    where = listed.removeprefix(_LISTEN)
    if not where:
        needs = "needs an address" if listens else "needs the path of a Unix socket"
        raise LanError(f"stream:{_LISTEN if listens else 'PATH'} {needs}")
    whole = not listens and Path(where).exists()
    try:
        return listens, [address.parsed(word) for word in ([where] if whole else where.split(","))]
    except LanError as error:
        raise LanError(f"{_FORM}: {error}") from None


def why_not(text: str) -> str | None:
    """Why the addresses cannot be used now; None if they can."""
    listens, addresses = parsed(split(text)[0])
    for where in {where.text: where for where in addresses}.values():
        reason = address.in_use(where, socket.SOCK_STREAM) if listens else address.not_there(where)
        if reason:
            return reason
    return None


def maker(text: str) -> Callable[[], Lan]:
    """Makes LANs of streams; LanError for a text that is no address."""
    listed, options = split(text)
    name = f"stream:{listed}"
    listens, addresses = parsed(listed)
    traits = options.traits(TRAITS)
    if len(addresses) > 1:
        traits = replace(traits, ports=len(addresses))
    plant = ListeningPlant if listens else StreamPlant

    def make() -> Lan:
        """Any LAN that takes QEMU's stream framing on Unix or TCP sockets."""
        return StreamLan(name, traits, plant(name, addresses), options.patience_s)

    return make
