"""pytest glue: options, fixtures, marks, one capture per test, explained failures."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import capture, deviations
from harness.lan import Lan, LanError
from harness.lans import registry
from harness.lans.lguest import LguestLan
from harness.rules import RULES, Rule

if TYPE_CHECKING:
    from harness.exchange import Tester

_CALL = pytest.StashKey[pytest.TestReport]()
_CURRENT = pytest.StashKey[pytest.Item]()
_EXPLAINED = pytest.StashKey[list[str]]()
_PATH = pytest.StashKey[Path]()
_COVERED = "covered "
_WRITTEN = "capture"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lguest-harness", "LAN conformance")
    group.addoption(
        "--lan",
        action="append",
        metavar="NAME",
        help="LAN under test (lguest if not given; several: each test once per LAN);"
        " `lguest-harness lans` lists them; broken:* names all that are wrong on purpose",
    )
    group.addoption(
        "--own-rule",
        action="store_true",
        help="on a LAN that is wrong on purpose, run only the tests of the rule that it breaks",
    )
    group.addoption(
        "--reports",
        metavar="DIR",
        help="where captures go (default: reports/ in the root directory)",
    )
    group.addoption(
        "--search-lan",
        metavar="NAME",
        default="lguest-repaired",
        help="the simulated LAN that searches walk (default: %(default)s)",
    )
    group.addoption(
        "--campaign",
        metavar="N",
        type=int,
        default=8,
        help="seeds of random programs to try (default: %(default)s)",
    )
    group.addoption(
        "--no-captures", action="store_true", help="write no captures (verdicts are the same)"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "rule(id, ...): the rules that this test checks (`lguest-harness rules`)"
    )
    for name in _lans(config):
        try:
            registry.maker(name)
        except LanError as error:
            raise pytest.UsageError(f"--lan: {error}") from None


def _lans(config: pytest.Config) -> list[str]:
    return registry.expand(config.getoption("lan") or ["lguest"])


def _reports(config: pytest.Config) -> Path:
    given = config.getoption("reports")
    return Path(given) if given else config.rootpath / "reports"


# Collecting


def rule_ids(item: pytest.Item | pytest.Function) -> tuple[str, ...]:
    """The rules that a test names, in its own order."""
    marks = reversed(list(item.iter_markers("rule")))
    return tuple(dict.fromkeys(str(each) for mark in marks for each in mark.args))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    unknown = [each for each in rule_ids(metafunc.definition) if each not in RULES]
    if unknown:
        pytest.fail(
            f"{metafunc.definition.nodeid}: unknown rule {unknown[0]!r};"
            " `lguest-harness rules` lists them",
            pytrace=False,
        )
    if "lan_name" in metafunc.fixturenames:
        metafunc.parametrize("lan_name", _lans(metafunc.config))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    known = {name: deviations.of(name) for name in _lans(config)}
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        name = _lan_of(item)
        if name is None:
            (left_out if config.getoption("own_rule") else kept).append(item)
            continue
        foreign = not _simulated(name)
        own_rule = registry.broken_rule(name) if config.getoption("own_rule") else None
        if own_rule is not None and own_rule not in rule_ids(item):
            left_out.append(item)
            continue
        if foreign and ("lguest" in _fixtures(item) or _scope(item) == "lguest"):
            left_out.append(item)
            continue
        kept.append(item)
        for deviation in known[name]:
            if deviation.covers(rule_ids(item), _short_name(item)):
                reason = f"deviation of {name} from {deviation.rule}: {deviation.reason}"
                item.add_marker(
                    pytest.mark.xfail(reason=reason, raises=AssertionError, strict=True)
                )
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept
    _refuse_idle_deviations(config, known, items)


def _refuse_idle_deviations(
    config: pytest.Config,
    known: Mapping[str, tuple[deviations.Deviation, ...]],
    items: list[pytest.Item],
) -> None:
    """A deviation whose test file was collected whole must match a test of it."""
    if any("::" in arg for arg in config.args):
        return
    names = {_short_name(item) for item in items}
    files = {name.partition("::")[0] for name in names}
    for lan, listed in known.items():
        for deviation in listed:
            for test in deviation.tests:
                if test.partition("::")[0] in files and test not in names:
                    raise pytest.UsageError(
                        f"deviations of {lan}: {deviation.rule} names {test}, and there is no"
                        " such test"
                    )


def _short_name(item: pytest.Item) -> str:
    """``file.py::test``: what a deviations file calls a test."""
    return f"{item.path.name}::{getattr(item, 'originalname', item.name)}"


def _fixtures(item: pytest.Item) -> list[str]:
    return list(getattr(item, "fixturenames", ()))


def _lan_of(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get("lan_name")


def _simulated(name: str) -> bool:
    return name.startswith(("lguest", "broken:"))


def _rules(item: pytest.Item) -> list[Rule]:
    return [RULES[each] for each in rule_ids(item)]


def _scope(item: pytest.Item) -> str:
    return "lguest" if any(rule.scope == "lguest" for rule in _rules(item)) else "any"


# Running


@pytest.fixture
def lan_under_test(request: pytest.FixtureRequest, lan_name: str) -> Iterator[Lan]:
    """The LAN itself; its capture is written when the test is over."""
    lan = registry.make(lan_name)
    try:
        yield lan
        if not request.config.getoption("no_captures"):
            _write_capture(request.node, lan)
    finally:
        lan.close()


@pytest.fixture
def lan(request: pytest.FixtureRequest, lan_under_test: Lan) -> Tester:
    """The LAN as the tests of delivery see it: ports, and exact exchanges."""
    from harness.exchange import Tester

    rules = _rules(request.node)
    # A LAN whose senders filter has no cards that would hide a frame sent to the wrong port.
    by_card = lan_under_test.traits.filters != "sender"
    return Tester(lan_under_test, rules[0].view if rules and by_card else "wire")


@pytest.fixture
def lguest(lan_under_test: Lan) -> LguestLan:
    """The simulated LAN from inside: Guests, their devices, the Host."""
    assert isinstance(lan_under_test, LguestLan)
    return lan_under_test


def _write_capture(item: pytest.Item, lan: Lan) -> None:
    report = item.stash.get(_CALL, None)
    outcome: str = "failed" if report is None else report.outcome
    if report is not None and hasattr(report, "wasxfail"):
        outcome = "deviation"
    ids = ", ".join(rule_ids(item)) or "no rule"
    comments = [
        f"test: {item.nodeid}",
        f"verdict: {outcome}",
        *(f"rule: {rule.id} {rule.text} [{rule.source}]" for rule in _rules(item)),
    ]
    records = (
        each._replace(comments=(f"{ids} {outcome}", *each.comments)) for each in lan.records()
    )
    path = _capture_path(item)
    capture.write(path, capture.encode(lan.interfaces(), records, comments))


def _capture_path(item: pytest.Item) -> Path:
    path = item.stash.get(_PATH, None)
    if path is None:
        path = _reports(item.config) / "captures" / capture.path_of(item.nodeid)
        item.stash[_PATH] = path
    return path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    item.config.stash[_CURRENT] = item
    try:
        return (yield)
    finally:
        del item.config.stash[_CURRENT]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call":
        item.stash[_CALL] = report
        if _lan_of(item) is not None and not item.config.getoption("no_captures"):
            where = _shown(_capture_path(item), item.config)
            report.user_properties.append((_WRITTEN, where))
            if report.failed:
                told = [f"{rule.id}: {rule.text} [{rule.source}]" for rule in _rules(item)]
                told.append(f"capture: {where}")
                if _EXPLAINED in item.stash:
                    explained: list[str] = item.stash[_EXPLAINED]
                    told.extend(explained)
                report.sections.append(("what the rule asks for, and what came", "\n".join(told)))
    return report


def _shown(path: Path, config: pytest.Config) -> str:
    return str(path.relative_to(config.rootpath) if path.is_relative_to(config.rootpath) else path)


def pytest_assertrepr_compare(
    config: pytest.Config,
    op: str,
    left: object,
    right: object,
) -> list[str] | None:
    from harness.exchange import Delivery, explain

    if not isinstance(left, Delivery) or not isinstance(right, Mapping) or op != "==":
        return None
    item = config.stash.get(_CURRENT, None)
    if item is not None:
        # In a section of the report, as pytest cuts a comparison off after eight lines.
        item.stash[_EXPLAINED] = ["", *explain(left, right)]
    wrong = [port.name for port, got in left.received.items() if got != tuple(right.get(port, ()))]
    return [f"what {', '.join(wrong)} received (more below)", "== what the rule asks for"]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    told = [
        each
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for each in getattr(report, "user_properties", ())
    ]
    captures = {value for key, value in told if key == _WRITTEN}
    if captures:
        where = _shown(_reports(config) / "captures", config)
        terminalreporter.write_line(f"{len(captures)} captures in {where}")
    covered: dict[str, int] = {}
    for key, value in told:
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
