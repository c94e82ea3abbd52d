"""Whether what a LAN file needs is here: programs, kernel modules, kinds of link, root."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.lan import LanError
from harness.lans.files.schema import LanFile, Needs, Words

if TYPE_CHECKING:
    from harness.lans.wire.namespace import Namespace

_LIMIT_S = 20.0
_SBIN = ":/usr/local/sbin:/usr/sbin:/sbin"


def missing(file: LanFile, folder: Path) -> str | None:
    """The first thing that is missing, in one line with what to install; None if nothing is."""
    return next(_missing(file, folder), None)


def _missing(file: LanFile, folder: Path) -> Iterator[str]:
    needs = file.needs
    for program, package in needs.programs.items():
        if which(program) is None:
            yield f"no {program}: apt-get install {package}"
    if (needs.root or file.namespaces) and os.geteuid() != 0:
        yield "needs root"
    yield from (f"no kernel module {name}: {_advice()}" for name in needs.modules if not _has(name))
    yield from _links(needs)
    environment = {**os.environ, **file.environment}
    for check in needs.checks:
        if run(check.run, folder, environment)[0] != 0:
            yield check.message


def which(program: str) -> str | None:
    """The path of a program, a superuser's programs included."""
    return shutil.which(program, path=(os.environ.get("PATH") or os.defpath) + _SBIN)


def _has(module: str) -> bool:
    """Whether a kernel module is loaded or built in, or can be loaded."""
    loaded = Path("/sys/module", module.replace("-", "_")).exists()
    modprobe = which("modprobe")
    if loaded or modprobe is None:
        return loaded
    return subprocess.run([modprobe, "--quiet", module], capture_output=True).returncode == 0


def _links(needs: Needs) -> Iterator[str]:
    """Kinds of link that cannot be made in a namespace of our own."""
    if not needs.links:
        return
    from harness.lans.wire.namespace import Namespace  # Linux only

    space = Namespace()
    try:
        for kind in needs.links:
            if not _known(space, kind):
                yield f"no links of kind {kind}: {_advice()}"
    finally:
        space.close()


def _known(space: Namespace, kind: str) -> bool:
    """Whether the kernel knows links of a kind; that it misses settings does not count."""
    try:
        space.link("add", ifname="tried", kind=kind)
        space.link("del", ifname="tried")
    except LanError as error:
        return f"({errno.EOPNOTSUPP}," not in str(error)
    return True


def _advice() -> str:
    return f"this kernel ({platform.release()}) lacks it"


def run(words: Words, folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """Exit code and first line of output of a command that is run here."""
    listed = ["sh", "-ec", words] if isinstance(words, str) else words
    path = (environment.get("PATH") or os.defpath) + _SBIN
    try:
        done = subprocess.run(
            listed,
            cwd=folder,
            env={**environment, "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 127, ""
    lines = (done.stdout + done.stderr).splitlines()
    return done.returncode, next((line.strip() for line in lines if line.strip()), "")
