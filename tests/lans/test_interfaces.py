"""``interfaces:``, with kernels' bridges and wires in namespaces of the test's own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from _pytest.pytester import Pytester
from click.testing import CliRunner

from harness import registry
from harness.cli.main import main
from harness.evidence import results
from harness.frames import BROADCAST, ethernet, real_frames
from harness.lan import Inconclusive, LanError, Unsupported
from harness.lans import interfaces
from harness.lans.wire import offloads, state
from harness.lans.wire.namespace import Namespace, why_not
from harness.plugin import shared
from tests.lans.real import REAL
from tests.lans.users import ROOT, SUITE, unicast


def ip(*words: object) -> None:
    """Run ``ip``."""
    subprocess.run(["ip", *map(str, words)], check=True, capture_output=True)


class Bridge:
    """A bridge in a namespace, and namespaces plugged into it by veth pairs, IPv6 and all."""

    def __init__(self, count: int, tag: str) -> None:
        self.tag = tag
        self.spaces = [f"{tag}-{number}" for number in range(1, count + 1)]
        self.middle = f"{tag}-0"
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _build(self) -> None:
        for space in (self.middle, *self.spaces):
            ip("netns", "add", space)
        ip("-n", self.middle, "link", "add", "name", "lan0", "type", "bridge", "mcast_snooping", 0)
        ip("-n", self.middle, "link", "set", "lan0", "up")
        for number, space in enumerate(self.spaces):
            far = f"p{number}"
            peer = ("peer", "name", "eth0", "netns", space)
            ip("-n", self.middle, "link", "add", "name", far, "type", "veth", *peer)
            ip("-n", self.middle, "link", "set", far, "master", "lan0", "up")
            ip("-n", space, "link", "set", "eth0", "up")

    @property
    def spec(self) -> str:
        """What ``--lan`` takes."""
        return "interfaces:" + ",".join(f"{space}/eth0" for space in self.spaces)

    def close(self) -> None:
        for space in (*self.spaces, self.middle):
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "del", space)


def inside(space: str, interface: str = "eth0") -> list[str]:
    """The offloads of an interface that are on."""
    place = Namespace(f"/run/netns/{space}")
    try:
        return place.run(offloads.enabled, interface)
    finally:
        place.close()


@pytest.fixture
def bridge(request: pytest.FixtureRequest) -> Iterator[Bridge]:
    if reason := why_not():
        pytest.skip(reason)
    made = Bridge(getattr(request, "param", 3), f"lh{os.getpid()}")
    try:
        yield made
    finally:
        made.close()


def test_frames_cross_and_the_interface_is_left_as_it_was(bridge: Bridge) -> None:
    before = [inside(space) for space in bridge.spaces]
    assert all("tx-scatter-gather" in names for names in before)
    lan = registry.create(bridge.spec)
    try:
        sender, owner, other = lan.ports(3)
        assert [port.name for port in lan.ports(3)] == [f"{name}/eth0" for name in bridge.spaces]
        assert [inside(space) for space in bridge.spaces] == [[]] * 3
        assert len(journals(bridge)) == 3
        frame = ethernet(owner, sender)
        assert unicast(lan) == [[], [frame], []]
        for kind in ("vlan", "vlan-in-vlan"):
            tagged = real_frames(owner, sender)[kind]
            sender.send(tagged)
            lan.settle()
            assert [arrival.frame for arrival in owner.arrivals()] == [tagged]
        other.close()
        sender.send(ethernet(BROADCAST, sender))
        lan.settle()
        assert len(owner.arrivals()) == 1
        other.open()
        assert other.arrivals() == []
        assert unicast(lan) == [[], [frame], []]
        with pytest.raises(Unsupported, match="has 3 ports"):
            lan.ports(4)
    finally:
        lan.close()
    assert [inside(space) for space in bridge.spaces] == before
    assert journals(bridge) == []


def journals(bridge: Bridge) -> list[Path]:
    """What is kept to restore interfaces of the bridge's namespaces."""
    inodes = [Path(f"/run/netns/{space}").stat().st_ino for space in bridge.spaces]
    return [path for inode in inodes for path in state.folder().glob(f"{inode}-*.json")]


