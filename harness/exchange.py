"""Send, settle, collect: what every port of a LAN received, compared exactly.

A delivery equals a mapping only if each port that the mapping names received just
those frames, in number, order, length and bytes, and every other port nothing, the
sender included. An exchange that reached nobody is followed by a control broadcast:
silence counts only from a LAN that has just been proved alive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal, SupportsBytes

from harness import frames
from harness.lan import Inconclusive, Lan, Layout, Port, Traits, Unsupported, as_frame

View = Literal["wire", "host"]

CONTROL_STAMP = -1
"""The stamp of control frames: no test's own."""


def is_unicast(frame: bytes) -> bool:
    """Whether a frame is for one address, as far as it has one."""
    return not (frame and frame[0] & 1)


@dataclass(frozen=True, slots=True)
class Span:
    """Where an exchange stands in its LAN's records: from ``first`` up to, not with, ``last``.

    From there up to ``control`` is the control broadcast, if one was sent.
    """

    first: int
    last: int
    control: int


NOWHERE = Span(0, 0, 0)
"""The span of a delivery that no LAN made."""


class Delivery:
    """Who received what in one exchange; frames are ``bytes``.

    It equals a mapping of ports to lists of frames if each port received exactly those
    frames, and every port that is left out, the sender included, received nothing. ValueError
    for a port of another LAN. ``expected`` is what it was last compared with; None if it never
    was. ``delivery[port]`` is what one port received, a tuple.

    >>> lan = Testbench(create("lguest"))
    >>> sender, owner, bystander = lan.ports(3)
    >>> frame = ethernet(to=owner, by=sender)
    >>> delivery = lan.exchange(sender, frame)
    >>> delivery == {owner: [frame]}
    True
    >>> delivery == {owner: [frame], bystander: [frame]}
    False
    >>> delivery[bystander]
    ()
    """

    __hash__ = None  # type: ignore[assignment]  # it is compared, not looked up

    def __init__(
        self,
        received: Mapping[Port, Sequence[bytes]],
        view: View = "wire",
        span: Span = NOWHERE,
    ) -> None:
        self.received = {port: tuple(arrived) for port, arrived in received.items()}
        self.view = view
        self.span = span
        self.expected: Mapping[Port, Sequence[bytes]] | None = None

    def __getitem__(self, port: Port) -> tuple[bytes, ...]:
        return self.received[port]

    def __eq__(self, expected: object) -> bool:
        if not isinstance(expected, Mapping):
            return NotImplemented
        strangers = [port for port in expected if port not in self.received]
        if strangers:
            raise ValueError(f"not a port of this LAN: {strangers[0]!r}")
        wanted = {port: tuple(map(as_frame, frames)) for port, frames in expected.items()}
        self.expected = wanted
        return all(arrived == wanted.get(port, ()) for port, arrived in self.received.items())

    def __repr__(self) -> str:
        told = [f"{port.name}: {len(got)}" for port, got in self.received.items() if got]
        return f"<Delivery {', '.join(told) or 'nothing to nobody'}>"


class Testbench:
    r"""A LAN as a test sees it: the fixture ``lan``.

    ``view`` is the rule's: what reached the port (wire), or what a host's card would
    pass up (host). What comes back to its own sender counts in either view. A ``shared`` LAN
    has ports that the test did not ask for: a unicast that one of them gets is a stray.

    >>> lan = Testbench(create("lguest"))
    >>> sender, *others = lan.ports(3)
    >>> frame = ethernet(to=b"\xff" * 6, by=sender)
    >>> lan.exchange(sender, frame) == {port: [frame] for port in others}
    True
    """

    __test__ = False  # pytest would take it for a class of tests

    def __init__(self, lan: Lan, view: View = "wire", *, shared: bool = False) -> None:
        self.lan = lan
        self.view = view
        self._shared = shared
        self.deliveries: list[Delivery] = []
        """Every exchange so far."""
        self._ports: list[Port] = []
        self._bystanders: Sequence[Port] = ()

    @property
    def traits(self) -> Traits:
        """What the LAN can do."""
        return self.lan.traits

    def ports(self, count: int) -> Sequence[Port]:
        """The first ``count`` ports of the LAN."""
        found = self.lan.ports(count)
        self._ports = list(found)
        if self._shared:
            self._bystanders = self.lan.ports(self.traits.ports)[count:]
        return found

    @property
    def compared(self) -> list[Delivery]:
        """The deliveries that were compared with what was expected of them."""
        return [delivery for delivery in self.deliveries if delivery.expected is not None]

    def watched(self) -> list[str]:
        """Names of the ports that the test asked for, and of those that strays reached."""
        strays = [port for each in self.deliveries for port in each.received]
        return list(dict.fromkeys(port.name for port in (*self._ports, *strays)))

    def addresses(self) -> set[bytes]:
        """The address of every port that is plugged in, asked for or not."""
        return {port.mac for port in (*self._ports, *self._bystanders)}

    def exchange(
        self, sender: Port, *sent: SupportsBytes, layout: Layout | None = None
    ) -> Delivery:
        """Send frames from one port, wait until all is quiet, and see who received what.

        A frame is ``bytes``, or a Scapy packet.
        """
        return self.exchange_all([(sender, frame) for frame in sent], layout=layout)

    def exchange_all(
        self, sent: Iterable[tuple[Port, SupportsBytes]], *, layout: Layout | None = None
    ) -> Delivery:
        """The same with a sender for each frame, in the order given."""
        frames_sent = [(sender, as_frame(frame)) for sender, frame in sent]
        own: dict[Port, set[bytes]] = {}
        for sender, frame in frames_sent:
            own.setdefault(sender, set()).add(frame)
        self._collect(own)
        first = len(self.lan.records())
        received: dict[Port, list[bytes]] = {port: [] for port in self._ports}
        # Frames that may overtake each other are sent one at a time, to be told apart.
        burst = self.traits.burst if self.traits.ordered else 1
        for start in range(0, len(frames_sent), burst):
            for sender, frame in frames_sent[start : start + burst]:
                sender.send(frame, layout)
            self.lan.settle()
            for port, arrived in self._collect(own).items():
                received.setdefault(port, []).extend(arrived)
        last = control = len(self.lan.records())
        if frames_sent and not any(received.values()):
            self.prove_alive(frames_sent[0][0])
            control = len(self.lan.records())
        self.deliveries.append(Delivery(received, self.view, Span(first, last, control)))
        return self.deliveries[-1]

    def prove_alive(self, sender: Port) -> None:
        """A broadcast that must come through; Inconclusive if nobody has it."""
        others = [port for port in self._ports if port is not sender]
        control = frames.ethernet(frames.BROADCAST, sender, stamp=CONTROL_STAMP)
        sender.send(control)
        self.lan.settle()
        received = self._collect({sender: {control}})
        if not any(received[port] == [control] for port in others):
            raise Inconclusive(
                f"{self.lan.name}: nobody received anything, and a control broadcast from"
                f" {sender.name} reached nobody either"
            )

    def _collect(self, own: Mapping[Port, Set[bytes]]) -> dict[Port, list[bytes]]:
        """What arrived, in this view; ``own`` is what each port sent itself."""
        found = {
            port: [
                arrival.frame
                for arrival in port.arrivals()
                if self.view == "wire"
                or arrival.passes_filter
                or arrival.frame in own.get(port, ())
            ]
            for port in self._ports
        }
        for port in self._bystanders:
            strays = [
                arrival.frame
                for arrival in port.arrivals()
                if is_unicast(arrival.frame) and (self.view == "wire" or arrival.passes_filter)
            ]
            if strays:
                found[port] = strays
        return found

    def require(self, ability: bool, what: str) -> None:
        """Unsupported, and so skipped, on a LAN that has declared that it lacks an ability."""
        if not ability:
            raise Unsupported(f"{self.lan.name}: {what}")


