"""Every order in which other Guests can act at the explicit points of a scenario.

A scenario is a short program of one Guest. At each point that it passes, another Guest may
do nothing or make one step of its menu; that step passes points of its own. All choices
are walked, one run each, up to so many steps by others. No single result
fits every order, so invariants are checked afterwards: whole frames, none twice, none lost,
none out of order, every peer reachable. Only Guests that a step kills die, and a killed Guest
sends, binds and passes up no more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from harness.frames import BROADCAST, EXPERIMENTAL
from harness.lans.lguest import LguestLan
from harness.lguest import dma
from harness.lguest.driver import Counters, NetDevice
from harness.lguest.events import Copied, Fault, Killed, Point
from harness.lguest.memory import Owner

Make = Callable[[], LguestLan]


BAD_ARRAY = 300 * dma.PAGE_SIZE
"""Where a Guest keeps structures made by hand."""

BAD_SLOT = 600
"""The key of this slot, and those above, are free for arrays bound by hand."""

State = tuple[Counters, int, list[int]]
"""A device's counters, the frames it passed up, and the arrays that its Guest has bound."""


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
    points: list[Point] = field(default_factory=list)
    locks: int = 0
    log: list[str] = field(default_factory=list)
    closed: set[int] = field(default_factory=set)
    killed: dict[int, State] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    most_copies: dict[int, int] = field(default_factory=dict)

    def state(self, number: int) -> State:
        """What a Guest that was killed must leave as it is."""
        device = self.devices[number]
        arrays = [binding.array for binding in self.lan.host.bound_by(device.guest)]
        return replace(device.counters), len(self.lan.received(device)), arrays

    def alive(self, number: int) -> bool:
        """Whether a peer's Guest runs."""
        return self.devices[number].guest.dead is None

    def transmit(self, number: int, to: bytes) -> None:
        """A frame of its own, sent if the device is open."""
        device = self.devices[number]
        if device.is_open and self.alive(number):
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
        if self.alive(number):
            self.devices[number].guest.interrupt()

    def close(self, number: int) -> None:
        """A peer leaves, if its device is open."""
        if self.devices[number].is_open and self.alive(number):
            self.closed.add(number)
            self.devices[number].close()

    def open(self, number: int) -> None:
        """A peer joins, unless its device is open."""
        if not self.devices[number].is_open and self.alive(number):
            self.devices[number].open()

    def second(self, number: int) -> None:
        """A peer's Guest gets one more device on the LAN, which is a peer too."""
        slot = len(self.devices)
        self.devices.append(self.lan.second_device(self.devices[number].guest, slot))

    def bad_array(self, number: int) -> None:
        """A peer binds a buffer with a bad list, by which others can have it killed."""
        device = self.devices[number]
        memory = device.guest.memory
        memory.write(BAD_ARRAY, bytes(4) + dma.pack([(memory.limit, 60)]))
        device.guest.bind_dma(device.peer_key(BAD_SLOT + number), BAD_ARRAY, 1, 9)

    def kill(self, number: int, other: int) -> None:
        """One peer sends to the bad buffer of another, whose Guest dies of it."""
        device, victim = self.devices[number], self.devices[other].guest
        if victim.dead is None and device.guest.dead is None:
            device.guest.memory.write(BAD_ARRAY, bytes(4) + dma.pack([(BAD_ARRAY, 60)]))
            device.guest.send_dma(device.peer_key(BAD_SLOT + other), BAD_ARRAY)
            if victim.dead is not None:
                for peer in self.peers_of(other):
                    self.killed[peer] = self.state(peer)
                # A SEND_DMA that it is in is the Host's to finish; it makes no other.
                sending = any(
                    guest is victim and point in (Point.RESTOCK, Point.COPIED)
                    for guest, point in zip(self.busy, self.points, strict=True)
                )
                self.most_copies[victim.id] = self.copies(victim.id) + sending

    def copies(self, guest_id: int) -> int:
        """The copies that a Guest's SEND_DMAs made, if the Host traces."""
        return sum(
            isinstance(event, Copied) and event.sender == guest_id and event.buffer is not None
            for event in self.lan.host.events
        )

    def end(self, number: int) -> None:
        """A peer's Launcher ends."""
        self.ended.update(self.peers_of(number))
        self.lan.launcher(self.devices[number].guest).exit()

    def peers_of(self, number: int) -> list[int]:
        """The peers that are devices of the same Guest."""
        guest = self.devices[number].guest
        return [peer for peer, device in enumerate(self.devices) if device.guest is guest]


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

