"""`show`: a capture as a sequence diagram in the terminal."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from harness.cli.main import main
from harness.evidence import pcapng
from harness.evidence.reader import BadCapture, blocks, read, sections
from harness.frames import BROADCAST, ethernet, fragmented
from harness.lan import FILTERED, FrameRefused, Layout, Record
from harness.lans.lguest import LguestLan, repaired
from harness.report.show import show
from harness.report.terminal import can_draw

ABOUT = ("test: t.py::test_it[lguest]", "verdict: passed", "rule: DLV-2 Text. [D:570]")


def written(
    path: Path,
    ports: Iterable[tuple[str, bytes]],
    records: Iterable[Record],
    about: Sequence[str] = ABOUT,
) -> Path:
    commented = [
        record._replace(comments=("DLV-2", "passed", *record.comments)) for record in records
    ]
    pcapng.write(path, pcapng.encode(list(ports), commented, about))
    return path


def shown(path: Path, *arguments: str, columns: int = 80, charset: str = "utf-8") -> Result:
    environment = {"COLUMNS": str(columns), "TERM": "xterm"}
    return CliRunner(charset=charset, env=environment).invoke(main, ["show", *arguments, str(path)])


def diagram(lan: LguestLan, tmp_path: Path, columns: int = 80) -> list[str]:
    """What is drawn of it, without the comments above and the empty line below."""
    path = written(tmp_path / "a.pcapng", lan.interfaces(), lan.records())
    result = shown(path, columns=columns)
    assert result.exit_code == 0, result.output
    head = ["test: t.py::test_it[lguest]", "verdict: passed", "rule: DLV-2 Text. [D:570]", ""]
    lines = result.output.splitlines()
    assert lines[:4] == head
    assert all(len(line) <= columns for line in lines)
    return lines[4:]


def test_a_unicast_and_who_got_nothing(tmp_path: Path) -> None:
    lan = repaired()
    sender, owner, _ = lan.open_devices(3)
    sender.transmit(ethernet(owner.address, sender.address, size=100))
    lan.settle()
    assert diagram(lan, tmp_path) == [
        "    guest1                guest2                guest3",
        "       │                     │                     │",
        "1→2    ├─ unicast, 100 B ───▶│ Host → buffer 0, interrupt",
        "       │                     │                     │",
    ]


def test_a_broadcast_to_both_sides(tmp_path: Path) -> None:
    lan = repaired()
    _, sender, _ = lan.open_devices(3)
    sender.transmit(ethernet(BROADCAST, sender.address))
    lan.settle()
    assert diagram(lan, tmp_path) == [
        "    guest1                guest2                guest3",
        "       │                     │                     │",
        "1→2    │◀── broadcast, 60 B ─┤                     │",
        "       │ Host → buffer 0, interrupt                │",
        " →3    │                     ├────────────────────▶│ Host → buffer 0, interrupt",
        "       │                     │                     │",
    ]


def test_a_megapacket_is_broken_off(tmp_path: Path) -> None:
    lan = repaired()
    sender, owner = lan.open_devices(2)
    layout = fragmented(1000, 100, 19)
    frame = ethernet(owner.address, sender.address, size=1000)
    sender.transmit(frame, layout.linear, 0, layout.fragments)
    lan.settle()
    arrived = 100 + sum(size for size, _ in layout.fragments[:15])
    assert diagram(lan, tmp_path) == [
        "    guest1                        guest2",
        "       │                             │",
        f"1→2    ├─ unicast, 1000 B ───────//╌▶│ cut: {arrived} of 1000 bytes arrived",
        "       │                             │ Host → buffer 0, interrupt",
        "       │ Megapacket: 16 of 20 sections sent",
        "       │                             │",
    ]


def test_a_runt_ends_in_a_cross(tmp_path: Path) -> None:
    lan = repaired()
    sender, owner = lan.open_devices(2)
    sender.transmit(ethernet(owner.address, sender.address, size=13))
    lan.settle()
    assert diagram(lan, tmp_path)[2:4] == [
        "1→2    ├─ runt, 13 B ───────────────✗│ runt: 13 bytes, dropped by the receiver",
        "       │                             │ Host → buffer 0, interrupt",
    ]


def test_a_refused_frame_does_not_leave(tmp_path: Path) -> None:
    lan = repaired()
    sender, owner = lan.ports(2)
    with pytest.raises(FrameRefused):
        sender.send(ethernet(owner, sender, size=65535), Layout(offset=4095))
    line, *_ = diagram(lan, tmp_path)[2:-1]
    assert line.startswith("1    ├─ unicast, 65535 B ─✗ refused: its linear part takes 17 sections")


def test_a_frame_that_found_no_buffer_ends_in_a_cross(tmp_path: Path) -> None:
    lan = repaired()
    sender, owner = lan.open_devices(2)
    for stamp in range(9):
        sender.transmit(ethernet(owner.address, sender.address, stamp=stamp))
    lines = diagram(lan, tmp_path)
    assert lines[-2] == "9    ├─ unicast, 60 B ────────────✗│ no free buffer"
    assert lines[-4] == "8    ├─ unicast, 60 B ─╌ reaches no port"


def test_a_real_lans_frames(tmp_path: Path) -> None:
    """Without the Host's comments: flooded, cut silently, from nowhere, to its own sender."""
    ports = [(name, bytes(6)) for name in ("left", "right")]
    long = ethernet(b"\x02" * 6, b"\x04" * 6, size=1600)
    stray = ethernet(b"\x06" * 6, b"\x08" * 6, size=60)
    records = [
        Record(1, "left", "sent", long, 1600),
        Record(2, "right", "received", long[:1518], 1600, (FILTERED,)),
        Record(3, "left", "received", long[:1518], 1600),
        Record(4, "right", "received", stray, 60),
    ]
    result = shown(written(tmp_path / "a.pcapng", ports, records))
    assert result.output.splitlines()[4:] == [
        "    left                          right",
        "      │                             │",
        "1→2   ├─ unicast, 1600 B ──────────▷│ not for this host",
        " →3   ├──╮                          │",
        "      │◀─╯ cut: 1518 of 1600 bytes arrived",
        "      │                             │",
        "      │  no port sent this frame, 60 B",
        "  4   │ ───────────────────────────▶│",
        "      │                             │",
    ]


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_682_peers_fit_any_terminal(tmp_path: Path, columns: int) -> None:
    lan = repaired()
    devices = lan.open_devices(682)
    devices[600].transmit(ethernet(BROADCAST, devices[600].address))
    lan.settle()
    path = written(tmp_path / "a.pcapng", lan.interfaces(), lan.records())
    lines = shown(path, columns=columns).output.splitlines()
    assert all(len(line) <= max(columns, 40) for line in lines)
    text = "\n".join(lines)
    for name in ("guest1", "guest8", "guest601"):  # the sender stands there, though far off
        assert name in text
    assert "reaches 673 more ports" in text
    assert lines[-1] == "673 ports of the capture are not drawn"
    assert sum("◀" in line for line in lines) == 8


