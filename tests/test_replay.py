"""`replay`: captures of real programs through every LAN, each frame judged."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from harness import registry, replay
from harness.broken.catalogue import BROKEN
from harness.cli.main import main
from harness.evidence import reader
from harness.exchange import Testbench
from harness.frames import BROADCAST, ethernet
from harness.models import kind_of
from tests.clone import ROOT
from tests.small_run import lines, of, run

CAPTURES = sorted((ROOT / "fixtures" / "captures").glob("*.pcap*"))
ONE, TWO, THREE = (bytes((2, 0, 0, 0, 1, number)) for number in (1, 2, 3))
LANS = [name for name in registry.LANS if name != "lguest-repaired"]


def bench(name: str) -> Testbench:
    entry = registry.entry(name)
    if missing := entry.missing():
        pytest.skip(missing)
    lan = entry.make()
    return Testbench(lan, shared=not entry.simulated)


def capture(tmp_path: Path, *frames: bytes, apart_s: float = 0.0) -> Path:
    packets = [Ether(frame) for frame in frames]
    for number, packet in enumerate(packets):
        packet.time = 1_790_000_000 + number * apart_s
    path = tmp_path / "a.pcap"
    wrpcap(str(path), packets)
    return path


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, arguments)])


def test_at_least_twelve_small_captures() -> None:
    assert len(CAPTURES) >= 12
    assert sum(path.stat().st_size for path in CAPTURES) < 300_000
    described = (ROOT / "fixtures" / "captures" / "README.md").read_text()
    for path in CAPTURES:
        frames = len(replay.load(path).packets)
        assert f"| `{path.name}` | {frames} |" in described


@pytest.mark.parametrize("name", LANS)
def test_every_capture_on_every_lan(name: str) -> None:
    lan = bench(name)
    try:
        for path in CAPTURES:
            done = replay.replay(lan, path)
            assert len(done.verdicts) == len(replay.load(path).packets)
            assert done.rewritten == (kind_of(lan.traits) == "directory")
            assert len(lan.compared) > 0
        lan.finish()
        assert lan.violations == []
    finally:
        lan.lan.close()


def test_hosts_get_ports_and_a_directory_their_addresses(tmp_path: Path) -> None:
    path = capture(tmp_path, ethernet(BROADCAST, TWO), ethernet(TWO, ONE), ethernet(THREE, ONE))
    lan = bench("lguest")
    done = replay.replay(lan, path)
    assert done.hosts == {TWO.hex(":"): "guest1", ONE.hex(":"): "guest2"}
    assert [verdict.expected for verdict in done.verdicts] == [
        ("guest2", "guest3"),
        ("guest1",),
        (),
    ]
    one, two, _ = lan.ports(3)
    assert done.verdicts[1].frame == ethernet(one, two)
    kept = replay.replay(bench("lguest"), path, addresses="capture")
    assert [verdict.expected for verdict in kept.verdicts] == [("guest2", "guest3"), (), ()]
    mapped = replay.replay(bench("lguest"), path, ports={TWO: "3", ONE: "guest1"})
    assert mapped.hosts == {TWO.hex(":"): "guest3", ONE.hex(":"): "guest1"}


def test_hosts_share_ports_if_there_are_more_of_them(tmp_path: Path) -> None:
    hosts = [bytes((2, 0, 0, 0, 2, number)) for number in range(30)]
    path = capture(tmp_path, *(ethernet(BROADCAST, host) for host in hosts))
    lan = Testbench(registry.create("memory-learning"), shared=True)
    done = replay.replay(lan, path)
    assert len(set(done.hosts.values())) == lan.traits.ports < len(done.hosts)


def test_a_lan_that_goes_wrong_is_named_frame_by_frame(tmp_path: Path) -> None:
    path = capture(tmp_path, ethernet(BROADCAST, TWO), ethernet(TWO, ONE))
    with pytest.raises(AssertionError) as caught:
        replay.replay(bench("broken:unicast-twice"), path)
    head, line = str(caught.value).splitlines()
    assert head.startswith("a.pcap on broken:unicast-twice: 1 of 2 frames as expected")
    assert line.startswith("packet 2: guest2 to guest1, 60 B: guest1: duplicate: ")


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("lguest", "1514 bytes arrived: cut, as declared"),
        ("vde", "longer than the 1518 bytes that the LAN takes: cut"),
        ("bridge", "longer than the 1514 bytes that the LAN takes: dropped"),
        ("memory-learning", ""),
    ],
)
def test_longer_frames_than_a_lan_takes(name: str, note: str, tmp_path: Path) -> None:
    path = capture(tmp_path, ethernet(BROADCAST, TWO), ethernet(TWO, ONE, size=9000))
    lan = bench(name)
    try:
        done = replay.replay(lan, path)
        assert done.verdicts[1].note.startswith(note)
        assert bool(done.verdicts[1].note) == bool(note)
    finally:
        lan.lan.close()


def test_a_lan_that_does_not_cut_as_declared_fails(tmp_path: Path) -> None:
    path = capture(tmp_path, ethernet(TWO, ONE), ethernet(ONE, TWO, size=2000))
    cuts = [row.name for row in BROKEN.values() if "1,514" in row.what]
    assert cuts, "no broken LAN cuts where it should not"
    failed = 0
    for name in cuts:
        try:
            replay.replay(bench(f"broken:{name}"), path)
        except AssertionError:
            failed += 1
    assert failed


def test_the_timing_of_the_capture(tmp_path: Path) -> None:
    frames = [ethernet(BROADCAST, ONE, stamp=stamp) for stamp in range(5)]
    path = capture(tmp_path, *frames, apart_s=0.1)
    began = time.monotonic()
    done = replay.replay(bench("lguest"), path, timing=True)
    assert time.monotonic() - began >= done.seconds >= 0.4
    assert replay.replay(bench("lguest"), path).seconds < 0.4


def test_the_command_leaves_what_a_run_of_tests_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [path for path in CAPTURES if path.stem in ("arp", "dhcp")]
    done = invoke(*names, "--lan=lguest", "--lan=memory-learning", "--", "-v")
    assert done.exit_code == 0, done.output
    assert "PASSED packet 1: guest1 to guest2, guest3, 42 B: as expected" in done.output
    assert "02:00:00:00:00:0a is at guest1" in done.output
    assert "4 passed" in done.output
    text = (tmp_path / "reports" / "results.jsonl").read_text()
    tests = [json.loads(line) for line in text.splitlines()][1:-1]
    assert [test["outcome"] for test in tests] == ["passed"] * 4
    assert sorted(len(test["exchanges"]) for test in tests) == [5, 5, 10, 10]
    assert (tmp_path / "reports" / "index.html").exists()
    packets = reader.read(tmp_path / "reports" / tests[0]["capture"]["path"])
    assert any(fate.buffer is not None for packet in packets for fate in packet.fates)
    judged = CliRunner().invoke(main, ["judge", "reports"])
    assert judged.exit_code == 0, judged.output
    assert "4 verdicts re-checked" in judged.output


def test_the_command_is_red_when_a_frame_goes_astray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke(CAPTURES[0], "--lan=broken:unicast-twice")
    assert done.exit_code == 1
    assert "duplicate" in done.output
    judged = CliRunner().invoke(main, ["judge", "reports"])
    assert judged.exit_code == 0, judged.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--map", "02:00=1"], "should be MAC=PORT"),
        (["--map", "02:00:00:00:01:01"], "should be MAC=PORT"),
        (["--lan", "nonesuch"], "unknown LAN 'nonesuch'"),
    ],
)
def test_a_wrong_command_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = capture(tmp_path, ethernet(TWO, ONE))
    done = invoke(path, "--lan", "lguest", *arguments)
    assert done.exit_code == 2
    assert message in done.output
    assert done.output.count("\n") == 1


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({ONE: "guest9"}, "lguest has no port guest9 among its first 3"),
        ({THREE: "1"}, "no frame of the capture is from 02:00:00:00:01:03"),
    ],
)
def test_a_map_that_does_not_fit(mapping: dict[bytes, str], message: str, tmp_path: Path) -> None:
    path = capture(tmp_path, ethernet(TWO, ONE))
    with pytest.raises(replay.BadReplay, match=message):
        replay.replay(bench("lguest"), path, ports=mapping)


def test_what_can_be_read_is_replayed_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = capture(tmp_path, ethernet(TWO, ONE), ethernet(ONE, TWO))
    path.write_bytes(path.read_bytes()[:-3])
    done = invoke(path, "--lan=lguest", "--partial")
    assert done.exit_code == 0
    assert f"{path}: truncated after packet 1" in done.output
    assert "1 of 1 frames as expected" in done.output


SUITE = """
import pytest

def test_replayed(lan, replay):
    done = replay(lan, {path!r})
    assert len(done.verdicts) == 10 and not done.failed
"""


def test_the_fixture(tmp_path: Path) -> None:
    path = str(ROOT / "fixtures" / "captures" / "arp.pcap")
    run(tmp_path, "--lan=lguest", "--lan=broken:unicast-twice", suite=SUITE.format(path=path))
    saved = lines(tmp_path / "reports")
    assert of(saved, "test_replayed[lguest]")["outcome"] == "passed"
    bad = of(saved, "test_replayed[broken:unicast-twice]")
    assert bad["outcome"] == "failed"
    assert "duplicate" in bad["reason"]
