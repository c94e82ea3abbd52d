"""LOAD. Bursts, long runs, and more than the LAN can hold."""

from __future__ import annotations

import pytest

from harness.exchange import Testbench
from harness.frames import BROADCAST, LONGEST, ethernet
from harness.plugin.marks import rule

MOST_UNREAD = 200
"""Short frames that the sockets between a real LAN and its ports hold in any case."""

MOST_BYTES = 65_536
"""Bytes that those sockets hold in any case."""

MOST_IN_MEMORY = 4000
"""More than the queues of any LAN hold that delivers while it is called."""

MOST_COUNTED = 64
"""Frames in the largest of the bursts that grow by one."""

LONG_RUN = 66_000
"""More frames than a 16-bit index counts."""


@rule("LOAD-1")
@pytest.mark.parametrize("size", [60, 1514])
def test_a_burst_of_the_declared_size_arrives_complete(lan: Testbench, size: int) -> None:
    sender, owner = lan.pair()
    lan.require_length(size)
    for turn in range(3):
        lan.stream(
            (sender, ethernet(owner, sender, size=size, stamp=1000 * turn + number))
            for number in range(lan.traits.burst)
        )


@rule("LOAD-1")
def test_a_burst_of_the_longest_frames_arrives_complete(lan: Testbench) -> None:
    sender, owner = lan.pair()
    cut = lan.traits.oversized == "cut"
    size = min(lan.traits.longest, LONGEST) if cut else lan.traits.longest
    in_sockets = max(1, MOST_BYTES // size)
    count = lan.traits.burst if lan.traits.settles == "barrier" else in_sockets
    lan.stream(
        (sender, ethernet(owner, sender, size=size, stamp=number))
        for number in range(min(lan.traits.burst, count))
    )


@rule("LOAD-1")
def test_bursts_of_every_number_of_frames_arrive_complete(lan: Testbench) -> None:
    sender, owner = lan.pair()
    for count in range(1, min(lan.traits.burst, MOST_COUNTED) + 1):
        frames = (ethernet(owner, sender, stamp=100 * count + number) for number in range(count))
        lan.stream((sender, frame) for frame in frames)


@rule("LOAD-1")
def test_a_burst_of_broadcasts_arrives_complete(lan: Testbench) -> None:
    sender, *_ = lan.some_ports(3)
    lan.stream(
        (sender, ethernet(BROADCAST, sender, stamp=number)) for number in range(lan.traits.burst)
    )


@rule("LOAD-2")
def test_bursts_in_both_directions_arrive_complete(lan: Testbench) -> None:
    one, other = lan.pair()
    lan.stream(
        (by, ethernet(to, by, size=60 + 37 * number % 1400, stamp=number))
        for number in range(max(2, lan.traits.burst // 2))
        for by, to in ((one, other), (other, one))
    )


@rule("LOAD-2")
def test_bursts_of_all_ports_arrive_complete(lan: Testbench) -> None:
    ports = lan.ports(4)
    lan.stream(
        (sender, ethernet(ports[(number + 1) % 4], sender, stamp=turn))
        for turn in range(max(2, lan.traits.burst // 4))
        for number, sender in enumerate(ports)
    )


@rule("LOAD-2")
def test_many_to_one_arrives_complete(lan: Testbench) -> None:
    owner, *senders = lan.some_ports(6)
    lan.stream(
        (sender, ethernet(owner, sender, stamp=turn))
        for turn in range(max(2, lan.traits.burst // 5))
        for sender in senders
    )


@rule("LOAD-2")
def test_long_frames_of_several_senders_do_not_mix(lan: Testbench) -> None:
    owner, *senders = lan.some_ports(4, least=3)
    for size in [size for size in (1_400, 1_473, 1_500, 1_514) if size <= lan.traits.longest]:
        lan.stream(
            (sender, ethernet(owner, sender, size=size, stamp=turn))
            for turn in range(max(4, lan.traits.burst // 2))
            for sender in senders
        )


@rule("LOAD-3")
@pytest.mark.parametrize("count", [300, 1100, 4200])
def test_frames_still_cross_after_many(lan: Testbench, count: int) -> None:
    sender, owner = lan.pair()
    lan.stream([(owner, ethernet(sender, owner, stamp=1))])
    lan.stream((sender, ethernet(owner, sender, stamp=number)) for number in range(count))
    answer = ethernet(sender, owner)
    assert lan.exchange(owner, answer) == {sender: [answer]}


@rule("LOAD-3")
def test_broadcasts_still_cross_after_many(lan: Testbench) -> None:
    sender, *_ = lan.some_ports(3)
    lan.stream((sender, ethernet(BROADCAST, sender, stamp=number)) for number in range(1100))


@rule("LOAD-3")
def test_frames_still_cross_after_sixteen_bits_of_them(lan: Testbench) -> None:
    sender, owner, *others = lan.some_ports(lan.traits.ports, least=2)
    if lan.kind == "repeater":
        for port in others[1:]:
            port.close()  # or each of them receives every frame as well
    head = ethernet(owner, sender, size=14)
    lan.stream((sender, head + number.to_bytes(4, "big") + bytes(42)) for number in range(LONG_RUN))
    answer = ethernet(sender, owner)
    assert lan.exchange(owner, answer) == {sender: [answer]}


@rule("LOAD-4")
@pytest.mark.parametrize("factor", [4, 40])
def test_after_more_than_the_lan_holds_every_port_works(lan: Testbench, factor: int) -> None:
    sender, owner, other = lan.ports(3)
    limit = MOST_IN_MEMORY if lan.traits.settles == "barrier" else MOST_UNREAD
    count = min(factor * max(lan.traits.burst, 8), limit)
    lan.overload(sender, [ethernet(owner, sender, stamp=number) for number in range(count)])
    for by, to in ((sender, owner), (owner, sender), (other, owner), (sender, other)):
        frame = ethernet(to, by, stamp=count)
        assert lan.exchange(by, frame) == {to: [frame]}
    lan.stream(
        (sender, ethernet(owner, sender, stamp=2 * count + number))
        for number in range(lan.traits.burst)
    )
