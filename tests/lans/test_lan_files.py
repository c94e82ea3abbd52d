"""LANs that a TOML file describes, with kernels' bridges and programs as a user has them."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest
from _pytest.pytester import Pytester
from click.testing import CliRunner

from docs import make_lan_files
from harness import registry
from harness.cli.main import main
from harness.frames import BROADCAST, ethernet
from harness.lan import Counters, Inconclusive, LanError, Traits
from harness.lans.files import schema
from harness.lans.files.lan_file import FileLan
from harness.lans.wire import state
from harness.lans.wire.fence import FencedPort
from harness.lans.wire.namespace import why_not
from harness.suite import drafts
from harness.suite.drafts import Failure, Run
from tests.lans.real import namespaces, processes
from tests.lans.users import EXAMPLES, SUITE, unicast

BRIDGE = """
kind = "learning"
namespaces = ["lan", "far"]
start = ['''
ip link add br0 type bridge mcast_snooping 0
ip link set br0 up
for n in 1 2 3; do
    ip link add p$n type veth peer name far$n
    ip link set far$n master br0 up
    ip link set p$n up
done
ip link set p3 netns far
''', {{run = "ip link set p3 up", namespace = "far"}}{start}]
ready = [{{carrier = "lan/p2"}}, {{interface = "far/p3"}}]
{top}
[ports]
form = "interfaces"
spec = ["p1", "lan/p2", "far/p3"]
{tables}
"""
STREAM = """
start = [{{run = ["{python}", "{program}", "$DIR/hub.sock"], background = true}}]
ready = [{{socket = "$DIR/hub.sock"}}]
kind = "repeater"
{top}
[ports]
form = "stream"
spec = "$DIR/hub.sock"
[properties]
ports = 4
"""
HUB = """
import os, select, socket, sys
ports, buffers = [], {}
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
while True:
    for ready in select.select([listener, *ports], [], [])[0]:
        if ready is listener:
            ports.append(listener.accept()[0])
            buffers[ports[-1]] = b""
            continue
        buffers[ready] += (data := ready.recv(65536))
        if not data:
            ports.remove(ready)
            continue
        while len(buffers[ready]) > 4:
            end = 4 + int.from_bytes(buffers[ready][:4], "big")
            if len(buffers[ready]) < end:
                break
            frame, buffers[ready] = buffers[ready][:end], buffers[ready][end:]
            if frame[4:10] == bytes([10] * 6):
                sys.exit("asked to end")
            for port in ports:
                if port is not ready:
                    port.sendall(frame)
"""


@pytest.fixture
def needs_namespaces() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if reason := why_not():
        pytest.skip(reason)


def bridge(folder: Path, name: str = "mine", *, top: str = "", start: str = "", **more: str) -> str:
    """A file with a bridge of three ports in two namespaces."""
    path = folder / f"{name}.toml"
    path.write_text(BRIDGE.format(top=top, start=start, tables=more.get("tables", "")))
    return str(path)


def hub(folder: Path, top: str = "") -> str:
    """A file with a hub that is a program."""
    program = folder / "hub.py"
    program.write_text(HUB)
    path = folder / "hub.toml"
    path.write_text(STREAM.format(python=sys.executable, program=program, top=top))
    return str(path)


@pytest.mark.usefixtures("needs_namespaces")
def test_two_lans_of_one_file_do_not_meet(tmp_path: Path) -> None:
    first, second = registry.create(bridge(tmp_path)), registry.create(bridge(tmp_path))
    try:
        sender, owner, _ = first.ports(3)
        assert [port.name for port in first.ports(3)] == ["lan/p1", "lan/p2", "far/p3"]
        frame = ethernet(owner, sender)
        assert unicast(first) == [[], [frame], [frame]]
        other, *_ = second.ports(3)
        assert unicast(second)[1] == [ethernet(second.ports(3)[1], other)]
        sender.send(ethernet(BROADCAST, sender))
        second.settle()
        assert [len(port.arrivals()) for port in second.ports(3)] == [0, 0, 0]
    finally:
        first.close()
        second.close()


@pytest.mark.usefixtures("needs_namespaces")
def test_a_run_of_a_file(pytester: Pytester) -> None:
    """Its name, its version, its deviations; in two workers."""
    listed = """
