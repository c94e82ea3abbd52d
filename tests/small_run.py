"""A small run of real tests, one for each outcome, and ways to change what it left."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.evidence import pcapng
from harness.evidence.reader import read
from harness.lan import Record

SUITE = """
import pytest
from harness.exchange import Testbench
from harness.frames import ethernet
from harness.plugin.marks import rule

@rule("DLV-2")
@pytest.mark.parametrize("n", range(3))
def test_passes(lan: Testbench, n: int) -> None:
    sender, owner, _ = lan.ports(3)
    frame = ethernet(owner, sender, stamp=n)
    assert lan.exchange(sender, frame) == {owner: [frame]}

@rule("DLV-7")
def test_stays_silent(lan: Testbench) -> None:
    sender, _, _ = lan.ports(3)
    assert lan.exchange(sender, ethernet(bytes.fromhex("02001234abcd"), sender)) == {}

@rule("DLV-2")
def test_fails(lan: Testbench) -> None:
    sender, owner, _ = lan.ports(3)
    frame = ethernet(owner, sender)
    assert lan.exchange(sender, frame) == {}

@rule("DLV-9")
@pytest.mark.xfail(reason="known", strict=True)
def test_deviates(lan: Testbench) -> None:
    sender, owner, _ = lan.ports(3)
    frame = ethernet(owner, sender)
    assert lan.exchange(sender, frame) == {owner: [frame[:-1]]}

@rule("DLV-2")
def test_lacks(lan: Testbench) -> None:
    lan.require(False, "cannot <b>fly</b> | &amp; `there`")

@rule("DLV-2")
def test_skips(lan: Testbench) -> None:
    pytest.skip("no reason")

@rule("DLV-7")
def test_knows_nothing(lan: Testbench) -> None:
    sender, owner = lan.ports(2)
    owner.device.guest.host.kill(owner.device.guest, "by this test")
    lan.exchange(sender, ethernet(owner, sender))
"""

FILE = "test_small.py"
OUTCOMES = {
    "test_passes[lguest-0]": "passed",
    "test_passes[lguest-1]": "passed",
    "test_passes[lguest-2]": "passed",
    "test_stays_silent[lguest]": "passed",
    "test_fails[lguest]": "failed",
    "test_deviates[lguest]": "deviation",
    "test_lacks[lguest]": "unsupported",
    "test_skips[lguest]": "skipped",
    "test_knows_nothing[lguest]": "inconclusive",
}

Line = dict[str, Any]


def put(folder: Path, suite: str = SUITE) -> None:
    """Make a folder a root directory of pytest with this suite in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(suite)
    (folder / "pytest.ini").write_text("[pytest]\n")


def run(
    folder: Path, *arguments: str, suite: str = SUITE, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the suite in a folder of its own; what it leaves is in ``reports`` there."""
    put(folder, suite)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly"]
    return subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def lines(reports: Path) -> list[Line]:
    """The results, as plain JSON."""
    return [json.loads(line) for line in (reports / "results.jsonl").read_text().splitlines()]


def write(reports: Path, changed: list[Line]) -> None:
    """Put results in the place of those that are there."""
    text = "".join(json.dumps(line) + "\n" for line in changed)
    (reports / "results.jsonl").write_text(text)


def of(saved: list[Line], name: str) -> Line:
    """The line of a test, by the last part of its id."""
    return next(line for line in saved if line.get("id") == f"{FILE}::{name}")


def edit(reports: Path, name: str, change: Callable[[Line], object]) -> None:
    """Change the line of one test."""
    saved = lines(reports)
    change(of(saved, name))
    write(reports, saved)


def rewrite(
    reports: Path, name: str, change: Callable[[list[Record]], list[Record]], **also: object
) -> None:
    """Change a test's capture, with a hash and a count of packets that fit the change.

    ``also`` is put into every exchange of the test.
    """
    saved = lines(reports)
    test = of(saved, name)
    path = reports / test["capture"]["path"]
    packets = read(path)
    records = change(
        [
            Record(
                packet.time,
                packet.port,
                packet.direction,
                packet.frame,
                packet.original_length,
                packet.comments,
            )
            for packet in packets
        ]
    )
    macs = [(port, bytes.fromhex(mac.replace(":", ""))) for port, mac in test["ports"].items()]
    path.write_bytes(pcapng.encode(macs, records))
    adopt(test, path, len(records))
    for exchange in test["exchanges"]:
        exchange.update(also)
    write(reports, saved)


def adopt(test: Line, path: Path, packets: int) -> None:
    """The line of a test says that this is its capture."""
    test["capture"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    test["capture"]["packets"] = packets
