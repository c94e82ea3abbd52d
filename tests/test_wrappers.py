"""Wrappers around a port: each is seen to act."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness import registry
from harness.exchange import Testbench
from harness.frames import ethernet
from harness.lan import FateKind, FrameRefused, LanError, Port
from harness.lans.wrappers import Counting, Fault, Faulty, Recording, parsed_fault
from harness.scapy import release, socket

MANY = 400


def exchanged(sender: Port, receiver: Port, settle: Callable[[], None]) -> list[bytes]:
    """What arrives of many frames, each sent when all is quiet."""
    arrived = []
    for stamp in range(MANY):
        sender.send(ethernet(receiver, sender, stamp=stamp))
        settle()
        arrived += [arrival.frame for arrival in receiver.arrivals()]
    return arrived


@pytest.mark.parametrize("name", ["lguest", "memory-learning"])
def test_counting(name: str) -> None:
    lan = registry.create(name)
    sender, receiver = map(Counting, lan.ports(2))
    sender.send(ethernet(receiver, sender, size=100))
    sender.send(ethernet(receiver, sender, size=200))
    lan.settle()
    assert len(receiver.arrivals()) == 2
    sender.close()
    with pytest.raises(FrameRefused):
        sender.send(ethernet(receiver, sender))
    assert (sender.sent, sender.sent_bytes, sender.refused) == (2, 300, 1)
    assert (receiver.received, receiver.received_bytes) == (2, 300)


def test_recording() -> None:
    lan = registry.create("memory-repeater")
    sender, owner, other = map(Recording, lan.ports(3))
    frame = ethernet(owner, sender)
    sender.send(frame)
    lan.settle()
    for port in (owner, other):
        port.arrivals()
    sender.close()
    with pytest.raises(FrameRefused):
        sender.send(frame)
    kinds = [
        [(record.direction, record.fates[0].kind) for record in port.records]
        for port in (sender, owner, other)
    ]
    assert kinds == [
        [("sent", FateKind.SENT), ("sent", FateKind.REFUSED)],
        [("received", FateKind.DELIVERED)],
        [("received", FateKind.FILTERED)],
    ]
    assert {record.frame for port in (sender, owner, other) for record in port.records} == {frame}


@pytest.mark.parametrize("direction", ["sent", "received"])
def test_loss(direction: str) -> None:
    lan = registry.create("lguest")
    one, two = lan.ports(2)
    fault = Fault(loss=0.25, seed=7)
    faulty = Faulty(one if direction == "sent" else two, fault)
    sender, receiver = (faulty, two) if direction == "sent" else (one, faulty)
    arrived = exchanged(sender, receiver, lan.settle)
    assert 60 < faulty.acted["loss"] < 140
    assert len(arrived) == MANY - faulty.acted["loss"]
    records = faulty.take_faults()
    assert len(records) == faulty.acted["loss"]
    assert {record.direction for record in records} == {direction}
    assert records[0].fates[0].reason == "fault injection: loss"
    assert faulty.take_faults() == []


def test_duplicate_and_corrupt() -> None:
    lan = registry.create("lguest")
    one, two = lan.ports(2)
    faulty = Faulty(one, Fault(duplicate=0.2, seed=7))
    arrived = exchanged(faulty, two, lan.settle)
    assert len(arrived) == MANY + faulty.acted["duplicate"]
    assert len(set(arrived)) == MANY
    frames = {ethernet(two, one, stamp=stamp) for stamp in range(MANY)}
    turning = Faulty(two, Fault(corrupt=0.2, seed=7))
    harmed = [frame for frame in exchanged(one, turning, lan.settle) if frame not in frames]
    assert len(harmed) == turning.acted["corrupt"] > 40
    original = turning.take_faults()[0].frame
    changed = int.from_bytes(original, "big") ^ int.from_bytes(harmed[0], "big")
    assert changed.bit_count() == 1


def test_the_same_seed_gives_the_same_faults() -> None:
    def lost(seed: int) -> list[bytes]:
        lan = registry.create("lguest")
        one, two = lan.ports(2)
        return exchanged(Faulty(one, Fault(loss=0.1, seed=seed)), two, lan.settle)

    assert lost(7) == lost(7) != lost(8)


def test_a_wrapped_port_serves_scapy_and_can_be_wrapped_again() -> None:
    lan = registry.create("lguest")
    one, two = lan.ports(2)
    faulty = Counting(Faulty(one, Fault(loss=0.5, seed=7)))
    assert faulty.device is one.device  # type: ignore[attr-defined]
    frames = [ethernet(two, one, stamp=stamp) for stamp in range(50)]
    with socket(two) as into, socket(faulty) as out:
        for frame in frames:
            out.send(frame)
        arrived = [bytes(packet) for packet in into.sniff(timeout=0.2)]
    assert faulty.sent == 50
    assert 10 < len(arrived) == 50 - faulty.acted["loss"] < 40
    assert set(arrived) < set(frames)
    release(lan)


def test_a_bench_sees_what_a_fault_does() -> None:
    """The model finds each frame that was lost behind its back, and nothing else."""
    bench = Testbench(registry.create("memory-directory"))
    one, two = bench.ports(2)
    faulty = Faulty(one.port, Fault(loss=0.1, seed=7))
    one.port = faulty
    for stamp in range(100):
        bench.exchange(one, ethernet(two, one, stamp=stamp))
    missing = [violation for violation in bench.violations if violation.kind == "missing"]
    assert len(missing) == len(bench.violations) >= faulty.acted["loss"] > 3


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("loss=1%,seed=7", Fault(loss=0.01, seed=7)),
        ("duplicate=0.5,corrupt=100%", Fault(duplicate=0.5, corrupt=1.0)),
    ],
)
def test_faults_in_words(text: str, fault: Fault) -> None:
    assert parsed_fault(text) == fault


@pytest.mark.parametrize("text", ["", "loss", "loss=much", "delay=3", "loss=101%", "seed=x"])
def test_faults_that_cannot_be(text: str) -> None:
    with pytest.raises(LanError, match=r"^--fault "):
        parsed_fault(text)
