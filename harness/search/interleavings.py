"""Every order in which other Guests can act at the explicit points of a scenario.

A scenario is a short program of one Guest. At each point that it passes, another Guest may
do nothing or make one step of its menu; that step passes points of its own. All choices
are walked, one run each, up to so many steps by others. No single result
fits every order, so invariants are checked afterwards: whole frames, none twice, none lost,
none out of order, no Guest killed, every peer reachable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.frames import BROADCAST, EXPERIMENTAL
from harness.lans.lguest import LguestLan
from harness.lguest.driver import NetDevice
from harness.lguest.events import Fault, Killed, Point
from harness.lguest.memory import Owner

Make = Callable[[], LguestLan]


class Violation(AssertionError):
    """An order of steps in which an invariant does not hold."""


@dataclass(slots=True)
class World:
    """A LAN in one run: its devices, what was sent, and who is in the middle of a step.

    While a copy holds the Host's lock (``locks``), no other hypercall can be made.
    """

    lan: LguestLan
    devices: list[NetDevice]
    sent: list[bytes] = field(default_factory=list)
    busy: list[Owner] = field(default_factory=list)
    locks: int = 0
    log: list[str] = field(default_factory=list)
    closed: set[int] = field(default_factory=set)

    def transmit(self, number: int, to: bytes) -> None:
        """A frame of its own, sent if the device is open."""
        device = self.devices[number]
        if device.is_open:
            stamp = len(self.sent).to_bytes(2, "big")
            frame = to + device.address + EXPERIMENTAL.to_bytes(2, "big") + stamp * 23
            self.sent.append(frame)
            device.transmit(frame)

    def unicast(self, number: int, other: int) -> None:
        """One peer sends to another."""
        self.transmit(number, self.devices[other].address)

    def broadcast(self, number: int) -> None:
        """One peer sends to all."""
        self.transmit(number, BROADCAST)

    def interrupt(self, number: int) -> None:
        """A peer takes its pending interrupt."""
        self.devices[number].guest.interrupt()

    def close(self, number: int) -> None:
        """A peer leaves, if its device is open."""
        if self.devices[number].is_open:
            self.closed.add(number)
            self.devices[number].close()

    def open(self, number: int) -> None:
        """A peer joins, unless its device is open."""
        if not self.devices[number].is_open:
            self.devices[number].open()


Step = tuple[str, tuple[int, ...]]
"""A method of World and its arguments; the first is the peer that acts."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """``before`` undisturbed, then ``main`` with the others' ``menu`` at every point."""

    name: str
    peers: int
    before: tuple[Step, ...]
    main: tuple[Step, ...]
    menu: tuple[Step, ...]
    most: int = 2


_OPEN_2: tuple[Step, ...] = (("open", (0,)), ("open", (1,)))
_OPEN_3: tuple[Step, ...] = (*_OPEN_2, ("open", (2,)))
_FULL: tuple[Step, ...] = (("unicast", (1, 0)),) * 8

SCENARIOS = (
    Scenario(
        "a refill, while others send (RCV-2)",
        3,
        (*_OPEN_3, ("unicast", (1, 0)), ("broadcast", (2,))),
        (("interrupt", (0,)),),
        (("unicast", (1, 0)), ("broadcast", (2,)), ("interrupt", (1,)), ("interrupt", (2,))),
        most=3,
    ),
    Scenario(
        "a refill of a full ring, while another sends (RCV-2)",
        2,
        (*_OPEN_2, *_FULL),
        (("interrupt", (0,)),),
        (("unicast", (1, 0)), ("close", (1,))),
    ),
    Scenario(
        "the gap between the two tries (DMA-5)",
        3,
        (*_OPEN_3, *_FULL),
        (("unicast", (2, 0)), ("broadcast", (2,))),
        (("interrupt", (0,)), ("unicast", (1, 0)), ("close", (0,)), ("interrupt", (1,))),
    ),
    Scenario(
        "between publish and bind (LIF-2)",
        3,
        (("open", (1,)), ("open", (2,))),
        (("open", (0,)), ("unicast", (0, 1))),
        (("unicast", (1, 0)), ("broadcast", (2,)), ("close", (1,)), ("interrupt", (2,))),
    ),
    Scenario(
        "a close, with an interrupt pending (DEF-6)",
        3,
        (*_OPEN_3, ("unicast", (1, 0))),
        (("close", (0,)), ("interrupt", (0,))),
        (("unicast", (1, 0)), ("broadcast", (2,)), ("interrupt", (1,)), ("close", (2,))),
    ),
    Scenario(
        "a close and an open, with buffers filled",
        2,
        (*_OPEN_2, ("unicast", (1, 0)), ("unicast", (1, 0))),
        (("close", (0,)), ("open", (0,)), ("interrupt", (0,))),
        (("unicast", (1, 0)), ("broadcast", (1,)), ("interrupt", (1,))),
        most=3,
    ),
    Scenario(
        "a broadcast, while peers come and go",
        3,
        (*_OPEN_2, ("unicast", (1, 0))),
        (("broadcast", (0,)), ("interrupt", (0,))),
        (("open", (2,)), ("close", (1,)), ("close", (2,)), ("unicast", (1, 0))),
        most=3,
    ),
)


