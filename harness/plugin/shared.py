"""pytest glue: LANs of which there is only one, for one run and one worker at a time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from harness.evidence import lock
from harness.lan import LanError
from harness.lans.wire.state import folder
from harness.registry import Entry


@contextlib.contextmanager
def held(entries: Iterable[Entry]) -> Iterator[None]:
    """The LANs that are there once, locked; LanError, in one line, if another run has one."""
    with contextlib.ExitStack() as stack:
        for entry in entries:
            for resource in dict.fromkeys(entry.resources):
                stack.enter_context(_locked(entry.name, resource))
        yield


@contextlib.contextmanager
def _locked(name: str, resource: str) -> Iterator[None]:
    """A file that stands for a resource, locked, and removed at the end."""
    try:
        path = folder() / f"lan-{hashlib.sha256(resource.encode()).hexdigest()[:24]}.lock"
        with _held_file(path, f"{name}: another run uses {resource}"):
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
    except lock.Locked as error:
        raise LanError(str(error)) from None


def forget() -> None:
    """Remove the files that killed runs left locked no more."""
    for path in folder().glob("lan-*.lock"):
        with contextlib.suppress(lock.Locked), _held_file(path, ""):
            path.unlink(missing_ok=True)


def _held_file(path: Path, refusal: str) -> TextIO:
    while True:
        try:
            file = lock.hold_file(path, refusal)
        except OSError as error:
            raise LanError(f"{error.filename}: {error.strerror}") from None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file
        # The run that had it removed it between our two steps.
        file.close()


def scheduling(config: pytest.Config, log: Any, entries: Iterable[Entry]) -> object | None:
    """Has xdist give all tests of a LAN that is there once to one worker; None if not needed."""
    names = [entry.name for entry in entries if entry.outside]
    if not names or config.getoption("dist", "no") in ("no", "each"):
        return None
    from xdist.scheduler import LoadScopeScheduling

    of_lan = re.compile(rf"[\[-]({'|'.join(map(re.escape, names))})[\]-]")

    class OneWorkerPerLan(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            match = of_lan.search(nodeid)
            return match[1] if match else nodeid

    return OneWorkerPerLan(config, log)
