"""Random programs on any LAN: short lists of steps, judged by the model of the LAN's kind.

A program follows from its seed and from what the LAN declares, and from nothing else. One that
fails is shortened, and written as a test to paste.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from random import Random
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeVar

from harness.bench_port import BenchPort
from harness.exchange import Testbench
from harness.frames import BROADCAST, EXPERIMENTAL, HEADER, LARGEST, LONGEST, ethernet, tagged
from harness.judging import explain_violations
from harness.lan import LanError, Traits, Unsupported
from harness.models import NO_ADDRESS

STEPS = 30
"""Steps in a program."""

STATIONS = 3
"""Addresses in a program that move between ports."""

MOST_IN_BURST = 64
"""Frames in the largest burst."""

MOST_IN_LAST_BURSTS = 16
"""Frames in each of the two bursts that end a program."""

MOST_TRIES = 60
"""Shorter programs that are tried, at most."""

GROUPS = tuple(
    map(
        bytes.fromhex,
        (
            "ffffffffffff",
            "01005e0000fb",
            "333300000001",
            "3333ff123456",
            "090007ffffff",
            "011b19000000",
            "0180c2000014",
            "0180c2000021",
            "010000000000",
            "030000000001",
        ),
    )
)
RESERVED = tuple(bytes.fromhex(f"0180c20000{last:02x}") for last in (0x00, 0x01, 0x03, 0x0E))
TYPES = (0x0800, 0x0806, 0x86DD, 0x8847, 0x88CC, 0x002E, 0x05DC)
LENGTHS = (14, 15, 59, 60, 61, 64, 127, 128, 255, 256, 512, 1024, 1513, LONGEST, 1518, 1522)
LONG_LENGTHS = (2048, 4096, 8192, 9018, 16_384, LARGEST)
VLANS = (1, 2, 42, 4094)

SHORTEST_TAGGED = 64
"""Bytes in a frame of Ethernet's least length, with a tag."""

SHORTEST_IN_BURST = 24
"""Bytes in a frame that is like no other, as its payload has ten."""


class Address(NamedTuple):
    """An address in a program: of a port, of a station, of nobody, or the six bytes."""

    kind: Literal["port", "station", "unused", "bytes"]
    number: int = 0
    given: bytes = b""

    def __str__(self) -> str:
        if self.kind == "port":
            return f"ports[{self.number}].mac"
        if self.kind == "station":
            return f"stations[{self.number}]"
        return (
            "lan.fresh_address()"
            if self.kind == "unused"
            else f'bytes.fromhex("{self.given.hex()}")'
        )


@dataclass(frozen=True, slots=True)
class Shot:
    """A frame that a port sends."""

    sender: int
    to: Address
    source: Address
    size: int
    stamp: int
    kind: int = EXPERIMENTAL
    vlan: int | None = None

    def __str__(self) -> str:
        kind = "" if self.kind == EXPERIMENTAL else f", kind=0x{self.kind:04X}"
        size = self.size if self.vlan is None else self.size - 4
        text = f"ethernet({self.to}, {self.source}, size={size}, stamp={self.stamp}{kind})"
        return text if self.vlan is None else f"tagged({text}, vlan={self.vlan})"


class Stage(NamedTuple):
    """What the names in a program stand for on one LAN."""

    lan: Testbench
    ports: Sequence[BenchPort]
    stations: Sequence[bytes]

    def frame(self, shot: Shot) -> bytes:
        """The bytes of a frame; an address of nobody is a new one each time."""
        size = shot.size if shot.vlan is None else shot.size - 4
        plain = ethernet(
            self.address(shot.to),
            self.address(shot.source),
            size=size,
            stamp=shot.stamp,
            kind=shot.kind,
        )
        return plain if shot.vlan is None else tagged(plain, vlan=shot.vlan)

    def address(self, address: Address) -> bytes:
        """The six bytes."""
        if address.kind == "port":
            return self.ports[address.number].mac
        if address.kind == "station":
            return self.stations[address.number]
        return self.lan.fresh_address() if address.kind == "unused" else address.given


@dataclass(frozen=True, slots=True)
class Send:
    """Frames that are sent together, as one burst."""

    shots: tuple[Shot, ...]

    def act(self, stage: Stage) -> None:
        """Send them; the model judges what arrives."""
        stage.lan.stream((stage.ports[shot.sender], stage.frame(shot)) for shot in self.shots)

    def lines(self) -> Iterator[str]:
        """The step as Python."""
        if len(self.shots) == 1:
            yield f"lan.stream([(ports[{self.shots[0].sender}], {self.shots[0]})])"
            return
        yield "lan.stream(["
        for shot in self.shots:
            yield f"    (ports[{shot.sender}], {shot}),"
        yield "])"


