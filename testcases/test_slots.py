"""DEV-2. Slots of a shared network's file, with real locks and real processes."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.comparing import raises, same
from harness.frames import BROADCAST, ethernet
from harness.lans.lguest import LguestLan
from harness.lguest.driver import Counters, NetDevice
from harness.lguest.launcher import SharedFile
from harness.lguest.memory import LguestError
from harness.plugin.marks import rule

from .kit.launcher_process import LauncherProcess
from .kit.steps import NO_ADDRESS, broadcast, must_reach, same_frames

PAGE = 4096
SIZES = [(1, 682), (2, 1365), (4, 2730)]

Start = Callable[[int], LauncherProcess]
Open = Callable[[], SharedFile]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the network's file is, or will be."""
    return tmp_path / "lan"


@pytest.fixture
def start(lguest: LguestLan, path: Path) -> Iterator[Start]:
    """Starts a Launcher in another process, with a Guest of this id."""
    with contextlib.ExitStack() as running:

        def one(guest_id: int) -> LauncherProcess:
            process = LauncherProcess(lguest, path, guest_id)
            running.callback(process.kill)
            return process

        yield one


@pytest.fixture
def opened(lguest: LguestLan, path: Path) -> Iterator[Open]:
    """Opens the network's file again in this process."""
    with contextlib.ExitStack() as files:

        def one() -> SharedFile:
            return files.enter_context(contextlib.closing(lguest.parts.file(path)))

        yield one


@contextlib.contextmanager
def locked(path: Path, first: int, count: int) -> Iterator[None]:
    """Slots that others have taken: a run of bytes, locked all at once."""
    with path.open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, count, first)
        yield


def join(lguest: LguestLan, file: SharedFile, guest_id: int) -> NetDevice:
    """A Launcher in this process, with a device on the file's network, not yet open."""
    device = lguest.launch(guest_id).join(file)
    lguest.devices.append(device)
    return device


def open_files() -> int:
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


# Which slot


@rule("DEV-2")
def test_every_opening_of_the_file_takes_the_first_slot_that_is_free(opened: Open) -> None:
    files = [opened() for _ in range(5)]
    same("slot taken", [file.take_slot() for file in files], [0, 1, 2, 3, 4])
    files[1].free_slot(1)
    files[3].free_slot(3)
    same("slot taken", [opened().take_slot() for _ in range(3)], [1, 3, 5])


@rule("DEV-2")
def test_one_opening_of_the_file_takes_a_slot_only_once(opened: Open) -> None:
    file = opened()
    same("slot taken", [file.take_slot() for _ in range(3)], [0, 1, 2])
    with raises("the error", LguestError, "slot 1 is taken"):
        file.take_slot(1)
    file.free_slot(1)
    same("slot taken", file.take_slot(), 1)


@rule("DEV-2")
def test_a_slot_that_is_named_is_taken_and_no_other(lguest: LguestLan, opened: Open) -> None:
    file, again = opened(), opened()
    same("slot of join", lguest.launch(10).join(file, 3).slot, 3)
    with raises("the error", LguestError, "slot 3 is taken"):
        lguest.launch(11).join(again, 3)
    same("slot of join", join(lguest, again, 12).slot, 0)
    same("slot of join", lguest.launch(13).join(again, 1).slot, 1)


@rule("DEV-2")
def test_nobody_else_on_the_machine_can_read_the_file(opened: Open, path: Path) -> None:
    opened()
    same("mode of the file", path.stat().st_mode & 0o777, 0o600)


@rule("DEV-2")
def test_networks_of_different_files_do_not_hear_each_other(
    lguest: LguestLan, opened: Open, tmp_path: Path
) -> None:
    sender, owner = join(lguest, opened(), 10), join(lguest, opened(), 11)
    with contextlib.closing(lguest.parts.file(tmp_path / "another")) as elsewhere:
        strangers = [join(lguest, elsewhere, 12), join(lguest, elsewhere, 13)]
        same(
            "slot of each stranger",
            [stranger.slot for stranger in strangers],
            [sender.slot, owner.slot],
        )
        for device in (*strangers, sender, owner):
            same("result of opening the device", device.open(), 0)
        frame = ethernet(BROADCAST, sender.address)
        sender.transmit(frame)
        lguest.settle()
        same(
            "frames passed up by each stranger",
            [lguest.received(stranger) for stranger in strangers],
            [[], []],
        )
        same_frames(lguest, owner, [frame])
        for device in strangers:
            device.close()


