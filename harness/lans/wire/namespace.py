"""A network namespace: a new one without a name, or one that exists.

A thread is in it, and all work inside runs on that thread. The namespace lasts as long as
the thread and the sockets made there, so it ends with the process, however that ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from harness.lan import LanError

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW_NETWORK = 0x40000000
_SETTINGS = (
    ("ipv6/conf/all/disable_ipv6", "1"),
    ("ipv6/conf/default/disable_ipv6", "1"),
    ("bridge/bridge-nf-call-iptables", "0"),
    ("bridge/bridge-nf-call-ip6tables", "0"),
    ("bridge/bridge-nf-call-arptables", "0"),
)
"""Settings with which the kernel sends nothing of its own, and filters nothing on a bridge."""

P = ParamSpec("P")
T = TypeVar("T")


class Namespace:
    """An empty, quiet network namespace; with a ``path``, the existing one that it names."""

    def __init__(self, path: str | None = None) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, "namespace")
        self._links: Any = None
        self._outside: int | None = None
        try:
            self.run(self._enter)
        except BaseException:
            self.close()
            raise

    def _enter(self) -> None:
        self._outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        if self._path is None:
            self._make()
        else:
            self._join(self._path)
        from pyroute2 import IPRoute

        self._links = IPRoute()

    def _make(self) -> None:
        if _LIBC.unshare(_NEW_NETWORK) != 0:
            reason = os.strerror(ctypes.get_errno())
            raise LanError(f"no network namespace: {reason}")
        for setting, value in _SETTINGS:
            # A kernel without IPv6 or bridge filters is quiet as it is.
            with contextlib.suppress(FileNotFoundError):
                (Path("/proc/sys/net") / setting).write_text(value)

    def _join(self, path: str) -> None:
        try:
            there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise LanError(f"namespace {path}: {error.strerror}") from None
        try:
            # Joining one's own needs a right that using it does not.
            here = os.fstat(self._outside or 0)
            if os.path.samestat(here, os.fstat(there)):
                return
            if _LIBC.setns(there, _NEW_NETWORK) != 0:
                code = ctypes.get_errno()
                needs = ": needs CAP_SYS_ADMIN" if code == errno.EPERM else ""
                raise LanError(f"namespace {path}: {os.strerror(code)}{needs}")
        finally:
            os.close(there)

    @property
    def links(self) -> Any:
        """The netlink connection, for use on the namespace's thread."""
        return self._links

    def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function inside."""
        return self._thread.submit(work, *args, **kwargs).result()

    def link(self, what: str, **settings: object) -> None:
        """Add, set or delete a link, by netlink."""
        try:
            self.run(self._links.link, what, **settings)
        except Exception as error:
            if not hasattr(error, "code"):
                raise
            name = settings.get("ifname") or settings.get("index")
            raise LanError(f"netlink: {what} link {name}: {error}") from None

    def index(self, interface: str) -> int:
        """The number of an interface."""
        return int(self.run(self._links.link_lookup, ifname=interface)[0])

    def _leave(self) -> None:
        if self._links is not None:
            self._links.close()
            self._links = None
        if self._outside is not None:
            _LIBC.setns(self._outside, _NEW_NETWORK)
            os.close(self._outside)
            self._outside = None

    def close(self) -> None:
        """Leave it; it is gone with the last socket made there. May be called twice."""
        if self._outside is not None:
            self.run(self._leave)
        self._thread.shutdown()


def why_not(*, tap: bool = False) -> str | None:
    """Why no namespace can be made here, in a line."""
    try:
        import pyroute2  # noqa: F401
    except ImportError:
        return "pyroute2 is not installed: pip install pyroute2"
    try:
        Namespace().close()
    except (LanError, OSError) as error:
        return f"{error} (run as root{'' if tap else ', or under `unshare -Urn`'})"
    if tap and not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "/dev/net/tun cannot be opened (run as root, with the tun module)"
    return None
