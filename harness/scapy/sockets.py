"""Scapy's sockets at the ports of a LAN: layer 2, listening, and layer 3."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING, Any, Literal

from scapy.config import conf
from scapy.data import ETH_P_ALL, ETH_P_ARP, MTU
from scapy.error import Scapy_Exception
from scapy.interfaces import NetworkInterface, resolve_iface
from scapy.layers.inet import IP
from scapy.layers.l2 import ARP, Dot3, Ether
from scapy.packet import Packet
from scapy.supersocket import SuperSocket

from harness.live.traffic import Heard
from harness.scapy.bpf import Filter

if TYPE_CHECKING:
    from harness.scapy.interfaces import LanInterfaces

Clock = Literal["wall", "lan"]
"""Times by this computer's clock, or by the LAN's own, which is another if it is simulated."""

BROADCAST = "ff:ff:ff:ff:ff:ff"

ARP_S = 2
"""Seconds that an answer to ARP may take."""

_TYPE = slice(12, 14)


class LanSocket(SuperSocket):
    """Reads and writes frames at a port of a LAN, as Scapy's own socket does at a network card.

    Every socket gets every frame that reaches the port, but not those that the port sends.
    ``promisc`` (Scapy's default is on) asks the LAN for all frames; without it a frame that a
    host's card would not pass up is left out. ``filter`` is in tcpdump's language; ``type`` is
    an EtherType.
    """

    desc = "read/write frames at a port of a LAN"
    outgoing = False

    def __init__(
        self,
        iface: NetworkInterface | str | None = None,
        type: int = ETH_P_ALL,  # noqa: A002  # Scapy's own names
        promisc: bool | None = None,
        filter: str | None = None,  # noqa: A002
        nofilter: int = 0,
        monitor: bool | None = None,  # noqa: ARG002
        *,
        clock: Clock | None = None,
    ) -> None:
        self.closed = True  # until it is open
        self._device = device = resolve_iface(iface or conf.iface)
        self.iface = device.network_name
        self.LL = Ether
        self.promisc = bool(conf.sniff_promisc if promisc is None else promisc)
        self._lan: LanInterfaces = _lan_of(device)
        self._clock: Clock = clock or self._lan.clock
        self._port = self._lan.port_of(device)
        self._type = type
        self._filter = Filter(filter) if filter and not nofilter else None
        self._reader = self._lan.pump.open(self._port)
        self.ins = self.outs = self._reader  # type: ignore[assignment]
        if self.promisc:
            self._lan.pump.traffic.ask_for_all(self._port, True)
        self.closed = False

    def send(self, x: Packet | bytes) -> int:
        """Send a packet; FrameRefused if the port will not.

        Ethernet addresses that the packet leaves open are the port's own, and the one that ARP
        finds on this LAN: Scapy itself would ask on the interface of its default route.
        """
        frame = bytes(self._completed(x) if isinstance(x, Ether | Dot3) else x)
        at = self._lan.pump.send(self._port, frame, lan_time=self._clock == "lan")
        if isinstance(x, Packet):
            x.sent_time = at / 1e9
        return len(frame)

    def _completed(self, x: Packet) -> Packet:
        if x.fields.get("src") is not None and x.fields.get("dst") is not None:
            return x
        x = x.copy()
        x.src = x.fields.get("src") or self._device.mac
        if x.fields.get("dst") is None and isinstance(x.payload, IP):
            x.dst = self._neighbour(x.payload)
        return x

    def _neighbour(self, packet: IP) -> str:
        """The Ethernet address that an IP packet goes to from here."""
        name = self._device.network_name
        _, source, gateway = conf.route.route(packet.dst, dev=name, verbose=False)
        to = packet.dst if gateway == "0.0.0.0" else gateway
        number = socket.inet_aton(str(to))
        if 224 <= number[0] < 240:
            return f"01:00:5e:{number[1] & 0x7F:02x}:{number[2]:02x}:{number[3]:02x}"
        if to == "255.255.255.255" or to in conf.route.get_if_bcast(name):
            return BROADCAST
        known = self._lan.neighbours
        if to not in known:
            who_has = Ether(dst=BROADCAST, src=self._device.mac) / ARP(
                op="who-has", pdst=to, psrc=source, hwsrc=self._device.mac
            )
            with self._asking(self._device) as asking:
                answer = asking.sr1(who_has, timeout=ARP_S, verbose=0)
            if answer is None:
                raise Scapy_Exception(f"{name}: nobody answers ARP for {to} on {self._lan.name}")
            known[to] = answer[ARP].hwsrc
        return known[to]

    @staticmethod
    def _asking(device: NetworkInterface) -> LanSocket:
        return LanSocket(iface=device, promisc=False, type=ETH_P_ARP)

    def recv_raw(self, x: int = MTU) -> tuple[type[Packet] | None, bytes | None, float | None]:
        """The next frame, which is waited for."""
        while True:
            heard = self._reader.get()
            if heard is None:
                select.select([self._reader], [], [])
            elif self._wants(heard):
                time = heard.lan_time if self._clock == "lan" else heard.time
                return self.LL, heard.frame[:x], time / 1e9
            elif not self._has_more():
                return None, None, None

    def _has_more(self) -> bool:
        return bool(select.select([self._reader], [], [], 0)[0])

    def _wants(self, heard: Heard) -> bool:
        if heard.outgoing and not self.outgoing:
            return False
        if not (self.promisc or heard.passes_filter or heard.outgoing):
            return False
        if self._type != ETH_P_ALL and heard.frame[_TYPE] != self._type.to_bytes(2, "big"):
            return False
        return self._filter is None or self._filter.passes(heard.frame)

    def close(self) -> None:
        """Close; may be called twice."""
        if self.closed:
            return
        self.closed = True
        if self.promisc:
            self._lan.pump.traffic.ask_for_all(self._port, False)
        self._lan.pump.release(self._reader)


class LanListenSocket(LanSocket):
    """Reads frames at a port of a LAN, with those that the port sends."""

    desc = "read frames at a port of a LAN, also those that it sends"
    outgoing = True

    def send(self, x: Packet | bytes) -> int:  # noqa: ARG002
        """Not possible."""
        raise Scapy_Exception("a listening socket sends nothing")


class LanSocketL3(LanSocket):
    """Reads and writes packets at a port of a LAN; the address to send to is asked for by ARP."""

    desc = "read/write packets at a port of a LAN"

    def send(self, x: Packet | bytes) -> int:
        """Send a packet from the port that Scapy's routes choose."""
        if not isinstance(x, Packet):
            raise Scapy_Exception("a socket of layer 3 sends packets, not bytes")
        device = resolve_iface(x.route()[0] or self.iface)
        if device.network_name == self.iface:
            framed = self.LL() / x
            super().send(framed)
            x.sent_time = framed.sent_time
            return len(x)
        with device.l3socket()(iface=device) as other:
            return int(other.send(x))

    def recv(self, x: int = MTU, **kwargs: Any) -> Packet | None:
        """The next packet, without its Ethernet header."""
        packet = SuperSocket.recv(self, x, **kwargs)
        if packet is None or not isinstance(packet, Ether):
            return packet
        packet.payload.time = packet.time
        return packet.payload


def _lan_of(device: NetworkInterface) -> LanInterfaces:
    from harness.scapy.interfaces import LanInterfaces

    if not isinstance(device.provider, LanInterfaces):
        raise Scapy_Exception(f"{device.name} is no port of a LAN")
    return device.provider
