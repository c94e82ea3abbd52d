"""pytest glue: each verdict in its own word, with what explains it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Generator, Iterator, Mapping

import pytest

from harness.evidence.text import visible
from harness.exchange import NotForKind
from harness.lan import Inconclusive, LanError, Unsupported
from harness.plugin import writer
from harness.plugin.items import described, lan_of, place_of, rule_ids, rules_of, shown, simulated

_CURRENT = pytest.StashKey[pytest.Item]()
_COVERED = "covered "
_OUTCOME = "outcome"
MOST_VIOLATIONS = 12
"""Differences on the wire that a failure lists."""

_UNEXPECTED = "[XPASS(strict)] deviation of "


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    item.config.stash[_CURRENT] = item
    try:
        return (yield)
    finally:
        del item.config.stash[_CURRENT]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    with _unsupported_is_skipped():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    with _unsupported_is_skipped():
        result = yield
        _judge_the_wire(item)
        return result


class WireViolation(AssertionError):
    """A test passed by its own asserts, and something else was wrong on the wire."""


def _judge_the_wire(item: pytest.Item) -> None:
    """What the model of the LAN's kind says of all exchanges, and of arrivals after them."""
    from harness.exchange import Testbench
    from harness.judging import explain_violations

    bench = getattr(item, "funcargs", {}).get("lan")
    if not isinstance(bench, Testbench):
        return
    bench.finish()
    if bench.violations:
        raise WireViolation(explain_violations(bench.violations))
    for number, delivery in enumerate(bench.deliveries, start=1):
        if delivery in bench.unjudged and not delivery.comparisons:
            raise WireViolation(f"exchange {number} was compared with nothing, so nothing is known")


def _wire_lines(item: pytest.Item) -> list[str]:
    """What the model found wrong, for a person to read."""
    from harness.exchange import Testbench
    from harness.judging import RULES_BY_KIND

    bench = getattr(item, "funcargs", {}).get("lan")
    if not isinstance(bench, Testbench) or not bench.violations:
        return []
    shown = bench.violations[:MOST_VIOLATIONS]
    more = len(bench.violations) - len(shown)
    return [
        "",
        "on the wire:",
        *(f"  {RULES_BY_KIND[violation.kind]}  {visible(str(violation))}" for violation in shown),
        *([f"  and {more} more"] if more else []),
    ]


