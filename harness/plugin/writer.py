"""pytest glue: from reports of tests to ``results.jsonl``, and to the report of a run.

A worker makes a test's line when the test has given everything back; the process that
the user started writes it at once, so a run that is killed keeps what has ended.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import platform
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

import msgspec
import pytest

from harness import __version__
from harness.comparing import Log
from harness.evidence import pcapng, results
from harness.evidence.answer import CANNOT_WRITE
from harness.evidence.text import visible
from harness.lan import Record
from harness.plugin import classified, commands, seeds
from harness.plugin.items import RULES_OF_RUN, shown
from harness.registry import Entry
from harness.rules import RULES

if TYPE_CHECKING:
    from harness.delivery import Delivery
    from harness.differences import Difference

EVIDENCE = pytest.StashKey["Evidence"]()
WRITER = "lguest-harness-results"
"""The name of the plugin that writes the results."""

_LINE = "lguest_harness_result"
"""The attribute of a test's last report that has its line: it crosses from workers."""

_BEGUN = "lguest_harness_begun"
"""The attribute of a test's first report that has its line if no other report comes."""

_CONTENT = "lguest_harness_capture"
"""The attribute of a far test's last report that has its capture, in Base64."""

_FAR = "lguest_harness_far"
"""What a worker is informed of if its files do not lie where the run's results do."""


_OUR_ERRORS = re.compile(r"^harness(\.\w+)+: ")
"""How Python names the class of an error of ours, before its message."""

MOST_LINES = 40
"""Lines of a failure that go into the results."""


@dataclass(slots=True)
class Evidence:
    """What a test leaves beside its verdict."""

    applies: bool = True
    """The test's rules are for LANs of this kind."""
    undecided: bool = False
    """The LAN gave no verdict: it is not to be trusted with the next test."""
    phases: list[pytest.TestReport] = field(default_factory=list)
    port_lines: list[str] = field(default_factory=list)
    frame_lines: list[str] = field(default_factory=list)
    differences: Sequence[Difference] = ()
    """What was wrong with deliveries."""
    located: Sequence[results.Difference] = ()
    """The same, with the packets that show it."""
    settled: str = ""
    version: str = ""
    ports: Mapping[str, str] = field(default_factory=dict)
    exchanges: Sequence[results.Exchange] = ()
    log: Log = field(default_factory=Log)
    packets_left_out: int = 0
    """Packets at the start of the test that its capture does not have."""
    capture: results.Capture | None = None
    content: bytes = b""
    """The capture itself, where the process that the user started must write it."""
    result: results.Result | None = None


class Describes(Protocol):
    """What the rest of the glue knows of a test."""

    def __call__(self, item: pytest.Item) -> tuple[tuple[str, ...], str | None]:
        """The rules that it names, and its LAN."""


def evidence(item: pytest.Item) -> Evidence:
    """A test's evidence so far."""
    return item.stash.setdefault(EVIDENCE, Evidence())


def exchanges_of(
    deliveries: Sequence[Delivery], records: Sequence[Record], start: int
) -> list[results.Exchange]:
    """Exchanges that were compared; ``records[start]`` is packet 1 of the capture."""
    compared: list[results.Exchange] = []
    for delivery in deliveries:
        assert delivery.expected is not None
        span = delivery.span
        sent = {
            number: records[start + number - 1].frame
            for number in range(span.first - start + 1, span.last - start + 1)
            if records[start + number - 1].direction == "sent"
        }
        expected = {
            port.name: [results.wanted(frame, sent) for frame in wanted]
            for port, wanted in delivery.expected.items()
            if wanted
        }
        compared.append(
            results.Exchange(
                span.first - start + 1,
                span.last - start,
                span.control - start,
                delivery.view,
                [port.name for port in delivery.received],
                expected,
                delivery == delivery.expected,
                delivery.strays,
            )
        )
    return compared


def compared_of(known: Evidence) -> list[results.Compared]:
    """What a test compared, in the words of the results."""
    return [
        results.Compared(
            comparison.what,
            comparison.expected,
            comparison.received,
            comparison.held,
            comparison.relation,
            results.Source(source.port, source.first, source.packets)
            if (source := comparison.source) and known.capture and not known.packets_left_out
            else None,
        )
        for comparison in known.log.comparisons
    ]


def capture_of(path: str, content: bytes, packets: int) -> results.Capture:
    """What a result says of a capture."""
    return results.Capture(path, packets, hashlib.sha256(content).hexdigest())


def word(report: pytest.TestReport) -> results.Outcome:
    """A test's outcome: passed, failed, deviation, unsupported, skipped or inconclusive."""
    for key, value in report.user_properties:
        if key == "outcome":
            return value  # type: ignore[return-value]
    return report.outcome


