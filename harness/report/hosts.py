"""A capture of any program as a sequence diagram: its hosts as lifelines, frames as arrows.

Who received a frame such a capture does not say; an arrow ends where the frame was to go. A
group's frame goes to all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.evidence.foreign import Captured, Contents
from harness.evidence.reader import BadCapture, Packet
from harness.report.sequence import diagram
from harness.report.terminal import drawing

HEADER = 14
NO_ADDRESS = "no address"
"""The lifeline of frames that are too short for one."""


def show(contents: Contents, width: int, first: int = 1) -> Iterator[str]:
    """One line at a time, from packet ``first`` on; BadCapture if there is no such packet."""
    path = contents.path
    packets = sorted((*contents.packets, *contents.snapped), key=lambda packet: packet.number)
    if first > packets[-1].number:
        raise BadCapture(f"{path}: there is no packet {first} in it")
    hosts = _hosts(packets)
    interfaces = list(dict.fromkeys(packet.interface for packet in packets if packet.interface))
    seen = f", seen at {', '.join(interfaces)}" if len(interfaces) > 1 else ""
    yield f"capture: {path.name}: {len(packets)} packets, {len(hosts)} hosts{seen}"
    for problem in contents.problems:
        yield f"problem: {problem}"
    yield ""
    ends = [end for packet in packets for end in _ends(packet, hosts)]
    drawn = diagram(hosts, ends, len(ends), first)
    yield from drawing(replace(drawn, hidden_packets=len(packets) - len(drawn.steps)), width)


def _hosts(packets: Sequence[Captured]) -> list[str]:
    """Who sends, and to whom, in the order in which they first appear."""
    named = []
    for packet in packets:
        named.append(_name(packet.frame[6:12]))
        if len(packet.frame) >= HEADER and not packet.frame[0] & 1:
            named.append(_name(packet.frame[:6]))
    return list(dict.fromkeys(named))


def _name(address: bytes) -> str:
    return address.hex(":") if len(address) == 6 else NO_ADDRESS


def _ends(packet: Captured, hosts: Sequence[str]) -> Iterator[Packet]:
    """A packet as it was sent, and as it would reach each host that it is for."""
    sender, to = _name(packet.frame[6:12]), packet.frame[:6]
    size = len(packet.frame)
    sent = Packet(
        packet.number, packet.time, sender, "sent", packet.frame, size, (), (),
        (f"the capture has {size} of {packet.original_length} bytes",)
        if size < packet.original_length
        else (),
    )  # fmt: skip
    yield sent
    if size < HEADER:
        return
    targets = hosts if to[0] & 1 else [_name(to)]
    for host in targets:
        if host != sender:
            yield sent._replace(port=host, direction="received", notes=())
