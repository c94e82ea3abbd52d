"""``interfaces:[NETNS/]IF,[NETNS/]IF,...``: Linux network interfaces as ports.

Frames cross AF_PACKET sockets, opened in the interface's namespace (a name, or the id of a
process that lives in it). Address and MTU are the interface's own. Offloads are turned off
while the LAN is in use, and restored; promiscuous mode belongs to the socket and ends with it.
Addresses and routes are never changed: an interface with addresses is not taken down.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.lan import Counters, Lan, LanError, Traits, Unsupported
from harness.lans.options import SEND_ON, Options, split
from harness.lans.wire import journal, offloads
from harness.lans.wire.fence import FENCE_LIMIT_S, FencedLan, FencedPort
from harness.lans.wire.journal import Change, Journal
from harness.lans.wire.markers import ETHERTYPE
from harness.lans.wire.namespace import Namespace
from harness.lans.wire.net_dev import NetDev
from harness.lans.wire.packet import PacketSocket
from harness.lans.wire.transport import Transport

CARRIER_S = 10.0
"""How long an interface may take to have a carrier."""

QUIET_S = 1.0
"""How long the LAN is listened to before the first test, for frames of others."""

TRAITS = Traits(
    filters="receiver",
    learns=False,
    ordered=True,
    shortest=14,
    longest=1514,
    oversized="dropped",
    burst=64,
    layouts=False,
    counters=False,
    settles="fence",
    needs=("network interfaces", "pyroute2"),
)

_UP, _LOWER_UP = 0x1, 0x10000
_HEADER = 14
_RESERVED = bytes.fromhex("0180c20000")
_IPV6 = b"\x86\xdd"
_HOP_BY_HOP, _ICMPV6 = 0, 58
_NEIGHBOUR_DISCOVERY = frozenset({130, 131, 132, 133, 134, 135, 136, 143})
_FORM = "interfaces:[NETNS/]IF,[NETNS/]IF,..."


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface as it is: where, and how it is set up.

    ``private``: its namespace was made for this LAN, and goes with it. Nothing is restored there,
    nobody else sends there, and it may be taken down.
    """

    namespace: str
    name: str
    index: int
    inode: int
    mac: bytes
    mtu: int
    has_addresses: bool
    has_default_route: bool
    private: bool = False

    @property
    def shown(self) -> str:
        """The interface as a user names it."""
        return shown(self.namespace, self.name)


def shown(namespace: str, name: str) -> str:
    """An interface as a user names it; of a namespace's path only the last part."""
    return f"{Path(namespace).name}/{name}" if namespace else name


def parsed(text: str) -> list[tuple[str, str]]:
    """Namespace, or nothing, and name of every interface; LanError for a text without them."""
    places = []
    for word in text.split(","):
        namespace, slash, name = word.strip().rpartition("/")
        path = namespace.startswith("/")
        bad = (slash and not namespace) or ("/" in namespace and not path)
        if not name or bad or len(name) > 15:
            raise LanError(f"{_FORM}: {word!r} is not the name of an interface")
        if (namespace, name) in places:
            raise LanError(f"{_FORM}: {word.strip()} is named twice")
        places.append((namespace, name))
    if len(places) < 2:
        raise LanError(f"{_FORM} needs two interfaces at least")
    return places


def inspected(namespace: str, name: str) -> Interface:
    """An interface that can be used; LanError, in one line, for one that cannot."""
    try:
        space = Namespace(journal.namespace_path(namespace))
    except LanError as error:
        if namespace:
            raise LanError(f"interface {shown(namespace, name)}: {error}") from None
        raise
    try:
        return space.run(_inspected, space, namespace, name)
    finally:
        space.close()


def _ask_for_admin(space: Namespace, index: int, known_as: str) -> None:
    """LanError unless we may change the interface; that it is up, it is already."""
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        space.links.link("set", index=index, state="up")
    except NetlinkError as error:
        if error.code != errno.EPERM:
            raise
        needs = f"interface {known_as}: needs CAP_NET_ADMIN, to turn its offloads off"
        raise LanError(needs) from None


def _inspected(space: Namespace, namespace: str, name: str) -> Interface:
    known_as = shown(namespace, name)
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except PermissionError:
        raise LanError(f"interface {known_as}: needs CAP_NET_RAW") from None
    indexes = space.links.link_lookup(ifname=name)
    if not indexes:
        raise LanError(f"interface {known_as}: there is no such interface")
    (link,) = space.links.get_links(indexes[0])
    address = link.get_attr("IFLA_ADDRESS") or ""
    if len(address) != 17:
        raise LanError(f"interface {known_as} has no Ethernet address")
    if not link["flags"] & _UP:
        raise LanError(f"interface {known_as} is down: ip link set {name} up")
    _ask_for_admin(space, indexes[0], known_as)
    routes = [route for route in space.links.get_routes() if route["dst_len"] == 0]
    default = any(indexes[0] in (route.get_attr("RTA_OIF"), *_next_hops(route)) for route in routes)
    addresses = [
        row
        for row in space.links.get_addr(index=indexes[0])
        if not str(row.get_attr("IFA_ADDRESS")).startswith("fe80:")
    ]
    return Interface(
        namespace,
        name,
        indexes[0],
        os.stat("/proc/thread-self/ns/net").st_ino,  # noqa: PTH116  # of this thread
        bytes.fromhex(address.replace(":", "")),
        link.get_attr("IFLA_MTU"),
        bool(addresses),
        default,
    )


