"""LANs in memory: the correct ones are green, and every rule has broken ones of its own."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import registry
from harness.broken.catalogue import BROKEN
from harness.lan import FrameRefused, LanError, Layout
from harness.rules import RULES

KINDS = ("repeater", "learning", "directory")

FAMILIES = ("WIRE", "LRN", "INT", "GRP", "MANY", "LOAD", "PORT", "ISO")
"""Rules of any LAN's, whose broken LANs live in memory."""

WRONG_CLAIMS: dict[str, dict[str, Any]] = {"hub-pads-not": {"padding": 60}}
"""Of the broken LANs whose fault is the claim: what they declare and do not do."""

LIVING = {name: broken for name, broken in BROKEN.items() if not broken.lguest}


@pytest.mark.parametrize("kind", KINDS)
def test_a_correct_lan_is_green_for_the_whole_suite(kind: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harness.cli", "run", f"memory-{kind}", "--"]
    run = subprocess.run(
        [*command, "-q", "--no-captures", "--reports", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    last = run.stdout.splitlines()[-1]
    assert run.returncode == 0, run.stdout
    assert " passed" in last
    assert not any(red in last for red in ("failed", "error", "inconclusive", "deviation"))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_rule_of_any_lan_has_two_broken_lans_in_memory(family: str) -> None:
    broken = Counter(lan.rule for lan in LIVING.values())
    rules = [rule for rule in RULES if rule.startswith(f"{family}-")]
    assert rules
    assert {rule: broken[rule] for rule in rules if broken[rule] < 2} == {}


def test_more_than_a_hundred_broken_lans_of_three_kinds_live_in_memory() -> None:
    kinds = Counter(lan.kind for lan in LIVING.values())
    assert sum(kinds.values()) >= 100
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) >= 30


@pytest.mark.parametrize("name", LIVING)
def test_a_broken_lan_declares_what_a_correct_one_of_its_kind_does(name: str) -> None:
    broken = registry.create(f"broken:{name}")
    correct = registry.create(f"memory-{LIVING[name].kind}")
    assert broken.traits == replace(correct.traits, **WRONG_CLAIMS.get(name, {}))
    assert registry.entry(f"broken:{name}").kind == broken.traits.kind
    broken.close()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_frames_have_the_same_times(kind: str) -> None:
    def records() -> list[object]:
        lan = registry.create(f"memory-{kind}")
        first, second, _ = lan.ports(3)
        first.send(second.mac + first.mac + b"\x88\xb5" + bytes(46))
        lan.settle()
        return [tuple(record) for record in lan.records()]

    assert records() == records() != []


def test_a_port_that_is_down_and_a_frame_without_header_are_refused() -> None:
    lan = registry.create("memory-learning")
    first, second = lan.ports(2)
    with pytest.raises(FrameRefused, match="13 bytes, and 14 are the fewest"):
        first.send(bytes(13))
    with pytest.raises(LanError, match="takes no layouts"):
        first.send(bytes(60), Layout(linear=20))
    first.close()
    with pytest.raises(FrameRefused, match="the port is down"):
        first.send(second.mac + first.mac + bytes(48))
    assert second.arrivals() == []
