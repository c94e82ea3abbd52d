"""PORT. Ports that leave and come back."""

from __future__ import annotations

from itertools import permutations

import pytest

from harness.exchange import Testbench
from harness.frames import BROADCAST, ethernet
from harness.plugin.marks import rule


@rule("PORT-1")
@pytest.mark.parametrize("kind", ["unicast", "broadcast"])
def test_nothing_that_was_sent_meanwhile_arrives_on_return(lan: Testbench, kind: str) -> None:
    sender, leaves = lan.pair()
    to = leaves.mac if kind == "unicast" else BROADCAST
    leaves.close()
    for number in range(12):
        lan.wire(sender, ethernet(to, sender, stamp=number))
    leaves.open()
    frame = ethernet(leaves, sender, stamp=99)
    assert lan.exchange(sender, frame) == {leaves: [frame]}


@rule("PORT-1")
def test_a_port_that_left_twice_gets_only_what_is_new(lan: Testbench) -> None:
    sender, leaves = lan.pair()
    for turn in range(2):
        leaves.close()
        lan.wire(sender, ethernet(leaves, sender, stamp=turn))
        leaves.open()
        frame = ethernet(leaves, sender, stamp=10 + turn)
        assert lan.exchange(sender, frame) == {leaves: [frame]}


@rule("PORT-2")
@pytest.mark.parametrize(
    "order", list(permutations(range(3))), ids=lambda order: "".join(map(str, order))
)
def test_ports_that_return_in_any_order_get_their_own_frames(
    lan: Testbench, order: tuple[int, ...]
) -> None:
    sender, *others = lan.ports(4)
    for port in others:
        port.close()
    for number in order:
        others[number].open()
        frame = ethernet(others[number], sender, stamp=number)
        assert lan.exchange(sender, frame) == {others[number]: [frame]}
    for port in others:
        frame = ethernet(port, sender, stamp=9)
        assert lan.exchange(sender, frame) == {port: [frame]}
        answer = ethernet(sender, port, stamp=9)
        assert lan.exchange(port, answer) == {sender: [answer]}


@rule("PORT-2")
def test_one_that_leaves_takes_nothing_from_the_others(lan: Testbench) -> None:
    sender, stays, leaves = lan.ports(3)
    for turn in range(3):
        leaves.close()
        frame = ethernet(stays, sender, stamp=turn)
        assert lan.exchange(sender, frame) == {stays: [frame]}
        frame = ethernet(BROADCAST, sender, stamp=turn)
        assert lan.exchange(sender, frame) == {stays: [frame]}
        leaves.open()
        frame = ethernet(BROADCAST, sender, stamp=10 + turn)
        assert lan.exchange(sender, frame) == {stays: [frame], leaves: [frame]}


@rule("PORT-3")
def test_a_port_that_is_down_sends_nothing(lan: Testbench) -> None:
    sender, owner, other = lan.ports(3)
    frame = ethernet(owner, sender, stamp=9)
    assert lan.exchange(sender, frame) == {owner: [frame]}
    sender.close()
    for to in (owner.mac, BROADCAST):
        lan.try_sending(sender, ethernet(to, sender))
        frame = ethernet(owner, other)
        assert lan.exchange(other, frame) == {owner: [frame]}
    sender.open()
    frame = ethernet(owner, sender, stamp=1)
    assert lan.exchange(sender, frame) == {owner: [frame]}


@rule("PORT-3")
def test_a_port_that_is_down_teaches_nothing(lan: Testbench) -> None:
    sender, leaves, other = lan.ports(3)
    stranger = lan.fresh_address()
    leaves.close()
    lan.try_sending(leaves, ethernet(BROADCAST, stranger))
    lan.wire(sender, ethernet(stranger, sender))
    leaves.open()
    lan.wire(sender, ethernet(stranger, sender, stamp=1))
    frame = ethernet(other, sender)
    assert lan.exchange(sender, frame) == {other: [frame]}


@rule("PORT-4")
@pytest.mark.parametrize("turns", [5, 100])
def test_many_departures_change_nothing(lan: Testbench, turns: int) -> None:
    sender, leaves, stays = lan.ports(3)
    if lan.traits.settles != "barrier":
        turns = min(turns, 20)
    for _ in range(turns):
        leaves.close()
        leaves.open()
    for to in (leaves, stays):
        frame = ethernet(to, sender)
        assert lan.exchange(sender, frame) == {to: [frame]}
    frame = ethernet(BROADCAST, leaves)
    assert lan.exchange(leaves, frame) == {sender: [frame], stays: [frame]}
