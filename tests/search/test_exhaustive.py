"""Every small LAN, every class of frame, every short sequence of steps."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from harness.lans.lguest import lguest
from harness.search import exhaustive
from harness.search.exhaustive import SLOT_STATES, STARTS, Coverage, Step
from harness.search.lockstep import Mismatch
from tests.search.conftest import Make, is_campaign

BATCHES = [
    ("alone",),
    *((first,) for first in SLOT_STATES),
    *itertools.product(SLOT_STATES, repeat=2),
]
"""LANs of one peer; of two, by the first slot's state; of three, by the first two."""

SEQUENCES = [(start, step) for start in STARTS for step in exhaustive.first_steps(start)]


def lans_of(batch: tuple[str, ...]) -> list[tuple[str, ...]]:
    if batch == ("alone",):
        return [(state,) for state in SLOT_STATES]
    return [(*batch, state) for state in SLOT_STATES]


def test_the_batches_hold_every_lan_once() -> None:
    held = [lan for batch in BATCHES for lan in lans_of(batch)]
    assert sorted(held) == sorted(exhaustive.lans())
    assert len(set(held)) == 5 + 25 + 125


@pytest.mark.parametrize("batch", BATCHES, ids="-".join)
def test_every_frame_on_every_lan(
    make: Make, covered: Callable[..., None], batch: tuple[str, ...]
) -> None:
    coverage = Coverage()
    for states in lans_of(batch):
        exhaustive.walk_stimuli(make, states, coverage)
    covered(states=len(coverage.states), transitions=coverage.transitions)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A run that is no campaign walks every fourth of the beginnings."""
    if "first" in metafunc.fixturenames:
        walked = SEQUENCES[:: 1 if is_campaign(metafunc.config) else 4]
        metafunc.parametrize(("start", "first"), walked, ids=str)


def test_every_sequence_of_four_steps(
    make: Make, covered: Callable[..., None], start: str, first: Step
) -> None:
    coverage = Coverage()
    exhaustive.walk_sequences(make, start, first, coverage)
    covered(states=len(coverage.states), transitions=coverage.transitions)


def test_the_walk_finds_what_a_closed_device_does_in_the_original() -> None:
    with pytest.raises(Mismatch, match="fault in slot 0 eth0: the handler of a closed device"):
        exhaustive.walk_sequences(lguest, "open", ("transmit", 1, "other"), Coverage())
