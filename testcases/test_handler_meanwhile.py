"""What one run of the interrupt handler takes when another CPU fills buffers meanwhile."""

from __future__ import annotations

import pytest

from harness.comparing import same
from harness.frames import ethernet
from harness.lans.lguest import LguestLan
from harness.lguest.driver import NetDevice
from harness.lguest.events import Point
from harness.plugin.marks import rule

from .kit.dma import send_bytes, used_lens
from .kit.steps import acting_at, same_frames

DURING = pytest.mark.parametrize("point", [Point.TAKEN, Point.LISTED], ids=["taken", "listed"])


def stamped(sender: NetDevice, owner: NetDevice, count: int) -> list[bytes]:
    return [ethernet(owner.address, sender.address, stamp=n) for n in range(count)]


@rule("RCV-1")
@DURING
@pytest.mark.parametrize("late", [1, 3, 7])
def test_buffers_filled_ahead_of_the_handler_are_taken_in_the_same_run(
    lguest: LguestLan, point: Point, late: int
) -> None:
    """The handler looks at a buffer when it gets there, not before."""
    sender, owner = lguest.open_devices(2)
    frames = stamped(sender, owner, 1 + late)
    sender.transmit(frames[0])

    def send_the_rest() -> None:
        for frame in frames[1:]:
            sender.transmit(frame)

    with acting_at(lguest.host, point, send_the_rest):
        same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
    same_frames(lguest, owner, frames)
    same("used_len of the buffers of the owner", used_lens(owner.guest, owner.ring), [0] * 8)
    same("pending interrupts of the owner", owner.guest.pending, 1 << owner.interrupt)
    same("the owner handles a pending interrupt", owner.guest.interrupt(), False)


@rule("RCV-1")
@DURING
def test_buffers_filled_behind_the_handler_wait_for_the_next_run(
    lguest: LguestLan, point: Point
) -> None:
    """As shipped; repaired the driver goes by the order of the fills, and takes them all."""
    sender, owner = lguest.open_devices(2)
    frames = stamped(sender, owner, 10)
    for frame in frames[:6]:
        sender.transmit(frame)
    lguest.settle()
    sender.transmit(frames[6])

    def send_the_rest() -> None:
        for frame in frames[7:]:
            sender.transmit(frame)

    with acting_at(lguest.host, point, send_the_rest):
        same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
    if lguest.host.defects.drains_from_slot_zero:
        same_frames(lguest, owner, frames[:8])
        same(
            "used_len of the buffers of the owner",
            used_lens(owner.guest, owner.ring),
            [60, 60] + [0] * 6,
        )
        same("pending interrupts of the owner", owner.guest.pending, 1 << owner.interrupt)
        same("the owner handles a pending interrupt", owner.guest.interrupt(), True)
    same_frames(lguest, owner, frames)


@rule("RCV-1")
@DURING
@pytest.mark.parametrize("first", [0, 1])
def test_another_device_filled_meanwhile_keeps_its_interrupt(
    lguest: LguestLan, point: Point, first: int
) -> None:
    """Both have one address, so the frames are sent to their slots."""
    sender, device = lguest.open_devices(2)
    pair = [device, lguest.second_device(device.guest, 9)]
    same("result of opening the second", pair[1].open(), 0)
    before, after = pair[first], pair[1 - first]
    early, late = stamped(sender, device, 2)
    same(
        "used_len, SEND_DMA of the sender",
        send_bytes(sender.guest, sender.peer_key(before.slot), early),
        60,
    )

    def send_late() -> None:
        same(
            "used_len, SEND_DMA of the sender",
            send_bytes(sender.guest, sender.peer_key(after.slot), late),
            60,
        )

    with acting_at(lguest.host, point, send_late):
        same("the Guest handles a pending interrupt", device.guest.interrupt(), True)
    same(
        "frames passed up by each owner",
        [lguest.received(owner) for owner in (before, after)],
        [[early], []],
    )
    same("pending interrupts of the Guest", device.guest.pending, 1 << after.interrupt)
    same("the Guest handles a pending interrupt", device.guest.interrupt(), True)
    same_frames(lguest, after, [late])