@dataclass(frozen=True, slots=True)
class Try:
    """A frame that the LAN may refuse: of a port that is down, or longer than declared."""

    shot: Shot

    def act(self, stage: Stage) -> None:
        """Send it; what arrives is judged at once, before a port changes its mode."""
        stage.lan.try_sending(stage.ports[self.shot.sender], stage.frame(self.shot))
        stage.lan.stream(())

    def lines(self) -> Iterator[str]:
        """The step as Python."""
        yield f"lan.try_sending(ports[{self.shot.sender}], {self.shot})"
        yield "lan.stream([])"


What = Literal[
    "close",
    "open",
    "promiscuous",
    "plain",
    "join",
    "leave",
    "link_down",
    "link_up",
    "vanish",
    "pause",
    "resume",
]

RETURNS: Mapping[str, What] = MappingProxyType(
    {"close": "open", "vanish": "open", "link_down": "link_up"}
)
"""What brings a port back, after what took it away."""


@dataclass(frozen=True, slots=True)
class Change:
    """A port goes down, comes up, or changes its mode."""

    port: int
    what: What

    def act(self, stage: Stage) -> None:
        """Make the change."""
        port = stage.ports[self.port]
        match self.what:
            case "promiscuous" | "plain":
                port.set_promiscuous(self.what == "promiscuous")
            case "join" | "leave":
                port.join_groups(3 if self.what == "join" else 0)
            case _:
                getattr(port, self.what)()

    def lines(self) -> Iterator[str]:
        """The step as Python."""
        call = {
            "promiscuous": "set_promiscuous(True)",
            "plain": "set_promiscuous(False)",
            "join": "join_groups(3)",
            "leave": "join_groups(0)",
        }.get(self.what, f"{self.what}()")
        yield f"ports[{self.port}].{call}"


@dataclass(frozen=True, slots=True)
class Membership:
    """A port joins or leaves a group, by its address."""

    port: int
    group: bytes
    member: bool

    def act(self, stage: Stage) -> None:
        """Join, or leave."""
        port = stage.ports[self.port]
        (port.join_group if self.member else port.leave_group)(self.group)

    def lines(self) -> Iterator[str]:
        """The step as Python."""
        call = "join_group" if self.member else "leave_group"
        yield f'ports[{self.port}].{call}(bytes.fromhex("{self.group.hex()}"))'


@dataclass(frozen=True, slots=True)
class Age:
    """Ageing time passes."""

    seconds: float

    def act(self, stage: Stage) -> None:
        """Let it pass."""
        stage.lan.age(self.seconds)

    def lines(self) -> Iterator[str]:
        """The step as Python."""
        yield f"lan.age({self.seconds:g})"


Step = Send | Try | Change | Membership | Age


@dataclass(frozen=True, slots=True)
class Program:
    """Steps for so many ports; the same for a seed and what a LAN declares."""

    seed: int
    ports: int
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        """The program as a test to paste."""
        body = [line for step in self.steps for line in step.lines()]
        names = ["ethernet", "rule"]
        lines = [f"from harness import {', '.join(names)}"]
        if any("tagged(" in line for line in body):
            lines.append("from harness.frames import tagged")
        lines += ["", "", '@rule("PRG-1")', f"def test_program_{self.seed}(lan):"]
        lines.append(f"    ports = lan.ports({self.ports})")
        if any("stations[" in line for line in body):
            lines.append(f"    stations = [lan.fresh_address() for _ in range({STATIONS})]")
        return "\n".join([*lines, *(f"    {line}" for line in body)])


# Writing programs


def program(seed: int, traits: Traits, *, bursts: bool, steps: int = STEPS) -> Program:
    """The program of a seed. Without ``bursts`` each frame is sent alone.

    With them the last three steps are a burst, a frame and another burst: whatever rings the
    LAN has, one of the bursts crosses an end of them.
    """
    author = _Author(seed, traits)
    drawn = [author.step(bursts=bursts) for _ in range(steps - 3 * bursts)]
    if traits.verbs:
        drawn += author.back_to_order()
    if bursts:
        most = min(traits.burst, MOST_IN_LAST_BURSTS)
        drawn += author.last_bursts(most)
    return Program(seed, author.count, tuple(drawn))


