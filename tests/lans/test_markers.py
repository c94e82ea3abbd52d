"""Markers of fences: unknown beforehand, the same for the same seed, once and whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.exchange import Testbench
from harness.frames import ethernet
from harness.lan import Storm, Traits
from harness.lans.wire.fence import FencedLan
from harness.lans.wire.markers import KNOWN_BY, Markers
from tests.lans.test_trouble import Wire, Wires

HUB = Traits(
    "nobody", False, True, 1, 65_536, "delivered", 8, False, False, "fence", kind="repeater"
)


def test_the_seed_decides_all_but_destination_and_ethertype() -> None:
    one, again, other = Markers(b"1"), Markers(b"1"), Markers(b"2")
    first, second = one.make("port1"), one.make("port1")
    assert again.make("port1") == first
    assert again.make("port1") == second
    third = other.make("port1")
    for marker in (first, second, third):
        assert marker[:6] == b"\xff" * 6
        assert marker[6] & 3 == 2, "a local address, and not a group's"
        assert len(marker) == 60
    assert first[6:12] == second[6:12] != third[6:12]
    assert len({marker[14:18] for marker in (first, second, third)}) == 3
    assert one.make("port2")[6:12] != first[6:12]


def test_a_lan_without_a_seed_has_a_random_one() -> None:
    def markers() -> bytes:
        sent: list[bytes] = []

        class Listening(Wire):
            def send(self, frame: bytes) -> None:
                sent.append(frame)
                super().send(frame)

        plant = Wires()

        def connect(number: int, name: str, mac: bytes) -> Wire:  # noqa: ARG001
            plant.wires.append(Listening(plant))
            return plant.wires[-1]

        plant.connect = connect  # type: ignore[method-assign]
        lan = FencedLan("memory", HUB, plant)
        lan.ports(2)
        lan.close()
        return sent[0]

    one, other = markers(), markers()
    assert one[6:12] != other[6:12]
    assert one[14:] != other[14:]


def test_a_marker_is_recognised_once_and_whole() -> None:
    markers = Markers(b"seed")
    one, other = markers.make("port1"), markers.make("port1")
    assert [markers.number("port2", frame) for frame in (one, other)] == [1, 2]
    assert markers.take_faults() == []
    assert markers.number("port2", ethernet(b"\xff" * 6, b"\x02" * 6)) == 0
    assert markers.number("port3", one) == 1
    assert markers.take_faults() == []
    assert markers.number("port2", one) == 1
    assert [fault[:3] for fault in markers.take_faults()] == [
        ("port2", "duplicate", "the marker of a fence arrived again")
    ]
    assert markers.take_faults() == []


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda marker: marker[:-1], "truncated"),
        (lambda marker: marker[:KNOWN_BY], "truncated"),
        (lambda marker: marker + bytes(4), "longer"),
        (lambda marker: marker[:-1] + bytes((marker[-1] ^ 1,)), "altered"),
        (lambda marker: marker[:KNOWN_BY] + bytes(60 - KNOWN_BY), "altered"),
    ],
    ids=[
        "a byte short",
        "its start alone",
        "four bytes more",
        "its last bit",
        "no bytes of its own",
    ],
)
def test_a_marker_that_is_not_whole(change: Callable[[bytes], bytes], kind: str) -> None:
    markers = Markers(b"seed")
    assert markers.number("port2", change(markers.make("port1"))) == 1
    (fault,) = markers.take_faults()
    assert (fault.port, fault.kind) == ("port2", kind)


def test_endless_copies_of_a_marker_are_a_storm() -> None:
    markers = Markers(b"seed")
    marker = markers.make("port1")

    def flood() -> None:
        for _ in range(1000):
            markers.number("port2", marker)

    with pytest.raises(Storm, match="storm: port2 received 137 frames"):
        flood()


class Copying(Wire):
    """A wire that treats the harness's frames well, and repeats or changes the markers."""

    change: Callable[[bytes], list[bytes]]
    known: frozenset[bytes] = frozenset()

    def send(self, frame: bytes) -> None:
        fence = frame[:6] == b"\xff" * 6 and frame[6:12] not in self.known
        for copy in self.change(frame) if fence else [frame]:
            super().send(copy)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda frame: [frame], None),
        (lambda frame: [frame, frame], "duplicate"),
        (lambda frame: [frame + bytes(4)], "longer"),
        (lambda frame: [frame[:-1] + bytes((frame[-1] ^ 1,))], "altered"),
    ],
)
def test_a_bench_judges_the_markers(
    change: Callable[[bytes], list[bytes]], kind: str | None
) -> None:
    plant = Wires()

    def connect(number: int, name: str, mac: bytes) -> Wire:  # noqa: ARG001
        wire = Copying(plant)
        wire.change = change
        wire.known = frozenset({bytes((2, 0, 0, 0, 0, n)) for n in range(9)})
        plant.wires.append(wire)
        return wire

    plant.connect = connect  # type: ignore[method-assign]
    lan = FencedLan("memory", HUB, plant)
    bench = Testbench(lan, shared=False)
    sender, owner = bench.ports(2)
    frame = ethernet(owner, sender)
    assert bench.exchange(sender, frame) == {owner: [frame]}
    bench.finish()
    assert {violation.kind for violation in bench.violations} == ({kind} if kind else set())
    lan.close()
