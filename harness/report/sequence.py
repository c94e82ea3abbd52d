"""A capture as a sequence: who sent what, who got it, and what became of it on the way.

The same diagram is drawn for a browser and for a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.evidence.reader import Packet

Fate = Literal["arrived", "cut", "dropped", "not for this host"]

MOST_PORTS = 9
"""Lifelines in a diagram; a test of 682 peers is told by those that matter first."""

REFUSED = "refused: "
"""How a comment begins of a frame that did not leave its sender."""

MOST_STEPS = 40
"""Frames in a diagram; the capture has all of them."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """One frame's way from its sender to one port; ``notes`` say what happened on it.

    ``length`` of its ``of`` bytes arrived: 0 of one that the Host could not leave there,
    whose ``packet`` is that of the sender.
    """

    to: str
    fate: Fate
    length: int
    of: int
    packet: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One frame: sent by ``port``, or, if that is empty, come from nowhere.

    ``stopped`` says why it did not leave its sender; ``notes`` what else is known of it;
    ``elsewhere`` counts what it reached of the ports that are not in the diagram.
    """

    port: str
    what: str
    length: int
    packet: int
    arrows: tuple[Arrow, ...]
    stopped: str
    notes: tuple[str, ...]
    elsewhere: int = 0


@dataclass(frozen=True, slots=True)
class Diagram:
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


def diagram(ports: Sequence[str], packets: Sequence[Packet], first: int = 1) -> Diagram:
    """A capture from packet ``first`` on, as far as it happens between ``ports``."""
    steps: list[_Step] = []
    for packet in packets:
        told = packet.told
        if packet.direction == "sent":
            steps.append(_Step(packet, [], told))
            continue
        alike = _sent_as(packet, steps)
        # Of sends that are alike the first that this port has not seen arrives first.
        step = next((each for each in alike if not each.reached(packet.port)), None)
        if step is None:
            step = _Step(alike[-1].packet if alike else None, [], (), again=bool(alike))
            steps.append(step)
        step.arrows.append(_arrow(packet, step.packet, told))
    shown = [each for each in steps if each.last >= first][:MOST_STEPS]
    kept = _kept(ports, shown)
    # A frame cannot be drawn without the port where it begins.
    shown = [each for each in shown if each.begins in kept]
    done = tuple(_finished(each, kept) for each in shown)
    return Diagram(tuple(kept), done, len(ports) - len(kept), len(steps) - len(shown))


def _kept(ports: Sequence[str], steps: Sequence[_Step]) -> list[str]:
    """The ports to draw, in the LAN's order: all of a small LAN, else senders first.

    That a port got nothing is half of the answer.
    """
    senders = [step.begins for step in steps]
    reached = [arrow.to for each in steps for arrow in each.arrows]
    wanted = list(dict.fromkeys([*senders, *reached, *ports]))[:MOST_PORTS]
    return [port for port in ports if port in wanted]


@dataclass(slots=True)
class _Step:
    packet: Packet | None
    arrows: list[Arrow]
    told: tuple[str, ...]
    again: bool = False
    """It is a copy too many of what was sent before."""

    @property
    def stopped(self) -> str:
        return "; ".join(each for each in self.told if each.startswith(REFUSED))

    def reached(self, port: str) -> bool:
        return any(arrow.to == port for arrow in self.arrows)

    @property
    def begins(self) -> str:
        return self.packet.port if self.packet else self.arrows[0].to

    @property
    def last(self) -> int:
        numbers = [arrow.packet for arrow in self.arrows]
        return max(numbers + ([self.packet.number] if self.packet else []))


def _sent_as(packet: Packet, steps: Sequence[_Step]) -> list[_Step]:
    """The sends that a received frame may be of: of all of it, else of one that it begins."""
    whole: list[_Step] = []
    starts: list[_Step] = []
    for step in steps:
        if step.stopped or step.again or step.packet is None:
            continue
        if step.packet.frame.startswith(packet.frame):
            if len(step.packet.frame) == packet.original_length:
                whole.append(step)
            elif len(packet.frame) < len(step.packet.frame):
                starts.append(step)
    return whole or starts


def _arrow(packet: Packet, sent: Packet | None, told: tuple[str, ...]) -> Arrow:
    size = len(packet.frame)
    # A LAN that cuts a frame on its way does not say how long it was.
    of = max(packet.original_length, len(sent.frame) if sent else 0)
    fate: Fate = "arrived"
    if packet.dropped:
        fate = "dropped"
    elif not packet.passes_filter:
        fate = "not for this host"
    elif size < of:
        fate = "cut"
        if not any(each.startswith("cut: ") for each in told):
            told = (f"cut: {size} of {of} bytes arrived", *told)
    return Arrow(packet.port, fate, size, of, packet.number, told)


def _finished(step: _Step, ports: Sequence[str]) -> Step:
    if step.packet is None:
        (arrow,) = step.arrows
        what, length, port = "nobody sent this", arrow.length, ""
    else:
        what, length, port = kind(step.packet.frame), len(step.packet.frame), step.packet.port
    number = step.packet.number if step.packet else step.arrows[0].packet
    if step.again:
        what, number = "once more", step.arrows[0].packet
    lost, notes = _lost(step, number, length)
    found = [*step.arrows, *lost]
    arrows = tuple(each for each in found if each.to in ports)
    elsewhere = sum(each.packet != number for each in found if each.to not in ports)
    return Step(port, what, length, number, arrows, step.stopped, notes, elsewhere)


def _lost(step: _Step, number: int, length: int) -> tuple[list[Arrow], tuple[str, ...]]:
    """Frames that the Host took to a port and could not leave there, and what else is told."""
    reached = {arrow.to for arrow in step.arrows}
    lost: dict[str, tuple[str, ...]] = {}
    notes: list[str] = []
    for told in step.told:
        to, colon, why = told.removeprefix("to ").partition(": ")
        if told.startswith("to ") and colon and to not in reached:
            lost[to] = (*lost.get(to, ()), why)
        elif not told.startswith(REFUSED):
            notes.append(told)
    arrows = [
        Arrow(to, "dropped", 0, length, number, tuple(dict.fromkeys(why)))
        for to, why in lost.items()
    ]
    return arrows, tuple(notes)
