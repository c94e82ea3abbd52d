"""pytest glue: LANs of which there is only one, for one run and one worker at a time."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterable, Iterator
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
            for resource in entry.resources:
                stack.enter_context(_locked(entry.name, resource))
        yield


def _locked(name: str, resource: str) -> TextIO:
    digest = hashlib.sha256(resource.encode()).hexdigest()[:24]
    try:
        return lock.hold_file(
            folder() / f"lan-{digest}.lock", f"{name}: another run uses {resource}"
        )
    except lock.Locked as error:
        raise LanError(str(error)) from None
    except OSError as error:
        raise LanError(f"{error.filename}: {error.strerror}") from None


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
