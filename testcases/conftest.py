"""What tests of several parts need."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--exchanges",
        metavar="N",
        type=int,
        default=1000,
        help="exchanges per LAN while every processor is busy (default: %(default)s)",
    )


@pytest.fixture
def namespace() -> Iterator[str]:
    """A network namespace of this test's own, by name."""
    if os.geteuid() != 0:
        pytest.skip("a network namespace with a TAP needs root")
    if not Path("/dev/net/tun").exists():
        pytest.skip("there is no /dev/net/tun")
    from pyroute2 import netns

    name = f"lguest-test-{os.getpid()}"
    netns.create(name)
    try:
        yield name
    finally:
        netns.remove(name)
