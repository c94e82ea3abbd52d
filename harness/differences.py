"""What differs between the frames that a port should have received and those it received.

Every difference has a kind: the same words stand in assertions, reports and captures. Frames
are paired by content, so that an altered frame is one difference, and not a missing frame
and an unknown one.
"""

from __future__ import annotations

import enum
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Kind(enum.StrEnum):
    """How a delivery can differ from what was expected."""

    MISSING = "missing"
    DUPLICATE = "duplicate"
    UNEXPECTED_RECEIVER = "unexpected receiver"
    RETURNED = "returned to sender"
    REORDERED = "reordered"
    TRUNCATED = "truncated"
    LONGER = "longer"
    ALTERED = "altered"
    STALE = "stale"
    LATE = "late"
    UNKNOWN = "unknown frame"


class Difference(NamedTuple):
    """One difference, at one port: ``text`` says the details in a few words.

    ``frame`` is what arrived, or, if nothing did, what should have; ``others`` are further
    frames that are missing, or out of order. ``original`` is the frame as it was sent, where
    another form of it arrived. ``within`` is the part of the LAN's records in which it happened,
    from one index up to, not with, another; (0, 0) if that is not known.
    """

    kind: Kind
    port: str
    text: str
    frame: bytes = b""
    original: bytes = b""
    others: tuple[bytes, ...] = ()
    within: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        return f"{self.port}: {self.kind}: {self.text}"


class Sent(NamedTuple):
    """A frame that was sent, and by whom."""

    sender: str
    frame: bytes


Fits = Callable[[bytes, bytes], bool]
"""Whether an arrival is an allowed form of a frame: (frame, arrival)."""

LONGEST_PREFIX = 64
"""Bytes that a frame may have too many at its start, to be known again."""

ADDRESSES = 12
TAG = 4
"""Bytes in the two addresses of a frame, behind which a VLAN tag lies; and in a tag."""

FIVE = 5
_HEADERS = {10: "a virtio header", 12: "a virtio header", 4: "a VLAN tag or a length"}
_TRAILERS = {4: "looks like an FCS"}


def equal(frame: bytes, arrival: bytes) -> bool:
    """The strictest ``Fits``."""
    return frame == arrival


@dataclass(slots=True)
class Port:
    """What one port should have received, may have, and did receive, in order.

    ``must`` and ``may`` are indexes of ``sent``; what is in neither must not arrive.
    """

    name: str
    must: Sequence[int]
    may: Sequence[int]
    arrived: Sequence[bytes]


@dataclass(slots=True)
class _Match:
    """How arrivals at a port were paired with frames that were sent."""

    order: list[int] = field(default_factory=list)
    """Indexes of sent frames, in the order in which they arrived."""
    strangers: list[bytes] = field(default_factory=list)


def compare(
    port: Port,
    sent: Sequence[Sent],
    fits: Fits = equal,
    *,
    earlier: Iterable[bytes] = (),
    ordered: bool = True,
) -> list[Difference]:
    """Every difference at one port; ``earlier`` are frames of exchanges before this one."""
    if not port.may and [sent[index].frame for index in port.must] == list(port.arrived):
        return []
    match = _pair(port, sent, fits)
    sent_before = set(earlier)
    known = {frame for _, frame in sent} | sent_before
    missing = [index for index in port.must if index not in match.order]
    differences: list[Difference] = []
    for arrival in match.strangers:
        # A frame that was sent is itself, unless what should have arrived is none that was.
        like = [index for index in missing if not sent[index].sender or arrival not in known]
        nearest = _nearest(arrival, like, sent)
        if nearest is not None:
            missing.remove(nearest)
            differences.append(_changed(port.name, sent[nearest].frame, arrival))
        else:
            differences.append(_unexpected(port, arrival, sent, match, sent_before, fits))
    differences += _missing(port.name, missing, sent)
    if ordered:
        differences += _reordered(port.name, match.order, sent)
    return differences


