"""Frames per second through the simulated LAN, and through a Linux bridge as the yardstick.

Both carry one frame at a time, as a conformance case does: a send, then the receiver takes
it. Rounds of the two alternate, so that a slow moment of the machine falls on both; the
figure is the median round.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from harness import frames
from harness.lans.lguest import LguestLan
from harness.lguest.defects import AS_SHIPPED
from harness.lguest.driver import NUM_SKBS, NetDevice

Round = Callable[[], float]
"""Runs once and returns frames per second."""

FRAMES = 4000
"""Frames in a round."""


def lguest_round(peers: int, size: int) -> Round:
    """Unicasts of ``size`` bytes between two of ``peers`` Guests, handed up."""
    lan, devices = _lan(peers)
    sender, owner = devices[0], devices[-1]
    frame = frames.ethernet(owner.address, sender.address, size=size)
    events = lan.host.events

    def run() -> float:
        transmit, interrupt = sender.transmit, owner.guest.interrupt
        before = owner.counters.rx_packets
        start = time.perf_counter()
        for _ in range(FRAMES):
            transmit(frame)
            interrupt()
            events.clear()
        spent = time.perf_counter() - start
        assert owner.counters.rx_packets - before == FRAMES
        return FRAMES / spent

    return run


def broadcast_round(peers: int) -> Round:
    """Broadcasts of 60 bytes to all other ``peers``, handed up: rate per receiver."""
    lan, devices = _lan(peers)
    sender, receivers = devices[0], devices[1:]
    frame = frames.ethernet(frames.BROADCAST, sender.address)
    events = lan.host.events

    def run() -> float:
        before = sender.counters.tx_packets
        start = time.perf_counter()
        for _ in range(NUM_SKBS):
            sender.transmit(frame)
        for device in receivers:
            device.guest.interrupt()
        spent = time.perf_counter() - start
        assert len(events) == sender.counters.tx_packets - before == NUM_SKBS * len(receivers)
        events.clear()
        return NUM_SKBS * len(receivers) / spent

    return run


def _lan(peers: int) -> tuple[LguestLan, list[NetDevice]]:
    lan = LguestLan("lguest", AS_SHIPPED)
    lan.host.trace = False
    return lan, lan.open_devices(peers)


def medians(rounds: dict[str, Round], times: int = 31) -> dict[str, float]:
    """The median of each, all run in turn ``times`` times."""
    found: dict[str, list[float]] = {name: [] for name in rounds}
    for _ in range(times):
        for name, run in rounds.items():
            found[name].append(run())
    return {name: statistics.median(rates) for name, rates in found.items()}
