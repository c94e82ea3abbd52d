"""QEMU's stream framing: four bytes of length, big-endian, then the frame."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable

from harness.lan import FrameRefused, Inconclusive, LanError
from harness.lans.wire.fence import FENCE_LIMIT_S
from harness.lans.wire.transport import Got

LONGEST = 262_144
"""Bytes in the longest frame that is accepted."""

_HEAD = 4
_CHUNK = 65_536


class HungUp(Inconclusive):
    """The LAN has closed a connection."""


class StreamSocket:
    """A port on a connected stream socket; ``connect`` makes one, again after ``unplug``."""

    def __init__(self, name: str, connect: Callable[[], socket.socket]) -> None:
        self._name = name
        self._connect = connect
        self._socket = self._connected()

    def _connected(self) -> socket.socket:
        self._waiting = bytearray()
        self._offset = 0
        made = self._connect()
        made.setblocking(False)
        return made

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, frame: bytes) -> None:
        if not 0 < len(frame) <= LONGEST:
            raise FrameRefused(
                f"{self._name}: {len(frame)} bytes, and the framing carries 1 to {LONGEST}"
            )
        rest = memoryview(len(frame).to_bytes(_HEAD, "big") + frame)
        deadline = time.monotonic() + FENCE_LIMIT_S
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                self._wait_for_room(deadline)
            except OSError as error:
                raise HungUp(f"{self._name}: the LAN is gone: {error.strerror}") from None

    def _wait_for_room(self, deadline: float) -> None:
        room = select.poll()
        room.register(self._socket, select.POLLOUT)
        left = deadline - time.monotonic()
        if left <= 0 or not room.poll(1000 * left):
            raise Inconclusive(f"{self._name}: the LAN takes nothing for {FENCE_LIMIT_S:g} s")

    def receive(self) -> Got | None:
        frame = self._next()
        while frame is None:
            try:
                data = self._socket.recv(_CHUNK)
            except BlockingIOError:
                return None
            except OSError as error:
                raise HungUp(f"{self._name}: the LAN is gone: {error.strerror}") from None
            if not data:
                raise HungUp(self._end())
            self._waiting += data
            frame = self._next()
        return Got(frame, len(frame))

    def _next(self) -> bytes | None:
        """The first whole frame of what was read."""
        if len(self._waiting) < _HEAD:
            return None
        length = int.from_bytes(self._waiting[:_HEAD], "big")
        if not 0 < length <= LONGEST:
            raise LanError(
                f"{self._name}: garbage framing at byte {self._offset}: a length of {length},"
                f" and a frame has 1 to {LONGEST} bytes"
            )
        end = _HEAD + length
        if len(self._waiting) < end:
            return None
        frame = bytes(self._waiting[_HEAD:end])
        del self._waiting[:end]
        self._offset += end
        return frame

    def _end(self) -> str:
        if not self._waiting:
            return f"{self._name}: the LAN closed the connection at byte {self._offset}"
        return (
            f"{self._name}: the LAN closed the connection in the middle of a frame: it begins at"
            f" byte {self._offset}, and {len(self._waiting)} bytes of it arrived"
        )

    def lost(self) -> int:
        return 0

    def set_promiscuous(self, on: bool) -> None:
        """Nothing to do: there is no card."""

    def unplug(self) -> None:
        self._socket.close()

    def plug(self) -> None:
        self._socket = self._connected()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()


def connected_to(path: str) -> socket.socket:
    """A stream connection to a Unix socket; OSError when nobody listens."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.settimeout(FENCE_LIMIT_S)
        made.connect(path)
    except BaseException:
        made.close()
        raise
    return made
