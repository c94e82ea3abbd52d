"""pytest glue: options, fixtures, marks, one capture per test, explained failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import capture, deviations, pytest_results, sharding
from harness.lan import Inconclusive, Lan, LanError, Unsupported, settled, waited_s
from harness.lans import registry
from harness.lans.lguest import LguestLan
from harness.pytest_pool import Pool, put_in_order
from harness.rules import RULES, Rule

if TYPE_CHECKING:
    from harness.exchange import Tester

_CURRENT = pytest.StashKey[pytest.Item]()
_PLACE = pytest.StashKey["_Place"]()
_MISSING = pytest.StashKey[dict[str, str | None]]()
_RULE_IDS = pytest.StashKey[tuple[str, ...]]()
_COVERED = "covered "
_OUTCOME = "outcome"
_INCONCLUSIVE = pytest.StashKey[bool]()
_KNOWN = pytest.StashKey[dict[str, tuple[deviations.Deviation, ...]]]()
_USED = pytest.StashKey[tuple[Lan, float]]()
_WRITER = "lguest-harness-results"


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
        "--deviations",
        metavar="FILE",
        type=Path,
        help="the known deviations of the LAN under test, instead of its own; one --lan only",
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
        "--shard",
        metavar="K/N",
        help="run the K-th of N shares of the tests; all N together run each test once",
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
        "--no-captures",
        action="store_true",
        help="write no captures, results or report (verdicts are the same)",
    )

    group.addoption(
        "--one-capture",
        action="store_true",
        help="at the end put the captures of all tests into one, run.pcapng, beside them",
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
    try:
        config.stash[_KNOWN] = _known_deviations(config)
    except LanError as error:
        raise pytest.UsageError(str(error)) from None
    sharding.configure(config)
    if config.getoption("one_capture") and config.getoption("no_captures"):
        raise pytest.UsageError("--one-capture needs the captures that --no-captures leaves out")
    silent = ("no_captures", "collectonly", "showfixtures", "show_fixtures_per_test")
    if not any(map(config.getoption, silent)) and not hasattr(config, "workerinput"):
        writer = pytest_results.Writer(config, _reports(config), _lans(config))
        config.pluginmanager.register(writer, _WRITER)
        if config.getoption("one_capture"):
            from harness.pytest_one_capture import OneCapture

            one = OneCapture(_reports(config), _shown(_reports(config), config))
            config.pluginmanager.register(one, "lguest-harness-one-capture")


def _known_deviations(config: pytest.Config) -> dict[str, tuple[deviations.Deviation, ...]]:
    """What each LAN under test is known to do otherwise, as far as it is of that version."""
    names = _lans(config)
    given: Path | None = config.getoption("deviations")
    if given is not None and len(names) != 1:
        raise LanError(f"--deviations {given}: it is for one LAN, and here are {len(names)}")
    known: dict[str, tuple[deviations.Deviation, ...]] = {}
    for name in names:
        listed = deviations.read(given) if given else deviations.of(name)
        version = registry.version(name) if any(each.versions for each in listed) else ""
        known[name] = tuple(each for each in listed if each.holds(version))
    return known


def _lans(config: pytest.Config) -> list[str]:
    return registry.expand(config.getoption("lan") or ["lguest"])


def _reports(config: pytest.Config) -> Path:
    given = config.getoption("reports")
    return Path(given) if given else config.rootpath / "reports"


# Collecting


def rule_ids(item: pytest.Item | pytest.Function) -> tuple[str, ...]:
    """The rules that a test names, in its own order."""
    found = item.stash.get(_RULE_IDS, None)
    if found is None:
        marks = reversed(list(item.iter_markers("rule")))
        found = tuple(dict.fromkeys(str(each) for mark in marks for each in mark.args))
        item.stash[_RULE_IDS] = found
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    unknown = [each for each in rule_ids(metafunc.definition) if each not in RULES]
    if unknown:
        pytest.fail(
            f"{metafunc.definition.nodeid}: unknown rule {unknown[0]!r};"
            " `lguest-harness rules` lists them",
            pytrace=False,
        )
    if "lan_name" in metafunc.fixturenames:
        names = _lans(metafunc.config)
        if metafunc.config.getoption("own_rule"):
            mine = (*rule_ids(metafunc.definition), None)
            names = [name for name in names if registry.broken_rule(name) in mine]
        metafunc.parametrize("lan_name", names, ids=names, scope="module")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    known = config.stash[_KNOWN]
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        name = _lan_of(item)
        if name is None:
            (left_out if config.getoption("own_rule") else kept).append(item)
            continue
        foreign = not _simulated(name)
        if foreign and ("lguest" in _fixtures(item) or _scope(item) == "lguest"):
            left_out.append(item)
            continue
        kept.append(item)
        for deviation in known[name]:
            if deviation.covers(rule_ids(item), deviations.test_name(item.nodeid, name)):
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
    for lan, listed in known.items():
        mine = [deviations.test_name(item.nodeid, lan) for item in items if _lan_of(item) == lan]
        names = {*mine, *(name.partition("[")[0] for name in mine)}
        files = {name.partition("::")[0] for name in mine}
        for deviation in listed:
            for test in deviation.tests:
                if test.partition("::")[0] in files and test not in names:
                    raise pytest.UsageError(
                        f"deviations of {lan}: {deviation.rule} names {test}, and there is no"
                        " such test"
                    )


def _fixtures(item: pytest.Item) -> list[str]:
    return list(getattr(item, "fixturenames", ()))


def _lan_of(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    name = None if callspec is None else callspec.params.get("lan_name")
    return name if isinstance(name, str) else None


def _simulated(name: str) -> bool:
    return name.startswith(("lguest", "broken:"))


def _rules(item: pytest.Item) -> list[Rule]:
    return [RULES[each] for each in rule_ids(item)]


def _scope(item: pytest.Item) -> str:
    return "lguest" if any(rule.scope == "lguest" for rule in _rules(item)) else "any"


# Running


@pytest.fixture(scope="module")
def lan_pool(pytestconfig: pytest.Config) -> Iterator[Pool]:
    """Where the module's real LANs are kept."""
    pool = Pool(pytestconfig.stash.setdefault(_MISSING, {}))
    try:
        yield pool
    finally:
        for name in list(pool.lans):
            pool.discard(name)


