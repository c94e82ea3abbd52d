"""pytest glue: sockets that a test opened with `harness.scapy` end with the test."""

from __future__ import annotations

import sys
from typing import Any


def release(lan: Any) -> None:
    """Close the sockets on a LAN or a Testbench, if `harness.scapy` was used at all."""
    module = sys.modules.get("harness.scapy")
    if module is not None:
        module.release(lan)
