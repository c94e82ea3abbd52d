"""pytest glue: one capture per test, passed or failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pytest

from harness.evidence import comments, pcapng
from harness.evidence.results import Exchange
from harness.lan import Lan, settled, version_of
from harness.plugin import classified, seeds, writer
from harness.plugin.items import place_of, rule_ids, rules_of, simulated

if TYPE_CHECKING:
    from harness.delivery import Delivery
    from harness.exchange import Testbench


MOST_PACKETS = 20_000
"""Packets in the longest capture of a test that passed; of a longer one the end is kept."""

KEPT_PACKETS = 2_000


def write(item: pytest.Item, lan: Lan, start: int, waited_before_s: float, *, user: bool) -> None:
    """Write a test's capture, and keep what its results say of it.

    ``start`` is how many of the LAN's records were there before the test, and
    ``waited_before_s`` how long the LAN had waited to be quiet. A ``user``'s LAN says its own
    version.
    """
    if item.config.getoption("no_captures"):
        return
    known = writer.evidence(item)
    funcargs = getattr(item, "funcargs", None)
    if funcargs is None or not known.phases:
        return  # interrupted: the test has no verdict, and the results are closed
    outcome = writer.word(writer.decisive(known.phases))
    ids = ", ".join(rule_ids(item)) or "no rule"
    about = [
        f"{comments.TEST}{item.nodeid}",
        f"verdict: {outcome}",
        *([] if simulated(item) else [f"wire seed: {seeds.of_run(item.config)}"]),
        *(f"rule: {rule.id} {rule.text} [{rule.source}]" for rule in rules_of(item)),
    ]
    all_records, interfaces = lan.records(), lan.interfaces()
    tester = funcargs.get("lan")
    if outcome == "passed" and len(all_records) - start > MOST_PACKETS:
        left_out = len(all_records) - KEPT_PACKETS - start
        start += left_out
        known.packets_left_out = left_out
        about.append(f"the first {left_out} packets of this test, which passed, are left out")
    if tester is not None:
        whole = [delivery for delivery in tester.compared if delivery.span.first >= start]
        known.exchanges = writer.exchanges_of(whole, all_records, start)
        about += _comments_on(tester, whole, known.exchanges, len(interfaces))
    known.located, guilty = classified.located(known.differences, all_records, start)
    records = [
        record._replace(comments=(ids, outcome, *record.comments)) for record in all_records[start:]
    ]
    for index, wrong in guilty.items():
        record = all_records[index]
        changed = record._replace(comments=(ids, outcome, *wrong, *record.comments))
        records[index - start] = changed
    place = place_of(item)
    content = pcapng.encode(interfaces, records, about)
    if writer.is_far(item.config):
        known.content = content
    else:
        try:
            pcapng.write(place.path, content)
        except OSError:
            # The process that the user started tries again, and says why it cannot.
            known.content = content
    known.capture = writer.capture_of(place.below, content, len(records))
    known.version = version_of(lan) if user else ""
    known.settled = settled(lan, waited_before_s)
    known.ports = {name: mac.hex(":") for name, mac in interfaces}


def _comments_on(
    tester: Testbench, deliveries: Sequence[Delivery], exchanges: Sequence[Exchange], ports: int
) -> Iterator[str]:
    """Which of the LAN's ports the test used, and what did not arrive as expected."""
    from harness.explanation import classify

    watched = tester.watched()
    if len(watched) < ports:
        yield f"{comments.PORTS}{', '.join(watched)}"
    for number, (delivery, exchange) in enumerate(zip(deliveries, exchanges, strict=True), start=1):
        if not exchange.held and delivery.expected is not None:
            for difference in classify(delivery, delivery.expected):
                yield f"exchange {number}: {difference}"
