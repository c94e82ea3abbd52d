"""AF_PACKET: sends and receives at a network interface."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable

from harness.lan import Counters, FrameRefused, Inconclusive
from harness.lans.wire.transport import Got

RECEIVE_BUFFER = 8 << 20
"""Size of the receive queue in bytes; the kernel counts some 800 for a small frame."""

LARGEST = 65_536 + 14
"""Longest frame that is received whole."""

_ALL_PROTOCOLS = 3
_SO_RCVBUFFORCE = 33
_SOL_PACKET = 263
_ADD_MEMBERSHIP, _DROP_MEMBERSHIP, _STATISTICS, _AUXDATA, _IGNORE_OUTGOING = 1, 2, 6, 8, 23
_MULTICAST, _PROMISCUOUS, _ALL_MULTICAST = 0, 1, 2
_MEMBERSHIP = struct.Struct("iHH8s")
_COUNTERS = struct.Struct("II")
_AUX = struct.Struct("IIIHHHH")
_VLAN_VALID, _VLAN_TPID_VALID = 1 << 4, 1 << 6
_OTHERHOST, _OUTGOING = 3, 4
_REFUSALS = (errno.EINVAL, errno.EMSGSIZE, errno.ENETDOWN, errno.ENXIO)


class PacketSocket:
    """A raw socket at one interface, made in the interface's network namespace.

    ``carrier`` takes the interface down or brings it up, ``counters`` reads what the LAN counted
    at its end. The socket receives all groups:
    the port shows what reached it, not what its card's filter leaves.
    """

    def __init__(
        self,
        name: str,
        interface: str,
        index: int,
        carrier: Callable[[bool], None],
        counters: Callable[[], Counters] | None = None,
    ) -> None:
        self._name = name
        self._counters = counters
        self._index = index
        self._carrier = carrier
        self._buffer = bytearray(LARGEST)
        self._promiscuous = False
        self._lost = 0
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        try:
            self._set_up(interface)
        except BaseException:
            self._socket.close()
            raise

    def _set_up(self, interface: str) -> None:
        packet = self._socket
        try:
            packet.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
        except PermissionError:
            packet.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        packet.setsockopt(_SOL_PACKET, _AUXDATA, 1)
        try:
            packet.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
        except OSError as error:
            if error.errno != errno.ENOPROTOOPT:
                raise
        self._membership(_ADD_MEMBERSHIP, _ALL_MULTICAST)
        packet.bind((interface, _ALL_PROTOCOLS))

    def _membership(self, change: int, kind: int, address: bytes = b"") -> None:
        request = _MEMBERSHIP.pack(self._index, kind, len(address), address)
        self._socket.setsockopt(_SOL_PACKET, change, request)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, frame: bytes) -> None:
        try:
            self._socket.send(frame)
        except OSError as error:
            if error.errno in _REFUSALS:
                raise FrameRefused(f"{self._name}: {error.strerror}") from None
            raise Inconclusive(f"{self._name}: the frame was not sent: {error.strerror}") from None

    def receive(self) -> Got | None:
        while True:
            try:
                size, ancillary, _, address = self._socket.recvmsg_into(
                    [self._buffer], socket.CMSG_SPACE(_AUX.size), socket.MSG_TRUNC
                )
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno != errno.ENETDOWN:
                    raise
                continue
            kind = address[2]
            if kind != _OUTGOING:
                break
        frame = bytes(memoryview(self._buffer)[:size])
        tag = _vlan_tag(ancillary)
        return Got(frame[:12] + tag + frame[12:], size + len(tag), kind != _OTHERHOST)

    def lost(self) -> int:
        counters = self._socket.getsockopt(_SOL_PACKET, _STATISTICS, _COUNTERS.size)
        return int(_COUNTERS.unpack(counters)[1])

    def set_promiscuous(self, on: bool) -> None:
        if on != self._promiscuous:
            self._membership(_ADD_MEMBERSHIP if on else _DROP_MEMBERSHIP, _PROMISCUOUS)
            self._promiscuous = on

    def unplug(self) -> None:
        self._carrier(False)

    def plug(self) -> None:
        self._carrier(True)

    def set_link(self, up: bool) -> None:
        self._carrier(up)

    def set_member(self, group: bytes, on: bool) -> None:
        self._membership(_ADD_MEMBERSHIP if on else _DROP_MEMBERSHIP, _MULTICAST, group)

    def counters(self) -> Counters:
        assert self._counters is not None, "the LAN does not declare it"
        return self._counters()

    def close(self) -> None:
        self._socket.close()


def _vlan_tag(ancillary: list[tuple[int, int, bytes]]) -> bytes:
    """The VLAN tag that the kernel removed from a frame, as it was on the wire."""
    for level, kind, data in ancillary:
        if level == _SOL_PACKET and kind == _AUXDATA:
            status, _, _, _, _, tag, protocol = _AUX.unpack(data[: _AUX.size])
            if status & _VLAN_VALID:
                protocol = protocol if status & _VLAN_TPID_VALID else 0x8100
                return struct.pack("!HH", protocol, tag)
    return b""
