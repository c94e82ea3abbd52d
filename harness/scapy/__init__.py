"""Scapy on a LAN: a socket per port, and interfaces that Scapy finds by name.

>>> import scapy.all as scapy
>>> from harness.scapy import interfaces, socket
>>> lan = create("lguest")
>>> with interfaces(lan, 2):
...     answers = scapy.AsyncSniffer(iface="guest2", count=1)
...     answers.start()
...     scapy.sendp(scapy.Ether(dst="02:00:02:00:00:00") / b"hello", iface="guest1", verbose=0)
...     answers.join(timeout=5)
...     bytes(answers.results[0].payload)
b'hello'
"""

from harness.scapy.interfaces import LanInterfaces, interfaces, release, socket
from harness.scapy.sockets import LanSocket

__all__ = ["LanInterfaces", "LanSocket", "interfaces", "release", "socket"]