@pytest.fixture
def lan_under_test(request: pytest.FixtureRequest, lan_name: str, lan_pool: Pool) -> Iterator[Lan]:
    """The LAN itself; its capture is written when the test is over.

    A simulated LAN is the test's own; a real one is shared by the tests of a module, and
    put back in order between them.
    """
    if _simulated(lan_name):
        lan = registry.make(lan_name)
        request.node.stash[_USED] = lan, waited_s(lan)
        try:
            yield lan
            _write_capture(request.node, lan, 0)
        finally:
            lan.close()
        return
    lan = lan_pool.borrow(lan_name)
    before = len(lan.records())
    request.node.stash[_USED] = lan, waited_s(lan)
    try:
        yield lan
    finally:
        _write_capture(request.node, lan, before)
        if _INCONCLUSIVE in request.node.stash or not put_in_order(lan):
            lan_pool.discard(lan_name)


@pytest.fixture
def lan(request: pytest.FixtureRequest, lan_under_test: Lan) -> Tester:
    """The LAN as the tests of delivery see it: ports, and exact exchanges."""
    from harness.exchange import Tester

    rules = _rules(request.node)
    # A LAN whose senders filter has no cards that would hide a frame sent to the wrong port.
    by_card = lan_under_test.traits.filters != "sender"
    view = rules[0].view if rules and by_card else "wire"
    return Tester(lan_under_test, view, shared=not _simulated(lan_under_test.name))


@pytest.fixture
def lguest(lan_under_test: Lan) -> LguestLan:
    """The simulated LAN from inside: Guests, their devices, the Host."""
    assert isinstance(lan_under_test, LguestLan)
    return lan_under_test


def _write_capture(item: pytest.Item, lan: Lan, start: int) -> None:
    """``start`` is how many of the LAN's records were there before this test."""
    if item.config.getoption("no_captures"):
        return
    known = pytest_results.evidence(item)
    outcome = pytest_results.word(pytest_results.decisive(known.phases))
    ids = ", ".join(rule_ids(item)) or "no rule"
    comments = [
        f"{capture.TEST}{item.nodeid}",
        f"verdict: {outcome}",
        *(f"rule: {rule.id} {rule.text} [{rule.source}]" for rule in _rules(item)),
    ]
    all_records, interfaces = lan.records(), lan.interfaces()
    records = [
        each._replace(comments=(ids, outcome, *each.comments)) for each in all_records[start:]
    ]
    place = _place(item)
    content = capture.encode(interfaces, records, comments)
    if pytest_results.is_far(item.config):
        known.content = content
    else:
        capture.write(place.path, content)
    known.capture = pytest_results.capture_of(place.below, content, len(records))
    known.settled = settled(*item.stash[_USED])
    known.ports = {name: mac.hex(":") for name, mac in interfaces}
    tester = getattr(item, "funcargs", {}).get("lan")
    if tester is not None:
        known.exchanges = pytest_results.exchanges_of(tester.deliveries, all_records, start)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a test's capture goes: its path, that below the reports, and that to show."""

    path: str
    below: str
    shown: str