class _Author:
    """Draws one step after the other, and knows the state of the ports."""

    def __init__(self, seed: int, traits: Traits) -> None:
        self._random = Random(seed)
        self._traits = traits
        self.count = min(self._random.choice((3, 4, 4)), traits.ports)
        self._up = set(range(self.count))
        self._gone: dict[int, What] = {}
        """Ports that are not up, and what brings them back."""
        self._paused: set[int] = set()
        self._members: set[tuple[int, bytes]] = set()
        self._modes: dict[int, set[str]] = {port: set() for port in range(self.count)}
        self._stamp = 0
        shortest, longest = traits.shortest, traits.longest
        self._lengths = [
            size
            for size in (*LENGTHS, shortest, shortest + 1, longest - 1, longest)
            if shortest <= size <= longest
        ]
        self._long = [size for size in LONG_LENGTHS if size <= longest]
        self._beyond = [
            size
            for size in (longest + 1, longest + 4, 2 * longest, *LONG_LENGTHS)
            if longest < size <= LARGEST
        ]

    def step(self, *, bursts: bool) -> Step:
        """The next one."""
        if self._traits.verbs and self._random.random() < 0.15:
            return self._verb(self._random.choice(self._traits.verbs))
        draw = self._random.random()
        down = sorted(self._gone)
        if draw < 0.13:
            return self._come_or_go(down)
        if draw < 0.22:
            return self._mode()
        if draw < 0.25 and down:
            return Try(self._shot(self._random.choice(down)))
        if draw < 0.28 and self._beyond:
            shot = self._shot(self._sender())
            return Try(replace(shot, size=self._random.choice(self._beyond), vlan=None))
        if bursts and draw < 0.64:
            return self._burst()
        return Send((self._shot(self._sender()),))

    def _come_or_go(self, down: list[int]) -> Step:
        if down and (len(self._up) <= 2 or self._random.random() < 0.7):
            port = self._random.choice(down)
            self._up.add(port)
            return Change(port, self._gone.pop(port))
        return self._go("close")

    def _go(self, how: What) -> Step:
        """A port goes away, if two others stay that take frames."""
        stay = self._up - self._paused
        if len(stay) <= 2:
            return self._mode()
        odd = sorted(port for port in stay if self._modes[port] or self._groups_of(port))
        few = odd if odd and self._traits.verbs and self._random.random() < 0.7 else sorted(stay)
        port = self._random.choice(few)
        self._up.remove(port)
        self._gone[port] = RETURNS[how]
        return Change(port, how)

    def _groups_of(self, port: int) -> list[bytes]:
        return sorted(group for member, group in self._members if member == port)

    def back_to_order(self) -> Iterator[Step]:
        """Every port is up and takes frames; then frames to a port, to groups, to all, to none."""
        for port, back in sorted(self._gone.items()):
            yield Change(port, back)
        for port in sorted(self._paused):
            yield Change(port, "resume")
        self._paused.clear()
        self._gone.clear()
        self._up = set(range(self.count))
        groups = sorted({group for _, group in self._members})
        named = (Address("bytes", given=group) for group in (*groups[:4], BROADCAST))
        for to in (Address("port", self._sender()), *named, Address("unused")):
            sender = self._sender()
            yield Send((replace(self._shot(sender), to=to, source=Address("port", sender)),))

    def _verb(self, verb: str) -> Step:
        """A step that only some LANs can make."""
        match verb:
            case "link":
                return self._go("link_down")
            case "vanish":
                return self._go("vanish")
            case "pause":
                return self._pause()
            case "groups":
                return self._membership()
            case "age":
                factor = self._random.choice((0.3, 0.6, 2.5))
                return Age(factor * (self._traits.ageing_s or 1.0))
        return self._mode()

    def _pause(self) -> Step:
        if self._paused and self._random.random() < 0.7:
            port = self._random.choice(sorted(self._paused))
            self._paused.remove(port)
            return Change(port, "resume")
        stay = sorted(self._up - self._paused)
        if len(stay) <= 2:
            return self._mode()
        port = self._random.choice(stay)
        self._paused.add(port)
        return Change(port, "pause")

    def _membership(self) -> Step:
        if self._members and self._random.random() < 0.4:
            port, group = self._random.choice(sorted(self._members))
            self._members.remove((port, group))
            return Membership(port, group, member=False)
        port, group = self._sender(), self._random.choice(GROUPS[1:])
        self._members.add((port, group))
        return Membership(port, group, member=True)

    def _mode(self) -> Step:
        port = self._sender()
        on, off = self._random.choice((*3 * (("promiscuous", "plain"),), ("join", "leave")))
        modes = self._modes[port]
        modes ^= {on}
        chosen = on if on in modes else off
        return Change(port, chosen)  # type: ignore[arg-type]  # both are of its words

    def _sender(self) -> int:
        return self._random.choice(sorted(self._up))

    def _burst(self) -> Step:
        """Frames of one port or of several.

        No frame is for an address that another of them may teach the LAN: which of two ports
        was first, no LAN promises.
        """
        few = self._random.choice((2, 3, 5))
        count = min(few if self._random.random() < 0.8 else MOST_IN_BURST, self._traits.burst)
        sender = self._sender()
        shots = [self._shot(sender) for _ in range(count)]
        if self._random.random() < 0.5:
            senders = [self._sender() for _ in shots]
            shots = [
                replace(shot, sender=port, source=Address("port", port))
                for shot, port in zip(shots, senders, strict=True)
            ]
        sources = {shot.source for shot in shots}
        unused = Address("unused")
        apart = [replace(shot, to=unused) if shot.to in sources else shot for shot in shots]
        return Send(tuple(map(self._in_burst, apart)))

    def last_bursts(self, most: int) -> list[Step]:
        """Broadcasts of one port: a burst of so many, one, and as many again."""
        sender = self._sender()
        source, to = Address("port", sender), Address("bytes", given=BROADCAST)
        return [
            Send(
                tuple(
                    self._in_burst(replace(self._shot(sender), to=to, source=source))
                    for _ in range(count)
                )
            )
            for count in (most, 1, most)
        ]

    def _in_burst(self, shot: Shot) -> Shot:
        size = min(max(shot.size, SHORTEST_IN_BURST), LONGEST, self._traits.longest)
        return replace(shot, size=size)

    def _shot(self, sender: int) -> Shot:
        self._stamp += 1
        size = self._size()
        tags = self._traits.vlan == "transparent" and size >= SHORTEST_TAGGED
        return Shot(
            sender,
            self._destination(),
            self._source(sender),
            size,
            self._stamp,
            self._random.choice(TYPES) if self._random.random() < 0.2 else EXPERIMENTAL,
            self._random.choice(VLANS) if tags and self._random.random() < 0.15 else None,
        )

    def _size(self) -> int:
        draw = self._random.random()
        if draw < 0.5:
            return self._random.choice(self._lengths)
        if draw < 0.55 and self._long:
            return self._random.choice(self._long)
        most = min(self._traits.longest, LONGEST)
        return self._random.randint(min(max(self._traits.shortest, HEADER), most), most)

    def _destination(self) -> Address:
        draw = self._random.random()
        if draw < 0.35:
            return Address("port", self._random.randrange(self.count))
        if draw < 0.60:
            return Address("station", self._random.randrange(STATIONS))
        if draw < 0.70:
            return Address("bytes", given=BROADCAST)
        if draw < 0.82:
            return Address("bytes", given=self._random.choice(GROUPS))
        if draw < 0.87:
            return Address("bytes", given=self._random.choice((*RESERVED, NO_ADDRESS)))
        return Address("unused")

    def _source(self, sender: int) -> Address:
        draw = self._random.random()
        if draw < 0.60:
            return Address("port", sender)
        if draw < 0.92:
            return Address("station", self._random.randrange(STATIONS))
        if draw < 0.95:
            return Address("unused")
        return Address("bytes", given=self._random.choice((*GROUPS, NO_ADDRESS)))