ANY_SIZE = "testcases/test_delivery.py::test_broadcast_on_a_lan_of_any_size"
"""Needs up to 24 ports."""


@pytest.mark.parametrize("bridge", [8], indirect=True)
def test_a_bridge_gets_the_verdicts_of_the_built_in_bridge(
    bridge: Bridge, pytester: Pytester
) -> None:
    if reason := REAL["bridge"].missing():
        pytest.skip(reason)
    outcomes = []
    for name in (f"mine={bridge.spec}", "bridge"):
        reports = pytester.path / name.partition("=")[0]
        pytester.runpytest_subprocess(
            str(ROOT / "testcases" / "test_delivery.py"),
            *(
                "--deselect",
                ANY_SIZE,
                "--lan",
                name,
                "--reports",
                str(reports),
                "-p",
                "no:cacheprovider",
            ),
        )
        tests = results.read(reports).tests
        outcomes.append({test.id.replace("[mine", "[bridge"): test.outcome for test in tests})
    assert outcomes[0] == outcomes[1]
    assert list(outcomes[0].values()).count("passed") > 40
    assert set(outcomes[0].values()) == {"passed", "unsupported"}


@pytest.mark.parametrize("bridge", [2], indirect=True)
def test_two_interfaces_are_a_lan(bridge: Bridge, pytester: Pytester) -> None:
    suite = SUITE.replace("sender, owner, bystander = lan.ports(3)", "sender, owner = lan.ports(2)")
    pytester.makepyfile(test_suite=suite + SUITE.replace("test_unicast", "test_three"))
    result = pytester.runpytest_subprocess("--lan", bridge.spec)
    assert result.parseoutcomes() == {"passed": 1, "unsupported": 1}


def test_a_namespace_can_be_given_by_a_process(bridge: Bridge) -> None:
    space = bridge.spaces[0]
    with subprocess.Popen(["ip", "netns", "exec", space, "sleep", "60"]) as sleeps:
        spec = bridge.spec.replace(f"{space}/", f"{sleeps.pid}/")
        try:
            # The program joins the namespace a moment after it has started.
            there = f"/proc/{sleeps.pid}/comm"
            while Path(there).read_text() != "sleep\n":
                pass
            lan = registry.create(spec)
            try:
                assert len(unicast(lan)[1]) == 1
            finally:
                lan.close()
        finally:
            sleeps.kill()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "'' is not the name of an interface"),
        ("{0}/eth0", "needs two interfaces at least"),
        ("{0}/eth0,{0}/eth0", "{0}/eth0 is named twice"),
        ("{0}/eth0,/eth0", "'/eth0' is not the name of an interface"),
        ("{0}/eth0,{1}/", "'{1}/' is not the name of an interface"),
        ("{0}/eth0,{1}/eth1", "interface {1}/eth1: there is no such interface"),
        ("{0}/eth0,nowhere/eth0", "interface nowhere/eth0: namespace /run/netns/nowhere: No such"),
        ("{0}/eth0,{1}/lo", "interface {1}/lo is down: ip link set lo up"),
    ],
)
def test_bad_input_is_one_line_before_any_test(bridge: Bridge, text: str, line: str) -> None:
    with pytest.raises(LanError) as error:
        registry.entry("interfaces:" + text.format(*bridge.spaces))
    assert line.format(*bridge.spaces) in str(error.value)
    assert str(error.value).isprintable()


def test_an_interface_with_a_default_route_is_refused(bridge: Bridge) -> None:
    space = bridge.spaces[1]
    ip("-n", space, "addr", "add", "192.0.2.2/24", "dev", "eth0")
    ip("-n", space, "route", "add", "default", "via", "192.0.2.1")
    with pytest.raises(LanError, match=f"interface {space}/eth0 has a default route, so test fr"):
        registry.entry(bridge.spec)
    with pytest.raises(LanError, match="has a default route"):
        registry.entry(bridge.spec, ["eth1"])
    assert registry.entry(bridge.spec, [f"{space}/eth0"]).outside