@rule("DEV-2")
def test_closing_the_file_frees_its_own_slot_and_no_other(
    lguest: LguestLan, opened: Open, path: Path
) -> None:
    files = [opened() for _ in range(4)]
    same("slot taken", [file.take_slot() for file in files], [0, 1, 2, 3])
    middle = lguest.parts.file(path)
    same("slot taken", middle.take_slot(), 4)
    middle.close()
    same("slot taken", [opened().take_slot() for _ in range(2)], [4, 5])


@rule("DEV-2")
def test_only_the_slots_own_byte_has_to_be_free(opened: Open, path: Path) -> None:
    files = [opened() for _ in range(3)]
    with locked(path, 0, 1):
        same("slot taken", files[0].take_slot(), 1)
        with locked(path, 3, 4093):
            same("slot taken", files[1].take_slot(), 2)
            with raises("the error", LguestError, "no free slot"):
                files[2].take_slot()
    same("slot taken", files[2].take_slot(), 0)


@rule("DEV-2")
@pytest.mark.parametrize(("pages", "slots"), SIZES)
def test_no_free_slot_is_an_error(lguest: LguestLan, path: Path, pages: int, slots: int) -> None:
    with contextlib.closing(lguest.parts.file(path, pages)) as file:
        launcher = lguest.launch(900)
        before = path.read_bytes()
        with (
            locked(path, 0, slots),
            raises("the error", LguestError, f"lan: no free slot, all {slots} are taken"),
        ):
            launcher.join(file)
        same("devices of the launcher", launcher.guest.devices, [])
        same("content of the file", path.read_bytes(), before)
        with locked(path, 0, slots - 1):
            device = launcher.join(file)
        lguest.devices.append(device)
        same("slot of the device", device.slot, slots - 1)
        same("result of opening the device", device.open(), 0)
        published = path.read_bytes()
        at = 6 * (slots - 1)
        same("published", published, before[:at] + device.address + before[at + 6 :])


@rule("DEV-2")
def test_what_a_launcher_publishes_stands_in_the_file(
    lguest: LguestLan, opened: Open, path: Path
) -> None:
    one, other = join(lguest, opened(), 10), join(lguest, opened(), 11)
    same("content of the file", path.read_bytes(), bytes(PAGE))
    same("slot of the first and slot of the other", (one.slot, other.slot), (0, 1))
    same("result of opening the first", one.open(), 0)
    same("result of opening the other", other.open(), 0)
    same("content of the file", path.read_bytes(), one.address + other.address + bytes(PAGE - 12))
    other.set_flags(promiscuous=True)
    one.close()
    same(
        "content of the file",
        path.read_bytes(),
        NO_ADDRESS + b"\x03" + other.address[1:] + bytes(PAGE - 12),
    )


@rule("DEV-2")
def test_a_launcher_that_ends_frees_its_slot_alone(lguest: LguestLan, opened: Open) -> None:
    files = [opened() for _ in range(3)]
    devices = [join(lguest, file, 10 + n) for n, file in enumerate(files)]
    same("slot of each device", [device.slot for device in devices], [0, 1, 2])
    lguest.launcher(devices[1].guest).exit()
    same("slot taken", [opened().take_slot() for _ in range(2)], [1, 3])
    lguest.launcher(devices[1].guest).exit()
    same("slot taken", opened().take_slot(), 4)


# Processes


@rule("DEV-2")
def test_processes_never_share_a_slot(start: Start, opened: Open) -> None:
    processes = [start(guest_id) for guest_id in range(1, 5)]
    for process in processes:
        process.ask("join")
    same(
        "answer of process, sorted", sorted(process.answer() for process in processes), [0, 1, 2, 3]
    )
    same("slot taken", opened().take_slot(), 4)


