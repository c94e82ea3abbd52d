"""PTF's own data plane and verify functions, told over a pipe what to do.

Started with what is to be checked as JSON; each line ``HOW COUNT`` on standard input makes
so many checks and is answered with the rate. PTF itself prints too, hence the mark.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from dataclasses import dataclass
from typing import Any, NoReturn

ANSWER = "checks per second: "
"""Before each answer."""

POSITIVE_S, NEGATIVE_S = 2.0, 0.1
"""How long PTF waits for a frame that must come and for one that must not: its defaults."""

_NEW_NETWORK = 0x40000000


@dataclass(frozen=True, slots=True)
class _Test:
    """What PTF's functions want of a test case."""

    dataplane: Any

    def before_send(self, *_: object, **__: object) -> None:
        """Nothing to do."""

    def at_receive(self, *_: object, **__: object) -> None:
        """Nothing to do."""

    def fail(self, why: str) -> NoReturn:
        raise AssertionError(why)


def main() -> None:
    """Answer until nobody asks any more."""
    about = json.loads(sys.argv[1])
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(about["namespace"], _NEW_NETWORK) != 0:
        raise OSError(ctypes.get_errno(), "the bridge's network namespace cannot be entered")
    import ptf
    from ptf import ptfutils

    ports = {(0, number): name for number, name in enumerate(about["interfaces"])}
    ptf.config.update(platform="eth", port_map=ports, relax=False)
    ptfutils.default_timeout = POSITIVE_S
    ptfutils.default_negative_timeout = NEGATIVE_S
    frame = bytes.fromhex(about["frame"])
    for line in sys.stdin:
        how, count = line.split()
        rate = _rate(how, int(count), about["sender"], about["owner"], frame)
        print(f"{ANSWER}{rate}", flush=True)


def _rate(how: str, count: int, sender: int, owner: int, frame: bytes) -> float:
    """Checks per second; AssertionError if PTF does not see what it should."""
    import ptf
    from ptf import testutils
    from ptf.dataplane import DataPlane

    dataplane = DataPlane(ptf.config)
    try:
        for (device, number), interface in ptf.config["port_map"].items():
            dataplane.port_add(interface, device, number)
        test = _Test(dataplane)
        testutils.send_packet(test, sender, frame)
        testutils.verify_packet(test, frame, owner)
        dataplane.flush()
        start = time.perf_counter()
        for _ in range(count):
            testutils.send_packet(test, sender, frame)
            if how == "verify_packets":
                testutils.verify_packets(test, frame, [owner])
            else:
                testutils.verify_packet(test, frame, owner)
                testutils.verify_no_other_packets(test)
        return count / (time.perf_counter() - start)
    finally:
        dataplane.kill()


if __name__ == "__main__":
    main()