def _pair(port: Port, sent: Sequence[Sent], fits: Fits) -> _Match:
    allowed = sorted({*port.must, *port.may})
    match = _Match()
    by_frame: dict[bytes, list[int]] = {}
    for index in reversed(allowed):
        by_frame.setdefault(sent[index].frame, []).append(index)
    for arrival in port.arrived:
        waiting = by_frame.get(arrival)
        if waiting:
            match.order.append(waiting.pop())
            continue
        fit = None
        if fits is not equal:
            fit = _first_fit(arrival, allowed, match.order, sent, fits)
        if fit is None:
            match.strangers.append(arrival)
        else:
            by_frame[sent[fit].frame].remove(fit)
            match.order.append(fit)
    return match


def _first_fit(
    arrival: bytes, allowed: Sequence[int], taken: Sequence[int], sent: Sequence[Sent], fits: Fits
) -> int | None:
    gone = set(taken)
    return next(
        (index for index in allowed if index not in gone and fits(sent[index].frame, arrival)),
        None,
    )


def _nearest(arrival: bytes, candidates: Sequence[int], sent: Sequence[Sent]) -> int | None:
    """The missing frame that an arrival is most likely to have been; None if it is like none."""
    place = nearest(arrival, [sent[index].frame for index in candidates])
    return None if place is None else candidates[place]


def nearest(arrival: bytes, frames: Sequence[bytes]) -> int | None:
    """The index of the frame that an arrival is most likely a form of; None if it is like none."""
    best: tuple[int, int] | None = None
    for index, frame in enumerate(frames):
        distance = _distance(frame, arrival)
        if distance is not None and (best is None or distance < best[0]):
            best = distance, index
    return None if best is None else best[1]