def reason(report: pytest.TestReport) -> str:
    """Why a test did not pass, in one line."""
    if report.passed:
        return ""
    reason = getattr(report, "wasxfail", "")
    if reason:
        return str(reason)
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(report.longrepr) if crash is None else str(crash.message)
    first = next((line for line in text.splitlines() if line.strip()), "")
    first = _OUR_ERRORS.sub("", first)
    return first.removeprefix("AssertionError: ").removeprefix("assert ")


def _crash(report: pytest.TestReport, root: Path) -> list[str]:
    """What pytest says of a failure, without the code that it came from."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is None or not report.failed:
        return []
    path = Path(crash.path)
    where = path.relative_to(root) if path.is_relative_to(root) else path.name
    return [f"{where}:{crash.lineno}", *str(crash.message).splitlines()[:MOST_LINES]]


def decisive(phases: Sequence[pytest.TestReport]) -> pytest.TestReport:
    """The report that says how a test ended: the first that did not pass, or the last."""
    return next((phase for phase in phases if not phase.passed), phases[-1])


def is_far(config: pytest.Config) -> bool:
    """Whether this worker runs in a directory of its own, maybe on another machine."""
    return bool(getattr(config, "workerinput", {}).get(_FAR))


def finish(item: pytest.Item, report: pytest.TestReport, describe: Describes) -> None:
    """Keep a report of a test; the last of them carries the test's line."""
    known = evidence(item)
    known.phases.append(report)
    rules, lan = describe(item)
    doc = getattr(getattr(item, "obj", None), "__doc__", None) or ""
    if report.when == "setup":
        begun = results.Result(item.nodeid, rules, lan, "failed", doc=doc)
        setattr(report, _BEGUN, results.line(begun).decode())
    if report.when != "teardown":
        return
    *earlier, last = known.phases
    decides = decisive(earlier)
    outcome = word(decides)
    ending = reason(last)
    if last.failed and outcome not in results.RED:
        outcome = word(last)
    result = results.Result(
        id=item.nodeid,
        rules=rules,
        lan=lan,
        outcome=outcome,
        reason=reason(decides) or ending,
        details=known.frame_lines or _crash(decides, item.config.rootpath),
        ending=ending,
        doc=doc,
        settled=known.settled,
        version=known.version,
        ports=known.ports,
        exchanges=known.exchanges,
        capture=known.capture,
        applies=known.applies,
        differences=known.located or classified.located(known.differences, (), 0)[0],
        compared=compared_of(known),
        compared_more=known.log.left_out,
        seconds=round(sum(phase.duration for phase in known.phases), 6),
    )
    setattr(report, _LINE, results.line(result).decode())
    if known.content:
        setattr(report, _CONTENT, base64.b64encode(known.content).decode())
    known.result = result


def result_of(report: pytest.TestReport) -> results.Result | None:
    """The result that a test's last report carries; None for any other report."""
    text = getattr(report, _LINE, None)
    return None if text is None else cast("results.Result", results.parse(text.encode()))


def add_properties(item: pytest.Item, report: pytest.TestReport, capture: str) -> None:
    """What JUnit XML says of a test; it takes it from the last report."""
    result = evidence(item).result
    assert result is not None
    properties = {"verdict": result.outcome, "rule": ", ".join(result.rules)}
    properties |= {"lan": result.lan} if result.lan is not None else {}
    properties |= {"settled": result.settled} if result.settled else {}
    properties |= {"capture": capture} if result.capture is not None else {}
    properties = {name: visible(value) for name, value in properties.items()}
    rest = [pair for pair in report.user_properties if pair[0] not in properties]
    report.user_properties = [*rest, *properties.items()]


def _holds(path: Path, sha256: str) -> bool:
    """Whether a file is there and has the content with that hash."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def say_where(node: Any) -> None:
    """Let a worker know whether its files lie where the run's results do."""
    spec = node.gateway.spec
    node.workerinput[_FAR] = not spec.popen or bool(spec.chdir)


