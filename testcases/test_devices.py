"""G. Devices: descriptors, peer numbers, and how many pages a LAN may have (D:510)."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.comparing import raises, same
from harness.lans.lguest import LguestLan
from harness.lguest.driver import NOCSUM, NetDevice
from harness.lguest.guest import (
    ACKNOWLEDGE,
    DESCRIPTOR,
    DRIVER,
    DRIVER_OK,
    MAX_DEVICES,
    SEND_PAGES,
    TYPE_NET,
    Guest,
)
from harness.lguest.launcher import GUEST_PAGES, RANDOMNESS
from harness.lguest.memory import GuestMemory, LguestError
from harness.plugin.marks import rule

from .kit.steps import lan_of_pages, must_reach, paint, reaches, with_slot

PAGE = 4096
LAST_SLOTS = [(1, 681), (2, 1364), (4, 2729)]


def descriptor(guest: Guest, index: int) -> tuple[int, ...]:
    """Type, features, status, pages and page frame number of a descriptor."""
    at = guest.memory.normal + index * DESCRIPTOR.size
    return DESCRIPTOR.unpack(guest.memory.read(at, DESCRIPTOR.size))


def offer(lguest: LguestLan, guest: Guest, features: int, kind: int = TYPE_NET) -> NetDevice:
    """Write the first descriptor directly, and let the Guest probe it."""
    page = guest.memory.map(lguest.pages)
    written = DESCRIPTOR.pack(kind, features, 0, lguest.pages.pages, page // PAGE)
    guest.memory.write(guest.memory.normal, written)
    device = lguest.parts.device.probe(guest, 0)
    lguest.devices.append(device)
    return device


class WatchedMemory(GuestMemory):
    """A Guest's memory that remembers what status each descriptor write left."""

    def __init__(self) -> None:
        super().__init__(GUEST_PAGES)
        self.statuses: list[list[int]] = []

    def write(self, address: int, data: bytes) -> None:
        super().write(address, data)
        if self.normal <= address < self.normal + MAX_DEVICES * DESCRIPTOR.size:
            table = self.read(self.normal, MAX_DEVICES * DESCRIPTOR.size)
            self.statuses.append([fields[2] for fields in DESCRIPTOR.iter_unpack(table)])


# DEV-1: the peer number


