"""Writes only what is ours: a marked folder, and in it copies with a list of their files.

A folder of a report is new, or empty, or it has the marker. A copy of a run lists in its own
marker every file that was written there; when it is removed, these files go and no others.
Links are neither followed nor replaced.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from harness.evidence.files import BadFile, content

MARKER = ".lguest-harness"
"""The file that marks a folder as ours; in a copy, one path per line as JSON."""

_TEXT = "made by lguest-harness\n"
_LARGEST_MARKER = 64 * 1024 * 1024


def claim(folder: Path) -> Path:
    """Make a folder ours, and return its real path; FileExistsError if it has other files."""
    folder.mkdir(parents=True, exist_ok=True)
    home = folder.resolve()
    if _is_file(home / MARKER):
        return home
    with os.scandir(home) as entries:
        if next(entries, None) is not None:
            raise _refused(folder, "not empty, and not made by lguest-harness: name a new folder")
    with create(home / MARKER) as file:
        file.write(_TEXT.encode())
    return home


def real_folder(path: Path) -> bool:
    """Whether a folder is there; FileExistsError if it is a link or something else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(mode):
        raise _refused(path, "a link" if stat.S_ISLNK(mode) else "not a folder")
    return True


def create(path: Path) -> BinaryIO:
    """A new file to write; FileExistsError if anything is there already."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o644), "wb")


def replace(path: Path, text: bytes, ours: bytes) -> None:
    """Write a file at once; FileExistsError if another one is there.

    A file is ours if ``ours`` stands in its beginning.
    """
    if path.is_symlink():
        raise _refused(path, "a link, not written by lguest-harness")
    if path.exists():
        try:
            beginning = content(path)[:4096]
        except BadFile:
            beginning = b""
        if ours not in beginning:
            raise _refused(path, "not written by lguest-harness: it is kept")
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with create(beside) as file:
            file.write(text)
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from None


def begin_copy(folder: Path, files: Iterable[str]) -> None:
    """A new folder for a copy of a run, with the list of the files that will be in it."""
    folder.mkdir(parents=True)
    with create(folder / MARKER) as file:
        for name in files:
            file.write(json.dumps(name).encode() + b"\n")


def remove_copy(folder: Path) -> None:
    """Remove the files that we wrote into a copy, and the folders that are empty then.

    Without a marker nothing is removed.
    """
    if not _is_file(folder / MARKER):
        return
    listed = [name for name in _listed(folder / MARKER) if _plain(name)]
    for name in listed:
        _remove_file(folder, PurePosixPath(name))
    _remove_file(folder, PurePosixPath(MARKER))
    parents = {parent for name in listed for parent in PurePosixPath(name).parents}
    for parent in sorted(parents, key=lambda path: len(path.parts), reverse=True):
        if not _has_link(folder, parent):
            with contextlib.suppress(OSError, ValueError):
                (folder / parent).rmdir()


def _listed(marker: Path) -> Iterator[str]:
    with contextlib.suppress(BadFile, ValueError, RecursionError):
        for line in content(marker, _LARGEST_MARKER).splitlines():
            name = json.loads(line)
            if isinstance(name, str):
                yield name


def _plain(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _remove_file(folder: Path, name: PurePosixPath) -> None:
    path = folder / name
    with contextlib.suppress(OSError, ValueError):
        if not _has_link(folder, name.parent) and _is_file(path):
            path.unlink()


def _has_link(folder: Path, below: PurePosixPath) -> bool:
    """Whether a part of a path below a folder is a link."""
    path = folder
    try:
        for part in below.parts:
            path = path / part
            if path.is_symlink():
                return True
    except (OSError, ValueError):  # a name that no file can have
        return True
    return False


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _refused(path: Path, why: str) -> FileExistsError:
    return FileExistsError(errno.EEXIST, why, str(path))
