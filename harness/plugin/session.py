"""A run as this plugin sees it: its LANs, rules and deviations; which test runs on which LAN."""

from __future__ import annotations

import contextlib
import difflib
import gc
import hashlib
import os
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

import pytest

from harness import deviations, registry
from harness.deviations import Deviation
from harness.evidence import lock
from harness.evidence.text import visible
from harness.exchange import NotForKind, Testbench
from harness.lan import Lan, LanError, Unsupported, waited_s
from harness.models import kind_of
from harness.plugin import (
    captures,
    own_rules,
    scapy_sockets,
    seeds,
    sharding,
    shared,
    verdicts,
    writer,
)
from harness.plugin.entry import LAN_NAME, NEW_LAN
from harness.plugin.headline import HEADLINE, Headline
from harness.plugin.items import (
    DEVIATION,
    LANS_OF_RUN,
    RULES_OF_RUN,
    fixtures_of,
    lan_of,
    reports_folder,
    rule_ids,
    rules_of,
    scope_of,
    scope_of_rules,
    shown,
)
from harness.plugin.pool import Known, Pool, reset_ports
from harness.registry import Entry
from harness.rules import RULES

_SESSION = pytest.StashKey["Session"]()
_SILENT = ("no_captures", "collectonly", "showfixtures", "show_fixtures_per_test")


def of(config: pytest.Config) -> Session:
    """The session of a run, made when it is first asked for; UsageError for a bad option."""
    session = config.stash.get(_SESSION, None)
    if session is None:
        session = config.stash[_SESSION] = Session(config)
        config.pluginmanager.register(session, "lguest-harness-session")
        config.pluginmanager.register(verdicts, "lguest-harness-verdicts")
    return session


