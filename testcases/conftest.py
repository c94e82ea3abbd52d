"""Fixtures of the suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.lans.wire.namespace import Namespace, why_not


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A network namespace for this test alone, where a TAP can be made."""
    if reason := why_not(tap=True):
        pytest.skip(reason)
    space = Namespace()
    try:
        yield space
    finally:
        space.close()
