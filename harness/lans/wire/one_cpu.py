"""Keeps the calling thread on one processor for a while.

Linux queues the frames of a veth per processor: a thread that moves between two sends
could see the second overtake the first when the first processor is busy.
"""

from __future__ import annotations

import ctypes
import os


class OneCpu:
    """Keeps the thread that calls ``hold`` on its processor until ``let_go``."""

    def __init__(self) -> None:
        self._current = ctypes.CDLL(None).sched_getcpu
        self._free: set[int] | None = None

    def hold(self) -> None:
        """Stay on this processor."""
        if self._free is None:
            self._free = os.sched_getaffinity(0)
            os.sched_setaffinity(0, {self._current()})

    def let_go(self) -> None:
        """Allow the processors that were allowed before."""
        if self._free is not None:
            os.sched_setaffinity(0, self._free)
            self._free = None
