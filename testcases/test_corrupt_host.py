"""DEF-11 in the middle of a step: a Host whose lists another CPU damaged does no more I/O."""

from __future__ import annotations

from harness.comparing import same
from harness.lans.lguest import LguestLan
from harness.lguest.driver import Counters
from harness.lguest.events import Point
from harness.plugin.marks import rule

from .kit.dma import ARRAY, SPARE_SLOT, bind, fill_up, send_bytes, used_lens
from .kit.steps import acting_at, broadcast


@rule("DMA-1", "DMA-5")
def test_a_second_unbinding_between_two_tries_of_a_send(lguest: LguestLan) -> None:
    sender, owner, other = lguest.open_devices(3)
    key = owner.peer_key(SPARE_SLOT)
    same("BIND_DMA by the other succeeds", bind(other.guest, key, 1), True)
    same("BIND_DMA by the other succeeds", other.guest.bind_dma(key, ARRAY, 1, 0), True)
    fill_up(sender, owner)

    def restock_and_unbind() -> None:
        same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
        same("BIND_DMA by the other succeeds", other.guest.bind_dma(key, ARRAY, 1, 0), False)

    with acting_at(lguest.host, Point.RESTOCK, restock_and_unbind):
        moved = send_bytes(sender.guest, sender.peer_key(owner.slot), bytes(70))
    shipped = lguest.host.defects.unbinds_free_entries
    same("the Host is corrupt", lguest.host.corrupt, shipped)
    same("bytes moved", moved, 0 if shipped else 70)
    same(
        "used_len of the buffers of the owner",
        used_lens(owner.guest, owner.ring),
        [moved] + [0] * 7,
    )


@rule("DMA-1", "DLV-3")
def test_a_second_unbinding_in_the_middle_of_a_broadcast(lguest: LguestLan) -> None:
    """The frames behind it all fail, and the sender counts each."""
    sender, *owners = lguest.open_devices(5)
    key = sender.peer_key(SPARE_SLOT)
    unbinder = owners[-1].guest
    same("BIND_DMA by unbinder succeeds", bind(unbinder, key, 1), True)
    same("BIND_DMA by unbinder succeeds", unbinder.bind_dma(key, ARRAY, 1, 0), True)
    reached = 0

    def act(point: Point, _: object) -> None:
        nonlocal reached
        if point is Point.ADDRESSED:
            reached += 1
            if reached == 3:
                same("BIND_DMA by unbinder succeeds", unbinder.bind_dma(key, ARRAY, 1, 0), False)

    lguest.host.interleave = act
    result = broadcast(sender)
    lguest.host.interleave = None
    shipped = lguest.host.defects.unbinds_free_entries
    same("result", result, (2, 2) if shipped else (4, 0))
    same(
        "used_len of the first buffer of each owner",
        [used_lens(owner.guest, owner.ring)[0] for owner in owners],
        [60, 60, 0, 0] if shipped else [60] * 4,
    )
    same(
        "counters of the sender",
        sender.counters,
        Counters(tx_packets=result[0], tx_bytes=60 * result[0], tx_carrier_errors=result[1]),
    )
