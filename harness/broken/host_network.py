"""Broken LANs: faults of a Host network (H)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from harness.broken.base import Broken, broken_lguest
from harness.broken.hooks import list_at, listed_bytes, used_len
from harness.lans.lguest import Parts
from harness.lguest import dma
from harness.lguest.dma import PAGE_SIZE, Section
from harness.lguest.events import ETH_ALEN, Warned
from harness.lguest.launcher import HOST_SLOT, BadAddress, HostNetwork, Launcher
from harness.lguest.memory import ADDRESS_BYTES, PROMISC_BIT, Owner
from harness.lguest.tap import Tap

_REFUSED = 0xFFFFFFFF

# Slots (HST-1)


class _OtherAddress(Launcher):
    def published(self, address: bytes) -> bytes:
        """What slot 0 holds for a TAP with this address."""
        raise NotImplementedError

    def join_host(self, tap: Tap, *, nocsum: bool = True, rx_offset: int = 16) -> HostNetwork:
        network = super().join_host(tap, nocsum=nocsum, rx_offset=rx_offset)
        network.device.pages.publish(HOST_SLOT, self.published(tap.address))
        return network


class _NotPromiscuous(_OtherAddress):
    def published(self, address: bytes) -> bytes:
        return bytes((address[0] & ~PROMISC_BIT,)) + address[1:]


class _BitAlone(_OtherAddress):
    def published(self, address: bytes) -> bytes:
        return bytes((address[0] | PROMISC_BIT,)) + bytes(ADDRESS_BYTES - 1)


# Towards the TAP (HST-2)


def _sections(network: HostNetwork, address: int) -> list[Section]:
    return dma.unpack(list_at(network.device.guest, address))


class _FirstSectionOnly(HostNetwork):
    def gather(self, sections: Sequence[Section]) -> bytes:
        return super().gather(sections[:1])


class _WritesEachSection(HostNetwork):
    def gather(self, sections: Sequence[Section]) -> bytes:
        for section in sections[:-1]:
            self.tap.write(super().gather([section]))
        return super().gather(sections[-1:])


class _SectionsMayNotCross(Launcher):
    def convert(self, address: int) -> list[Section]:
        sections = super().convert(address)
        for start, length in sections:
            if start % PAGE_SIZE + length > PAGE_SIZE:
                raise BadAddress(f"section {start:#x} crosses a page")
        return sections


class _OtherRefusal(HostNetwork):
    def result(self, address: int) -> int:
        """The ``used_len`` of a frame that the TAP refused."""
        raise NotImplementedError

    def output(self, address: int, sections: Sequence[Section]) -> None:
        super().output(address, sections)
        guest = self.device.guest
        if used_len(guest, address) == _REFUSED:
            self.host.write_used_len(guest, address, self.result(address))


class _RefusedCountsAsSent(_OtherRefusal):
    def result(self, address: int) -> int:
        return listed_bytes(self.device.guest, address)


class _RefusedIsZero(_OtherRefusal):
    def result(self, address: int) -> int:
        del address
        return 0


class _BadSectionForgiven(Launcher):
    def answer_send(self, guest: Owner, key: int, address: int) -> None:
        with suppress(BadAddress):
            self.convert(address)
            super().answer_send(guest, key, address)


class _WatchesItsOwnKey(Launcher):
    def answer_send(self, guest: Owner, key: int, address: int) -> None:
        if any(key == network.device.key for network in self.networks):
            key = next(network.device.peer_key(HOST_SLOT) for network in self.networks)
        super().answer_send(guest, key, address)


class _NoWarning(Launcher):
    def answer_send(self, guest: Owner, key: int, address: int) -> None:
        super().answer_send(guest, key, address)
        events = self.host.events
        if events and isinstance(events[-1], Warned):
            events.pop()


# Towards the Guest (HST-3, HST-4)


class _SearchesFromACursor(HostNetwork):
    _cursor = 0

    def first_free(self, array: int, count: int) -> int | None:
        for step in range(count):
            index = (self._cursor + step) % count
            if not used_len(self.device.guest, array + index * dma.SIZE):
                self._cursor = index + 1
                return index
        return None


class _AfterInput(HostNetwork):
    def record_copy(self, buffer: int | None, moved: int, why: str) -> None:
        super().record_copy(buffer, moved, why)
        binding = self.host.binding(self.device.guest, self.device.key)
        if buffer is not None and binding is not None:
            self.filled(binding.array + buffer * dma.SIZE, moved)

    def filled(self, address: int, moved: int) -> None:
        """A frame of so many bytes was read into the buffer of this structure."""
        raise NotImplementedError


class _Filters(_AfterInput):
    def filled(self, address: int, moved: int) -> None:
        guest = self.device.guest
        destination = guest.memory.read(_sections(self, address)[0].address, ETH_ALEN)
        wanted = destination[0] & 1 or destination == self.device.address
        if moved >= ETH_ALEN and not wanted and not self.device.wants_everything():
            self.host.write_used_len(guest, address, 0)


class _WholeBuffer(_AfterInput):
    def filled(self, address: int, moved: int) -> None:
        del moved
        guest = self.device.guest
        self.host.write_used_len(guest, address, listed_bytes(guest, address))


class _PadsShortFrames(_AfterInput):
    def filled(self, address: int, moved: int) -> None:
        self.host.write_used_len(self.device.guest, address, max(moved, 60))


class _KeepsWhileUnbound(HostNetwork):
    def input(self) -> bool:
        if self.host.binding(self.device.guest, self.device.key) is None:
            return False
        return super().input()


class _InterruptsWhileUnbound(HostNetwork):
    def input(self) -> bool:
        guest, device = self.device.guest, self.device
        if self.tap.waiting() and self.host.binding(guest, device.key) is None:
            guest.pending |= 1 << device.interrupt
        return super().input()


class _WarnsTooEarly(HostNetwork):
    def input(self) -> bool:
        self.guest_has_sent = True
        return super().input()


class _OverwritesTheLast(HostNetwork):
    def first_free(self, array: int, count: int) -> int | None:
        index = super().first_free(array, count)
        return count - 1 if index is None else index


class _FullRingLosesTheFrame(HostNetwork):
    def first_free(self, array: int, count: int) -> int | None:
        index = super().first_free(array, count)
        if index is None:
            self.tap.read()
        return index


class _KeepsOneFree(HostNetwork):
    def first_free(self, array: int, count: int) -> int | None:
        return super().first_free(array, count - 1)


def _network(name: str, rule: str, what: str, network: type[HostNetwork]) -> Broken:
    return broken_lguest(name, rule, what, Parts(network=network))


def _launcher(name: str, rule: str, what: str, launcher: type[Launcher]) -> Broken:
    return broken_lguest(name, rule, what, Parts(launcher=launcher))


BROKEN = (
    _launcher(
        "launcher-not-promiscuous",
        "HST-1",
        "the Launcher publishes the TAP's address without the promiscuous bit",
        _NotPromiscuous,
    ),
    _launcher(
        "launcher-publishes-one-byte",
        "HST-1",
        "the Launcher publishes the first byte of the TAP's address alone",
        _BitAlone,
    ),
    _network(
        "tap-gets-the-first-section",
        "HST-2",
        "the TAP gets the first section of a frame only",
        _FirstSectionOnly,
    ),
    _network(
        "tap-gets-each-section",
        "HST-2",
        "each section is written to the TAP as a frame of its own",
        _WritesEachSection,
    ),
    _launcher(
        "tap-sections-may-not-cross",
        "HST-2",
        "a section for the TAP that crosses a page ends the Launcher",
        _SectionsMayNotCross,
    ),
    _network(
        "refused-counts-as-sent",
        "HST-2",
        "a frame that the TAP refused counts as sent",
        _RefusedCountsAsSent,
    ),
    _network(
        "refused-is-zero",
        "HST-2",
        "the used_len of a frame that the TAP refused is 0",
        _RefusedIsZero,
    ),
    _launcher(
        "bad-section-forgiven",
        "HST-2",
        "a bad section for the TAP is passed over",
        _BadSectionForgiven,
    ),
    _launcher(
        "watches-the-guests-key",
        "HST-2",
        "what is sent to the Guest's own slot reaches the TAP",
        _WatchesItsOwnKey,
    ),
    _launcher(
        "no-warning-for-unwatched-keys",
        "HST-2",
        "a key that no device watches gives no warning",
        _NoWarning,
    ),
    _network(
        "tap-frames-have-a-cursor",
        "HST-3",
        "the search for a frame from the TAP starts behind the buffer used last",
        _SearchesFromACursor,
    ),
    _network(
        "tap-frames-are-filtered",
        "HST-3",
        "a frame from the TAP to another's address is not delivered",
        _Filters,
    ),
    _network(
        "tap-frames-fill-the-buffer",
        "HST-3",
        "used_len of a frame from the TAP is the length of the buffer",
        _WholeBuffer,
    ),
    _network(
        "tap-frames-are-padded",
        "HST-3",
        "a short frame from the TAP counts as 60 bytes",
        _PadsShortFrames,
    ),
    _network(
        "tap-frames-wait-for-opening",
        "HST-3",
        "a frame from the TAP waits until buffers are bound",
        _KeepsWhileUnbound,
    ),
    _network(
        "interrupts-without-buffers",
        "HST-3",
        "a frame from the TAP that is thrown away interrupts",
        _InterruptsWhileUnbound,
    ),
    _network(
        "warns-before-the-guest-sent",
        "HST-3",
        "a frame that is thrown away gives a warning even before the Guest has sent",
        _WarnsTooEarly,
    ),
    _network(
        "full-ring-overwrites-the-last",
        "HST-4",
        "with all buffers full the last frame is overwritten",
        _OverwritesTheLast,
    ),
    _network(
        "full-ring-loses-the-frame",
        "HST-4",
        "with all buffers full a frame from the TAP is read and lost",
        _FullRingLosesTheFrame,
    ),
    _network(
        "full-with-seven",
        "HST-4",
        "a frame from the TAP waits although the last buffer is free",
        _KeepsOneFree,
    ),
)
