"""Captures of other programs: every format, and what is wrong with a file in one line."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from scapy.utils import RawPcapReader

from harness.cli.main import main
from harness.evidence import foreign
from harness.evidence.reader import BadCapture
from harness.frames import BROADCAST, ethernet
from tests.clone import ROOT

CAPTURES = sorted((ROOT / "fixtures" / "captures").glob("*.pcap*"))
FRAMES = [
    ethernet(BROADCAST, b"\x02" * 6),
    ethernet(b"\x02" * 6, b"\x04" * 6, size=61),
    ethernet(b"\x04" * 6, b"\x02" * 6, size=1514),
]
NOW_NS = 1_790_000_000_123_456_789


def pcap(
    frames: list[bytes], order: str = "<", magic: int = 0xA1B2C3D4, *, link: int = 1, snap: int = 0
) -> bytes:
    unit = 1 if magic == 0xA1B23C4D else 1000
    content = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snap or 262_144, link)
    for frame in frames:
        kept = frame[: snap or None]
        rest = NOW_NS % 10**9 // unit
        content += struct.pack(order + "IIII", NOW_NS // 10**9, rest, len(kept), len(frame))
        content += kept
    return content


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order: str, name: str, *, link: int = 1, snap: int = 0, resolution: int = 6) -> bytes:
    options = option(order, 2, name.encode()) + option(order, 9, bytes([resolution]))
    return block(order, 1, struct.pack(order + "HxxI", link, snap) + options + bytes(4))


def packet(order: str, number: int, units: int, frame: bytes) -> bytes:
    head = struct.pack(
        order + "IIIII", number, units >> 32, units & 0xFFFFFFFF, len(frame), len(frame)
    )
    return block(order, 6, head + frame)


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "some.pcap"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_it_reads_what_scapy_reads(path: Path) -> None:
    ours = foreign.read(path)
    assert ours.problems == []
    magic = path.read_bytes()[:4]
    with RawPcapReader(str(path)) as reading:
        theirs: list[Any] = list(reading)
    assert [packet.frame for packet in ours.packets] == [frame for frame, _ in theirs]
    if magic != b"\x0a\x0d\x0d\x0a":
        times = [(packet.time // 10**9, packet.time % 10**9) for packet in ours.packets]
        unit = 1 if magic in (b"\xa1\xb2\x3c\x4d", b"\x4d\x3c\xb2\xa1") else 1000
        assert times == [(about.sec, about.usec * unit) for _, about in theirs]
    else:
        assert [packet.time for packet in ours.packets] == [
            ((about.tshigh << 32) + about.tslow) * 10**9 // about.tsresol for _, about in theirs
        ]
        assert [packet.interface.encode() for packet in ours.packets] == [
            about.ifname for _, about in theirs
        ]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "unit"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
def test_pcap_of_either_order_and_resolution(
    order: str, magic: int, unit: int, tmp_path: Path
) -> None:
    contents = foreign.read(written(tmp_path, pcap(FRAMES, order, magic)))
    assert [packet.frame for packet in contents.packets] == FRAMES
    assert {packet.time for packet in contents.packets} == {NOW_NS // unit * unit}
    assert contents.problems == []


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_with_several_sections_and_interfaces(order: str, tmp_path: Path) -> None:
    """Interfaces are counted anew in each section; times have each interface's resolution."""
    simple = block(order, 3, struct.pack(order + "I", 61) + FRAMES[1])
    old = block(order, 2, struct.pack(order + "HxxIIII", 0, 0, 7, 60, 60) + FRAMES[0])
    content = (
        section(order)
        + interface(order, "eth0")
        + interface(order, "eth1", resolution=9)
        + packet(order, 0, NOW_NS // 1000, FRAMES[0])
        + packet(order, 1, NOW_NS, FRAMES[1])
        + section("<" if order == ">" else ">")
        + interface("<" if order == ">" else ">", "lo0", resolution=0x80 | 10)
        + packet("<" if order == ">" else ">", 0, 3 << 10, FRAMES[2])
        + section(order)
        + interface(order, "eth0")
        + simple
        + old
        + block(order, 0xBAD, b"unknown blocks are passed over")
    )
    contents = foreign.read(written(tmp_path, content))
    assert contents.problems == []
    assert [(row.number, row.time, row.interface, row.frame) for row in contents.packets] == [
        (1, NOW_NS // 1000 * 1000, "eth0", FRAMES[0]),
        (2, NOW_NS, "eth1", FRAMES[1]),
        (3, 3_000_000_000, "lo0", FRAMES[2]),
        (4, 0, "eth0", FRAMES[1]),
        (5, 7_000, "eth0", FRAMES[0]),
    ]


PCAPNG = (
    section("<")
    + interface("<", "eth0")
    + packet("<", 0, 1, FRAMES[0])
    + packet("<", 0, 2, FRAMES[1])
)


@pytest.mark.parametrize("whole", [pcap(FRAMES[:2]), PCAPNG], ids=["pcap", "pcapng"])
def test_every_truncation_is_noticed(whole: bytes, tmp_path: Path) -> None:
    """Wherever the file ends but for between two packets, which is a whole capture."""
    quiet = []
    for size in range(4, len(whole)):
        contents = foreign.read(written(tmp_path, whole[:size]))
        assert len(contents.packets) < 2
        if not contents.problems:
            quiet.append(size)
        else:
            (problem,) = contents.problems
            assert problem.startswith(("truncated ", "it has no packets"))
    first = 24 + 16 + 60 if whole[:1] != b"\n" else len(whole) - len(packet("<", 0, 2, FRAMES[1]))
    assert quiet == [first]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (pcap([]), "it has no packets"),
        (pcap(FRAMES, link=127), "3 packets, from packet 1 on, are not Ethernet: link type 127"),
        (pcap(FRAMES[:1], link=105), "packet 1 is not Ethernet: link type 105 (IEEE 802.11)"),
        (pcap(FRAMES[:1], link=4711), "packet 1 is not Ethernet: link type 4711 (unknown)"),
        (pcap(FRAMES, snap=96), "packet 3 is cut by the program that captured: packet 3 has 96 of"),
        (pcap(FRAMES)[:-1], "truncated after packet 2"),
        (pcap(FRAMES[:1])[:24] + b"\xff" * 16, "damaged (a packet of 4294967295 bytes) before"),
        (PCAPNG[:-4] + bytes(4), "damaged (a block has two sizes) after packet 1"),
        (section("<") + packet("<", 0, 1, FRAMES[0]), "damaged (a block is too short, or of no"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_is_wrong_is_said_in_one_line(content: bytes, problem: str, tmp_path: Path) -> None:
    contents = foreign.read(written(tmp_path, content))
    assert len(contents.problems) == 1
    assert problem in contents.problems[0]
    command = ["replay", str(contents.path), "--lan", "lguest"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 2
    assert done.output.count("\n") == 1
    assert problem in done.output


@pytest.mark.parametrize("content", [b"", b"GIF89a, or what you like", b"\xd4\xc3\xb2"])
def test_what_is_no_capture_is_refused(content: bytes, tmp_path: Path) -> None:
    path = written(tmp_path, content)
    with pytest.raises(BadCapture, match=str(path)):
        foreign.read(path)
    done = CliRunner().invoke(main, ["replay", str(path), "--lan", "lguest"])
    assert (done.exit_code, done.output.count("\n")) == (2, 1)


def test_show_draws_the_hosts_of_any_capture(tmp_path: Path) -> None:
    path = written(tmp_path, pcap(FRAMES[:2]) + b"half a header")
    done = CliRunner(env={"COLUMNS": "80"}).invoke(main, ["show", str(path)])
    assert done.output.splitlines() == [
        "capture: some.pcap: 2 packets, 2 hosts",
        "problem: truncated after packet 2",
        "",
        "  02:02:02:02:02:02             04:04:04:04:04:04",
        "          │                             │",
        "1         ├─ broadcast, 60 B ──────────▶│",
        "          │                             │",
        "2         │◀──────────── unicast, 61 B ─┤",
        "          │                             │",
    ]
    assert done.exit_code == 0
    done = CliRunner().invoke(main, ["show", "--from", "3", str(path)])
    assert (done.exit_code, done.output) == (2, f"{path}: there is no packet 3 in it\n")


def test_show_says_what_was_cut_and_what_is_too_short(tmp_path: Path) -> None:
    path = written(tmp_path, pcap([FRAMES[2], b"short"], snap=96))
    done = CliRunner(env={"COLUMNS": "80"}).invoke(main, ["show", str(path)])
    assert "the capture has 96 of 1514 bytes" in done.output
    assert "no address" in done.output


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_show_draws_all_our_captures(path: Path) -> None:
    done = CliRunner(env={"COLUMNS": "80"}).invoke(main, ["show", str(path)])
    assert done.exit_code == 0, done.output
    assert max(map(len, done.output.splitlines())) <= 80
