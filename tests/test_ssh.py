"""Workers on another machine: captures and results come home, over a real sshd on loopback."""

from __future__ import annotations

import fcntl
import getpass
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.evidence import results
from harness.evidence.judge import judge_all
from tests.small_run import FILE, OUTCOMES, put, run

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/sbin")
PRIVILEGE_SEPARATION = Path("/run/sshd")
"""Where sshd wants to lock itself up when root starts it; a service would have made it."""


@contextmanager
def privilege_separation() -> Iterator[None]:
    """The folder is there, and goes again; one test has it at a time."""
    if os.geteuid() != 0:
        yield
        return
    lock = os.open(PRIVILEGE_SEPARATION.parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = not PRIVILEGE_SEPARATION.exists()
        if made:
            PRIVILEGE_SEPARATION.mkdir(mode=0o755)
        try:
            yield
        finally:
            if made:
                PRIVILEGE_SEPARATION.rmdir()
    finally:
        os.close(lock)


@pytest.fixture
def ssh_config(tmp_path: Path) -> Iterator[Path]:
    """What makes ``ssh -F`` this file ``far`` reach an sshd with keys of its own."""
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("ssh or sshd is not installed (apt-get install openssh-server)")
    folder = tmp_path / "ssh"
    folder.mkdir(mode=0o700)
    for key in ("host", "mine"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
        subprocess.run(command, check=True)
    # Nobody else is given the port while this socket has it; sshd may share it.
    with privilege_separation(), socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        port = kept.getsockname()[1]
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\n"
            f"AuthorizedKeysFile {folder}/mine.pub\nPidFile none\nUsePAM no\n"
            "StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        )
        (folder / "known").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
        (folder / "ssh_config").write_text(
            f"Host far\n HostName 127.0.0.1\n Port {port}\n User {getpass.getuser()}\n"
            f" IdentityFile {folder}/mine\n IdentitiesOnly yes\n IdentityAgent none\n"
            f" UserKnownHostsFile {folder}/known\n BatchMode yes\n"
        )
        server = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", str(folder / "sshd_config")],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stderr is not None
            said = server.stderr.readline()
            assert "listening" in said, said
            yield folder / "ssh_config"
        finally:
            server.terminate()
            server.communicate()


@pytest.mark.parametrize("near", [0, 1])
def test_captures_and_results_come_home(tmp_path: Path, ssh_config: Path, near: int) -> None:
    far = tmp_path / "far"
    put(far)
    home = tmp_path / "home"
    tx = f"2*ssh=far//ssh_config={ssh_config}//python={sys.executable}//chdir={far}"
    workers = ["--tx", tx, *["--tx", "popen"] * near]
    done = run(home, "-d", *workers, "--rsyncignore=*", "-v")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert {f"[gw{n}]" for n in range(2 + near)} >= {
        line.split()[0] for line in done.stdout.splitlines() if line.startswith("[gw")
    }
    saved = results.read(home / "reports")
    assert {test.id.removeprefix(f"{FILE}::"): test.outcome for test in saved.tests} == OUTCOMES
    assert saved.unfinished() == []
    assert saved.problems == []
    assert [judged for judged in judge_all(saved) if judged.problems] == []
    captures = [test.capture for test in saved.tests]
    assert all(
        capture is not None and (home / "reports" / capture.path).exists() for capture in captures
    )
    assert "capture: reports/captures/test_small.py/test_fails[lguest].pcapng" in done.stdout
    left = {path.name for path in far.iterdir()} - {FILE, "pytest.ini", "__pycache__"}
    assert left <= {"pytest", "_pytest"}  # empty folders of pytest-xdist
    assert (home / "reports" / "index.html").exists()


def test_far_captures_are_the_same_as_near_ones(
    tmp_path: Path, ssh_config: Path, small: Path
) -> None:
    far = tmp_path / "far"
    put(far)
    home = tmp_path / "home"
    tx = f"ssh=far//ssh_config={ssh_config}//python={sys.executable}//chdir={far}"
    into = tmp_path / "elsewhere"
    run(home, "-d", "--tx", tx, "--rsyncignore=*", f"--reports={into}")

    def captured(folder: Path) -> dict[str, bytes]:
        return {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.pcapng")
        }

    assert captured(into) == captured(small)
    assert not (home / "reports").exists()
