"""What is measured in processes of their own: memory, import time, the suite's speed."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time

from harness.broken.catalogue import BROKEN
from harness.registry import BROKEN_PREFIX
from harness.suite.run import run_quietly

MEMORY = """
from pathlib import Path
from harness import frames
from harness.lans.lguest import lguest
lan = lguest()
devices = lan.open_devices(lan.pages.slots)
for _ in range(8):
    devices[0].transmit(frames.ethernet(frames.BROADCAST, devices[0].address, size=1514))
lan.settle()
assert devices[-1].counters.rx_packets == 8
# Not getrusage: its peak is that of whoever started the process, if that was larger.
status = Path("/proc/self/status").read_text()
print(int(status.partition("VmHWM:")[2].split()[0]) * 1024)
"""

IMPORT = """
import time
start = time.perf_counter()
import harness, harness.exchange, harness.frames, harness.registry
print(time.perf_counter() - start)
"""

SUITE = """
import json, sys, time, pytest
class Stopwatch:
    module, joined, joined_s = None, 0, 0.0
    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session):
        start = time.perf_counter()
        result = yield
        self.spent = time.perf_counter() - start
        self.tests = session.testscollected
        return result
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item, nextitem):
        start = time.perf_counter()
        result = yield
        if self.module is item.module is getattr(nextitem, "module", None):
            self.joined += 1
            self.joined_s += time.perf_counter() - start
        self.module = item.module
        return result
watch = Stopwatch()
code = pytest.main(sys.argv[1:], plugins=[watch])
print()
print(json.dumps([int(code), watch.tests / watch.spent, watch.joined / watch.joined_s]))
"""


def _python(program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def memory_682_peers() -> float:
    """Peak bytes of a process with a full page of Guests, all rings filled once."""
    return float(_python(MEMORY))


def import_time() -> float:
    """Seconds to import what a test needs, Scapy included: the best of five."""
    return min(float(_python(IMPORT)) for _ in range(5))


NOT_SIMULATED = ("test_kernel_tap.py", "test_slots.py")
"""Tests of the simulated LAN whose time is that of real TAPs and real processes."""


def cases_per_second(
    testcases: str, lan: str = "lguest-repaired", *, captured: bool = True, runs: int = 4
) -> tuple[float, float]:
    """Cases of the conformance suite per second on one core: all, and those that join a LAN.

    Python's and pytest's start-up and the collecting are left out; making the LANs and
    taking them down is in the first figure, and not in the second, which leaves out the first
    and the last test of each module. What waits for the kernel or other processes is in
    neither. The best of some runs into one directory, as in daily use: the first creates the
    captures, the others replace them.
    """
    rates, joined = [], []
    with tempfile.TemporaryDirectory() as reports:
        left_out = [f"--ignore={testcases}/{module}" for module in NOT_SIMULATED]
        arguments = [testcases, *left_out, "-q", "-p", "no:cacheprovider", "--lan", lan]
        arguments += ["--reports", reports] if captured else ["--no-captures"]
        for _ in range(runs):
            said = _python(SUITE, *arguments)
            code, rate, rate_joined = json.loads(said.splitlines()[-1])
            if code != 0:
                raise RuntimeError(f"the suite failed on {lan}:\n{said}")
            rates.append(float(rate))
            joined.append(float(rate_joined))
    return max(rates), max(joined)


SEARCH = """
import sys, time
from harness.search import exhaustive
from harness.lans.lguest import repaired
start = time.perf_counter()
coverage = exhaustive.Coverage()
for states in (("open", "open", "promiscuous"), ("open", "closed", "open")):
    exhaustive.walk_stimuli(repaired, states, coverage)
exhaustive.walk_sequences(repaired, "open", ("interrupt", 0, ""), coverage)
print(coverage.transitions / (time.perf_counter() - start))
"""

PROGRAMS = """
import time
from harness.lans.lguest import repaired
from harness.search.programs import try_programs
start = time.perf_counter()
steps = sum(try_programs(repaired, seed).steps for seed in range(3))
print(steps / (time.perf_counter() - start))
"""


def transitions_per_second() -> float:
    """Steps of the exhaustive walk, made and compared, on one core: the best of three."""
    return max(float(_python(SEARCH)) for _ in range(3))


def program_steps_per_second() -> float:
    """Steps of random programs, drawn, made and compared, on one core."""
    return float(_python(PROGRAMS))


def pytest_seconds(*arguments: str) -> float:
    """Wall time of a pytest run that must pass, start-up included."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"pytest failed:\n{done.stdout}")
    return time.perf_counter() - start


def broken_lans_per_second() -> float:
    """Deliberately broken LANs, run through the tests of their rule, with two workers.

    Every fourth of them: all would be most of the bench.
    """
    names = [f"--lan={BROKEN_PREFIX}{name}" for name in list(BROKEN)[::4]]
    start = time.perf_counter()
    arguments = [*names, "--own-rule", "--no-captures", "--tb=line", "-n", "2"]
    run_quietly(arguments, object(), [1])
    return len(names) / (time.perf_counter() - start)
