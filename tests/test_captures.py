"""Captures: what Wireshark sees in them, and where they go."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from _pytest.pytester import Pytester

from harness.evidence import pcapng
from harness.frames import LONGEST, ethernet, fragmented
from harness.lan import FrameRefused, Layout, Record
from harness.lans.lguest import LguestLan, repaired
from tests.conftest import Tshark
from tests.small_run import lines, run
from tests.test_judge import judged

COPIED = "copied by the Host into buffer 0, interrupt"


def written(lan: LguestLan, tmp_path: Path) -> Path:
    path = tmp_path / "capture.pcapng"
    pcapng.write(path, pcapng.encode(lan.interfaces(), lan.records(), ["about"]))
    return path


def rows(tshark: Tshark, path: Path) -> list[tuple[str, str, int, int, list[str]]]:
    """(interface, direction, captured length, original length, comments) of each packet.

    Without the comments for machines, which every packet has.
    """
    packets = tshark(
        path,
        "frame.interface_name",
        "frame.packet_flags_direction",
        "frame.cap_len",
        "frame.len",
        "frame.comment",
    )
    words = {"0x00000001": "received", "0x00000002": "sent"}
    assert all(
        any(text.startswith("fate: {") for text in packet["frame.comment"]) for packet in packets
    )
    return [
        (
            packet["frame.interface_name"][0],
            words[packet["frame.packet_flags_direction"][0]],
            int(packet["frame.cap_len"][0]),
            int(packet["frame.len"][0]),
            [text for text in packet["frame.comment"] if not text.startswith("fate: {")],
        )
        for packet in packets
    ]


def test_names_directions_and_lengths(tshark: Tshark, tmp_path: Path) -> None:
    lan = repaired()
    sender, owner, _ = lan.open_devices(3)
    sender.transmit(ethernet(owner.address, sender.address, size=100))
    lan.settle()
    assert rows(tshark, written(lan, tmp_path)) == [
        ("guest1", "sent", 100, 100, []),
        ("guest2", "received", 100, 100, [COPIED]),
    ]


def test_interfaces_have_their_address_as_description(tshark: Tshark, tmp_path: Path) -> None:
    lan = repaired()
    sender, owner = lan.open_devices(2)
    sender.transmit(ethernet(owner.address, sender.address))
    lan.settle()
    packets = tshark(written(lan, tmp_path), "frame.interface_description")
    assert [packet["frame.interface_description"] for packet in packets] == [
        ["02:00:01:00:00:00"],
        ["02:00:02:00:00:00"],
    ]


def test_the_fate_of_a_megapacket(tshark: Tshark, tmp_path: Path) -> None:
    lan = repaired()
    sender, owner = lan.open_devices(2)
    layout = fragmented(1000, 100, 19)
    sender.transmit(
        ethernet(owner.address, sender.address, size=1000), layout.linear, 0, layout.fragments
    )
    lan.settle()
    arrived = 100 + sum(size for size, _ in layout.fragments[:15])
    assert rows(tshark, written(lan, tmp_path)) == [
        (
            "guest1",
            "sent",
            1000,
            1000,
            [
                "Megapacket: 16 of 20 sections sent",
                f"to guest2: {arrived} of 1000 bytes copied",
            ],
        ),
        ("guest2", "received", arrived, 1000, [f"cut: {arrived} of 1000 bytes arrived", COPIED]),
    ]


def test_the_fate_of_an_oversized_frame(tshark: Tshark, tmp_path: Path) -> None:
    lan = repaired()
    sender, owner = lan.open_devices(2)
    sender.transmit(ethernet(owner.address, sender.address, size=9014))
    lan.settle()
    assert rows(tshark, written(lan, tmp_path)) == [
        ("guest1", "sent", 9014, 9014, ["to guest2: 1514 of 9014 bytes copied"]),
        ("guest2", "received", LONGEST, 9014, ["cut: 1514 of 9014 bytes arrived", COPIED]),
    ]


@pytest.mark.parametrize("size", [6, 13])
def test_the_fate_of_a_runt(tshark: Tshark, tmp_path: Path, size: int) -> None:
    lan = repaired()
    sender, owner = lan.open_devices(2)
    sender.transmit(ethernet(owner.address, sender.address, size=size))
    lan.settle()
    assert rows(tshark, written(lan, tmp_path)) == [
        ("guest1", "sent", size, size, []),
        (
            "guest2",
            "received",
            size,
            size,
            [f"runt: {size} bytes, dropped by the receiver", COPIED],
        ),
    ]


def test_the_fate_of_a_frame_that_found_no_buffer(tshark: Tshark, tmp_path: Path) -> None:
    lan = repaired()
    sender, owner = lan.open_devices(2)
    for stamp in range(9):
        sender.transmit(ethernet(owner.address, sender.address, stamp=stamp))
    path = written(lan, tmp_path)
    assert rows(tshark, path)[-1] == (
        "guest1",
        "sent",
        60,
        60,
        ["to guest2: no free buffer"],
    )


def test_the_fate_of_a_refused_frame(tshark: Tshark, tmp_path: Path) -> None:
    lan = repaired()
    sender, owner = lan.ports(2)
    with pytest.raises(FrameRefused):
        sender.send(ethernet(owner, sender, size=65535), Layout(offset=4095))
    ((name, direction, _, length, comments),) = rows(tshark, written(lan, tmp_path))
    assert (name, direction, length) == ("guest1", "sent", 65535)
    assert comments[0].startswith("refused: its linear part takes 17 sections")


def test_time_is_simulated_in_nanoseconds(tshark: Tshark, tmp_path: Path) -> None:
    lan = repaired(start_ns=1_000_000_123_456_789_012)
    sender, owner = lan.open_devices(2)
    sender.transmit(ethernet(owner.address, sender.address))
    lan.settle()
    packets = tshark(written(lan, tmp_path), "frame.time_epoch")
    assert [packet["frame.time_epoch"][0] for packet in packets] == [
        "1000000123.456792012",
        "1000000123.456793012",
    ]


def test_frames_of_every_length_are_read_back(tshark: Tshark, tmp_path: Path) -> None:
    records = [Record(n, "a", "sent", bytes(n), n) for n in (0, 1, 2, 3, 13, 14, 1514, 65535)]
    path = tmp_path / "capture.pcapng"
    pcapng.write(path, pcapng.encode([("a", bytes(6))], records))
    assert [row[2] for row in rows(tshark, path)] == [0, 1, 2, 3, 13, 14, 1514, 65535]


@pytest.mark.parametrize("text", ["ünïcödé ✓", "<b>", "a\nb", "x" * 70_000, ""])
def test_any_text_can_be_a_comment(tshark: Tshark, tmp_path: Path, text: str) -> None:
    path = tmp_path / "capture.pcapng"
    record = Record(1, "a", "sent", bytes(60), 60, (text, "second"))
    pcapng.write(path, pcapng.encode([("a", bytes(6))], [record], [text]))
    ((_, _, _, _, comments),) = rows(tshark, path)
    assert comments[-1] == "second"
    if text:
        assert text.startswith(comments[0].replace("\\n", "\n")[:1000])


def test_a_shorter_capture_replaces_a_longer_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.pcapng"
    pcapng.write(path, b"long content")
    pcapng.write(path, b"short")
    assert path.read_bytes() == b"short"


# Where they go


def test_ids_that_look_alike_have_files_of_their_own() -> None:
    names = [
        "t.py::test[a/b]", "t.py::test[a%2Fb]", "t.py::test[a b]", "t.py::test[a_b]",
        "t.py::test[a:b]", "t.py::test[a::b]", "t.py::test[]", "t.py::test", "t.py::test[..]",
        "t.py::test[A]", "t.py::test[a]", "t.py::test[\u00e9]", "t.py::test[e\u0301]",
        "t.py::test[\x00]", "t.py::test[\\x00]", "t.py::test[*]", "t.py::test[?]",
        "t.py::test[~]", "t/py::test[a]", "t.py::Test::test[a]", "../t.py::test",
        "%2e%2e/t.py::test",
        "t.py::test[\udc80]",
        *(f"t.py::test[{'x' * n}]" for n in (100, 149, 150, 151, 5000, 5001)),
        f"t.py::test[{'x' * 5000}/]", f"t.py::test[{'x' * 5000} ]",
    ]  # fmt: skip
    paths = [pcapng.path_of(name) for name in names]
    assert len(set(paths)) == len(names)
    assert all(len(part) < 250 for path in paths for part in path.parts)
    assert all(".." not in path.parts and not path.is_absolute() for path in paths)
    assert all(re.fullmatch(r"[A-Za-z0-9_.,=+\[\]%~/-]+", str(path)) for path in paths)


SUITE = """
import pytest
from harness.exchange import Testbench
from harness.frames import ethernet
from harness.plugin.marks import rule