def test_a_run_says_where_it_sends_and_asks_for_a_default_route(
    bridge: Bridge, pytester: Pytester
) -> None:
    space = bridge.spaces[1]
    ip("-n", space, "addr", "add", "192.0.2.2/24", "dev", "eth0")
    ip("-n", space, "route", "add", "default", "via", "192.0.2.1")
    routes = subprocess.run(["ip", "-n", space, "route"], capture_output=True, text=True).stdout
    pytester.makepyfile(test_suite=SUITE)
    words = ("--lan", f"mine={bridge.spec}", "-n", "2")
    refused = pytester.runpytest_subprocess(*words)
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines([f"ERROR: --lan: interface {space}/eth0 has a default route*"])
    allowed = pytester.runpytest_subprocess(*words, f"--yes-send-on={space}/eth0", "-q")
    assert allowed.parseoutcomes() == {"passed": 1}
    listed = ", ".join(f"{name}/eth0" for name in bridge.spaces)
    assert allowed.outlines[0] == f"mine: test frames are sent on {listed}"
    after = subprocess.run(["ip", "-n", space, "route"], capture_output=True, text=True).stdout
    assert after == routes


def test_an_interface_with_addresses_keeps_them_and_is_not_taken_down(bridge: Bridge) -> None:
    space = bridge.spaces[1]
    ip("-n", space, "addr", "add", "192.0.2.2/24", "dev", "eth0")
    lan = registry.create(bridge.spec)
    try:
        owner = lan.ports(3)[1]
        assert lan.traits.verbs == ("pause",)
        with pytest.raises(Unsupported, match=f"{space}/eth0: has addresses, so it is not taken"):
            owner.close()
        assert len(unicast(lan)[1]) == 1
    finally:
        lan.close()
    shown = subprocess.run(["ip", "-n", space, "addr"], capture_output=True, text=True)
    assert "192.0.2.2/24" in shown.stdout


@pytest.mark.parametrize("right", ["net_raw", "net_admin"])
def test_a_right_that_is_missing_is_named_before_any_test(bridge: Bridge, right: str) -> None:
    drop = ["setpriv", "--bounding-set", f"-{right}", "--inh-caps", f"-{right}"]
    if subprocess.run([*drop, "true"], capture_output=True).returncode:
        pytest.skip("setpriv cannot drop a right here")
    run = [*drop, sys.executable, "-m", "harness.cli", "run", bridge.spec]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 2
    missing = f"interface {bridge.spaces[0]}/eth0: needs CAP_{right.upper()}"
    assert missing in done.stderr.splitlines()[-1]
    assert done.stdout == ""


def test_patience_waits_for_spanning_tree(bridge: Bridge) -> None:
    """A port forwards 4 s after it has come up, and the bridge sends a frame every second."""
    stp = ("stp_state", 1, "forward_delay", 200, "hello_time", 100)
    ip("-n", bridge.middle, "link", "set", "lan0", "type", "bridge", *stp)
    lan = registry.create(f"{bridge.spec};patience=60")
    try:
        assert isinstance(lan, interfaces.InterfacesLan)
        other = lan.ports(3)[2]
        other.close()
        other.open()
        assert [len(frames) for frames in unicast(lan)] == [0, 1, 0]
        assert lan.foreign_frames > 0
        lan.limit_s = 1.0
        other.close()
        with pytest.raises(Inconclusive, match=r"eth0 of .* did not come up within 1 s"):
            other.open()
    finally:
        lan.close()


