"""`--one-capture`: the whole run in one file, one test after the other."""

from __future__ import annotations

import shutil
import subprocess
import tracemalloc
from pathlib import Path

import pytest
from _pytest.pytester import Pytester

from harness.evidence import one_capture, pcapng, results
from harness.evidence.reader import read, sections
from harness.lan import Record
from tests.conftest import Tshark

SUITE = """
import pytest
from harness.exchange import Testbench
from harness.frames import ethernet
from harness.lans.lguest import LguestLan
from harness.plugin.marks import rule

@rule("DLV-2")
@pytest.mark.parametrize("count", [2, 3, 4])
def test_unicast(lan: Testbench, count: int) -> None:
    *_, owner, sender = lan.ports(count)
    frame = ethernet(owner, sender, size=100 + count)
    assert lan.exchange(sender, frame) == ({owner: [frame]} if count < 4 else {})

@rule("DLV-5")
def test_nothing_is_sent(lan: Testbench) -> None:
    lan.ports(2)

def test_without_a_lan() -> None:
    pass
"""


def run(pytester: Pytester, *arguments: str) -> Path:
    pytester.makepyfile(test_suite=SUITE)
    result = pytester.runpytest_subprocess("--one-capture", *arguments)
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["4 tests in reports/run.pcapng"])
    return pytester.path / "reports"


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_tests_stand_there_in_the_order_of_the_results(
    pytester: Pytester, workers: list[str]
) -> None:
    folder = run(pytester, *workers)
    tests = [
        packet
        for packet in results.read(folder / "results.jsonl").tests
        if packet.capture is not None and packet.capture.packets
    ]
    assert len(tests) == 3
    kept = list(sections(folder / "run.pcapng"))
    assert [packet.comments for packet in kept] == [
        (f"test: {test.id}", f"verdict: {test.outcome}", f"rule: {test.rules[0]}") for test in tests
    ]
    for test, section in zip(tests, kept, strict=True):
        assert test.capture is not None
        alone = read(folder / test.capture.path)
        assert [packet._replace(number=0, time=0) for packet in section.packets[1:]] == [
            packet._replace(number=0, time=0) for packet in alone[1:]
        ]
        times = [[packet.time for packet in packets] for packets in (section.packets, alone)]
        gaps = [[time - listed[0] for time in listed] for listed in times if listed]
        assert gaps[:1] == gaps[1:]
        for whole, first in zip(section.packets[:1], alone[:1], strict=True):
            assert whole.frame == first.frame
            assert whole.comments[:2] == first.comments[:2]
            assert whole.comments[2] == f"test: {test.id}"
            assert whole.comments[3:] == first.comments[2:]
            assert (whole.fates, whole.notes) == (first.fates, first.notes)
            assert section.ports == tuple(sorted({packet.port for packet in alone}))


def test_all_packets_are_in_the_order_of_their_times(pytester: Pytester) -> None:
    program = shutil.which("capinfos")
    if program is None:
        pytest.skip("capinfos is not installed (apt-get install wireshark-common)")
    path = run(pytester) / "run.pcapng"
    done = subprocess.run([program, str(path)], capture_output=True, text=True, check=True)
    assert [line for line in done.stderr.splitlines() if "Running as" not in line] == []
    about = dict(line.split(":", 1) for line in done.stdout.splitlines() if ":" in line)
    assert about["Strict time order"].strip() == "True"
    names = [line.split("=")[1] for line in done.stdout.splitlines() if " Name = " in line]
    assert len(names) == len(set(names)) > 1


