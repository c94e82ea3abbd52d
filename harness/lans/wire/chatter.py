"""Frames that a LAN is declared to send by itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chatter:
    """Frames with these bytes; what is empty may be anything."""

    destination: bytes = b""
    source: bytes = b""
    ethertype: bytes = b""

    def covers(self, frame: bytes) -> bool:
        """Whether a frame is one of them."""
        return len(frame) >= 14 and (
            frame.startswith(self.destination)
            and frame.startswith(self.source, 6)
            and frame.startswith(self.ethertype, 12)
        )
