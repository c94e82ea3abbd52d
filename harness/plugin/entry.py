"""pytest glue: options, marks, which tests run on which LAN, and the fixtures."""

from __future__ import annotations

import argparse
import gc
import os
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import deviations, registry
from harness.evidence import shards
from harness.lan import Lan, LanError, waited_s
from harness.lans.lguest import LguestLan
from harness.plugin import captures, writer
from harness.plugin.items import (
    fixtures_of,
    lan_of,
    reports_folder,
    rule_ids,
    rules_of,
    scope_of,
    shown,
    simulated,
)
from harness.plugin.pool import Known, Pool, reset_ports
from harness.rules import RULES

if TYPE_CHECKING:
    from harness.exchange import Testbench

pytest_plugins = ("harness.plugin.verdicts",)

_LANS = pytest.StashKey[Known]()
_KNOWN = pytest.StashKey[dict[str, tuple[deviations.Deviation, ...]]]()


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
        type=_count,
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


def _count(text: str) -> int:
    """A number from 1, as argparse wants to be told."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text)


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
    shards.configure(config)
    if config.getoption("one_capture") and config.getoption("no_captures"):
        raise pytest.UsageError("--one-capture needs the captures that --no-captures leaves out")
    silent = ("no_captures", "collectonly", "showfixtures", "show_fixtures_per_test")
    if not any(map(config.getoption, silent)) and not hasattr(config, "workerinput"):
        folder = reports_folder(config)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise pytest.UsageError(f"--reports: {folder}: {error.strerror}") from None
        if not os.access(folder, os.W_OK):
            raise pytest.UsageError(f"--reports: {folder}: cannot be written to")
        results = writer.Writer(config, folder, _lans(config))
        config.pluginmanager.register(results, writer.WRITER)
        if config.getoption("one_capture"):
            from harness.plugin.one_capture import OneCapture

            one = OneCapture(reports_folder(config), shown(reports_folder(config), config))
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


# Collecting


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    unknown = [rule_id for rule_id in rule_ids(metafunc.definition) if rule_id not in RULES]
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
        name = lan_of(item)
        if name is None:
            (left_out if config.getoption("own_rule") else kept).append(item)
            continue
        foreign = not simulated(name)
        if foreign and ("lguest" in fixtures_of(item) or scope_of(item) == "lguest"):
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
        mine = [deviations.test_name(item.nodeid, lan) for item in items if lan_of(item) == lan]
        names = {*mine, *(name.partition("[")[0] for name in mine)}
        files = {name.partition("::")[0] for name in mine}
        for deviation in listed:
            for test in deviation.tests:
                if test.partition("::")[0] in files and test not in names:
                    raise pytest.UsageError(
                        f"deviations of {lan}: {deviation.rule} names {test}, and there is no"
                        " such test"
                    )


# Running


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop() -> Generator[None, object, object]:
    """Keep what is there for the whole run out of the sight of the garbage collector.

    All tests, and Scapy, are some 10⁵ objects; to look through them again and again takes up
    to a tenth of a simulated LAN's time.
    """
    gc.freeze()
    try:
        return (yield)
    finally:
        gc.unfreeze()


@pytest.fixture(scope="module")
def lan_pool(pytestconfig: pytest.Config) -> Iterator[Pool]:
    """Where the module's real LANs are kept."""
    pool = Pool(pytestconfig.stash.setdefault(_LANS, Known()))
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
    if simulated(lan_name):
        lan = registry.make(lan_name)
        try:
            yield lan
            captures.write(request.node, lan, 0, 0.0)
        finally:
            lan.close()
        return
    lan = lan_pool.borrow(lan_name)
    before, waited_before_s = len(lan.records()), waited_s(lan)
    try:
        yield lan
    finally:
        captures.write(request.node, lan, before, waited_before_s)
        if writer.evidence(request.node).undecided or not reset_ports(lan):
            lan_pool.discard(lan_name)


@pytest.fixture
def lan(request: pytest.FixtureRequest, lan_name: str, lan_under_test: Lan) -> Testbench:
    """The LAN as the tests of delivery see it: ports, and exact exchanges."""
    from harness.exchange import Testbench

    rules = rules_of(request.node)
    # A LAN whose senders filter has no cards that would hide a frame sent to the wrong port.
    by_card = lan_under_test.traits.filters != "sender"
    view = rules[0].view if rules and by_card else "wire"
    return Testbench(lan_under_test, view, shared=not simulated(lan_name))


@pytest.fixture
def lguest(lan_under_test: Lan) -> LguestLan:
    """The simulated LAN from inside: Guests, their devices, the Host."""
    assert isinstance(lan_under_test, LguestLan)
    return lan_under_test