[[deviation]]
rule = "DLV-1"
reason = "nothing of the kind"
evidence = "none"
tests = ["test_suite.py::test_wrong"]
"""
    wrong = SUITE.replace("DLV-2", "DLV-1").replace("test_unicast", "test_wrong")
    wrong = wrong.replace("{owner: [frame]}", "{}")
    pytester.makepyfile(test_suite=SUITE + wrong, test_more=SUITE)
    path = bridge(pytester.path, top='version = "echo two; echo three"', tables=listed)
    result = pytester.runpytest_subprocess("--lan", path, "-n", "2", "--reports", "reports")
    assert result.parseoutcomes() == {"passed": 2, "deviation": 1}
    head = json.loads((pytester.path / "reports/results.jsonl").read_text().splitlines()[0])
    assert head["lans"] == {"mine": "two"}
    assert head["lan_files"] == {"mine": Path(path).read_text()}


@pytest.mark.usefixtures("needs_namespaces")
def test_a_script_may_make_namespaces_of_its_own(tmp_path: Path) -> None:
    one, two = (f"lh{os.getpid()}{end}" for end in "ab")
    script = f"""
ip netns add {one}
ip netns add {two}
ip link add eth0 netns {one} type veth peer name eth0 netns {two}
ip -n {one} link set eth0 up
ip -n {two} link set eth0 up
"""
    (tmp_path / "up.sh").write_text(script)
    path = tmp_path / "mine.toml"
    path.write_text(
        'kind = "wire"\nstart = ["sh -e up.sh"]\nshared = true\n'
        f'stop = ["ip netns del {one}; ip netns del {two}"]\n'
        f'ready = [{{carrier = "{one}/eth0"}}, {{carrier = "{two}/eth0"}}]\n'
        f'ports = {{form = "interfaces", spec = ["{one}/eth0", "{two}/eth0"]}}\n'
    )
    lan = registry.create(str(path))
    try:
        sender, owner = lan.ports(2)
        frame = ethernet(owner, sender)
        sender.send(frame)
        lan.settle()
        assert [arrival.frame for arrival in owner.arrivals()] == [frame]
    finally:
        lan.close()
    assert not any(Path("/run/netns", name).exists() for name in (one, two))


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.usefixtures("needs_namespaces")
def test_a_killed_run_leaves_nothing(tmp_path: Path, sent: signal.Signals) -> None:
    path = bridge(tmp_path, start=', {run = "sleep 1000", background = true}, "sleep 1000 &"')
    code = f"from harness import registry; lan = registry.create({path!r}); lan.ports(3)"
    code += "; import os; print(lan._commands.directory, *("
    code += "os.stat(lan._commands.namespace(name)).st_ino for name in ('lan', 'far')), flush=True)"
    code += "; input()"
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        shown, *inodes = worker.stdout.readline().decode().split()
        directory, own = Path(shown), {f"net:[{inode}]" for inode in inodes}
        assert directory.is_dir()
        assert own & namespaces("*")
        for inode in inodes:
            assert not list(state.folder().glob(f"{inode}-*")), "nothing to restore there"
        assert len(processes(tmp_path)) >= 2
        worker.send_signal(sent)
    deadline = time.monotonic() + 20
    while directory.exists() or processes(tmp_path) or own & namespaces("*"):
        assert time.monotonic() < deadline, (directory, processes(tmp_path))
        time.sleep(0.02)


@pytest.mark.usefixtures("needs_namespaces")
def test_interfaces_of_own_namespaces_may_have_addresses_and_routes(tmp_path: Path) -> None:
    routed = "ip addr add 192.0.2.1/24 dev p1; ip route add default via 192.0.2.2"
    lan = registry.create(bridge(tmp_path, start=f', "{routed}"'))
    try:
        first, *_ = lan.ports(3)
        first.close()
        first.open()
        assert [len(frames) for frames in unicast(lan)][:2] == [0, 1]
    finally:
        lan.close()


@pytest.mark.usefixtures("needs_namespaces")
def test_links_fail_and_counters_are_those_of_the_interfaces(tmp_path: Path) -> None:
    declared = '[properties]\nverbs = ["link", "pause", "counters"]\n'
    lan = registry.create(bridge(tmp_path, tables=declared))
    try:
        assert lan.traits.verbs == ("link", "pause", "counters")
        sender, owner, other = lan.ports(3)
        assert isinstance(sender, FencedPort)
        assert isinstance(owner, FencedPort)
        assert [len(frames) for frames in unicast(lan)] == [0, 1, 1]
        assert (sender.counters(), owner.counters()) == (Counters(1, 0), Counters(0, 1))
        owner.link_down()
        assert [len(frames) for frames in unicast(lan)] == [0, 0, 1]
        assert other.arrivals() == []
        assert (sender.counters(), owner.counters()) == (Counters(2, 0), Counters(0, 1))
        owner.link_up()
        assert [len(frames) for frames in unicast(lan)] == [0, 1, 1]
    finally:
        lan.close()


def test_a_draft_keeps_the_deviations_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = """
[[deviation]]
rule = "DLV-2"
reason = "on purpose"
evidence = "seen"
tests = ["test_delivery.py::test_one"]
"""
    path = Path(hub(tmp_path))
    path.write_text(path.read_text() + known)
    failure = Failure("test_delivery.py::test_one", ("DLV-2",), "assert lost")
    monkeypatch.setattr(drafts, "run", lambda lan: Run(lan, [failure]))
    done = CliRunner().invoke(main, ["deviations", str(path)])
    assert done.exit_code == 0
    assert 'reason = "on purpose"' in done.stdout


def test_a_program_on_a_stream(tmp_path: Path) -> None:
    lan = registry.create(hub(tmp_path))
    try:
        sender, owner, _ = lan.ports(3)
        assert lan.name == "hub"
        assert lan.traits.kind == "repeater"
        frame = ethernet(owner, sender)
        assert unicast(lan) == [[], [frame], [frame]]
        assert isinstance(lan, FileLan)
    finally:
        lan.close()


def test_how_a_program_ended_is_said(tmp_path: Path) -> None:
    lan = registry.create(hub(tmp_path))
    try:
        sender, *_ = lan.ports(3)
        sender.send(ethernet(b"\x0a" * 6, sender))
        with pytest.raises(Inconclusive, match=r"start\[1\] .* with exit code 1: asked to end"):
            lan.settle()
    finally:
        lan.close()


def test_stop_runs_and_the_rest_is_killed(tmp_path: Path) -> None:
    mark = tmp_path / "stopped"
    path = hub(tmp_path, f'stop = ["test -S $DIR/hub.sock; echo $WHAT > {mark}"]')
    content = Path(path).read_text() + '[environment]\nWHAT = "yes"\n'
    Path(path).write_text(content)
    lan = registry.create(path)
    assert processes(tmp_path)
    lan.close()
    assert mark.read_text() == "yes\n"
    assert not processes(tmp_path)


CHATTERS = """
import socket, time
port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
port.bind(("far1", 0))
while True:
    port.send(bytes.fromhex("0180c2000020 02ffffffff01 88cc") + bytes(46))
    time.sleep(0.01)