@contextlib.contextmanager
def _unsupported_is_skipped() -> Iterator[None]:
    """For a skipped test pytest makes no traceback, which takes it longer than most tests."""
    try:
        yield
    except Unsupported as error:
        raise pytest.skip.Exception(str(error)) from error


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    error = None if call.excinfo is None else call.excinfo.value
    strict = bool(item.config.getoption("strict", False))
    real = not simulated(item)
    if isinstance(error, pytest.skip.Exception) and isinstance(error.__cause__, Unsupported):
        report.longrepr = (str(item.path), item.location[1] or 0, f"Skipped: {visible(str(error))}")
        report.user_properties.append((_OUTCOME, "unsupported"))
        if isinstance(error.__cause__, NotForKind):
            writer.evidence(item).applies = False
    elif (isinstance(error, WireViolation) and not hasattr(report, "wasxfail")) or (
        isinstance(error, LanError) and real and call.when == "teardown"
    ):
        report.longrepr = visible(str(error))
    elif isinstance(error, Inconclusive) or (isinstance(error, LanError) and real):
        # A user's LAN did that: a line says it, no traceback.
        writer.evidence(item).undecided = True
        report.outcome = "failed"
        report.longrepr = f"inconclusive: {visible(str(error))}"
        report.user_properties.append((_OUTCOME, "inconclusive"))
        if hasattr(report, "wasxfail"):
            del report.wasxfail
    elif str(report.longrepr).startswith(_UNEXPECTED):
        known = str(report.longrepr).removeprefix(_UNEXPECTED)
        report.longrepr = f"unexpected pass: remove it from the deviations file ({known})"
    elif hasattr(report, "wasxfail") and report.skipped:
        report.user_properties.append((_OUTCOME, "deviation"))
    elif report.skipped and strict and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"unexpected skip, under --strict: {error}"
    if lan_of(item) is not None and (call.when == "call" or not report.passed):
        report.user_properties.append(("rule", ", ".join(rule_ids(item))))
    captured = lan_of(item) is not None and not item.config.getoption("no_captures")
    if call.when == "call" and report.failed and captured:
        lines = [f"{rule.id}: {rule.text} [{rule.source}]" for rule in rules_of(item)]
        lines.append(f"capture: {place_of(item).shown}")
        seen = writer.evidence(item)
        lines += ["", *seen.port_lines, "", *seen.frame_lines] if seen.frame_lines else []
        wire = _wire_lines(item)
        lines += wire
        seen.frame_lines = seen.frame_lines or wire[1:]
        report.sections.append(("expected vs received", "\n".join(lines)))
    writer.finish(item, report, described)
    if call.when == "teardown" and lan_of(item) is not None:
        writer.add_properties(item, report, place_of(item).shown)
    return report


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    word = writer.word(report) if isinstance(report, pytest.TestReport) else ""
    letters = {"passed": ".", "failed": "F", "deviation": "d", "unsupported": "u"}
    letters["inconclusive"] = "I"
    known = word in letters and (report.when == "call" or word in ("inconclusive", "unsupported"))
    if not known or (word == "passed" and hasattr(report, "wasxfail")):
        return None
    rules = " ".join(str(value) for key, value in report.user_properties if key == "rule")
    return word, letters[word], f"{word.upper()} {rules}".strip()


def pytest_assertrepr_compare(
    config: pytest.Config,
    op: str,
    left: object,
    right: object,
) -> list[str] | None:
    from harness.delivery import Delivery
    from harness.explanation import explain_frames, explain_ports, sum_up

    if not isinstance(left, Delivery) or not isinstance(right, Mapping) or op != "==":
        return None
    right = left.comparisons[-1][0]  # as the LAN has to deliver it: padded, say
    item = config.stash.get(_CURRENT, None)
    if item is not None:
        # In a section of the report, as pytest cuts a comparison off after eight lines.
        known = writer.evidence(item)
        known.port_lines = explain_ports(left, right)
        known.frame_lines = explain_frames(left, right)
    return [sum_up(left, right), "(every port, side by side, stands below)"]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    properties = [
        pair
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for pair in getattr(report, "user_properties", ())
    ]
    reasons = Counter(stat.wasxfail for stat in terminalreporter.stats.get("deviation", ()))
    for reason, count in reasons.items():
        terminalreporter.write_line(f"{count} test{'s' * (count > 1)}: {reason}")
    undecided: dict[str, list[str]] = {}
    for report in terminalreporter.stats.get("inconclusive", ()):
        undecided.setdefault(str(report.longrepr), []).append(report.nodeid)
    for why, (first, *others) in undecided.items():
        more = f" and {len(others)} more" if others else ""
        why = why.removeprefix("inconclusive: ")
        terminalreporter.write_line(f"INCONCLUSIVE {first}{more}: {why}", red=True)
    covered: dict[str, int] = {}
    for key, value in properties:
        if key.startswith(_COVERED):
            what = key.removeprefix(_COVERED)
            covered[what] = covered.get(what, 0) + value
    asked = covered.pop("programs asked", None)
    if asked is not None:
        tried = covered.pop("programs")
        covered = {f"of {asked:,} random programs": tried, **covered}
    if covered:
        sums = ", ".join(f"{count:,} {what}" for what, count in covered.items())
        terminalreporter.write_line(f"searches covered {sums}")
    results = config.pluginmanager.get_plugin(writer.WRITER)
    if isinstance(results, writer.Writer) and results.index is not None:
        terminalreporter.write_line(f"report: {shown(results.index, config)}")
