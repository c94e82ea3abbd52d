"""A frame per datagram, on a connected datagram socket."""

from __future__ import annotations

import errno
import select
import socket
import time

from harness.lan import FrameRefused, Inconclusive
from harness.lans.wire.fence import FENCE_LIMIT_S
from harness.lans.wire.transport import Got

LARGEST = 262_144
"""Bytes of the longest frame that is received whole."""

_WAITS = (errno.EAGAIN, errno.ENOBUFS)


class DatagramChannel:
    """Sends and receives for the port ``name``; ``peer`` is what messages call the other end.

    ``connectionless``: an error may report that an earlier datagram reached nobody, as with UDP.
    """

    def __init__(
        self, name: str, peer: str, made: socket.socket, *, connectionless: bool = False
    ) -> None:
        self._name = name
        self._peer = peer
        self._connectionless = connectionless
        self.socket = made

    def send(self, frame: bytes) -> None:
        """Send one frame, and wait for room as long as a fence may take."""
        if not frame:
            raise FrameRefused(f"{self._name}: an empty datagram is no frame")
        deadline = time.monotonic() + FENCE_LIMIT_S
        while True:
            try:
                self.socket.send(frame)
                return
            except OSError as error:
                if error.errno == errno.EMSGSIZE or self._is_of_an_earlier_one(error):
                    raise FrameRefused(f"{self._name}: {error.strerror}") from None
                if error.errno not in _WAITS:
                    raise self._gone(error) from None
            self._wait_for_room(deadline)

    def _wait_for_room(self, deadline: float) -> None:
        room = select.poll()
        room.register(self.socket, select.POLLOUT)
        left = deadline - time.monotonic()
        if left <= 0 or not room.poll(1000 * left):
            raise Inconclusive(f"{self._name}: {self._peer} takes nothing for {FENCE_LIMIT_S:g} s")

    def receive(self) -> Got | None:
        """The next frame in the queue; None if it is empty."""
        while True:
            try:
                frame = self.socket.recv(LARGEST)
            except BlockingIOError:
                return None
            except OSError as error:
                if self._is_of_an_earlier_one(error):
                    continue
                raise self._gone(error) from None
            return Got(frame, len(frame))

    def _is_of_an_earlier_one(self, error: OSError) -> bool:
        return self._connectionless and error.errno == errno.ECONNREFUSED

    def _gone(self, error: OSError) -> Inconclusive:
        return Inconclusive(f"{self._name}: {self._peer} is gone: {error.strerror}")