"""


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.usefixtures("needs_namespaces")
def test_declared_chatter_is_recorded_and_not_judged(tmp_path: Path, declared: bool) -> None:
    (tmp_path / "chatters.py").write_text(CHATTERS)
    background = f', {{run = "{sys.executable} chatters.py", background = true}}'
    chatter = '[[chatter]]\nethertype = "0x88cc"\nsource = "02:ff:ff:ff:ff:01"\n'
    lan = registry.create(bridge(tmp_path, start=background, tables=chatter * declared))
    try:
        sender, *_ = lan.ports(3)
        ours = bytes.fromhex("0180c2000020") + sender.mac + b"\x88\xcc" + bytes(46)
        deadline = time.monotonic() + 10
        while not any(record.frame[12:14] == b"\x88\xcc" for record in lan.records()):
            lan.settle()
            assert time.monotonic() < deadline
        heard = [got for port in lan.ports(3) for got in port.arrivals()]
        assert bool(heard) is not declared
        assert isinstance(lan, FileLan)
        assert bool(lan.foreign_frames) is declared
        sender.send(ours)
        lan.settle()
        own = [got.frame for port in lan.ports(3) for got in port.arrivals()]
        assert own.count(ours) == 2
    finally:
        lan.close()


STARTS = [
    (', "exit 3"', "start[3] 'exit 3' has ended with exit code 3"),
    (', "echo first; echo reason >&2; exit 3"', "exit code 3: reason"),
    (', ["/nowhere"]', "start[3] '/nowhere': No such file or directory"),
    (', "kill -9 $$"', "start[3] 'kill -9 $$' was killed by SIGKILL"),
    (', "sleep 50"', "start[3] 'sleep 50' has not ended within 0.5 s"),
]


@pytest.mark.parametrize(("start", "line"), STARTS)
@pytest.mark.usefixtures("needs_namespaces")
def test_a_command_that_fails_is_one_line(tmp_path: Path, start: str, line: str) -> None:
    path = bridge(tmp_path, start=start, top="timeout = 0.5")
    with pytest.raises(LanError) as error:
        registry.create(path)
    assert line in str(error.value)
    assert str(error.value).startswith(path)
    assert str(error.value).isprintable()


READY = [
    ('["echo why; false"]', "ready[1] not within 0.3 s: 'echo why; false' succeeds: why"),
    ('[{socket = "$DIR/none"}]', "ready[1] not within 0.3 s: socket $DIR/none exists"),
    ('["true", {interface = "p9"}]', "ready[2] not within 0.3 s: interface p9 exists"),
]


@pytest.mark.parametrize(("ready", "line"), READY)
def test_what_is_not_ready_is_one_line(tmp_path: Path, ready: str, line: str) -> None:
    path = tmp_path / "late.toml"
    ports = '[ports]\nform = "stream"\nspec = "$DIR/x"\n'
    path.write_text(f'timeout = 0.3\nstart = ["true"]\nready = {ready}\n{ports}')
    with pytest.raises(LanError) as error:
        registry.create(str(path))
    assert str(error.value) == f"{path}: {line}"


def test_a_program_that_ends_early_ends_the_wait(tmp_path: Path) -> None:
    path = tmp_path / "early.toml"
    ports = '[ports]\nform = "stream"\nspec = "$DIR/x"\n'
    start = '[{run = "echo no licence; exit 4", background = true}]'
    path.write_text(f'start = {start}\nready = [{{socket = "$DIR/x"}}]\n{ports}')
    with pytest.raises(LanError, match=r"start\[1\] .* ended with exit code 4: no licence"):
        registry.create(str(path))


PORTS = '[ports]\nform = "interfaces"\nspec = ["a/x", "a/y"]\n'
NAMED = 'namespaces = ["a"]\n'
MISTAKES = [
    ('[ports]\nfrm = "stream"', "ports.frm: unknown key; did you mean form?"),
    ("", "ports is missing"),
    ('[ports]\nform = "stream"', "ports.spec is missing"),
    ('kind = "learnin"\n' + PORTS, "kind: 'learnin': choose from repeater, learning,"),
    (PORTS + 'name = "x"', "ports.name: unknown key; it belongs above the first [table]"),
    ('start = [{rn = "x"}]\n' + PORTS, "start[1].rn: unknown key; did you mean run?"),
    ('start = ["x", 3]\n' + PORTS, "start[2]: should be a text or a table or a list, not a"),
    (PORTS + "[properties]\nlongest = 'x'", "properties.longest: should be a whole number, not"),
    (PORTS + "[properties]\nlongest = 0", "properties.longest: should be >= 1"),
    (PORTS + "[properties]\npadding = 3", "properties.padding: 3: choose from 0, 60"),
    (PORTS + "[properties]\nordered = false", "properties.wait_s is missing: frames may"),
    ('name = "a b"\n' + PORTS, "name: 'a b' should be 1 to 40 letters"),
    ('namespaces = ["a", "../b"]\n' + PORTS, "namespaces[2]: '../b' should be 1 to 32"),
    (NAMED + 'start = [{run = "x", namespace = "b"}]\n' + PORTS, "start[1].namespace: 'b' is not"),
    (NAMED + "ready = [{}]\n" + PORTS, "ready[1]: give one of command, socket, interface"),
    (NAMED + 'ready = [{carrier = "b/x"}]\n' + PORTS, "ready[1].carrier: 'b' is not in namespaces"),
    (NAMED + PORTS.replace("a/y", "b/y"), "ports.spec: 'b' is not in namespaces, and does not"),
    (NAMED + PORTS.replace("a/y", "a/x"), "ports.spec: interfaces:[NETNS/]IF,[NETNS/]IF,...: a/x"),
    (PORTS, "ports.spec: interface a/x: namespace /run/netns/a: No such file"),
    (PORTS + '[[chatter]]\nethertype = "0x88cc"', "chatter[1]: give two of ethertype, source,"),
    (PORTS + '[[chatter]]\nethertype = "88cc"', "chatter[1].ethertype: '88cc' should be like"),
    ("[[", "not TOML: "),
    ("a" + ".a" * 400, "not TOML: a line has more than 300 dots"),
    ("x = " + 9999 * "[", "not TOML: nested too deeply"),
]


@pytest.mark.parametrize(("content", "line"), MISTAKES)
def test_a_mistake_is_one_line_with_file_and_key(tmp_path: Path, content: str, line: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(content)
    with pytest.raises(LanError) as error:
        registry.entry(str(path))
    assert str(error.value).startswith(f"{path}: {line}")
    assert str(error.value).isprintable()


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "large.toml").write_bytes(b"#" * (schema.LARGEST_FILE + 1))
    for given, line in [
        ("file:", "needs a file"),
        ("file:none", "none: No such file"),
        (str(tmp_path / "large.toml"), "has 262144 bytes at most"),
        (f"file:{tmp_path}", "Is a directory"),
    ]:
        with pytest.raises(LanError, match=line):
            registry.entry(given)


NEEDS = [
    ('programs = {sh = "dash", no-such-thing = "nothing"}', "no no-such-thing: apt-get install no"),
    ('links = ["no-such-link"]', "no links of kind no-such-link: this kernel"),
    ('modules = ["no_such_module"]', "no kernel module no_such_module: this kernel"),
    ('checks = [{run = "test -e none", message = "make it first"}]', "make it first"),
    ('programs = {sh = "dash"}', None),
    ('checks = [{run = "test -e mine.toml", message = "make it first"}]', None),
]


@pytest.mark.parametrize(("needs", "line"), NEEDS)
@pytest.mark.usefixtures("needs_namespaces")
def test_what_is_missing_is_one_line(tmp_path: Path, needs: str, line: str | None) -> None:
    entry = registry.entry(bridge(tmp_path, tables=f"[needs]\n{needs}\n"))
    missing = entry.missing()
    if line is None:
        assert missing is None
    else:
        assert missing is not None
        assert missing.startswith(line)


def test_command_and_class_can_be_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    programs = {
        "command": shlex.join([sys.executable, str(EXAMPLES / "hub.py")]),
        "python": "hub_class:Hub",
    }
    for form, spec in programs.items():
        path = tmp_path / f"{form}-hub.toml"
        declared = 'kind = "repeater"\n[properties]\nports = 3\npadding = 0\n'
        path.write_text(declared.replace("[", f"[ports]\nform = {form!r}\nspec = {spec!r}\n[", 1))
        lan = registry.create(str(path))
        try:
            assert (lan.traits.ports, lan.traits.padding, lan.traits.kind) == (3, 0, "repeater")
            sender, owner, _ = lan.ports(3)
            sender.send(ethernet(owner, sender))
            lan.settle()
            assert len(owner.arrivals()) == 1
        finally:
            lan.close()


def test_every_property_that_a_lan_can_declare_is_in_the_schema() -> None:
    elsewhere = {"learns", "layouts", "counters", "settles", "needs", "kind"}
    declared = {field.name for field in fields(Traits)} - elsewhere
    assert set(schema.Properties.__struct_fields__) == declared


def test_the_shipped_json_schema_is_current() -> None:
    assert make_lan_files.SCHEMA.read_text() == make_lan_files.json_schema(), "run `make docs`"


@pytest.mark.usefixtures("needs_namespaces")
def test_the_example_of_the_documentation_works(tmp_path: Path) -> None:
    text = make_lan_files.PAGE.read_text().partition("```toml\n")[2].partition("```")[0]
    assert (EXAMPLES / "veth-switch.toml").read_text() == text
    (tmp_path / "page.toml").write_text(text)
    entry = registry.entry(str(tmp_path / "page.toml"))
    assert (entry.missing(), entry.kind, entry.outside) == (None, "learning", False)
    lan = entry.make()
    try:
        assert [len(frames) for frames in unicast(lan)][:2] == [0, 1]
    finally:
        lan.close()
