"""The TAP behind a Host network: one in memory, and the kernel's own.

Writing gives a frame to the Host, reading takes one that the Host sent.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections import deque
from typing import Protocol

from harness.lguest.events import ETH_ALEN, ETH_HLEN
from harness.lguest.memory import LguestError

HOST_ADDRESS = bytes.fromhex("020000ff0001")
"""What an in-memory TAP publishes by default."""

_TUNSETIFF = 0x400454CA
_SIOCGIFHWADDR = 0x8927
_IFF_TAP_NO_PI = 0x1002
_LARGEST = 65_536


class Tap(Protocol):
    """A TAP. ``address`` is its six bytes."""

    address: bytes

    def write(self, frame: bytes) -> int:
        """Give the Host a frame; bytes written, or -1 where it refuses."""

    def waiting(self) -> bool:
        """Whether a frame can be read."""

    def read(self) -> bytes:
        """Take the next frame; BlockingIOError when none waits."""


class MemoryTap:
    """A TAP without a kernel: ``written`` is what the Guest sent, ``feed`` what it will get."""

    def __init__(self, address: bytes = HOST_ADDRESS) -> None:
        self.address = address
        self.written: list[bytes] = []
        self._waiting: deque[bytes] = deque()

    def feed(self, frame: bytes) -> None:
        """The Host sends a frame."""
        self._waiting.append(frame)

    def write(self, frame: bytes) -> int:
        """As today's TAPs do: a frame without a whole header is refused (HST-2)."""
        if len(frame) < ETH_HLEN:
            return -1
        self.written.append(frame)
        return len(frame)

    def waiting(self) -> bool:
        """Whether a frame was fed and not read."""
        return bool(self._waiting)

    def read(self) -> bytes:
        """The oldest frame that was fed."""
        if not self._waiting:
            raise BlockingIOError("no frame waits in the TAP")
        return self._waiting.popleft()


class KernelTap:
    """A TAP of ``/dev/net/tun``, in the network namespace of the calling thread."""

    def __init__(self, name: str) -> None:
        try:
            self._fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise LguestError(f"/dev/net/tun: {error.strerror}") from None
        try:
            request = struct.pack("16sH22x", name.encode(), _IFF_TAP_NO_PI)
            self.name = fcntl.ioctl(self._fd, _TUNSETIFF, request)[:16].rstrip(b"\0").decode()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
                answer = fcntl.ioctl(any_socket, _SIOCGIFHWADDR, request)
        except OSError as error:
            os.close(self._fd)
            raise LguestError(f"TAP {name}: {error.strerror}") from None
        self.address = answer[18 : 18 + ETH_ALEN]
        self._next: bytes | None = None

    def write(self, frame: bytes) -> int:
        """One frame into the kernel; -1 where it refuses."""
        try:
            return os.write(self._fd, frame)
        except OSError:
            return -1

    def waiting(self) -> bool:
        """Whether the kernel has a frame for us."""
        if self._next is None:
            try:
                self._next = os.read(self._fd, _LARGEST)
            except OSError:
                return False
        return True

    def read(self) -> bytes:
        """The next frame that the kernel sent."""
        if not self.waiting() or self._next is None:
            raise BlockingIOError(f"no frame waits in {self.name}")
        frame, self._next = self._next, None
        return frame

    def fileno(self) -> int:
        """For waiting until the kernel sends."""
        return self._fd

    def close(self) -> None:
        """Close, and with it take the interface away."""
        os.close(self._fd)
