"""A station that answers ARP and ping: enough of a host for a kernel to talk to."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

from harness.lan import LanError

HEADER = 14
_ARP, _IPV4, _ICMP = b"\x08\x06", b"\x08\x00", 1
_ETHERNET_IPV4 = b"\x00\x01\x08\x00\x06\x04"
_REQUEST, _REPLY = b"\x00\x01", b"\x00\x02"
_ECHO = 8


@dataclass(frozen=True, slots=True)
class Station:
    """A host with one Ethernet address and one IPv4 address."""

    mac: bytes
    ip: bytes

    def answer(self, frame: bytes) -> bytes | None:
        """What it sends when a frame has reached it; None for nothing."""
        if len(frame) < HEADER or not (frame[:6] == self.mac or frame[0] & 1):
            return None
        header = frame[6:12] + self.mac
        if frame[12:14] == _ARP:
            payload = self._arp(frame[HEADER:])
        elif frame[12:14] == _IPV4 and frame[:6] == self.mac:
            payload = self._echo(frame[HEADER:])
        else:
            return None
        return None if payload is None else header + frame[12:14] + payload

    def _arp(self, asked: bytes) -> bytes | None:
        if len(asked) < 28 or asked[:8] != _ETHERNET_IPV4 + _REQUEST or asked[24:28] != self.ip:
            return None
        return _ETHERNET_IPV4 + _REPLY + self.mac + self.ip + asked[8:18]

    def _echo(self, packet: bytes) -> bytes | None:
        """An echo request sent back; of a fragmented one the rest as it is."""
        if len(packet) < 20 or packet[0] >> 4 != 4 or packet[9] != _ICMP:
            return None
        start = (packet[0] & 15) * 4
        length = int.from_bytes(packet[2:4], "big")
        offset = int.from_bytes(packet[6:8], "big") & 0x1FFF
        if packet[16:20] != self.ip or not start + 4 <= length <= len(packet):
            return None
        body = packet[start:length]
        if not offset:
            if body[0] != _ECHO:
                return None
            # The type goes from 8 to 0: the checksum changes by as much (RFC 1624).
            total = int.from_bytes(body[2:4], "big") + (_ECHO << 8)
            body = struct.pack(">BBH", 0, body[1], (total & 0xFFFF) + (total >> 16)) + body[4:]
        return packet[:12] + packet[16:20] + packet[12:16] + packet[20:start] + body


def station(mac: bytes, address: str) -> Station:
    """A station with an IPv4 address in words; LanError if it is none."""
    try:
        return Station(mac, ipaddress.IPv4Address(address).packed)
    except ValueError:
        raise LanError(f"{address}: not an IPv4 address") from None
