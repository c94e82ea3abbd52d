"""``lguest-harness probe``: what a LAN is, found out by sending frames."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness import registry
from harness.cli.main import main
from harness.lan import Arrival, FrameRefused, Inconclusive, Layout, Record, Traits
from harness.lans.files import schema
from harness.lans.files.schema import LanFile
from harness.suite.probe import Finding, probe, report

ROOT = Path(__file__).parents[1]
SUITE_FILES = [
    str(ROOT / "testcases" / f"test_{name}.py")
    for name in ("delivery", "bytes_and_order", "learning", "wire")
]
HUB_FIXTURE = (f"command:{sys.executable} {ROOT / 'fixtures' / 'lans' / 'hub.py'}",)

PATIENCE_S = 0.02
"""Small LANs learn at once or never."""

HUB = Traits(
    filters="nobody",
    learns=False,
    ordered=True,
    shortest=14,
    longest=1514,
    oversized="dropped",
    burst=16,
    layouts=False,
    counters=False,
    settles="barrier",
)
SWITCH = replace(HUB, filters="receiver", learns=True)
DIRECTORY = replace(HUB, filters="sender", promiscuous="all")


class SmallPort:
    """A port of a small LAN."""

    def __init__(self, lan: SmallLan, number: int) -> None:
        self.name, self.mac = f"p{number}", bytes((2, 0, 0, 0, 0, number))
        self.lan, self.up, self.promiscuous = lan, True, False
        self.arrived: list[Arrival] = []

    def send(self, frame: bytes, layout: Layout | None = None) -> None:  # noqa: ARG002
        if not self.up:
            raise FrameRefused("it is down")
        self.lan.forward(self, frame)

    def arrivals(self) -> Sequence[Arrival]:
        arrived, self.arrived = self.arrived, []
        return arrived

    def set_promiscuous(self, on: bool) -> None:
        self.promiscuous = on

    def join_groups(self, count: int) -> None: ...

    def close(self) -> None:
        self.up = False
        self.lan.table = {key: port for key, port in self.lan.table.items() if port is not self}

    def open(self) -> None:
        self.up = True


class SmallLan:
    """A hub, a switch or a directory, as ``kind`` says, whatever it declares."""

    name = "small"
    kind = "repeater"
    longest = 1514

    def __init__(self, traits: Traits) -> None:
        self.traits = traits
        self.made: list[SmallPort] = []
        self.table: dict[bytes, SmallPort] = {}

    def ports(self, count: int) -> Sequence[SmallPort]:
        self.made += [SmallPort(self, n) for n in range(len(self.made) + 1, count + 1)]
        return self.made[:count]

    def forward(self, sender: SmallPort, frame: bytes) -> None:
        if not 14 <= len(frame) <= self.longest:
            return
        self.learn(sender, frame)
        for port in self.made:
            if port is not sender and port.up and self.wants(port, frame):
                port.arrived.append(Arrival(0, self.as_it_arrives(frame), True))

    def learn(self, sender: SmallPort, frame: bytes) -> None:
        if not frame[6] & 1:
            self.table[frame[6:12]] = sender

    def wants(self, port: SmallPort, frame: bytes) -> bool:
        if frame[0] & 1 or self.kind == "repeater":
            return True
        if self.kind == "learning":
            return self.table.get(frame[:6], port) is port
        return port.promiscuous or frame[:6] == port.mac

    def as_it_arrives(self, frame: bytes) -> bytes:
        return frame

    def settle(self) -> None: ...

    def interfaces(self) -> Sequence[tuple[str, bytes]]:
        return [(port.name, port.mac) for port in self.made]

    def records(self) -> Sequence[Record]:
        return []

    def close(self) -> None: ...


class SmallSwitch(SmallLan):
    """It learns."""

    kind = "learning"


class SmallDirectory(SmallLan):
    """It knows the addresses of its ports."""

    kind = "directory"


def findings_of(lan: SmallLan) -> dict[str, Finding]:
    return {finding.what: finding for finding in probe(lan, PATIENCE_S)}


@pytest.mark.parametrize(
    ("made", "traits"), [(SmallLan, HUB), (SmallSwitch, SWITCH), (SmallDirectory, DIRECTORY)]
)
def test_the_kind_of_a_small_lan_is_found(made: type[SmallLan], traits: Traits) -> None:
    findings = findings_of(made(traits))
    assert findings["kind"].observed == made.kind
    assert findings["longest"].observed == "1514 bytes"
    assert findings["shortest"].observed == "14 bytes"
    assert findings["oversized"].observed == "dropped"
    assert findings["padding"].observed == "none"
    assert findings["promiscuous"].observed == ("reached" if made is SmallSwitch else "all")
    assert [str(finding) for finding in findings.values() if finding.wrong] == []


def test_what_a_switch_learns_is_found() -> None:
    findings = findings_of(SmallSwitch(SWITCH))
    assert findings["learns zero"].observed == "yes"
    assert findings["moves"].observed == "at once"
    assert findings["flushes"].observed == "own"
    assert findings["unknown"].observed == "flooded"


@pytest.mark.parametrize(
    ("made", "traits"), [(SmallLan, SWITCH), (SmallSwitch, HUB), (SmallDirectory, SWITCH)]
)
def test_a_lan_that_declares_another_kind_contradicts_itself(
    made: type[SmallLan], traits: Traits
) -> None:
    finding = findings_of(made(traits))["kind"]
    assert finding.wrong
    assert finding.observed == made.kind


LIES: dict[str, dict[str, Any]] = {
    "hairpin": {"hairpin": True},
    "reserved": {"reserved": "filtered"},
    "padding": {"padding": 60},
    "longest": {"longest": 9018},
    "oversized": {"oversized": "cut"},
    "promiscuous": {"promiscuous": "all"},
    "learns zero": {"learns_zero": False},
    "flushes": {"flushes": "all"},
    "unknown": {"unknown": "dropped"},
}


@pytest.mark.parametrize("what", LIES)
def test_a_wrong_declaration_is_marked(what: str) -> None:
    findings = findings_of(SmallSwitch(replace(SWITCH, **LIES[what])))
    assert [finding.what for finding in findings.values() if finding.wrong] == [what]


class Echoes(SmallLan):
    """The sender receives its own frames too."""

    def forward(self, sender: SmallPort, frame: bytes) -> None:
        super().forward(sender, frame)
        sender.arrived.append(Arrival(0, frame, True))


def test_a_repeater_that_echoes_is_a_repeater_with_a_hairpin() -> None:
    findings = findings_of(Echoes(replace(HUB, hairpin=True)))
    assert (findings["kind"].observed, findings["hairpin"].observed) == ("repeater", "yes")
    assert not findings["kind"].wrong


class Cuts(SmallLan):
    """Every frame ends after 2,048 bytes."""

    longest = 1 << 20

    def as_it_arrives(self, frame: bytes) -> bytes:
        return frame[:2048]


class Pads(SmallLan):
    """Short frames are filled up with zeros."""

    def as_it_arrives(self, frame: bytes) -> bytes:
        return frame.ljust(60, b"\0")


class PadsWithSecrets(SmallLan):
    """Short frames are filled up with something else."""

    def as_it_arrives(self, frame: bytes) -> bytes:
        return frame.ljust(60, b"s")


class StripsTags(SmallLan):
    """Tags do not arrive."""

    def as_it_arrives(self, frame: bytes) -> bytes:
        return frame[:12] + frame[16:] if frame[12:14] == b"\x81\0" else frame


class Reverses(SmallLan):
    """Frames that were sent together arrive backwards."""

    def settle(self) -> None:
        for port in self.made:
            port.arrived.reverse()


class FirstPortWins(SmallSwitch):
    """A station that moves is not followed."""

    def learn(self, sender: SmallPort, frame: bytes) -> None:
        self.table.setdefault(frame[6:12], sender)


class DiesOfLongFrames(SmallLan):
    """A long frame is the last."""

    dead = False

    def forward(self, sender: SmallPort, frame: bytes) -> None:
        self.dead |= len(frame) > 4096
        if not self.dead:
            super().forward(sender, frame)


@pytest.mark.parametrize(
    ("made", "traits", "what", "value"),
    [
        (Cuts, HUB, "oversized", "cut"),
        (Cuts, HUB, "longest", "2048 bytes"),
        (Pads, replace(HUB, padding=0), "padding", "60 bytes"),
        (PadsWithSecrets, HUB, "padding", "other"),
        (StripsTags, HUB, "vlan", "changed"),
        (Reverses, HUB, "ordered", "no"),
        (FirstPortWins, SWITCH, "moves", "never"),
        (DiesOfLongFrames, HUB, "longest", "unclear"),
    ],
)
def test_a_fault_is_found(made: type[SmallLan], traits: Traits, what: str, value: str) -> None:
    finding = findings_of(made(traits))[what]
    assert finding.observed == value
    assert finding.wrong


def test_a_declared_padding_is_confirmed() -> None:
    assert not findings_of(Pads(replace(HUB, padding=60)))["padding"].wrong


class Silent(SmallLan):
    """It has no quiet state once a frame has arrived."""

    def settle(self) -> None:
        if self.made[0].arrived or self.made[1].arrived:
            raise Inconclusive("it does not get quiet")


def test_a_lan_that_does_not_get_quiet_contradicts() -> None:
    findings = list(probe(Silent(HUB), PATIENCE_S))
    assert [finding.wrong for finding in findings] == [True]
    assert "it does not get quiet" in str(findings[0])
    assert report(findings, "silent")[-1] == "1 findings, 1 contradicts what silent declares"


# The command


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["probe", *arguments])


def test_the_repaired_lan_is_a_directory_that_does_as_it_declares() -> None:
    result = run("lguest-repaired")
    assert result.exit_code == 0
    assert "kind:        directory     (declared directory)" in result.output
    assert result.output.endswith("0 contradict what lguest-repaired declares\n")


def test_the_lan_as_shipped_does_not_keep_the_order_that_it_declares() -> None:
    result = run("lguest")
    assert result.exit_code == 1
    marked = [line for line in result.output.splitlines() if "CONTRADICTS" in line]
    assert [line.split(":")[0] for line in marked] == ["ordered"]


@pytest.mark.parametrize(("name", "kind"), [("bridge", "learning"), ("vde-hub", "repeater")])
def test_a_real_lan_does_as_it_declares(name: str, kind: str) -> None:
    if reason := registry.entry(name).missing():
        pytest.skip(reason)
    result = run(name)
    assert result.exit_code == 0, result.output
    assert f"kind:        {kind}" in result.output


BRIDGE = """
namespaces = ["lan"]
start = ['''
ip link add br0 type bridge mcast_snooping 0
ip link set br0 up
for n in 1 2 3 4; do
    ip link add p$n type veth peer name far$n
    ip link set far$n master br0 up
    ip link set p$n up
done
''']
ready = [{carrier = "lan/p4"}]
kind = "repeater"
[ports]
form = "interfaces"
spec = ["lan/p1", "lan/p2", "lan/p3", "lan/p4"]
[properties]
longest = 1200
[needs]
root = true
"""


def drafted(tmp_path: Path, spec: str) -> LanFile:
    """The LAN file that is drafted of a LAN, whose run is then green."""
    path = tmp_path / "drafted.toml"
    result = run(spec, "-o", str(path))
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1].endswith("findings, 0 unclear")
    lines = path.read_text().splitlines()
    longest = next(n for n, line in enumerate(lines) if line.startswith("longest = "))
    assert lines[longest - 1].startswith("# "), "the evidence stands above"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *SUITE_FILES, "--lan", str(path), "-q", "--no-captures"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    return schema.parsed(schema.text_of(path), path)


def test_a_file_is_drafted_of_a_program(tmp_path: Path) -> None:
    program = [sys.executable, str(ROOT / "fixtures" / "lans" / "hub.py")]
    file = drafted(tmp_path, f"command:{shlex.join(program)}")
    assert (file.ports.form, file.ports.spec) == ("command", shlex.join(program))
    assert file.kind == "repeater"
    assert (file.properties.longest, file.properties.shortest) == (1514, 14)


def test_a_file_is_drafted_again(tmp_path: Path) -> None:
    """What it declares wrongly is mended, and all else is kept."""
    if reason := registry.entry("bridge").missing():
        pytest.skip(reason)
    (tmp_path / "wrong.toml").write_text(BRIDGE)
    file = drafted(tmp_path, str(tmp_path / "wrong.toml"))
    assert (file.kind, file.namespaces, file.needs.root) == ("learning", ["lan"], True)
    assert (file.properties.longest, file.properties.reserved) == (1514, "filtered")


def test_a_built_in_lan_is_in_no_file(tmp_path: Path) -> None:
    result = run("lguest-repaired", "-o", str(tmp_path / "drafted.toml"))
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert not (tmp_path / "drafted.toml").exists()


@pytest.mark.parametrize(
    "arguments",
    [("no-such-lan",), ("command:exit 3",), (*HUB_FIXTURE, "-o", "/no/such/folder/file")],
)
def test_a_lan_that_cannot_be_started_or_a_file_that_cannot_be_written(
    arguments: tuple[str, ...],
) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
