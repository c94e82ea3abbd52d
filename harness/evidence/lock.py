"""One writer at a time in a folder of reports."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import TextIO

FILE_NAME = ".lguest-harness.lock"


class Locked(Exception):
    """Another process writes into the folder; the message says which one."""


def hold(folder: Path) -> TextIO:
    """Lock a folder until the file that is returned is closed, or the process ends."""
    return hold_file(folder / FILE_NAME, f"{folder}: another run writes there")


def hold_file(path: Path, refusal: str) -> TextIO:
    """Lock a file in the same way; ``Locked`` says the refusal and who holds it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.fdopen(os.open(path, flags, 0o644), "r+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with file:
            holder = " ".join(file.read(200).split()) or "unknown process"
        raise Locked(f"{refusal} ({holder})") from None
    file.truncate()
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    file.write(f"process {os.getpid()}, since {started}\n")
    file.flush()
    return file
