"""Hostile Guests: random hypercalls, against a shadow of all memory.

Guests without a driver write what they like into their own memory, also while the Host is
in the middle of a transfer, and make any hypercall. Each is on the shared network and on a
Host network of its own, where frames wait for it. Two things must hold: the only
effect on a Guest is the death of the offender, and no byte changes except in bound buffers,
in ``used_len`` fields, and where a Guest wrote itself. Which bytes those are is computed here
from the bytes in memory, independently of the Host's code.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from harness.lans.lguest import LguestLan
from harness.lguest.events import Killed, Point
from harness.lguest.guest import Guest
from harness.lguest.launcher import HostNetwork
from harness.lguest.memory import GuestMemory, Owner
from harness.lguest.tap import MemoryTap

GUESTS = 3
PAGES = 52
PAGE = 4096
SHARED = PAGES * PAGE + PAGE
"""Where every Guest sees the shared device page, right above its private memory."""

OWN = SHARED + PAGE
"""Where each sees the device page of its own Host network."""

LIMIT = OWN + PAGE
DMA_SIZE = 100
CALLS_IN_A_WORLD = 60
ARRAYS = tuple(range(0x2000, 0x2000 + 40 * 0x400, 0x400))
_DMA = struct.Struct("<I16I16H")

Make = Callable[[], LguestLan]


class Breach(AssertionError):
    """A hypercall did what no hypercall may; the message gives the seed and the call."""


@dataclass(slots=True)
class World:
    """Guests, the shadow of their memories, and which bytes may differ from it."""

    lan: LguestLan
    networks: list[HostNetwork]
    taps: list[MemoryTap]
    guests: list[Guest]
    shadows: list[bytearray]
    page: bytearray
    own_pages: list[bytearray]
    bound: list[tuple[int, int, int, int]] = field(default_factory=list)
    allowed: list[list[tuple[int, int]]] = field(default_factory=list)
    allowed_page: list[tuple[int, int]] = field(default_factory=list)
    allowed_own: list[list[tuple[int, int]]] = field(default_factory=list)
    calls: int = 0

    def write(self, number: int, address: int, data: bytes) -> None:
        """A Guest writes its own memory; the shadow follows."""
        self.guests[number].memory.write(address, data)
        self.shadows[number][address : address + len(data)] = data

    def allow(self, number: int, address: int, length: int) -> None:
        """These bytes of a Guest's memory may change from here on."""
        regions = (
            (0, SHARED, self.allowed[number]),
            (SHARED, OWN, self.allowed_page),
            (OWN, LIMIT, self.allowed_own[number]),
        )
        for start, end, ranges in regions:
            first, last = max(address, start), min(address + length, end)
            if first < last:
                ranges.append((first - start, last - start))


def attack(make: Make, seed: int, calls: int) -> tuple[int, int]:
    """Make at least ``calls`` hypercalls from one seed; returns calls made and Guests killed."""
    rng = random.Random(seed)
    made = deaths = 0
    while made < calls:
        world = _new_world(make)
        compare_always = rng.random() < 0.1
        try:
            while world.calls < CALLS_IN_A_WORLD:
                alive = [n for n, guest in enumerate(world.guests) if guest.dead is None]
                if not alive or world.lan.host.corrupt:
                    break
                try:
                    _act(rng, world, rng.choice(alive))
                except Breach:
                    raise
                except Exception as error:
                    raise Breach(f"seed {seed}, call {made + world.calls}: {error!r}") from error
                if compare_always:
                    _compare(world, seed, made)
            _compare(world, seed, made)
            deaths += sum(isinstance(event, Killed) for event in world.lan.host.events)
            made += world.calls
        finally:
            world.lan.close()
    return made, deaths


def _new_world(make: Make) -> World:
    lan = make()
    lan.host.trace = False
    guests, networks = [], []
    taps = [MemoryTap() for _ in range(GUESTS)]
    for number, tap in enumerate(taps):
        launcher = lan.launch(number, PAGES)
        launcher.guest.memory.map(lan.pages)
        networks.append(launcher.join_host(tap))
        guests.append(launcher.guest)
    shadows = [bytearray(guest.memory.private[:]) for guest in guests]
    own_pages = [bytearray(network.device.pages.store[:]) for network in networks]
    page = bytearray(lan.pages.store[:])
    world = World(lan, networks, taps, guests, shadows, page, own_pages)
    world.allowed = [[] for _ in guests]
    world.allowed_own = [[] for _ in guests]
    return world


# Random arguments of a hostile Guest


def _address(rng: random.Random) -> int:
    page = rng.randrange(1, PAGES + 1) * PAGE
    return rng.choice(
        (
            rng.choice(ARRAYS),
            rng.choice(ARRAYS) + rng.randrange(0x400),
            page,
            page + rng.randrange(PAGE),
            page - rng.randrange(1, 101),
            SHARED + rng.randrange(PAGE),
            OWN + rng.randrange(PAGE),
            OWN - rng.randrange(101),
            LIMIT - rng.randrange(101),
            SHARED - rng.randrange(101),
            rng.randrange(0, 1 << 32),
            (1 << 32) - rng.randrange(1, 200),
            0,
        )
    )


