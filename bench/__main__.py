"""``make bench``: measure everything, print a table, write ``reports/bench.json``."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from pathlib import Path

from bench import children, ptf_side, rates, real_lans, report
from harness.lans.wire.fence import FencedLan

Figures = dict[str, tuple[float, str]]

ROOT = Path(__file__).parents[1]
WALK = "tests/search/test_exhaustive.py"


def frames_per_second() -> Figures:
    """Frames through the simulated LAN, and through a Linux bridge between two TAPs."""
    sizes = (60, 1514)
    rounds = {
        f"unicast_{size}B_{peers}peers": rates.lguest_round(peers, size)
        for peers in (2, 8)
        for size in sizes
    }
    rounds["unicast_60B_8_at_once"] = rates.lguest_round(2, 60, at_once=8)
    rounds["broadcast_681_per_receiver"] = rates.broadcast_round(682)
    with contextlib.ExitStack() as stack:
        has_taps = os.geteuid() == 0 and Path("/dev/net/tun").exists()
        if has_taps:
            from bench import bridge

            taps = stack.enter_context(bridge.bridge_between_taps())
            for size in sizes:
                rounds[f"bridge_tap_{size}B"] = bridge.bridge_round(*taps, size)
            rounds["bridge_tap_60B_8_at_once"] = bridge.bridge_round(*taps, 60, at_once=8)
        else:
            print("no bridge to compare with: that takes root and /dev/net/tun")
        measured = rates.medians(rounds)
    figures: Figures = {name: (rate, "frames/s") for name, rate in measured.items()}
    pairs = {
        "broadcast_over_unicast": ("broadcast_681_per_receiver", "unicast_60B_2peers"),
        "lguest_over_bridge_60B": ("unicast_60B_2peers", "bridge_tap_60B"),
        "lguest_over_bridge_1514B": ("unicast_1514B_2peers", "bridge_tap_1514B"),
        "lguest_over_bridge_60B_8_at_once": ("unicast_60B_8_at_once", "bridge_tap_60B_8_at_once"),
    }
    for name, (ours, theirs) in pairs.items():
        if theirs in measured:
            figures[name] = (measured[ours] / measured[theirs], "times")
    return figures


def on_real_lans(testcases: str) -> Figures:
    """The same exchanges and cases on each real LAN, and PTF's on the same bridge."""
    able = []
    for name, why_not in real_lans.can_run().items():
        if why_not is None:
            able.append(name)
        else:
            print(f"{name} is left out: {why_not}")
    figures: Figures = {}
    with real_lans.opened(able) as lans, contextlib.ExitStack() as stack:
        rounds: dict[str, rates.Round] = {}
        for name, lan in lans.items():
            rounds[f"fence_{_plain(name)}"] = real_lans.fence_round(lan)
            rounds[f"exchanges_{_plain(name)}"] = real_lans.exchange_round(lan)
        bridge = lans.get("bridge")
        if not ptf_side.is_installed():
            print("PTF is left out: it is in the extra `bench`, and not installed")
        elif isinstance(bridge, FencedLan):
            rounds.update(stack.enter_context(ptf_side.rounds(bridge)))
        measured = rates.medians(rounds, times=7)
    units = {"fence": "µs", "exchanges": "exchanges/s", "ptf": "exchanges/s"}
    for name in sorted(measured, key=lambda name: list(units).index(name.partition("_")[0])):
        figures[name] = (measured[name], units[name.partition("_")[0]])
    for name in ("ptf_exchanges", "ptf_exchanges_fewest_waits"):
        if name in measured:
            ratio = measured["exchanges_bridge"] / measured[name]
            figures[name.replace("ptf_exchanges", "harness_over_ptf")] = (ratio, "times")
    for name in able:
        rate, joined = children.cases_per_second(testcases, name)
        figures[f"cases_{_plain(name)}"] = (rate, "cases/s")
        figures[f"cases_{_plain(name)}_joined"] = (joined, "cases/s")
    return figures


def _plain(lan: str) -> str:
    return lan.replace("-", "_")


def suite_and_searches(testcases: str) -> Figures:
    """The conformance suite on the simulated LAN, and what searches it."""
    suite, walk = [testcases], str(ROOT / WALK)
    part = (walk, "-k", "every_frame")  # half of it: the whole would be most of the bench
    alone, together = (children.pytest_seconds(*part, "-n", str(n)) for n in (1, 2))
    return {
        "cases": (children.cases_per_second(testcases, captured=False)[0], "cases/s"),
        "cases_captured": (children.cases_per_second(testcases)[0], "cases/s"),
        "suite_1_workers": (children.pytest_seconds(*suite, "-n", "1"), "s"),
        "suite_2_workers": (children.pytest_seconds(*suite, "-n", "2"), "s"),
        "exhaustive_speedup_2_workers": (alone / together, "times"),
        "exhaustive_transitions": (children.transitions_per_second(), "transitions/s"),
        "random_program_steps": (children.program_steps_per_second(), "steps/s"),
        "broken_lans": (children.broken_lans_per_second(), "LANs/s"),
    }


def evidence() -> Figures:
    """The report of 5,000 tests: to write it, and to open it in a browser."""
    with tempfile.TemporaryDirectory() as folder:
        figures: Figures = {"report_5000_tests": (report.written(Path(folder), 5000), "s")}
        opened = report.opened(Path(folder))
    if opened is None:
        print("no browser to open the report in: that takes playwright and chromium")
    else:
        figures["report_5000_tests_opened"] = (opened, "s")
    return figures


def size() -> Figures:
    """What it takes: memory, and time to import."""
    return {
        "memory_682_peers": (children.memory_682_peers(), "bytes"),
        "import_time": (children.import_time(), "s"),
    }


def show(topic: str, figures: Figures) -> None:
    """Print the figures of one topic, as soon as they are there."""
    print(f"\n{topic}")
    for name, (value, unit) in figures.items():
        shown = f"{value:,.0f}" if value >= 100 else f"{value:.3f}"
        print(f"  {name:<34} {shown:>14} {unit}", flush=True)


def main() -> None:
    """Print the table, and write it for machines."""
    start = time.monotonic()
    testcases = str(ROOT / "testcases")
    topics = {
        "Frames in memory, and through a Linux bridge": frames_per_second,
        "Real LANs, 4 ports": lambda: on_real_lans(testcases),
        "The suite and the searches on the simulated LAN": lambda: suite_and_searches(testcases),
        "The report": evidence,
        "Size": size,
    }
    measured: Figures = {}
    for topic, measure in topics.items():
        figures = measure()
        show(topic, figures)
        measured |= figures
    target = Path("reports") / "bench.json"
    target.parent.mkdir(exist_ok=True)
    rows = {name: {"value": value, "unit": unit} for name, (value, unit) in measured.items()}
    target.write_text(json.dumps(rows, indent=2) + "\n")
    print(f"\nwritten to {target} after {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