def test_a_receiver_has_the_frame_that_it_equals(tmp_path: Path) -> None:
    lan = repaired()
    sender, _, _ = lan.open_devices(3)
    sender.transmit(BROADCAST + sender.address[:4])  # how the next frame begins, too
    sender.transmit(ethernet(BROADCAST, sender.address))
    lan.settle()
    lines = diagram(lan, tmp_path)
    assert lines[2].startswith("1→3    ├─ runt, 10 B ───────✗│")
    assert any(line.startswith("2→4    ├─ broadcast, 60 B ──▶│") for line in lines)


def test_ascii_where_the_terminal_has_nothing_else(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.pcapng",
        [("ä", bytes(6)), ("b", bytes(6))],
        [Record(1, "ä", "sent", bytes(60), 60), Record(2, "b", "received", bytes(60), 60)],
    )
    expected = [
        "     {}                             b",
        "     |                             |",
        "1>2  +- unicast, 60 B ------------>|",
        "     |                             |",
    ]
    for arguments, charset, name in (
        (["--ascii"], "utf-8", "ä"),
        ([], "latin-1", "ä"),
    ):
        result = shown(path, *arguments, charset=charset)
        assert [*result.output.splitlines()[4:]] == [line.format(name) for line in expected]
    assert "\\xe4" in shown(path, charset="ascii").output


def test_which_terminals_can_draw() -> None:
    assert can_draw("utf-8", "xterm-256color")
    assert not can_draw("utf-8", "dumb")
    assert not can_draw("ascii", "xterm")
    assert not can_draw(None, "xterm")
    assert not can_draw("no-such-encoding", "xterm")


