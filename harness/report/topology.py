"""A picture of the LAN: its ports, who sent and received how much, and where it was wrong.

All numbers are pixels.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from harness.evidence.reader import Packet

MOST_PORTS = 9
BOX, GAP = 128, 10
"""The width of a port, and between two."""


@dataclass(frozen=True, slots=True)
class PortBox:
    """A port; ``x`` is its middle, ``wrong`` the kinds of difference at it."""

    x: float
    name: str
    address: str
    sent: int
    received: int
    wrong: str


@dataclass(frozen=True, slots=True)
class Topology:
    """The whole picture; ``hidden`` ports have no room in it."""

    width: float
    lan: str
    ports: tuple[PortBox, ...]
    hidden: int

    @property
    def title(self) -> str:
        """What it shows, in words."""
        wrong = [f"{port.name} {port.wrong}" for port in self.ports if port.wrong]
        bad = f"; wrong at {', '.join(wrong)}" if wrong else ""
        return f"{self.lan} with ports {', '.join(port.name for port in self.ports)}{bad}"


def topology(
    lan: str,
    ports: Sequence[str],
    addresses: Mapping[str, str],
    packets: Sequence[Packet],
    wrong: Mapping[str, Collection[str]],
) -> Topology:
    """Ports side by side below their LAN."""
    shown = ports[:MOST_PORTS]
    boxes = [
        PortBox(
            GAP + BOX / 2 + (BOX + GAP) * number,
            name,
            addresses.get(name, ""),
            sum(packet.port == name and packet.direction == "sent" for packet in packets),
            sum(packet.port == name and packet.direction == "received" for packet in packets),
            ", ".join(wrong.get(name, ())),
        )
        for number, name in enumerate(shown)
    ]
    width = GAP + (BOX + GAP) * max(len(shown), 2)
    return Topology(width, lan, tuple(boxes), len(ports) - len(shown))
