"""DEF-9 to DEF-12: the end of memory, a 16-bit cursor, unbinding twice, one file twice."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.comparing import differ, present, raises, same
from harness.frames import PAGE, ethernet, payload
from harness.lans.lguest import LguestLan
from harness.lguest import dma
from harness.lguest.driver import NUM_SKBS, Counters, NetDevice
from harness.lguest.events import Killed
from harness.lguest.launcher import SharedFile
from harness.lguest.memory import LguestError
from harness.plugin.marks import rule

from .kit.dma import (
    ARRAY,
    DATA,
    END,
    ROOM,
    SPARE_SLOT,
    STRUCTURE,
    bind,
    changed,
    crosses,
    cursor,
    filled,
    killed,
    must_cross,
    send,
    send_bytes,
    send_over_stale,
    set_list,
    set_used,
    snapshot,
    used_lens,
)
from .kit.host_network import must_work, open_network
from .kit.steps import faults, must_reach

LENGTHS = [1, 60, PAGE]

# DEF-9: a range that ends where memory ends


@rule("DMA-4")
@pytest.mark.parametrize("length", LENGTHS)
def test_a_senders_section_may_end_where_its_memory_ends(lguest: LguestLan, length: int) -> None:
    sender, owner = lguest.open_devices(2)
    same("limit of memory of the sender", sender.guest.memory.limit, END)
    data = payload(length)
    sender.guest.memory.write(END - length, data)
    set_list(owner, 0, [(ROOM, PAGE)])
    key = sender.peer_key(owner.slot)
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, key, [(END - length, length)]),
        length,
    )
    same("memory of the owner at ROOM", owner.guest.memory.read(ROOM, length), data)
    same("Guests killed", killed(lguest), [])


@rule("DMA-4")
@pytest.mark.parametrize("length", LENGTHS)
def test_a_receivers_section_may_end_where_its_memory_ends(lguest: LguestLan, length: int) -> None:
    sender, owner = lguest.open_devices(2)
    set_list(owner, 0, [(END - length, length)])
    data = payload(PAGE)
    same(
        "used_len, SEND_DMA of the sender",
        send_bytes(sender.guest, sender.peer_key(owner.slot), data),
        length,
    )
    same(
        "memory of the owner at END - length",
        owner.guest.memory.read(END - length, length),
        data[:length],
    )
    same(
        "used_len of a buffer of the owner",
        used_lens(owner.guest, owner.ring)[0],
        length,
    )
    same("Guests killed", killed(lguest), [])


@rule("DMA-4")
def test_a_structure_may_end_where_its_memory_ends(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    at = END - dma.SIZE
    sender.guest.memory.write(DATA, payload(60))
    sender.guest.memory.write(at, bytes(4) + dma.pack([(DATA, 60)]))
    same(
        "used_len, SEND_DMA of the sender",
        sender.guest.send_dma(sender.peer_key(owner.slot), at),
        60,
    )
    same("Guests killed", killed(lguest), [])
    same("used_len of a buffer of the owner", used_lens(owner.guest, owner.ring)[0], 60)


@rule("DMA-4")
def test_an_array_may_end_where_its_memory_ends(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    key = owner.peer_key(SPARE_SLOT)
    array = END - 2 * dma.SIZE
    for index in range(2):
        room = dma.pack([(ROOM + index * PAGE, 100)])
        owner.guest.memory.write(array + index * dma.SIZE, bytes(4) + room)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, array, 2, 9), True)
    same(
        "used_len, SEND_DMA of the sender",
        [send_bytes(sender.guest, key, payload(60 + n)) for n in range(2)],
        [60, 61],
    )
    same("used_len of the buffers of the owner", used_lens(owner.guest, array, 2), [60, 61])
    same("Guests killed", killed(lguest), [])


@rule("DMA-4")
@pytest.mark.parametrize("which", ["sender", "receiver", "structure", "array"])
def test_what_a_range_up_to_the_end_of_memory_costs(lguest: LguestLan, which: str) -> None:
    """As shipped its owner dies of it, alone, and nothing is copied."""
    sender, owner, other = lguest.open_devices(3)
    key, address = sender.peer_key(owner.slot), ARRAY
    source = [(DATA, 60)]
    match which:
        case "sender":
            source = [(END - 60, 60)]
        case "receiver":
            set_list(owner, 0, [(END - 60, 60)])
        case "structure":
            address = END - dma.SIZE
        case "array":
            key = owner.peer_key(SPARE_SLOT)
            owner.guest.memory.write(END - dma.SIZE, bytes(4) + dma.pack([(ROOM, 60)]))
            same(
                "BIND_DMA by the owner succeeds",
                owner.guest.bind_dma(key, END - dma.SIZE, 1, 9),
                True,
            )
    sender.guest.memory.write(address, bytes(4) + dma.pack(source))
    moved = sender.guest.send_dma(key, address)
    dies = sender if which in ("sender", "structure") else owner
    shipped = lguest.host.defects.refuses_end_of_memory
    same("bytes moved", moved, 0 if shipped else 60)
    same("Guests killed", killed(lguest), [dies.guest.id] if shipped else [])
    reasons = {
        "structure": f"bad read address {END - dma.SIZE:#x} len {dma.SIZE}",
        "array": "bad address in registered DMA struct",
    }
    expected = reasons.get(which, f"bad DMA entry: 60@{END - 60:#x}")
    deaths = [event.reason for event in lguest.host.events if isinstance(event, Killed)]
    same("deaths", deaths, [expected] if shipped else [])
    # What cannot be read counts as an empty list, and that succeeds (DMA-6).
    raised = not shipped or which == "structure"
    interrupt = 9 if which == "array" else owner.interrupt
    same("pending interrupts of the owner", owner.guest.pending, raised << interrupt)
    lguest.settle()
    must_cross(lguest, other, sender if dies is owner else owner)


@rule("DMA-4", "DMA-7")
@pytest.mark.parametrize("beyond", [1, 4, 60])
def test_a_range_beyond_the_end_of_memory_is_bad_and_a_key_up_to_it_is_good(
    lguest: LguestLan, beyond: int
) -> None:
    hostile, sender, owner = lguest.open_devices(3)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, END - 4, 1), True)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, END - 4, payload(60)), 60)
    same("Guests killed", killed(lguest), [])
    key = hostile.peer_key(owner.slot)
    same(
        "used_len, SEND_DMA of the hostile",
        send(hostile.guest, key, [(END - 60 + beyond, 60)]),
        0,
    )
    same("Guests killed", killed(lguest), [hostile.guest.id])
    must_cross(lguest, sender, owner)


@rule("DMA-4")
def test_a_second_device_moves_the_end_of_memory(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    second = lguest.second_device(sender.guest, 40)
    memory = sender.guest.memory
    same("limit of memory", memory.limit, END + PAGE)
    same("page of the second", second.page, END)
    memory.write(END - 60, payload(60))
    key = sender.peer_key(owner.slot)
    same("used_len, SEND_DMA of the sender", send(sender.guest, key, [(END - 60, 60)]), 60)
    end = memory.limit
    shipped = lguest.host.defects.refuses_end_of_memory
    same("used_len, SEND_DMA of the sender", send(sender.guest, key, [(end - 61, 60)]), 60)
    same(
        "used_len, SEND_DMA of the sender",
        send(sender.guest, key, [(end - 60, 60)]),
        0 if shipped else 60,
    )
    same("Guests killed", killed(lguest), [sender.guest.id] if shipped else [])


# DEF-10: a cursor of 16 bits


WRAPS = 65_536
"""Transfers after which 16 bits start at 0 again."""


def send_many_empty(sender: NetDevice, key: int, count: int) -> None:
    """So many empty SEND_DMAs: they move the cursor and fill nothing (DMA-6)."""
    sender.guest.memory.write(STRUCTURE, bytes(dma.SIZE))
    for _ in range(count):
        sender.guest.host.send_dma(sender.guest, key, STRUCTURE)


def buffers_used(lguest: LguestLan, count: int, transfers: int) -> tuple[int, list[int | None]]:
    """The cursor after so many empty transfers, and the buffers that ``count + 1`` more use."""
    sender, owner = lguest.open_devices(2)
    key = owner.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, count), True)
    lguest.host.trace = False
    send_many_empty(sender, key, transfers)
    lguest.host.trace = True
    binding = present("the array that is bound", lguest.host.binding(owner.guest, key))
    before = binding.cursor
    same("pending interrupts of the owner", owner.guest.pending, 1 << 9)
    for n in range(count + 1):
        same(
            "used_len, SEND_DMA of the sender",
            send_bytes(sender.guest, key, payload(60 + n)),
            60 + n if n < count else 0,
        )
    return before, filled(lguest)[: count + 1]


@rule("DMA-2")
@pytest.mark.parametrize("count", [3, 7, 10])
def test_the_cursor_goes_on_behind_65536_transfers(lguest: LguestLan, count: int) -> None:
    before, used = buffers_used(lguest, count, WRAPS)
    first = WRAPS % count
    same("before", before, first)
    same("used_len", used, [*range(first, count), *range(first), None])


@rule("DMA-2")
@pytest.mark.parametrize(("count", "transfers"), [(3, WRAPS - 1), (3, WRAPS + 1), (8, WRAPS + 3)])
def test_where_the_cursor_stands_around_65536_transfers(
    lguest: LguestLan, count: int, transfers: int
) -> None:
    """As shipped the count starts at 0 again; with the driver's eight buffers nothing shows."""
    shipped = lguest.host.defects.cursor_has_16_bits
    before, used = buffers_used(lguest, count, transfers)
    first = (transfers % WRAPS if shipped else transfers) % count
    same("before", before, first)
    same("first count of used_len", set(used[:count]), set(range(count)))
    same("used_len of the first buffer", used[0], first)


