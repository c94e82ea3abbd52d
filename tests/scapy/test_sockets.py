"""Scapy on a LAN: sockets, interfaces, and what Scapy builds on them."""

from __future__ import annotations

import doctest
import importlib
import os
import shutil
import socket as kernel
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scapy.error import Scapy_Exception

import harness.scapy
from harness import registry
from harness.evidence import reader
from harness.exchange import Testbench
from harness.frames import BROADCAST, ethernet
from harness.lan import FateKind, FrameRefused, Lan, LanError
from harness.lans import vde
from harness.lans.wire.namespace import Namespace, why_not
from harness.scapy import LanInterfaces, interfaces, release, socket
from tests.clone import ROOT
from tests.small_run import lines, of, run

scapy: Any = importlib.import_module("scapy.all")  # it has no types of its own
ATMT: Any = scapy.ATMT
LANS = ["lguest", "memory-learning", "memory-directory", "vde", "bridge"]
PROGRAM = Path(__file__).with_name("programs") / "ordinary_user.py"
SOON = 5.0


@pytest.fixture(params=LANS)
def lan(request: pytest.FixtureRequest) -> Iterator[Lan]:
    entry = registry.entry(request.param)
    if missing := entry.missing():
        pytest.skip(missing)
    made = entry.make()
    try:
        yield made
    finally:
        release(made)
        made.close()


@pytest.fixture(autouse=True)
def _scapy_is_left_as_it_was() -> Iterator[None]:
    before = set(scapy.conf.ifaces), list(scapy.conf.route.routes)
    yield
    for provider in list(scapy.conf.ifaces.providers.values()):
        if isinstance(provider, LanInterfaces):
            provider.close()
    assert (set(scapy.conf.ifaces), list(scapy.conf.route.routes)) == before


@pytest.fixture
def lguest() -> Iterator[Lan]:
    made = registry.create("lguest")
    yield made
    release(made)
    made.close()


def started(sniffer: Any) -> Any:
    """A sniffer whose socket is open."""
    begun = threading.Event()
    sniffer.kwargs["started_callback"] = begun.set
    sniffer.start()
    assert begun.wait(SOON)
    return sniffer


def results(sniffer: Any) -> list[bytes]:
    sniffer.join(SOON)
    assert not sniffer.running, "it did not see the frames that it waits for"
    return [bytes(packet) for packet in sniffer.results]


@pytest.mark.parametrize("what", [harness.scapy, interfaces, socket], ids=lambda of: of.__name__)
def test_its_examples_run(what: Any) -> None:
    names = {"create": registry.create, "ethernet": ethernet, **vars(harness.scapy)}
    examples = doctest.DocTestParser().get_doctest(what.__doc__, names, "example", None, None)
    assert examples.examples
    said: list[str] = []
    results_of = doctest.DocTestRunner().run(examples, out=said.append)
    assert results_of.failed == 0, "".join(said)


def arrived_at(reading: Any) -> bytes:
    """The next frame of a socket."""
    (packet,) = reading.sniff(count=1, timeout=SOON)
    return bytes(packet)


def time_of(reading: Any) -> float:
    """The time of a socket's next frame."""
    (packet,) = reading.sniff(count=1, timeout=SOON)
    return float(packet.time)