def walk(make: Make, scenario: Scenario) -> int:
    """Every order of a scenario; how many there were. Violation describes the first bad one."""
    choices: list[int] = []
    runs = 0
    while True:
        options = _run(make, scenario, choices)
        runs += 1
        choices += [0] * (len(options) - len(choices))
        while choices and choices[-1] + 1 >= options[len(choices) - 1]:
            choices.pop()
        if not choices:
            return runs
        choices[-1] += 1


def _run(make: Make, scenario: Scenario, choices: Sequence[int]) -> list[int]:
    """One order; the number of options at each choice."""
    options: list[int] = []
    lan = make()
    lan.host.trace = False
    try:
        world = World(lan, [lan.device(slot) for slot in range(scenario.peers)])
        for name, arguments in scenario.before:
            getattr(world, name)(*arguments)
        acted = 0

        def interleave(point: Point, guest: Owner) -> None:
            nonlocal acted
            if acted >= scenario.most:
                return
            world.busy.append(guest)
            world.locks += point is Point.COPIED
            free = [
                step
                for step in scenario.menu
                if all(world.devices[step[1][0]].guest is not busy for busy in world.busy)
                and (not world.locks or step[0] == "interrupt")
            ]
            options.append(len(free) + 1)
            at = len(options) - 1
            chosen = choices[at] if at < len(choices) else 0
            if chosen:
                acted += 1
                name, arguments = free[chosen - 1]
                world.log.append(f"at {point.name}: {name}{arguments}")
                getattr(world, name)(*arguments)
            world.locks -= point is Point.COPIED
            world.busy.pop()

        lan.host.interleave = interleave
        for name, arguments in scenario.main:
            world.log.append(f"{name}{arguments}")
            getattr(world, name)(*arguments)
        lan.host.interleave = None
        _check(world, scenario)
    finally:
        lan.close()
    return options


def _check(world: World, scenario: Scenario) -> None:
    """Check the invariants once all is quiet."""
    lan = world.lan
    for device in world.devices:
        device.guest.interrupt()

    def demand(holds: bool, what: str) -> None:
        if not holds:
            order = "\n".join(world.log)
            raise Violation(f"{scenario.name}: {what}, in this order:\n{order}")

    for event in lan.host.events:
        demand(not isinstance(event, Fault | Killed), f"unexpected event {event}")
    for number, device in enumerate(world.devices):
        got = lan.received(device)
        mine = [
            frame
            for frame in world.sent
            if frame[:6] in (device.address, BROADCAST) and frame[6:12] != device.address
        ]
        demand(
            all(frame in mine for frame in got),
            f"peer {number} got a frame that was never sent to it",
        )
        demand(len(set(got)) == len(got), f"peer {number} got a frame twice")
        for sender in world.devices:
            order = [world.sent.index(frame) for frame in got if frame[6:12] == sender.address]
            demand(order == sorted(order), f"peer {number} got frames out of order")
        published = lan.pages.published(device.slot)
        wanted = device.address if device.is_open else bytes(6)
        demand(published == wanted, f"peer {number} publishes {published.hex(':')}")
    sent = sum(device.counters.tx_packets for device in world.devices)
    received = sum(device.counters.rx_packets for device in world.devices)
    if not world.closed:
        demand(sent == received, f"{sent} frames were copied whole, {received} passed up")
    demand(received <= sent, f"{sent} frames were copied whole, {received} passed up")
    _reach_everybody(world, demand)


def _reach_everybody(world: World, demand: Callable[[bool, str], None]) -> None:
    """Every open peer can receive a whole ring of frames from every other."""
    opened = [device for device in world.devices if device.is_open]
    for sender in opened:
        for owner in opened:
            if owner is not sender:
                before = len(world.lan.received(owner))
                world.log.append(f"control from {sender.guest.id} to {owner.guest.id}")
                start = len(world.sent)
                for _ in range(8):
                    world.unicast(world.devices.index(sender), world.devices.index(owner))
                owner.guest.interrupt()
                got = world.lan.received(owner)[before:]
                demand(got == world.sent[start:], "a control was lost")
