"""What a shared LAN leaves to look at: the ports of the test alone, and what went wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from _pytest.pytester import Pytester
from click.testing import CliRunner

from harness.cli.main import main
from harness.evidence import results
from harness.evidence.reader import sections
from harness.report.details import Detail, detail
from tests.lans.users import lan_name, program

SUITE = """
from harness.exchange import Testbench
from harness.frames import BROADCAST, ethernet
from harness.plugin.marks import rule

@rule("DLV-9")
def test_cut(lan: Testbench) -> None:
    sender, owner, _ = lan.ports(3)
    frame = ethernet(owner, sender, size=1514)
    assert lan.exchange(sender, frame) == {owner: [frame]}

@rule("DLV-3")
def test_lost(lan: Testbench) -> None:
    sender, *others = lan.ports(3)
    frame = ethernet(BROADCAST, sender)
    assert lan.exchange(sender, frame) == {port: [frame] for port in others}

@rule("DLV-2")
def test_astray(lan: Testbench) -> None:
    sender, owner, _ = lan.ports(3)
    frame = ethernet(owner, sender, size=700)
    assert lan.exchange(sender, frame) == {owner: [frame]}
"""

BROKEN = """
def forward(self, sender, frame):
    if is_marker(frame):
        return super().forward(sender, frame)
    for number, port in self.ports.items():
        wanted = number == 2 or frame[0] & 1
        if len(frame) == 700:
            wanted = number in (1, 6)
        elif frame[0] & 1:
            wanted = port is not sender and number != 3
        if wanted:
            cut = frame[:1000]
            port.connection.sendall(len(cut).to_bytes(4, "big") + cut)
"""


@pytest.fixture
def reports(tmp_path: Path, pytester: Pytester) -> Path:
    """Of a run on a LAN that cuts long frames, loses broadcasts, and misleads 700 bytes."""
    pytester.makepyfile(test_suite=SUITE)
    words = program(tmp_path, f"FEATURES.append('filters-at-sender')\n{BROKEN}")
    result = pytester.runpytest_subprocess("--lan", lan_name(words))
    assert result.parseoutcomes() == {"failed": 3}
    return pytester.path / "reports"


def looked_at(reports: Path, name: str) -> tuple[Detail, Path]:
    """A test as the report shows it, and its capture."""
    run = results.read(reports)
    (test,) = [test for test in run.tests if f"::{name}" in test.id]
    assert test.capture is not None
    shown = detail(test, run.run, reports, ("", ""), whole=True)
    return shown, reports / test.capture.path


def shown(path: Path) -> str:
    return CliRunner().invoke(main, ["show", str(path)], env={"COLUMNS": "100"}).output


def test_a_frame_that_was_cut_is_drawn_broken_off(reports: Path) -> None:
    drawn, capture = looked_at(reports, "test_cut")
    assert drawn.drawing is not None
    assert [stroke.style for stroke in drawn.drawing.strokes] == ["cut wrong"]
    labels = {label.text for label in drawn.drawing.labels}
    assert {"cut: 1000 of 1514 bytes", "arrived"} <= labels
    assert [name for _, name, _ in drawn.drawing.lifelines] == ["port1", "port2", "port3"]
    text = shown(capture)
    assert "unicast, 1514 B" in text
    assert "cut: 1000 of 1514 bytes arrived" in text
    (section,) = sections(capture)
    assert section.comments[-2:] == (
        "ports: port1, port2, port3",
        "exchange 1: port2: truncated: 1000 of 1514 bytes arrived",
    )


def test_a_frame_that_did_not_come_is_reported(reports: Path) -> None:
    drawn, capture = looked_at(reports, "test_lost")
    expected = "port3: missing: the frame of 60 bytes from port1"
    assert f"exchange 1: {expected}" in shown(capture)
    assert drawn.drawing is not None
    assert "missing" in {label.text for label in drawn.drawing.labels if label.style == "stray"}
    assert "undelivered wrong" in [stroke.style for stroke in drawn.drawing.strokes]
    # Five ports that the test did not ask for received the broadcast: they are not drawn.
    assert [name for _, name, _ in drawn.drawing.lifelines] == ["port1", "port2", "port3"]
    assert "port6" not in shown(capture)
    assert "reaches 5 more ports" in shown(capture)


def test_a_port_that_was_not_asked_for_is_drawn_if_a_frame_strays_there(reports: Path) -> None:
    drawn, capture = looked_at(reports, "test_astray")
    assert drawn.drawing is not None
    names = [name for _, name, _ in drawn.drawing.lifelines]
    assert names == ["port1", "port2", "port3", "port6"]
    styles = [stroke.style for stroke in drawn.drawing.strokes]
    assert styles == ["unwanted wrong", "unwanted wrong", "undelivered wrong"]
    text = shown(capture)
    assert "exchange 1: port1: returned to sender: its own frame of 700 bytes came back" in text
    assert "exchange 1: port6: unexpected receiver: the frame of 700 bytes from port1" in text
    assert "port5" not in text
    assert "ports: port1, port2, port3, port6" in text