@rule("DMA-2")
@pytest.mark.parametrize("transfers", [255, 256, 257, 32_767, 32_768])
def test_no_shorter_count_of_transfers_moves_the_cursor_back(
    lguest: LguestLan, transfers: int
) -> None:
    before, used = buffers_used(lguest, 3, transfers)
    first = transfers % 3
    same("before", before, first)
    same("used_len", used, [*range(first, 3), *range(first), None])


@rule("DMA-2")
def test_binding_again_starts_the_count_of_transfers_again(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    key = owner.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 3), True)
    send_many_empty(sender, key, WRAPS - 6)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, ARRAY, 3, 0), True)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 3), True)
    for n in range(20):
        same("used_len, SEND_DMA of the sender", send(sender.guest, key, []), 0)
        binding = present("the array that is bound", lguest.host.binding(owner.guest, key))
        same("cursor of binding", binding.cursor, (n + 1) % 3)


# DEF-11: unbinding what is not bound


def corrupt(lguest: LguestLan) -> bool:
    """Whether a second unbinding damages the Host of this LAN."""
    return lguest.host.defects.unbinds_free_entries


@rule("DMA-1")
@pytest.mark.parametrize("times", [1, 3])
def test_a_second_unbinding_fails_and_affects_no_guest(lguest: LguestLan, times: int) -> None:
    sender, owner, other = lguest.open_devices(3)
    key = owner.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 4), True)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, ARRAY, 4, 0), True)
    same(
        "BIND_DMA by the owner succeeds",
        [owner.guest.bind_dma(key, ARRAY, 4, 0) for _ in range(times)],
        [False] * times,
    )
    same("faults", faults(lguest.host), [])
    same("Guests killed", killed(lguest), [])
    must_cross(lguest, sender, owner)
    must_cross(lguest, owner, other)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 4), True)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(60)), 60)


