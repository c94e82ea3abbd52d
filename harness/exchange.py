"""Send, settle, collect: what every port of a LAN received, compared exactly.

A delivery equals a mapping only if each port that the mapping names received just
those frames, in number, order, length and bytes, and every other port nothing, the
sender included. An exchange that reached nobody is followed by a control broadcast:
silence counts only from a LAN that has just been proved alive.

Independently of what a test compares, every arrival at every port is judged on the wire by
the model of the LAN's kind. What differs is kept in ``Testbench.violations``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal, SupportsBytes

from harness import differences, frames
from harness.differences import Difference, Kind, Sent
from harness.lan import (
    Arrival,
    Inconclusive,
    Lan,
    Layout,
    Port,
    Traits,
    Unsupported,
    as_frame,
)
from harness.models import MAY, MUST, RESERVED, Model, arrives_as, kind_of
from harness.models import Kind as LanKind

View = Literal["wire", "host"]

CONTROL_STAMP = -1
"""The stamp of control frames: no test's own."""

GREETING_STAMP = -2
"""The stamp of the frames by which ports make their addresses known."""

SEES_WHAT_REACHES_IT = "a promiscuous port sees only the frames that reach it anyway"

FRESH = 0x0E
"""First byte of addresses that no port has: locally administered, not a group's."""

RULES_BY_KIND: Mapping[Kind, str] = {
    Kind.MISSING: "WIRE-1",
    Kind.UNEXPECTED_RECEIVER: "WIRE-2",
    Kind.RETURNED: "WIRE-3",
    Kind.DUPLICATE: "WIRE-4",
    Kind.REORDERED: "WIRE-5",
    Kind.TRUNCATED: "WIRE-6",
    Kind.LONGER: "WIRE-6",
    Kind.ALTERED: "WIRE-6",
    Kind.STALE: "WIRE-7",
    Kind.LATE: "WIRE-7",
    Kind.UNKNOWN: "WIRE-8",
}
"""The rule that a difference on the wire breaks."""


class NotForKind(Unsupported):
    """A test whose rule does not apply to LANs of this kind."""


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

Comparison = tuple[Mapping[Port, tuple[bytes, ...]], bool]
"""What a delivery was compared with, and whether it was equal."""


