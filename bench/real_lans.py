"""The same exchange on every real LAN that can run here: fences, and deliveries per second.

An exchange is what a test does: one unicast on four ports, and proof that its owner received
just that and nobody else anything. What PTF does on the same bridge is in ``ptf_side``.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator, Mapping

from bench.rates import Round
from harness import frames, registry
from harness.exchange import Testbench
from harness.lan import Lan

PORTS = 4
"""Ports that take part in an exchange."""

SENDER, OWNER = 0, 2
"""Which of them sends, and which one the frame is for."""

EXCHANGES = 200
"""Exchanges or fences in a round."""


def can_run() -> dict[str, str | None]:
    """Every LAN that is not simulated, and why it cannot run here; None if it can."""
    return {name: row.missing() for name, row in registry.LANS.items() if not row.simulated}


@contextlib.contextmanager
def opened(names: list[str]) -> Iterator[Mapping[str, Lan]]:
    """One LAN of each name, all up at once, closed in the end."""
    with contextlib.ExitStack() as stack:
        lans = {}
        for name in names:
            lans[name] = stack.enter_context(contextlib.closing(registry.create(name)))
        yield lans


def the_frame(lan: Lan) -> bytes:
    """The unicast that is exchanged, 60 bytes."""
    ports = lan.ports(PORTS)
    return frames.ethernet(ports[OWNER], ports[SENDER])


def exchange_round(lan: Lan) -> Round:
    """Exchanges per second."""
    # A LAN that learns sends a unicast to one port; any other leaves it to the cards.
    tester = Testbench(lan, "wire" if lan.traits.learns else "host")
    ports = tester.ports(PORTS)
    sender, owner, frame = ports[SENDER], ports[OWNER], the_frame(lan)

    def run() -> float:
        _forget(lan)
        start = time.perf_counter()
        for _ in range(EXCHANGES):
            assert tester.exchange(sender, frame) == {owner: [frame]}
        return EXCHANGES / (time.perf_counter() - start)

    return run


def fence_round(lan: Lan) -> Round:
    """Median microseconds to know that a frame just sent has arrived and nothing will follow.

    That is a marker out to all other ports, one back to the sender, a last look at each port,
    and at what the kernel says it dropped.
    """
    sender, frame = lan.ports(PORTS)[SENDER], the_frame(lan)

    def run() -> float:
        times = []
        for _ in range(EXCHANGES):
            sender.send(frame)
            start = time.perf_counter()
            lan.settle()
            times.append(time.perf_counter() - start)
        _forget(lan)
        return 1e6 * statistics.median(times)

    return run


def _forget(lan: Lan) -> None:
    """Read what others have sent meanwhile, and throw it away."""
    lan.settle()
    for port in lan.ports(PORTS):
        port.arrivals()
