"""Broken LANs that pack frames into sections wrongly (C)."""

from __future__ import annotations

from collections.abc import Sequence

from harness.broken.base import broken_device, broken_guest
from harness.broken.hooks import list_at
from harness.lguest import dma
from harness.lguest.dma import MAX_SECTIONS, PAGE_SIZE, Section
from harness.lguest.driver import BUFFER_BYTES, MEGAPACKET, NetDevice
from harness.lguest.events import ETH_HLEN
from harness.lguest.guest import Guest

_ADDRESSES = 4 * MAX_SECTIONS


class _CutAtThePage(NetDevice):
    def sections_of(self, runs: list[Section]) -> list[Section]:
        return dma.linear_sections(*runs[0])[:1] + runs[1:]


class _CutAtHalfPages(NetDevice):
    def sections_of(self, runs: list[Section]) -> list[Section]:
        half = PAGE_SIZE // 2
        sections = []
        for address, length in dma.linear_sections(*runs[0]):
            first = min(length, half - address % half)
            sections.append(Section(address, first))
            if first < length:
                sections.append(Section(address + first, length - first))
        return sections + runs[1:]


class _FragmentsBackwards(NetDevice):
    def sections_of(self, runs: list[Section]) -> list[Section]:
        return super().sections_of(runs[:1] + runs[:0:-1])


class _LargestFragmentFirst(NetDevice):
    def sections_of(self, runs: list[Section]) -> list[Section]:
        return super().sections_of(
            runs[:1] + sorted(runs[1:], key=lambda run: run.length, reverse=True)
        )


class _JoinsFragments(NetDevice):
    def sections_of(self, runs: list[Section]) -> list[Section]:
        joined = runs[1:2]
        for run in runs[2:]:
            last = joined[-1]
            if last.address + last.length == run.address:
                joined[-1] = Section(last.address, last.length + run.length)
            else:
                joined.append(run)
        return super().sections_of(runs[:1] + joined)


class _FifteenSections(NetDevice):
    def pack(self, sections: list[Section]) -> bytes:
        return super().pack(sections[: MAX_SECTIONS - 1])


class _NoTerminator(NetDevice):
    def transfer(self, listed: bytes, length: int, slot: int) -> None:
        old = list_at(self.guest, self.sending)
        used = len(dma.unpack(listed))
        behind = slice(4 * used, _ADDRESSES), slice(_ADDRESSES + 2 * used, None)
        mixed = bytearray(listed)
        for part in behind:
            mixed[part] = old[part]
        super().transfer(bytes(mixed), length, slot)


class _SixteenIsAMegapacket(NetDevice):
    def transfer(self, listed: bytes, length: int, slot: int) -> None:
        whole = sum(section.length for section in dma.unpack(listed)) == length
        if whole and len(dma.unpack(listed)) == MAX_SECTIONS:
            self.guest.log(MEGAPACKET)
        super().transfer(listed, length, slot)


class _LoggedOnceAFrame(Guest):
    _logged_at = -1

    def log(self, text: str) -> None:
        if text == MEGAPACKET:
            if self._logged_at == self.host.now:
                return
            self._logged_at = self.host.now
        super().log(text)


class _MegapacketInSilence(Guest):
    def log(self, text: str) -> None:
        if text != MEGAPACKET:
            super().log(text)


class _DropsMegapackets(NetDevice):
    def transfer(self, listed: bytes, length: int, slot: int) -> None:
        if sum(section.length for section in dma.unpack(listed)) < length:
            self.counters.tx_carrier_errors += 1
        else:
            super().transfer(listed, length, slot)


class _OneTooManyLeftOut(NetDevice):
    def pack(self, sections: list[Section]) -> bytes:
        if len(sections) > MAX_SECTIONS:
            sections = sections[: MAX_SECTIONS - 1]
        return super().pack(sections)


class _KeepsTheLastFragment(NetDevice):
    def pack(self, sections: list[Section]) -> bytes:
        if len(sections) > MAX_SECTIONS:
            sections = sections[: MAX_SECTIONS - 1] + sections[-1:]
        return super().pack(sections)


class _CutsTheLinearPart(NetDevice):
    def why_not(
        self, frame: bytes, linear: int, offset: int, fragments: Sequence[tuple[int, int]]
    ) -> str:
        why = super().why_not(frame, linear, offset, fragments)
        return "" if "(SEC-4)" in why else why