def test_colour_only_on_a_terminal(tmp_path: Path) -> None:
    lan = repaired()
    lan.open_devices(2)[0].transmit(bytes(60))
    path = written(tmp_path / "a.pcapng", lan.interfaces(), lan.records())
    assert "\x1b" not in shown(path).output
    assert "\x1b[" in CliRunner().invoke(main, ["show", str(path)], color=True).output


def test_no_name_or_comment_steers_the_terminal(tmp_path: Path) -> None:
    evil = "\x1b[2J\rx\n"
    records = [Record(1, evil, "sent", bytes(60), 60, (evil,))]
    path = written(tmp_path / "a.pcapng", [(evil, bytes(6))], records, [f"test: {evil}", evil])
    output = shown(path).output
    assert output.isprintable() or all(line.isprintable() for line in output.splitlines())
    assert "\\x1b[2J" in output


def test_nothing_sent_says_so(tmp_path: Path) -> None:
    path = written(tmp_path / "a.pcapng", [("a", bytes(6))], [])
    assert shown(path).output.splitlines()[-1] == "no frames"


def many(tmp_path: Path) -> Path:
    """A capture of two tests, 50 and 1 frames, whose ports have different names."""
    first = written(
        tmp_path / "1",
        [("a", bytes(6))],
        [Record(n, "a", "sent", bytes([0] * 59 + [n]), 60) for n in range(50)],
        ["test: t.py::test_one"],
    )
    second = written(
        tmp_path / "2",
        [("b", bytes(6)), ("c", bytes(6))],
        [Record(1, "c", "sent", bytes(60), 60)],
        ["test: t.py::test_two"],
    )
    path = tmp_path / "many.pcapng"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    return path


def test_tests_of_one_capture_are_chosen_by_name(tmp_path: Path) -> None:
    path = many(tmp_path)
    both = shown(path).output
    assert "test_one" in both
    assert "test_two" in both
    assert "10 packets of the capture are not drawn" in both
    second = shown(path, "--test", "two").output
    assert "test_one" not in second
    assert "51  │                             ├─ unicast, 60 B ─╌ reaches no port" in second
    later = shown(path, "--from", "45").output.splitlines()
    assert [line[:2] for line in later if "reaches no port" in line] == [
        "45",
        "46",
        "47",
        "48",
        "49",
        "50",
        "51",
    ]


def test_each_section_has_its_own_ports(tmp_path: Path) -> None:
    first, second = sections(many(tmp_path))
    assert (first.comments, first.ports) == (("test: t.py::test_one",), ("a",))
    assert (second.comments, second.ports) == (("test: t.py::test_two",), ("b", "c"))
    assert [packet.port for packet in second.packets] == ["c"]
    assert [packet.number for packet in second.packets] == [51]


def test_a_frame_of_any_length_is_read_whole(tmp_path: Path) -> None:
    frame = bytes(range(256)) * 1000
    path = written(tmp_path / "a", [("a", bytes(6))], [Record(1, "a", "sent", frame, len(frame))])
    assert read(path)[0].frame == frame


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "No such file or directory"),
        (b"", "empty"),
        (b"# a text\n", "not a pcapng file"),
        (b"\xd4\xc3\xb2\xa1" + bytes(20), "not a pcapng file"),
        (b"\x0a\x0d\x0d\x0a" + bytes(30), "not a little-endian pcapng file"),
        (b"\x0a\x0d\x0d\x0a", "truncated or damaged at byte 0"),
    ],
)
def test_what_is_no_capture_is_refused_in_one_line(
    tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    path = tmp_path / "bad.pcapng"
    if content is not None:
        path.write_bytes(content)
    result = shown(path)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == f"{path}: {complaint}\n"


def test_what_is_not_in_it_is_refused_in_one_line(tmp_path: Path) -> None:
    path = many(tmp_path)
    for arguments in (["--test", "three"], ["--from", "52"]):
        result = shown(path, *arguments)
        assert result.exit_code == 2
        assert len(result.output.splitlines()) == 1


def test_a_capture_cut_short_anywhere_or_damaged_is_read_or_refused(tmp_path: Path) -> None:
    whole = many(tmp_path).read_bytes()
    path = tmp_path / "bad.pcapng"
    ends = {at for at in range(len(whole)) if whole[at : at + 4] == b"\x0a\x0d\x0d\x0a"}
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        try:
            packets = read(path)
        except BadCapture:
            continue
        assert len(packets) < 51 or size in ends
        assert capture_ends_at(whole, size)
    seeded = random.Random(1)
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[seeded.randrange(len(whole))] = seeded.randrange(256)
        path.write_bytes(damaged)
        try:
            list(show(path, 80))
        except BadCapture as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017 (either is right)


def test_a_packet_of_no_interface_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "a", [("a", bytes(6))], [Record(1, "a", "sent", bytes(60), 60)])
    content = bytearray(path.read_bytes())
    with path.open("rb") as file:
        at = next(at for at, kind, _ in blocks(path, file) if kind == pcapng.PACKET)
    content[at + 8] = 7
    path.write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", "show", str(path)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{path}: packet 1 is of no interface\n"