@rule("DEV-2", "PUB-6")
def test_a_killed_process_frees_its_slot_and_leaves_a_ghost(
    lguest: LguestLan, start: Start, opened: Open
) -> None:
    doomed, lives = start(0x1234), start(2)
    same(
        "answer of the process to join and answer of the process to join",
        (doomed.do("join"), lives.do("join")),
        (0, 1),
    )
    same("answer of the process to open", doomed.do("open"), 0)
    same("answer of the process to open", lives.do("open"), 0)
    sender = join(lguest, opened(), 10)
    same("slot of the sender", sender.slot, 2)
    same("result of opening the sender", sender.open(), 0)
    ghost = bytes.fromhex("020034120000")
    doomed.kill()
    same("answer of the process to read", lives.do("read", 0), ghost)
    same(
        "result of a transmit by the sender",
        sender.transmit(ethernet(ghost, sender.address)),
        0,
    )
    same("counters of the sender", sender.counters, Counters(tx_carrier_errors=1))
    heir = join(lguest, opened(), 11)
    same("slot of the heir", heir.slot, 0)
    cleared = NO_ADDRESS if not lguest.host.defects.leaves_ghosts else ghost
    same("answer of the process to read", lives.do("read", 0), cleared)
    same("result of opening the heir", heir.open(), 0)
    same("answer of the process to read", lives.do("read", 0), heir.address)
    same("answer of the process to read", lives.do("read", 1), bytes.fromhex("020002000000"))
    same("slot taken", opened().take_slot(), 3)
    sender.transmit(ethernet(ghost, sender.address))
    same("counters of the sender", sender.counters, Counters(tx_carrier_errors=1))


@rule("DEV-2", "PUB-6")
def test_whoever_takes_the_slot_of_a_killed_process_clears_its_ghost(
    lguest: LguestLan, start: Start, opened: Open
) -> None:
    doomed = start(7)
    same("answer of the process to join", doomed.do("join"), 0)
    same("answer of the process to open", doomed.do("open"), 0)
    doomed.do("listen")
    doomed.kill()
    watching = opened()
    same("address published in slot 0", watching.pages.published(0), bytes.fromhex("030007000000"))
    same("slot of join", join(lguest, opened(), 10).slot, 0)
    same("address published in slot 0", watching.pages.published(0), NO_ADDRESS)


@rule("DEV-2", "PUB-6")
def test_a_process_whose_launcher_ends_frees_its_slot_while_it_lives(
    lguest: LguestLan, start: Start, opened: Open
) -> None:
    ends, lives = start(7), start(8)
    same(
        "answer of the process to join and answer of the process to join",
        (ends.do("join"), lives.do("join")),
        (0, 1),
    )
    same("answer of the process to open", ends.do("open"), 0)
    same("answer of the process to open", lives.do("open"), 0)
    ends.do("exit")
    left = bytes.fromhex("020007000000") if lguest.host.defects.leaves_ghosts else NO_ADDRESS
    same("answer of the process to read", ends.do("read", 0), left)
    same("answer of the process to read", lives.do("read", 0), left)
    same("slot taken", [opened().take_slot() for _ in range(2)], [0, 2])


@rule("DEV-2", "PUB-6")
def test_a_launcher_process_that_ends_takes_its_address_along(start: Start, opened: Open) -> None:
    ends = start(7)
    watching = opened()
    same("answer of the process to join", ends.do("join"), 0)
    same("answer of the process to open", ends.do("open"), 0)
    same("address published in slot 0", watching.pages.published(0), bytes.fromhex("020007000000"))
    ends.do("exit")
    same("address published in slot 0", watching.pages.published(0), NO_ADDRESS)


@rule("DEV-2", "CNT-3")
def test_addresses_cross_from_process_to_process_at_once(
    lguest: LguestLan, start: Start, opened: Open
) -> None:
    """The other process has its own Host, so transfers to it fail; an attempt shows its address."""
    peer = start(7)
    sender = join(lguest, opened(), 10)
    same("result of opening the sender", sender.open(), 0)
    same("broadcast (whole, failed) of the sender", broadcast(sender), (0, 0))
    same("answer of the process to join", peer.do("join"), 1)
    same("broadcast (whole, failed) of the sender", broadcast(sender), (0, 0))
    same("answer of the process to open", peer.do("open"), 0)
    same("broadcast (whole, failed) of the sender", broadcast(sender), (0, 1))
    elsewhere = ethernet(bytes.fromhex("02001234abcd"), sender.address)
    sender.transmit(elsewhere)
    same("counters of the sender", sender.counters, Counters(tx_carrier_errors=1))
    peer.do("listen")
    sender.transmit(elsewhere)
    same("counters of the sender", sender.counters, Counters(tx_carrier_errors=2))
    peer.do("close")
    same("broadcast (whole, failed) of the sender", broadcast(sender), (0, 0))
    same("answer of the process to read", peer.do("read", sender.slot), sender.address)


# The file


