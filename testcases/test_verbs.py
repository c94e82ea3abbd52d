"""PORT, LOAD, GRP, LRN, CNT: what ports do besides sending, on LANs that declare it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.bench_port import BenchPort
from harness.comparing import same
from harness.exchange import Testbench
from harness.frames import BROADCAST, ethernet
from harness.lan import Port
from harness.plugin.marks import rule

from .kit.groups import pseudo_random_groups

UNREAD = 40
"""Frames that wait at a port which takes none, at most."""

FLOOD = 400
"""Frames for a port that takes none: more than a socket holds."""

MANY_GROUPS = 70
"""More groups than a filter of 64 has places."""


def group(number: int) -> bytes:
    """An IPv4 group of the organisation's own, by number."""
    return bytes.fromhex("01005e4000") + bytes((number,))


def reaches(lan: Testbench, sender: BenchPort, frame: bytes, *owners: BenchPort) -> None:
    """A frame reaches these ports; whether others may receive it, the model says."""
    delivery = lan.wire(sender, frame)
    expected: dict[Port, Sequence[bytes]] = {**delivery.received}
    expected |= {port: [frame] for port in owners}
    assert delivery == expected


def everybody_works(lan: Testbench, *ports: BenchPort) -> None:
    """Every port reaches the next one, and all others by broadcast."""
    for number, sender in enumerate(ports):
        to = ports[(number + 1) % len(ports)]
        lan.wire(sender, ethernet(to, sender, stamp=900 + number))
        lan.wire(sender, ethernet(BROADCAST, sender, stamp=900 + number))


# PORT-5: the link


@rule("PORT-5")
@pytest.mark.parametrize("kind", ["unicast", "broadcast"])
def test_nothing_crosses_a_link_that_is_down(lan: Testbench, kind: str) -> None:
    lan.require_verbs("link")
    sender, owner, other = lan.ports(3)
    owner.link_down()
    to = owner.mac if kind == "unicast" else BROADCAST
    for number in range(6):
        lan.wire(sender, ethernet(to, sender, stamp=number))
        lan.try_sending(owner, ethernet(sender, owner, stamp=number))
        frame = ethernet(other, sender, stamp=number)
        reaches(lan, sender, frame, other)
    owner.link_up()
    everybody_works(lan, sender, owner, other)


@rule("PORT-5")
def test_a_link_that_fails_again_and_again_changes_nothing(lan: Testbench) -> None:
    lan.require_verbs("link")
    ports = lan.ports(3)
    for turn in range(12):
        port = ports[turn % 3]
        port.link_down()
        lan.wire(ports[(turn + 1) % 3], ethernet(port, ports[(turn + 1) % 3], stamp=turn))
        port.link_up()
    everybody_works(lan, *ports)


@rule("PORT-5")
def test_a_port_that_leaves_without_a_link_returns_without_one(lan: Testbench) -> None:
    lan.require_verbs("link")
    sender, owner, other = lan.ports(3)
    owner.close()
    owner.open()
    owner.link_down()
    for number in range(3):
        frame = ethernet(BROADCAST, sender, stamp=number)
        reaches(lan, sender, frame, other)
    owner.link_up()
    frame = ethernet(owner, sender, stamp=9)
    reaches(lan, sender, frame, owner)


@rule("LRN-8")
def test_what_was_learned_at_a_link_that_fails_is_flooded_again(lan: Testbench) -> None:
    lan.require_verbs("link")
    sender, owner, *others = lan.ports(4)
    addresses = [lan.fresh_address() for _ in range(4)]
    for address in addresses:
        lan.teach(owner, address)
    owner.link_down()
    for number, address in enumerate(addresses):
        frame = ethernet(address, sender, stamp=number)
        reaches(lan, sender, frame, *others)


# PORT-6: peers that die


@rule("PORT-6")
@pytest.mark.parametrize("kind", ["unicast", "broadcast"])
def test_a_newcomer_with_the_address_of_a_dead_peer_gets_what_is_new(
    lan: Testbench, kind: str
) -> None:
    lan.require_verbs("vanish")
    sender, dies, other = lan.ports(3)
    frame = ethernet(dies, sender)
    reaches(lan, sender, frame, dies)
    dies.vanish()
    to = dies.mac if kind == "unicast" else BROADCAST
    for number in range(12):
        lan.wire(sender, ethernet(to, sender, stamp=number))
        frame = ethernet(other, sender, stamp=number)
        reaches(lan, sender, frame, other)
    dies.open()
    frame = ethernet(dies, sender, stamp=99)
    reaches(lan, sender, frame, dies)
    everybody_works(lan, sender, dies, other)


