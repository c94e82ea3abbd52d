"""Frames per second through the simulated LAN, and through a Linux bridge as the yardstick.

Both do the same work: send, then the receiver takes the frame and it is compared with what
was sent. Frames go one at a time, as in a conformance case, or as many at once as a ring
holds. Rounds of the two alternate, so that a slow moment of the machine falls on both; the
figure is the median round.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import cast

from harness import frames
from harness.lans.lguest import LguestLan
from harness.lguest.defects import AS_SHIPPED
from harness.lguest.driver import NUM_SKBS, NetDevice
from harness.lguest.events import Received

Round = Callable[[], float]
"""Runs once and returns its figure, frames per second say."""

FRAMES = 4000
"""Frames in a round."""


def lguest_round(peers: int, size: int, at_once: int = 1) -> Round:
    """Unicasts of ``size`` bytes between two of ``peers`` Guests, handed up and compared."""
    lan, devices = _lan(peers)
    sender, owner = devices[0], devices[-1]
    frame = frames.ethernet(owner.address, sender.address, size=size)
    handed_up = cast("list[Received]", lan.host.events)

    def run() -> float:
        transmit, interrupt = sender.transmit, owner.guest.interrupt
        before = owner.counters.rx_packets
        start = time.perf_counter()
        for _ in range(FRAMES // at_once):
            for _ in range(at_once):
                transmit(frame)
            interrupt()
            for arrival in handed_up:
                assert arrival.frame == frame
            handed_up.clear()
        spent = time.perf_counter() - start
        assert owner.counters.rx_packets - before == FRAMES
        return FRAMES / spent

    return run


def broadcast_round(peers: int) -> Round:
    """Broadcasts of 60 bytes to all other ``peers``, handed up: rate per receiver."""
    lan, devices = _lan(peers)
    sender, receivers = devices[0], devices[1:]
    frame = frames.ethernet(frames.BROADCAST, sender.address)
    handed_up = cast("list[Received]", lan.host.events)
    deliveries = NUM_SKBS * len(receivers)

    def run() -> float:
        before = sum(device.counters.rx_packets for device in receivers)
        start = time.perf_counter()
        for _ in range(NUM_SKBS):
            sender.transmit(frame)
        for device in receivers:
            device.guest.interrupt()
            for arrival in handed_up:
                assert arrival.frame == frame
            handed_up.clear()
        spent = time.perf_counter() - start
        assert sum(device.counters.rx_packets for device in receivers) - before == deliveries
        return deliveries / spent

    return run


def _lan(peers: int) -> tuple[LguestLan, list[NetDevice]]:
    lan = LguestLan("lguest", AS_SHIPPED)
    lan.host.trace = False
    return lan, lan.open_devices(peers)


def medians(rounds: dict[str, Round], times: int = 31) -> dict[str, float]:
    """The median of arrival, all run in turn ``times`` times."""
    rates_by_name: dict[str, list[float]] = {name: [] for name in rounds}
    for _ in range(times):
        for name, run in rounds.items():
            rates_by_name[name].append(run())
    return {name: statistics.median(rates) for name, rates in rates_by_name.items()}