@rule("DMA-1")
@pytest.mark.parametrize("bound", [2, 3])
def test_a_stale_entry_does_not_hide_a_bound_array(lguest: LguestLan, bound: int) -> None:
    """Bound several times, the first unbinding leaves a stale entry before the live ones."""
    sender, owner = lguest.open_devices(2)
    key = owner.peer_key(SPARE_SLOT)
    for _ in range(bound):
        same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 4), True)
    for left in range(bound, 0, -1):
        set_used(owner.guest, ARRAY, 0, 0)
        same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(60)), 60)
        same("number of keys bound by the owner", len(lguest.host.bound_by(owner.guest)), left + 1)
        same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, ARRAY, 4, 0), True)
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, key, payload(60)), 0)
    must_cross(lguest, sender, owner)


@rule("DMA-1")
def test_what_a_second_unbinding_does_to_the_host(lguest: LguestLan) -> None:
    """As shipped it is an error event that names DEF-11, and the Host makes no further I/O."""
    sender, owner, other = lguest.open_devices(3)
    network, tap = open_network(lguest)
    key = owner.peer_key(SPARE_SLOT)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, key, 4), True)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, ARRAY, 4, 0), True)
    before = snapshot(other.guest)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(key, ARRAY, 4, 0), False)
    shipped = corrupt(lguest)
    text = f"array {ARRAY:#x} was unbound already: the Host's lists are corrupt"
    same("faults", faults(lguest.host), [(owner.guest.id, "DEF-11", text)] if shipped else [])
    sender.transmit(ethernet(other.address, sender.address))
    whole = Counters(tx_packets=1, tx_bytes=60)
    same(
        "counters of the sender",
        sender.counters,
        Counters(tx_carrier_errors=1) if shipped else whole,
    )
    same(
        "addresses of bytes that changed", changed(before, snapshot(other.guest)) == set(), shipped
    )
    differ(
        "BIND_DMA by the other succeeds",
        other.guest.bind_dma(other.peer_key(SPARE_SLOT + 1), ARRAY, 4, 9),
        shipped,
    )
    tap.feed(ethernet(network.device.address, other.address))
    differ("the network reads a frame of its TAP", network.input(), shipped)
    same("a frame waits in the TAP", tap.waiting(), shipped)
    network.device.transmit(ethernet(other.address, network.device.address))
    same("number of frames written to the TAP", len(tap.written), int(not shipped))
    same("Guests killed", killed(lguest), [])
    same("the Host is corrupt", lguest.host.corrupt, shipped)