@rule("PORT-6")
def test_peers_that_die_again_and_again_take_no_place(lan: Testbench) -> None:
    lan.require_verbs("vanish")
    sender, dies, other = lan.ports(3)
    for turn in range(40 if lan.traits.settles == "barrier" else 12):
        dies.vanish()
        lan.wire(sender, ethernet(dies, sender, stamp=turn))
        dies.open()
    everybody_works(lan, sender, dies, other)


@rule("PORT-6")
def test_two_dead_peers_are_replaced_in_another_order(lan: Testbench) -> None:
    lan.require_verbs("vanish")
    sender, one, two, other = lan.ports(4)
    one.vanish()
    two.vanish()
    lan.wire(sender, ethernet(BROADCAST, sender))
    for port in (two, one):
        port.open()
        frame = ethernet(port, sender, stamp=1)
        reaches(lan, sender, frame, port)
    everybody_works(lan, sender, one, two, other)


# LOAD-5: ports that take no frames


@rule("LOAD-5")
@pytest.mark.parametrize("kind", ["unicast", "broadcast"])
def test_a_port_that_takes_no_frames_stops_no_other(lan: Testbench, kind: str) -> None:
    lan.require_verbs("pause")
    sender, stuck, other = lan.ports(3)
    stuck.pause()
    to = stuck.mac if kind == "unicast" else BROADCAST
    size = min(lan.traits.longest, 1514)
    lan.stream(
        frame
        for number in range(FLOOD)
        for frame in (
            (sender, ethernet(to, sender, size=size, stamp=number)),
            (sender, ethernet(other, sender, stamp=number)),
            (other, ethernet(sender, other, stamp=number)),
        )
    )
    stuck.resume()
    everybody_works(lan, sender, stuck, other)


@rule("LOAD-5")
def test_few_frames_wait_for_a_port_that_takes_none(lan: Testbench) -> None:
    lan.require_verbs("pause")
    sender, stuck, other = lan.ports(3)
    for turn in range(3):
        stuck.pause()
        for number in range(min(UNREAD, lan.traits.burst)):
            lan.wire(sender, ethernet(stuck, sender, stamp=100 * turn + number))
        answer = ethernet(other, stuck, stamp=turn)
        reaches(lan, stuck, answer, other)
        stuck.resume()
        frame = ethernet(stuck, other, stamp=turn)
        reaches(lan, other, frame, stuck)


@rule("LOAD-5")
def test_a_port_that_takes_no_frames_may_leave(lan: Testbench) -> None:
    lan.require_verbs("pause")
    sender, stuck, other = lan.ports(3)
    stuck.pause()
    lan.wire(sender, ethernet(stuck, sender))
    stuck.close()
    frame = ethernet(BROADCAST, sender, stamp=1)
    reaches(lan, sender, frame, other)
    stuck.open()
    stuck.resume()
    everybody_works(lan, sender, stuck, other)


# GRP-3: groups by their addresses


@rule("GRP-3")
def test_a_member_receives_the_frames_of_all_its_groups(lan: Testbench) -> None:
    lan.require_verbs("groups")
    sender, member, _ = lan.ports(3)
    for number in range(MANY_GROUPS):
        member.join_group(group(number))
    lan.stream((sender, ethernet(group(n), sender, stamp=n)) for n in range(MANY_GROUPS))
    lan.stream([(sender, ethernet(group(MANY_GROUPS), sender))])
    lan.stream([(sender, ethernet(BROADCAST, sender))])


@rule("GRP-3")
def test_who_left_a_group_is_no_member_and_the_others_are(lan: Testbench) -> None:
    lan.require_verbs("groups")
    sender, one, two, _ = lan.ports(4)
    for port in (one, two):
        for number in range(4):
            port.join_group(group(number))
    frames = [ethernet(group(number), sender, stamp=number) for number in range(4)]
    for leaves, left in ((one, 1), (two, 2), (two, 1), (one, 3)):
        lan.stream((sender, frame) for frame in frames)
        leaves.leave_group(group(left))
        lan.stream((sender, frame) for frame in frames)
    one.join_groups(0)
    two.join_groups(0)
    lan.stream((sender, frame) for frame in frames)


@rule("GRP-3")
def test_who_leaves_half_of_many_groups_keeps_the_others(lan: Testbench) -> None:
    lan.require_verbs("groups")
    sender, member, _ = lan.ports(3)
    groups = pseudo_random_groups(2 * MANY_GROUPS)
    for address in groups:
        member.join_group(address)
    for address in groups[::2]:
        member.leave_group(address)
    lan.stream((sender, ethernet(address, sender)) for address in groups)
    member.join_group(groups[0])
    member.leave_group(groups[1])
    lan.stream((sender, ethernet(address, sender, stamp=1)) for address in groups[:4])


@rule("GRP-3")
def test_a_member_that_sends_gets_nothing_back(lan: Testbench) -> None:
    lan.require_verbs("groups")
    sender, other, _ = lan.ports(3)
    for turn, port in enumerate((sender, other)):
        port.join_group(group(5))
        lan.wire(sender, ethernet(group(5), sender, stamp=turn))
        lan.wire(other, ethernet(group(5), other, stamp=turn))