class _RefusesSixteenLinear(NetDevice):
    def why_not(
        self, frame: bytes, linear: int, offset: int, fragments: Sequence[tuple[int, int]]
    ) -> str:
        why = super().why_not(frame, linear, offset, fragments)
        if not why and offset + linear > (MAX_SECTIONS - 1) * PAGE_SIZE:
            return "its linear part leaves no section for the end of the list (SEC-4)"
        return why


class _OtherBuffers(NetDevice):
    def sections_of_buffer(self, address: int) -> list[Section]:
        """The sections that are offered to the Host."""
        return dma.linear_sections(address, BUFFER_BYTES)

    def offer_list(self, address: int) -> bytes:
        listed = self.offer_lists[address] = self.pack(self.sections_of_buffer(address))
        return listed


class _BufferWithoutHeader(_OtherBuffers):
    def sections_of_buffer(self, address: int) -> list[Section]:
        return dma.linear_sections(address, BUFFER_BYTES - ETH_HLEN)


class _BufferCutAtThePage(_OtherBuffers):
    def sections_of_buffer(self, address: int) -> list[Section]:
        return super().sections_of_buffer(address)[:1]


class _SecondPageFirst(_OtherBuffers):
    def sections_of_buffer(self, address: int) -> list[Section]:
        return super().sections_of_buffer(address)[::-1]


class _BufferOf1536(_OtherBuffers):
    def sections_of_buffer(self, address: int) -> list[Section]:
        return dma.linear_sections(address, 1536)


BROKEN = (
    broken_device(
        "linear-part-cut-at-the-page",
        "SEC-1",
        "what lies behind the linear part's first page is left out",
        _CutAtThePage,
    ),
    broken_device(
        "cut-at-half-pages", "SEC-1", "the linear part is cut at every 2,048 bytes", _CutAtHalfPages
    ),
    broken_device(
        "fragments-backwards",
        "SEC-1",
        "the fragments follow the linear part in reverse",
        _FragmentsBackwards,
    ),
    broken_device(
        "largest-fragment-first",
        "SEC-1",
        "the fragments are ordered by size",
        _LargestFragmentFirst,
    ),
    broken_device(
        "joins-fragments",
        "SEC-1",
        "fragments that touch are joined to one section, even across a page",
        _JoinsFragments,
    ),
    broken_device(
        "fifteen-sections", "SEC-2", "a list holds fifteen sections and its end", _FifteenSections
    ),
    broken_device(
        "no-terminator",
        "SEC-2",
        "what was behind the end of the list before is left there",
        _NoTerminator,
    ),
    broken_device(
        "sixteen-is-a-megapacket",
        "SEC-2",
        "exactly sixteen sections are logged as a megapacket",
        _SixteenIsAMegapacket,
    ),
    broken_guest(
        "megapacket-told-once-a-frame",
        "SEC-3",
        "a megapacket is logged once, however many peers it is sent to",
        _LoggedOnceAFrame,
    ),
    broken_guest(
        "megapacket-in-silence", "SEC-3", "a megapacket is not logged", _MegapacketInSilence
    ),
    broken_device(
        "drops-megapackets", "SEC-3", "a megapacket is not sent at all", _DropsMegapackets
    ),
    broken_device(
        "megapacket-loses-one-more",
        "SEC-3",
        "a megapacket is sent with fifteen sections",
        _OneTooManyLeftOut,
    ),
    broken_device(
        "megapacket-keeps-the-last",
        "SEC-3",
        "a megapacket's sixteenth section is its last fragment",
        _KeepsTheLastFragment,
    ),
    broken_device(
        "cuts-the-linear-part",
        "SEC-4",
        "what is more than sixteen linear sections is left out, and the rest sent",
        _CutsTheLinearPart,
    ),
    broken_device(
        "refuses-sixteen-linear-sections",
        "SEC-4",
        "a linear part of exactly sixteen sections is refused",
        _RefusesSixteenLinear,
    ),
    broken_device(
        "buffer-without-header", "SEC-5", "a receive buffer is 1,500 bytes", _BufferWithoutHeader
    ),
    broken_device(
        "buffer-cut-at-the-page",
        "SEC-5",
        "a receive buffer across a page is offered to the page's end only",
        _BufferCutAtThePage,
    ),
    broken_device(
        "second-page-first",
        "SEC-5",
        "a receive buffer across a page is offered with its second page first",
        _SecondPageFirst,
    ),
    broken_device(
        "buffer-of-1536",
        "LEN-3",
        "a receive buffer is 1,536 bytes, and what is longer than 1,514 is then dropped",
        _BufferOf1536,
    ),
)