@rule("DMA-1")
@pytest.mark.parametrize("turns", [1, 4])
def test_the_driver_never_unbinds_what_is_not_bound(lguest: LguestLan, turns: int) -> None:
    """Two devices of one Guest, opened and closed in every order."""
    first, peer = lguest.open_devices(2)
    second = lguest.second_device(first.guest, 40)
    same("result of opening the second", second.open(), 0)
    pair = (first, second)
    for _ in range(turns):
        for closing in (pair, pair[::-1]):
            for opening in (pair, pair[::-1]):
                for device in closing:
                    device.close()
                for device in opening:
                    same("result of opening the device", device.open(), 0)
                must_reach(peer, second)
                must_reach(peer, first)
    same("faults", faults(lguest.host), [])
    same("the Host is corrupt", lguest.host.corrupt, False)


@rule("DMA-1")
def test_an_entry_that_was_used_again_is_not_stale(lguest: LguestLan) -> None:
    sender, owner = lguest.open_devices(2)
    keys = [owner.peer_key(SPARE_SLOT + n) for n in range(2)]
    same("BIND_DMA by the owner succeeds", bind(owner.guest, keys[0], 2), True)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(keys[0], ARRAY, 2, 0), True)
    same("BIND_DMA by the owner succeeds", bind(owner.guest, keys[1], 2), True)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(keys[0], ARRAY, 2, 0), False)
    same("faults", faults(lguest.host), [])
    same("used_len, SEND_DMA of the sender", send_bytes(sender.guest, keys[1], payload(60)), 60)
    same("BIND_DMA by the owner succeeds", owner.guest.bind_dma(keys[1], ARRAY, 2, 0), True)
    must_cross(lguest, sender, owner)


