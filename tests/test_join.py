"""`join` and `serve`: kernels and sockets at the ports of a LAN."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, fragment
from scapy.layers.l2 import ARP, Ether

from harness.evidence import reader
from harness.lan import FateKind, LanError
from harness.lans.wire.namespace import why_not
from harness.live.commands import parsed_tap
from harness.live.station import station
from tests.clone import ROOT

COMMAND = [sys.executable, "-m", "harness.cli"]
LIMIT_S = 90
HOST, GUEST = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"


@pytest.fixture
def spaces() -> Iterator[tuple[str, str]]:
    """Two named namespaces."""
    if (reason := why_not(tap=True)) or os.geteuid() != 0:
        pytest.skip(reason or "needs root")
    for program in ("ip", "ping"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    names = (f"t{os.getpid()}a", f"t{os.getpid()}b")
    for name in names:
        subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=True)


def run(folder: Path, *arguments: str, code: int = 0) -> tuple[str, list[str]]:
    """What the command that is run prints, and what ours says."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr.splitlines()


def ping(space: str, to: str, *more: str) -> list[str]:
    return ["--", "ip", "netns", "exec", space, "ping", "-c3", "-i0.2", "-W5", *more, to]


@pytest.mark.parametrize("lan", ["lguest", "memory-learning", "vde"])
def test_a_kernel_pings_a_simulated_guest(
    lan: str, spaces: tuple[str, str], tmp_path: Path
) -> None:
    tap = f"{spaces[0]}/tap0=10.9.0.1/24"
    words = ["--answer", "10.9.0.2", "--capture", "ping.pcapng"]
    out, said = run(tmp_path, "join", lan, "--tap", tap, *words, *ping(spaces[0], "10.9.0.2"))
    assert "3 received, 0% packet loss" in out
    assert said[0].startswith(f"{spaces[0]}/tap0 is ")
    packets = reader.read(tmp_path / "ping.pcapng")
    times = [packet.time for packet in packets]
    assert times == sorted(times)
    assert time.time_ns() - 120 * 10**9 < times[0]
    echoes = [packet for packet in packets if packet.frame[12:14] == b"\x08\0"]
    assert [packet.direction for packet in echoes] == ["sent", "received"] * 6
    if lan == "lguest":
        received = [packet for packet in echoes if packet.direction == "received"]
        assert all(packet.fates[0].buffer is not None for packet in received)
        assert any("copied by the Host into buffer" in text for text in received[0].comments)


@pytest.mark.parametrize("lan", ["lguest", "bridge"])
def test_two_kernels_talk_tcp(lan: str, spaces: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "serve.py").write_text(
        "import socket\n"
        "listener = socket.create_server(('10.9.0.2', 5000))\n"
        "made, _ = listener.accept()\n"
        "data = b''\n"
        "while chunk := made.recv(65536): data += chunk\n"
        "print('got', len(data), flush=True)\n"
    )
    (tmp_path / "ask.py").write_text(
        "import socket, time\n"
        "deadline = time.monotonic() + 30\n"
        "while True:\n"
        "    try: made = socket.create_connection(('10.9.0.2', 5000), timeout=30); break\n"
        "    except OSError:\n"
        "        if time.monotonic() > deadline: raise\n"
        "made.sendall(bytes(200_000)); made.close()\n"
    )
    line = (
        f"ip netns exec {spaces[1]} {sys.executable} serve.py &"
        f" ip netns exec {spaces[0]} {sys.executable} ask.py; wait"
    )
    taps = [f"--tap={spaces[0]}/tap0=10.9.0.1/24", f"--tap={spaces[1]}/tap0=10.9.0.2/24"]
    out, _ = run(tmp_path, "join", lan, *taps, "--", "sh", "-c", line)
    assert out.splitlines() == ["got 200000"]


