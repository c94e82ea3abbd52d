"""Send, settle, collect: what every port of a LAN received, compared exactly.

A delivery equals a mapping only if each port that the mapping names received just
those frames, in number, order, length and bytes, and every other port nothing, the
sender included. An exchange that reached nobody is followed by a control broadcast:
silence counts only from a LAN that has just been proved alive.

Independently of what a test compares, every arrival at every port is judged on the wire by
the model of the LAN's kind. What differs is kept in ``Testbench.violations``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import islice
from typing import SupportsBytes, cast

from harness import frames
from harness.bench_port import BenchPort
from harness.delivery import Delivery, Span, View
from harness.differences import Difference, Kind, Sent
from harness.judging import Judging, compare_waiting
from harness.lan import (
    Arrival,
    FrameRefused,
    Inconclusive,
    Lan,
    LanError,
    LanVerbs,
    Layout,
    Port,
    Traits,
    Unsupported,
    as_frame,
    check_calm,
)
from harness.models import RESERVED, Model, kind_of
from harness.models import Kind as LanKind

CONTROL_STAMP = -1
"""The first stamp of control frames, which go down from here: no test's own."""

GREETING_STAMP = -2
"""The stamp of the frames by which ports make their addresses known."""

SEES_WHAT_REACHES_IT = "a promiscuous port sees only the frames that reach it anyway"

INTRODUCED: tuple[LanKind, ...] = ("learning", "unknown")
"""Kinds of LAN whose ports first make their own addresses known."""

LAGS = 5
"""How many times the declared lag a learning LAN is given until it is late."""

FRESH = 0x0E
"""First byte of addresses that no port has: locally administered, not a group's."""


class NotForKind(Unsupported):
    """A test whose rule does not apply to LANs of this kind."""


def is_unicast(frame: bytes) -> bool:
    """Whether a frame is for one address, as far as it has one."""
    return not (frame and frame[0] & 1)


