"""The ports of a LAN as Scapy's interfaces: ``sniff(iface="guest2")``."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scapy.config import conf
from scapy.interfaces import InterfaceProvider, NetworkInterface
from scapy.supersocket import SuperSocket

from harness.lan import Lan, LanError, Port
from harness.live.pump import Pump
from harness.live.recording import LiveCapture
from harness.live.traffic import Traffic
from harness.scapy.sockets import Clock, LanListenSocket, LanSocket, LanSocketL3

ETHERNET = 1
FIRST_INDEX = 1_000_000
"""Number of a LAN's first interface: no network card has it."""


class LanInterfaces(InterfaceProvider):
    """The ports of one LAN, while Scapy knows them. Made by ``interfaces``; a context manager.

    ``pump`` moves the frames; ``clock`` says which times packets get.
    """

    def __init__(
        self, lan: Any, prefix: str, addresses: Mapping[str, str], clock: Clock, pump: Pump
    ) -> None:
        self.lan = lan
        self.name = pump.traffic.lan.name
        self.clock = clock
        self.pump = pump
        self.neighbours: dict[str, str] = {}
        """IPv4 address to Ethernet address, as ARP found them."""
        self._prefix = prefix
        self._addresses = dict(addresses)
        self._devices: dict[str, NetworkInterface] = {}
        self._routes: list[str] = []

    def __call__(self) -> LanInterfaces:
        """Scapy makes a provider by calling it."""
        return self

    def __enter__(self) -> LanInterfaces:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def load(self) -> dict[str, NetworkInterface]:
        """The interfaces, by name."""
        return dict(self._devices)

    def add(self, ports: Sequence[Port]) -> None:
        """Make interfaces of more ports; LanError if Scapy has one of that name."""
        for port in ports:
            name = self._prefix + port.name
            if name in self._devices:
                self.pump.traffic.add(port)
                continue
            if name in conf.ifaces:
                raise LanError(
                    f"Scapy has an interface {name} already: give these a prefix, as in"
                    ' interfaces(lan, prefix="second-")'
                )
            address = self._addresses.get(port.name, "")
            self.pump.traffic.add(port)
            self._devices[name] = NetworkInterface(
                self,
                {
                    "name": name,
                    "description": name,
                    "network_name": name,
                    "index": FIRST_INDEX + len(self._devices),
                    "mac": port.mac.hex(":"),
                    "ips": [address.partition("/")[0]] if address else [],
                    "type": ETHERNET,
                    "flags": 0,
                },
            )
            if address:
                conf.route.ifadd(name, address)
                self._routes.append(name)

    def port_of(self, device: NetworkInterface) -> str:
        """The name of an interface's port."""
        return str(device.network_name).removeprefix(self._prefix)

    def socket(self, port: Port | str, **options: Any) -> LanSocket:
        """A new socket at a port; options are those of `LanSocket`."""
        name = self._prefix + (port if isinstance(port, str) else port.name)
        if name not in self._devices:
            raise LanError(f"{self.name}: Scapy knows no port {name} of it")
        return LanSocket(iface=self._devices[name], **options)

    def close(self) -> None:
        """Close all sockets, and take the interfaces and their routes out of Scapy."""
        self.pump.close()
        conf.ifaces.providers.pop(self, None)  # type: ignore[call-overload]
        for name in self._devices:
            conf.ifaces.data.pop(name, None)
        while self._routes:
            conf.route.ifdel(self._routes.pop())

    def _is_valid(self, dev: NetworkInterface) -> bool:
        return bool(dev.mac)

    def _l2socket(self, dev: NetworkInterface) -> type[SuperSocket]:  # noqa: ARG002
        return LanSocket

    def _l2listen(self, dev: NetworkInterface) -> type[SuperSocket]:  # noqa: ARG002
        return LanListenSocket

    def _l3socket(self, dev: NetworkInterface, ipv6: bool) -> type[SuperSocket]:  # noqa: ARG002
        return LanSocketL3


