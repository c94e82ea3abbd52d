"""Forms that need nothing of Linux work where nothing of it is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.lans.users import EXAMPLES, ROOT

HIDDEN = """
import ctypes, os, select, shlex, signal, socket, sys, tempfile, threading
import sysconfig
import scapy.all  # it knows other systems by itself

sysconfig.get_config_vars()

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"pyroute2", "_curses"}:
            raise ModuleNotFoundError(f"{name} is hidden", name=name)

sys.meta_path.insert(0, Hidden())
sys.platform = "darwin"
for module, names in {
    os: "pidfd_open setns unshare sched_setaffinity sched_getaffinity eventfd memfd_create",
    socket: "AF_PACKET PACKET_OUTGOING SO_BINDTODEVICE SOCK_NONBLOCK SOCK_CLOEXEC AF_NETLINK",
    select: "epoll",
    signal: "pidfd_send_signal",
}.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
whole = ctypes.CDLL
def library(name, *arguments, **options):
    made = whole(name, *arguments, **options)
    for hidden in ("setns", "unshare", "prctl"):
        setattr(made, hidden, None)
    return made
ctypes.CDLL = library

from harness import registry
from harness.frames import ethernet

def carries(lan):
    sender, owner, other = lan.ports(3)
    frame = ethernet(owner, sender)
    sender.send(frame)
    lan.settle()
    assert [got.frame for got in owner.arrivals()] == [frame]
    lan.close()

folder = tempfile.mkdtemp()
"""

FORMS = {
    "lguest": """
carries(registry.create("lguest"))
carries(registry.create("lguest-repaired"))
""",
    "memory": """
for kind in ("repeater", "learning", "directory"):
    carries(registry.create(f"memory-{kind}"))
""",
    "python": """
sys.path.insert(0, EXAMPLES)
carries(registry.create("python:hub_class:Hub"))
""",
    "stream": """
listener = socket.socket(socket.AF_UNIX)
listener.bind(f"{folder}/hub")
listener.listen()

def serve():
    ports = [listener.accept()[0] for _ in range(3)]
    while True:
        for ready in select.select(ports, [], [])[0]:
            data = ready.recv(65536)
            for port in ports:
                if port is not ready:
                    port.sendall(data)

threading.Thread(target=serve, daemon=True).start()
carries(registry.create(f"stream:{folder}/hub"))
""",
    "dgram": """
ends = []
for number in range(3):
    end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    end.bind(f"{folder}/lan{number}")
    ends.append(end)

def serve():
    while True:
        for ready in select.select(ends, [], [])[0]:
            data = ready.recv(65536)
            for number, end in enumerate(ends):
                if end is not ready:
                    end.sendto(data, f"{folder}/port{number}")

threading.Thread(target=serve, daemon=True).start()
pairs = ";".join(f"{folder}/port{number},{folder}/lan{number}" for number in range(3))
carries(registry.create(f"dgram:{pairs}"))
""",
    "command": """
carries(registry.create("command:" + shlex.join([sys.executable, EXAMPLES + "/hub.py"])))
""",
    "file": """
listener = socket.socket(socket.AF_UNIX)
listener.bind(f"{folder}/hub")
listener.listen()
with open(f"{folder}/mine.toml", "w") as file:
    file.write(f'[ports]\\nform = "stream"\\nspec = "{folder}/hub"\\n')
assert registry.entry(f"{folder}/mine.toml").outside
""",
    "interfaces": """
try:
    registry.create("interfaces:a,b")
except Exception as error:
    assert "pyroute2 is not installed" in str(error), error
else:
    raise AssertionError("it needs Linux")
""",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_works_without_what_is_linux_alone(form: str) -> None:
    code = f"EXAMPLES = {str(EXAMPLES)!r}\n{HIDDEN}{FORMS[form]}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert done.returncode == 0, done.stderr