def test_two_kernels_at_the_ends_of_streams_through_the_shared_page(
    spaces: tuple[str, str], tmp_path: Path
) -> None:
    inner = [*COMMAND, "join", "stream:lan.sock", "--netns"]
    red = [*inner, spaces[0], "--tap", "tap0=10.9.0.1/24", "--mac", "02:00:01:00:00:00"]
    blue = [*inner, spaces[1], "--tap", "tap0=10.9.0.2/24", "--mac", "02:00:02:00:00:00"]
    outer = ["serve", "lguest", "--stream", "lan.sock", "--capture", "two.pcapng"]
    out, said = run(tmp_path, *outer, "--", *red, "--", *blue, *ping(spaces[0], "10.9.0.2"))
    assert "3 received, 0% packet loss" in out
    assert "guest1: connected, 02:00:01:00:00:00" in said
    assert "guest2: connected, 02:00:02:00:00:00" in said
    assert any(line.startswith("guest1: disconnected") for line in said)
    packets = reader.read(tmp_path / "two.pcapng")
    assert {packet.port for packet in packets} == {"guest1", "guest2"}
    assert all(
        packet.fates[0].buffer is not None for packet in packets if packet.direction == "received"
    )
    assert not (tmp_path / "lan.sock").exists()


def test_hosts_with_other_addresses(spaces: tuple[str, str], tmp_path: Path) -> None:
    """On lguest they get no unicasts, which is said; promiscuous ports get them."""
    inner = [*COMMAND, "join", "stream:lan.sock", "--netns"]
    red = [*inner, spaces[0], "--tap", "tap0=10.9.0.1/24", "--mac", "02:00:00:00:77:01"]
    blue = [*inner, spaces[1], "--tap", "tap0=10.9.0.2/24", "--mac", "02:00:00:00:77:02"]
    command = ["--", *red, "--", *blue, *ping(spaces[0], "10.9.0.2")]
    outer = ["serve", "lguest", "--stream", "lan.sock"]
    out, said = run(tmp_path, *outer, *command, code=1)
    assert "100% packet loss" in out
    assert any("so it gets no unicasts" in line for line in said)
    out, said = run(tmp_path, *outer, "--promiscuous", *command)
    assert "0% packet loss" in out
    assert not any("so it gets no unicasts" in line for line in said)


@pytest.mark.parametrize(
    ("faults", "word"), [("loss=100%", "loss"), ("corrupt=100%,seed=3", "corrupt")]
)
def test_faults_act(faults: str, word: str, spaces: tuple[str, str], tmp_path: Path) -> None:
    tap = f"{spaces[0]}/tap0=10.9.0.1/24"
    words = ["--answer", "10.9.0.2", "--fault", faults, "--capture", "a.pcapng"]
    out, said = run(
        tmp_path, "join", "lguest", "--tap", tap, *words, *ping(spaces[0], "10.9.0.2"), code=1
    )
    assert "100% packet loss" in out
    assert any(f" by {word}" in line for line in said)
    harmed = [
        fate
        for packet in reader.read(tmp_path / "a.pcapng")
        for fate in packet.fates
        if fate.reason.startswith("fault injection: ")
    ]
    assert {fate.kind for fate in harmed} <= {FateKind.REFUSED, FateKind.DROPPED}
    assert len(harmed) >= 3


