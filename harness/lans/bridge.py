"""LANs of the Linux kernel: a bridge with veth or TAP ports, and macvlan."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Literal

from harness.lan import Counters, Lan, Traits
from harness.lans.wire.fence import FencedLan
from harness.lans.wire.namespace import Namespace, why_not
from harness.lans.wire.net_dev import NetDev
from harness.lans.wire.tap import KernelTap, TapPort
from harness.lans.wire.transport import Plant, Transport
from harness.lans.wire.veth import FAR_MAC, carrier, far_end, packet_port, tried

BRIDGE = Traits(
    filters="receiver",
    learns=True,
    ordered=True,
    shortest=14,
    longest=1514,
    oversized="dropped",
    burst=256,
    layouts=False,
    counters=False,
    settles="fence",
    needs=("network namespace", "pyroute2"),
    kind="learning",
    reserved="filtered",
    promiscuous="reached",
    padding=0,
    learns_zero=False,
    flushes="own",
    verbs=("link", "pause", "groups", "counters"),
    groups="all",
)
BRIDGE_TAP = replace(BRIDGE, longest=1518, needs=("root", "/dev/net/tun", "pyroute2"), verbs=())
MACVLAN = replace(
    BRIDGE,
    verbs=(),
    filters="sender",
    learns=False,
    kind="directory",
    hairpin=True,
    reserved="forwarded",
)


class BridgePlant:
    """A bridge in a namespace of its own, and a veth pair or a TAP per port."""

    one_cpu = True
    fences = 1

    def __init__(self, kind: Literal["veth", "tap"]) -> None:
        self._kind = kind
        self._namespace = Namespace()
        self._net_dev: NetDev | None = None
        try:
            self._namespace.link(
                "add",
                ifname="lan",
                kind="bridge",
                address=FAR_MAC.format(0, 0),
                br_mcast_snooping=0,
                br_stp_state=0,
                br_forward_delay=0,
            )
            self._bridge = self._namespace.index("lan")
            self._namespace.link("set", index=self._bridge, state="up")
        except BaseException:
            self.close()
            raise

    @property
    def _counts(self) -> NetDev:
        if self._net_dev is None:
            self._net_dev = NetDev(self._namespace)
        return self._net_dev

    def connect(self, number: int, name: str, mac: bytes) -> Transport:
        return self._veth(number, name, mac) if self._kind == "veth" else self._tap(number, name)

    def _veth(self, number: int, name: str, mac: bytes) -> Transport:
        space = self._namespace
        far, at_bridge = far_end(space, number, name, mac)
        space.link("set", index=at_bridge, master=self._bridge, state="up")
        counts = self._counts

        def counters() -> Counters:
            row = counts.row(far)
            return Counters(row.received, row.sent)

        return packet_port(space, name, at_bridge, counters=counters)

    def _tap(self, number: int, name: str) -> Transport:
        space = self._namespace
        tap = space.run(KernelTap, name)
        try:
            index = space.index(name)
            space.link("set", index=index, address=FAR_MAC.format(1, number))
            space.link("set", index=index, master=self._bridge, state="up")
        except BaseException:
            tap.close()
            raise
        return TapPort(name, tap, functools.partial(carrier, space, index), self._counts)

    def close(self) -> None:
        if self._net_dev is not None:
            self._net_dev.close()
            self._net_dev = None
        self._namespace.close()


class MacvlanPlant:
    """A macvlan in bridge mode per port, all on one end of a veth pair."""

    one_cpu = True
    fences = 1

    def __init__(self) -> None:
        self._namespace = space = Namespace()
        try:
            far = {"ifname": "far", "address": FAR_MAC.format(0, 1)}
            near = FAR_MAC.format(0, 0)
            space.link("add", ifname="lan", kind="veth", address=near, peer=far)
            for end in ("lan", "far"):
                space.link("set", index=space.index(end), state="up")
            self._lower = space.index("lan")
        except BaseException:
            self.close()
            raise

    def connect(self, number: int, name: str, mac: bytes) -> Transport:  # noqa: ARG002
        space = self._namespace
        space.link(
            "add",
            ifname=name,
            kind="macvlan",
            link=self._lower,
            macvlan_mode="bridge",
            address=mac.hex(":"),
        )
        return packet_port(space, name)

    def close(self) -> None:
        self._namespace.close()


def _lan(name: str, traits: Traits, plant: Plant) -> Lan:
    return FencedLan(name, traits, plant)


def bridge() -> Lan:
    """A Linux bridge; ports are veth ends with AF_PACKET, in a namespace of their own."""
    return _lan("bridge", BRIDGE, BridgePlant("veth"))


def bridge_tap() -> Lan:
    """A Linux bridge; ports are TAPs, as a virtual machine monitor uses them."""
    return _lan("bridge-tap", BRIDGE_TAP, BridgePlant("tap"))


def macvlan() -> Lan:
    """Linux macvlan in bridge mode; ports are macvlan devices with AF_PACKET."""
    return _lan("macvlan", MACVLAN, MacvlanPlant())


def missing() -> str | None:
    """Why ``bridge`` cannot run here; None if it can."""
    return why_not() or tried(functools.partial(BridgePlant, "veth"))


def missing_tap() -> str | None:
    """Why ``bridge-tap`` cannot run here; None if it can."""
    return why_not(tap=True) or tried(functools.partial(BridgePlant, "tap"))


def missing_macvlan() -> str | None:
    """Why ``macvlan`` cannot run here; None if it can."""
    return why_not() or tried(MacvlanPlant)