@rule("DLV-2")
@pytest.mark.parametrize("odd", ["a/b", "a b", "a:b", "../x", "\\u00e9", "", "x" * 3000, "<i>"])
def test_odd(lan: Testbench, odd: str) -> None:
    sender, owner, _ = lan.ports(3)
    frame = ethernet(owner, sender)
    assert lan.exchange(sender, frame) == {owner: [frame]}

@rule("DLV-2")
@pytest.mark.parametrize("n", range(20))
def test_wrong(lan: Testbench, n: int) -> None:
    sender, owner, _ = lan.ports(3)
    frame = ethernet(owner, sender, stamp=n)
    assert lan.exchange(sender, frame) == ({owner: [frame]} if n % 2 else {})
"""


def captured(pytester: Pytester, *arguments: str) -> dict[str, bytes]:
    pytester.makepyfile(test_suite=SUITE)
    result = pytester.runpytest_subprocess(*arguments)
    result.assert_outcomes(passed=18, failed=10)
    folder = pytester.path / "reports" / "captures"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.pcapng")}


def test_captures_are_the_same_from_run_to_run_and_with_workers(pytester: Pytester) -> None:
    first = captured(pytester)
    assert len(first) == 28  # one for each test, passed or failed
    assert captured(pytester) == first
    assert captured(pytester, "-n", "2") == first


def test_a_run_replaces_the_captures_of_the_tests_that_it_ran(pytester: Pytester) -> None:
    first = captured(pytester)
    folder = pytester.path / "reports" / "captures"
    for path in folder.rglob("*.pcapng"):
        path.write_bytes(b"old")
    result = pytester.runpytest_subprocess("-k", "test_odd")
    result.assert_outcomes(passed=8)
    for path in folder.rglob("*.pcapng"):
        name = str(path.relative_to(folder))
        assert path.read_bytes() == (first[name] if "test_odd" in name else b"old")


def test_the_verdict_and_the_rule_are_in_the_capture(pytester: Pytester, tshark: Tshark) -> None:
    captured(pytester)
    folder = pytester.path / "reports" / "captures" / "test_suite.py"
    ((*_, passed), _) = rows(tshark, folder / "test_wrong[lguest-1].pcapng")
    assert passed == ["DLV-2", "passed"]
    ((*_, failed), _) = rows(tshark, folder / "test_wrong[lguest-2].pcapng")
    assert failed == ["DLV-2", "failed"]


LONG = """
from harness.exchange import Testbench
from harness.frames import ethernet
from harness.plugin.marks import rule

@rule("LOAD-3")
def test_long(lan: Testbench) -> None:
    sender, owner = lan.pair()
    lan.stream((sender, ethernet(owner, sender, stamp=n)) for n in range(10_500))
    answer = ethernet(sender, owner)
    assert lan.exchange(owner, answer) == {{sender: [answer]}}
    assert {passes}
"""


@pytest.mark.parametrize("passes", [True, False])
def test_of_a_very_long_capture_the_end_is_kept_if_the_test_passed(
    tmp_path: Path, passes: bool
) -> None:
    run(tmp_path, suite=LONG.format(passes=passes))
    reports = tmp_path / "reports"
    _, test, _ = lines(reports)
    assert test["outcome"] == ("passed" if passes else "failed")
    assert test["capture"]["packets"] == (2_000 if passes else 21_002)
    (exchange,) = test["exchanges"]
    assert exchange["last"] == test["capture"]["packets"]
    code, *_ = judged(reports)
    assert code == 0
