"""``make bench``: measure everything, print a table, write ``reports/bench.json``."""

from __future__ import annotations

import json
import os
from importlib import resources
from pathlib import Path

from harness.bench import children, rates

Figures = dict[str, tuple[float, str]]


def measure() -> Figures:
    """Every figure by name, with its unit."""
    rounds = {
        f"unicast_{size}B_{peers}peers": rates.lguest_round(peers, size)
        for peers in (2, 8)
        for size in (60, 1514)
    }
    rounds["broadcast_681_per_receiver"] = rates.broadcast_round(682)
    found: Figures = {}
    if os.geteuid() == 0 and Path("/dev/net/tun").exists():
        from harness.bench import bridge

        with bridge.bridge_between_taps() as (one, other):
            for size in (60, 1514):
                rounds[f"bridge_tap_{size}B"] = bridge.bridge_round(one, other, size)
            measured = rates.medians(rounds)
        for size in (60, 1514):
            ratio = measured[f"unicast_{size}B_2peers"] / measured[f"bridge_tap_{size}B"]
            found[f"lguest_over_bridge_{size}B"] = (ratio, "times")
    else:
        print("no bridge to compare with: that takes root and /dev/net/tun")
        measured = rates.medians(rounds)
    found = {**{name: (rate, "frames/s") for name, rate in measured.items()}, **found}
    with resources.as_file(resources.files("testcases")) as folder:
        found["cases"] = (children.cases_per_second(str(folder), captured=False), "cases/s")
        found["cases_captured"] = (children.cases_per_second(str(folder), captured=True), "cases/s")
        suite = [str(folder), f"--ignore={folder}/harness", f"--ignore={folder}/search"]
        for workers in (1, 2):
            seconds = children.pytest_seconds(*suite, "-n", str(workers))
            found[f"suite_{workers}_workers"] = (seconds, "s")
        walk = f"{folder}/search/test_exhaustive.py"
        alone, together = (children.pytest_seconds(walk, "-n", str(n)) for n in (1, 2))
        found["exhaustive_speedup_2_workers"] = (alone / together, "times")
    found["exhaustive_transitions"] = (children.transitions_per_second(), "transitions/s")
    found["random_program_steps"] = (children.program_steps_per_second(), "steps/s")
    found["broken_lans"] = (children.broken_lans_per_second(), "LANs/s")
    found["memory_682_peers"] = (children.memory_682_peers(), "bytes")
    found["import_time"] = (children.import_time(), "s")
    return found


def main() -> None:
    """Print the table, and write it for machines."""
    figures = measure()
    for name, (value, unit) in figures.items():
        shown = f"{value:,.0f}" if value >= 100 else f"{value:.3f}"
        print(f"{name:<28} {shown:>14} {unit}")
    target = Path("reports") / "bench.json"
    target.parent.mkdir(exist_ok=True)
    rows = {name: {"value": value, "unit": unit} for name, (value, unit) in figures.items()}
    target.write_text(json.dumps(rows, indent=2) + "\n")
    print(f"written to {target}")


if __name__ == "__main__":
    main()
