"""What was changed on interfaces that are not ours, kept in files until it is restored.

A file per interface, locked by the run that uses the interface. A run that was killed leaves
its file without a lock: the next run, or ``restore``, finds it and restores the interface.
Workers of one run wait for each other; another run is refused.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from harness.lan import LanError
from harness.lans.wire import offloads
from harness.lans.wire.namespace import Namespace
from harness.lans.wire.state import folder

WORKERS_S = 300.0
"""How long a worker waits for the interfaces while another worker has them."""


@dataclass(frozen=True, slots=True)
class Change:
    """An interface, where it is, and how it was before."""

    namespace: str
    interface: str
    index: int
    inode: int
    offloads: list[str] = field(default_factory=list)
    up: bool = True
    run: str = field(default_factory=lambda: os.environ.get("PYTEST_XDIST_TESTRUNUID", ""))

    @property
    def shown(self) -> str:
        """The interface as a user names it."""
        return f"{self.namespace}/{self.interface}" if self.namespace else self.interface


def namespace_path(namespace: str) -> str:
    """The file of a namespace: its path, or that of its name or process; of our own, if empty."""
    if namespace.startswith("/"):
        return namespace
    if not namespace:
        return "/proc/thread-self/ns/net"
    return f"/proc/{namespace}/ns/net" if namespace.isdigit() else f"/run/netns/{namespace}"


class Journal:
    """The file of one interface, held while it is in use."""

    def __init__(self, change: Change) -> None:
        self.change = change
        self._path = folder() / f"{change.inode}-{change.index}.json"
        self._file = _locked(self._path) or self._after_other_workers()
        if self._file is None:
            raise LanError(f"interface {change.shown} is in use by another run")
        try:
            _restore_from(self._file)
            self.write(change)
        except BaseException:
            self.close()
            raise

    def _after_other_workers(self) -> int | None:
        """The locked file when a worker of our run has released it; None for another run's."""
        deadline = time.monotonic() + WORKERS_S
        while self.change.run and time.monotonic() < deadline:
            with contextlib.suppress(OSError, ValueError):
                if json.loads(self._path.read_bytes())["run"] != self.change.run:
                    return None
            time.sleep(0.05)
            if file := _locked(self._path):
                return file
        return None

    def write(self, change: Change) -> None:
        """Keep how the interface was; it may be changed after this."""
        assert self._file is not None
        self.change = change
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps(asdict(change)).encode(), 0)
        os.fsync(self._file)

    def close(self) -> None:
        """Restore the interface, and remove the file; may be called twice."""
        if self._file is not None:
            try:
                _restore_from(self._file)
                self._path.unlink(missing_ok=True)
            finally:
                os.close(self._file)
                self._file = None


def _locked(path: Path) -> int | None:
    """The file, open and locked; None if another run has it."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(file)):
                return file
        # The run that had it removed it between our two steps.
        os.close(file)


def _restore_from(file: int) -> str | None:
    """Restore what a file says; the interface's name, None if there was nothing to do."""
    text = os.pread(file, 1 << 20, 0)
    if not text:
        return None
    try:
        change = Change(**json.loads(text))
    except (ValueError, TypeError):
        # The run was killed while it wrote the file, before it changed anything.
        return None
    try:
        space = Namespace(namespace_path(change.namespace))
    except LanError:
        # The namespace has gone, and the interface with it.
        return None
    try:
        return change.shown if space.run(_restore, space, change) else None
    finally:
        space.close()


def _restore(space: Namespace, change: Change) -> bool:
    with contextlib.ExitStack() as stack:
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        stack.callback(os.close, own)
        if os.fstat(own).st_ino != change.inode:
            return False
    if space.links.link_lookup(ifname=change.interface) != [change.index]:
        return False
    if change.up:
        space.links.link("set", index=change.index, state="up")
    offloads.switch(change.interface, change.offloads, True)
    return True


def restore() -> list[str]:
    """Restore what killed runs left; the names of the interfaces."""
    restored = []
    for path in sorted(folder().glob("*.json")):
        file = _locked(path)
        if file is None:
            continue
        try:
            name = _restore_from(file)
            path.unlink(missing_ok=True)
        finally:
            os.close(file)
        if name is not None:
            restored.append(name)
    return restored