def python_for_everybody() -> list[str]:
    """How to run Python as uid 65534 without capabilities; skipped where none can be."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0 or setpriv is None:
        pytest.skip("needs root, and setpriv")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    drop = ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
    for python in (sys.executable, shutil.which(version, path="/usr/bin:/usr/local/bin")):
        command = [setpriv, *drop, "--bounding-set=-all", "--"]
        # What setpriv itself starts it still starts with root's rights: hence the shell.
        tried = [*command, "/bin/sh", "-c", f"{python} -c ''"]
        if python and subprocess.run(tried, capture_output=True).returncode == 0:
            return [*command, python, "-B"]
    pytest.skip(f"no {version} that uid 65534 may run")


@pytest.mark.parametrize("name", ["lguest", "vde"])
def test_an_ordinary_user_without_capabilities(name: str) -> None:
    """arping, srp, sr1, sniff, DHCP, each checked by what it answers."""
    if name == "vde" and (missing := vde.missing()):
        pytest.skip(missing)
    places = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    done = subprocess.run(
        [*python_for_everybody(), str(PROGRAM), name],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(places), "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "arping True",
        "srp 1 0 7",
        "sr1 198.51.100.2 0",
        "dhcp 198.51.100.77 [2, 5]",
        "sniff 4",
    ]


def test_every_reader_of_a_port_gets_every_frame(lan: Lan) -> None:
    sender, receiver, *_ = lan.ports(3)
    frames = [ethernet(receiver, sender, stamp=stamp) for stamp in range(40)]
    with interfaces(lan, 3):
        readers = [
            started(scapy.AsyncSniffer(iface=receiver.name, count=len(frames), quiet=True))
            for _ in range(3)
        ]
        with socket(receiver) as one_more:
            scapy.sendp([scapy.Ether(frame) for frame in frames], iface=sender.name, verbose=0)
            assert [results(reader) for reader in readers] == [frames] * 3
            assert [arrived_at(one_more) for _ in frames] == frames


def test_more_frames_than_a_guest_has_buffers(lan: Lan) -> None:
    sender, receiver, *_ = lan.ports(3)
    frames = [ethernet(receiver, sender, stamp=stamp) for stamp in range(300)]
    with socket(sender) as out, socket(receiver) as into:
        for frame in frames:
            assert out.send(frame) == len(frame)
        assert [arrived_at(into) for _ in frames] == frames


def test_a_frame_that_the_port_itself_sends(lan: Lan) -> None:
    """Listening sockets see it, as tcpdump does; the others do not."""
    sender, receiver, *_ = lan.ports(3)
    frame = ethernet(receiver, sender)
    with interfaces(lan, 3), socket(sender) as out, socket(receiver) as into:
        listener = started(scapy.AsyncSniffer(iface=sender.name, count=1))
        out.send(frame)
        assert results(listener) == [frame]
        assert arrived_at(into) == frame
        into.send(ethernet(sender, receiver))
        assert arrived_at(out) == ethernet(sender, receiver)


@pytest.mark.parametrize("name", ["lguest", "memory-directory"])
def test_promiscuous_is_asked_for_and_given_back(name: str) -> None:
    lan = registry.create(name)
    sender, owner, other = lan.ports(3)
    frame = ethernet(owner, sender)
    with interfaces(lan, 3), socket(sender) as out:
        with socket(other, promisc=False) as modest:
            out.send(frame)
            out.send(ethernet(BROADCAST, sender))
            assert arrived_at(modest) == ethernet(BROADCAST, sender)
        with socket(other) as curious:
            out.send(frame)
            assert arrived_at(curious) == frame
        with socket(other, promisc=False) as modest:
            out.send(frame)
            out.send(ethernet(BROADCAST, sender, stamp=2))
            assert arrived_at(modest) == ethernet(BROADCAST, sender, stamp=2)


def test_a_modest_socket_leaves_out_what_its_card_would_filter() -> None:
    lan = registry.create("memory-repeater")
    sender, owner, other = lan.ports(3)
    with socket(sender) as out, socket(other, promisc=False) as modest:
        out.send(ethernet(owner, sender))
        out.send(ethernet(BROADCAST, sender))
        assert arrived_at(modest) == ethernet(BROADCAST, sender)
    with socket(sender) as out, socket(other) as curious:
        out.send(ethernet(owner, sender))
        assert arrived_at(curious) == ethernet(owner, sender)


def test_filters_and_types(lguest: Lan) -> None:
    sender, owner = lguest.ports(2)
    arp = scapy.Ether(dst="ff:ff:ff:ff:ff:ff", src=sender.mac.hex(":")) / scapy.ARP()
    with socket(sender) as out, socket(owner, filter="arp") as filtered:
        with socket(owner, type=0x0806) as typed:
            out.send(ethernet(owner, sender))
            out.send(arp)
            assert arrived_at(filtered) == bytes(arp)
            assert arrived_at(typed) == bytes(arp)
        with pytest.raises(Scapy_Exception, match="Cannot set filter"):
            socket(owner, filter="no such filter")


def test_times_are_those_of_this_computer_or_on_request_the_lans(lguest: Lan) -> None:
    sender, owner = lguest.ports(2)
    frame = scapy.Ether(ethernet(owner, sender))
    before = time.time()
    with socket(sender) as out, socket(owner) as into:
        out.send(frame)
        assert before <= float(frame.sent_time) <= time_of(into) <= time.time()
    with socket(sender, clock="lan") as out, socket(owner, clock="lan") as into:
        out.send(frame)
        sent, received = lguest.records()[-2:]
        assert float(frame.sent_time) == pytest.approx(sent.time / 1e9, abs=1e-6)
        assert time_of(into) == pytest.approx(received.time / 1e9, abs=1e-6)
        assert sent.time < received.time < before * 1e9


def test_addresses_that_a_packet_leaves_open_are_the_ports_own(lan: Lan) -> None:
    sender, owner, *_ = lan.ports(3)
    with interfaces(lan, 3), socket(owner) as into:
        packet = scapy.Ether(dst=owner.mac.hex(":")) / scapy.IP(dst="198.51.100.2") / b"?"
        scapy.sendp(packet, iface=sender.name, verbose=0)
        arrived = into.recv()
        assert arrived is not None
        assert arrived.src == sender.mac.hex(":")
        assert "src" not in packet.fields


class Asker(scapy.Automaton):  # type: ignore[misc]
    """Asks for an address by ARP, and ends with the answer."""

    def parse_args(self, to: str, **kwargs: object) -> None:
        scapy.Automaton.parse_args(self, **kwargs)
        self.to = to

    @ATMT.state(initial=1)  # type: ignore[untyped-decorator]
    def ask(self) -> None:
        self.send(scapy.Ether(dst="ff:ff:ff:ff:ff:ff") / scapy.ARP(pdst=self.to))

    @ATMT.receive_condition(ask)  # type: ignore[untyped-decorator]
    def answered(self, packet: Any) -> None:
        if scapy.ARP in packet and packet[scapy.ARP].op == 2:
            raise self.done(packet[scapy.ARP].hwsrc)

    @ATMT.timeout(ask, SOON)  # type: ignore[untyped-decorator]
    def late(self) -> None:
        raise self.done("nothing")

    @ATMT.state(final=1)  # type: ignore[untyped-decorator]
    def done(self, address: str) -> str:
        return address


def test_an_automaton_and_an_answering_machine(lan: Lan) -> None:
    host, server, *_ = lan.ports(3)
    with interfaces(lan, 3) as joined:
        device = joined.load()[host.name]
        machine = scapy.ARP_am(IP_addr="198.51.100.9", iface=server.name, verbose=False)
        machine.optsniff = {}
        with joined.socket(server) as into:
            answering = started(scapy.AsyncSniffer(opened_socket=into, prn=machine.reply))
            machine.optsend = {"iface": server.name, "verbose": 0}
            asker = Asker(
                to="198.51.100.9", ll=device.l2socket(), recvsock=device.l2socket(), iface=device
            )
            assert asker.run() == server.mac.hex(":")
            answering.stop()


def test_a_bridge_of_scapys_joins_two_lans(lguest: Lan) -> None:
    learning = registry.create("memory-learning")
    here, first = lguest.ports(2)
    second, there = learning.ports(2)
    frame = ethernet(there, here)
    with socket(first) as left, socket(second) as right, socket(there) as end:
        stop = threading.Event()
        bridging = threading.Thread(
            target=scapy.bridge_and_sniff,
            args=(left, right),
            kwargs={"count": 2, "store": False, "started_callback": stop.set},
        )
        bridging.start()
        assert stop.wait(SOON)
        with socket(here) as out:
            out.send(frame)
            assert arrived_at(end) == frame
            end.send(ethernet(here, there))
            assert arrived_at(out) == ethernet(here, there)
        bridging.join(SOON)
        assert not bridging.is_alive()
    release(learning)


@pytest.mark.parametrize("name", ["lguest", "memory-learning"])
def test_a_tap_of_scapys_puts_a_kernel_on_the_lan(name: str) -> None:
    """A kernel asks by ARP through a TAP, and its datagram arrives at another port."""
    if reason := why_not(tap=True):
        pytest.skip(reason)
    lan = registry.create(name)
    edge, peer = lan.ports(2)
    space = Namespace()
    tap = space.run(scapy.TunTapInterface, "tap0", mode_tun=False)
    index = space.index("tap0")
    space.run(space.links.addr, "add", index=index, address="198.51.100.1", prefixlen=24)
    space.link("set", index=index, state="up")
    with socket(edge) as inside, interfaces_of(lan):
        begun = threading.Event()
        bridging = scapy.AsyncSniffer()  # for its stop alone
        machine = scapy.ARP_am(IP_addr="198.51.100.2", iface=peer.name, verbose=False)
        machine.bg()
        heard = started(scapy.AsyncSniffer(iface=peer.name, filter="udp", count=1))
        bridge = threading.Thread(
            target=scapy.bridge_and_sniff,
            args=(tap, inside),
            kwargs={
                "store": False,
                "started_callback": begun.set,
                "stop_filter": lambda packet: scapy.UDP in packet,
            },
        )
        bridge.start()
        assert begun.wait(SOON)
        with space.run(kernel.socket, kernel.AF_INET, kernel.SOCK_DGRAM) as datagrams:
            datagrams.sendto(b"through the TAP", ("198.51.100.2", 9))
            (arrived,) = results(heard)
        bridge.join(SOON)
        machine.sniffer.stop()
        del bridging
    assert scapy.Ether(arrived)[scapy.UDP].load == b"through the TAP"
    tap.close()
    space.close()
    release(lan)


def interfaces_of(lan: Lan) -> Any:
    """What `socket` made when it was called for the first time."""
    return next(row for row in scapy.conf.ifaces.providers.values() if row.name == lan.name)


def test_the_capture_has_what_captures_of_tests_have(tmp_path: Path) -> None:
    lan = registry.create("lguest")
    sender, owner = lan.ports(2)
    path = tmp_path / "deep" / "a.pcapng"
    before = time.time_ns()
    with interfaces(lan, 2, capture=path), socket(sender) as out, socket(owner) as into:
        for stamp in range(20):
            out.send(ethernet(owner, sender, size=2000, stamp=stamp))
            into.recv()
    packets = reader.read(path)
    assert [packet.direction for packet in packets] == ["sent", "received"] * 20
    assert {packet.port for packet in packets} == {"guest1", "guest2"}
    last = packets[-1]
    cut = last.fate(FateKind.TRUNCATED)
    assert cut is not None
    assert (cut.count, cut.of, cut.buffer) == (1514, 2000, 3)
    times = [packet.time for packet in packets]
    assert times == sorted(times)
    assert before < times[0] <= times[-1] <= time.time_ns()
    assert lan.records() == [], "a LAN that is used for long forgets what is written"


def test_two_lans_need_two_names(lguest: Lan) -> None:
    other = registry.create("lguest")
    with interfaces(lguest, 2):
        with pytest.raises(LanError, match="Scapy has an interface guest1 already"):
            interfaces(other, 2)
        with interfaces(other, 2, prefix="second-"):
            sender, owner = other.ports(2)
            with scapy.conf.ifaces["second-guest2"].l2socket()(iface="second-guest2") as into:
                frame = scapy.Ether(ethernet(owner, sender))
                scapy.sendp(frame, iface="second-guest1", verbose=0)
                assert arrived_at(into) == bytes(frame)
    assert not [name for name in scapy.conf.ifaces if "guest" in name]


def test_routes_come_and_go(lguest: Lan) -> None:
    before = list(scapy.conf.route.routes)
    with interfaces(lguest, 2, addresses={"guest1": "198.51.100.1/24"}):
        assert scapy.conf.route.route("198.51.100.7")[:2] == ("guest1", "198.51.100.1")
    assert scapy.conf.route.routes == before
    with pytest.raises(LanError, match="none of its ports"):
        interfaces(lguest, 2, addresses={"guest9": "198.51.100.1/24"})


def test_nobody_answers(lguest: Lan, monkeypatch: pytest.MonkeyPatch) -> None:
    """The question never leaves the LAN, whatever the host's own routes are."""
    monkeypatch.setattr("harness.scapy.sockets.ARP_S", 0.2)
    with (
        interfaces(lguest, 2, addresses={"guest1": "198.51.100.1/24"}) as joined,
        scapy.conf.ifaces["guest1"].l3socket()(iface="guest1") as out,
        joined.socket("guest2") as into,
    ):
        packet = scapy.IP(dst="198.51.100.7") / scapy.ICMP()
        with pytest.raises(Scapy_Exception, match="nobody answers ARP for"):
            out.send(packet)
        asked = into.recv()
        assert asked is not None
        assert asked[scapy.ARP].pdst == "198.51.100.7"