def differences(delivery: Delivery, expected: Mapping[Port, Sequence[bytes]]) -> list[str]:
    """What each port that differs was to receive, and received, in a line each."""
    return [
        f"{port.name} expected {_sizes(want)}, received {_sizes(got)}"
        + ", not the same" * (_sizes(want) == _sizes(got))
        for port, want, got in _differing(delivery, expected)
    ]


def sum_up(delivery: Delivery, expected: Mapping[Port, Sequence[bytes]]) -> str:
    """The first of the differences, and how many there are, in one line."""
    first, *others = differences(delivery, expected)
    return first + (f"; {len(others)} more differ" + "s" * (len(others) == 1) if others else "")


def _differing(
    delivery: Delivery, expected: Mapping[Port, Sequence[bytes]]
) -> list[tuple[Port, tuple[bytes, ...], tuple[bytes, ...]]]:
    return [
        (port, want, got)
        for port, got in delivery.received.items()
        if got != (want := tuple(expected.get(port, ())))
    ]


def explain_ports(delivery: Delivery, expected: Mapping[Port, Sequence[bytes]]) -> list[str]:
    """Every port side by side, in lines to read."""
    lines = [f"{'port':<10}  {'expected':<34}  received"]
    for port, got in delivery.received.items():
        want = tuple(expected.get(port, ()))
        mark = "" if got == want else "   <- differs"
        lines.append(f"{port.name:<10}  {_sizes(want):<34}  {_sizes(got)}{mark}")
    return lines


def explain_frames(delivery: Delivery, expected: Mapping[Port, Sequence[bytes]]) -> list[str]:
    """The first frame that differs at each port that differs, in lines to read."""
    lines: list[str] = []
    for port, want, got in _differing(delivery, expected):
        for number in range(max(len(want), len(got))):
            one = want[number] if number < len(want) else None
            other = got[number] if number < len(got) else None
            if one != other:
                lines += [""] if lines else []
                lines += _frame_lines(f"{port.name}, frame {number + 1}", one, other)
                break
    return lines


def _sizes(arrived: Sequence[bytes]) -> str:
    if not arrived:
        return "nothing"
    sizes = [len(frame) for frame in arrived]
    shown = ", ".join(map(str, sizes[:5])) + (", ..." if len(sizes) > 5 else "")
    return f"{len(sizes)} frame{'s' * (len(sizes) > 1)} of {shown} bytes"


def _frame_lines(title: str, want: bytes | None, got: bytes | None) -> list[str]:
    lines = [f"{title}:"]
    if want is not None and got is not None:
        at = next(
            (n for n, (a, b) in enumerate(zip(want, got, strict=False)) if a != b),
            min(len(want), len(got)),
        )
        lines.append(f"  first difference at offset {at} (0x{at:04x})")
        start = max(0, at - 4)
        lines.append(f"  expected  {_window(want, start)}")
        lines.append(f"  received  {_window(got, start)}")
        lines.append(f"            {'   ' * (at - start) + '    ' * bool(start)}^^")
    for word, frame in (("expected", want), ("received", got)):
        told = "nothing" if frame is None else f"{len(frame)} bytes: {frames.describe(frame)}"
        lines.append(f"  {word}  {told}")
    return lines


def _window(frame: bytes, start: int, size: int = 16) -> str:
    more = "..." if len(frame) > start + size else "(end)"
    return f"{'... ' * bool(start)}{frame[start : start + size].hex(' ')} {more}"
