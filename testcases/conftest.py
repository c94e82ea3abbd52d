"""What tests of several parts need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.lans.wire.namespace import Namespace, why_not


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--exchanges",
        metavar="N",
        type=int,
        default=1000,
        help="exchanges per LAN while every processor is busy (default: %(default)s)",
    )


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A network namespace of this test's own, where a TAP can be made."""
    if reason := why_not(tap=True):
        pytest.skip(reason)
    space = Namespace()
    try:
        yield space
    finally:
        space.close()
