"""pytest glue: what was wrong with a test's deliveries, and which packets show it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pytest

from harness.differences import Difference, Kind
from harness.evidence import comments, results
from harness.exchange import Testbench
from harness.explanation import classify
from harness.frames import cast
from harness.judging import RULES_BY_KIND
from harness.lan import FateKind, Record

MOST_KEPT = 100
"""Differences of one test that go into its results."""


def bench_of(item: pytest.Item) -> Testbench | None:
    """The LAN as the test saw it."""
    bench = getattr(item, "funcargs", {}).get("lan")
    return bench if isinstance(bench, Testbench) else None


def of_test(item: pytest.Item) -> list[Difference]:
    """All differences: of the comparisons that failed, then on the wire, none of them twice."""
    bench = bench_of(item)
    if bench is None:
        return []
    own = [
        difference
        for delivery in bench.compared
        if delivery.expected is not None and not any(equal for _, equal in delivery.comparisons)
        for difference in classify(delivery, delivery.expected)
    ]
    known = {(difference.kind, difference.port, difference.frame) for difference in own}
    return own + [
        difference
        for difference in bench.violations
        if (difference.kind, difference.port, difference.frame) not in known
    ]


def located(
    differences: Sequence[Difference], records: Sequence[Record], start: int
) -> tuple[list[results.Difference], Mapping[int, list[str]]]:
    """Differences with their packets, and the comments of each guilty packet.

    ``records[start]`` is packet 1 of the capture. A frame that is missing is shown by the
    packet that was sent.
    """
    used: set[int] = set()
    guilty: dict[int, list[str]] = {}
    kept: list[results.Difference] = []
    for difference in differences:
        packets = list(_packets(difference, records, start, used))
        used.update(packets)
        for packet in packets:
            guilty.setdefault(packet, []).append(_comment(difference))
        if len(kept) < MOST_KEPT:
            first = packets[0] - start + 1 if packets else 0
            sent = _sent(difference, records, start, packets[0] if packets else -1)
            kept.append(
                results.Difference(
                    difference.kind,
                    difference.port,
                    difference.text,
                    cast(difference.original or difference.frame),
                    RULES_BY_KIND[difference.kind],
                    first,
                    0 if sent is None else sent - start + 1,
                )
            )
    return kept, guilty


def _comment(difference: Difference) -> str:
    if difference.kind is Kind.MISSING:
        return f"{comments.MISSING_AT}{difference.port}: {difference.text}"
    return f"{comments.WRONG}{difference.kind}: {difference.text}"


def _span(difference: Difference, records: Sequence[Record], start: int) -> range:
    first, last = difference.within
    end = min(last or len(records), len(records))  # without captures there are no records
    return range(max(first, start), end)


def _packets(
    difference: Difference, records: Sequence[Record], start: int, used: set[int]
) -> Iterator[int]:
    """Indexes of the records that show a difference."""
    several = difference.kind in (Kind.MISSING, Kind.REORDERED)
    frames = [difference.frame, *difference.others]
    span = _span(difference, records, start)
    if difference.kind is Kind.MISSING:
        for index in span:
            if records[index].direction == "sent" and records[index].frame in frames:
                frames.remove(records[index].frame)
                yield index
        return
    alike = [
        index
        for index in span
        if records[index].frame in frames
        and records[index].port == difference.port
        and records[index].direction == "received"
        and all(fate.kind is not FateKind.DROPPED for fate in records[index].fates)
    ]
    if difference.kind is Kind.DUPLICATE:
        alike = alike[1:]
    unused = [index for index in alike if index not in used]
    yield from unused if several else unused[:1]


def _sent(difference: Difference, records: Sequence[Record], start: int, before: int) -> int | None:
    """The record of the frame as it was sent: the last one before the guilty packet."""
    whole = difference.original or difference.frame
    latest = None
    span = _span(difference, records, start)
    if difference.kind in (Kind.STALE, Kind.LATE):
        span = range(start, max(start, before))
    for index in span:
        if records[index].direction == "sent" and records[index].frame == whole:
            if latest is not None and before >= 0 and index > before:
                break
            latest = index
    return latest
