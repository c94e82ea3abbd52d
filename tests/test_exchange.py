"""Holes that others fell into: each would pass there, and must fail here."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from harness.delivery import Delivery
from harness.differences import Kind
from harness.exchange import Testbench
from harness.explanation import classify, explain_differences, explain_ports, sum_up
from harness.frames import BROADCAST, ethernet
from harness.lan import Arrival, Inconclusive, Lan, Layout, Port, Record, Traits
from harness.lans.lguest import TRAITS


class FakePort:
    """A port that hands what it is sent to its others."""

    def __init__(self, number: int) -> None:
        self.name = f"port{number}"
        self.mac = bytes((2, 0, 0, 0, 0, number))
        self.coming: list[bytes] = []
        self.others: list[FakePort] = []

    def send(self, frame: bytes, layout: Layout | None = None) -> None:
        del layout
        for port in self.others:
            port.coming.append(frame)

    def arrivals(self) -> list[Arrival]:
        news, self.coming = self.coming, []
        return [Arrival(0, frame, frame[:6] in (self.mac, BROADCAST)) for frame in news]

    def set_promiscuous(self, on: bool) -> None: ...
    def join_groups(self, count: int) -> None: ...
    def close(self) -> None: ...
    def open(self) -> None: ...


class FakeLan:
    """A hub: every frame reaches every other port."""

    name = "fake"
    traits: Traits = TRAITS

    def __init__(self) -> None:
        self.all = [FakePort(n) for n in range(3)]
        for port in self.all:
            port.others = [other for other in self.all if other is not port]

    def ports(self, count: int) -> Sequence[FakePort]:
        return self.all[:count]

    def settle(self) -> None: ...

    def interfaces(self) -> list[tuple[str, bytes]]:
        return []

    def records(self) -> list[Record]:
        return []

    def close(self) -> None: ...


def hub() -> tuple[FakeLan, Testbench, list[FakePort]]:
    lan: Lan = FakeLan()
    assert isinstance(lan, FakeLan)
    tester = Testbench(lan)
    tester.ports(3)
    return lan, tester, lan.all


def test_looking_at_one_port_is_not_enough() -> None:
    _, tester, (sender, owner, other) = hub()
    frame = ethernet(owner, sender)
    delivery = tester.exchange(sender, frame)
    assert delivery[owner] == (frame,)
    assert delivery != {owner: [frame]}
    assert delivery == {owner: [frame], other: [frame]}


def test_the_host_view_leaves_out_what_a_card_would_not_pass_up() -> None:
    lan, _, (sender, owner, _) = hub()
    tester = Testbench(lan, "host")
    tester.ports(3)
    frame = ethernet(owner, sender)
    assert tester.exchange(sender, frame) == {owner: [frame]}


def test_the_host_view_shows_what_returned_to_its_sender() -> None:
    lan, _, (sender, owner, _) = hub()
    tester = Testbench(lan, "host")
    tester.ports(3)
    sender.others = [sender, owner]
    frame = ethernet(owner, sender)
    assert tester.exchange(sender, frame) == {owner: [frame], sender: [frame]}


def test_a_port_that_nobody_asked_for_must_not_get_a_unicast_either() -> None:
    lan = FakeLan()
    sender, owner, unasked = lan.all
    tester = Testbench(lan, shared=True)
    tester.ports(2)
    everybody = ethernet(BROADCAST, sender)
    assert tester.exchange(sender, everybody) == {owner: [everybody]}
    frame = ethernet(owner, sender)
    delivery = tester.exchange(sender, frame)
    assert delivery != {owner: [frame]}
    assert delivery.received[unasked] == (frame,)


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame[:-1],
        lambda frame: frame + b"\0",
        lambda frame: frame[:60],
        lambda frame: frame[:59] + bytes((frame[59] ^ 1,)) + frame[60:],
    ],
    ids=["a byte short", "padded", "cut to 60", "a bit changed"],
)
def test_length_padding_and_payload_all_count(change: object) -> None:
    assert callable(change)
    port = FakePort(1)
    frame = ethernet(port, port, size=2044)
    assert Delivery({port: [frame]}) == {port: [frame]}
    assert Delivery({port: [change(frame)]}) != {port: [frame]}
    assert Delivery({port: [frame]}) != {port: [change(frame)]}


def test_duplicates_strays_and_missing_frames_all_count() -> None:
    port, other = FakePort(1), FakePort(2)
    one, two = ethernet(port, other, stamp=1), ethernet(port, other, stamp=2)
    assert Delivery({port: [one, two], other: []}) == {port: [one, two]}
    for wrong in ([one], [one, one], [two, one], [one, two, two], [one, two, one], []):
        assert Delivery({port: wrong, other: []}) != {port: [one, two]}
    assert Delivery({port: [one, two], other: [one]}) != {port: [one, two]}
    assert Delivery({port: [one], other: []}) != {}


def test_a_delivery_is_never_equal_to_what_is_not_a_mapping() -> None:
    port = FakePort(1)
    for other in (0, None, [], [port], "", True):
        assert Delivery({port: []}) != other


def test_a_port_of_another_lan_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a port of this LAN"):
        _ = Delivery({FakePort(1): []}) == {FakePort(2): []}


def test_silence_from_a_dead_lan_is_no_verdict() -> None:
    lan, tester, (sender, *_) = hub()
    for port in lan.all:
        port.others = []
    with pytest.raises(
        Inconclusive, match="no port received anything, nor a control broadcast from port0"
    ):
        tester.exchange(sender, ethernet(bytes(6), sender))


def test_silence_from_a_lan_that_is_alive_is_proved_by_a_control() -> None:
    _, tester, (sender, *_) = hub()
    tester.view = "host"
    assert tester.exchange(sender, ethernet(bytes(6), sender)) == {}


def test_a_control_that_arrives_changed_is_a_fault_and_not_silence() -> None:
    lan, tester, (sender, *others) = hub()

    def mangle(frame: bytes, layout: Layout | None = None) -> None:
        del layout
        if frame[:6] == BROADCAST:
            others[0].coming.append(frame[:-1])

    lan.all[0].send = mangle  # type: ignore[method-assign]
    tester.exchange(sender, ethernet(bytes(6), sender))
    kinds = {violation.kind for violation in tester.violations}
    assert kinds == {Kind.TRUNCATED, Kind.MISSING}


def test_a_lan_that_stops_forwarding_in_the_middle_of_a_test_fails() -> None:
    lan, tester, (sender, owner, other) = hub()
    frame = ethernet(owner, sender)
    assert tester.exchange(sender, frame) == {owner: [frame], other: [frame]}
    for port in lan.all:
        port.others = []
    with pytest.raises(AssertionError, match="the LAN has stopped forwarding"):
        tester.exchange(sender, frame)


@pytest.mark.parametrize("source", [BROADCAST, bytes.fromhex("01005e000001")])
def test_a_lan_that_a_frame_from_a_group_silences_fails(source: bytes) -> None:
    lan, tester, (sender, owner, _) = hub()

    def settle() -> None:
        raise Inconclusive("the fence did not arrive")

    lan.settle = settle  # type: ignore[method-assign]
    with pytest.raises(Inconclusive):
        tester.exchange(sender, ethernet(owner, sender))
    with pytest.raises(AssertionError, match=f"after port0 sent a frame from {source.hex(':')}"):
        tester.exchange(sender, ethernet(owner, source))


def test_a_frame_that_returns_to_its_sender_is_a_violation() -> None:
    _, tester, (sender, *_) = hub()
    sender.others = [sender]
    tester.exchange(sender, ethernet(bytes(6), sender))
    assert Kind.RETURNED in {violation.kind for violation in tester.violations}


def test_a_control_that_only_its_sender_gets_back_is_no_sign_of_life() -> None:
    lan, tester, (sender, *_) = hub()

    def echo(frame: bytes, layout: Layout | None = None) -> None:
        del layout
        if frame[:6] == BROADCAST:
            lan.all[0].coming.append(frame)

    lan.all[0].send = echo  # type: ignore[method-assign]
    with pytest.raises(Inconclusive, match="nor a control broadcast from port0"):
        tester.exchange(sender, ethernet(bytes(6), sender))


def test_what_lay_at_a_port_before_is_not_part_of_the_exchange() -> None:
    _, tester, (sender, owner, other) = hub()
    owner.coming.append(b"stale")
    frame = ethernet(owner, sender)
    assert tester.exchange(sender, frame) == {owner: [frame], other: [frame]}
    assert (tester.violations[0].kind, tester.violations[0].port) == (Kind.UNKNOWN, "port1")


def test_what_arrives_after_the_last_exchange_is_judged() -> None:
    _, tester, (sender, owner, _) = hub()
    frame = ethernet(BROADCAST, sender)
    tester.exchange(sender, frame)
    assert tester.violations == []
    owner.coming.append(frame)
    tester.finish()
    assert [violation.kind for violation in tester.violations] == [Kind.STALE]


def test_a_comparison_changes_nothing() -> None:
    _, tester, (sender, owner, other) = hub()
    frame = ethernet(BROADCAST, sender)
    delivery = tester.exchange(sender, frame)
    assert delivery != {owner: [frame]}
    assert delivery == {owner: [frame], other: [frame]}
    assert delivery != {}
    assert delivery.expected is not None
    assert set(delivery.expected) == {owner, other}


def test_a_scapy_packet_is_a_frame_and_a_number_is_none() -> None:
    _, tester, (sender, owner, other) = hub()
    packet = Ether(src="02:00:00:00:00:00", dst="ff:ff:ff:ff:ff:ff") / Raw(b"x" * 46)
    assert tester.exchange(sender, packet) == {owner: [packet], other: [packet]}
    with pytest.raises(TypeError, match="a frame should be bytes or a Scapy packet, not int"):
        tester.exchange(sender, 7)  # type: ignore[arg-type]


def test_a_difference_is_explained_to_the_byte() -> None:
    port, other = FakePort(1), FakePort(2)
    want = ethernet(port, other)
    got = want[:30] + bytes((want[30] ^ 0xFF,)) + want[31:]
    delivery = Delivery({port: [got], other: []})
    expected: dict[Port, list[bytes]] = {port: [want]}
    assert sum_up(delivery, expected) == "port1: altered: 1 of 60 bytes, the first at 30"
    shown_bytes = explain_differences(classify(delivery, expected))
    lines = [*explain_ports(delivery, expected), *shown_bytes]
    text = "\n".join(lines)
    words = [" ".join(line.split()) for line in lines]
    assert "port1 1 frame of 60 bytes 1 frame of 60 bytes <- altered" in words
    assert "port2 nothing nothing" in words
    assert "first difference at offset 30 (0x001e)" in text
    marker = next(line for line in lines if line.strip() == "^^")
    shown = next(line for line in lines if line.startswith("  received"))
    assert shown[marker.index("^") : marker.index("^") + 2] == f"{got[30]:02x}"


def test_a_frame_that_was_missing_and_arrives_in_a_later_exchange_is_late() -> None:
    _, tester, (sender, owner, other) = hub()
    first, second = (ethernet(BROADCAST, sender, stamp=number) for number in range(2))
    sender.others = [owner]
    tester.exchange(sender, first)
    sender.others = [owner, other]
    other.coming.append(first)  # held back until now
    owner.coming.append(first)  # and here it arrived in time: a copy
    tester.exchange(sender, second)
    seen = [(difference.kind, difference.port) for difference in tester.violations]
    assert seen == [(Kind.MISSING, "port2"), (Kind.STALE, "port1"), (Kind.LATE, "port2")]


class Keeper(FakePort):
    """A port that keeps what is sent while it is closed, and delivers it when it opens."""

    up = True

    def arrivals(self) -> list[Arrival]:
        return super().arrivals() if self.up else []

    def close(self) -> None:
        self.up = False

    def open(self) -> None:
        self.up = True


def test_frames_that_are_kept_for_a_closed_port_are_seen_when_the_test_ends() -> None:
    lan = FakeLan()
    lan.all[2] = keeper = Keeper(2)
    lan.all[0].others, keeper.others = [lan.all[1], keeper], lan.all[:2]
    tester = Testbench(lan)
    sender, owner, leaves = tester.ports(3)
    leaves.close()
    frame = ethernet(BROADCAST, sender)
    assert tester.exchange(sender, frame) == {owner: [frame]}
    assert tester.violations == []
    tester.finish()
    assert [(difference.kind, difference.port) for difference in tester.violations] == [
        (Kind.STALE, "port2")
    ]


def test_a_frame_of_an_earlier_exchange_is_stale_though_it_is_like_the_one_expected() -> None:
    lan = FakeLan()
    bench = Testbench(lan)
    sender, owner, other = bench.ports(3)
    old = ethernet(owner, sender)
    new = old[:-1] + bytes((old[-1] ^ 1,))
    assert bench.exchange(sender, old) == {owner: [old], other: [old]}

    def send(frame: bytes, layout: Layout | None = None) -> None:
        del frame, layout
        lan.all[1].coming.append(old)

    lan.all[0].send = send  # type: ignore[method-assign]
    delivery = bench.exchange(sender, new)
    kinds = [difference.kind for difference in classify(delivery, {owner: [new]})]
    assert kinds == [Kind.STALE, Kind.MISSING]
