"""The profile for Wireshark, as tshark makes use of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from _pytest.pytester import Pytester
from click.testing import CliRunner, Result

from harness.cli.main import main
from harness.evidence import pcapng
from harness.lan import Fate, FateKind, Record
from harness.report import wireshark

Prints = Callable[..., str]


def command(*arguments: str, **environment: str | None) -> Result:
    return CliRunner(env=environment).invoke(main, ["wireshark", *arguments])


@pytest.fixture
def tshark_prints(tmp_path: Path) -> Prints:
    """Runs tshark with the profile, installed as a user does it; what it prints."""
    program = shutil.which("tshark")
    if program is None:
        pytest.skip("tshark is not installed (apt-get install tshark)")
    home = tmp_path / "wireshark"
    installed = command(WIRESHARK_CONFIG_DIR=str(home))
    assert installed.exit_code == 0, installed.output
    assert (home / "profiles" / "lguest-harness" / "preferences").exists()

    def run(path: Path, *arguments: str) -> str:
        done = subprocess.run(
            [program, "-n", "-C", "lguest-harness", "-r", str(path), *arguments],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "WIRESHARK_CONFIG_DIR": str(home)},
        )
        complaints = [line for line in done.stderr.splitlines() if "Running as" not in line]
        assert not complaints  # of a column, a preference or a filter that it does not take
        return done.stdout

    return run


def written(path: Path, records: list[tuple[int, str, Fate]]) -> Path:
    """A capture of 60-byte frames received by port p: original length, outcome, fate."""
    rules = "DLV-2, DLV-3"
    pcapng.write(
        path,
        pcapng.encode(
            [("p", bytes(6))],
            [
                Record(n, "p", "received", bytes(60), length, (rules, outcome), (fate,))
                for n, (length, outcome, fate) in enumerate(records)
            ],
        ),
    )
    return path


def test_the_columns(tshark_prints: Prints, tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.pcapng",
        [
            (60, "passed", Fate(FateKind.DELIVERED)),
            (99, "failed", Fate(FateKind.TRUNCATED, count=60, of=99)),
        ],
    )
    assert tshark_prints(path).splitlines() == [
        "    1 0.000000000 00:00:00:00:00:00 → 00:00:00:00:00:00 p Inbound"
        ' fate: {"kind":"delivered"} 0x0000 60 60 passed DLV-2, DLV-3 Ethernet II',
        "    2 0.000000001 00:00:00:00:00:00 → 00:00:00:00:00:00 p Inbound"
        " cut: 60 of 99 bytes arrived 0x0000 60 99 failed DLV-2, DLV-3 Ethernet II",
    ]
    titles = re.findall("<section>([^<]*)</section>", tshark_prints(path, "-T", "psml"))
    assert titles[:13] == [title for title, _ in wireshark.COLUMNS]


DELIVERED = Fate(FateKind.DELIVERED)
REFUSED = Fate(FateKind.REFUSED, "the device is not open")
RUNT = Fate(FateKind.DROPPED, "runt: 13 bytes")
COLOURED = [
    (60, "passed", DELIVERED, ""),
    (60, "deviation", DELIVERED, "deviation"),
    (60, "inconclusive", DELIVERED, "of a test that failed"),
    (60, "failed", DELIVERED, "of a test that failed"),
    (99, "passed", DELIVERED, "cut"),
    (60, "passed", Fate(FateKind.SENT_PARTLY, count=16, of=20), "cut"),
    (60, "passed", Fate(FateKind.UNDELIVERED, "", "guest2", 1514, 9014), "cut"),
    (60, "deviation", Fate(FateKind.UNDELIVERED, "no free buffer", "guest2", 0, 60), "dropped"),
    (60, "passed", RUNT, "dropped"),
    (60, "passed", REFUSED, "refused"),
    (60, "passed", Fate(FateKind.FILTERED), "not for this host"),
    (99, "failed", DELIVERED, "cut"),
    (60, "failed", RUNT, "dropped"),
    (60, "inconclusive", REFUSED, "refused"),
    (60, "passed", Fate(FateKind.DELIVERED, 'x "kind":"dropped" failed'), ""),
]


def test_the_colours(tshark_prints: Prints, tmp_path: Path) -> None:
    path = written(tmp_path / "a.pcapng", [row[:3] for row in COLOURED])
    printed = tshark_prints(path, "--color", "-T", "fields", "-e", "frame.coloring_rule.name")
    assert printed.split("\n")[:-1] == [name for *_, name in COLOURED]
    known = {name for name, *_ in wireshark.COLOURS if not name.startswith("wrong")}
    assert {name for *_, name in COLOURED} - {""} == known


def test_only_the_packet_that_is_wrong_is_red(tshark_prints: Prints, pytester: Pytester) -> None:
    pytester.makepyfile(
        test_suite="""
        from harness.exchange import Testbench
        from harness.frames import ethernet
        from harness.plugin.marks import rule

        @rule("DLV-11")
        def test_order(lan: Testbench) -> None:
            sender, owner, _ = lan.ports(3)
            frames = [ethernet(owner, sender, stamp=number) for number in range(8)]
            assert lan.exchange(sender, *frames) == {owner: frames}
        """
    )
    lan = "broken:directory-last-of-eight-first"
    pytester.runpytest_subprocess("--one-capture", "--lan", lan).assert_outcomes(failed=1)
    path = pytester.path / "reports" / "run.pcapng"
    fields = ["-T", "fields", "-e", "frame.coloring_rule.name", "-e", "frame.comment"]
    rows = tshark_prints(path, "--color", *fields).splitlines()
    wrong = [row for row in rows if row.startswith("wrong\t")]
    assert len(rows) == 16
    assert len(wrong) == 1
    assert "WRONG: reordered: the same 8 frames from port1, in order 8 1 2 3 4 5 6 7" in wrong[0]
    assert {row.split("\t")[0] for row in rows if row not in wrong} == {"of a test that failed"}


def test_ports_have_names(tshark_prints: Prints, tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    frame = bytes.fromhex("020000000002 020003000000 88b5") + bytes(46)
    pcapng.write(path, pcapng.encode([("p", bytes(6))], [Record(1, "p", "sent", frame, 60)]))
    printed = " ".join(tshark_prints(path, "-N", "m").split())
    assert "guest3 → port2 p Outbound" in printed


def test_a_run_is_readable_with_it(tshark_prints: Prints, pytester: Pytester) -> None:
    pytester.makepyfile(
        test_suite="""
        from harness.exchange import Testbench
        from harness.frames import ethernet
        from harness.plugin.marks import rule

        @rule("DLV-2", "DLV-9")
        def test_wrong(lan: Testbench) -> None:
            sender, owner, _ = lan.ports(3)
            frame = ethernet(owner, sender)
            assert lan.exchange(sender, frame) == {}
        """
    )
    pytester.runpytest_subprocess("--one-capture").assert_outcomes(failed=1)
    path = pytester.path / "reports" / "run.pcapng"
    first, second = tshark_prints(path).splitlines()
    assert "guest1 Outbound test: test_suite.py::" in first
    assert "guest2 Inbound WRONG: unexpected receiver: the frame of 60 bytes" in second
    assert "0x88b5 60 60 failed DLV-2, DLV-9" in second


def test_another_profile_is_not_written_over_in_silence(tmp_path: Path) -> None:
    folder = tmp_path / "profiles" / "mine"
    assert command(str(folder)).exit_code == 0
    before = (folder / "colorfilters").read_text()
    assert command(str(folder)).exit_code == 0  # the same once more
    (folder / "colorfilters").write_text("another's")
    result = command(str(folder))
    assert result.exit_code == 2
    assert result.stderr == (
        f"{folder}/colorfilters: another profile exists (--force replaces it)\n"
    )
    assert (folder / "colorfilters").read_text() == "another's"
    result = command("--force", str(folder))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"replaced {folder}/colorfilters",
        f"{folder}: use it with -C mine (wireshark, tshark)",
    ]
    assert (folder / "colorfilters").read_text() == before


def test_a_place_that_cannot_be_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = command(str(tmp_path / "file" / "below"))
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert str(tmp_path / "file") in result.stderr


def test_without_tshark_a_place_is_asked_for(tmp_path: Path) -> None:
    result = command(PATH=str(tmp_path))
    assert result.exit_code == 2
    assert result.stderr.endswith("name a DIR\n")
