"""A million hypercalls of hostile Guests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness import registry
from harness.lans.lguest import LguestLan, Parts
from harness.lguest.defects import REPAIRED
from harness.lguest.host import Host
from harness.lguest.memory import Chunk
from harness.search.hostile import Breach, attack
from tests.search.conftest import Make, is_campaign

CALLS = 50_000
SEEDS = 20


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """All seeds make a million hypercalls; a run that is no campaign tries a few of them."""
    if "seed" in metafunc.fixturenames:
        count = SEEDS if is_campaign(metafunc.config) else SEEDS // 5
        metafunc.parametrize("seed", range(count))


def test_only_the_offender_is_affected(make: Make, covered: Callable[..., None], seed: int) -> None:
    calls, deaths = attack(make, seed, CALLS)
    assert calls >= CALLS
    assert deaths > 100
    covered(hypercalls=calls, deaths=deaths)


def test_the_same_seed_gives_the_same_attack(make: Make) -> None:
    assert attack(make, 99, 2000) == attack(make, 99, 2000)


class _WritesAByteTooMany(Host):
    def copy(self, source: tuple[Chunk, ...], into: tuple[Chunk, ...]) -> int:
        moved = super().copy(source, into)
        if moved and into[0].offset:
            store, offset, _ = into[0]
            store[offset - 1 : offset] = b"!"
        return moved


def test_one_byte_beyond_a_buffer_is_found() -> None:
    def make() -> LguestLan:
        return LguestLan("writes-too-much", REPAIRED, parts=Parts(host=_WritesAByteTooMany))

    with pytest.raises(Breach, match="changed outside"):
        attack(make, 0, CALLS)


@pytest.mark.parametrize(
    "name",
    [
        "launcher-reads-to-the-top",
        "launcher-forgives-the-structure",
        "launcher-converts-for-watched-keys",
        "tap-empty-is-refused",
        "tap-fills-before-an-empty-array",
        "tap-frame-lost-on-a-bad-list",
    ],
)
def test_a_fault_of_a_host_network_is_found(name: str) -> None:
    def make() -> LguestLan:
        lan = registry.create(f"broken:{name}")
        assert isinstance(lan, LguestLan)
        return lan

    with pytest.raises(Breach):
        attack(make, 0, CALLS)
