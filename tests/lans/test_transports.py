"""``stream:``, ``dgram:`` and ``vde:`` with real programs at the other end."""

from __future__ import annotations

import functools
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from _pytest.pytester import Pytester
from click.testing import CliRunner

from harness import registry
from harness.cli.main import main
from harness.frames import BROADCAST, ethernet
from harness.lan import FrameRefused, Inconclusive, Lan, LanError, Unsupported
from harness.lans import dgram, qemu
from harness.lans.wire.process import Process
from harness.lans.wire.stream import connected_to
from harness.plugin import shared
from tests.lans.users import SUITE, unicast

PORTS = (1, 2, 3)


def free_ports(kind: socket.SocketKind, count: int) -> list[int]:
    """Ports that nobody uses now."""
    made = [socket.socket(socket.AF_INET, kind) for _ in range(count)]
    try:
        for one in made:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in made]
    finally:
        for one in made:
            one.close()


@contextmanager
def qemu_hub(*netdevs: str) -> Iterator[Process]:
    """QEMU with a hub, and these netdevs plugged into it."""
    if reason := qemu.missing():
        pytest.skip(reason)
    words = [qemu.PROGRAM, "-M", "none", "-nodefaults", "-nographic", "-monitor", "none"]
    for number, netdev in enumerate(netdevs, 1):
        words += ["-netdev", f"{netdev},id=n{number}"]
        words += ["-netdev", f"hubport,id=h{number},hubid=0,netdev=n{number}"]
    program = Process(words)
    try:
        yield program
    finally:
        program.close()


@contextmanager
def made(spec: str) -> Iterator[Lan]:
    lan = registry.create(spec)
    try:
        yield lan
    finally:
        lan.close()


def carries(lan: Lan) -> None:
    """A frame reaches all other ports, also after one has left and come back."""
    sender, owner, other = lan.ports(3)
    frame = ethernet(owner, sender)
    assert unicast(lan) == [[], [frame], [frame]]
    other.close()
    assert unicast(lan) == [[], [frame], []]
    other.open()
    assert unicast(lan) == [[], [frame], [frame]]
    sent = [ethernet(owner, sender, size=1514, stamp=n) for n in range(lan.traits.burst)]
    for frame in sent:
        sender.send(frame)
    lan.settle()
    assert [arrival.frame for arrival in owner.arrivals()] == sent
    with pytest.raises(Unsupported, match="has 3 ports"):
        lan.ports(4)


# Datagrams


@pytest.fixture
def unix(folder: Path) -> tuple[list[str], str]:
    """Netdevs of QEMU, and the LAN that they are."""
    netdevs, pairs = [], []
    for n in PORTS:
        local, remote = f"local.type=unix,local.path={folder}/q{n}", f"{folder}/l{n}"
        netdevs.append(f"dgram,{local},remote.type=unix,remote.path={remote}")
        pairs.append(f"{folder}/l{n},{folder}/q{n}")
    return netdevs, f"dgram:{';'.join(pairs)}"


@pytest.fixture
def udp() -> tuple[list[str], str]:
    ports = free_ports(socket.SOCK_DGRAM, 6)
    netdevs, pairs = [], []
    for theirs, ours in zip(ports[:3], ports[3:], strict=True):
        local = f"local.type=inet,local.host=127.0.0.1,local.port={theirs}"
        remote = f"remote.type=inet,remote.host=127.0.0.1,remote.port={ours}"
        netdevs.append(f"dgram,{local},{remote}")
        pairs.append(f"127.0.0.1:{ours},127.0.0.1:{theirs}")
    return netdevs, f"dgram:{';'.join(pairs)}"


@pytest.mark.parametrize("kind", ["unix", "udp"])
def test_datagrams_cross_qemus_hub(kind: str, request: pytest.FixtureRequest, folder: Path) -> None:
    netdevs, spec = request.getfixturevalue(kind)
    with qemu_hub(*netdevs):
        with made(spec) as lan:
            carries(lan)
        assert not list(folder.glob("l[0-9]"))


def test_datagrams_as_a_user_runs_them(unix: tuple[list[str], str], pytester: Pytester) -> None:
    netdevs, spec = unix
    pytester.makepyfile(test_suite=SUITE)
    with qemu_hub(*netdevs):
        result = pytester.runpytest_subprocess("--lan", spec)
    assert result.parseoutcomes() == {"passed": 1}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "'' is not LOCAL,REMOTE"),
        ("a,b", "needs two ports at least"),
        ("a,b;c", "'c' is not LOCAL,REMOTE"),
        ("a,b;c,d,e", "'c,d,e' is not LOCAL,REMOTE"),
        ("a,b;a,d", "a is used twice"),
        ("a,b;c,127.0.0.1:9", "c,127.0.0.1:9: one is a Unix socket, the other is not"),
        ("a,b;127.0.0.1:0,127.0.0.1:9", "127.0.0.1:0: the port is 0, and should be 1 to 65535"),
        ("a,b;" + "c" * 108 + ",d", "the path of a Unix socket has 107 bytes at most"),
    ],
)
def test_addresses_that_cannot_be_are_one_line(text: str, line: str) -> None:
    with pytest.raises(LanError) as error:
        registry.entry(f"dgram:{text}")
    assert str(error.value).startswith("dgram:LOCAL,REMOTE")
    assert line in str(error.value)


