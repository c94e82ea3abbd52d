"""Lost fences, floods, drops, garbage: one line that names the port."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from harness.frames import ethernet
from harness.lan import FrameRefused, Inconclusive, LanError, Storm, Traits
from harness.lans import bridge
from harness.lans.bridge import BridgePlant
from harness.lans.wire import stream
from harness.lans.wire.fence import FencedLan
from harness.lans.wire.transport import Got, Transport


class Wire:
    """A transport in memory: what one port sends the others receive, if ``receives``."""

    def __init__(self, plant: Wires) -> None:
        self.plant = plant
        self.receives = True
        self.floods = False
        self.dropped = 0
        self.here, self.there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.here.setblocking(False)

    def fileno(self) -> int:
        return self.here.fileno()

    def send(self, frame: bytes) -> None:
        for wire in self.plant.wires:
            if wire is not self and wire.receives:
                wire.there.send(frame)

    def receive(self) -> Got | None:
        try:
            frame = self.here.recv(65_536)
        except BlockingIOError:
            return Got(b"\xff" * 60, 60) if self.floods else None
        return Got(frame, len(frame))

    def lost(self) -> int:
        return self.dropped

    def set_promiscuous(self, on: bool) -> None:
        pass

    def unplug(self) -> None:
        self.receives = False

    def plug(self) -> None:
        self.receives = True

    def close(self) -> None:
        self.here.close()
        self.there.close()


class Wires:
    """A plant in memory."""

    one_cpu = False
    fences = 1

    def __init__(self) -> None:
        self.wires: list[Wire] = []

    def connect(self, number: int, name: str, mac: bytes) -> Wire:  # noqa: ARG002
        self.wires.append(Wire(self))
        return self.wires[-1]

    def close(self) -> None:
        pass


MEMORY = Traits("nobody", False, True, 1, 65_536, "delivered", 8, False, False, "fence")


@pytest.fixture
def wired() -> Iterator[tuple[FencedLan, list[Wire]]]:
    plant = Wires()
    lan = FencedLan("memory", MEMORY, plant, limit_s=0.2)
    lan.ports(3)
    try:
        yield lan, plant.wires
    finally:
        lan.close()


Wired = tuple[FencedLan, list[Wire]]


def test_a_fence_that_does_not_come_back_names_the_port(wired: Wired) -> None:
    lan, wires = wired
    sender, owner, deaf = lan.ports(3)
    wires[2].receives = False
    sender.send(ethernet(owner, sender))
    with pytest.raises(Inconclusive, match="port3 of memory: the fence of port1 did not arrive"):
        lan.settle()
    wires[2].receives = True
    lan.settle()
    deaf.close()


def test_a_fence_that_does_not_come_back_to_the_sender_names_it(wired: Wired) -> None:
    lan, wires = wired
    sender, owner, _ = lan.ports(3)
    wires[0].receives = False
    sender.send(ethernet(owner, sender))
    with pytest.raises(Inconclusive, match="port1 of memory: the fence of port2 did not arrive"):
        lan.settle()


def test_a_port_that_does_not_come_up_is_named(wired: Wired) -> None:
    lan, wires = wired
    *_, away = lan.ports(3)
    away.close()
    wires[1].receives = False
    with pytest.raises(Inconclusive, match=r"port3 of memory did not come up within 0\.2 s"):
        away.open()


def test_a_lan_that_floods_is_a_storm(wired: Wired) -> None:
    lan, wires = wired
    sender, owner, _ = lan.ports(3)
    wires[2].floods = True
    sender.send(ethernet(owner, sender))
    with pytest.raises(Storm, match="storm: port3 received 137 frames, with 1 sent in all"):
        lan.settle()


def test_a_drop_in_the_kernel_is_inconclusive(wired: Wired) -> None:
    lan, wires = wired
    wires[1].dropped = 7
    with pytest.raises(Inconclusive, match="port2 of memory: the kernel dropped 7 frames"):
        lan.settle()


def test_the_kernel_counts_what_it_drops() -> None:
    if reason := bridge.missing():
        pytest.skip(reason)
    plant = BridgePlant("veth")
    lan = FencedLan("bridge", bridge.BRIDGE, plant)
    try:
        sender, owner = lan.ports(2)
        packets = owner.transport._socket  # type: ignore[attr-defined]
        packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for stamp in range(100):
            sender.send(ethernet(owner, sender, stamp=stamp))
        with pytest.raises(Inconclusive, match=r"port2 of bridge: the (kernel dropped|fence of)"):
            lan.settle()
    finally:
        lan.close()


def _receive_all(port: Transport) -> None:
    while port.receive() is not None:
        pass


def _send_often(port: Transport, frame: bytes) -> None:
    for _ in range(1000):
        port.send(frame)


GOOD = (60).to_bytes(4, "big") + bytes(60)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (bytes(4), "port1: garbage framing at byte 0: a length of 0,"),
        (GOOD + bytes(4), "port1: garbage framing at byte 64: a length of 0,"),
        (GOOD * 2 + b"\xff" * 4, "port1: garbage framing at byte 128: a length of 4294967295,"),
        (b"\0\4\0\1", "port1: garbage framing at byte 0: a length of 262145,"),
        (GOOD + GOOD[:30], "middle of a frame: it begins at byte 64, and 30 bytes of it arrived"),
        (GOOD + b"\0\0", "middle of a frame: it begins at byte 64, and 2 bytes of it arrived"),
        (GOOD, "port1: the LAN closed the connection at byte 64"),
    ],
)
def test_garbage_framing_names_the_port_and_the_byte(sent: bytes, expected: str) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        port = stream.StreamSocket("port1", lambda: ours)
        theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(LanError) as error:
            _receive_all(port)
        assert expected in str(error.value)
        port.close()


def test_frames_cross_a_stream_whole_however_they_are_cut() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        port = stream.StreamSocket("port1", lambda: ours)
        longest = bytes(range(256)) * 1024
        whole = GOOD + len(longest).to_bytes(4, "big") + longest
        got = []
        for start in range(0, len(whole), 1000):
            theirs.sendall(whole[start : start + 1000])
            while (arrived := port.receive()) is not None:
                got.append(arrived.frame)
        assert got == [bytes(60), longest]
        for size in (0, len(longest) + 1):
            with pytest.raises(FrameRefused, match=f"port1: {size} bytes"):
                port.send(bytes(size))
        port.close()


def test_a_stream_that_nobody_reads_ends_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "FENCE_LIMIT_S", 0.2)
    ours, theirs = socket.socketpair()
    with theirs:
        port = stream.StreamSocket("port1", lambda: ours)
        with pytest.raises(Inconclusive, match=r"port1: the LAN takes nothing for 0\.2 s"):
            _send_often(port, bytes(60_000))
        port.close()
