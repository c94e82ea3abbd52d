"""Keeps the calling thread on one processor for a while.

Linux queues the frames of a veth per processor: a thread that moves between two sends
could see the second overtake the first when the first processor is busy.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading


class OneCpu:
    """Keeps each thread that calls ``hold`` on its processor until any calls ``let_go``."""

    def __init__(self) -> None:
        self._current = ctypes.CDLL(None).sched_getcpu
        self._free: dict[int, set[int]] = {}
        """Thread to the processors that it was allowed before."""

    def hold(self) -> None:
        """Stay on this processor."""
        thread = threading.get_native_id()
        if thread not in self._free:
            self._free[thread] = os.sched_getaffinity(thread)
            os.sched_setaffinity(thread, {self._current()})

    def let_go(self) -> None:
        """Allow all of these threads the processors that they were allowed before."""
        while self._free:
            thread, allowed = self._free.popitem()
            with contextlib.suppress(ProcessLookupError):  # it has ended
                os.sched_setaffinity(thread, allowed)
