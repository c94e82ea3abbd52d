"""The capture of a LAN in use: a pcapng file that grows, with what captures of tests have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from time import time_ns

from harness.evidence import pcapng
from harness.lan import Lan, LanError, Record


class LiveCapture:
    """A capture that is written while the LAN is used; LanError if it cannot be.

    Times are of this computer's clock. The LAN's own are kept for real LANs; those of a
    simulated LAN are moved, so that the last frame of each batch was seen when it was.
    """

    def __init__(self, path: Path, about: Iterable[str]) -> None:
        self._path = path
        self._read = 0
        self._last = 0
        self._numbers: dict[str, int] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb")
            self._file.write(pcapng.head(about))
            self._file.flush()
        except OSError as error:
            raise LanError(f"{path}: {error.strerror}") from None

    def add(self, lan: Lan, take: Callable[[], Sequence[Record]] | None) -> None:
        """Write what is new in a LAN's records; ``take`` gets it, and lets the LAN forget it."""
        if take is not None:
            records = take()
        else:
            records = lan.records()[self._read :]
            self._read += len(records)
        if not records:
            return
        simulated = lan.traits.settles == "barrier"
        self.write(lan.interfaces(), records, time_ns() - records[-1].time if simulated else 0)

    def write(
        self, interfaces: Sequence[tuple[str, bytes]], records: Iterable[Record], later_ns: int = 0
    ) -> None:
        """Write records, and the interfaces that are new with them."""
        blocks = []
        for name, mac in interfaces:
            if name not in self._numbers:
                self._numbers[name] = len(self._numbers)
                blocks.append(pcapng.interface(name, mac))
        for record in records:
            self._last = max(self._last, record.time + later_ns)
            blocks.append(pcapng.packet(record._replace(time=self._last), self._numbers))
        if not blocks:
            return
        try:
            self._file.write(b"".join(blocks))
            self._file.flush()
        except OSError as error:
            raise LanError(f"{self._path}: {error.strerror}") from None

    def close(self) -> None:
        """Nothing more is written."""
        self._file.close()