@rule("GRP-3")
def test_members_of_one_group_receive_unicasts_and_broadcasts_as_before(lan: Testbench) -> None:
    lan.require_verbs("groups")
    sender, member, other = lan.ports(3)
    member.join_group(group(6))
    everybody_works(lan, sender, member, other)
    member.close()
    lan.wire(sender, ethernet(group(6), sender))
    member.open()
    frame = ethernet(group(6), sender, stamp=1)
    reaches(lan, sender, frame, member)


# LRN-10: ageing


@rule("LRN-10")
def test_a_silent_address_is_forgotten_after_the_ageing_time(lan: Testbench) -> None:
    lan.require_verbs("age")
    ageing_s = lan.traits.ageing_s or 0.0
    sender, owner, other = lan.ports(3)
    silent, speaks = lan.fresh_address(), lan.fresh_address()
    lan.teach(owner, silent)
    for turn in range(4):
        lan.teach(owner, speaks)
        lan.age(ageing_s * 0.6)
        frame = ethernet(speaks, sender, stamp=turn)
        reaches(lan, sender, frame, owner)
    frame = ethernet(silent, sender)
    reaches(lan, sender, frame, owner, other)


@rule("LRN-10")
def test_an_address_is_known_until_the_ageing_time_is_over(lan: Testbench) -> None:
    lan.require_verbs("age")
    ageing_s = lan.traits.ageing_s or 0.0
    sender, owner, _ = lan.ports(3)
    address = lan.fresh_address()
    lan.teach(owner, address)
    for number in range(3):
        lan.age(ageing_s * 0.3)
        frame = ethernet(address, sender, stamp=number)
        reaches(lan, sender, frame, owner)


@rule("LRN-10")
def test_a_station_that_moves_is_as_young_as_its_last_frame(lan: Testbench) -> None:
    lan.require_verbs("age")
    ageing_s = lan.traits.ageing_s or 0.0
    sender, first, second = lan.ports(3)
    address = lan.fresh_address()
    lan.teach(first, address)
    for turn, owner in enumerate((second, first, second)):
        lan.age(ageing_s * 0.6)
        lan.teach(owner, address)
        lan.age(ageing_s * 0.6)
        frame = ethernet(address, sender, stamp=turn)
        reaches(lan, sender, frame, owner)


@rule("LRN-10")
def test_frames_for_an_address_do_not_keep_it_known(lan: Testbench) -> None:
    lan.require_verbs("age")
    ageing_s = lan.traits.ageing_s or 0.0
    sender, owner, other = lan.ports(3)
    address = lan.fresh_address()
    lan.teach(owner, address)
    for number in range(4):
        lan.age(ageing_s * 0.6)
        lan.wire(sender, ethernet(address, sender, stamp=number))
    frame = ethernet(address, sender, stamp=9)
    reaches(lan, sender, frame, owner, other)


# CNT-5: counters


@rule("CNT-5")
def test_counters_equal_what_was_sent_and_delivered(lan: Testbench) -> None:
    lan.require_verbs("counters")
    ports = lan.ports(4)
    before = [port.counters() for port in ports]
    size = min(lan.traits.longest, 1514)
    sent = [
        (sender, ethernet(to, sender, size=size if number % 3 == 0 else 60, stamp=number))
        for number, (sender, to) in enumerate(
            (sender, to)
            for sender in ports
            for to in (ports[0], BROADCAST, group(9), ports[3], lan.fresh_address(), sender)
        )
    ]
    delivery = lan.exchange_all(sent)
    for port, old in zip(ports, before, strict=True):
        after = port.counters()
        same(f"growth of the frames sent, {port.name}", after.sent - old.sent, 6)
        received = len(delivery.received[port])
        same(f"growth of the frames received, {port.name}", after.received - old.received, received)


@rule("CNT-5")
def test_counters_do_not_go_back_when_a_port_leaves(lan: Testbench) -> None:
    lan.require_verbs("counters")
    sender, leaves, _ = lan.ports(3)
    for turn in range(3):
        lan.wire(sender, ethernet(leaves, sender, stamp=turn))
        lan.wire(leaves, ethernet(sender, leaves, stamp=turn))
    before = leaves.counters()
    leaves.close()
    lan.wire(sender, ethernet(leaves, sender, stamp=7))
    leaves.open()
    after = leaves.counters()
    for what in ("sent", "received"):
        count = getattr(after, what)
        least = getattr(before, what)
        same(f"frames {what}, not fewer than before it left", count, max(count, least))
    frame = ethernet(leaves, sender, stamp=8)
    reaches(lan, sender, frame, leaves)
    same("frames received, one later", leaves.counters().received, after.received + 1)