def usable(
    places: Sequence[tuple[str, str]], send_on: frozenset[str], private: Collection[str] = ()
) -> list[Interface]:
    """Interfaces; LanError for one that cannot be used, or may carry somebody's traffic.

    ``private`` are namespaces that were made for this LAN.
    """
    interfaces = [replace(inspected(*place), private=place[0] in private) for place in places]
    for interface in interfaces:
        allowed = interface.private or {interface.shown, interface.name} & send_on
        if interface.has_default_route and not allowed:
            raise LanError(
                f"interface {interface.shown} has a default route, so test frames are not sent on"
                f" it; --{SEND_ON}={interface.shown} sends them all the same"
            )
    return interfaces


def _next_hops(route: object) -> list[int]:
    hops = route.get_attr("RTA_MULTIPATH") or ()  # type: ignore[attr-defined]
    return [hop["oif"] for hop in hops]


class InterfacePort(PacketSocket):
    """A socket at an interface, with the interface's link as its plug."""

    def __init__(self, interface: Interface, space: Namespace, counts: NetDev) -> None:
        self._interface = interface
        self._space = space

        def counters() -> Counters:
            row = counts.row(interface.name)
            return Counters(row.sent, row.received)

        super().__init__(interface.shown, interface.name, interface.index, self._set_link, counters)

    def _set_link(self, up: bool) -> None:
        if not up and self._interface.has_addresses and not self._interface.private:
            raise Unsupported(f"{self._interface.shown}: has addresses, so it is not taken down")
        self._space.link("set", index=self._interface.index, state="up" if up else "down")
        if not up:
            self._space.run(_far_end_sees_it, self._space.links, self._interface.index)


def _far_end_sees_it(links: Any, index: int) -> None:
    """The far end of a veth pair learns late that this one is down, unless it is looked at."""
    (link,) = links.get_links(index)
    far, where = link.get_attr("IFLA_LINK"), link.get_attr("IFLA_LINK_NETNSID")
    if far:
        place = {} if where is None else {"IFLA_IF_NETNSID": where}
        # It may be in a namespace that we may not look into.
        with contextlib.suppress(Exception):
            links.link("get", index=far, **place)


class InterfacesPlant:
    """Interfaces of the user's, with their offloads turned off until ``close``."""

    one_cpu = True
    fences = 1

    def __init__(self, interfaces: Sequence[Interface], carrier_s: float = CARRIER_S) -> None:
        self.interfaces = interfaces
        self._carrier_s = carrier_s
        self._spaces: dict[str, Namespace] = {}
        self._counts: dict[str, NetDev] = {}
        self._journals: list[Journal] = []
        try:
            for interface in interfaces:
                self._take(interface)
            for interface in interfaces:
                self._wait_for_carrier(interface)
        except BaseException:
            self.close()
            raise

    def _take(self, interface: Interface) -> None:
        if interface.namespace not in self._spaces:
            path = journal.namespace_path(interface.namespace)
            self._spaces[interface.namespace] = Namespace(path)
        space = self._spaces[interface.namespace]
        before = Change(interface.namespace, interface.name, interface.index, interface.inode)
        held = None if interface.private else Journal(before)
        if held is not None:
            self._journals.append(held)
        names = space.run(offloads.enabled, interface.name)
        if held is not None:
            held.write(replace(before, offloads=names))
        if names:
            space.run(offloads.switch, interface.name, names, False)

    def _wait_for_carrier(self, interface: Interface) -> None:
        space = self._spaces[interface.namespace]
        deadline = time.monotonic() + self._carrier_s
        while True:
            (link,) = space.run(space.links.get_links, interface.index)
            if link["flags"] & _LOWER_UP:
                return
            if time.monotonic() > deadline:
                raise LanError(
                    f"interface {interface.shown}: no carrier within {self._carrier_s:g} s"
                )
            time.sleep(0.02)

    def connect(self, number: int, name: str, mac: bytes) -> Transport:  # noqa: ARG002
        interface = self.interfaces[number - 1]
        space = self._spaces[interface.namespace]
        if interface.namespace not in self._counts:
            self._counts[interface.namespace] = NetDev(space)
        counts = self._counts[interface.namespace]
        try:
            return space.run(InterfacePort, interface, space, counts)
        except PermissionError:
            raise LanError(f"interface {interface.shown}: needs CAP_NET_RAW") from None

    def close(self) -> None:
        try:
            while self._journals:
                self._journals.pop().close()
        finally:
            while self._counts:
                self._counts.popitem()[1].close()
            while self._spaces:
                self._spaces.popitem()[1].close()


