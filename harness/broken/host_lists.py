"""Broken LANs: lists and arrays on a Host network that a driver would never make (HST-2, HST-3)."""

from __future__ import annotations

from collections.abc import Sequence

from harness.broken.base import Broken, broken_lguest
from harness.broken.hooks import list_at
from harness.lans.lguest import Parts
from harness.lguest import dma
from harness.lguest.dma import PAGE_SIZE, USED_LEN, Section
from harness.lguest.launcher import HOST_SLOT, BadAddress, HostNetwork, Launcher
from harness.lguest.memory import BadArray, Binding, Owner

# HST-2


class _TopBelongs(Launcher):
    def check(self, address: int, length: int) -> None:
        if not self.guest.memory.inside(address, length):
            super().check(address, length)


class _StructureUnchecked(Launcher):
    def convert(self, address: int) -> list[Section]:
        memory = self.guest.memory
        if not memory.inside(address, dma.SIZE):
            return []
        sections = dma.unpack(list_at(self.guest, address))
        for section in sections:
            self.check(*section)
        return sections


class _FirstSectionChecked(Launcher):
    def convert(self, address: int) -> list[Section]:
        self.check(address, dma.SIZE)
        sections = dma.unpack(list_at(self.guest, address))
        for section in sections[:1]:
            self.check(*section)
        memory = self.guest.memory
        return [section for section in sections if memory.inside(*section)]


class _WatchedKeysOnly(Launcher):
    def answer_send(self, guest: Owner, key: int, address: int) -> None:
        watched = any(key == network.device.peer_key(HOST_SLOT) for network in self.networks)
        try:
            self.convert(address)
        except BadAddress:
            if not watched:
                self.warn(guest, key, address)
                return
        super().answer_send(guest, key, address)


class _LooksBehindTheEnd(Launcher):
    def convert(self, address: int) -> list[Section]:
        listed = list_at(self.guest, address)
        half = 4 * dma.MAX_SECTIONS
        for at in range(dma.MAX_SECTIONS):
            start = int.from_bytes(listed[4 * at : 4 * at + 4], "little")
            length = int.from_bytes(listed[half + 2 * at : half + 2 * at + 2], "little")
            self.check(start, length)
        return super().convert(address)


class _EmptyIsRefused(HostNetwork):
    def output(self, address: int, sections: Sequence[Section]) -> None:
        super().output(address, sections)
        if not sections:
            self.device.guest.memory.write(address, USED_LEN.pack(0xFFFFFFFF))


class _EmptyIsWritten(HostNetwork):
    def output(self, address: int, sections: Sequence[Section]) -> None:
        if not sections:
            self.tap.write(b"")
        super().output(address, sections)


class _EmptyIsNotSending(HostNetwork):
    def output(self, address: int, sections: Sequence[Section]) -> None:
        before = self.guest_has_sent
        super().output(address, sections)
        self.guest_has_sent = before or bool(sections)


class _RefusedIsNotSending(HostNetwork):
    def output(self, address: int, sections: Sequence[Section]) -> None:
        before = self.guest_has_sent
        super().output(address, sections)
        self.guest_has_sent = before or sum(length for _, length in sections) >= 14


# HST-3


class _ReadsFirst(HostNetwork):
    def judge(self) -> bool:
        """Whether the next buffer's list can be read into."""
        binding = self.newest_array()
        if binding is None or not binding.count:
            return True
        try:
            index = self.first_free(binding.array, binding.count)
        except BadArray:
            return False
        if index is None:
            return True
        try:
            return bool(self.launcher.convert(binding.array + index * dma.SIZE))
        except BadAddress:
            return False

    def input(self) -> bool:
        if self.launcher.runs and self.tap.waiting() and not self.judge():
            self.tap.read()
            if not self.tap.waiting():
                self.launcher.fail("no frame")
                return False
        return super().input()


class _EmptyListIsDelivered(HostNetwork):
    def input(self) -> bool:
        binding = self.newest_array()
        if binding is not None and binding.count and self.tap.waiting():
            guest = self.device.guest
            empty = [
                index
                for index in range(binding.count)
                if guest.memory.inside(binding.array + index * dma.SIZE, dma.SIZE)
                and not dma.unpack(list_at(guest, binding.array + index * dma.SIZE))
            ]
            if empty and self.first_free(binding.array, binding.count) == empty[0]:
                self.tap.read()
                self.host.interrupt(binding)
                return True
        return super().input()


class _EmptyArrayWaits(HostNetwork):
    def input(self) -> bool:
        binding = self.newest_array()
        return (binding is None or binding.count > 0) and super().input()


class _EmptyArrayIsFilled(HostNetwork):
    def input(self) -> bool:
        binding = self.newest_array()
        if binding is not None and not binding.count and self.tap.waiting():
            memory = self.device.guest.memory
            memory.write(binding.array - dma.SIZE, USED_LEN.pack(len(self.tap.read())))
            return True
        return super().input()


class _OldestArray(HostNetwork):
    def newest_array(self) -> Binding | None:
        guest = self.device.guest
        newest = super().newest_array()
        if newest is None:
            return None
        return [binding for binding in newest.key.bound if binding.guest is guest][-1]