class Session:
    """One run of pytest in which a test uses our fixtures, or an option of ours was given."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._known = Known()
        self._writer: writer.Writer | None = None
        self._lock: TextIO | None = None
        self._held = contextlib.ExitStack()
        self._named = any("::" in argument for argument in config.args)
        given = config.getoption("lan") or ["lguest"]
        try:
            self.lans: Mapping[str, Entry] = registry.entries(
                given, config.getoption("yes_send_on")
            )
            if not hasattr(config, "workerinput") and not config.getoption("collectonly"):
                self._take_lans()
        except LanError as error:
            raise pytest.UsageError(f"--lan: {error}") from None
        config.stash[LANS_OF_RUN] = self.lans
        try:
            self.deviations = _known_deviations(config, self.lans)
            config.stash[RULES_OF_RUN] = {**RULES, **own_rules.read(config)}
        except LanError as error:
            raise pytest.UsageError(str(error)) from None
        sharding.configure(config)
        if config.getoption("one_capture") and config.getoption("no_captures"):
            raise pytest.UsageError(
                "--one-capture needs the captures that --no-captures leaves out"
            )
        if not hasattr(config, "workerinput") and not config.getoption("collectonly"):
            allowed = config.getoption("allow_unsupported")
            config.pluginmanager.register(Headline(config, allow_unsupported=allowed), HEADLINE)
        if not any(map(config.getoption, _SILENT)) and not hasattr(config, "workerinput"):
            self._write(reports_folder(config))

    def _write(self, folder: Path) -> None:
        config = self._config
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise pytest.UsageError(f"--reports: {folder}: {error.strerror}") from None
        if not os.access(folder, os.W_OK):
            raise pytest.UsageError(f"--reports: {folder}: cannot be written to")
        try:
            self._lock = lock.hold(folder)
        except lock.Locked as error:
            raise pytest.UsageError(f"--reports: {error}") from None
        except OSError as error:
            raise pytest.UsageError(f"--reports: {error.filename}: {error.strerror}") from None
        self._writer = writer.Writer(config, folder, self.lans)
        config.pluginmanager.register(self._writer, writer.WRITER)
        if config.getoption("one_capture"):
            from harness.plugin.one_capture import OneCapture

            config.pluginmanager.register(
                OneCapture(folder, shown(folder, config)), "lguest-harness-one-capture"
            )

    def _take_lans(self) -> None:
        for entry in self.lans.values():
            if entry.user and (why_not := entry.missing()):
                raise LanError(f"{entry.name} cannot run here: {why_not}")
        self._held.enter_context(shared.held(self.lans.values()))

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Say where frames will be sent, before any is."""
        terminal = session.config.pluginmanager.get_plugin("terminalreporter")
        if terminal is None or hasattr(session.config, "workerinput"):
            return
        for entry in self.lans.values():
            if entry.sends_on:
                terminal.write_line(
                    f"{visible(entry.name)}: test frames are sent on"
                    f" {visible(', '.join(entry.sends_on))}"
                )

    def pytest_unconfigure(self) -> None:
        self._held.close()
        if self._lock is not None:
            self._lock.close()

    def scheduling(self, config: pytest.Config, log: object) -> object | None:
        """How tests are distributed to workers, where xdist does not choose by itself."""
        return shared.scheduling(config, log, self.lans.values())

    def begin(self, collected: Sequence[str], first: pytest.TestReport) -> None:
        """Workers collected these tests, and this is the first report of theirs."""
        if self._writer is not None and self._writer.begin(collected):
            self._writer.pytest_runtest_logreport(first)

    # Collecting

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makeitem(
        self, collector: pytest.Module | pytest.Class, obj: object
    ) -> list[pytest.Item] | None:
        """Make no tests of a function that has nothing to say about any LAN of the run.

        Most of the suite is about lguest's inside, and a run on a switch would make all
        those tests only to leave them out. A test that the user names is made all the same.
        """
        if self._named:
            return None
        known = self._config.stash[RULES_OF_RUN]
        marks = [*collector.iter_markers("rule"), *getattr(obj, "pytestmark", ())]
        names = [name for mark in marks if mark.name == "rule" for name in mark.args]
        rules = [known[name] for name in names if name in known]
        if not rules:
            return None
        scope = scope_of_rules(rules)
        return None if any(map(partial(_in_scope, scope), self.lans.values())) else []

    def parametrize(self, metafunc: pytest.Metafunc) -> None:
        """Run a test once per LAN."""
        known = self._config.stash[RULES_OF_RUN]
        unknown = [rule for rule in rule_ids(metafunc.definition) if rule not in known]
        if unknown:
            near = difflib.get_close_matches(unknown[0].upper(), known, n=1, cutoff=0.6)
            meant = f" did you mean {near[0]}?" if near else ""
            pytest.fail(
                f"{metafunc.definition.nodeid}: unknown rule {unknown[0]!r};{meant}"
                " `lguest-harness rules` lists them",
                pytrace=False,
            )
        names = list(self.lans)
        if self._config.getoption("own_rule"):
            own = (*rule_ids(metafunc.definition), "")
            names = [name for name in names if self.lans[name].breaks in own]
        metafunc.parametrize(LAN_NAME, names, ids=names, scope="module")

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        kept: list[pytest.Item] = []
        left_out: list[pytest.Item] = []
        for item in items:
            name = lan_of(item)
            if name is None:
                (left_out if config.getoption("own_rule") else kept).append(item)
                continue
            if not self._applies(item, self.lans[name]):
                left_out.append(item)
                continue
            kept.append(item)
            for deviation in self.deviations[name]:
                if deviation.covers(rule_ids(item), deviations.test_name(item.nodeid, name)):
                    reason = f"{DEVIATION}{name} from {deviation.rule}: {deviation.reason}"
                    item.add_marker(
                        pytest.mark.xfail(
                            reason=reason, raises=AssertionError, strict=not deviation.sometimes
                        )
                    )
        self._refuse_idle_deviations(kept)
        if config.getoption("quick"):
            quick = _quick(kept)
            left_out += [item for item in kept if item not in quick]
            kept = [item for item in kept if item in quick]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = kept

    def _applies(self, item: pytest.Item, entry: Entry) -> bool:
        """Whether a test has something to say about a LAN, as far as that is known before."""
        scope = scope_of(item)
        return _in_scope("lguest" if "lguest" in fixtures_of(item) else scope, entry)

    def _refuse_idle_deviations(self, items: list[pytest.Item]) -> None:
        """A deviation whose test file was collected whole must match a test of it."""
        if self._named:
            return
        for lan, listed in self.deviations.items():
            mine = [deviations.test_name(item.nodeid, lan) for item in items if lan_of(item) == lan]
            names = {*mine, *(name.partition("[")[0] for name in mine)}
            files = {name.partition("::")[0] for name in mine}
            for deviation in listed:
                for test in deviation.tests:
                    if test.partition("::")[0] in files and test not in names:
                        raise pytest.UsageError(
                            f"deviations of {lan}: {deviation.rule} names {test}, and there is"
                            " no such test"
                        )

    # Running

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Keep what is there for the whole run out of the garbage collector's sight.

        All tests, and Scapy, are some 10⁵ objects; to look through them again and again takes
        up to a tenth of a simulated LAN's time.
        """
        gc.freeze()
        try:
            return (yield)
        finally:
            gc.unfreeze()

    def pool(self) -> Iterator[Pool]:
        """The real LANs of a module, closed when the module is done."""
        pool = Pool(self._known, seeds.of_run(self._config))
        try:
            yield pool
        finally:
            for name in list(pool.lans):
                pool.discard(name)

    def lan(self, item: pytest.Item, name: str, pool: Pool) -> Iterator[Lan]:
        """A LAN for one test, whose capture is written when the test is over."""
        entry = self.lans[name]
        if entry.simulated:
            lan = entry.make()
            try:
                yield lan
                scapy_sockets.release(lan)
                captures.write(item, lan, 0, 0.0, user=False)
            finally:
                lan.close()
            return
        if item.get_closest_marker(NEW_LAN) and not entry.outside:
            pool.discard(name)
        lan = pool.borrow(entry)
        before, waited_before_s = len(lan.records()), waited_s(lan)
        try:
            yield lan
        finally:
            scapy_sockets.release(lan)
            captures.write(item, lan, before, waited_before_s, user=entry.user)
            bench = getattr(item, "funcargs", {}).get("lan")
            spent = isinstance(bench, Testbench) and (
                bench.used_up or (bench.is_crowded() and not entry.outside)
            )
            if spent or writer.evidence(item).undecided or not reset_ports(lan):
                pool.discard(name)

    def second_lan(self, name: str) -> Generator[Lan, None, None]:
        """Another LAN of the same make, for one test."""
        entry = self.lans[name]
        if entry.outside:
            raise Unsupported(f"{name}: there is one LAN, and it is not ours to make another")
        lan = entry.make()
        try:
            seeds.seed_markers(lan, seeds.of(self._config, entry))
            yield lan
        finally:
            lan.close()

    @contextlib.contextmanager
    def new_bench(self, item: pytest.Item, name: str) -> Iterator[Testbench]:
        """A new LAN of the same make, with a Testbench; Unsupported if there can be none."""
        made = self.second_lan(name)
        lan = next(made)
        try:
            yield Testbench(lan, "wire", seed=_seed(item))
        finally:
            made.close()

    def testbench(self, item: pytest.Item, name: str, lan: Lan, pool: Pool) -> Testbench:
        """A LAN as a test sees it, in the view of the test's first rule."""
        rules = rules_of(item)
        # A LAN whose senders filter has no cards that would hide a frame sent to the wrong port.
        by_card = lan.traits.filters != "sender"
        view = rules[0].view if rules and by_card else "wire"
        if rules and rules[0].scope not in ("any", "lguest", kind_of(lan.traits)):
            raise NotForKind(f"{name}: {rules[0].id} is for {rules[0].scope} LANs")
        shared = not self.lans[name].simulated
        control = seeds.control(seeds.of(self._config, self.lans[name]), item.nodeid)
        model = pool.model(name)
        return Testbench(lan, view, shared=shared, model=model, seed=_seed(item), control=control)