class Delivery:
    """Who received what in one exchange; frames are ``bytes``.

    ``delivery == {port: [frame, ...]}`` is true only if every port that the mapping names
    received just those frames, in that order, and every other port nothing. ``delivery[port]``
    are the frames that one port received. ValueError for a port of another LAN.

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
        sent: Sequence[Sent] = (),
    ) -> None:
        self.received = {port: tuple(arrived) for port, arrived in received.items()}
        self.view = view
        self.span = span
        self.sent = tuple(sent)
        self.comparisons: list[Comparison] = []

    @property
    def expected(self) -> Mapping[Port, tuple[bytes, ...]] | None:
        """What it was compared with, if possible with success; None if it never was."""
        held = [expected for expected, equal in self.comparisons if equal]
        tried = held or [expected for expected, _ in self.comparisons]
        return tried[-1] if tried else None

    @property
    def nobody(self) -> bool:
        """Whether no port received anything."""
        return not any(self.received.values())

    def __getitem__(self, port: Port) -> tuple[bytes, ...]:
        return self.received[port]

    def __eq__(self, expected: object) -> bool:
        if not isinstance(expected, Mapping):
            return NotImplemented
        strangers = [port for port in expected if port not in self.received]
        if strangers:
            raise ValueError(f"not a port of this LAN: {strangers[0]!r}")
        wanted = {port: tuple(map(as_frame, listed)) for port, listed in expected.items()}
        equal = all(arrived == wanted.get(port, ()) for port, arrived in self.received.items())
        self.comparisons.append((wanted, equal))
        return equal

    def __repr__(self) -> str:
        counts = [f"{port.name}: {len(got)}" for port, got in self.received.items() if got]
        return f"<Delivery {', '.join(counts) or 'nothing to nobody'}>"


class BenchPort:
    """A port as a test sees it: the LAN's own, whose changes of state the model follows.

    It has all that ``Port`` has; what else the LAN's own port has is there too.
    """

    def __init__(self, bench: Testbench, port: Port) -> None:
        self._bench = bench
        self.port = port
        self.name = port.name
        self.mac = port.mac

    def __repr__(self) -> str:
        return repr(self.port)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.port, name)

    def send(self, frame: SupportsBytes, layout: Layout | None = None) -> None:
        """Send one frame outside of an exchange; the next exchange judges what becomes of it."""
        self._bench.send_loose(self, as_frame(frame), layout)

    def arrivals(self) -> Sequence[Arrival]:
        """Frames that arrived since the last call."""
        return self.port.arrivals()

    def set_promiscuous(self, on: bool) -> None:
        """Turn promiscuous mode on or off."""
        self.port.set_promiscuous(on)
        self._bench.model.peers[self.name].promiscuous = on

    def join_groups(self, count: int) -> None:
        """Be a member of ``count`` groups in all."""
        self.port.join_groups(count)
        self._bench.model.peers[self.name].groups = count

    def close(self) -> None:
        """Leave the LAN."""
        self.port.close()
        self._bench.model.go_down(self.name)

    def open(self) -> None:
        """Join the LAN again."""
        self.port.open()
        self._bench.model.come_up(self.name)


class Testbench:
    r"""A LAN as a test sees it: the fixture ``lan``.

    ``ports(n)`` gives the first n ports; ``exchange(sender, frame, ...)`` sends frames, waits
    until all is quiet and returns the Delivery. ``view`` is the rule's: what reached the port
    (wire), or what a host's card would pass up (host). What comes back to its own sender
    counts in either view. A ``shared`` LAN has ports that the test did not ask for: a unicast
    that one of them gets is a stray. ``model`` is the LAN's reference model; it lives as long
    as the LAN. ``seed`` selects the addresses that ``fresh_address`` gives.

    >>> lan = Testbench(create("lguest"))
    >>> sender, *others = lan.ports(3)
    >>> frame = ethernet(to=b"\xff" * 6, by=sender)
    >>> lan.exchange(sender, frame) == {port: [frame] for port in others}
    True
    """

    __test__ = False  # pytest would take it for a class of tests

    def __init__(
        self,
        lan: Lan,
        view: View = "wire",
        *,
        shared: bool = False,
        model: Model | None = None,
        seed: int = 0,
    ) -> None:
        self.lan = lan
        self.view = view
        self._shared = shared
        self.model = model or Model(lan.traits, kind_of(lan.traits))
        self.model.reset()
        self.deliveries: list[Delivery] = []
        """Every exchange so far."""
        self.violations: list[Difference] = []
        """What reached a port and should not have, or the reverse, on the wire."""
        self.unjudged: list[Delivery] = []
        """Exchanges in which the model left everything open."""
        self._wrapped: dict[str, BenchPort] = {}
        self._ports: list[BenchPort] = []
        self._bystanders: list[BenchPort] = []
        self._loose: list[Sent] = []
        self._earlier: set[bytes] = set()
        self._alive = False
        self._seed = seed
        self._fresh = 0

    @property
    def traits(self) -> Traits:
        """What the LAN declares of itself."""
        return self.lan.traits

    @property
    def kind(self) -> LanKind:
        """The LAN's kind: repeater, learning, directory or wire."""
        return self.model.kind

    def ports(self, count: int) -> Sequence[BenchPort]:
        """The first ``count`` ports of the LAN; on a learning LAN their addresses are known.

        Unsupported if the LAN has fewer.
        """
        if self._shared and count > self.traits.ports:
            raise Unsupported(f"{self.lan.name}: has {self.traits.ports} ports, {count} needed")
        known = len(self._wrapped)
        self._ports = self._wrap(self.lan.ports(count))
        if self._shared:
            self._bystanders = self._wrap(self.lan.ports(self.traits.ports)[count:])
        if len(self._wrapped) > known and self.kind == "learning":
            self.introduce(*(self._ports + self._bystanders)[known:])
        return list(self._ports)

    def _wrap(self, ports: Sequence[Port]) -> list[BenchPort]:
        for port in ports:
            if port.name not in self._wrapped:
                self._wrapped[port.name] = BenchPort(self, port)
                if port.name not in self.model.peers:
                    self.model.plug(port.name, port.mac)
        return [self._wrapped[port.name] for port in ports]

    def introduce(self, *ports: BenchPort) -> None:
        """Make the ports' own addresses known, by a broadcast of each."""
        size = max(60, self.traits.shortest)
        for start in range(0, len(ports), self._burst):
            self._exchange(
                [
                    (port, frames.ethernet(frames.BROADCAST, port, size=size, stamp=GREETING_STAMP))
                    for port in ports[start : start + self._burst]
                ],
                None,
            )

    def fresh_address(self) -> bytes:
        """A unicast address that no port has, and that was never used on this LAN."""
        self._fresh += 1
        return bytes((FRESH, 0)) + self._seed.to_bytes(3, "big") + bytes((self._fresh & 0xFF,))

    @property
    def compared(self) -> list[Delivery]:
        """The deliveries that were compared with what was expected of them."""
        return [delivery for delivery in self.deliveries if delivery.comparisons]

    def watched(self) -> list[str]:
        """Names of the ports that the test asked for, and of those that strays reached."""
        strays = [port for delivery in self.deliveries for port in delivery.received]
        return list(dict.fromkeys(port.name for port in (*self._ports, *strays)))

    def addresses(self) -> set[bytes]:
        """The address of every port that is plugged in, asked for or not."""
        return {port.mac for port in (*self._ports, *self._bystanders)}

    def exchange(
        self, sender: Port, *sent: SupportsBytes, layout: Layout | None = None
    ) -> Delivery:
        """Send frames from one port, wait until all is quiet, and see who received what.

        A frame is ``bytes``, or a Scapy packet. Unsupported for a frame that the LAN declares
        not to take; Inconclusive if the LAN gives no sign of life.
        """
        return self.exchange_all([(sender, frame) for frame in sent], layout=layout)

    def exchange_all(
        self, sent: Iterable[tuple[Port, SupportsBytes]], *, layout: Layout | None = None
    ) -> Delivery:
        """The same with a sender for each frame, in the order given."""
        given = [(self._bench_port(sender), as_frame(frame)) for sender, frame in sent]
        for _, frame in given:
            if self.kind != "directory" or self._shared:
                self._refuse_length(frame)
        delivery = self._exchange(given, layout)
        self.deliveries.append(delivery)
        return delivery

    def _bench_port(self, port: Port) -> BenchPort:
        known = self._wrapped.get(port.name)
        if known is None or (port is not known and port is not known.port):
            raise ValueError(f"not a port of this LAN: {port!r}")
        return known

    def _refuse_length(self, frame: bytes) -> None:
        if len(frame) < self.traits.shortest:
            raise Unsupported(f"{self.lan.name}: takes no frame under {self.traits.shortest} bytes")

    @property
    def _burst(self) -> int:
        """Frames that may be in flight; those that may overtake each other go one at a time."""
        return self.traits.burst if self.traits.ordered else 1

    def _exchange(
        self, given: Sequence[tuple[BenchPort, bytes]], layout: Layout | None
    ) -> Delivery:
        self._judge_loose()
        first = len(self.lan.records())
        received: dict[Port, list[bytes]] = {port: [] for port in self._ports}
        own: dict[str, set[bytes]] = {}
        for sender, frame in given:
            own.setdefault(sender.name, set()).add(frame)
        judged = False
        for start in range(0, len(given), self._burst):
            batch = given[start : start + self._burst]
            judging = _Judging(self.model, layout)
            for sender, frame in batch:
                judging.foresee(sender.name, frame)
                sender.port.send(frame, layout)
                judging.happened(sender.name, frame)
            self.lan.settle()
            arrived = self._collect()
            judged |= judging.judged
            self.violations += judging.compare(arrived, self._earlier)
            for port, seen in self._in_view(arrived, own).items():
                received.setdefault(port, []).extend(seen)
        self._earlier.update(frame for _, frame in given)
        self._alive |= any(received.values())
        last = control = len(self.lan.records())
        sent = [Sent(sender.name, frame) for sender, frame in given]
        if given and not any(received.values()):
            self.prove_alive(given[0][0])
            control = len(self.lan.records())
        delivery = Delivery(received, self.view, Span(first, last, control), sent)
        if given and not judged:
            self.unjudged.append(delivery)
        return delivery

    def prove_alive(self, sender: Port) -> None:
        """A broadcast that must arrive; Inconclusive if no port ever received anything.

        A LAN that delivered before in this test, and now does not, fails.
        """
        port = self._bench_port(sender)
        size = max(60, self.traits.shortest)
        control = frames.ethernet(frames.BROADCAST, port, size=size, stamp=CONTROL_STAMP)
        judging = _Judging(self.model, None)
        judging.foresee(port.name, control)
        port.port.send(control)
        judging.happened(port.name, control)
        self.lan.settle()
        arrived = self._collect()
        self._earlier.add(control)
        problems = judging.compare(arrived, self._earlier)
        others = [seen for other, seen in arrived.items() if other is not port]
        if any(control in frames_of(seen) for seen in others):
            self._alive = True
            self.violations += problems
            return
        if any(others):
            self.violations += problems
            return
        what = f"{self.lan.name}: no port received anything, nor a control broadcast from"
        if self._alive:
            raise AssertionError(f"{what} {port.name}: the LAN has stopped forwarding")
        raise Inconclusive(f"{what} {port.name}")

    def send_loose(self, port: BenchPort, frame: bytes, layout: Layout | None) -> None:
        """Send a frame outside of an exchange."""
        port.port.send(frame, layout)
        self.model.sent(port.name, frame)
        self._loose.append(Sent(port.name, frame))

    def _judge_loose(self) -> None:
        """Judge what arrived before an exchange begins: nothing, but for frames sent loose."""
        if self._loose:
            self.lan.settle()
        loose, self._loose = self._loose, []
        for port, arrivals in self._collect().items():
            if not arrivals:
                continue
            allowed = range(len(loose))
            seen = differences.Port(port.name, (), allowed, frames_of(arrivals))
            self.violations += self._stale(seen, loose)
        self._earlier.update(frame for _, frame in loose)

    def _stale(self, seen: differences.Port, loose: Sequence[Sent]) -> list[Difference]:
        def fits(frame: bytes, arrival: bytes) -> bool:
            return arrives_as(self.traits, frame, arrival) or frame.startswith(arrival)

        return differences.compare(seen, loose, fits, earlier=self._earlier, ordered=False)

    def finish(self) -> None:
        """Judge what arrives after the last exchange: nothing may.

        Ports that are down come up again, as a LAN that keeps frames for them shows it then.
        """
        self.lan.settle()
        self._judge_loose()
        closed = [port for port in self._wrapped.values() if not self._is_up(port)]
        for port in closed:
            port.open()
        if closed:
            self.lan.settle()
            self._judge_loose()

    def _is_up(self, port: BenchPort) -> bool:
        return self.model.peers[port.name].up

    def _collect(self) -> dict[BenchPort, Sequence[Arrival]]:
        return {port: port.port.arrivals() for port in (*self._ports, *self._bystanders)}

    def _in_view(
        self, arrived: Mapping[BenchPort, Sequence[Arrival]], own: Mapping[str, Set[bytes]]
    ) -> dict[Port, list[bytes]]:
        """What a delivery has: arrivals in this view; ``own`` is what each port sent itself."""
        wire = self.view == "wire"
        seen: dict[Port, list[bytes]] = {}
        for port, arrivals in arrived.items():
            stranger = port not in self._ports
            mine = own.get(port.name, ())
            shown = [
                arrival.frame
                for arrival in arrivals
                if (wire or arrival.passes_filter or (arrival.frame in mine and not stranger))
                and (not stranger or is_unicast(arrival.frame))
            ]
            if shown or not stranger:
                seen[port] = shown
        return seen

    def filters_reserved(self, delivery: Delivery) -> bool:
        """Whether the LAN keeps frames to 01:80:c2:00:00:00 to 0f to their link.

        As it declares; if it declares nothing, as this delivery of such a frame shows.
        """
        declared = self.traits.reserved
        spanning_tree = any(sent.frame[:6] == RESERVED + b"\0" for sent in delivery.sent)
        if declared is None or (declared == "filtered" and spanning_tree):
            return delivery.nobody
        return declared == "filtered"

    def require_promiscuous(self) -> None:
        """The test needs a promiscuous port to see frames that are not for it."""
        declared = self.traits.promiscuous
        sees_all = declared == "all" or (declared is None and self.kind != "learning")
        self.require(sees_all or self.kind == "repeater", SEES_WHAT_REACHES_IT)

    def require(self, ability: bool, what: str) -> None:
        """Unsupported, and so skipped, on a LAN that has declared that it lacks an ability."""
        if not ability:
            raise Unsupported(f"{self.lan.name}: {what}")

    def require_kind(self, *kinds: LanKind) -> None:
        """The test's rule is about LANs of these kinds only."""
        if self.kind not in kinds:
            raise NotForKind(f"{self.lan.name}: the rule is for {' and '.join(kinds)} LANs")