# Running them


class Failure(NamedTuple):
    """What a program showed, and after how many steps."""

    steps: int
    what: str
    kind: str


def run(tried: Program, lan: Testbench) -> Failure | None:
    """Run a program until something is wrong; None if nothing is."""
    stage = Stage(lan, lan.ports(tried.ports), [lan.fresh_address() for _ in range(STATIONS)])
    for number, step in enumerate(tried.steps, start=1):
        try:
            step.act(stage)
            if number == len(tried.steps) and not lan.violations:
                lan.finish()
        except AssertionError as error:
            return Failure(number, str(error), "silent")
        if lan.violations:
            return Failure(number, explain_violations(lan.violations), lan.violations[0].kind)
    return None


def shorten(
    failing: Program, failure: Failure, attempt: Callable[[Program], Failure | None]
) -> Program:
    """A program that fails in the same way, with as few steps and frames as a search finds.

    ``attempt`` runs a program on a LAN on which nothing was run before.
    """
    search = _Search(failing, failure.kind, attempt)
    best = failing.steps[: failure.steps]
    if not search.fails(best):
        raise NotAgain
    best = search.without(best, search.fails)
    for at, step in enumerate(best):
        if isinstance(step, Send) and len(step.shots) > 1:
            before, after = best[:at], best[at + 1 :]

            def fails(
                shots: tuple[Shot, ...],
                before: tuple[Step, ...] = before,
                after: tuple[Step, ...] = after,
            ) -> bool:
                return search.fails((*before, Send(shots), *after))

            best = (*before, Send(search.without(step.shots, fails)), *after)
    return replace(failing, steps=best)