@rule("DMA-1", "DMA-9")
def test_the_next_guest_of_an_id_has_no_stale_entries(lguest: LguestLan) -> None:
    (sender,) = lguest.open_devices(1)
    gone = lguest.device(slot=3, guest_id=40)
    key = gone.peer_key(SPARE_SLOT)
    same("BIND_DMA by the gone succeeds", bind(gone.guest, key, 2), True)
    same("BIND_DMA by the gone succeeds", gone.guest.bind_dma(key, ARRAY, 2, 0), True)
    lguest.launcher(gone.guest).exit()
    heir = lguest.device(slot=4, guest_id=40)
    same("BIND_DMA by the heir succeeds", heir.guest.bind_dma(key, ARRAY, 2, 0), False)
    same("faults", faults(lguest.host), [])
    same("result of opening the heir", heir.open(), 0)
    must_cross(lguest, sender, heir)


# DEF-12: one file twice


@pytest.fixture
def opened(lguest: LguestLan, tmp_path: Path) -> Iterator[Callable[[], SharedFile]]:
    """Opens one network file in this process, again each time."""
    with contextlib.ExitStack() as files:

        def one() -> SharedFile:
            file = lguest.parts.file(tmp_path / "lan")
            return files.enter_context(contextlib.closing(file))

        yield one


def join_twice(
    lguest: LguestLan, opened: Callable[[], SharedFile], once: bool
) -> tuple[NetDevice, NetDevice]:
    """Two devices of one Guest, on one file that is opened once or twice."""
    launcher = lguest.launch(60)
    file = opened()
    devices = launcher.join(file), launcher.join(file if once else opened())
    lguest.devices.extend(devices)
    return devices


@rule("DEV-2")
@pytest.mark.parametrize("once", [True, False], ids=["one opening", "two openings"])
def test_a_launcher_given_one_file_twice_takes_two_slots(
    lguest: LguestLan, opened: Callable[[], SharedFile], once: bool
) -> None:
    first, second = join_twice(lguest, opened, once)
    same("slot of the first and slot of the second", (first.slot, second.slot), (0, 1))
    same("slot taken", opened().take_slot(), 2)
    lguest.launcher(first.guest).exit()
    same("slot taken", [opened().take_slot() for _ in range(2)], [0, 1])


@rule("DEV-2")
@pytest.mark.parametrize("once", [True, False], ids=["one opening", "two openings"])
def test_what_becomes_of_a_launcher_given_one_file_twice(
    lguest: LguestLan, opened: Callable[[], SharedFile], once: bool
) -> None:
    """As shipped both devices have one slot, publish one address and bind one key."""
    launcher = lguest.launch(50)
    sender = launcher.join(opened())
    lguest.devices.append(sender)
    same("result of opening the sender", sender.open(), 0)
    first, second = join_twice(lguest, opened, once)
    shared = lguest.host.defects.locks_belong_to_process
    same(
        "slot of the first and slot of the second",
        (first.slot, second.slot),
        (1, 1 if shared else 2),
    )
    same("result of opening the first", first.open(), 0)
    same("result of opening the second", second.open(), 0)
    same("address published in slot 1", first.pages.published(1), second.address)
    same("address of the first", first.address, second.address)
    sender.transmit(ethernet(first.address, sender.address))
    lguest.settle()
    # One slot: one SEND_DMA, into the array bound last. Two slots: one for each.
    count = 1 if shared else 2
    same("counters of the sender", sender.counters, Counters(tx_packets=count, tx_bytes=60 * count))
    same(
        "rx_packets of the first and rx_packets of the second",
        (first.counters.rx_packets, second.counters.rx_packets),
        (count - 1, 1),
    )
    same("slot taken", opened().take_slot(), count + 1)