def interfaces(
    lan: Any,
    count: int | None = None,
    *,
    addresses: Mapping[str, str] | None = None,
    prefix: str = "",
    clock: Clock = "wall",
    capture: Path | str | None = None,
) -> LanInterfaces:
    """Make Scapy's interfaces of the first ``count`` ports of a LAN.

    The LAN is a `Lan`, or a test's `Testbench`, which then judges all that arrives. Without
    ``count`` it is as many ports as the LAN declares. ``addresses`` gives IPv4 addresses to
    ports, as in ``{"guest1": "198.51.100.1/24"}``, which makes Scapy's routes. ``clock``: "wall"
    for times of this computer, "lan" for those of a simulated LAN. ``capture`` is a pcapng file
    to write; in a test the test's own capture is written instead.

    >>> lan = create("lguest")
    >>> with interfaces(lan, 2, addresses={"guest1": "198.51.100.1/24"}) as joined:
    ...     sorted(joined.load())
    ['guest1', 'guest2']
    """
    judged = lan if hasattr(lan, "take_judged") else None
    inner: Lan = lan.lan if judged is not None else lan
    ports = lan.ports(inner.traits.ports if count is None else count)
    for name in addresses or ():
        if name not in [port.name for port in ports]:
            raise LanError(f"{inner.name}: addresses names {name}, which is none of its ports")
    kept = None
    if capture is not None:
        if judged is not None:
            raise LanError("a test writes its own capture: leave capture out")
        kept = LiveCapture(Path(capture), (f"{inner.name}, used with Scapy",))
    pump = Pump(Traffic(inner, judge=judged, capture=kept))
    joined = LanInterfaces(lan, prefix, addresses or {}, clock, pump)
    joined.add(ports)
    conf.ifaces.register_provider(joined)  # type: ignore[arg-type]
    conf.ifaces.reload()
    return joined


def socket(port: Port, **options: Any) -> LanSocket:
    """A Scapy socket at a port; options are those of `LanSocket`.

    If Scapy does not know the port's LAN yet, the ports of the LAN become its interfaces; those
    of a LAN of your own need `interfaces` first, unless its ports have an attribute ``lan``. A
    wrapper (`harness.lans.wrappers`) acts on all that crosses the port from then on.

    >>> lan = create("lguest")
    >>> guest1, guest2 = lan.ports(2)
    >>> with socket(guest1) as sender, socket(guest2) as receiver:
    ...     _ = sender.send(ethernet(to=guest2, by=guest1))
    ...     receiver.recv().src
    '02:00:01:00:00:00'
    >>> release(lan)
    """
    lan = getattr(port, "lan", None)
    known = next((joined for joined in _joined() if _has(joined, lan, port)), None)
    if known is None:
        if lan is None:
            raise LanError(
                f"{port.name}: its LAN is not known: call harness.scapy.interfaces first"
            )
        known = interfaces(lan, _number_of(lan, port), prefix=_free_prefix(lan))
    known.add([port])
    conf.ifaces.reload()
    return known.socket(port, **options)


def release(lan: Any) -> None:
    """Close all sockets on a LAN, and take its interfaces out of Scapy, if they are there."""
    for joined in _joined():
        if lan in (joined.lan, joined.pump.traffic.lan):
            joined.close()


def _joined() -> list[LanInterfaces]:
    return [
        provider
        for provider in list(conf.ifaces.providers.values())
        if isinstance(provider, LanInterfaces)
    ]


def _has(joined: LanInterfaces, lan: Any, port: Port) -> bool:
    """Whether a port belongs to a LAN that Scapy knows."""
    if lan is not None:
        return lan is joined.lan
    return joined.pump.traffic.ports.get(port.name) is port


def _free_prefix(lan: Any) -> str:
    """What distinguishes the names of a LAN's ports from other interfaces; often nothing."""
    inner: Lan = getattr(lan, "lan", lan)
    names = [name for name, _ in inner.interfaces()]
    prefixes = itertools.chain([""], (f"{inner.name}-{number}/" for number in itertools.count(2)))
    return next(
        prefix for prefix in prefixes if not any(prefix + name in conf.ifaces for name in names)
    )


def _number_of(lan: Any, port: Port) -> int:
    """How many ports of a LAN there are at least, if this is one of them."""
    inner: Lan = getattr(lan, "lan", lan)
    names = [name for name, _ in inner.interfaces()]
    return max(len(names), names.index(port.name) + 1 if port.name in names else 0, 1)