class Peers:
    """The LAN's ends of two pairs of Unix datagram sockets, without a program behind them."""

    def __init__(self, folder: Path) -> None:
        self.ends = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
        for number, end in enumerate(self.ends, 1):
            end.bind(str(folder / f"q{number}"))
        pairs = [f"{folder}/l{number},{folder}/q{number},hello=VFKT" for number in (1, 2)]
        self.pairs = dgram.parsed(";".join(pairs))

    def close(self) -> None:
        for end in self.ends:
            end.close()


@pytest.fixture
def peers(folder: Path) -> Iterator[Peers]:
    both = Peers(folder)
    try:
        yield both
    finally:
        both.close()


def test_a_port_says_hello_first_and_again_when_it_comes_back(peers: Peers) -> None:
    port = dgram.DatagramSocket("port1", peers.pairs[0])
    try:
        port.send(b"frame")
        assert [peers.ends[0].recv(99) for _ in range(2)] == [b"VFKT", b"frame"]
        port.unplug()
        port.plug()
        assert peers.ends[0].recv(99) == b"VFKT"
    finally:
        port.close()


def test_a_datagram_of_any_size_arrives_whole_and_an_empty_one_is_refused(peers: Peers) -> None:
    port = dgram.DatagramSocket("port1", peers.pairs[0])
    try:
        whole = bytes(range(256)) * 800
        peers.ends[0].sendto(whole, peers.pairs[0].local.path)
        received = port.receive()
        assert received is not None
        assert received.frame == whole
        assert port.receive() is None
        with pytest.raises(FrameRefused, match="port1: an empty datagram"):
            port.send(b"")
    finally:
        port.close()


def test_a_peer_that_is_gone_is_named(peers: Peers) -> None:
    port = dgram.DatagramSocket("port1", peers.pairs[0])
    try:
        peers.ends[0].close()
        where = peers.pairs[0].remote.path
        with pytest.raises(Inconclusive, match=f"port1: the LAN at {where} is gone: Connection"):
            port.send(b"frame")
    finally:
        port.close()


def test_an_address_in_use_is_one_line_and_a_stale_one_is_replaced(peers: Peers) -> None:
    first = dgram.DatagramSocket("port1", peers.pairs[0])
    where = peers.pairs[0].local
    try:
        with pytest.raises(LanError, match=f"{where.path}: Address already in use"):
            dgram.DatagramSocket("port1", peers.pairs[0])
    finally:
        first.close()
    stale = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    stale.bind(where.path)
    stale.close()
    dgram.DatagramSocket("port1", peers.pairs[0]).close()