def test_a_refused_frame(lguest: Lan) -> None:
    sender, owner = lguest.ports(2)
    frame = ethernet(owner, sender)
    with socket(sender) as out:
        sender.close()
        with pytest.raises(FrameRefused):
            out.send(frame)


def test_a_reader_sees_the_end_of_a_lan_that_fails() -> None:
    if missing := vde.missing():
        pytest.skip(missing)
    lan = registry.create("vde")
    sender, owner = lan.ports(2)
    with socket(owner) as into, socket(sender) as out:
        sniffer = started(scapy.AsyncSniffer(opened_socket=into))
        lan.close()
        frame = ethernet(owner, sender)
        with pytest.raises(LanError):
            out.send(frame)
        sniffer.join(SOON)
        assert not sniffer.running
    release(lan)


SUITE = """
import pytest
from harness import Testbench, ethernet
from harness.scapy import socket

def test_conversation(lan: Testbench) -> None:
    sender, owner, _ = lan.ports(3)
    with socket(sender) as out, socket(owner, promisc=False) as into:
        for stamp in range(20):
            out.send(ethernet(owner, sender, stamp=stamp))
            assert bytes(into.recv()) == ethernet(owner, sender, stamp=stamp)
        with pytest.raises(ValueError, match="sockets are open"):
            lan.exchange(sender, ethernet(owner, sender))
    assert lan.exchange(sender, ethernet(owner, sender)) == {owner: [ethernet(owner, sender)]}

def test_left_open(lan: Testbench) -> None:
    sender, owner, _ = lan.ports(3)
    out = socket(sender)
    out.send(ethernet(owner, sender))
"""


