"""A TAP as a port of a LAN, as a virtual machine monitor uses it."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable

from harness.lan import FrameRefused, LanError
from harness.lans.wire.net_dev import NetDev
from harness.lans.wire.transport import Got

_LARGEST = 65_536 + 18
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000


class KernelTap:
    """A TAP of ``/dev/net/tun``, in the network namespace of the calling thread."""

    def __init__(self, name: str) -> None:
        try:
            self._fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise LanError(f"/dev/net/tun: {error.strerror}") from None
        try:
            fcntl.ioctl(
                self._fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI)
            )
        except OSError as error:
            os.close(self._fd)
            raise LanError(f"TAP {name}: {error.strerror}") from None

    def fileno(self) -> int:
        """For reading and writing frames."""
        return self._fd

    def close(self) -> None:
        """Close, which removes the interface."""
        os.close(self._fd)


class TapPort:
    """The user's end of a TAP.

    ``carrier`` takes the interface down or brings it up; what we receive, and what is dropped
    on its way to us, is what the interface sends.
    """

    def __init__(self, name: str, tap: KernelTap, carrier: Callable[[bool], None], net_dev: NetDev):
        self._name = name
        self._tap: KernelTap | None = tap
        self._fd = tap.fileno()
        self._carrier = carrier
        self._net_dev = net_dev
        self._dropped = 0

    def fileno(self) -> int:
        return self._fd

    def send(self, frame: bytes) -> None:
        try:
            os.write(self._fd, frame)
        except OSError as error:
            raise FrameRefused(f"{self._name}: {error.strerror}") from None

    def receive(self) -> Got | None:
        try:
            frame = os.read(self._fd, _LARGEST)
        except OSError:
            return None
        return Got(frame, len(frame))

    def lost(self) -> int:
        before, self._dropped = self._dropped, self._net_dev.row(self._name).dropped
        return self._dropped - before

    def set_promiscuous(self, on: bool) -> None:
        """Nothing to do: the user's end receives every frame."""

    def unplug(self) -> None:
        self._carrier(False)

    def plug(self) -> None:
        self._carrier(True)

    def close(self) -> None:
        if self._tap is not None:
            self._tap.close()
            self._tap = None
