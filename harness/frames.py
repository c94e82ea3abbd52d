"""What is sent: frames built with Scapy, as bytes, and layouts to send them in.

Every payload is a stream of its own, chosen by ``stamp``: two stamps differ at once
and everywhere, and no part of a payload repeats another, so a byte out of place shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Protocol

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, LLC, SNAP, STP, Dot1Q, Dot3, Ether
from scapy.packet import Packet, Raw

from harness.lan import Layout

HEADER = 14
"""Bytes in an Ethernet header."""

LONGEST = 1514
"""Bytes in the longest ordinary frame: a header and 1,500."""

LARGEST = 65_535
"""Bytes in the largest packet."""

PAGE = 4096
"""Bytes in a page of a Guest's memory."""

EXPERIMENTAL = 0x88B5
"""The EtherType for local experiments: nothing dissects or answers it."""

BROADCAST = b"\xff" * 6

GROUPS = {
    "broadcast": BROADCAST,
    "ipv4-multicast": bytes.fromhex("01005e0000fb"),
    "ipv6-multicast": bytes.fromhex("333300000001"),
    "ipv6-solicited-node": bytes.fromhex("3333ff000001"),
    "lldp": bytes.fromhex("0180c200000e"),
    "spanning-tree": bytes.fromhex("0180c2000000"),
    "pause": bytes.fromhex("0180c2000001"),
    "local-group": bytes.fromhex("030000000001"),
    "lowest-group": bytes.fromhex("010000000000"),
}
"""Group destinations, by kind: each has the lowest bit of its first byte set."""


class HasAddress(Protocol):
    """A port, or whatever else has an address."""

    @property
    def mac(self) -> bytes: ...


def address(of: HasAddress | bytes) -> bytes:
    """The six bytes of a port's address, or of the address itself."""
    return of if isinstance(of, bytes) else of.mac


def payload(size: int, stamp: int = 0) -> bytes:
    """``size`` bytes of the stream that belongs to ``stamp``."""
    return hashlib.shake_128(b"payload %d" % stamp).digest(size)


def ethernet(
    to: HasAddress | bytes,
    by: HasAddress | bytes,
    *,
    size: int = 60,
    stamp: int = 0,
    kind: int = EXPERIMENTAL,
) -> bytes:
    r"""A frame of ``size`` bytes in all, cut short if that is less than a header of 14.

    ``to`` and ``by`` are ports, or addresses of six bytes. ``kind`` is the EtherType (0x88B5,
    which is for experiments), or the length field of an 802.3 frame. ``stamp`` selects the
    payload: two stamps give two payloads that differ at once and everywhere.

    >>> frame = ethernet(to=b"\x02\0\0\0\0\2", by=b"\x02\0\0\0\0\1", size=60)
    >>> len(frame), frame[:14].hex(" ")
    (60, '02 00 00 00 00 02 02 00 00 00 00 01 88 b5')
    >>> len(ethernet(to=frame[:6], by=frame[6:12], size=13))
    13
    """
    header = address(to) + address(by) + kind.to_bytes(2, "big")
    return (header + payload(max(0, size - HEADER), stamp))[:size]


CUSTOMER, SERVICE, OLD_SERVICE = 0x8100, 0x88A8, 0x9100
"""Types of VLAN tags: 802.1Q, 802.1ad, and what some used before it."""


def tagged(
    frame: bytes, *, vlan: int = 42, priority: int = 0, drop: bool = False, kind: int = CUSTOMER
) -> bytes:
    """The frame with a VLAN tag (802.1Q 9.6) before its type field; it is four bytes longer."""
    control = priority << 13 | drop << 12 | vlan
    return frame[:12] + kind.to_bytes(2, "big") + control.to_bytes(2, "big") + frame[12:]


def real_frames(to: HasAddress | bytes, by: HasAddress | bytes, stamp: int = 0) -> dict[str, bytes]:
    """One frame of each kind that real hosts send, by name."""
    destination, source = address(to).hex(":"), address(by).hex(":")
    header = Ether(dst=destination, src=source)
    data = Raw(payload(48, stamp))
    ipv4 = IP(src="192.0.2.1", dst="192.0.2.2", id=stamp & 0xFFFF)
    ipv6 = IPv6(src="fe80::1", dst="fe80::2")
    asks = ICMPv6ND_NS(tgt="fe80::2") / ICMPv6NDOptSrcLLAddr(lladdr=source)
    frames: dict[str, Packet] = {
        "arp": header / ARP(op="who-has", hwsrc=source, psrc="192.0.2.1", pdst="192.0.2.2"),
        "ipv4-udp": header / ipv4 / UDP(sport=4000, dport=4001) / data,
        "ipv6-udp": header / ipv6 / UDP(sport=4000, dport=4001) / data,
        "ipv6-neighbor-solicitation": header / ipv6 / asks,
        "vlan": header / Dot1Q(vlan=42, prio=3) / ipv4 / UDP(sport=4000, dport=4001) / data,
        "vlan-in-vlan": header / Dot1Q(vlan=42) / Dot1Q(vlan=7, type=EXPERIMENTAL) / data,
        "llc-stp": Dot3(dst=destination, src=source) / LLC() / STP(),
        "llc-snap": Dot3(dst=destination, src=source) / LLC() / SNAP(code=EXPERIMENTAL) / data,
        "raw-802.3": Dot3(dst=destination, src=source) / Raw(b"\xff\xff" + payload(44, stamp)),
    }
    return {name: bytes(frame) for name, frame in frames.items()}


def fragmented(length: int, linear: int, fragments: int, offset: int = 0) -> Layout:
    """``linear`` bytes, and the rest of ``length`` shared out over so many fragments."""
    rest = length - linear
    sizes = [rest // fragments + (n < rest % fragments) for n in range(fragments)]
    return Layout(linear, offset, tuple((size, 0) for size in sizes))


def pages_of(length: int, linear: int) -> Layout:
    """``linear`` bytes, and the rest in whole pages with what is left over in the last."""
    rest = length - linear
    sizes = [PAGE] * (rest // PAGE) + ([rest % PAGE] if rest % PAGE else [])
    return Layout(linear, 0, tuple((size, 0) for size in sizes))


def each_bit_flipped(of: bytes) -> Iterator[tuple[int, bytes]]:
    """An address with one bit changed, for each of its 48 bits: (bit, address).

    The group bit is left alone: with it set, it would be a group address.
    """
    for bit in range(48):
        if bit == 0:
            continue
        changed = bytearray(of)
        changed[bit // 8] ^= 1 << bit % 8
        yield bit, bytes(changed)


def cast(frame: bytes) -> str:
    """What a frame is, in a word: unicast, multicast, broadcast or runt."""
    if len(frame) < HEADER:
        return "runt"
    if frame[:6] == BROADCAST:
        return "broadcast"
    return "multicast" if frame[0] & 1 else "unicast"


def field_tree(frame: bytes) -> str:
    """All fields of a frame by layer, as Scapy shows them."""
    if len(frame) < HEADER:
        return describe(frame)
    return str(Ether(frame).show(dump=True)).rstrip()


def describe(frame: bytes) -> str:
    """A frame in a line, as Scapy reads it."""
    if len(frame) < HEADER:
        return f"runt {frame.hex(' ')}" if frame else "empty"
    return str(Ether(frame).summary())