class NotAgain(Exception):
    """A program that failed does not fail when it is run alone."""


Part = TypeVar("Part")


def makes_sense(steps: Sequence[Step]) -> bool:
    """Whether only ports that are up send and leave, and each returns as it left."""
    gone: dict[int, str] = {}
    paused: set[int] = set()
    for step in steps:
        if isinstance(step, Send) and any(shot.sender in gone for shot in step.shots):
            return False
        if not isinstance(step, Change):
            continue
        if step.what in ("open", "link_up"):
            if gone.pop(step.port, "") != step.what:
                return False
        elif step.port in gone or (step.what in RETURNS and step.port in paused):
            return False
        elif step.what in RETURNS:
            gone[step.port] = RETURNS[step.what]
        elif (step.what == "resume") is not (step.port in paused):
            if step.what in ("pause", "resume"):
                return False
        elif step.what == "resume":
            paused.remove(step.port)
        if step.what == "pause":
            paused.add(step.port)
    return True


class _Search:
    """Tries shorter programs, up to a limit."""

    def __init__(
        self, failing: Program, kind: str, attempt: Callable[[Program], Failure | None]
    ) -> None:
        self._failing = failing
        self._kind = kind
        self._attempt = attempt
        self._tries = 0

    def fails(self, steps: tuple[Step, ...]) -> bool:
        """Whether these steps fail in the same way; false when enough was tried."""
        if not makes_sense(steps):
            return False
        self._tries += 1
        if self._tries > MOST_TRIES:
            return False
        try:
            failure = self._attempt(replace(self._failing, steps=steps))
        except Unsupported:
            raise
        except LanError:
            return False
        return failure is not None and failure.kind == self._kind

    def without(
        self, parts: tuple[Part, ...], fails: Callable[[tuple[Part, ...]], bool]
    ) -> tuple[Part, ...]:
        """As few of the parts as still fail, left out in halves, quarters and so on."""
        size = len(parts) // 2
        while size:
            at = 0
            while at < len(parts):
                fewer = parts[:at] + parts[at + size :]
                if fewer and fails(fewer):
                    parts = fewer
                else:
                    at += size
            size //= 2
        return parts


NewBench = Callable[[], AbstractContextManager[Testbench]]
"""Makes a new LAN like the one under test, with its Testbench."""


def check(tried: Program, lan: Testbench, another: NewBench | None) -> None:
    """Run a program; AssertionError, with the shortest one that fails too, if it fails.

    ``another`` makes a new LAN like this one, on which shorter programs are tried; with None
    the program is not shortened.
    """
    failure = run(tried, lan)
    if failure is None:
        return
    if another is None:
        raise AssertionError(f"{failure.what}, in step {failure.steps} of program {tried.seed}")

    def attempt(shorter: Program) -> Failure | None:
        with another() as new:
            return run(shorter, new)

    steps = f"{failure.steps} steps"
    try:
        shown = shorten(tried, failure, attempt)
        how = f"{len(shown.steps)} of {steps} are enough"
    except Unsupported:
        shown = replace(tried, steps=tried.steps[: failure.steps])
        how = f"all of its {steps}, as there is no second LAN to leave some out on"
    except NotAgain:
        shown = replace(tried, steps=tried.steps[: failure.steps])
        how = f"all of its {steps}; on a new LAN they do not fail: what was sent before matters"
    raise AssertionError(f"{failure.what}\n\nprogram {tried.seed}, {how}:\n\n{shown}\n")