def _in_scope(scope: str, entry: Entry) -> bool:
    if scope == "lguest":
        return entry.lguest
    return scope == "any" or entry.kind in ("", scope)


QUICK = 1
"""Tests of each rule in a quick run, at least."""


def _quick(items: Sequence[pytest.Item]) -> set[pytest.Item]:
    """For each LAN the first tests of each rule, with their first parameters."""
    chosen: set[pytest.Item] = set()
    seen: set[tuple[str | None, str]] = set()
    counts: Counter[tuple[str | None, str]] = Counter()
    for item in items:
        lan, test = lan_of(item), item.nodeid.partition("[")[0]
        rules = [(lan, rule) for rule in rule_ids(item)]
        if (lan, test) in seen or not any(counts[rule] < QUICK for rule in rules):
            continue
        seen.add((lan, test))
        counts.update(rules)
        chosen.add(item)
    return chosen


def _seed(item: pytest.Item) -> int:
    """What selects the addresses that a test uses: the same in every run."""
    return int.from_bytes(hashlib.sha256(item.nodeid.encode()).digest()[:3], "big")


def _known_deviations(
    config: pytest.Config, lans: Mapping[str, Entry]
) -> dict[str, tuple[Deviation, ...]]:
    """How each LAN under test is known to deviate, as far as that is for its version."""
    given: Path | None = config.getoption("deviations")
    if given is not None and len(lans) != 1:
        raise LanError(f"--deviations {given}: it is for one LAN, and {len(lans)} are under test")
    known: dict[str, tuple[Deviation, ...]] = {}
    for name, entry in lans.items():
        if given is not None:
            listed = deviations.read(given)
        elif entry.deviations:
            listed = deviations.entries(entry.deviations, entry.spec)
        else:
            listed = deviations.of(entry.spec)
        version = entry.version() if any(deviation.versions for deviation in listed) else ""
        known[name] = tuple(deviation for deviation in listed if deviation.holds(version))
    return known