class Writer:
    """Writes the results of a run, line by line, and its report at the end."""

    def __init__(self, config: pytest.Config, folder: Path, lans: Mapping[str, Entry]) -> None:
        self._config = config
        self._folder = folder
        self._lans = lans
        self._outcomes: Counter[str] = Counter()
        self._began_s = time.monotonic()
        self._file: FileIO | None = None
        self.index: Path | None = None
        """Where the report is, when it is written."""
        self._begun: dict[str, str] = {}
        self._written: dict[str, str] = {}
        """Path below the folder to the hash of what was written there."""
        self._lines = hashlib.sha256()
        self._trouble = ""
        self._failed = False
        """The results cannot be written."""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.begin([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        self.begin(ids)

    def begin(self, ids: Sequence[str]) -> bool:
        """Write the run's first line; false if that is done."""
        if self._file is not None:
            return False
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / results.FILE_NAME
        try:
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            self._give_up(path, error)
        option = self._config.getoption
        options = {
            "campaign": str(option("campaign")),
            "search-lan": str(option("search_lan")),
            "strict": str(bool(option("strict", False))).lower(),
        }
        if option("wire_seed") or not all(entry.simulated for entry in self._lans.values()):
            options["wire-seed"] = seeds.of_run(self._config)
        run = results.Run(
            schema=results.SCHEMA,
            harness=__version__,
            rules=results.rules_hash(),
            lans={name: entry.version() for name, entry in self._lans.items()},
            options=options,
            repeat=commands.repeat(self._config),
            shard=option("shard", None) or "",
            collected=list(ids),
            machine=f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
            started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            specs=commands.specs(self._lans),
            program=commands.program(self._config),
            lan_files={name: entry.text for name, entry in self._lans.items() if entry.text},
            own_rules=[
                results.OwnRule(rule.id, rule.text, rule.source)
                for rule in self._config.stash[RULES_OF_RUN].values()
                if rule.id not in RULES
            ],
        )
        self._write(run)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        result = result_of(report)
        if report.when == "setup":
            self._begun[report.nodeid] = getattr(report, _BEGUN, "")
        elif result is not None:
            self._begun.pop(report.nodeid, None)
            self._write(result, report.__dict__.pop(_CONTENT, ""))
        elif report.when not in ("call", "teardown"):
            # The worker died: nobody is left to make the test's line.
            begun = self._begun.pop(report.nodeid, "")
            lost = results.Result(report.nodeid, (), None, "failed")
            if begun:
                lost = cast("results.Result", results.parse(begun.encode()))
            self._write(msgspec.structs.replace(lost, reason=str(report.longrepr)))

    def _write(self, line: results.Line, content: str = "") -> None:
        """A line; a test's capture first, so that a line that can be read has one."""
        assert self._file is not None
        if isinstance(line, results.Result):
            if content and line.capture is not None:
                path = self._folder / line.capture.path
                try:
                    pcapng.write(path, base64.b64decode(content))
                except OSError as error:
                    self._give_up(path, error)
            self._outcomes[line.outcome] += 1
        text, start = results.line(line), self._file.tell()
        try:
            self._lines.update(text)
            self._written[results.FILE_NAME] = self._lines.hexdigest()
            if isinstance(line, results.Result) and line.capture is not None:
                self._written[line.capture.path] = line.capture.sha256
            done = 0
            while done < len(text):
                done += self._file.write(text[done:])
        except OSError as error:
            # Half a line would hide that all before it is whole.
            with contextlib.suppress(OSError):
                self._file.truncate(start)
            self._give_up(self._folder / results.FILE_NAME, error)

    def _give_up(self, path: Path, error: OSError) -> NoReturn:
        """End the run: without evidence there is no verdict."""
        self._failed = True
        pytest.exit(f"{shown(path, self._config)}: {error.strerror}", returncode=CANNOT_WRITE)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if not self._failed:
            self.begin([])
            seconds = round(time.monotonic() - self._began_s, 3)
            end = results.End(dict(sorted(self._outcomes.items())), int(exitstatus), seconds)
            self._write(end)
        if self._file is not None:
            self._file.close()
            self._report(session)
            if not self._failed:
                self._check(session)

    def _report(self, session: pytest.Session) -> None:
        from harness.evidence import merge
        from harness.report import html, summary

        try:
            runs = merge.load([self._folder / results.FILE_NAME])
            self.index = html.write(runs, self._folder)
            self._trouble = summary.add(runs)
        except results.BadResults as error:
            # Somebody else changed them, say; the verdict stands in the terminal.
            self._trouble = visible(f"no report: {error}")
        except OSError as error:
            self._trouble = visible(f"no report: {error.filename}: {error.strerror}")
            session.exitstatus = CANNOT_WRITE

    def _check(self, session: pytest.Session) -> None:
        """Red if evidence is gone, or is not what was written."""
        lost = [
            path
            for path, written in self._written.items()
            if not _holds(self._folder / path, written)
        ]
        if lost:
            more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
            where = shown(self._folder / lost[0], self._config)
            self._trouble = visible(
                f"{where}{more}: removed or changed during the run, so its verdicts cannot be"
                " checked"
            )
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._trouble:
            terminalreporter.write_line(self._trouble, red=True)
