"""Offloads of an interface: what its driver or the kernel does to frames on their way.

All functions run in the interface's network namespace.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from harness.lan import LanError

_CHANGE_FRAMES = (
    "rx-checksum",
    "rx-gro",
    "rx-lro",
    "rx-udp-gro-forwarding",
    "tx-checksum",
    "tx-generic-segmentation",
    "tx-scatter-gather",
    "tx-tcp",
    "tx-udp-segmentation",
)
"""What the names of features begin with that merge, split or complete frames."""


@contextmanager
def _ethtool(interface: str) -> Iterator[tuple[Any, Any]]:
    from pyroute2.ethtool import Ethtool

    tool = Ethtool()
    try:
        yield tool, tool.get_features(interface)
    except OSError as error:
        needs = ": needs CAP_NET_ADMIN" if error.errno in (errno.EPERM, errno.EACCES) else ""
        raise LanError(f"interface {interface}: offloads: {error.strerror}{needs}") from None
    finally:
        tool.close()


def enabled(interface: str) -> list[str]:
    """Names of the offloads that are on and can be turned off."""
    with _ethtool(interface) as (_, state):
        return [
            name
            for name, feature in state.features.items()
            if feature.enable and feature.available and name.startswith(_CHANGE_FRAMES)
        ]


def switch(interface: str, names: Sequence[str], on: bool) -> None:
    """Turn offloads on or off, as far as the driver lets us: macvlan keeps some of its own on."""
    from pyroute2.ethtool.ioctl import NotSupportedError

    with _ethtool(interface) as (tool, state):
        for name in names:
            if name in state.features:
                state.features[name].enable = on
        # Raised where the kernel has set all that it could, and the driver kept the rest.
        with suppress(NotSupportedError):
            tool.set_features(interface, state)