def test_datagrams(tmp_path: Path) -> None:
    """A frame per datagram, in and out, until SIGTERM."""
    ends = []
    for name in ("one", "two"):
        end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        end.bind(str(tmp_path / name))
        end.settimeout(20)
        ends.append(end)
    pairs = [f"--dgram={tmp_path}/lan-{name},{tmp_path}/{name}" for name in ("one", "two")]
    serving = subprocess.Popen(
        [*COMMAND, "serve", "lguest", *pairs],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert serving.stderr is not None
        lines = [serving.stderr.readline() for _ in range(3)]
        assert lines[2] == "ready: ends with Ctrl-C\n"
        frame = bytes.fromhex("020002000000 020001000000 88b5") + bytes(50)
        ends[0].sendto(frame, str(tmp_path / "lan-one"))
        assert ends[1].recv(2000) == frame
    finally:
        serving.send_signal(signal.SIGTERM)
        rest = serving.communicate(timeout=20)[1]
        for end in ends:
            end.close()
    assert serving.returncode == 0
    assert "guest1: 1 frames sent, 0 received" in rest
    assert not (tmp_path / "lan-one").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["join", "nonesuch", "--tap", "tap0"], "unknown LAN"),
        (["join", "lguest", "--tap", "a/b/tap0"], "should be [NETNS/]NAME[=ADDRESS/PREFIX]"),
        (["join", "lguest", "--tap", "no-such-space/tap0"], "namespace /run/netns/no-such-space"),
        (["join", "lguest", "--tap", "tap0", "--mac", "02:00"], "--mac 02:00: should be"),
        (["join", "lguest", "--tap", "tap0", "--fault", "x=1"], "--fault x=1"),
        (["serve", "lguest", "--dgram", "one"], "is not LOCAL,REMOTE"),
        (["serve", "lguest", "--stream", "/nonexistent/sock"], "/nonexistent/sock"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    out, said = run(tmp_path, *arguments, code=2)
    assert out == ""
    assert len(said) == 1
    assert message in said[0]


def test_a_station_answers_arp() -> None:
    host = station(GUEST, "10.9.0.2")
    asked = Ether(src=HOST.hex(":"), dst="ff:ff:ff:ff:ff:ff") / ARP(
        hwsrc=HOST.hex(":"), psrc="10.9.0.1", pdst="10.9.0.2"
    )
    reply = Ether(host.answer(bytes(asked)) or b"")
    assert reply[ARP].answers(asked[ARP])
    assert (reply.src, reply.dst, reply[ARP].hwsrc) == (
        GUEST.hex(":"),
        HOST.hex(":"),
        GUEST.hex(":"),
    )
    asked[ARP].pdst = "10.9.0.3"
    assert host.answer(bytes(asked)) is None


@pytest.mark.parametrize("size", [0, 1, 56, 1472])
def test_a_station_answers_ping(size: int) -> None:
    host = station(GUEST, "10.9.0.2")
    asked = Ether(src=HOST.hex(":"), dst=GUEST.hex(":")) / IP(src="10.9.0.1", dst="10.9.0.2")
    asked = Ether(bytes(asked / ICMP(id=7, seq=3) / bytes(range(256))[:size]))
    reply = Ether(host.answer(bytes(asked)) or b"")
    assert reply[ICMP].answers(asked[ICMP])
    again = reply.copy()
    del again[ICMP].chksum, again[IP].chksum
    assert bytes(again) == bytes(reply), "its checksums are right"
    asked[IP].dst = "10.9.0.3"
    assert host.answer(bytes(asked)) is None


def test_a_station_answers_a_fragmented_ping() -> None:
    host = station(GUEST, "10.9.0.2")
    packet = IP(src="10.9.0.1", dst="10.9.0.2", id=9) / ICMP(id=7, seq=3) / bytes(3000)
    header = Ether(src=HOST.hex(":"), dst=GUEST.hex(":"))
    parts = fragment(packet, 1480)  # type: ignore[no-untyped-call]
    replies = [host.answer(bytes(header / part)) for part in parts]
    assert None not in replies
    bodies = [bytes(Ether(reply or b"")[IP].payload) for reply in replies]
    whole = IP(bytes(IP(src="10.9.0.2", dst="10.9.0.1", proto=1) / b"".join(bodies)))
    right = whole.copy()
    del right[ICMP].chksum
    assert bytes(right) == bytes(whole)
    assert whole[ICMP].type == 0


def test_taps_in_words() -> None:
    assert parsed_tap("red/tap0=10.0.0.1/24").shown == "red/tap0"
    assert parsed_tap("tap0", "blue").namespace == "blue"
    with pytest.raises(LanError):
        station(GUEST, "10.9.0")