@rule("DEV-2")
def test_one_file_under_two_names_is_one_network(
    lguest: LguestLan, opened: Open, path: Path
) -> None:
    sender = join(lguest, opened(), 10)
    alias = path.with_name("alias")
    alias.hardlink_to(path)
    with contextlib.closing(lguest.parts.file(alias)) as file:
        owner = join(lguest, file, 11)
        for device, slot in ((sender, 0), (owner, 1)):
            same("slot of the device", device.slot, slot)
            same("result of opening the device", device.open(), 0)
        must_reach(sender, owner)
        must_reach(owner, sender)


@rule("DEV-2", "DMA-2")
def test_a_new_file_of_the_same_name_is_another_network(
    lguest: LguestLan, opened: Open, path: Path
) -> None:
    """Slots of equal numbers have buffers under different keys."""
    old = [join(lguest, opened(), guest) for guest in (10, 11)]
    path.unlink()
    new = [join(lguest, opened(), guest) for guest in (12, 13)]
    for device in (*old, *new):
        same("result of opening the device", device.open(), 0)
    for sender, owner in ((*old,), (*reversed(old),), (*new,), (*reversed(new),)):
        must_reach(sender, owner)
    counts = [len(lguest.received(device)) for device in (*old, *new)]
    same("number of frames passed up by each", counts, [1, 1, 1, 1])


@rule("DEV-2")
@pytest.mark.parametrize(("pages", "slots"), SIZES)
def test_a_new_file_is_as_long_as_its_pages_and_all_zero(
    lguest: LguestLan, path: Path, pages: int, slots: int
) -> None:
    with contextlib.closing(lguest.parts.file(path, pages)) as file:
        same("content of the file", path.read_bytes(), bytes(pages * PAGE))
        same(
            "the shared page and slots of the shared page",
            (file.pages.pages, file.pages.slots),
            (pages, slots),
        )
        same("slot taken", file.take_slot(), 0)


@rule("DEV-2", "PUB-6")
def test_opening_the_file_changes_nothing_in_it(lguest: LguestLan, path: Path) -> None:
    held = bytes(2 + at % 200 for at in range(PAGE))
    path.write_bytes(held)
    with contextlib.closing(lguest.parts.file(path)) as file:
        same("slot taken", file.take_slot(), 0)
        same("shared page", file.pages.store[:], held)
    same("content of the file", path.read_bytes(), held)


@rule("DEV-2")
@pytest.mark.parametrize(
    ("pages", "size"),
    [(1, 1), (1, 4095), (1, 4097), (1, 8192), (2, 4096), (2, 16384), (4, 8192), (4, 32768)],
)
def test_a_file_of_another_size_is_refused_and_left_as_it_is(
    lguest: LguestLan, path: Path, pages: int, size: int
) -> None:
    held = b"x" * size
    path.write_bytes(held)
    before = open_files()
    said = f"lan: {size} bytes, not the {pages * PAGE} of {pages} pages"
    with raises("the error", LguestError, said):
        lguest.parts.file(path, pages)
    same("files left open", max(0, open_files() - before), 0)
    same("content of the file", path.read_bytes(), held)
    path.write_bytes(bytes(pages * PAGE))
    with contextlib.closing(lguest.parts.file(path, pages)) as file:
        same("slot taken", file.take_slot(), 0)


@rule("DEV-2")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "Is a directory"),
        ("missing/lan", "No such file or directory"),
        ("plain/lan", "Not a directory"),
    ],
)
def test_a_path_that_cannot_be_opened_is_an_error_that_names_it(
    lguest: LguestLan, tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / "plain").write_bytes(bytes(PAGE))
    bad = tmp_path / name
    with raises("the error", LguestError) as refusal:
        lguest.parts.file(bad)
    same("message of the error", refusal.message, f"{bad}: {said}")
    with contextlib.closing(lguest.parts.file(tmp_path / "plain")) as file:
        same("slot taken", file.take_slot(), 0)


@rule("DEV-2")
def test_device_pages_without_a_file_have_no_slots_to_take(lguest: LguestLan) -> None:
    launcher = lguest.launch(50)
    with raises("the error", LguestError, "have no locks: name the slot"):
        launcher.join(lguest.pages)
    same("devices of the launcher", launcher.guest.devices, [])
    device = launcher.join(lguest.pages, 5)
    lguest.devices.append(device)
    same("slot of the device", device.slot, 5)
