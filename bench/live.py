"""How many frames a second a Scapy socket, Traffic and replay move, with and without a capture.

Frames per second of processor time, so that other programs do not count:

    python -m bench.live [LAN ...]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from harness import create, ethernet, replay
from harness.exchange import Testbench
from harness.lan import Lan
from harness.live.recording import LiveCapture
from harness.live.traffic import Traffic
from harness.registry import entry
from harness.scapy import interfaces

FRAMES = 3_000
SIZE = 512


@contextmanager
def measured(what: str) -> Iterator[None]:
    """Print how many frames of ``FRAMES`` it was per second of processor time."""
    began = time.process_time()
    yield
    print(f"{what:<44} {FRAMES / (time.process_time() - began):>8,.0f} frames/s", flush=True)


def sockets(name: str, capture: Path | None) -> None:
    """Send at one socket, receive at another, as Scapy packets."""
    lan = create(name)
    sender, receiver = lan.ports(2)
    frame = ethernet(receiver, sender, size=SIZE)
    with (
        interfaces(lan, 2, capture=capture) as joined,
        joined.socket(sender) as out,
        joined.socket(receiver) as into,
        measured(f"{name}: socket{', with a capture' if capture else ''}"),
    ):
        for _ in range(FRAMES):
            out.send(frame)
            into.recv()
    lan.close()


def traffic(name: str, capture: Path | None) -> None:
    """What `join` does with every frame, without a kernel."""
    lan = create(name)
    sender, receiver = lan.ports(2)
    frame = ethernet(receiver, sender, size=SIZE)
    kept = LiveCapture(capture, ()) if capture else None
    moving = Traffic(lan, capture=kept, forget=True)
    arrived: list[bytes] = []
    for port in (sender, receiver):
        moving.add(port)
    moving.listen(receiver.name, lambda heard: arrived.append(heard.frame))
    with measured(f"{name}: join, serve{', with a capture' if capture else ''}"):
        for _ in range(FRAMES):
            moving.send(sender.name, frame)
            moving.turn()
        moving.turn()
    lan.close()


def replayed(name: str, path: Path, capture: Path | None) -> None:
    """A capture of two hosts that talk."""
    lan: Lan = create(name)
    bench = Testbench(lan, shared=not entry(name).simulated)
    with measured(f"{name}: replay{', with a capture' if capture else ''}"):
        replay.replay(bench, path)
        if capture is not None:
            kept = LiveCapture(capture, ())
            kept.add(lan, None)
            kept.close()
    lan.close()


def main() -> None:
    """Measure the LANs named, or lguest and vde."""
    with tempfile.TemporaryDirectory() as folder:
        path, capture = Path(folder) / "in.pcap", Path(folder) / "out.pcapng"
        one, two = b"\x02\0\0\0\1\1", b"\x02\0\0\0\1\2"
        pairs = [(one, two), (two, one)]
        frames = [ethernet(*pairs[n % 2], size=SIZE, stamp=n) for n in range(FRAMES)]
        wrpcap(str(path), [Ether(frame) for frame in frames])
        for name in sys.argv[1:] or ("lguest", "vde"):
            for kept in (None, capture):
                sockets(name, kept)
                traffic(name, kept)
                replayed(name, path, kept)


if __name__ == "__main__":
    main()
