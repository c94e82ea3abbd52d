"""Run as an ordinary user: arping, srp, sniff, ping and a DHCP handshake on the LAN named."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

from harness import create
from harness.scapy import interfaces

scapy: Any = importlib.import_module("scapy.all")
assert os.geteuid() == 65534
status = Path("/proc/self/status").read_text().splitlines()
assert [line.split()[1] for line in status if line.startswith("Cap")] == ["0" * 16] * 5
scapy.conf.verb = 0
scapy.conf.checkIPaddr = False
lan = create(sys.argv[1])
host, server, dhcp = lan.ports(3)
with interfaces(lan, 3, addresses={host.name: "198.51.100.1/24"}):
    heard = scapy.AsyncSniffer(iface=server.name)
    machines = [
        scapy.ARP_am(IP_addr="198.51.100.2", iface=server.name),
        scapy.ICMPEcho_am(iface=server.name),
        scapy.DHCP_am(
            pool=["198.51.100.77"],
            network="198.51.100.0/24",
            gw="198.51.100.3",
            iface=dhcp.name,
        ),
    ]
    sniffers = [heard]
    heard.start()
    for machine in machines:
        machine.verbose = False
        machine.bg()
        sniffers.append(machine.sniffer)
    for sniffer in sniffers:
        while not hasattr(sniffer, "continue_sniff"):
            pass  # until its socket is open

    answers, _ = scapy.arping("198.51.100.2", iface=host.name, timeout=5)
    print("arping", answers[0].answer.hwsrc == server.mac.hex(":"))

    asked = scapy.Ether(dst=server.mac) / scapy.IP(dst="198.51.100.2") / scapy.ICMP(seq=7)
    asked.dst = server.mac.hex(":")
    asked[scapy.IP].src = "198.51.100.1"
    answered, unanswered = scapy.srp(asked, iface=host.name, timeout=5)
    print("srp", len(answered), len(unanswered), answered[0].answer[scapy.ICMP].seq)

    pong = scapy.sr1(scapy.IP(dst="198.51.100.2") / scapy.ICMP(), iface=host.name, timeout=5)
    print("sr1", pong.src, pong[scapy.ICMP].type)

    mac = host.mac.hex(":")
    offer = scapy.dhcp_discover(iface=host.name, hw=mac, timeout=5)
    ack = scapy.dhcp_request(
        requested_addr=offer.yiaddr, server_id="198.51.100.3", iface=host.name, hw=mac, timeout=5
    )
    kinds = [
        dict(option[:2] for option in packet[scapy.DHCP].options if option != "end")
        for packet in (offer, ack)
    ]
    print("dhcp", offer.yiaddr, [kind["message-type"] for kind in kinds])

    for sniffer in sniffers:
        sniffer.stop()
    print("sniff", sum(scapy.ICMP in packet for packet in heard.results))
lan.close()
