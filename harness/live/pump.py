"""A thread that keeps a LAN moving, and readers that can be waited on."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from contextlib import suppress

from harness.lan import LanError
from harness.live.traffic import Heard, Traffic

TICK_S = 0.01
"""How often a LAN is looked at that cannot be waited on."""

PATIENCE_S = 0.5
"""How often one is that can be waited on: it may have been closed."""

MOST_WAITING = 100_000
"""Frames that wait for a reader that reads none; what arrives then is lost, and counted."""


class Reader:
    """Everything at one port, for one reader. ``lost`` counts what did not fit."""

    def __init__(self, traffic: Traffic, port: str) -> None:
        self.port = port
        self.lost = 0
        self._traffic = traffic
        self._waiting: deque[Heard] = deque()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._ended = self._closed = False
        traffic.listen(port, self._hear)

    def fileno(self) -> int:
        """Readable when there is something to ``get``; -1 once closed."""
        return -1 if self._closed else self._event

    def _hear(self, heard: Heard) -> None:
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                self.lost += 1
                return
            self._waiting.append(heard)
            if len(self._waiting) == 1 and not self._closed:
                os.eventfd_write(self._event, 1)

    def end(self) -> None:
        """Nothing more will arrive: the LAN is gone."""
        with self._lock:
            self._ended = True
            if not self._closed:
                os.eventfd_write(self._event, 1)

    def get(self) -> Heard | None:
        """The next frame; None if there is none now, EOFError if there never will be."""
        with self._lock:
            if self._waiting:
                heard = self._waiting.popleft()
                if not (self._waiting or self._ended or self._closed):
                    os.eventfd_read(self._event)
                return heard
            if self._ended or self._closed:
                raise EOFError(f"{self.port}: the LAN is gone")
            return None

    def close(self) -> None:
        """Read no more; may be called twice."""
        self._traffic.leave(self.port, self._hear)
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._event)


class Pump:
    """Keeps traffic moving while somebody reads.

    ``trouble`` is why it stopped, if the LAN failed: who reads then sees the end, and who sends
    gets a LanError.
    """

    def __init__(self, traffic: Traffic) -> None:
        self.traffic = traffic
        self.trouble: LanError | None = None
        self._readers: list[Reader] = []
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False

    @property
    def idle(self) -> bool:
        """Whether nobody reads."""
        return not self._readers

    def open(self, port: str) -> Reader:
        """A new reader of a port."""
        with self._lock:
            if self._closed:
                raise LanError(f"{self.traffic.lan.name}: its interfaces were closed")
            reader = Reader(self.traffic, port)
            self._readers.append(reader)
            self.traffic.use(True)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lan pump", daemon=True)
                self._thread.start()
            return reader

    def release(self, reader: Reader) -> None:
        """Close a reader; with the last one the thread ends."""
        reader.close()
        with self._lock:
            if reader in self._readers:
                self._readers.remove(reader)
            ended = self._thread if self.idle else None
            if ended is not None:
                self._thread = None
                os.eventfd_write(self._wake, 1)
        if ended is not None and ended is not threading.current_thread():
            ended.join()
        if self.idle:
            self.traffic.use(False)

    def send(self, port: str, frame: bytes, *, lan_time: bool = False) -> int:
        """Send a frame, and have it passed on; when it was sent."""
        if self.trouble is not None:
            raise LanError(str(self.trouble))
        at = self.traffic.send(port, frame, lan_time=lan_time)
        if not self.traffic.at_once:
            with self._lock:
                running = self._thread is not None
                if running:
                    os.eventfd_write(self._wake, 1)
            if not running:
                self.traffic.turn()
        return at

    def _run(self) -> None:
        me = threading.current_thread()
        while self._thread is me:
            try:
                self._wait()
                self.traffic.turn()
            except (LanError, OSError, ValueError) as error:
                # Also what a LAN raises that was closed meanwhile.
                self.trouble = error if isinstance(error, LanError) else LanError(str(error))
                for reader in tuple(self._readers):
                    reader.end()
                return

    def _wait(self) -> None:
        """Wait until a frame was sent, or may have arrived."""
        filenos = getattr(self.traffic.lan, "filenos", None)
        waiting = select.poll()
        waiting.register(self._wake, select.POLLIN)
        for fileno in filenos() if filenos is not None else ():
            waiting.register(fileno, select.POLLIN)
        waiting.poll(1000 * (TICK_S if filenos is None else PATIENCE_S))
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)

    def close(self) -> None:
        """End all reading; may be called twice."""
        for reader in tuple(self._readers):
            reader.end()
            self.release(reader)
        with self._lock:
            closed, self._closed = self._closed, True
        if not closed:
            self.traffic.close()
            os.close(self._wake)