def test_wireshark_sees_every_packet_with_its_port_and_test(
    pytester: Pytester, tshark: Tshark
) -> None:
    folder = run(pytester, "-p", "no:randomly")
    kept = tshark(folder / "run.pcapng", "frame.interface_name", "frame.len", "frame.comment")
    assert [(packet["frame.interface_name"][0], packet["frame.len"][0]) for packet in kept] == [
        ("guest2", "102"),
        ("guest1", "102"),
        ("guest3", "103"),
        ("guest2", "103"),
        ("guest4", "104"),
        ("guest3", "104"),
    ]
    named = "test: test_suite.py::test_unicast[lguest-{}]"
    assert [packet["frame.comment"][:3] for packet in kept[::2]] == [
        ["DLV-2", "passed", named.format(2)],
        ["DLV-2", "passed", named.format(3)],
        ["DLV-2", "failed", named.format(4)],
    ]


def test_there_is_none_unless_asked_for(pytester: Pytester) -> None:
    pytester.makepyfile(test_suite=SUITE)
    pytester.runpytest_subprocess().assert_outcomes(passed=4, failed=1)
    assert not (pytester.path / "reports" / "run.pcapng").exists()


def test_it_cannot_be_had_without_captures(pytester: Pytester) -> None:
    pytester.makepyfile(test_suite=SUITE)
    result = pytester.runpytest_subprocess("--one-capture", "--no-captures")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --one-capture needs the captures*"])


def recorded(folder: Path, count: int, size: int) -> None:
    """Results of so many tests, each with a capture of ten frames of ``size`` bytes."""
    frames = [Record(n, "a", "sent", bytes(size), size, ("DLV-2", "passed")) for n in range(10)]
    content = pcapng.encode([("a", bytes(6))], frames)
    with (folder / results.FILE_NAME).open("wb") as file:
        for number in range(count):
            path = folder / f"{number}.pcapng"
            path.write_bytes(content)
            held = results.Capture(path.name, 10, "")
            file.write(results.line(results.Result(f"t{number}", (), "a", "passed", capture=held)))


def test_a_capture_that_is_gone_or_damaged_is_named_and_the_others_are_kept(
    tmp_path: Path,
) -> None:
    recorded(tmp_path, 4, 60)
    (tmp_path / "1.pcapng").unlink()
    (tmp_path / "2.pcapng").write_bytes((tmp_path / "2.pcapng").read_bytes()[:-7])
    merged = one_capture.merge(tmp_path)
    assert merged.tests == 2
    assert merged.problems[0] == f"{tmp_path}/1.pcapng: No such file or directory"
    assert merged.problems[1].startswith(f"{tmp_path}/2.pcapng: truncated or damaged at byte")
    names = [packet.begins for packet in read(tmp_path / "run.pcapng") if packet.begins]
    assert names == ["t0", "t3"]


def two_lans(folder: Path) -> Path:
    """The capture of a run whose tests have other ports: what is 1 here is 0 or 2 there."""
    with (folder / results.FILE_NAME).open("wb") as file:
        for number, ports in enumerate(("ab", "cda", "ba")):
            path = folder / f"{number}.pcapng"
            records = [
                Record(1, port, "sent", port.encode() * 60, 60, ("R", "passed")) for port in ports
            ]
            path.write_bytes(pcapng.encode([(packet, bytes(6)) for packet in ports], records))
            held = results.Capture(path.name, len(ports), "")
            file.write(results.line(results.Result(f"t{number}", (), "a", "passed", capture=held)))
    assert one_capture.merge(folder).tests == 3
    return folder / one_capture.FILE_NAME


def test_ports_keep_their_names(tmp_path: Path) -> None:
    kept = read(two_lans(tmp_path))
    assert [packet.port for packet in kept] == list("abcdaba")
    assert [packet.frame[:1].decode() for packet in kept] == list("abcdaba")


def test_wireshark_sees_the_ports_names(tmp_path: Path, tshark: Tshark) -> None:
    kept = tshark(two_lans(tmp_path), "frame.interface_name")
    assert [packet["frame.interface_name"] for packet in kept] == [[name] for name in "abcdaba"]


def test_memory_does_not_grow_with_the_run(tmp_path: Path) -> None:
    peaks = []
    for count in (5, 100):
        recorded(tmp_path, count, 10_000)
        tracemalloc.start()
        assert one_capture.merge(tmp_path).tests == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5
