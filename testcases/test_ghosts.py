"""PUB-6. Addresses whose Guests are gone (D:550), and who clears them."""

from __future__ import annotations

import pytest

from harness.comparing import same
from harness.frames import ethernet
from harness.lans.lguest import LguestLan
from harness.lguest.driver import NUM_SKBS, Counters
from harness.plugin.marks import rule

from .kit.steps import NO_ADDRESS, broadcast, must_reach, same_frames, with_slot

GHOST = bytes.fromhex("0200a5a5a5a5")


@rule("PUB-6", "CNT-3")
@pytest.mark.parametrize("promiscuous", [False, True])
def test_a_killed_guest_leaves_its_address_behind(lguest: LguestLan, promiscuous: bool) -> None:
    sender, ghost, other = lguest.open_devices(3)
    ghost.set_flags(promiscuous=promiscuous)
    before = lguest.pages.store[:]
    lguest.host.kill(ghost.guest, "for a test")
    same("shared page", lguest.pages.store[:], before)
    for _ in range(NUM_SKBS):
        sender.transmit(ethernet(ghost.address, sender.address))
    same("counters of the sender", sender.counters, Counters(tx_packets=8, tx_bytes=8 * 60))
    sender.transmit(ethernet(ghost.address, sender.address))
    same(
        "counters of the sender",
        sender.counters,
        Counters(tx_packets=8, tx_bytes=8 * 60, tx_carrier_errors=1),
    )
    lguest.settle()
    same_frames(lguest, ghost, [])
    must_reach(sender, other)
    same("tx_carrier_errors of the sender", sender.counters.tx_carrier_errors, 1 + promiscuous)


@rule("PUB-6", "CNT-3")
@pytest.mark.parametrize("promiscuous", [False, True])
def test_sends_to_a_ghost_without_buffers_fail_and_harm_nobody_else(
    lguest: LguestLan, promiscuous: bool
) -> None:
    sender, ghost, other = lguest.open_devices(3)
    ghost.set_flags(promiscuous=promiscuous)
    before = lguest.pages.store[:]
    lguest.host.release(ghost.guest)
    same("shared page", lguest.pages.store[:], before)
    same(
        "result of a transmit by the sender",
        sender.transmit(ethernet(ghost.address, sender.address)),
        0,
    )
    same("counters of the sender", sender.counters, Counters(tx_carrier_errors=1))
    same("broadcast (whole, failed) of the sender", broadcast(sender), (1, 1))
    lguest.settle()
    must_reach(sender, other)
    same("tx_carrier_errors of the sender", sender.counters.tx_carrier_errors, 2 + promiscuous)
    same_frames(lguest, ghost, [])


@rule("PUB-6")
@pytest.mark.parametrize("promiscuous", [False, True])
def test_the_next_owner_of_a_ghosts_slot_overwrites_it_on_opening(
    lguest: LguestLan, promiscuous: bool
) -> None:
    sender, ghost, other = lguest.open_devices(3)
    ghost.set_flags(promiscuous=promiscuous)
    before = lguest.pages.store[:]
    lguest.host.release(ghost.guest)
    heir = lguest.device(slot=ghost.slot, guest_id=900)
    same("result of opening the heir", heir.open(), 0)
    same("shared page", lguest.pages.store[:], with_slot(before, ghost.slot, heir.address))
    sender.transmit(ethernet(ghost.address, sender.address))
    same("counters of the sender", sender.counters, Counters())
    must_reach(sender, heir)
    must_reach(sender, other)
    same("number of frames passed up by the heir", len(lguest.received(heir)), 1)


@rule("PUB-6")
def test_a_ghost_keeps_its_slot_until_somebody_takes_it(lguest: LguestLan) -> None:
    sender, ghost, _ = lguest.open_devices(3)
    before = lguest.pages.store[:]
    lguest.host.release(ghost.guest)
    heir = lguest.device(slot=ghost.slot, guest_id=900)
    kept = ghost.address if lguest.host.defects.leaves_ghosts else NO_ADDRESS
    same("shared page", lguest.pages.store[:], with_slot(before, ghost.slot, kept))
    same(
        "broadcast (whole, failed) of the sender",
        broadcast(sender),
        (1, int(lguest.host.defects.leaves_ghosts)),
    )
    lguest.settle()
    same("result of opening the heir", heir.open(), 0)
    must_reach(sender, heir)


@rule("PUB-6")
def test_taking_a_slot_clears_it_of_a_ghost(lguest: LguestLan) -> None:
    sender, other = lguest.open_devices(2)
    lguest.pages.publish(40, GHOST)
    heir = lguest.device(slot=40)
    same("result of opening the heir", heir.open(), 0)
    must_reach(sender, heir)
    must_reach(sender, other)
    heir.close()
    lguest.pages.publish(41, GHOST)
    lguest.device(slot=41)
    same("address published in slot 41", lguest.pages.published(41), NO_ADDRESS)
    same("broadcast (whole, failed) of the sender", broadcast(sender), (1, 0))


@rule("PUB-6")
@pytest.mark.parametrize("promiscuous", [False, True])
def test_a_launcher_that_ends_takes_its_address_along(lguest: LguestLan, promiscuous: bool) -> None:
    sender, device, other = lguest.open_devices(3)
    device.set_flags(promiscuous=promiscuous)
    must_reach(sender, device)
    before = lguest.pages.store[:]
    lguest.launcher(device.guest).exit()
    must_reach(sender, other)
    same("shared page", lguest.pages.store[:], with_slot(before, device.slot, NO_ADDRESS))
    same("broadcast (whole, failed) of the sender", broadcast(sender), (1, 0))


@rule("PUB-6")
@pytest.mark.parametrize("promiscuous", [False, True])
def test_what_a_launcher_leaves_when_it_ends(lguest: LguestLan, promiscuous: bool) -> None:
    sender, device, other = lguest.open_devices(3)
    device.set_flags(promiscuous=promiscuous)
    published = lguest.pages.published(device.slot)
    before = lguest.pages.store[:]
    lguest.launcher(device.guest).exit()
    ghost = lguest.host.defects.leaves_ghosts
    left = published if ghost else NO_ADDRESS
    same("shared page", lguest.pages.store[:], with_slot(before, device.slot, left))
    same(
        "result of a transmit by the sender",
        sender.transmit(ethernet(device.address, sender.address)),
        0,
    )
    same("counters of the sender", sender.counters, Counters(tx_carrier_errors=int(ghost)))
    must_reach(sender, other)
    same_frames(lguest, device, [])


@rule("PUB-6")
@pytest.mark.parametrize("ghost", ["03123456789a", "ffffffffffff", "020000000001"])
def test_opening_overwrites_every_byte_of_a_ghost(lguest: LguestLan, ghost: str) -> None:
    sender, bystander = lguest.open_devices(2)
    device = lguest.device()
    lguest.pages.publish(device.slot, bytes.fromhex(ghost))
    same("result of opening the device", device.open(), 0)
    same("address published by the device", lguest.pages.published(device.slot), device.address)
    frame = ethernet(device.address, sender.address)
    sender.transmit(frame)
    sender.transmit(ethernet(bytes.fromhex("02123456789a"), sender.address))
    lguest.settle()
    same_frames(lguest, device, [frame])
    same_frames(lguest, bystander, [])