def test_datagrams_that_udp_loses_are_counted() -> None:
    ours, theirs = free_ports(socket.SOCK_DGRAM, 2)
    pair = dgram.parsed(f"127.0.0.1:{ours},127.0.0.1:{theirs};127.0.0.1:1,127.0.0.1:2")[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", theirs))
        peer.connect(("127.0.0.1", ours))
        port = dgram.DatagramSocket("port1", pair)
        try:
            for _ in range(20_000):
                peer.send(bytes(1000))
            arrived = 0
            while port.receive() is not None:
                arrived += 1
            assert arrived > 1000, "the buffer is enlarged"
            assert arrived + port.lost() == 20_000
            assert port.lost() == 0
        finally:
            port.close()


# Streams


def test_streams_over_tcp_are_accepted_from_qemu() -> None:
    ports = free_ports(socket.SOCK_STREAM, 3)
    netdevs = [f"socket,connect=127.0.0.1:{port}" for port in ports]
    spec = f"stream:listen={','.join(f'127.0.0.1:{port}' for port in ports)}"
    row = registry.entry(spec)
    # QEMU connects when it starts: the LAN must listen before, so it is made first.
    lan = row.make()
    try:
        with qemu_hub(*netdevs):
            sender, owner, _ = lan.ports(3)
            frame = ethernet(owner, sender)
            assert unicast(lan) == [[], [frame], [frame]]
            with pytest.raises(Unsupported, match="has 3 ports"):
                lan.ports(4)
    finally:
        lan.close()


def test_streams_over_tcp_are_connected_to_qemu() -> None:
    ports = free_ports(socket.SOCK_STREAM, 3)
    netdevs = [f"socket,listen=127.0.0.1:{port}" for port in ports]
    spec = f"stream:{','.join(f'127.0.0.1:{port}' for port in ports)}"
    with qemu_hub(*netdevs) as program:
        for port in ports:
            # A netdev that listens takes one connection at a time: look, do not connect.
            program.wait_for(functools.partial(_listens, port))
        with made(spec) as lan:
            sender, owner, _ = lan.ports(3)
            frame = ethernet(owner, sender)
            assert unicast(lan) == [[], [frame], [frame]]


def _listens(port: int) -> None:
    table = Path("/proc/net/tcp").read_text().splitlines()
    if not any(f":{port:04X} " in line and " 0A " in line for line in table):
        raise ConnectionRefusedError(111, "nobody listens")


def test_streams_on_unix_sockets_are_accepted(folder: Path) -> None:
    paths = [folder / f"s{n}" for n in PORTS]
    lan = registry.create(f"stream:listen={','.join(map(str, paths))}")
    try:
        netdevs = [f"stream,server=off,addr.type=unix,addr.path={path}" for path in paths]
        with qemu_hub(*netdevs):
            sender, owner, _ = lan.ports(3)
            frame = ethernet(owner, sender)
            assert unicast(lan) == [[], [frame], [frame]]
    finally:
        lan.close()
    assert not list(folder.glob("s*"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("listen=", "stream:listen= needs an address"),
        ("127.0.0.1:70000", "127.0.0.1:70000: the port is 70000, and should be 1 to 65535"),
        ("a,,b", "'' is not the path of a Unix socket, and not HOST:PORT"),
    ],
)
def test_a_stream_that_cannot_be_is_one_line(text: str, line: str) -> None:
    with pytest.raises(LanError) as error:
        registry.entry(f"stream:{text}")
    assert line in str(error.value)


def test_a_stream_that_nobody_connects_to_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.lans.unix_stream.CONNECT_S", 0.2)
    with made(f"stream:listen={folder}/s") as lan:
        with pytest.raises(LanError, match=r"port1: nobody has connected within 0\.2 s"):
            lan.ports(2)
        with pytest.raises(LanError, match=f"{folder}/s: Address already in use"):
            registry.create(f"stream:listen={folder}/s")


# Switches that run already

SWITCHES = {
    "vde_switch": (["vde_switch", "-s", "ctl"], "ctl"),
    "vde_switch -x": (["vde_switch", "-x", "-s", "ctl"], "ctl"),
    "uml_switch": (["uml_switch", "-unix", "socket"], "socket"),
    "uml_switch -hub": (["uml_switch", "-hub", "-unix", "socket"], "socket"),
}


@pytest.mark.parametrize("kind", SWITCHES)
def test_a_running_switch_carries_frames(kind: str, folder: Path) -> None:
    words, where = SWITCHES[kind]
    if shutil.which(words[0]) is None:
        pytest.skip(
            f"no {words[0]}: apt-get install {'vde2' if 'vde' in kind else 'uml-utilities'}"
        )
    console, ours = os.pipe()
    program = Process(words, stdin=console)
    try:
        path = program.directory / where
        control = path / "ctl" if where == "ctl" else path
        program.wait_for(lambda: connected_to(str(control)).close())
        with made(f"vde:{path}") as lan:
            sender, owner, other = lan.ports(3)
            frame = ethernet(owner, sender)
            assert unicast(lan) == [[], [frame], [frame]], "the owner is not known yet"
            owner.send(ethernet(BROADCAST, owner))
            lan.settle()
            [port.arrivals() for port in (sender, owner, other)]
            seen = [] if kind in ("vde_switch", "uml_switch") else [frame]
            assert unicast(lan) == [[], [frame], seen]
            other.close()
            other.open()
            assert unicast(lan)[:2] == [[], [frame]], "a vde_switch may forget now"
        assert len(list(folder.iterdir())) == 1, "the switch's own directory"
    finally:
        program.close()
        os.close(ours)
        os.close(console)


@pytest.mark.parametrize("form", ["stream:a", "dgram:a,b;c,d", "vde:/"])
def test_a_kind_is_declared_with_the_address(form: str) -> None:
    registry.entry(f"{form};kind=learning")
    with pytest.raises(LanError, match=r"kind=moon: choose from repeater, learning, directory"):
        registry.entry(f"{form};kind=moon;patience=3")
    with pytest.raises(LanError, match=r"patience=long: should be seconds, up to 600"):
        registry.entry(f"{form};patience=long")


def test_a_switch_that_is_not_there_is_one_line(folder: Path) -> None:
    with pytest.raises(LanError, match=r"vde:DIR needs the directory of a vde_switch"):
        registry.entry("vde:")
    with pytest.raises(LanError, match=f"vde:{folder}/no: there is no such directory"):
        registry.entry(f"vde:{folder}/no")
    (folder / "dead").mkdir()
    with pytest.raises(LanError, match=f"vde:{folder}/dead: .*/ctl: No such file"):
        registry.create(f"vde:{folder}/dead")


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("stream:{0}/none", "none cannot run here: {0}/none: there is no such socket"),
        ("stream:{0}/plain", "plain cannot run here: {0}/plain: it is no socket"),
        ("stream:listen={0}/taken", "cannot run here: {0}/taken: Address already in use"),
        ("stream:listen=127.0.0.1:{1}", "cannot run here: 127.0.0.1:{1}: Address already in use"),
        ("dgram:{0}/a,{0}/b;{0}/taken,{0}/c", "cannot run here: {0}/taken: Address already in use"),
        ("vde:{0}/plain", "plain cannot run here: {0}/plain: Connection refused"),
        ("vde:{0}", "cannot run here: {0}/ctl: No such file or directory"),
        ("dgram:{0}/a", "dgram:LOCAL,REMOTE[;LOCAL,REMOTE...]: '{0}/a' is not LOCAL,REMOTE"),
        ("{0}/bad.toml", "{0}/bad.toml: ports.frm: unknown key; did you mean form?"),
        ("{0}/none.toml", "{0}/none.toml: No such file or directory"),
        ("{0}/there.toml", "there cannot run here: {0}/none: there is no such socket"),
        ("interfaces:a/b/x,y", "interfaces:[NETNS/]IF,[NETNS/]IF,...: "),
        ("interfaces:no-such-if0,no-such-if1", "interface no-such-if0: there is no such interface"),
        ("interfaces:none/x,none/y", "interface none/x: namespace /run/netns/none: No such file"),
        ("bridgee", "unknown LAN 'bridgee': did you mean bridge?"),
    ],
)
def test_what_is_known_before_a_run_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, spec: str, line: str
) -> None:
    monkeypatch.chdir(folder)
    (folder / "plain").touch()
    (folder / "bad.toml").write_text('[ports]\nfrm = "stream"\n')
    (folder / "there.toml").write_text(f'[ports]\nform = "stream"\nspec = "{folder}/none"\n')
    with socket.socket(socket.AF_UNIX) as unix, socket.socket() as internet:
        unix.bind(f"{folder}/taken")
        unix.listen()
        internet.bind(("127.0.0.1", 0))
        internet.listen()
        words = (folder, internet.getsockname()[1])
        result = CliRunner().invoke(main, ["run", spec.format(*words)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert line.format(*words) in result.stderr
    assert not (folder / "reports").exists()


HUB = """
import select, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
ports = []
while True:
    for ready in select.select([listener, *ports], [], [])[0]:
        if ready is listener:
            ports.append(listener.accept()[0])
        elif data := ready.recv(1 << 20):
            for port in ports:
                if port is not ready:
                    port.sendall(data)
        else:
            ports.remove(ready)
"""


@pytest.mark.parametrize("form", ["stream", "file"])
def test_a_lan_that_is_there_once_is_in_one_worker_and_one_run(
    form: str, folder: Path, pytester: Pytester
) -> None:
    program = Process([sys.executable, "-c", HUB, f"{folder}/hub"])
    try:
        program.wait_for(lambda: connected_to(f"{folder}/hub")).close()
        spec = f"stream:{folder}/hub"
        if form == "file":
            path = folder / "mine.toml"
            ports = f'[ports]\nform = "stream"\nspec = "{folder}/hub"\n[properties]\nports = 3\n'
            path.write_text(f'kind = "repeater"\n{ports}')
            spec = str(path)
        pytester.makepyfile(**{f"test_{name}": SUITE.replace("unicast", name) for name in "abcdef"})
        words = ("--lan", f"mine={spec}", "--lan", "lguest-repaired", "-n", "2", "-v")
        result = pytester.runpytest_subprocess(*words)
        assert result.parseoutcomes() == {"passed": 12}
        ran = [line for line in result.outlines if "PASSED" in line]
        workers = {line.partition("]")[0] for line in ran if "[mine" in line}
        assert len(workers) == 1
        with shared.held([registry.entry(f"first=stream:{folder}/hub")]):
            refused = pytester.runpytest_subprocess(*words)
        assert refused.ret == pytest.ExitCode.USAGE_ERROR
        assert f"mine: another run uses stream:{folder}/hub (process " in refused.stderr.str()
    finally:
        program.close()
