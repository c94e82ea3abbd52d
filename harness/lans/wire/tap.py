"""A TAP as a port of a LAN, as a machine monitor uses it."""

from __future__ import annotations

import os
from collections.abc import Callable

from harness.lan import FrameRefused
from harness.lans.wire.transport import Got
from harness.lguest.tap import KernelTap

_LARGEST = 65_536 + 18
_DROPPED_ON_SENDING = 11
"""Column of the kernel's ``net/dev`` table; it sends what we receive."""


class TapPort:
    """The user's end of a TAP.

    ``carrier`` takes the interface down or brings it up; ``net_dev`` is the namespace's
    table of interfaces, open for reading, where drops are counted.
    """

    def __init__(self, name: str, tap: KernelTap, carrier: Callable[[bool], None], net_dev: int):
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
        table = os.pread(self._net_dev, 1 << 20, 0).decode()
        line = next(
            each for each in table.splitlines() if each.strip().startswith(self._name + ":")
        )
        before, self._dropped = self._dropped, int(line.split(":")[1].split()[_DROPPED_ON_SENDING])
        return self._dropped - before

    def set_promiscuous(self, on: bool) -> None:
        """Nothing to do: the user's end is given every frame."""

    def unplug(self) -> None:
        self._carrier(False)

    def plug(self) -> None:
        self._carrier(True)

    def close(self) -> None:
        if self._tap is not None:
            self._tap.close()
            self._tap = None
