"""PTF on the bridge that the harness tests, in the same run: the same check in its words.

PTF opens the ports by name, so it runs in a process of its own in their network namespace.
That process does nothing between rounds, and has the ports open during its own alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator

from bench import ptf_child
from bench.rates import Round
from bench.real_lans import OWNER, PORTS, SENDER, the_frame
from harness.lans.wire.fence import FencedLan

CHECKS = 3
"""Checks in a round; PTF waits 0.1 s up to four times for each."""

_SIOCGSKNS = 0x894C
"""Asks a socket for its network namespace."""


def is_installed() -> bool:
    """Whether PTF is there: it is in the extra ``bench``."""
    return importlib.util.find_spec("ptf") is not None


@contextlib.contextmanager
def rounds(lan: FencedLan) -> Iterator[dict[str, Round]]:
    """Rounds of PTF's checks on this LAN by name, each in checks per second."""
    ports = lan.ports(PORTS)
    namespace = fcntl.ioctl(ports[0].transport.fileno(), _SIOCGSKNS)
    about = {
        "namespace": namespace,
        "interfaces": [port.name for port in ports],
        "sender": SENDER,
        "owner": OWNER,
        "frame": the_frame(lan).hex(),
    }
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", ptf_child.__name__, json.dumps(about)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[namespace],
        )
    finally:
        os.close(namespace)
    with child:
        try:
            yield {
                "ptf_exchanges": lambda: _ask(child, "verify_packets"),
                "ptf_exchanges_fewest_waits": lambda: _ask(child, "fewest_waits"),
            }
        finally:
            child.kill()


def _ask(child: subprocess.Popen[str], how: str) -> float:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(f"{how} {CHECKS}\n")
    child.stdin.flush()
    for line in child.stdout:
        if line.startswith(ptf_child.ANSWER):
            return float(line.removeprefix(ptf_child.ANSWER))
    raise RuntimeError("PTF ended without an answer; what it said stands above")
