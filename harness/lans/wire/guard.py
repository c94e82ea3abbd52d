"""Runs a program in a private directory, and removes both when its lifeline ends.

Started by ``harness.lans.wire.process`` as a file of its own, without the harness:

    python guard.py PREFIX inside|here log|pipe PROGRAM [ARGUMENT...]

Standard error is a socket, the lifeline. The guard writes the program's process id and the
directory to it, or an error. When the socket ends, it kills the program and all processes
that the program started, including those that have detached themselves: they become children
of the guard, which is a child subreaper.
"""

# Pathlib would add a third to the time of every start.
# ruff: noqa: PTH102, PTH123, PTH208

import contextlib
import ctypes
import os
import signal
import sys
import time

SET_CHILD_SUBREAPER = 36
LOG = "stderr"
LIMIT_S = 4.0
"""How long to go on killing processes that start others."""


def main() -> None:
    """Start the program, wait for the end of the lifeline, clean up."""
    prefix, where, output, *words = sys.argv[1:]
    lifeline = os.dup(2)
    try:
        directory = private_directory(prefix)
        log = os.open(f"{directory}/{LOG}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        os.write(lifeline, f"{error.strerror}: {error.filename}\n".encode())
        return
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        # A handler, unlike SIG_IGN, is not inherited by the program.
        signal.signal(number, lambda *_: None)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if where == "inside":
        os.chdir(directory)
    child = os.fork()
    if child == 0:
        run(words, log, output)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(log)
    with contextlib.suppress(OSError):
        os.write(lifeline, f"{child} {directory}\n".encode())
        os.read(lifeline, 1)
    kill_all(child)
    import shutil

    os.chdir("/")
    shutil.rmtree(directory, ignore_errors=True)


def private_directory(prefix: str) -> str:
    """Make a directory for this user only."""
    path = f"{os.environ.get('TMPDIR') or '/tmp'}/{prefix}{os.urandom(5).hex()}"
    os.mkdir(path, 0o700)
    return path


def run(words: list[str], log: int, output: str) -> None:
    """Become the program, in a session of its own, with its standard error in the log."""
    os.setsid()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(log, 2)
    if output == "log":
        os.dup2(log, 1)
    try:
        os.execvp(words[0], words)
    except OSError as error:
        os.write(2, f"{words[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def kill_all(child: int) -> None:
    """Kill the program's process group, then children until there are none left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        for pid in children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            return
        time.sleep(0.001)


def children() -> list[int]:
    """Processes whose parent is this one."""
    own = str(os.getpid())
    pids = []
    for name in filter(str.isdigit, os.listdir("/proc") if sys.platform == "linux" else ()):
        # A process may end while it is read.
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as stat:
            if stat.read().rpartition(")")[2].split()[1] == own:
                pids.append(int(name))
    return pids


if __name__ == "__main__":
    main()
