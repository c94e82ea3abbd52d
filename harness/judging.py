"""What arrived at every port, held against the model of the LAN's kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from harness import differences
from harness.differences import Difference, Kind, Sent
from harness.lan import Layout
from harness.models import Model, Receivers, arrives_as

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


class Judging:
    """Frames that are sent together, what the model says of them, and what arrives.

    Ask ``foresee`` before each frame is sent, and say ``happened`` when it was not refused.
    ``lenient``: what must arrive may as well be lost, as when a LAN is overloaded. A frame
    with a ``layout`` may lose its last sections.
    """

    def __init__(
        self, model: Model, layout: Layout | None = None, *, lenient: bool = False
    ) -> None:
        self._model = model
        self._layout = layout
        self._lenient = lenient
        self._sent: list[Sent] = []
        self._must: dict[str, list[int]] = {}
        self._may: dict[str, list[int]] = {}
        self._foreseen = Receivers((), (), False)
        self.judged = False
        """Whether the model left anything else than everything open."""

    def foresee(self, sender: str, frame: bytes) -> None:
        """Ask the model who receives a frame that is about to be sent."""
        self._foreseen = self._model.receivers(sender, frame)

    def happened(self, sender: str, frame: bytes) -> None:
        """The frame was sent, and not refused."""
        index = len(self._sent)
        self._sent.append(Sent(sender, frame))
        foreseen = self._foreseen
        must = self._may if self._lenient else self._must
        for indexes, names in ((must, foreseen.must), (self._may, foreseen.may)):
            for name in names:
                peer = self._model.peers[name]
                if peer.paused:
                    peer.waiting.append((sender, frame))
                else:
                    indexes.setdefault(name, []).append(index)
        self.judged |= foreseen.judged
        self._model.sent(sender, frame)

    def compare(
        self, arrived: Mapping[str, Sequence[bytes]], earlier: Set[bytes]
    ) -> list[Difference]:
        """Every difference at every port; ``arrived`` has the frames by the port's name."""
        result: list[Difference] = []
        for name, frames in arrived.items():
            must, may = self._must.get(name, []), self._may.get(name, [])
            if not must and not frames:
                continue
            port = differences.Port(name, must, may, frames)
            result += differences.compare(
                port, self._sent, self._fits, earlier=earlier, ordered=self._model.traits.ordered
            )
        return result

    def _fits(self, frame: bytes, arrival: bytes) -> bool:
        cut = self._layout is not None and frame.startswith(arrival)
        return cut or arrives_as(self._model.traits, frame, arrival)


def compare_waiting(
    model: Model,
    name: str,
    waiting: Sequence[tuple[str, bytes]],
    arrived: Sequence[bytes],
    earlier: Set[bytes],
) -> list[Difference]:
    """Every difference at a port that takes frames again: it may have lost what waited there."""
    sent = [Sent(sender, frame) for sender, frame in waiting]
    port = differences.Port(name, [], range(len(sent)), arrived)

    def fits(frame: bytes, arrival: bytes) -> bool:
        return arrives_as(model.traits, frame, arrival)

    return differences.compare(port, sent, fits, earlier=earlier, ordered=model.traits.ordered)


def explain_violations(violations: Sequence[Difference]) -> str:
    """Violations on the wire in one line: the first, its rule, and how many there are."""
    first, *others = violations
    more = f"; {len(others)} more" if others else ""
    return f"on the wire, {RULES_BY_KIND[first.kind]}: {first}{more}"
