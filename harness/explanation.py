"""A delivery that is not what was expected, in lines to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness import differences, frames
from harness.delivery import Delivery
from harness.differences import Difference, Sent
from harness.lan import Port, as_frame


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