def capture_ends_at(whole: bytes, size: int) -> bool:
    """Whether a block ends there."""
    at = 0
    while at < size:
        at += int.from_bytes(whole[at + 4 : at + 8], "little")
    return at == size


# What others may have written


def test_a_test_whose_ports_are_not_in_the_capture_shows_the_others(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a",
        [("a", bytes(6))],
        [Record(1, "a", "sent", bytes(60), 60)],
        [*ABOUT, "ports: x, y"],
    )
    result = shown(path)
    assert result.exit_code == 0
    assert "reaches no port" in result.output


def test_a_section_without_packets_of_its_ports_is_no_traceback(tmp_path: Path) -> None:
    path = written(tmp_path / "a", [("a", bytes(6)), ("b", bytes(6))], [
        Record(1, "b", "received", bytes(60), 60),
    ], [*ABOUT, "ports: a"])  # fmt: skip
    result = shown(path)
    assert result.exit_code == 0, result.output
    assert "1 packet is not drawn" in result.output


def storm(path: Path, count: int, alike: bool) -> Path:
    """A capture of so many frames, each sent by one port and received by another."""
    frames = [bytes(6) + n.to_bytes(4, "big") * 14 for n in range(1 if alike else count)]
    rules = ("DLV-2", "passed")
    records = (
        record
        for n in range(count)
        for record in (
            Record(n, "a", "sent", frames[n % len(frames)], 62, rules),
            Record(n, "b", "received", frames[n % len(frames)], 62, rules),
        )
    )
    path.write_bytes(pcapng.encode([("a", bytes(6)), ("b", bytes(6))], records, ABOUT))
    return path


@pytest.mark.parametrize("alike", [True, False], ids=["alike", "different"])
def test_time_is_linear_in_packets(tmp_path: Path, alike: bool) -> None:
    took = []
    for count in (5_000, 40_000):
        path = storm(tmp_path / str(count), count, alike)
        best = []
        for _ in range(3):
            start = time.process_time()
            last = list(show(path, 80))[-1]
            best.append(time.process_time() - start)
        took.append(min(best))
        assert click.unstyle(last) == f"{2 * count - 80} packets of the capture are not drawn"
    assert took[1] < took[0] * 16  # eight times as many; quadratic would be 64


def test_memory_does_not_grow_with_packets(tmp_path: Path) -> None:
    peaks = []
    for count in (10_000, 60_000):
        path = storm(tmp_path / str(count), count, alike=False)
        tracemalloc.start()
        list(show(path, 80))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5


def test_what_is_no_regular_file_or_too_large_is_refused_at_once(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as file:
        file.truncate(20 * 1024**3)
    for path, complaint in (
        (fifo, "not a regular file"),
        (tmp_path, "Is a directory"),
        (Path("/dev/zero"), "not a regular file"),
        (sparse, "21,474,836,480 bytes, more than the 1,073,741,824 allowed (see --largest)"),
        (tmp_path / ("x" * 300), "File name too long"),
    ):
        result = shown(path)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == f"{path}: {complaint}\n"


def test_options_that_are_damaged_are_named_before_anything_is_shown(tmp_path: Path) -> None:
    path = written(tmp_path / "a", [("a", bytes(6))], [Record(1, "a", "sent", bytes(60), 60)])
    content = path.read_bytes()
    at = content.index(b"passed", content.index(bytes(60)))
    path.write_bytes(content[: at - 2] + b"\xff\xff" + content[at:])
    result = shown(path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "damaged options in the block at byte" in result.stderr
