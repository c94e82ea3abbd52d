"""Runs the commands of a LAN file, in network namespaces that nobody else sees.

Started by ``harness.lans.files.commands`` as a file of its own, without the harness, below a
guard that kills whatever it started:

    python runner.py NAMESPACE...

It makes the namespaces in a mount namespace of its own, so their names are private to it and
its commands, and they end with the last process in them, however that ends. Then it reads a
request per line from standard input and writes an answer per line: ``run`` a command to its
end, or in the background; ``ended`` lists commands in the background that have ended; ``link``
says how an interface is.
"""

# Pathlib would add a third to the time of every start.
# ruff: noqa: PTH103, PTH120, PTH123

import contextlib
import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

NEW_MOUNT, NEW_NETWORK = 0x20000, 0x40000000
BIND, RECURSIVE, PRIVATE, DETACH = 0x1000, 0x4000, 1 << 18, 2
GET_FLAGS, SET_FLAGS, UP, RUNNING = 0x8913, 0x8914, 1, 0x40
PLACE = "/run/netns"
SETTINGS = {
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
    "bridge/bridge-nf-call-iptables": "0",
    "bridge/bridge-nf-call-ip6tables": "0",
    "bridge/bridge-nf-call-arptables": "0",
}


def main() -> None:
    """Make the namespaces, then answer requests."""
    namespaces = sys.argv[1:]
    try:
        if namespaces:
            make(namespaces)
    except OSError as error:
        answer({"error": f"no network namespaces: {error.strerror or error}"})
        return
    answer({"ready": True})
    running: dict[str, subprocess.Popen[bytes]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if request["message"] == "run":
            answer(run(request, namespaces, running))
        elif request["message"] == "link":
            answer({"state": link(request["interface"], request["namespace"])})
        else:
            codes = {key: process.poll() for key, process in running.items()}
            answer({"ended": {key: code for key, code in codes.items() if code is not None}})


def answer(fields: dict[str, Any]) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def call(name: str, *arguments: Any) -> None:
    """A function of the C library; OSError when it fails."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def make(namespaces: Sequence[str]) -> None:
    """Make quiet namespaces under their names, as ``ip netns add`` does; enter the first."""
    call("unshare", NEW_MOUNT)
    call("mount", b"none", b"/", None, RECURSIVE | PRIVATE, None)
    try:
        os.makedirs(PLACE, exist_ok=True)
    except OSError:
        # In a user namespace /run may belong to somebody else.
        call("mount", b"none", os.path.dirname(PLACE).encode(), b"tmpfs", 0, b"mode=755")
        os.makedirs(PLACE)
    call("mount", b"none", PLACE.encode(), b"tmpfs", 0, b"mode=755")
    for name in namespaces:
        path = f"{PLACE}/{name}"
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o444))
        call("unshare", NEW_NETWORK)
        call("mount", b"/proc/self/ns/net", path.encode(), b"none", BIND, None)
        quieten()
    enter(namespaces[0])


def quieten() -> None:
    """A kernel that sends nothing of its own; the loopback interface is up."""
    for setting, value in SETTINGS.items():
        with contextlib.suppress(FileNotFoundError), open(f"/proc/sys/net/{setting}", "w") as file:
            file.write(value)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack("16xh14x", fcntl.ioctl(any_socket, GET_FLAGS, request))
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh14x", b"lo", flags | UP))


def link(interface: str, namespace: str) -> str:
    """Whether an interface is "absent", "there", or has a "carrier"."""
    here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if namespace:
            enter(namespace)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            request = struct.pack("16sh14x", interface.encode()[:15], 0)
            (flags,) = struct.unpack("16xh14x", fcntl.ioctl(any_socket, GET_FLAGS, request))
    except OSError:
        return "absent"
    finally:
        if namespace:
            call("setns", here, NEW_NETWORK)
        os.close(here)
    return "carrier" if flags & RUNNING else "there"


def enter(namespace: str) -> None:
    """Join a namespace."""
    there = os.open(f"{PLACE}/{namespace}", os.O_RDONLY | os.O_CLOEXEC)
    call("setns", there, NEW_NETWORK)
    os.close(there)


def own_sys(namespace: str) -> None:
    """Join a namespace; /sys shows its interfaces, where that can be had."""
    enter(namespace)
    with contextlib.suppress(OSError):
        call("unshare", NEW_MOUNT)
        with contextlib.suppress(OSError):
            call("umount2", b"/sys", DETACH)
        call("mount", b"sys", b"/sys", b"sysfs", 0, None)


def run(
    request: dict[str, Any],
    namespaces: Sequence[str],
    running: dict[str, "subprocess.Popen[bytes]"],
) -> dict[str, Any]:
    """Run a command; its exit code, None if it runs in the background or took too long."""
    namespace = request["namespace"] or (namespaces[0] if namespaces else "")
    with open(request["log"], "wb") as log:
        try:
            process = subprocess.Popen(
                request["words"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=request["environment"],
                cwd=request["folder"],
                preexec_fn=(lambda: own_sys(namespace)) if namespace else None,
            )
        except (OSError, subprocess.SubprocessError) as error:
            return {"error": getattr(error, "strerror", "") or str(error)}
    if request["background"]:
        running[request["key"]] = process
        return {"code": None}
    try:
        return {"code": process.wait(request["limit_s"])}
    except subprocess.TimeoutExpired:
        return {"code": None}


if __name__ == "__main__":
    main()