def _distance(frame: bytes, arrival: bytes) -> int | None:
    """How far two frames are from each other; None if they have nothing in common."""
    if not arrival:
        return None
    if _untagged(frame) == arrival or _untagged(arrival) == frame:
        return TAG
    if frame.startswith(arrival) or arrival.startswith(frame):
        return abs(len(frame) - len(arrival))
    if frame and frame in arrival[: len(frame) + LONGEST_PREFIX]:
        return len(arrival) - len(frame)
    common = min(len(frame), len(arrival))
    wrong = sum(map(int.__ne__, frame[:common], arrival[:common]))
    if common >= FIVE and wrong <= max(common // 2, 1):
        return wrong + abs(len(frame) - len(arrival))
    if len(arrival) > FIVE and arrival in frame:
        return len(frame) - len(arrival)
    return None


def _untagged(frame: bytes) -> bytes:
    """The frame without the four bytes where a VLAN tag would lie."""
    return frame[:ADDRESSES] + frame[ADDRESSES + TAG :]


def _changed(port: str, frame: bytes, arrival: bytes) -> Difference:
    """A frame that did not arrive as it was sent."""
    if _untagged(frame) == arrival:
        text = f"its tag of {TAG} bytes at {ADDRESSES} is missing"
        return Difference(Kind.ALTERED, port, text, arrival, frame)
    if _untagged(arrival) == frame:
        text = f"a tag of {TAG} bytes at {ADDRESSES} was put in"
        return Difference(Kind.ALTERED, port, text, arrival, frame)
    if frame.startswith(arrival):
        text = f"{len(arrival)} of {len(frame)} bytes arrived"
        return Difference(Kind.TRUNCATED, port, text, arrival, frame)
    more = len(arrival) - len(frame)
    if more > 0 and arrival.startswith(frame):
        return Difference(Kind.LONGER, port, _at_the_end(arrival[len(frame) :]), arrival, frame)
    at = arrival.find(frame) if more > 0 else -1
    if at > 0:
        looks = f": looks like {_HEADERS[at]}" if at in _HEADERS else ""
        behind = f", {more - at} at the end" if more > at else ""
        text = f"{_count(at, 'byte')} more at the start{behind}{looks}"
        return Difference(Kind.LONGER, port, text, arrival, frame)
    inside = frame.find(arrival)
    if inside > 0:
        text = f"its first {_count(inside, 'byte')} did not arrive"
        if inside + len(arrival) < len(frame):
            text += f", nor its last {len(frame) - inside - len(arrival)}"
        return Difference(Kind.TRUNCATED, port, text, arrival, frame)
    common = min(len(frame), len(arrival))
    wrong = [at for at in range(common) if frame[at] != arrival[at]]
    first = wrong[0] if wrong else common
    text = f"{len(wrong)} of {_count(len(frame), 'byte')}, the first at {first}"
    if more:
        text += f"; {abs(more)} {'more' if more > 0 else 'fewer'} in all"
    return Difference(Kind.ALTERED, port, text, arrival, frame)


def _at_the_end(rest: bytes) -> str:
    if not any(rest):
        looks = ", all zero: looks like padding"
    else:
        looks = f": {_TRAILERS[len(rest)]}" if len(rest) in _TRAILERS else ""
    return f"{_count(len(rest), 'byte')} more at the end{looks}"


def _unexpected(
    port: Port,
    arrival: bytes,
    sent: Sequence[Sent],
    match: _Match,
    earlier: set[bytes],
    fits: Fits,
) -> Difference:
    """An arrival that is none of the frames that should, or may, arrive here."""
    size = _count(len(arrival), "byte")
    for index, (sender, frame) in enumerate(sent):
        if not fits(frame, arrival):
            continue
        if index in match.order:
            again = Counter(port.arrived)[arrival]
            text = f"the frame of {size} from {sender} arrived {again} times"
            return Difference(Kind.DUPLICATE, port.name, text, arrival)
        if sender == port.name:
            text = f"its own frame of {size} came back"
            return Difference(Kind.RETURNED, port.name, text, arrival)
        text = f"the frame of {size} from {sender} is not for this port"
        return Difference(Kind.UNEXPECTED_RECEIVER, port.name, text, arrival)
    if arrival in earlier:
        text = f"{size}, sent in an earlier exchange"
        return Difference(Kind.STALE, port.name, text, arrival)
    near = _nearest(arrival, range(len(sent)), sent)
    if near is not None:
        changed = _changed(port.name, sent[near].frame, arrival)
        own = sent[near].sender == port.name
        kind = Kind.RETURNED if own else changed.kind
        text = f"{changed.text}, of the frame from {sent[near].sender}"
        return Difference(kind, port.name, text, arrival, sent[near].frame)
    return Difference(Kind.UNKNOWN, port.name, f"{size} that no port sent", arrival)


def _missing(port: str, missing: Sequence[int], sent: Sequence[Sent]) -> list[Difference]:
    """One difference per frame, or one for all if they are many."""
    if not missing:
        return []
    frames = [sent[index].frame for index in missing]
    if len(frames) == 1:
        sender = sent[missing[0]].sender
        origin = f" from {sender}" if sender else ", which no port sent"
        text = f"the frame of {_count(len(frames[0]), 'byte')}{origin}"
    else:
        lengths = ", ".join(str(len(frame)) for frame in frames[:FIVE])
        more = ", ..." if len(frames) > FIVE else ""
        text = f"{len(frames)} of {len(sent)} frames ({lengths}{more} bytes)"
    return [Difference(Kind.MISSING, port, text, frames[0], others=tuple(frames[1:]))]


def _reordered(port: str, order: Sequence[int], sent: Sequence[Sent]) -> list[Difference]:
    """Frames of one sender that overtook each other."""
    by_sender: dict[str, list[int]] = {}
    for index in order:
        by_sender.setdefault(sent[index].sender, []).append(index)
    differences = []
    for sender, indexes in by_sender.items():
        if indexes != sorted(indexes):
            rank = {index: number for number, index in enumerate(sorted(indexes), start=1)}
            shown = " ".join(str(rank[index]) for index in indexes[:16])
            more = " ..." if len(indexes) > 16 else ""
            text = f"the same {len(indexes)} frames from {sender}, in order {shown}{more}"
            first, *others = [sent[index].frame for index in _out_of_order(indexes)]
            differences.append(Difference(Kind.REORDERED, port, text, first, others=tuple(others)))
    return differences


def _out_of_order(indexes: Sequence[int]) -> list[int]:
    """The fewest that need to move for the rest to be in order."""
    ends: list[int] = []  # of the best increasing series of each length so far
    lengths = []
    for index in indexes:
        place = bisect_left(ends, index)
        ends[place : place + 1] = [index]
        lengths.append(place + 1)
    kept = set()
    length = len(ends)
    for index, reach in zip(reversed(indexes), reversed(lengths), strict=True):
        if reach == length:
            kept.add(index)
            length -= 1
    return [index for index in indexes if index not in kept]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
