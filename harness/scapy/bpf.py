"""Filters in tcpdump's language, compiled and run by libpcap, as Scapy does for its own sockets."""

from __future__ import annotations

import ctypes
import ctypes.util
from typing import Any

from scapy.arch.common import compile_filter, free_filter
from scapy.error import Scapy_Exception

ETHERNET = 1


class Filter:
    """A compiled filter; Scapy_Exception if it is wrong, or libpcap is not installed."""

    def __init__(self, text: str) -> None:
        try:
            self._program: Any = compile_filter(text, linktype=ETHERNET)
        except (ImportError, Scapy_Exception) as error:
            raise Scapy_Exception(f"Cannot set filter: {error}") from None
        self._free = free_filter
        self._run = ctypes.CDLL(ctypes.util.find_library("pcap")).bpf_filter

    def passes(self, frame: bytes) -> bool:
        """Whether a frame is asked for."""
        size = ctypes.c_uint(len(frame))
        return bool(self._run(self._program.bf_insns, frame, size, size))

    def __del__(self) -> None:
        if getattr(self, "_program", None) is not None:
            self._free(self._program)
