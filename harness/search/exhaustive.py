"""Exhaustive checks of small LANs.

Two spaces are walked. *Stimuli*: every LAN of up to three peers, each slot in each of five
states, and every frame from a grid of destinations, lengths and section shapes. *Sequences*:
every sequence of up to four steps on two peers. What happens is compared after each step.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from harness.frames import BROADCAST, EXPERIMENTAL, LARGEST, PAGE, fragmented, payload
from harness.lan import Layout
from harness.lans.lguest import LguestLan
from harness.search.lockstep import Lockstep

SLOT_STATES = ("unused", "ghost", "closed", "open", "promiscuous")
MOST_PEERS = 3
NOBODY = bytes.fromhex("02001234abcd")
GROUP = bytes.fromhex("333300000001")
LENGTHS = (6, 7, 13, 14, 15, 59, 60, 1513, 1514, 1515, 4095, 4096, 4097, LARGEST)
MOST_STEPS = 4
STARTS = ("new", "open")
"""Both devices never opened, or both open."""

Make = Callable[[], LguestLan]


@dataclass(slots=True)
class Coverage:
    """What a walk covered: distinct ``states``, and ``transitions`` made and compared."""

    states: set[object] = field(default_factory=set)
    transitions: int = 0


# Stimuli


def lans() -> list[tuple[str, ...]]:
    """Every LAN of up to three peers, as the state of each slot."""
    return [
        states
        for count in range(1, MOST_PEERS + 1)
        for states in itertools.product(SLOT_STATES, repeat=count)
    ]


def layouts(length: int) -> list[Layout]:
    """Section shapes for a frame: around page boundaries, and around 16 sections."""
    offsets = {0, 1, PAGE - 1, -length % PAGE, (1 - length) % PAGE}
    shapes = [Layout(None, offset) for offset in sorted(offsets) if offset + length <= 16 * PAGE]
    for linear, offset in ((14, 0), (14, PAGE - 6), (6, 0)):
        for count in (1, 13, 14, 15, 16, 17, 20):
            rest = length - linear
            if count <= rest <= count * PAGE:
                shapes.append(fragmented(length, linear, count, offset))
    return shapes


def prepare(lockstep: Lockstep, states: Sequence[str]) -> None:
    """Bring each slot of a new LAN into its state."""
    for slot, state in enumerate(states):
        if state != "unused":
            lockstep.open(slot)
        if state == "ghost":
            lockstep.die(slot)
        elif state == "closed":
            lockstep.close(slot)
        elif state == "promiscuous":
            lockstep.listen(slot, "promiscuous")


def destinations(lockstep: Lockstep) -> list[bytes]:
    """Every class of destination: each peer's own, an unused one, zero, a group, broadcast."""
    return [device.address for device in lockstep.devices] + [NOBODY, bytes(6), GROUP, BROADCAST]


def walk_stimuli(make: Make, states: Sequence[str], coverage: Coverage) -> None:
    """Every frame of the grid on one LAN; Mismatch describes the first that differs."""
    lan = make()
    lan.host.trace = False
    try:
        lockstep = Lockstep(lan, len(states))
        prepare(lockstep, states)
        start = len(lockstep.steps)
        body = payload(LARGEST)
        for slot, state in enumerate(states):
            if state not in ("open", "promiscuous"):
                continue
            source = lockstep.devices[slot].address + EXPERIMENTAL.to_bytes(2, "big")
            for destination in destinations(lockstep):
                head = destination + source
                for length in LENGTHS:
                    frame = (head + body[: max(0, length - 14)])[:length]
                    for layout in layouts(length):
                        del lockstep.steps[start:]
                        lockstep.transmit(slot, frame, layout)
                        coverage.states.add(lockstep.seen())
                        for device in lockstep.devices:
                            if device.guest.pending:
                                lockstep.interrupt(device.slot)
                        coverage.states.add(lockstep.seen())
        coverage.transitions += lockstep.transitions
    finally:
        lan.close()


# Sequences

Step = tuple[str, int, str]
"""The action, the slot that acts, and to whom or how."""


def alphabet() -> list[Step]:
    """Every step that either of two peers can make."""
    return [
        (what, slot, how)
        for slot in (0, 1)
        for what, how in (
            ("open", ""),
            ("close", ""),
            ("interrupt", ""),
            ("listen", "promiscuous"),
            ("listen", "groups"),
            ("listen", "nothing"),
            ("transmit", "other"),
            ("transmit", "own"),
            ("transmit", "nobody"),
            ("transmit", "everybody"),
        )
    ]


def possible(step: Step, is_open: Sequence[bool]) -> bool:
    """Whether a Guest's kernel would make this step, given which devices are open."""
    what, slot, _ = step
    if what == "open":
        return not is_open[slot]
    return is_open[slot] or what not in ("close", "transmit")


def make_step(lockstep: Lockstep, step: Step, number: int) -> None:
    """Make a step; the frame of a transmit is its own for each ``number``."""
    what, slot, how = step
    match what:
        case "open":
            lockstep.open(slot)
        case "close":
            lockstep.close(slot)
        case "interrupt":
            lockstep.interrupt(slot)
        case "listen":
            lockstep.listen(slot, how)
        case _:
            own = lockstep.devices[slot].address
            to = {"other": lockstep.devices[1 - slot].address, "own": own, "nobody": NOBODY}
            destination = to.get(how, BROADCAST)
            lockstep.transmit(slot, destination + own + b"\x88\xb5" + bytes((number,)) * 46)


def walk_sequences(make: Make, start: str, first: Step, coverage: Coverage) -> None:
    """Every sequence of up to four steps from a start that begins with one given step."""
    for sequence in sequences(start, (first,)):
        lan = make()
        lan.host.trace = False
        try:
            lockstep = Lockstep(lan, 2)
            prepare(lockstep, _slot_states(start))
            for number, step in enumerate(sequence):
                make_step(lockstep, step, number)
                coverage.states.add(lockstep.seen())
            coverage.transitions += lockstep.transitions
        finally:
            lan.close()


def _slot_states(start: str) -> tuple[str, str]:
    return ("open", "open") if start == "open" else ("unused", "unused")


def sequences(start: str, begun: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """The sequences of full length that begin so; shorter ones are their prefixes."""
    if len(begun) == MOST_STEPS:
        yield begun
        return
    is_open = [start == "open"] * 2
    for what, slot, _ in begun:
        if what in ("open", "close"):
            is_open[slot] = what == "open"
    for step in alphabet():
        if possible(step, is_open):
            yield from sequences(start, (*begun, step))


def first_steps(start: str) -> list[Step]:
    """The steps that a sequence from this start can begin with."""
    return [step for step in alphabet() if possible(step, [start == "open"] * 2)]
