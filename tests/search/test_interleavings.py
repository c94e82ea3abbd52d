"""Every order of the explicit points, with two and three Guests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness import registry
from harness.lans.lguest import LguestLan, Parts, lguest
from harness.lguest import dma
from harness.lguest.defects import REPAIRED
from harness.lguest.driver import NetDevice
from harness.lguest.events import Point
from harness.lguest.memory import Owner
from harness.search.interleavings import SCENARIOS, Scenario, Violation, walk
from tests.search.conftest import Make


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_invariants_hold_in_every_order(
    make: Make, covered: Callable[..., None], scenario: Scenario
) -> None:
    orders = walk(make, scenario)
    assert orders > 10
    covered(orders=orders)


def scenario(words: str) -> Scenario:
    (match,) = [scenario for scenario in SCENARIOS if words in scenario.name]
    return match


def test_the_handler_that_survives_close_is_found() -> None:
    with pytest.raises(Violation, match="DEF-6"):
        walk(lguest, scenario("DEF-6"))


class _NoBarrier(NetDevice):
    def offer(self, slot: int, address: int) -> None:
        self.buffers[slot] = address
        at = self.ring + slot * dma.SIZE
        memory = self.guest.memory
        memory.write(at, bytes(4))
        if self.guest.host.interleave is not None:
            self.guest.host.interleave(Point.LISTED, self.guest)
        memory.write(at + 4, self.pack(dma.linear_sections(address, 1514)))


def test_a_missing_barrier_is_found() -> None:
    def make() -> LguestLan:
        return LguestLan("no-barrier", REPAIRED, parts=Parts(device=_NoBarrier))

    with pytest.raises(Violation) as violation:
        walk(make, scenario("full ring"))
    assert "at LISTED" in str(violation.value)


def test_a_restock_in_the_gap_saves_the_frame(make: Make) -> None:
    """One order by hand: what the walk through DMA-5's gap is made of."""
    lan = make()
    sender, owner = lan.open_devices(2)
    frame = owner.address + sender.address + b"\x88\xb5" + bytes(46)
    for _ in range(8):
        sender.transmit(frame)

    def restock(point: Point, _: Owner) -> None:
        if point is Point.RESTOCK:
            owner.guest.interrupt()

    lan.host.interleave = restock
    sender.transmit(frame)
    assert sender.counters.tx_packets == 9
    lan.close()


def walk_deadly(make: Make) -> None:
    for deadly in SCENARIOS:
        if "killed" in deadly.name:
            walk(make, deadly)


@pytest.mark.parametrize("name", ["killed-sends-once-more", "killed-binds", "killed-unbinds"])
def test_a_killed_guest_that_goes_on_is_found(name: str) -> None:
    def make() -> LguestLan:
        lan = registry.create(f"broken:{name}")
        assert isinstance(lan, LguestLan)
        return lan

    with pytest.raises(Violation, match="after it was killed"):
        walk_deadly(make)