def frames_of(arrivals: Sequence[Arrival]) -> list[bytes]:
    """The frames of arrivals."""
    return [arrival.frame for arrival in arrivals]


class _Judging:
    """The model's view of frames that are sent together, and of what arrives."""

    def __init__(self, model: Model, layout: Layout | None) -> None:
        self._model = model
        self._layout = layout
        self._sent: list[Sent] = []
        self._must: dict[str, list[int]] = {}
        self._may: dict[str, list[int]] = {}
        self._foreseen: dict[str, Any] = {}
        self.judged = False
        """Whether the model left anything else than everything open."""

    def foresee(self, sender: str, frame: bytes) -> None:
        """Ask the model who receives a frame that is about to be sent."""
        self._foreseen = dict(self._model.rulings(sender, frame))

    def happened(self, sender: str, frame: bytes) -> None:
        """The frame was sent, and not refused."""
        index = len(self._sent)
        self._sent.append(Sent(sender, frame))
        for name, ruling in self._foreseen.items():
            if ruling.verdict is MUST:
                self._must.setdefault(name, []).append(index)
            elif ruling.verdict is MAY:
                self._may.setdefault(name, []).append(index)
            self.judged |= ruling.verdict is not MAY
        self._model.sent(sender, frame)

    def compare(
        self, arrived: Mapping[BenchPort, Sequence[Arrival]], earlier: Set[bytes]
    ) -> list[Difference]:
        """Every difference at every port."""
        traits = self._model.traits

        def fits(frame: bytes, arrival: bytes) -> bool:
            if arrives_as(traits, frame, arrival):
                return True
            # A frame that a simulated sender laid out in sections may lose its last ones.
            return self._layout is not None and frame.startswith(arrival)

        result: list[Difference] = []
        for port, arrivals in arrived.items():
            must, may = self._must.get(port.name, []), self._may.get(port.name, [])
            if not must and not arrivals:
                continue
            seen = differences.Port(port.name, must, may, frames_of(arrivals))
            result += differences.compare(
                seen, self._sent, fits, earlier=earlier, ordered=traits.ordered
            )
        return result


