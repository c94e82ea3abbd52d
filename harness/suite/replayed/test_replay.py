"""A capture on a LAN: `lguest-harness replay` runs this, once per capture and LAN."""

from __future__ import annotations

from typing import Protocol

from harness import replay
from harness.exchange import Testbench
from harness.replay import Replayed


class Given(Protocol):
    """A capture, and how it is to be replayed."""

    def run(self, lan: Testbench) -> Replayed:
        """Replay it."""


def test_capture(lan: Testbench, given: Given) -> None:
    """Every frame of a capture is delivered as the model of the LAN's kind says."""
    done = given.run(lan)
    if done.failed:
        raise AssertionError(replay.failure(done))