_BAD: tuple[Step, ...] = tuple(("bad_array", (number,)) for number in range(4))

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
    Scenario(
        "a broadcast, whose sender and receivers may be killed (DMA-9)",
        4,
        (*_OPEN_3, ("open", (3,)), *_BAD, ("unicast", (1, 0))),
        (("broadcast", (0,)), ("interrupt", (0,))),
        (("kill", (1, 0)), ("kill", (2, 1)), ("kill", (3, 2)), ("unicast", (1, 0))),
    ),
    Scenario(
        "an interrupt, whose Guest may be killed (DMA-9)",
        3,
        (*_OPEN_3, *_BAD[:3], *_FULL),
        (("interrupt", (0,)), ("unicast", (0, 1))),
        (("kill", (1, 0)), ("unicast", (2, 0)), ("kill", (2, 1))),
    ),
    Scenario(
        "the gap between the two tries, while Launchers end (DMA-5, DMA-9)",
        3,
        (*_OPEN_3, *_BAD[:3], *_FULL),
        (("unicast", (2, 0)), ("broadcast", (2,))),
        (("interrupt", (0,)), ("end", (0,)), ("kill", (1, 0)), ("kill", (1, 2)), ("end", (1,))),
    ),
    Scenario(
        "an open and a close, whose Guest may be killed (DMA-9)",
        3,
        (("open", (1,)), ("open", (2,)), *_BAD[:3]),
        (("open", (0,)), ("unicast", (0, 1)), ("close", (0,))),
        (("kill", (1, 0)), ("broadcast", (2,)), ("end", (1,))),
    ),
    Scenario(
        "two devices of one Guest, one of which comes and goes (DLV-8)",
        2,
        (("second", (0,)), *_OPEN_2, ("open", (2,)), ("unicast", (1, 0)), ("unicast", (1, 0))),
        (("close", (2,)), ("interrupt", (0,)), ("open", (2,)), ("broadcast", (2,))),
        (("unicast", (1, 0)), ("broadcast", (1,)), ("interrupt", (1,))),
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
    lan.host.trace = any(name == "kill" for name, _ in scenario.menu)
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
            world.points.append(point)
            world.locks += point is Point.COPIED
            free = [
                step
                for step in scenario.menu
                if all(world.devices[step[1][0]].guest is not busy for busy in world.busy)
                and world.alive(step[1][0])
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
            world.points.pop()

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
    for number in range(len(world.devices)):
        world.interrupt(number)

    def demand(holds: bool, what: str) -> None:
        if not holds:
            order = "\n".join(world.log)
            raise Violation(f"{scenario.name}: {what}, in this order:\n{order}")

    dying = {world.devices[number].guest.id for number in world.killed}
    for event in lan.host.events:
        expected = isinstance(event, Killed) and event.guest in dying
        demand(expected or not isinstance(event, Fault | Killed), f"unexpected event {event}")
    for number, state in world.killed.items():
        if number not in world.ended:
            demand(world.state(number) == state, f"peer {number} went on after it was killed")
    for guest_id, most in world.most_copies.items():
        demand(world.copies(guest_id) <= most, f"Guest {guest_id} sent after it was killed")
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
        if device.guest.dead is not None:
            continue
        published = lan.pages.published(device.slot)
        wanted = device.address if device.is_open else bytes(6)
        demand(published == wanted, f"peer {number} publishes {published.hex(':')}")
    sent = sum(device.counters.tx_packets for device in world.devices)
    received = sum(device.counters.rx_packets for device in world.devices)
    if not (world.closed or world.killed or world.ended):
        demand(sent == received, f"{sent} frames were copied whole, {received} passed up")
    # A Guest that is killed in its SEND_DMA does not count it.
    uncounted = len(world.killed)
    demand(received <= sent + uncounted, f"{sent} frames were copied whole, {received} passed up")
    _reach_everybody(world, demand)


def _reach_everybody(world: World, demand: Callable[[bool, str], None]) -> None:
    """Every open peer can receive a whole ring of frames from every other."""
    opened = [device for device in world.devices if device.is_open and device.guest.dead is None]
    for sender in opened:
        for owner in opened:
            if owner.guest is not sender.guest:
                before = len(world.lan.received(owner))
                world.log.append(f"control from {sender.guest.id} to {owner.guest.id}")
                start = len(world.sent)
                for _ in range(8):
                    world.unicast(world.devices.index(sender), world.devices.index(owner))
                owner.guest.interrupt()
                got = world.lan.received(owner)[before:]
                demand(got == world.sent[start:], "a control was lost")