def explain_violations(violations: Sequence[Difference]) -> str:
    """Violations on the wire in one line: the first, its rule, and how many there are."""
    first, *others = violations
    more = f"; {len(others)} more" if others else ""
    return f"on the wire, {RULES_BY_KIND[first.kind]}: {first}{more}"


def differing(
    delivery: Delivery, expected: Mapping[Port, Sequence[bytes]]
) -> list[tuple[Port, tuple[bytes, ...], tuple[bytes, ...]]]:
    """Ports that did not receive what was expected: port, expected frames, received frames."""
    return [
        (port, want, got)
        for port, got in delivery.received.items()
        if got != (want := tuple(map(as_frame, expected.get(port, ()))))
    ]


def classify(delivery: Delivery, expected: Mapping[Port, Sequence[bytes]]) -> list[Difference]:
    """What differs at each port, in the words of ``harness.differences``."""
    found: list[Difference] = []
    for port, want, got in differing(delivery, expected):
        sent = [*delivery.sent]
        must = []
        for frame in want:
            index = next(
                (
                    index
                    for index, one in enumerate(sent)
                    if one.frame == frame and index not in must
                ),
                None,
            )
            if index is None:
                index = len(sent)
                sent.append(Sent("nobody", frame))
            must.append(index)
        found += differences.compare(differences.Port(port.name, must, (), got), sent)
    return found


