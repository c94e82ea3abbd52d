"""Random programs on a simulated LAN, compared with the oracle (by Hypothesis).

A program that differs is shrunk and printed as steps to paste into a test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

try:
    from hypothesis import HealthCheck, Phase, seed, settings
    from hypothesis import strategies as st
    from hypothesis.stateful import (
        RuleBasedStateMachine,
        precondition,
        rule,
        run_state_machine_as_test,
    )
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "random programs need Hypothesis: pip install 'lguest-harness[search]'", name=error.name
    ) from None

from harness.frames import BROADCAST, EXPERIMENTAL, PAGE, payload
from harness.lans.lguest import LguestLan
from harness.search.exhaustive import GROUP, NOBODY, layouts
from harness.search.lockstep import Lockstep
from harness.search.oracle import Array

PEERS = 3
MOST_SLOTS = 5
MOST_ARRAYS = 4
PROGRAMS = 40
"""Programs that one seed tries."""

STEPS = 25
"""Steps in the longest program."""

# The length is drawn first, then the shape: drawn as bytes it would hardly ever be long.
LENGTHS = (6, 13, 14, 60, 61, 1513, 1514, 1515, 4096, 9014, 65_535)
SIZES = st.lists(st.sampled_from([1, 5, 6, 13, 14, 15, 100, 1514, PAGE]), max_size=16)
BAD_SECTIONS = ((0xFFFFFFF0, 32), (PAGE * 60 + 4090, 10), (PAGE * 4000, 60), (PAGE * 60, 4097))
_BODY = payload(LENGTHS[-1])


@dataclass(slots=True)
class Tried:
    """What one seed of a campaign covered; ``trace`` is the same whenever the seed is."""

    programs: int = 0
    steps: int = 0
    trace: str = ""


def try_programs(make: Callable[[], LguestLan], number: int) -> Tried:
    """All the programs of one seed; Mismatch holds the shortest one that differs."""
    tried = Tried()
    digest = hashlib.sha256()

    class Program(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.lan = make()
            self.lockstep = Lockstep(self.lan, PEERS)
            tried.programs += 1

        def teardown(self) -> None:
            digest.update(repr(self.lockstep.steps).encode())
            tried.steps += self.lockstep.transitions
            self.lan.close()

        def which(self, slots: list[int], choice: int) -> int:
            return slots[choice % len(slots)]

        def open_slots(self) -> list[int]:
            return [slot for slot, peer in self.lockstep.expected.peers.items() if peer.is_open]

        def closed_slots(self) -> list[int]:
            peers = self.lockstep.expected.peers.items()
            return [slot for slot, peer in peers if peer.alive and not peer.is_open]

        def living_slots(self) -> list[int]:
            return [slot for slot, peer in self.lockstep.expected.peers.items() if peer.alive]

        def able_senders(self) -> list[int]:
            peers = self.lockstep.expected.peers
            return [slot for slot in self.open_slots() if peers[slot].alive]

        def arrays_of(self, slot: int) -> list[Array | None]:
            return self.lockstep.by_hand.get(self.lockstep.devices[slot].guest.id, [])

        @precondition(lambda self: self.closed_slots())
        @rule(choice=st.integers(0, PEERS - 1))
        def join(self, choice: int) -> None:
            self.lockstep.open(self.which(self.closed_slots(), choice))

        @precondition(lambda self: self.able_senders())
        @rule(choice=st.integers(0, PEERS - 1))
        def leave(self, choice: int) -> None:
            self.lockstep.close(self.which(self.able_senders(), choice))

        @precondition(lambda self: len(self.living_slots()) > 1)
        @rule(choice=st.integers(0, PEERS - 1))
        def die(self, choice: int) -> None:
            self.lockstep.die(self.which(self.living_slots(), choice))

        @precondition(lambda self: self.living_slots())
        @rule(
            choice=st.integers(0, PEERS - 1),
            how=st.sampled_from(["promiscuous", "all_multicast", "groups", "nothing"]),
        )
        def flags(self, choice: int, how: str) -> None:
            self.lockstep.listen(self.which(self.living_slots(), choice), how)

        @precondition(lambda self: self.able_senders())
        @rule(
            choice=st.integers(0, PEERS - 1),
            to=st.integers(-4, MOST_SLOTS - 1),
            length=st.sampled_from(LENGTHS),
            shape=st.integers(0, 99),
            times=st.integers(1, 9),
        )
        def transmit(self, choice: int, to: int, length: int, shape: int, times: int) -> None:
            slot = self.which(self.able_senders(), choice)
            devices = self.lockstep.devices
            others = (NOBODY, bytes(6), GROUP, BROADCAST)
            destination = devices[to % len(devices)].address if to >= 0 else others[to]
            shapes = layouts(length)
            for _ in range(times):
                stamp = len(self.lockstep.steps).to_bytes(2, "big")
                head = destination + devices[slot].address + EXPERIMENTAL.to_bytes(2, "big")
                frame = (head + stamp + _BODY)[:length]
                self.lockstep.transmit(slot, frame, shapes[shape % len(shapes)])

        @precondition(lambda self: self.living_slots() and len(self.lockstep.devices) < MOST_SLOTS)
        @rule(choice=st.integers(0, PEERS - 1))
        def second_device(self, choice: int) -> None:
            self.lockstep.second(self.which(self.living_slots(), choice))

        @precondition(lambda self: self.living_slots())
        @rule(choice=st.integers(0, PEERS - 1), left=st.sampled_from([0, 1, 3, 8, 9, None, None]))
        def memory(self, choice: int, left: int | None) -> None:
            self.lockstep.memory(self.which(self.living_slots(), choice), left)

        @precondition(lambda self: self.living_slots())
        @rule(
            choice=st.integers(0, PEERS - 1),
            to=st.integers(0, MOST_SLOTS),
            count=st.sampled_from([1, 1, 3]),
        )
        def bind_array(self, choice: int, to: int, count: int) -> None:
            slot = self.which(self.living_slots(), choice)
            if len(self.arrays_of(slot)) < MOST_ARRAYS:
                self.lockstep.bind_array(slot, to % len(self.lockstep.devices), count)

        @precondition(lambda self: self.living_slots())
        @rule(choice=st.integers(0, PEERS - 1), number=st.integers(0, MOST_ARRAYS - 1))
        def unbind_array(self, choice: int, number: int) -> None:
            slot = self.which(self.living_slots(), choice)
            if number < len(self.arrays_of(slot)):
                self.lockstep.unbind_array(slot, number)

        @precondition(lambda self: self.living_slots())
        @rule(choice=st.integers(0, PEERS - 1), number=st.integers(0, MOST_ARRAYS - 1))
        def empty_array(self, choice: int, number: int) -> None:
            slot = self.which(self.living_slots(), choice)
            if number < len(self.arrays_of(slot)):
                self.lockstep.empty_array(slot, number)

        @precondition(lambda self: self.able_senders())
        @rule(choice=st.integers(0, PEERS - 1), to=st.integers(0, MOST_SLOTS), sizes=SIZES)
        def raw_send_dma(self, choice: int, to: int, sizes: list[int]) -> None:
            slot = self.which(self.able_senders(), choice)
            self.lockstep.send_raw(slot, to, _BODY[: sum(sizes)], tuple(sizes))

        @precondition(lambda self: self.able_senders())
        @rule(
            choice=st.integers(0, PEERS - 1),
            to=st.integers(0, MOST_SLOTS - 1),
            before=st.integers(0, 15),
            bad=st.sampled_from(BAD_SECTIONS),
        )
        def bad_send_dma(self, choice: int, to: int, before: int, bad: tuple[int, int]) -> None:
            slot = self.which(self.able_senders(), choice)
            self.lockstep.send_bad(slot, to, [(PAGE * 60, 10)] * before + [bad])

        @precondition(lambda self: self.living_slots())
        @rule(choice=st.integers(0, PEERS - 1))
        def interrupt(self, choice: int) -> None:
            self.lockstep.interrupt(self.which(self.living_slots(), choice))

        @rule()
        def restock(self) -> None:
            for slot in self.living_slots():
                self.lockstep.interrupt(slot)

    how = settings(
        max_examples=PROGRAMS,
        stateful_step_count=STEPS,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    run_state_machine_as_test(seed(number)(Program), settings=how)
    tried.trace = digest.hexdigest()
    return tried
