"""pytest glue: each verdict in its own word, with what explains it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Generator, Iterator, Mapping

import pytest

from harness.comparing import recording
from harness.evidence.text import visible
from harness.exchange import NotForKind
from harness.lan import Inconclusive, LanError, Storm, Unsupported
from harness.plugin import classified, commands, scapy_sockets, writer
from harness.plugin.headline import HEADLINE, Headline
from harness.plugin.items import (
    DEVIATION,
    described,
    lan_of,
    place_of,
    rule_ids,
    rules_of,
    simulated,
)

_CURRENT = pytest.StashKey[pytest.Item]()
_COVERED = "covered "
_OUTCOME = "outcome"
_RAW = ("assert ", "AssertionError")
"""How the message of an assert begins that says nothing of frames."""

_UNEXPECTED = f"[XPASS(strict)] {DEVIATION}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    item.config.stash[_CURRENT] = item
    try:
        with recording(writer.evidence(item).log):
            return (yield)
    finally:
        del item.config.stash[_CURRENT]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    with _unsupported_is_skipped():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    log = writer.evidence(item).log
    log.lan = getattr(item, "funcargs", {}).get("lan_under_test")
    with _unsupported_is_skipped():
        result = yield
        _judge_the_wire(item)
        for comparison in log.comparisons:
            if not comparison.held and log.lan is not None:
                raise AssertionError(f"{comparison.what}: not as expected, and the test went on")
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
    scapy_sockets.release(bench)
    bench.finish()
    if bench.violations:
        raise WireViolation(explain_violations(bench.violations))
    for number, delivery in enumerate(bench.deliveries, start=1):
        if delivery in bench.unjudged and not delivery.comparisons:
            raise WireViolation(f"exchange {number} was compared with nothing, so nothing is known")


def _explain(item: pytest.Item, report: pytest.TestReport) -> None:
    """Classify what was wrong, and say it in a section of the report, first what matters most."""
    from harness.explanation import explain_differences

    seen = writer.evidence(item)
    seen.differences = classified.of_test(item)
    seen.frame_lines = list(map(visible, explain_differences(seen.differences)))
    lines = [f"{rule.id}: {rule.text} [{rule.source}]" for rule in rules_of(item)]
    lines += ["", *seen.port_lines] if seen.port_lines else []
    lines += ["", *seen.frame_lines] if seen.frame_lines else []
    if not item.config.getoption("no_captures"):
        shell = commands.lines(item)
        lines += ["", *shell]
    report.sections.append(("expected vs received", "\n".join(lines)))


def _name_what_differs(
    item: pytest.Item, report: pytest.TestReport, excinfo: pytest.ExceptionInfo[BaseException]
) -> None:
    """A short traceback, unless --tb asks for another; its first line says what differs."""
    from harness.judging import explain_violations

    if getattr(report.longrepr, "reprcrash", None) is None:
        return  # it has no traceback
    if item.config.getoption("tbstyle", "auto") == "auto":
        report.longrepr = excinfo.getrepr(
            style="short",
            chain=False,
            tbfilter=lambda info: info.traceback.cut(path=item.path).filter(info),
        )
    crash = getattr(report.longrepr, "reprcrash", None)
    seen = writer.evidence(item)
    raw = crash is not None and str(crash.message).startswith(_RAW)
    if crash is not None and raw and seen.differences and not seen.port_lines:
        bench = classified.bench_of(item)
        wire = bench.violations if bench is not None else []
        crash.message = explain_violations(wire) if wire else f"assert {seen.differences[0]}"


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
    elif isinstance(error, Storm):
        report.outcome = "failed"
        report.longrepr = visible(str(error))
        if hasattr(report, "wasxfail"):
            del report.wasxfail
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
    elif report.passed and str(getattr(report, "wasxfail", "")).startswith(DEVIATION):
        del report.wasxfail  # one that shows itself sometimes
    elif hasattr(report, "wasxfail") and report.skipped:
        report.user_properties.append((_OUTCOME, "deviation"))
    elif report.skipped and strict and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"unexpected skip, under --strict: {error}"
    if lan_of(item) is not None and (call.when == "call" or not report.passed):
        report.user_properties.append(("rule", ", ".join(rule_ids(item))))
    deviates = report.skipped and hasattr(report, "wasxfail")
    if call.when == "call" and lan_of(item) is not None:
        if report.failed:
            _explain(item, report)
            if isinstance(error, AssertionError) and call.excinfo is not None:
                _name_what_differs(item, report, call.excinfo)
        elif deviates:
            writer.evidence(item).differences = classified.of_test(item)
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
    from harness.explanation import explain_ports, sum_up

    if not isinstance(left, Delivery) or not isinstance(right, Mapping) or op != "==":
        return None
    right = left.comparisons[-1][0]  # as the LAN has to deliver it: padded, say
    item = config.stash.get(_CURRENT, None)
    if item is not None:
        # In a section of the report, as pytest cuts a comparison off after eight lines.
        known = writer.evidence(item)
        known.port_lines = list(map(visible, explain_ports(left, right)))
    return [visible(sum_up(left, right))]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    headline = config.pluginmanager.get_plugin(HEADLINE)
    if isinstance(headline, Headline):
        headline.unfold(terminalreporter)
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