def _section(rng: random.Random, sane: bool) -> tuple[int, int]:
    if sane:
        start = rng.randrange(PAGE)
        page = rng.randrange(14, PAGES + 3) * PAGE
        return page + start, min(rng.choice((1, 6, 13, 14, 60, 1514, PAGE)), PAGE - start)
    return _address(rng), rng.choice((0, 1, 60, 1514, PAGE - 1, PAGE, PAGE + 1, 0xFFFF))


def _structure(rng: random.Random, sane: bool) -> bytes:
    used = 0 if sane else rng.choice((0, 0, 0, 1, 60, 0xFFFFFFFF))
    count = rng.choice((0, 1, 1, 2, 3, 16)) if sane else rng.randrange(17)
    sections = [_section(rng, sane) for _ in range(count)]
    if not sane and sections:
        sections = sections * (16 // len(sections))  # overlapping, and the list full
    sections += [(0, 0)] * (16 - len(sections))
    return _DMA.pack(used, *(a for a, _ in sections), *(n for _, n in sections))


def _key(rng: random.Random) -> int:
    which = rng.random()
    if which < 0.65:
        return SHARED + 4 * rng.randrange(GUESTS + 1)
    if which < 0.94:
        return OWN + 4 * rng.choice((0, 1, 1, 2))
    return rng.choice(
        (SHARED + rng.randrange(PAGE), 4 * rng.randrange(PAGES * 1024), _address(rng))
    )


def _act(rng: random.Random, world: World, number: int) -> None:
    """One hypercall of one Guest, and what it writes before."""
    what = rng.random()
    if what < 0.3:
        _bind(rng, world, number)
    elif what < 0.31:
        for _ in range(34):
            _bind(rng, world, number)
    elif what < 0.4:
        _input(rng, world, number)
    else:
        _send(rng, world, number)


def _bind(rng: random.Random, world: World, number: int) -> None:
    guest = world.guests[number]
    array = rng.choice(ARRAYS) if rng.random() < 0.9 else _address(rng)
    count = rng.choice((0, 1, 2, 4, 8, 8, 8, 10))
    interrupt = rng.choice((0, 1, 1, 1, 2, 31, 32, 255, 256))
    inside = array + count * DMA_SIZE <= PAGES * PAGE
    if inside and interrupt:
        for index in range(count):
            world.write(number, array + index * DMA_SIZE, _structure(rng, rng.random() < 0.95))
    key = _key(rng)
    world.calls += 1
    held = sum(binding[0] == number for binding in world.bound)
    if guest.dead is None and guest.bind_dma(key, array, count, interrupt):
        if interrupt & 0xFF:
            if held >= 32:
                raise Breach(f"Guest {number} bound a 33rd array")
            if interrupt & 0xFF >= 32:
                raise Breach(f"interrupt {interrupt & 0xFF} was bound")
            world.bound.append((number, key - SHARED, array, count))
        else:
            gone = (number, key - SHARED, array)
            world.bound.remove(next(binding for binding in world.bound if binding[:3] == gone))


def _send(rng: random.Random, world: World, number: int) -> None:
    guest = world.guests[number]
    at = 0x1000 + rng.randrange(0x800) if rng.random() < 0.97 else _address(rng)
    if at + DMA_SIZE <= PAGES * PAGE:
        world.write(number, at, _structure(rng, rng.random() < 0.9))
    key = _key(rng)
    if key % 4 == 0 and (0 <= key < SHARED or OWN <= key < LIMIT):
        _send_to_launcher(world, number, key, at)
        return
    for owner, start, length in _may_change(world, number, key - SHARED):
        world.allow(owner, start, length)
    if guest.memory.inside(at, 4):
        world.allow(number, at, 4)

    def meddle(point: Point, _: Owner) -> None:
        if point in (Point.COPIED, Point.RESTOCK) and rng.random() < 0.3:
            other = rng.randrange(GUESTS)
            target = rng.choice(ARRAYS) + DMA_SIZE * rng.randrange(8)
            world.write(other, target, _structure(rng, rng.random() < 0.8))

    world.lan.host.interleave = meddle if rng.random() < 0.1 else None
    world.calls += 1
    guest.send_dma(key, at)
    if world.lan.host.interleave is not None:
        # What was listed after the meddling may have been used by the second try.
        for owner, start, length in _may_change(world, number, key - SHARED):
            world.allow(owner, start, length)
        world.lan.host.interleave = None


def _send_to_launcher(world: World, number: int, key: int, at: int) -> None:
    """A SEND_DMA on a private key: what reaches the TAP, and who ends by it (HST-2)."""
    guest, tap = world.guests[number], world.taps[number]
    if guest.memory.inside(at, 4):
        world.allow(number, at, 4)
        guest.memory.write(at, bytes(4))  # as the Guest does; a list may cover it
    data = _listed(guest.memory, at)
    written = len(tap.written)
    world.calls += 1
    moved = guest.send_dma(key, at)
    if data is None:
        _ended(world, number)
    elif guest.dead is not None:
        raise Breach(f"Guest {number} was killed for a good list: {guest.dead}")
    expected = data if data is not None and key == OWN and len(data) >= 14 else b""
    if b"".join(tap.written[written:]) != expected:
        raise Breach(f"{len(tap.written) - written} frames reached the TAP, not what was sent")
    refused = data is not None and key == OWN and 0 < len(data) < 14
    if moved != (0xFFFFFFFF if refused else len(expected)):
        raise Breach(f"used_len of a send to the TAP is {moved}")


def _listed(memory: GuestMemory, at: int) -> bytes | None:
    """The bytes that a structure lists; None if it is not all below the top of memory."""
    if at < 0 or at + DMA_SIZE >= LIMIT:
        return None
    numbers = _DMA.unpack(memory.read(at, DMA_SIZE))
    parts = []
    for address, length in zip(numbers[1:17], numbers[17:], strict=True):
        if not length:
            break
        if address + length >= LIMIT:
            return None
        parts.append(memory.read(address, length))
    return b"".join(parts)


def _ended(world: World, number: int) -> None:
    """The Launcher of a Guest must have ended, and the Guest with it."""
    guest = world.guests[number]
    if guest.dead is None or number in world.lan.host.guests:
        raise Breach(f"the Launcher of Guest {number} went on after a bad list")
    world.bound = [binding for binding in world.bound if binding[0] != number]


def _input(rng: random.Random, world: World, number: int) -> None:
    """A frame comes from the TAP of a Guest's Host network (HST-3)."""
    guest, tap = world.guests[number], world.taps[number]
    tap.feed(rng.randbytes(rng.choice((1, 14, 60, 1514, 4000))))
    for owner, bound_to, array, count in world.bound:
        if owner != number or bound_to != OWN + 4 - SHARED:
            continue
        for index in range(count):
            at = array + index * DMA_SIZE
            if not guest.memory.inside(at, DMA_SIZE):
                break
            world.allow(number, at, 4)
            numbers = _DMA.unpack(guest.memory.read(at, DMA_SIZE))
            for address, length in zip(numbers[1:17], numbers[17:], strict=True):
                if not length:
                    break
                if guest.memory.inside(address, length):
                    world.allow(number, address, length)
    world.calls += 1
    world.networks[number].input()
    if guest.dead is not None:
        _ended(world, number)
        if not tap.waiting():
            raise Breach(f"Guest {number} died of a frame, and the frame is lost")


def _may_change(world: World, sender: int, key: int) -> Iterator[tuple[int, int, int]]:
    """(Guest, address, length) that a SEND_DMA to this key may write: buffers and lengths."""
    for owner, bound_to, array, count in world.bound:
        if owner == sender or bound_to != key or not 0 <= key < PAGE:
            continue
        memory = world.guests[owner].memory
        for index in range(count):
            at = array + index * DMA_SIZE
            if not memory.inside(at, DMA_SIZE):
                break
            yield owner, at, 4
            numbers = _DMA.unpack(memory.read(at, DMA_SIZE))
            for address, length in zip(numbers[1:17], numbers[17:], strict=True):
                if not length:
                    break
                if memory.inside(address, length):
                    yield owner, address, length


def _compare(world: World, seed: int, made: int) -> None:
    """Bring the shadow up to date where bytes may differ; elsewhere they must not."""
    where = f"seed {seed}, before call {made + world.calls}"
    for number, guest in enumerate(world.guests):
        _catch_up(world.shadows[number], guest.memory.private, world.allowed[number])
        if guest.memory.private[:] != world.shadows[number]:
            raise Breach(f"{where}: memory of Guest {number} changed outside its buffers")
    for number, network in enumerate(world.networks):
        store = network.device.pages.store
        _catch_up(world.own_pages[number], store, world.allowed_own[number])
        if store[:] != world.own_pages[number]:
            raise Breach(f"{where}: the page of Host network {number} changed outside buffers")
    _catch_up(world.page, world.lan.pages.store, world.allowed_page)
    if world.lan.pages.store[:] != world.page:
        raise Breach(f"{where}: the device page changed outside bound buffers")


def _catch_up(shadow: bytearray, memory: object, ranges: list[tuple[int, int]]) -> None:
    view = memoryview(memory)  # type: ignore[arg-type]
    try:
        for start, end in ranges:
            shadow[start:end] = view[start:end]
    finally:
        view.release()
    ranges.clear()
