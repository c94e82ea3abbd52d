"""Whoever writes to the shared device page, every sender notices it at its next frame.

A Guest may put its buffers and structures where its device pages are. Then the Host, or its
Launcher, publishes an address by filling a buffer or by writing ``used_len``.
"""

from __future__ import annotations

import pytest

from harness.comparing import same
from harness.frames import ethernet
from harness.lans.lguest import LguestLan
from harness.lguest import dma
from harness.lguest.driver import NetDevice
from harness.lguest.launcher import HostNetwork
from harness.lguest.memory import ADDRESS_BYTES
from harness.lguest.tap import MemoryTap
from harness.plugin.marks import rule

from .kit.dma import ARRAY, DATA, ROOM, SPARE_SLOT, bind, set_used
from .kit.steps import NO_ADDRESS, broadcast

SLOT = 400
"""An unused slot that is written to; those behind it are unused too."""

NEW = bytes.fromhex("02005a5a5a5a")
"""An address that appears on the page."""


def guest_on_both(lguest: LguestLan) -> tuple[list[NetDevice], NetDevice, HostNetwork, MemoryTap]:
    """Two senders, a Guest's device on their LAN, and the Host network that it is on too."""
    *senders, writer = lguest.open_devices(3)
    tap = MemoryTap()
    network = lguest.launcher(writer.guest).join_host(tap)
    lguest.devices.append(network.device)
    same("result of opening the network's device", network.device.open(), 0)
    return senders, writer, network, tap


def slot_address(device: NetDevice) -> int:
    """Where its Guest sees the slot."""
    return device.page + SLOT * ADDRESS_BYTES


def unanswered(lguest: LguestLan, senders: list[NetDevice]) -> list[int]:
    """How many used slots each sender finds where no buffers are bound."""
    results = [broadcast(sender) for sender in senders]
    lguest.settle()
    same("whole", [whole for whole, _ in results], [2] * len(senders))
    return [failed for _, failed in results]


@rule("HST-3", "DLV-2", "DLV-6")
@pytest.mark.parametrize("before", [0, 14])
def test_a_frame_from_the_tap_may_land_on_the_page(lguest: LguestLan, before: int) -> None:
    """All of it, or what follows 14 bytes in normal memory."""
    senders, writer, network, tap = guest_on_both(lguest)
    sections = [(ROOM, before), (slot_address(writer), ADDRESS_BYTES)]
    memory = writer.guest.memory
    memory.write(ARRAY, bytes(4) + dma.pack(sections[before == 0 :]))
    same(
        "BIND_DMA by the writer succeeds",
        writer.guest.bind_dma(network.device.key, ARRAY, 1, 9),
        True,
    )
    same("unanswered", unanswered(lguest, senders), [0, 0])
    for turn in range(2):
        for address, failing in ((NEW, 1), (NO_ADDRESS, 0)):
            tap.feed(bytes(before) + address)
            same("the network reads a frame of its TAP", network.input(), True)
            set_used(writer.guest, ARRAY, 0, 0)
            same("address published in slot SLOT", lguest.pages.published(SLOT), address)
            for sender in senders:
                failed = sender.counters.tx_carrier_errors
                sender.transmit(ethernet(NEW, sender.address, stamp=turn))
                same(
                    "tx_carrier_errors of the sender",
                    sender.counters.tx_carrier_errors,
                    failed + failing,
                )
            same("unanswered", unanswered(lguest, senders), [failing, failing])


@rule("HST-3", "DLV-3", "DLV-6")
def test_the_launcher_may_write_used_len_on_the_page(lguest: LguestLan) -> None:
    senders, writer, network, tap = guest_on_both(lguest)
    array = slot_address(writer)
    writer.guest.memory.write(array, bytes(4) + dma.pack([(ROOM, 100)]))
    same(
        "BIND_DMA by the writer succeeds",
        writer.guest.bind_dma(network.device.key, array, 1, 9),
        True,
    )
    before = unanswered(lguest, senders)
    for _ in range(2):
        tap.feed(bytes(60))
        same("the network reads a frame of its TAP", network.input(), True)
        same(
            "first 4 of address published in slot SLOT",
            lguest.pages.published(SLOT)[:4],
            bytes((60, 0, 0, 0)),
        )
        same("unanswered", unanswered(lguest, senders), [n + 1 for n in before])
        writer.guest.memory.write(array, bytes(4))
        same("unanswered", unanswered(lguest, senders), before)


@rule("HST-3", "DLV-3", "DLV-6")
def test_a_buffer_that_the_launcher_took_is_a_used_slot(lguest: LguestLan) -> None:
    """The mark is the interrupt number, and stays where the list is bad."""
    senders, writer, network, tap = guest_on_both(lguest)
    array = slot_address(writer)
    memory = writer.guest.memory
    memory.write(array, bytes(4) + dma.pack([(memory.limit, 100)]))
    same(
        "BIND_DMA by the writer succeeds",
        writer.guest.bind_dma(network.device.key, array, 1, 10),
        True,
    )
    whole = unanswered(lguest, senders[:1])
    writer.close()
    tap.feed(bytes(60))
    same("broadcast (whole, failed) of the sender", broadcast(senders[0]), (1, whole[0]))
    same("the network reads a frame of its TAP", network.input(), False)
    same(
        "first 4 of address published in slot SLOT",
        lguest.pages.published(SLOT)[:4],
        bytes((10, 0, 0, 0)),
    )
    same("broadcast (whole, failed) of the sender", broadcast(senders[0]), (1, whole[0] + 1))


@rule("DMA-2", "HST-2", "DLV-6")
@pytest.mark.parametrize("to_the_host", [False, True])
def test_the_used_len_of_a_sent_structure_may_lie_on_the_page(
    lguest: LguestLan, to_the_host: bool
) -> None:
    """The Guest makes the hypercall alone: it does not write the structure beforehand."""
    senders, writer, network, tap = guest_on_both(lguest)
    key = network.device.peer_key(0) if to_the_host else writer.peer_key(SPARE_SLOT)
    same(
        "BIND_DMA by the second sender succeeds",
        bind(senders[1].guest, senders[1].peer_key(SPARE_SLOT), 4),
        True,
    )
    at = slot_address(writer)
    writer.guest.memory.write(at, bytes(4) + dma.pack([(DATA, 60)]))
    before = unanswered(lguest, senders)
    for _ in range(2):
        lguest.host.send_dma(writer.guest, key, at)
        same(
            "first 4 of address published in slot SLOT",
            lguest.pages.published(SLOT)[:4],
            bytes((60, 0, 0, 0)),
        )
        same("unanswered", unanswered(lguest, senders), [n + 1 for n in before])
        writer.guest.memory.write(at, bytes(4))
        same("unanswered", unanswered(lguest, senders), before)
    same("frames written to the TAP", tap.written, [bytes(60)] * 2 * to_the_host)
