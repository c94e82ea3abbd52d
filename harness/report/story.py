"""A capture as a sequence: who sent what, who got it, and what became of it on the way.

The same story is drawn for a browser and for a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.report.reader import Packet

Fate = Literal["arrived", "cut", "dropped", "not for this host"]

MOST_PORTS = 9
"""Lifelines in a diagram; a test of 682 peers is told by those that matter first."""

MOST_STEPS = 40
"""Frames in a diagram; the capture has all of them."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """One frame's way from its sender to one port; ``notes`` say what happened on it."""

    to: str
    fate: Fate
    length: int
    of: int
    packet: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One frame: sent by ``port``, or, if that is empty, come from nowhere.

    ``stopped`` says why it did not leave its sender; ``notes`` what else is known of it.
    """

    port: str
    what: str
    length: int
    packet: int
    arrows: tuple[Arrow, ...]
    stopped: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """What stands in a diagram; ``hidden_*`` count what was left out."""

    ports: tuple[str, ...]
    steps: tuple[Step, ...]
    hidden_ports: int
    hidden_steps: int


def kind(frame: bytes) -> str:
    """What a frame is, in a word or two."""
    if len(frame) < 14:
        return "runt"
    if frame[:6] == b"\xff" * 6:
        return "broadcast"
    return "multicast" if frame[0] & 1 else "unicast"


def tell(ports: Sequence[str], packets: Sequence[Packet], first: int = 1) -> Story:
    """The story of a capture, from packet ``first`` on."""
    steps: list[_Step] = []
    for packet in packets:
        told = packet.comments[1:]
        if packet.direction == "sent":
            steps.append(_Step(packet, [], told))
            continue
        alike = [each for each in steps if _is_of(packet, each.packet)]
        # Of sends that are alike the first that this port has not seen arrives first.
        step = next((each for each in alike if not each.reached(packet.port)), None)
        if step is None:
            step = _Step(alike[-1].packet if alike else None, [], (), again=bool(alike))
            steps.append(step)
        step.arrows.append(_arrow(packet, told))
    shown = [each for each in steps if each.last >= first][:MOST_STEPS]
    used = {name for each in shown for name in each.ports()}
    # All ports of a small LAN stand there: that one got nothing is half of the story.
    names = list(ports) if len(ports) <= MOST_PORTS else [each for each in ports if each in used]
    kept = names[:MOST_PORTS]
    done = tuple(_finished(each, kept) for each in shown)
    return Story(tuple(kept), done, len(ports) - len(kept), len(steps) - len(shown))


@dataclass(slots=True)
class _Step:
    packet: Packet | None
    arrows: list[Arrow]
    told: tuple[str, ...]
    again: bool = False
    """It is a copy too many of what was sent before."""

    def reached(self, port: str) -> bool:
        return any(each.to == port for each in self.arrows)

    @property
    def last(self) -> int:
        numbers = [each.packet for each in self.arrows]
        return max(numbers + ([self.packet.number] if self.packet else []))

    def ports(self) -> list[str]:
        return [each.to for each in self.arrows] + ([self.packet.port] if self.packet else [])


def _is_of(packet: Packet, sent: Packet | None) -> bool:
    """Whether a received frame is one that was sent, or the start of it."""
    if sent is None or not sent.frame.startswith(packet.frame):
        return False
    return len(sent.frame) == packet.original_length or len(packet.frame) < len(sent.frame)


def _arrow(packet: Packet, told: tuple[str, ...]) -> Arrow:
    size = len(packet.frame)
    fate: Fate = "arrived"
    if packet.dropped:
        fate = "dropped"
    elif not packet.for_host:
        fate = "not for this host"
    elif size < packet.original_length:
        fate = "cut"
    return Arrow(packet.port, fate, size, packet.original_length, packet.number, told)


def _finished(step: _Step, ports: Sequence[str]) -> Step:
    if step.packet is None:
        (arrow,) = step.arrows
        what, length, port = "nobody sent this", arrow.length, ""
    else:
        what, length, port = kind(step.packet.frame), len(step.packet.frame), step.packet.port
    refused = [each for each in step.told if each.startswith("refused: ")]
    notes = tuple(each for each in step.told if each not in refused)
    arrows = tuple(each for each in step.arrows if each.to in ports)
    number = step.packet.number if step.packet else step.arrows[0].packet
    if step.again:
        what, number = "once more", step.arrows[0].packet
    return Step(port, what, length, number, arrows, "; ".join(refused), notes)
