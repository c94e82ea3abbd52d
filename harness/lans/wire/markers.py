"""The markers of fences: unknown to the LAN beforehand, and each must arrive once and whole."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Literal, NamedTuple

from harness.lan import check_calm

BROADCAST = b"\xff" * 6
ETHERTYPE = b"\x88\xb5"
"""For local experiments: a marker looks like most frames of the tests."""

SIZE = 60
KNOWN_BY = 34
"""Bytes by which a marker is recognised though its end is not what it was."""

MOST_FAULTS = 16


FaultKind = Literal["duplicate", "truncated", "longer", "altered"]


class Fault(NamedTuple):
    """What was wrong with a marker that arrived at a port."""

    port: str
    kind: FaultKind
    text: str
    frame: bytes


class Markers:
    """Makes markers from a seed, recognises those that arrive, and keeps what was wrong."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self.last = 0
        """The number of the last marker."""
        self._sent: dict[bytes, tuple[int, bytes]] = {}
        """How a marker begins to its number and its bytes."""
        self._seen: dict[str, set[int]] = {}
        self._again = Counter[str]()
        self._faults: list[Fault] = []

    def _random(self, what: str, size: int) -> bytes:
        return hashlib.shake_128(self._seed + what.encode()).digest(size)

    def address(self, port: str) -> bytes:
        """Where the markers of a port come from: no address of a port, and not that of a group."""
        first, *rest = self._random(f"address {port}", 6)
        return bytes([first & 0xFC | 0x02, *rest])

    def make(self, port: str) -> bytes:
        """The next marker, sent by a port."""
        self.last += 1
        head = BROADCAST + self.address(port) + ETHERTYPE
        marker = head + self._random(f"marker {self.last}", SIZE - len(head))
        self._sent[marker[:KNOWN_BY]] = self.last, marker
        return marker

    def number(self, port: str, frame: bytes) -> int:
        """The number of the marker that arrived at a port; 0 for any other frame."""
        number, marker = self._sent.get(frame[:KNOWN_BY], (0, b""))
        if number:
            seen = self._seen.setdefault(port, set())
            if number in seen:
                self._again[port] += 1
                check_calm(port, self._again[port], self.last)
                self._keep(Fault(port, "duplicate", "the marker of a fence arrived again", frame))
            elif frame != marker:
                more = len(frame) - SIZE
                kind: FaultKind = "longer" if more > 0 else "truncated" if more < 0 else "altered"
                text = f"the marker of a fence, {len(frame)} instead of {SIZE} bytes"
                self._keep(Fault(port, kind, text if more else "the marker of a fence", frame))
            seen.add(number)
        return number

    def _keep(self, fault: Fault) -> None:
        if len(self._faults) < MOST_FAULTS:
            self._faults.append(fault)

    def take_faults(self) -> list[Fault]:
        """What was wrong with markers since the last call."""
        faults, self._faults = self._faults, []
        return faults