def test_in_a_test_everything_is_judged_and_captured(tmp_path: Path) -> None:
    broken = "broken:unicast-twice"
    done = run(tmp_path, "--lan=lguest", f"--lan={broken}", suite=SUITE)
    saved = lines(tmp_path / "reports")
    good = of(saved, "test_conversation[lguest]")
    assert good["outcome"] == "passed", done.stdout
    assert good["capture"]["packets"] == 42
    assert of(saved, f"test_conversation[{broken}]")["outcome"] == "failed"
    bad = of(saved, f"test_left_open[{broken}]")
    assert bad["outcome"] == "failed"
    assert "on the wire, WIRE-4" in bad["reason"]
    assert of(saved, "test_left_open[lguest]")["outcome"] == "passed"


def test_a_bench_judges_what_sockets_send() -> None:
    bench = Testbench(registry.create("lguest"))
    sender, owner = bench.ports(2)
    with socket(sender) as out, socket(owner) as into:
        out.send(ethernet(owner, sender))
        assert arrived_at(into) == ethernet(owner, sender)
        guest = owner.device.guest
        guest.host.kill(guest, "by this test")
        out.send(ethernet(owner, sender, stamp=1))
        assert [str(violation.kind) for violation in bench.violations] == ["missing"]
    release(bench)