class InterfacesLan(FencedLan):
    """Interfaces as a LAN; group frames that others send on it are set aside.

    Set aside are neighbour discovery and group membership of IPv6, frames to the reserved
    addresses 01:80:c2:00:00:00 to 0f from a source that is not a port (spanning tree, LLDP), and
    frames to a group whose address and EtherType were seen while the harness sent nothing. A
    frame that equals one that the harness sent never is.
    """

    def __init__(
        self, name: str, traits: Traits, plant: InterfacesPlant, limit_s: float = FENCE_LIMIT_S
    ) -> None:
        super().__init__(name, traits, plant, limit_s)
        self._interfaces = plant.interfaces
        self._macs = {interface.mac for interface in plant.interfaces}
        private = all(interface.private for interface in plant.interfaces)
        self._quiet_s = 0.0 if private else QUIET_S
        self._chatter: set[bytes] = set()
        self._heard_others = False

    def station(self, number: int) -> tuple[str, bytes]:
        interface = self._interfaces[number - 1]
        return interface.shown, interface.mac

    def ports(self, count: int) -> Sequence[FencedPort]:
        if count > self.traits.ports:
            raise Unsupported(f"{self.name}: has {self.traits.ports} ports")
        return super().ports(count)

    def welcome(self, newcomers: Sequence[FencedPort]) -> None:
        if self._quiet_s and not self._heard_others:
            self._heard_others = True
            self._hear_others(newcomers)
        super().welcome(newcomers)

    def _hear_others(self, ports: Sequence[FencedPort]) -> None:
        deadline = time.monotonic() + self._quiet_s
        while time.monotonic() < deadline:
            for port in ports:
                self.read(port)
                for arrival in port.arrivals():
                    if arrival.frame[0] & 1:
                        self._chatter.add(_kind(arrival.frame))
            time.sleep(0.01)

    def send(self, port: FencedPort, frame: bytes) -> None:
        self._own.add(frame)
        super().send(port, frame)

    def foreign(self, frame: bytes) -> bool:
        if super().foreign(frame):
            return True
        if (
            len(frame) < _HEADER
            or not frame[0] & 1
            or frame in self._own
            or frame[12:14] == ETHERTYPE
        ):
            return False
        of_others = frame[6:12] not in self._macs and frame[:5] == _RESERVED and frame[5] < 16
        return of_others or _kind(frame) in self._chatter or _is_neighbour_discovery(frame)


def _kind(frame: bytes) -> bytes:
    """Destination and EtherType."""
    return frame[:6] + frame[12:14]


def _is_neighbour_discovery(frame: bytes) -> bool:
    if frame[12:14] != _IPV6 or frame[:2] != b"\x33\x33" or len(frame) < 62:
        return False
    header, rest = frame[20], frame[54:]
    if header == _HOP_BY_HOP:
        header, rest = rest[0], rest[8 + 8 * rest[1] :]
    return header == _ICMPV6 and bool(rest) and rest[0] in _NEIGHBOUR_DISCOVERY


def sends_on(text: str) -> list[str]:
    """The interfaces that test frames are sent on, as a user reads them."""
    return [shown(*place) for place in parsed(split(text)[0])]


def maker(text: str, private: Collection[str] = ()) -> Callable[[], Lan]:
    """Makes LANs of interfaces; LanError, in one line, for interfaces that cannot be used.

    ``private`` are namespaces that were made for this LAN.
    """
    listed, options = split(text)
    places = parsed(listed)
    try:
        import pyroute2  # noqa: F401
    except ImportError:
        raise LanError("interfaces: pyroute2 is not installed: pip install pyroute2") from None
    usable(places, options.send_on, private)
    # Two interfaces may be the ends of a wire; more are most often plugged into a bridge.
    traits = options.traits(TRAITS, unless="wire" if len(places) == 2 else "learning")

    def make() -> Lan:
        """Linux network interfaces as ports, each possibly in a namespace."""
        interfaces = usable(places, options.send_on, private)
        return _lan(f"interfaces:{listed}", interfaces, traits, options)

    return make


def _lan(name: str, interfaces: Sequence[Interface], traits: Traits, options: Options) -> Lan:
    longest = min(interface.mtu for interface in interfaces) + 14
    fixed = any(interface.has_addresses and not interface.private for interface in interfaces)
    verbs = ("pause",) if fixed else ("link", "pause")
    sized = replace(traits, ports=len(interfaces), longest=longest, verbs=verbs)
    plant = InterfacesPlant(interfaces, max(CARRIER_S, options.patience_s))
    return InterfacesLan(name, sized, plant, options.patience_s)


def restore() -> list[str]:
    """Restore interfaces that killed runs left changed; their names."""
    return journal.restore()
