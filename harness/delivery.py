"""Who received what in one exchange, and exact comparison with what was expected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.differences import Sent
from harness.lan import Port, as_frame
from harness.models import SHORTEST_PADDED

View = Literal["wire", "host"]
"""What reached the port, or what a host's card would pass up."""


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
        *,
        strays: bool = True,
        padding: int | None = 0,
        earlier: Iterable[bytes] = (),
    ) -> None:
        self.received = {port: tuple(arrived) for port, arrived in received.items()}
        self.view = view
        self.span = span
        self.sent = tuple(sent)
        self.strays = strays
        """Whether ports that the test did not ask for are in it, if a unicast reached them."""
        self.padding = padding
        """As in `Traits`: the LAN fills short frames up with zeros, never, or perhaps (None)."""
        self.earlier = frozenset(earlier)
        """Which of the frames received were sent in an exchange before this one."""
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
        wanted = {
            port: tuple(self._padded(as_frame(frame), self.received[port]) for frame in listed)
            for port, listed in expected.items()
        }
        equal = all(arrived == wanted.get(port, ()) for port, arrived in self.received.items())
        self.comparisons.append((wanted, equal))
        return equal

    def _padded(self, frame: bytes, arrived: Sequence[bytes]) -> bytes:
        """A frame as the LAN has to deliver it: a short one may be padded."""
        if self.padding == 0 or len(frame) >= SHORTEST_PADDED:
            return frame
        padded = frame.ljust(SHORTEST_PADDED, b"\0")
        return padded if self.padding or (padded in arrived and frame not in arrived) else frame

    def __repr__(self) -> str:
        counts = [f"{port.name}: {len(got)}" for port, got in self.received.items() if got]
        return f"<Delivery {', '.join(counts) or 'nothing to nobody'}>"