def test_two_runs_at_once_are_refused(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_XDIST_TESTRUNUID", raising=False)  # workers of a run would wait
    lan = registry.create(bridge.spec)
    try:
        with pytest.raises(LanError, match=r"interface .*/eth0 is in use by another run"):
            registry.create(bridge.spec)
        assert len(unicast(lan)[1]) == 1
    finally:
        lan.close()


def test_workers_of_one_run_share_the_interfaces(bridge: Bridge, pytester: Pytester) -> None:
    modules = {f"test_{name}": SUITE.replace("unicast", name) for name in "abcd"}
    pytester.makepyfile(**modules)
    words = ("--lan", f"mine={bridge.spec}", "-n", "2")
    result = pytester.runpytest_subprocess(*words, "-v")
    assert result.parseoutcomes() == {"passed": 4}
    assert len(workers(result.outlines, "mine")) == 1
    # Another way to distribute tests: workers wait for each other.
    result = pytester.runpytest_subprocess(*words, "--dist", "each", "-q")
    assert result.parseoutcomes() == {"passed": 8}


def workers(lines: Sequence[str], lan: str) -> set[str]:
    """The workers of a verbose run that ran tests on a LAN."""
    ran = [line for line in lines if "PASSED" in line and f"[{lan}" in line]
    return {line.partition("]")[0] for line in ran}


def test_a_lan_that_is_there_once_is_in_one_worker_and_others_are_not(
    bridge: Bridge, pytester: Pytester
) -> None:
    modules = {f"test_{name}": SUITE.replace("unicast", name) for name in "abcdefgh"}
    pytester.makepyfile(**modules)
    words = ("--lan", f"mine={bridge.spec}", "--lan", "lguest-repaired", "-n", "2", "-v")
    result = pytester.runpytest_subprocess(*words)
    assert result.parseoutcomes() == {"passed": 16}
    assert len(workers(result.outlines, "mine")) == 1
    assert workers(result.outlines, "lguest-repaired") - workers(result.outlines, "mine")


def test_a_second_run_on_the_same_interfaces_names_the_first(
    bridge: Bridge, pytester: Pytester
) -> None:
    holds = registry.entry(f"first={bridge.spec}")
    overlapping = "interfaces:" + ",".join(f"{name}/eth0" for name in bridge.spaces[:2])
    pytester.makepyfile(test_suite=SUITE)
    with shared.held([holds]):
        refused = pytester.runpytest_subprocess("--lan", f"mine={overlapping}", "-n", "2")
        from_command = CliRunner().invoke(main, ["run", f"mine={overlapping}"])
    line = f"mine: another run uses interfaces:{bridge.spaces[0]}/eth0 (process {os.getpid()}, "
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: --lan: {line}" in refused.stderr.str()
    assert (from_command.exit_code, from_command.stderr.count("\n")) == (2, 1)
    assert from_command.stderr.startswith(line)
    left = set(state.folder().glob("lan-*.lock"))
    with shared.held([registry.entry(overlapping)]):
        (new, *_) = set(state.folder().glob("lan-*.lock")) - left
        assert CliRunner().invoke(main, ["restore"]).exit_code == 0
        assert new.exists(), "it is in use"
    assert not new.exists()
    new.touch()  # as a killed run leaves it
    assert CliRunner().invoke(main, ["restore"]).exit_code == 0
    assert not new.exists()


WORKER = """
import sys
from harness import registry
lan = registry.create(sys.argv[1])
lan.ports(3)[2].close()
lan.ports(3)[0].set_promiscuous(True)
print("ready", flush=True)
sys.stdin.read()
"""


def flags(space: str) -> tuple[str, ...]:
    """Flags, promiscuity and MTU of a namespace's interface."""
    words = ["ip", "-n", space, "-d", "-j", "link", "show", "eth0"]
    (link,) = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
    return (*sorted(link["flags"]), str(link["promiscuity"]), str(link["mtu"]))


def test_a_killed_run_is_restored(bridge: Bridge) -> None:
    before = [(inside(space), flags(space)) for space in bridge.spaces]
    words = [sys.executable, "-c", WORKER, bridge.spec]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"ready\n"
        assert interfaces.restore() == [], "the run has them"
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    assert [inside(space) for space in bridge.spaces] == [[]] * 3
    assert "UP" not in flags(bridge.spaces[2])
    restored = CliRunner().invoke(main, ["restore"])
    assert restored.exit_code == 0
    assert sorted(restored.output.splitlines()) == [
        f"restored {space}/eth0" for space in bridge.spaces
    ]
    assert [(inside(space), flags(space)) for space in bridge.spaces] == before
    again = CliRunner().invoke(main, ["restore"])
    assert (again.exit_code, again.output) == (0, "nothing was left to restore\n")


def test_frames_of_others_are_set_aside_and_nothing_else(bridge: Bridge) -> None:
    """LLDP is heard while the LAN is quiet; the IPv6 of our own hosts is known."""
    lldp = bytes.fromhex("0180c200000e") + b"\2\0\0\0\1\1\x88\xcc" + bytes(46)
    chatter = f"""
import socket, time
port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
port.bind(("lan0", 0))
while True:
    port.send({lldp!r}[:6].replace(b"\\x0e", b"\\x10") + {lldp!r}[6:])
    time.sleep(0.05)
"""
    talks = ["ip", "netns", "exec", bridge.middle, sys.executable, "-c", chatter]
    with subprocess.Popen(talks) as others:
        lan = registry.create(bridge.spec)
        try:
            sender, owner, _ = lan.ports(3)
            assert isinstance(lan, interfaces.InterfacesLan)
            ours = lldp[:5] + b"\x10" + sender.mac + lldp[12:]
            for _ in range(20):
                assert unicast(lan) == [[], [ethernet(owner, sender)], []]
            assert lan.foreign_frames > 0
            sender.send(ours)
            lan.settle()
            assert [arrival.frame for arrival in owner.arrivals()] == [ours]
        finally:
            others.kill()
            lan.close()


@pytest.fixture
def wire() -> Iterator[str]:
    """A namespace with a veth pair in it."""
    if reason := why_not():
        pytest.skip(reason)
    space = f"lhw{os.getpid()}"
    ip("netns", "add", space)
    try:
        ip("-n", space, "link", "add", "one", "type", "veth", "peer", "name", "two")
        for end in ("one", "two"):
            ip("-n", space, "link", "set", end, "up")
        yield space
    finally:
        ip("netns", "del", space)


def test_what_a_port_sends_while_the_only_other_is_away_cannot_be_judged(wire: str) -> None:
    lan = registry.create(f"interfaces:{wire}/one,{wire}/two")
    try:
        sender, leaves = lan.ports(2)
        leaves.close()
        sender.send(ethernet(leaves, sender))
        with pytest.raises(Unsupported, match="a fence needs two ports that are open"):
            lan.settle()
        leaves.open()
        leaves.arrivals()
        frame = ethernet(leaves, sender, stamp=9)
        sender.send(frame)
        lan.settle()
        assert [arrival.frame for arrival in leaves.arrivals()] == [frame]
        sender.close()
        leaves.close()
        leaves.open()
        sender.open()
        sender.send(frame)
        lan.settle()
        assert [arrival.frame for arrival in leaves.arrivals()] == [frame]
    finally:
        lan.close()


def test_a_macvlan_keeps_some_offloads_and_is_taken_all_the_same(wire: str) -> None:
    links = ("mac1", "mac2")
    for name in links:
        ip("-n", wire, "link", "add", "link", "one", "name", name, "type", "macvlan")
        ip("-n", wire, "link", "set", name, "type", "macvlan", "mode", "bridge")
        ip("-n", wire, "link", "set", name, "up")
    before = [inside(wire, name) for name in links]
    lan = registry.create(f"interfaces:{wire}/mac1,{wire}/mac2")
    try:
        assert any(inside(wire, name) for name in links), "this kernel's macvlan keeps none on"
        sender, owner = lan.ports(2)
        frame = ethernet(owner, sender)
        sender.send(frame)
        lan.settle()
        assert [arrival.frame for arrival in owner.arrivals()] == [frame]
    finally:
        lan.close()
    assert [inside(wire, name) for name in links] == before