@rule("DEV-1")
@pytest.mark.parametrize("nocsum", [False, True])
@pytest.mark.parametrize("randomness", [False, True])
@pytest.mark.parametrize(("pages", "last"), LAST_SLOTS)
def test_the_peer_number_is_what_the_launcher_chose_whatever_else_is_offered(
    lguest: LguestLan, pages: int, last: int, nocsum: bool, randomness: bool
) -> None:
    with lan_of_pages(lguest, pages) as lan:
        devices = []
        for guest_id, slot in enumerate((0, 1, 2, last // 2, last - 1, last), start=1):
            launcher = lan.launch(guest_id)
            device = launcher.join(lan.pages, slot, nocsum=nocsum, randomness=randomness)
            features = slot | (NOCSUM if nocsum else 0) | (RANDOMNESS if randomness else 0)
            same("features in the descriptor", descriptor(device.guest, 0)[1], features)
            same("slot of the device", device.slot, slot)
            same("checksum unnecessary of the device", device.checksum_unnecessary, nocsum)
            same("scatter gather of the device", device.scatter_gather, nocsum)
            devices.append(device)
        painted = paint(lan.pages)
        for device in devices:
            same("result of opening the device", device.open(), 0)
            painted = with_slot(painted, device.slot, device.address)
            same("shared page", lan.pages.store[:], painted)
        must_reach(devices[0], devices[-1])
        must_reach(devices[-1], devices[0])
        must_reach(devices[-2], devices[1])


@rule("DEV-1")
@pytest.mark.parametrize(
    ("pages", "features", "slot"),
    [
        (1, 0x0005, 5),
        (1, 0xF005, 5),
        (1, 0x1005, 5),
        (1, 0x3000, 0),
        (1, 0xF2A9, 681),
        (2, 0xE005, 5),
        (2, 0x2554, 1364),
        (4, 0xC005, 5),
        (4, 0xCAA9, 2729),
        (4, 0xCA05, 0x0A05),
        (1, 0x02AA, None),
        (1, 0x0FFF, None),
        (1, 0xF2AA, None),
        (2, 0x0555, None),
        (2, 0x1005, None),
        (4, 0x0AAA, None),
        (4, 0x1005, None),
        (4, 0x3FFF, None),
    ],
)
def test_the_peer_number_is_the_features_below_the_mapped_size(
    lguest: LguestLan, pages: int, features: int, slot: int | None
) -> None:
    with lan_of_pages(lguest, pages) as lan:
        sender = lan.device(slot=1)
        same("result of opening the sender", sender.open(), 0)
        guest = lan.launch(900).guest
        if slot is None:
            with raises("the error", LguestError, f"is not on {pages} pages"):
                offer(lan, guest, features)
            (device,) = lan.open_devices(1)
        else:
            device = offer(lan, guest, features)
            same("slot of the device", device.slot, slot)
            same("result of opening the device", device.open(), 0)
        must_reach(sender, device)


@rule("DEV-1")
@pytest.mark.parametrize(("pages", "last"), LAST_SLOTS)
def test_the_key_of_a_peer_is_the_page_plus_four_times_its_slot(
    lguest: LguestLan, pages: int, last: int
) -> None:
    with lan_of_pages(lguest, pages) as lan:
        first, device = lan.device(slot=0), lan.device(slot=last)
        same("page of the device", device.page, (GUEST_PAGES + 1) * PAGE)
        same("key of the device", device.key, device.page + 4 * last)
        same("peer key of the first", first.peer_key(last), first.page + 4 * last)
        same("key of the first", first.key, first.page)
        same("the last key lies on the pages", device.key + 4 <= device.page + pages * PAGE, True)
        same("result of opening the first", first.open(), 0)
        same("result of opening the device", device.open(), 0)
        must_reach(first, device)


@rule("DEV-1")
@pytest.mark.parametrize(("pages", "last"), LAST_SLOTS)
def test_a_slot_that_is_not_on_the_pages_is_refused(
    lguest: LguestLan, pages: int, last: int
) -> None:
    with lan_of_pages(lguest, pages) as lan:
        for guest_id, slot in enumerate((-1, last + 1, 65535), start=1):
            before = lan.pages.store[:]
            with raises("the error", LguestError, f"slot {slot} is not among the {last + 1} of"):
                lan.device(slot=slot, guest_id=guest_id)
            same("shared page", lan.pages.store[:], before)
        device, other = lan.device(slot=last), lan.device(slot=0, guest_id=9)
        same("result of opening the device", device.open(), 0)
        same("result of opening the other", other.open(), 0)
        must_reach(other, device)


@rule("DEV-1")
@pytest.mark.parametrize(("pages", "last"), LAST_SLOTS)
def test_frames_cross_a_lan_of_any_size_between_its_ends(
    lguest: LguestLan, pages: int, last: int
) -> None:
    with lan_of_pages(lguest, pages) as lan:
        slots = sorted({0, 1, 681, last - 1, last})
        devices = [lan.device(slot=slot) for slot in slots]
        for device in devices:
            same("result of opening the device", device.open(), 0)
        for sender in devices:
            for owner in devices:
                same(
                    "a frame from the sender reaches the owner alone",
                    reaches(sender, owner),
                    sender is not owner,
                )
        counts = {device.counters.rx_packets for device in devices}
        same("counts", counts, {len(devices) - 1})


# DEV-3: status


@rule("DEV-3")
def test_a_device_sets_acknowledge_then_driver_then_driver_ok(lguest: LguestLan) -> None:
    (sender,) = lguest.open_devices(1)
    launcher = lguest.launch(50)
    memory = launcher.guest.memory = WatchedMemory()
    device = launcher.join(lguest.pages, 5)
    lguest.devices.append(device)
    set_bits = [0, ACKNOWLEDGE, ACKNOWLEDGE | DRIVER, ACKNOWLEDGE | DRIVER | DRIVER_OK]
    same("set bits", set_bits, [0, 1, 3, 7])
    same("statuses of memory", memory.statuses, [[status] + [0] * 15 for status in set_bits])
    same("result of opening the device", device.open(), 0)
    must_reach(sender, device)
    device.close()
    same("status of the launcher", launcher.guest.status(0), 7)
    same("number of statuses of memory", len(memory.statuses), 4)


@rule("DEV-3")
def test_each_device_of_a_guest_sets_its_own_status(lguest: LguestLan) -> None:
    (sender,) = lguest.open_devices(1)
    launcher = lguest.launch(50)
    memory = launcher.guest.memory = WatchedMemory()
    for count in range(1, MAX_DEVICES + 1):
        device = launcher.join(lguest.pages, count)
        lguest.devices.append(device)
        same("name of the device", device.name, f"eth{count - 1}")
        same("interrupt of the device", device.interrupt, count)
        steps = memory.statuses[-4:]
        rest = [0] * (MAX_DEVICES - count)
        same("steps", steps, [[7] * (count - 1) + [status] + rest for status in (0, 1, 3, 7)])
        same("result of opening the device", device.open(), 0)
        must_reach(sender, device)
        same(
            "status of the launcher", [launcher.guest.status(n) for n in range(count)], [7] * count
        )
    with raises("the error", LguestError, "Guest 50 has 16 devices already"):
        launcher.join(lguest.pages, MAX_DEVICES + 1)
    must_reach(sender, device)


@rule("DEV-3")
def test_a_guest_too_small_for_its_device_says_so(lguest: LguestLan) -> None:
    """As much memory as it sends from is enough to boot, and a page less is not."""
    small = lguest.launch(50, SEND_PAGES)
    with raises("the error", LguestError, f"Guest 50 has {SEND_PAGES} pages of memory, too few"):
        small.join(lguest.pages, 9)
    with raises("the error", LguestError, f"Guest 51 has {SEND_PAGES - 1} pages of memory"):
        lguest.launch(51, SEND_PAGES - 1)


@rule("DEV-3")
def test_a_descriptor_says_what_the_device_is(lguest: LguestLan) -> None:
    sender, device = lguest.open_devices(2)
    kind, features, status, pages, frame_number = descriptor(device.guest, 0)
    same(
        "kind and features and status and pages",
        (kind, features, status, pages),
        (2, 0x4000 | device.slot, 7, 1),
    )
    same("address of the page", frame_number * PAGE, device.page)
    same("descriptor", descriptor(device.guest, 1), (0, 0, 0, 0, 0))
    must_reach(sender, device)


@rule("DEV-3")
@pytest.mark.parametrize("kind", [0, 1, 3, 0x0200])
def test_what_is_no_network_device_is_not_touched(lguest: LguestLan, kind: int) -> None:
    sender, owner = lguest.open_devices(2)
    guest = lguest.launch(50).guest
    with raises("the error", LguestError, "is not a network device"):
        offer(lguest, guest, 5, kind)
    same("status of the guest", guest.status(0), 0)
    same("devices of the guest", guest.devices, [])
    device = offer(lguest, guest, 5)
    same("status of the guest", guest.status(0), 7)
    same("result of opening the device", device.open(), 0)
    must_reach(sender, owner)
    must_reach(sender, device)


# DEV-4: too many pages


@rule("DEV-4")
@pytest.mark.parametrize("pages", [8, 16, 32])
def test_eight_pages_or_more_are_refused_and_the_reason_said(lguest: LguestLan, pages: int) -> None:
    known = lguest.host.defects.mask_swallows_features
    with raises("the error", LguestError, "would swallow feature bits") as refusal:
        LguestLan(lguest.name, lguest.host.defects, pages=pages, parts=lguest.parts)
    same("the message names DEF-5", "DEF-5" in refusal.message, known)
    launcher = lguest.launch(50)
    with raises("the error", LguestError, "would swallow feature bits") as refusal:
        launcher.join(lguest.parts.pages(pages), 5)
    same("the message names DEF-5", "DEF-5" in refusal.message, known)
    same("devices of the launcher", launcher.guest.devices, [])
    sender, owner = lguest.open_devices(2)
    must_reach(sender, owner)


@rule("DEV-4", "DEV-1")
@pytest.mark.parametrize("pages", [-1, 0, 3, 5, 6, 7])
def test_a_number_of_pages_that_is_no_power_of_two_is_refused(
    lguest: LguestLan, pages: int
) -> None:
    with raises("the error", LguestError, f"{pages} device pages: must be 1, 2 or 4"):
        LguestLan(lguest.name, lguest.host.defects, pages=pages, parts=lguest.parts)
    if pages > 0:
        with raises("the error", LguestError, f"{pages} device pages: must be 1, 2 or 4"):
            lguest.launch(50).join(lguest.parts.pages(pages), 5)
    with lan_of_pages(lguest, 4) as lan:
        sender, owner = lan.open_devices(2)
        must_reach(sender, owner)


@rule("DEV-4")
@pytest.mark.parametrize("pages", [0, 3, 8, 16])
def test_a_file_of_so_many_pages_is_refused_and_not_made(
    lguest: LguestLan, tmp_path: Path, pages: int
) -> None:
    path = tmp_path / "lan"
    with raises("the error", LguestError, f"{pages} device pages"):
        lguest.parts.file(path, pages)
    same("exists of the file", path.exists(), False)
    lguest.parts.file(path, 4).close()
    same("size of the file", path.stat().st_size, 4 * PAGE)
