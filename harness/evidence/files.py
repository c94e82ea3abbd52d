"""Opens files that others made: regular files only, and no larger than allowed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

LARGEST = 1 << 30
"""Bytes of the largest file that is read unless the user allows more."""


class BadFile(Exception):
    """A file that cannot be read; the message is one line and begins with its path."""


@contextmanager
def opened(path: Path, most: int = LARGEST) -> Iterator[BinaryIO]:
    """A file to read; BadFile if it is not a regular one, too large, or cannot be opened.

    A FIFO or a device is refused without waiting for it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror}") from None
    except ValueError:  # a name that no file can have
        raise BadFile(f"{str(path)!r}: not a file name") from None
    about = os.fstat(descriptor)
    why_not = ""
    if stat.S_ISDIR(about.st_mode):
        why_not = "Is a directory"
    elif not stat.S_ISREG(about.st_mode):
        why_not = "not a regular file"
    elif about.st_size > most:
        why_not = f"{about.st_size:,} bytes, more than the {most:,} allowed (see --largest)"
    if why_not:
        os.close(descriptor)
        raise BadFile(f"{path}: {why_not}")
    with os.fdopen(descriptor, "rb", buffering=1 << 17) as file:
        yield file


def content(path: Path, most: int = LARGEST) -> bytes:
    """All bytes of a file, under the same conditions."""
    with opened(path, most) as file:
        try:
            # One byte more than allowed: the file may grow while it is read.
            whole = file.read(most + 1)
        except OSError as error:
            raise BadFile(f"{path}: {error.strerror}") from None
    if len(whole) > most:
        raise BadFile(f"{path}: more than the {most:,} bytes allowed (see --largest)")
    return whole