class Testbench:
    r"""A LAN as a test sees it: the fixture ``lan``.

    ``ports(n)`` gives the first n ports; ``exchange(sender, frame, ...)`` sends frames, waits
    until all is quiet and returns the Delivery. ``view`` is the rule's: what reached the port
    (wire), or what a host's card would pass up (host). What comes back to its own sender
    counts in either view. A ``shared`` LAN has ports that the test did not ask for: a unicast
    that one of them gets is a stray. ``model`` is the LAN's reference model; it lives as long
    as the LAN. ``seed`` selects the addresses that ``fresh_address`` gives, ``control`` the
    payload of control broadcasts.

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
        control: int = 0,
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
        self._pending: Judging | None = None
        self._beyond = ""
        """The last frame beyond the LAN's limits, if nothing was heard of the LAN since."""
        self._earlier: set[bytes] = set()
        self._window = (0, 0)
        """The part of the LAN's records in which the frames collected last arrived."""
        self._alive = False
        self._unproved = False
        """There was silence, with no other port up to prove the LAN alive."""
        self.used_up = False
        """No other test should use this LAN: it has too many ports, or a full table."""
        self._most = 0
        self.in_use = False
        """Whether sockets of `harness.scapy` are open: they take what arrives."""
        self._seed = seed
        self._control_stamp = CONTROL_STAMP - 2 * control
        self._sent_count = 0
        self._received_count = Counter[str]()
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
        if self._shared and count > max(self.traits.ports, self._most):
            raise Unsupported(f"{self.lan.name}: has {self.traits.ports} ports, {count} needed")
        known = len(self._wrapped)
        self._ports = self._wrap(self.lan.ports(count))
        if self._shared:
            self._bystanders = self._wrap(self.lan.ports(self.traits.ports)[count:])
        if len(self._wrapped) > known and self.kind in INTRODUCED:
            self.introduce(*(self._ports + self._bystanders)[known:])
        return list(self._ports)

    def pair(self) -> tuple[BenchPort, BenchPort]:
        """A sender and a receiver; a third port, where there is one, stands by."""
        one, other, *_ = self.some_ports(3)
        return one, other

    def some_ports(self, count: int, *, least: int = 2) -> Sequence[BenchPort]:
        """``count`` ports, or as many as the LAN has, if that is ``least`` or more."""
        most = self.traits.ports if self._shared else count
        return self.ports(max(least, min(count, most)))

    def _wrap(self, ports: Sequence[Port]) -> list[BenchPort]:
        for port in ports:
            if port.name not in self._wrapped:
                self._wrapped[port.name] = BenchPort(self, port)
                if port.name not in self.model.peers:
                    self.model.plug(port.name, port.mac)
        return [self._wrapped[port.name] for port in ports]

    def introduce_again(self) -> None:
        """After a port left or came back: make the addresses of all that are up known again."""
        up = [port for port in (*self._ports, *self._bystanders) if self._is_up(port)]
        if self.kind in INTRODUCED and len(up) > 1:
            self.introduce(*up)

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

    def most_ports(self, limit: int) -> int:
        """How many ports the LAN can have, up to ``limit``; it may be more than it declares."""
        if not self._shared:
            return limit
        for count in (limit, limit // 2 + 1):
            if count > self.traits.ports:
                try:
                    self.lan.ports(count)
                except LanError:
                    continue
                self.used_up, self._most = True, count
                return count
        return min(limit, self.traits.ports)

    @property
    def compared(self) -> list[Delivery]:
        """The deliveries that were compared with what was expected of them."""
        return [delivery for delivery in self.deliveries if delivery.comparisons]

    def is_crowded(self) -> bool:
        """Whether the LAN has learned more than a quarter of the addresses that it can hold."""
        most = self.traits.addresses
        return most is not None and len(self.model.table) > most // 4

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
        if self.in_use:
            raise ValueError(f"{self.lan.name}: sockets are open on it: close them first")
        given = [(self._bench_port(sender), as_frame(frame)) for sender, frame in sent]
        for _, frame in given:
            if self.kind != "directory" or self._shared:
                self._refuse_length(frame)
        delivery = self._exchange(given, layout)
        self.deliveries.append(delivery)
        return delivery

    def exchange_any(self, sender: Port, frame: SupportsBytes) -> Delivery:
        """The same with one frame, even if the LAN declares not to take it."""
        delivery = self._exchange([(self._bench_port(sender), as_frame(frame))], None)
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
        if len(frame) > self.traits.longest and self.traits.oversized == "dropped":
            raise Unsupported(f"{self.lan.name}: takes no frame over {self.traits.longest} bytes")

    @property
    def _burst(self) -> int:
        """Frames that may be in flight; those that may overtake each other go one at a time."""
        return self.traits.burst if self.traits.ordered else 1

    def wire(self, sender: Port, *sent: SupportsBytes) -> Delivery:
        """An exchange in the view of the wire, whatever the view of the test's rule.

        The delivery has the ports that the test asked for; the others are the model's.
        """
        given = [(self._bench_port(sender), as_frame(frame)) for frame in sent]
        for _, frame in given:
            self._refuse_length(frame)
        delivery = self._exchange(given, None, "wire")
        self.deliveries.append(delivery)
        return delivery

    def stream(
        self, sent: Iterable[tuple[Port, SupportsBytes]], *, one_by_one: bool = False
    ) -> None:
        """Send many frames, in bursts of the size declared; the model alone judges them.

        It stops at the first burst in which something is wrong.
        """
        self._judge_pending()
        size = 1 if one_by_one else self.traits.burst
        given = ((self._bench_port(sender), as_frame(frame)) for sender, frame in sent)
        while batch := list(islice(given, size)):
            for _, frame in batch:
                self._refuse_length(frame)
            if self._send(batch, Judging(self.model)):
                return
            self._earlier.update(frame for _, frame in batch)

    def overload(self, sender: Port, sent: Iterable[SupportsBytes]) -> None:
        """Send frames without waiting, more than the LAN may hold: it may lose some of them.

        What arrives of them must be whole, once, in order and only where it may.
        """
        self._judge_pending()
        port = self._bench_port(sender)
        judging = Judging(self.model, lenient=True)
        for frame in map(as_frame, sent):
            judging.foresee(port.name, frame)
            try:
                self._put(port, frame)
            except FrameRefused:
                continue
            judging.happened(port.name, frame)
            self._earlier.add(frame)
        try:
            self.lan.settle()
        except Inconclusive:
            # What says that all is quiet may be lost as well; now the LAN has time for it.
            self.lan.settle()
        arrived = _frames(self._collect())
        self._alive |= any(seen for name, seen in arrived.items() if name != port.name)
        self.violations += self._compare(judging, arrived)

    def try_sending(self, sender: Port, frame: SupportsBytes) -> bool:
        """Send a frame that the LAN may refuse; whether it took it."""
        try:
            self._bench_port(sender).send(frame)
        except FrameRefused:
            return False
        return True

    def _send(self, batch: Sequence[tuple[BenchPort, bytes]], judging: Judging) -> bool:
        """Send frames together and judge what arrives; whether something was wrong."""
        for sender, frame in batch:
            judging.foresee(sender.name, frame)
            self._put(sender, frame)
            judging.happened(sender.name, frame)
        self._settle()
        wrong = self._compare(judging, _frames(self._collect()))
        self.violations += wrong
        return bool(wrong)

    def _exchange(
        self,
        given: Sequence[tuple[BenchPort, bytes]],
        layout: Layout | None,
        view: View | None = None,
    ) -> Delivery:
        self._judge_pending()
        first = len(self.lan.records())
        received: dict[Port, list[bytes]] = {port: [] for port in self._ports}
        own: dict[str, set[bytes]] = {}
        for sender, frame in given:
            own.setdefault(sender.name, set()).add(frame)
        judged = False
        for start in range(0, len(given), self._burst):
            judging = Judging(self.model, layout)
            for sender, frame in given[start : start + self._burst]:
                judging.foresee(sender.name, frame)
                self._put(sender, frame, layout)
                judging.happened(sender.name, frame)
                if frame[6:7] and frame[6] & 1:
                    self._beyond = f"{sender.name} sent a frame from {frame[6:12].hex(':')}"
            self._settle()
            arrived = self._collect()
            judged |= judging.judged
            self.violations += self._compare(judging, _frames(arrived))
            for port, seen in self._in_view(arrived, own, view).items():
                received.setdefault(port, []).extend(seen)
        stale = {frame for seen in received.values() for frame in seen if frame in self._earlier}
        self._earlier.update(frame for _, frame in given)
        if any(received.values()):
            self._alive, self._unproved = True, False
        last = control = len(self.lan.records())
        sent = [Sent(sender.name, frame) for sender, frame in given]
        if given and not any(received.values()):
            self.prove_alive(given[0][0])
            control = len(self.lan.records())
        delivery = Delivery(
            received,
            view or self.view,
            Span(first, last, control),
            sent,
            strays=view is None,
            padding=self.traits.padding,
            earlier=stale,
        )
        if given and not judged:
            self.unjudged.append(delivery)
        return delivery

    def prove_alive(self, sender: Port) -> None:
        """A broadcast that must arrive; Inconclusive if no port ever received anything.

        A LAN that delivered before in this test, and now does not, fails.
        """
        port = self._bench_port(sender)
        if not self._is_up(port):
            port = next((other for other in self._ports if self._is_up(other)), port)
        if not any(self._takes(other) for other in self._wrapped.values() if other is not port):
            self._unproved = True  # nobody is there to receive it
            return
        size = max(60, self.traits.shortest)
        control = frames.ethernet(frames.BROADCAST, port, size=size, stamp=self._control_stamp)
        judging = Judging(self.model)
        judging.foresee(port.name, control)
        self._put(port, control)
        judging.happened(port.name, control)
        self._settle()
        arrived = _frames(self._collect())
        problems = self._compare(judging, arrived)
        self._earlier.add(control)
        others = [seen for name, seen in arrived.items() if name != port.name]
        if any(others):
            self._alive |= any(control in seen for seen in others)
            self.violations += problems
            return
        what = f"{self.lan.name}: no port received anything, nor a control broadcast from"
        if self._alive:
            raise AssertionError(f"{what} {port.name}: the LAN has stopped forwarding")
        raise Inconclusive(f"{what} {port.name}")

    def send_loose(self, port: BenchPort, frame: bytes, layout: Layout | None) -> None:
        """Send a frame outside of an exchange; the next one judges what became of it."""
        if self._pending is None:
            self._pending = Judging(self.model, layout)
        self._pending.foresee(port.name, frame)
        self._put(port, frame, layout)
        self._pending.happened(port.name, frame)
        if not max(self.traits.shortest, 14) <= len(frame) <= self.traits.longest:
            self._beyond = f"{port.name} sent a frame of {len(frame)} bytes"
        self._earlier.add(frame)

    def take_judged(self) -> dict[Port, Sequence[Arrival]]:
        """Wait until all is quiet; judge and return what arrived, of frames sent loose."""
        self._settle()
        arrived = self._collect()
        pending, self._pending = self._pending or Judging(self.model), None
        self.violations += pending.compare(_frames(arrived), self._earlier)
        return {port: arrivals for port, arrivals in arrived.items()}  # noqa: C416  # other keys

    def forget_pending(self) -> None:
        """The test itself looks at what arrived."""
        self._pending = None

    def _judge_pending(self) -> None:
        """Judge what arrived before an exchange begins: nothing, but for frames sent loose."""
        pending, self._pending = self._pending, None
        if pending is None:
            pending = Judging(self.model)
        else:
            self._settle()
        self.violations += self._compare(pending, _frames(self._collect()))

    def finish(self) -> None:
        """Judge what arrives after the last exchange: nothing may.

        Ports that are down come up again, as a LAN that keeps frames for them shows it then.
        """
        self._settle()
        self._judge_pending()
        for port in self._paused():
            port.resume()
        closed = [port for port in self._wrapped.values() if not self._is_up(port)]
        for port in closed:
            port.comes_back()
        if closed:
            self._settle()
            self._judge_pending()
        if self._unproved:
            self.prove_alive(next(iter(self._wrapped.values())))
        take = getattr(self.lan, "take_marker_faults", None)
        for fault in take() if take is not None else ():
            self.violations.append(
                Difference(Kind(fault.kind), fault.port, fault.text, fault.frame)
            )

    # Addresses of a learning LAN

    def teach(self, port: Port, address: bytes) -> None:
        """Make an address known at a port: it sends a broadcast, and the LAN has learned it."""
        owner = self._bench_port(port)
        size = max(60, self.traits.shortest)
        self._exchange([(owner, frames.ethernet(frames.BROADCAST, address, size=size))], None)
        if self.traits.lag_s:
            self._prove_known(owner, address)
        self.assume_known(owner, address)

    def assume_known(self, port: Port, address: bytes) -> None:
        """From here on the LAN must know an address at a port, and there alone."""
        if self.kind == "learning":
            self.model.know(address, port.name)

    def _prove_known(self, owner: BenchPort, address: bytes) -> None:
        """Send to an address until it is no longer flooded; a LAN that never gets there fails."""
        prober = next(port for port in self._ports if port is not owner and self._is_up(port))
        deadline = time.monotonic() + LAGS * self.traits.lag_s
        while time.monotonic() < deadline:
            probe = frames.ethernet(address, prober, size=max(60, self.traits.shortest))
            delivery = self._exchange([(prober, probe)], None, "wire")
            if delivery == {owner: [probe]}:
                return
        raise AssertionError(
            f"{self.lan.name}: {address.hex(':')} sent from {owner.name}, and"
            f" {LAGS * self.traits.lag_s:g} s later frames to it are still flooded"
        )

    def age(self, seconds: float) -> None:
        """Let ageing time pass; then the ports' own addresses are made known again."""
        self.require_verbs("age")
        self._judge_pending()
        cast("LanVerbs", self.lan).age(seconds)
        self.model.age(seconds)
        self.introduce_again()

    def resume(self, port: BenchPort, resume: Callable[[], None]) -> None:
        """A port takes frames again: judge those that waited for it."""
        self._judge_pending()
        try:
            resume()
            self.lan.settle()
        except Inconclusive as error:
            raise AssertionError(f"{port.name} takes frames again: {error}") from error
        waiting = self.model.resume(port.name)
        arrived = _frames(self._collect())
        mine = arrived.pop(port.name, [])
        differing = compare_waiting(self.model, port.name, waiting, mine, self._earlier)
        self.violations += self._placed(differing)
        self.violations += self._compare(Judging(self.model), arrived)

    def require_verbs(self, *verbs: str) -> None:
        """The test needs methods that not every LAN has, as ``Traits.verbs`` names them."""
        for verb in verbs:
            self.require(verb in self.traits.verbs, f"does not declare the verb {verb!r}")

    def fresh_address(self) -> bytes:
        """A unicast address that no port has, and that was never used on this LAN."""
        self._fresh += 1
        return self.wide_address(self._fresh)

    def wide_address(self, number: int) -> bytes:
        """One of 65,536 addresses of this test's own, by number."""
        return bytes((FRESH,)) + self._seed.to_bytes(3, "big") + number.to_bytes(2, "big")

    def _settle(self) -> None:
        """Wait until all is quiet; a LAN fails that was silenced by a frame that it may refuse.

        Such a frame is beyond its limits, or has a group as its source.
        """
        try:
            self.lan.settle()
        except Inconclusive as error:
            if paused := self._paused():
                names = " and ".join(port.name for port in paused)
                raise AssertionError(f"while {names} takes no frames: {error}") from error
            if not self._beyond:
                raise
            raise AssertionError(f"after {self._beyond}: {error}") from error
        self._beyond = ""

    def _is_up(self, port: BenchPort) -> bool:
        return self.model.peers[port.name].up

    def _takes(self, port: BenchPort) -> bool:
        return self._is_up(port) and not self.model.peers[port.name].paused

    def _paused(self) -> list[BenchPort]:
        return [port for port in self._wrapped.values() if self.model.peers[port.name].paused]

    def _compare(
        self, judging: Judging, arrived: Mapping[str, Sequence[bytes]]
    ) -> list[Difference]:
        """What differs in the frames collected last."""
        return self._placed(judging.compare(arrived, self._earlier))

    def _placed(self, differences: Sequence[Difference]) -> list[Difference]:
        """The same with the records collected last; a frame that was missing before is late."""
        return [
            difference._replace(
                kind=self._late_or(difference),
                text=difference.text + self._origin(difference),
                within=self._window,
            )
            for difference in differences
        ]

    def _origin(self, difference: Difference) -> str:
        """Who sent a stale frame."""
        if difference.kind is not Kind.STALE:
            return ""
        sent = (
            record.port
            for record in reversed(self.lan.records()[: self._window[1]])
            if record.direction == "sent" and record.frame == difference.frame
        )
        sender = next(sent, "")
        return f" by {'this port itself' if sender == difference.port else sender}" * bool(sender)

    def _late_or(self, difference: Difference) -> Kind:
        late = difference.kind is Kind.STALE and any(
            earlier.kind is Kind.MISSING
            and earlier.port == difference.port
            and difference.frame in (earlier.frame, *earlier.others)
            for earlier in self.violations
        )
        return Kind.LATE if late else difference.kind

    def _collect(self) -> dict[BenchPort, Sequence[Arrival]]:
        arrived = {port: port.port.arrivals() for port in (*self._ports, *self._bystanders)}
        self._window = self._window[1], len(self.lan.records())
        for port, seen in arrived.items():
            self._received_count[port.name] += len(seen)
            check_calm(port.name, self._received_count[port.name], self._sent_count)
        return arrived

    def _put(self, port: BenchPort, frame: bytes, layout: Layout | None = None) -> None:
        self._sent_count += 1
        port.port.send(frame, layout)

    def _in_view(
        self,
        arrived: Mapping[BenchPort, Sequence[Arrival]],
        own: Mapping[str, Set[bytes]],
        view: View | None,
    ) -> dict[Port, list[bytes]]:
        """What a delivery has: arrivals in this view; ``own`` is what each port sent itself.

        In the view of the test's rule (None) it has strays at other ports too.
        """
        wire = (view or self.view) == "wire"
        asked_alone = view is not None
        seen: dict[Port, list[bytes]] = {}
        for port, arrivals in arrived.items():
            stranger = port not in self._ports
            if stranger and asked_alone:
                continue
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

    def require_length(self, size: int) -> None:
        """The test needs frames of that length to arrive whole."""
        cut = self.traits.oversized == "cut"
        longest = min(self.traits.longest, frames.LONGEST) if cut else self.traits.longest
        self.require(
            self.traits.shortest <= size <= longest,
            f"carries frames of {self.traits.shortest} to {longest} bytes whole, {size} needed",
        )

    def require_vlans(self, tagged: bool = True) -> None:
        """The test needs tagged frames, if ``tagged``, to be carried whatever their VLAN."""
        carried = self.traits.vlan == "transparent" or not tagged
        self.require(carried, "carries only frames of VLANs that it was configured for")

    def require(self, ability: bool, what: str) -> None:
        """Unsupported, and so skipped, on a LAN that has declared that it lacks an ability."""
        if not ability:
            raise Unsupported(f"{self.lan.name}: {what}")

    def require_kind(self, *kinds: LanKind) -> None:
        """The test's rule is about LANs of these kinds only."""
        if self.kind not in kinds:
            raise NotForKind(f"{self.lan.name}: the rule is for {' and '.join(kinds)} LANs")


def _frames(arrived: Mapping[BenchPort, Sequence[Arrival]]) -> dict[str, list[bytes]]:
    """The frames of arrivals, by the port's name."""
    return {
        port.name: [arrival.frame for arrival in arrivals] for port, arrivals in arrived.items()
    }