@rule("DEV-2")
def test_the_locks_of_another_launcher_hold_whatever_one_has(
    lguest: LguestLan, opened: Callable[[], SharedFile]
) -> None:
    devices = [lguest.launch(50 + n).join(opened()) for n in range(3)]
    same("slot of each device", [device.slot for device in devices], [0, 1, 2])
    launcher = lguest.launcher(devices[2].guest)
    with raises("the error", LguestError, "slot 1 is taken"):
        launcher.join(opened(), 1)
    shared = lguest.host.defects.locks_belong_to_process
    same("slot of join of the launcher", launcher.join(opened()).slot, 2 if shared else 3)
    lguest.launcher(devices[0].guest).exit()
    same("slot of join of the launcher", launcher.join(opened()).slot, 0)


@rule("DEV-2")
def test_a_launcher_with_files_of_two_networks_takes_a_slot_of_each(
    lguest: LguestLan, opened: Callable[[], SharedFile], tmp_path: Path
) -> None:
    launcher = lguest.launch(60)
    with contextlib.closing(lguest.parts.file(tmp_path / "another")) as other:
        same("slot of join of the launcher", launcher.join(opened()).slot, 0)
        same("slot of join of the launcher", launcher.join(other).slot, 0)
        with contextlib.closing(lguest.parts.file(tmp_path / "another")) as again:
            same("slot taken", again.take_slot(), 1)
        same("slot taken", opened().take_slot(), 1)
        launcher.exit()
        same("slot taken", opened().take_slot(), 0)


@rule("DEV-2", "PUB-6")
def test_a_launcher_with_two_slots_clears_and_frees_both(
    lguest: LguestLan, opened: Callable[[], SharedFile]
) -> None:
    first, second = join_twice(lguest, opened, once=False)
    same("result of opening the first", first.open(), 0)
    same("result of opening the second", second.open(), 0)
    watching = opened()
    lguest.launcher(first.guest).exit()
    ghost = first.address if lguest.host.defects.leaves_ghosts else bytes(6)
    same("address published by the first", watching.pages.published(first.slot), ghost)
    same("address published by the second", watching.pages.published(second.slot), ghost)
    same("slot taken", watching.take_slot(), 0)


# Exit, twice


@rule("DMA-9")
def test_a_launcher_that_ended_leaves_the_next_guest_of_the_id_alone(lguest: LguestLan) -> None:
    (sender,) = lguest.open_devices(1)
    gone = lguest.device(slot=3, guest_id=40)
    same("result of opening the gone", gone.open(), 0)
    ended = lguest.launcher(gone.guest)
    ended.exit()
    heir = lguest.device(slot=4, guest_id=40)
    same("result of opening the heir", heir.open(), 0)
    ended.exit()
    lguest.host.release(gone.guest)
    same("cause of death of the heir", heir.guest.dead, None)
    same("Guest 40 is the heir", lguest.host.guests[40] is heir.guest, True)
    must_cross(lguest, sender, heir)
    differ(
        "used_len, SEND_DMA of the sender",
        send_over_stale(sender.guest, sender.peer_key(3), [(DATA, 60)]),
        60,
    )
    same("cursor of the heir", cursor(heir), 1)
    lguest.launcher(heir.guest).exit()
    present("cause of death of the heir", heir.guest.dead)
    same("a frame from the sender crosses to the heir", crosses(lguest, sender, heir), False)


@rule("HST-3")
def test_a_host_network_whose_launcher_ended_leaves_frames_in_the_tap(lguest: LguestLan) -> None:
    network, tap = open_network(lguest)
    network.launcher.exit()
    other, other_tap = open_network(lguest)
    tap.feed(ethernet(network.device.address, other.device.address))
    before = snapshot(network.device.guest)
    same("the network reads a frame of its TAP", network.input(), False)
    same("a frame waits in the TAP", tap.waiting(), True)
    same("addresses of bytes that changed", changed(before, snapshot(network.device.guest)), set())
    same("pending interrupts of the network's Guest", network.device.guest.pending, 0)
    same(
        "used_len of the buffers of the network's Guest",
        used_lens(network.device.guest, network.device.ring),
        [0] * NUM_SKBS,
    )
    must_work(lguest, other, other_tap)
