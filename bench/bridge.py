"""A Linux bridge between two TAPs in a network namespace of its own."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Iterator

from bench.rates import FRAMES, Round
from harness import frames
from harness.lans.wire.namespace import Namespace
from harness.lguest.tap import KernelTap

PATIENCE_S = 5.0
"""How long a bridge may take to come up before the bench gives up."""

ENOUGH = 2048
"""Bytes read from a TAP: more than any frame that is sent here."""


@contextlib.contextmanager
def bridge_between_taps() -> Iterator[tuple[KernelTap, KernelTap]]:
    """Two TAPs on one bridge that forwards and has learned both addresses."""
    with contextlib.ExitStack() as opened:
        space = opened.enter_context(contextlib.closing(Namespace()))
        space.link("add", ifname="br0", kind="bridge", br_mcast_snooping=0)
        bridge = space.index("br0")
        taps: list[KernelTap] = []
        for name in ("tap0", "tap1"):
            taps.append(opened.enter_context(contextlib.closing(space.run(KernelTap, name))))
            space.link("set", index=space.index(name), master=bridge, state="up")
        space.link("set", index=bridge, state="up")
        _wait_until_it_forwards(*taps)
        yield taps[0], taps[1]


def peer_address(number: int) -> bytes:
    """An address for a peer behind a TAP."""
    return b"\x02\x00\x00\x00\xbe" + bytes((number,))


def _wait_until_it_forwards(one: KernelTap, other: KernelTap) -> None:
    deadline = time.monotonic() + PATIENCE_S
    for number, (here, there) in enumerate(((one, other), (other, one))):
        hello = frames.ethernet(frames.BROADCAST, peer_address(number))
        while time.monotonic() < deadline:
            here.write(hello)
            if select.select([there], [], [], 0.05)[0]:
                break
        else:
            raise TimeoutError("the bridge does not forward")
        while there.waiting():
            there.read()


def bridge_round(one: KernelTap, other: KernelTap, size: int, at_once: int = 1) -> Round:
    """Unicasts of ``size`` bytes from one TAP to the other, read and compared."""
    frame = frames.ethernet(peer_address(1), peer_address(0), size=size)
    into, out_of = one.fileno(), other.fileno()

    def run() -> float:
        start = time.perf_counter()
        for _ in range(FRAMES // at_once):
            for _ in range(at_once):
                os.write(into, frame)
            for _ in range(at_once):
                try:
                    got = os.read(out_of, ENOUGH)
                except BlockingIOError:  # a busy machine delivers later
                    got = _late(out_of)
                assert got == frame
        return FRAMES / (time.perf_counter() - start)

    return run


def _late(tap: int) -> bytes:
    if not select.select([tap], [], [], PATIENCE_S)[0]:
        raise TimeoutError("the bridge lost a frame")
    return os.read(tap, ENOUGH)
