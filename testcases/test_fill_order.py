"""The order of a batch is that in which the Host filled it, whatever was bound meanwhile.

A batch wraps round the ring: it lies in buffers 6, 7, 0 and 1. As shipped the driver goes by
the slots (DEF-2).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.comparing import same
from harness.frames import ethernet
from harness.lans.lguest import LguestLan
from harness.lguest.driver import NUM_SKBS, NetDevice
from harness.plugin.marks import rule

from .kit.dma import ARRAY, SPARE_SLOT, bind, send_bytes, used_lens
from .kit.steps import same_frames

TURNED = 6
"""Frames that went before: the cursor stands there."""


def another_array(sender: NetDevice, owner: NetDevice) -> None:
    """A newer array on the same key, which nobody fills."""
    del sender
    same("BIND_DMA by the owner succeeds", bind(owner.guest, owner.key, 2), True)


def another_array_that_is_filled(sender: NetDevice, owner: NetDevice) -> None:
    """A newer array on the same key, which takes frames."""
    same("BIND_DMA by the owner succeeds", bind(owner.guest, owner.key, 5), True)
    for _ in range(3):
        same(
            "used_len, SEND_DMA of the sender",
            send_bytes(sender.guest, sender.peer_key(owner.slot), bytes(60)),
            60,
        )


def an_array_that_came_and_went(sender: NetDevice, owner: NetDevice) -> None:
    """A newer array that was filled and unbound."""
    another_array_that_is_filled(sender, owner)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(owner.key, ARRAY, 5, 0), True)


def unbound(sender: NetDevice, owner: NetDevice) -> None:
    """The ring itself is unbound by hand."""
    del sender
    same(
        "BIND_DMA by the owner succeeds",
        owner.guest.bind_dma(owner.key, owner.ring, NUM_SKBS, 0),
        True,
    )


def bound_again(sender: NetDevice, owner: NetDevice) -> None:
    """The ring is unbound and bound again."""
    unbound(sender, owner)
    same(
        "BIND_DMA by the owner succeeds",
        owner.guest.bind_dma(owner.key, owner.ring, NUM_SKBS, owner.interrupt),
        True,
    )


def bound_twice(sender: NetDevice, owner: NetDevice) -> None:
    """The ring is bound a second time."""
    del sender
    same(
        "BIND_DMA by the owner succeeds",
        owner.guest.bind_dma(owner.key, owner.ring, NUM_SKBS, owner.interrupt),
        True,
    )


def bound_twice_and_unbound_once(sender: NetDevice, owner: NetDevice) -> None:
    """The ring is bound a second time, then unbound."""
    bound_twice(sender, owner)
    unbound(sender, owner)


EVERY_STEP = pytest.mark.parametrize(
    "step",
    [
        another_array,
        another_array_that_is_filled,
        an_array_that_came_and_went,
        unbound,
        bound_again,
        bound_twice,
        bound_twice_and_unbound_once,
    ],
    ids=lambda step: step.__name__,
)

AMONG_OTHERS = pytest.mark.parametrize("others_act", [False, True])
"""Whether another CPU may act while the handler runs."""


def turned_ring(lguest: LguestLan) -> tuple[NetDevice, NetDevice]:
    """A sender, and an owner into whose buffer 6 the next frame goes."""
    sender, owner = lguest.open_devices(2)
    for stamp in range(TURNED):
        sender.transmit(ethernet(owner.address, sender.address, stamp=stamp))
    lguest.settle()
    return sender, owner


def passed_up_in_order(
    lguest: LguestLan, owner: NetDevice, by_fill: list[bytes], by_slot: list[bytes], busy: bool
) -> None:
    """Run the owner's handler; the frames must come in the order of this LAN."""
    if busy:
        lguest.host.interleave = lambda *_: None
    same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
    lguest.host.interleave = None
    shipped = lguest.host.defects.drains_from_slot_zero
    same_frames(lguest, owner, by_slot if shipped else by_fill, since=TURNED)


@rule("RCV-1", "DMA-2")
@EVERY_STEP
@AMONG_OTHERS
def test_what_is_bound_after_a_batch_does_not_change_its_order(
    lguest: LguestLan, step: Callable[[NetDevice, NetDevice], None], others_act: bool
) -> None:
    sender, owner = turned_ring(lguest)
    batch = [ethernet(owner.address, sender.address, stamp=50 + n) for n in range(4)]
    for frame in batch:
        sender.transmit(frame)
    same(
        "used_len of the buffers of the owner",
        used_lens(owner.guest, owner.ring),
        [60, 60, 0, 0, 0, 0, 60, 60],
    )
    step(sender, owner)
    passed_up_in_order(lguest, owner, batch, batch[2:] + batch[:2], others_act)


@rule("RCV-1", "DMA-2")
@AMONG_OTHERS
def test_a_ring_bound_to_two_keys_has_one_order(lguest: LguestLan, others_act: bool) -> None:
    """The second key has a cursor of its own, which begins at buffer 0."""
    sender, owner = turned_ring(lguest)
    own, second = owner.key, owner.peer_key(SPARE_SLOT)
    same(
        "BIND_DMA by the owner succeeds",
        owner.guest.bind_dma(second, owner.ring, NUM_SKBS, owner.interrupt),
        True,
    )
    batch = [ethernet(owner.address, sender.address, stamp=60 + n) for n in range(6)]
    for key, frame in zip((own, second, own, second, own, own), batch, strict=True):
        same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, frame), 60)
    first, last = [batch[0], batch[2]], [batch[n] for n in (1, 3, 4, 5)]
    passed_up_in_order(lguest, owner, batch, last + first, others_act)


@rule("RCV-1", "DMA-2")
@AMONG_OTHERS
def test_the_order_does_not_depend_on_which_binding_of_a_ring_goes(
    lguest: LguestLan, others_act: bool
) -> None:
    """The ring's newer binding stands before the older one in the Guest's table."""
    sender, owner = lguest.open_devices(2)
    owner.close()
    spare = owner.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, spare, 1), True)
    same("result of opening the owner", owner.open(), 0)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(spare, ARRAY, 1, 0), True)
    same(
        "BIND_DMA by the owner succeeds",
        owner.guest.bind_dma(owner.key, owner.ring, NUM_SKBS, owner.interrupt),
        True,
    )
    for stamp in range(TURNED):
        sender.transmit(ethernet(owner.address, sender.address, stamp=stamp))
    lguest.settle()
    batch = [ethernet(owner.address, sender.address, stamp=70 + n) for n in range(4)]
    for frame in batch:
        sender.transmit(frame)
    same(
        "BIND_DMA by the owner succeeds",
        owner.guest.bind_dma(owner.key, owner.ring, NUM_SKBS, 0),
        True,
    )
    same("number of keys bound by the owner", len(lguest.host.bound_by(owner.guest)), 1)
    passed_up_in_order(lguest, owner, batch, batch[2:] + batch[:2], others_act)