def compare_ports(delivery: Delivery, expected: Mapping[Port, Sequence[bytes]]) -> list[str]:
    """What each port that differs was to receive, and received, in a line each."""
    return [
        f"{port.name} expected {_sizes(want)}, received {_sizes(got)}"
        + ", not the same" * (_sizes(want) == _sizes(got))
        for port, want, got in differing(delivery, expected)
    ]


def sum_up(delivery: Delivery, expected: Mapping[Port, Sequence[bytes]]) -> str:
    """The first of the differences, and how many there are, in one line."""
    first, *others = compare_ports(delivery, expected)
    more = f"; {len(others)} more differ" + "s" * (len(others) == 1) if others else ""
    return first + more


def explain_ports(delivery: Delivery, expected: Mapping[Port, Sequence[bytes]]) -> list[str]:
    """Every port side by side, and what differs, in lines to read."""
    lines = [f"{'port':<10}  {'expected':<34}  received"]
    for port, got in delivery.received.items():
        want = tuple(map(as_frame, expected.get(port, ())))
        mark = "" if got == want else "   <- differs"
        lines.append(f"{port.name:<10}  {_sizes(want):<34}  {_sizes(got)}{mark}")
    return lines + [str(difference) for difference in classify(delivery, expected)]


def explain_frames(delivery: Delivery, expected: Mapping[Port, Sequence[bytes]]) -> list[str]:
    """The first frame that differs at each port that differs, in lines to read."""
    lines: list[str] = []
    for port, want, got in differing(delivery, expected):
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
    for label, frame in (("expected", want), ("received", got)):
        shown = "nothing" if frame is None else f"{len(frame)} bytes: {frames.describe(frame)}"
        lines.append(f"  {label}  {shown}")
    return lines


def _window(frame: bytes, start: int, size: int = 16) -> str:
    more = "..." if len(frame) > start + size else "(end)"
    return f"{'... ' * bool(start)}{frame[start : start + size].hex(' ')} {more}"