def _place(item: pytest.Item) -> _Place:
    place = item.stash.get(_PLACE, None)
    if place is None:
        reports = _reports(item.config)
        below = f"captures/{capture.path_of(item.nodeid).as_posix()}"
        shown = _shown(reports, item.config)
        place = item.stash[_PLACE] = _Place(f"{reports}/{below}", below, f"{shown}/{below}")
    return place


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
    error = None if call.excinfo is None else call.excinfo.value
    strict = bool(item.config.getoption("strict", False))
    if isinstance(error, Inconclusive):
        item.stash[_INCONCLUSIVE] = True
        report.outcome = "failed"
        report.longrepr = f"inconclusive: {error}"
        report.user_properties.append((_OUTCOME, "inconclusive"))
        if hasattr(report, "wasxfail"):
            del report.wasxfail
    elif isinstance(error, Unsupported):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1] or 0, f"Skipped: {error}")
        report.user_properties.append((_OUTCOME, "unsupported"))
        if hasattr(report, "wasxfail"):
            del report.wasxfail
    elif isinstance(error, LanError) and not _simulated(_lan_of(item) or "lguest"):
        report.longrepr = str(error)  # a user's LAN did that: a line says it, no traceback
    elif hasattr(report, "wasxfail") and report.skipped:
        report.user_properties.append((_OUTCOME, "deviation"))
    elif report.skipped and strict and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"unexpected skip, under --strict: {error}"
    if _lan_of(item) is not None and (call.when == "call" or not report.passed):
        report.user_properties.append(("rule", ", ".join(rule_ids(item))))
    captured = _lan_of(item) is not None and not item.config.getoption("no_captures")
    if call.when == "call" and report.failed and captured:
        told = [f"{rule.id}: {rule.text} [{rule.source}]" for rule in _rules(item)]
        told.append(f"capture: {_place(item).shown}")
        known = pytest_results.evidence(item)
        told += ["", *known.ports_told, "", *known.told] if known.told else []
        report.sections.append(("what the rule asks for, and what came", "\n".join(told)))
    pytest_results.finish(item, report, _described)
    if call.when == "teardown" and _lan_of(item) is not None:
        pytest_results.add_properties(item, report, _place(item).shown)
    return report


def _described(item: pytest.Item) -> tuple[tuple[str, ...], str | None]:
    return rule_ids(item), _lan_of(item)


def _shown(path: Path, config: pytest.Config) -> str:
    return str(path.relative_to(config.rootpath) if path.is_relative_to(config.rootpath) else path)


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    word = pytest_results.word(report) if isinstance(report, pytest.TestReport) else ""
    letters = {"passed": ".", "failed": "F", "deviation": "d", "unsupported": "u"}
    letters["inconclusive"] = "I"
    known = word in letters and (report.when == "call" or word == "inconclusive")
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
    from harness.exchange import Delivery, explain_frames, explain_ports, sum_up

    if not isinstance(left, Delivery) or not isinstance(right, Mapping) or op != "==":
        return None
    item = config.stash.get(_CURRENT, None)
    if item is not None:
        # In a section of the report, as pytest cuts a comparison off after eight lines.
        known = pytest_results.evidence(item)
        known.ports_told = explain_ports(left, right)
        known.told = explain_frames(left, right)
    return [sum_up(left, right), "(every port, side by side, stands below)"]


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
    reasons = Counter(each.wasxfail for each in terminalreporter.stats.get("deviation", ()))
    for reason, count in reasons.items():
        terminalreporter.write_line(f"{count} tests: {reason}")
    for report in terminalreporter.stats.get("inconclusive", ()):
        terminalreporter.write_line(f"INCONCLUSIVE {report.nodeid}: {report.longrepr}", red=True)
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
    writer = config.pluginmanager.get_plugin(_WRITER)
    if isinstance(writer, pytest_results.Writer) and writer.index is not None:
        terminalreporter.write_line(f"{writer.told()}; report: {_shown(writer.index, config)}")
