"""Replays captures on LANs by pytest: verdicts, results and report are as for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness import replay
from harness.evidence.foreign import Captured, Contents
from harness.evidence.text import visible
from harness.exchange import Testbench
from harness.replay import Addresses, Replayed
from harness.suite.run import CONFIGURATION

TEST = Path(__file__).with_name("replayed") / "test_replay.py"


@dataclass(slots=True)
class Given:
    """A capture that was read, how it is to be replayed, and the results."""

    path: Path
    packets: Sequence[Captured]
    ports: Mapping[bytes, str]
    addresses: Addresses
    timing: bool
    done: list[Replayed] = field(default_factory=list)

    def run(self, lan: Testbench) -> Replayed:
        """Replay it."""
        done = replay.run(
            lan, self.path, self.packets, self.ports, self.addresses, timing=self.timing
        )
        self.done.append(done)
        return done


class Replaying:
    """A plugin of pytest that gives the test its captures, and prints a verdict per frame."""

    def __init__(self, given: Sequence[Given]) -> None:
        self._given = given

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "given" in metafunc.fixturenames:
            names = [given.path.name for given in self._given]
            metafunc.parametrize("given", self._given, ids=names)

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, config: pytest.Config
    ) -> None:
        for given in self._given:
            for done in given.done:
                if config.get_verbosity() > 0:
                    terminalreporter.write_sep("-", f"{done.path.name} on {done.lan}")
                    for address, port in done.hosts.items():
                        terminalreporter.write_line(f"{address} is at {port}")
                    for verdict in done.verdicts:
                        word = "FAILED" if verdict.wrong else "PASSED"
                        terminalreporter.write_line(f"{word} {visible(verdict.in_words())}")
                per_s = len(done.verdicts) / done.seconds if done.seconds else 0
                terminalreporter.write_line(
                    visible(f"{done.summary()}; {per_s:,.0f} frames/s"), red=bool(done.failed)
                )


def run(
    captures: Mapping[Path, Contents],
    lans: Sequence[str],
    more: Sequence[str] = (),
    *,
    ports: Mapping[bytes, str],
    addresses: Addresses = "auto",
    timing: bool = False,
) -> int:
    """Replay captures on LANs, with more arguments of pytest; pytest's exit code."""
    given = [
        Given(path, contents.packets, ports, addresses, timing)
        for path, contents in captures.items()
    ]
    chosen = [argument for lan in lans for argument in ("--lan", lan)]
    reports = ["--reports", str(Path.cwd() / "reports")]
    where = ["--rootdir", str(TEST.parent), "-c", str(CONFIGURATION)]
    plugins = ["-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:lguest-harness-headline"]
    arguments = [str(TEST), *where, *plugins, *chosen, *reports, *more]
    return int(pytest.main(arguments, plugins=[Replaying(given)]))