class _FullArrayFallsBack(HostNetwork):
    def newest_array(self) -> Binding | None:
        newest = super().newest_array()
        if newest is None:
            return None
        for binding in newest.key.bound:
            try:
                if binding.count and self.first_free(binding.array, binding.count) is not None:
                    return binding
            except BadArray:
                return newest
        return newest


class _ArrayOutsideIsNone(HostNetwork):
    def newest_array(self) -> Binding | None:
        binding = super().newest_array()
        try:
            if binding is not None:
                self.first_free(binding.array, binding.count)
        except BadArray:
            return None
        return binding


class _ArrayOutsideIsSkipped(HostNetwork):
    def first_free(self, array: int, count: int) -> int | None:
        try:
            return super().first_free(array, count)
        except BadArray:
            return None


class _EndedReadsOn(HostNetwork):
    def input(self) -> bool:
        if not self.launcher.runs and self.tap.waiting():
            self.tap.read()
        return super().input()


class _SectionsOfInputMayNotCross(HostNetwork):
    def input(self) -> bool:
        binding = self.newest_array()
        if binding is not None and binding.count and self.tap.waiting():
            sections = dma.unpack(list_at(self.device.guest, binding.array))
            if any(start % PAGE_SIZE + length > PAGE_SIZE for start, length in sections):
                self.launcher.fail("a section crosses a page")
                return False
        return super().input()


def _network(name: str, rule: str, what: str, network: type[HostNetwork]) -> Broken:
    return broken_lguest(name, rule, what, Parts(network=network))


def _launcher(name: str, rule: str, what: str, launcher: type[Launcher]) -> Broken:
    return broken_lguest(name, rule, what, Parts(launcher=launcher))


BROKEN = (
    _launcher(
        "launcher-reads-to-the-top",
        "HST-2",
        "a range that ends at the top of memory is converted",
        _TopBelongs,
    ),
    _launcher(
        "launcher-forgives-the-structure",
        "HST-2",
        "a structure outside the Guest's memory counts as an empty list",
        _StructureUnchecked,
    ),
    _launcher(
        "launcher-checks-the-first-section",
        "HST-2",
        "a bad section behind the first is left out",
        _FirstSectionChecked,
    ),
    _launcher(
        "launcher-converts-for-watched-keys",
        "HST-2",
        "a bad list sent to a key that no device watches is a warning only",
        _WatchedKeysOnly,
    ),
    _launcher(
        "launcher-looks-behind-the-end",
        "HST-2",
        "what is behind a zero length is converted too",
        _LooksBehindTheEnd,
    ),
    _network(
        "tap-empty-is-refused",
        "HST-2",
        "the used_len of an empty send to the TAP is 0xffffffff",
        _EmptyIsRefused,
    ),
    _network(
        "tap-empty-is-written", "HST-2", "an empty send is written to the TAP", _EmptyIsWritten
    ),
    _network(
        "tap-empty-is-not-sending",
        "HST-3",
        "after an empty send the Guest does not count as having sent",
        _EmptyIsNotSending,
    ),
    _network(
        "tap-refused-is-not-sending",
        "HST-3",
        "after a send that the TAP refused the Guest does not count as having sent",
        _RefusedIsNotSending,
    ),
    _network(
        "tap-frame-lost-on-a-bad-list",
        "HST-3",
        "the frame is read from the TAP before the receive list is checked",
        _ReadsFirst,
    ),
    _network(
        "tap-frame-into-an-empty-list",
        "HST-3",
        "a frame is delivered into an empty receive list",
        _EmptyListIsDelivered,
    ),
    _network(
        "tap-waits-for-an-empty-array",
        "HST-3",
        "a frame waits in the TAP while the array has no buffers",
        _EmptyArrayWaits,
    ),
    _network(
        "tap-fills-before-an-empty-array",
        "HST-3",
        "an array of no buffers is filled 100 bytes before its start",
        _EmptyArrayIsFilled,
    ),
    _network(
        "tap-fills-the-oldest-array",
        "HST-3",
        "of several arrays the one bound first gets the frames from the TAP",
        _OldestArray,
    ),
    _network(
        "tap-falls-back-to-an-older-array",
        "HST-3",
        "where the newest array is full an older one gets the frame from the TAP",
        _FullArrayFallsBack,
    ),
    _network(
        "tap-array-outside-is-none",
        "HST-3",
        "an array outside the Guest's memory counts as no array",
        _ArrayOutsideIsNone,
    ),
    _network(
        "tap-array-outside-is-full",
        "HST-3",
        "an array outside the Guest's memory counts as full",
        _ArrayOutsideIsSkipped,
    ),
    _network(
        "ended-launcher-reads-on",
        "HST-3",
        "a Launcher that ended still reads the TAP",
        _EndedReadsOn,
    ),
    _network(
        "tap-lists-may-not-cross",
        "HST-3",
        "a receive section that crosses a page ends the Launcher",
        _SectionsOfInputMayNotCross,
    ),
)
