"""Broken directories: who receives, and what becomes of single frames (WIRE, DLV, INT, GRP)."""

from __future__ import annotations

from collections.abc import Iterable

from harness.broken.living.hooks import (
    BROADCAST,
    FULL,
    IPV6,
    TCP_PAYLOAD,
    Alters,
    Doubles,
    Leaks,
    Loses,
    Reorders,
    Returns,
    altering,
    broken_memory,
    is_long,
    is_tagged,
    is_tcp,
    leaking,
    losing,
)
from harness.lans.memory import MemoryDirectory, MemoryPort, is_group


class _LosesToTheNext(Loses, MemoryDirectory):
    """Every eighth frame of a port is lost at one port: the one that is served last."""

    def loses(self, port: MemoryPort, frame: bytes) -> bool:
        return port is self.made[-1] and self.left[port.number] % 8 == 0


class _StaysPromiscuous(Leaks, MemoryDirectory):
    def begin(self) -> None:
        super().begin()
        self.once: set[MemoryPort] = set()

    def leaks(self, sender: MemoryPort, port: MemoryPort, frame: bytes) -> bool:
        if port.promiscuous:
            self.once.add(port)
        return port in self.once


class _LeaksEveryFiftieth(Leaks, MemoryDirectory):
    def leaks(self, sender: MemoryPort, port: MemoryPort, frame: bytes) -> bool:
        return self.entered[sender.number] % 50 == 0


class _NobodysToTheFirst(Leaks, MemoryDirectory):
    def leaks(self, sender: MemoryPort, port: MemoryPort, frame: bytes) -> bool:
        return port is self.made[0] and all(other.mac != frame[:6] for other in self.made)


class _ComparesFourBytes(MemoryDirectory):
    def wants(self, port: MemoryPort, frame: bytes) -> bool:
        return port.promiscuous or port.mac[2:] == frame[2:6]


class _PromiscuousSeesKnown(MemoryDirectory):
    def wants(self, port: MemoryPort, frame: bytes) -> bool:
        known = any(other.mac == frame[:6] for other in self.made)
        return port.mac == frame[:6] or (port.promiscuous and known)


class _PromiscuousTakesAll(MemoryDirectory):
    """A promiscuous port gets the frames, and their owner does not."""

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        targets = [*super().targets(sender, frame)]
        greedy = [port for port in targets if port.promiscuous]
        return targets if is_group(frame) else greedy or targets


class _ReturnsToPromiscuous(Returns, MemoryDirectory):
    def returns(self, sender: MemoryPort, frame: bytes) -> bool:
        return sender.promiscuous


class _ReturnsOwn(Returns, MemoryDirectory):
    def returns(self, sender: MemoryPort, frame: bytes) -> bool:
        return frame[:6] == sender.mac


class _ReturnsEveryTenth(Returns, MemoryDirectory):
    def returns(self, sender: MemoryPort, frame: bytes) -> bool:
        return self.entered[sender.number] % 10 == 0


class _PromiscuousOwnerTwice(Doubles, MemoryDirectory):
    def doubles(self, port: MemoryPort, frame: bytes) -> bool:
        return port.promiscuous and frame[:6] == port.mac


class _DoublesEveryFiftieth(Doubles, MemoryDirectory):
    def doubles(self, port: MemoryPort, frame: bytes) -> bool:
        return self.left[port.number] % 50 == 0


class _GroupsFirst(Reorders, MemoryDirectory):
    """Open vSwitch reorders within a batch."""

    def in_order(self, frames: list[bytes]) -> list[bytes]:
        return sorted(frames, key=lambda frame: not is_group(frame))


class _LastOfEightFirst(Reorders, MemoryDirectory):
    def in_order(self, frames: list[bytes]) -> list[bytes]:
        batches = [frames[start : start + 8] for start in range(0, len(frames), 8)]
        return [frame for batch in batches for frame in (*batch[-1:], *batch[:-1])]


class _ByteOrderEvery32nd(Alters, MemoryDirectory):
    def altered(self, port: MemoryPort, frame: bytes) -> bytes:
        if self.left[port.number] % 32:
            return frame
        return frame[:12] + frame[13:14] + frame[12:13] + frame[14:]


class _OldTail(Alters, MemoryDirectory):
    """The last four bytes are those of the frame before."""

    def begin(self) -> None:
        super().begin()
        self.tail = bytes(4)

    def altered(self, port: MemoryPort, frame: bytes) -> bytes:
        if len(frame) < 256:
            self.tail = frame[-4:]
            return frame
        return frame[:-4] + self.tail


class _LateAfterClose(MemoryDirectory):
    """The last frame before a port closes comes a second time when another one closes."""

    last: tuple[MemoryPort, bytes] | None = None

    def leave(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        self.last = port, frame
        return (frame,)

    def port_went_down(self, port: MemoryPort) -> None:
        if self.last is not None and self.last[0].up:
            self.last[0].deliver(self.last[1])


class _AsksForGroups(MemoryDirectory):
    """An IGMP snooper asks who is a member, whenever a port comes up."""

    def port_came_up(self, port: MemoryPort) -> None:
        query = bytes.fromhex("01005e000001020000fffffe0800") + bytes(46)
        for other in self.made:
            if other.up:
                other.deliver(query)


class _AnnouncesItself(MemoryDirectory):
    """A broadcast of the LAN's own follows the first that a port sends."""

    def begin(self) -> None:
        self.greeted: set[MemoryPort] = set()

    def relay(self, sender: MemoryPort, frame: bytes) -> None:
        super().relay(sender, frame)
        if is_group(frame) and sender not in self.greeted:
            self.greeted.add(sender)
            sender.deliver(BROADCAST + bytes.fromhex("020000fffffe88cc") + bytes(46))


class _OversizedCut(MemoryDirectory):
    def enter(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        return (frame[: self.traits.longest],)


class _OversizedTailNext(MemoryDirectory):
    """What was too much of a frame lies in front of the next."""

    rest = b""

    def enter(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        if len(frame) > self.traits.longest:
            self.rest = frame[self.traits.longest :]
            return ()
        rest, self.rest = self.rest, b""
        return (rest + frame,)


class _ChecksumsAnew(Alters, MemoryDirectory):
    """An offload fills in checksums, wrong ones too: here as zeros."""

    def altered(self, port: MemoryPort, frame: bytes) -> bytes:
        return frame[:50] + b"\0\0" + frame[52:] if is_tcp(frame) else frame


class _SegmentsSplit(MemoryDirectory):
    """A segment above 1,514 bytes leaves as two frames (segmentation offload)."""

    def leave(self, port: MemoryPort, frame: bytes) -> Iterable[bytes]:
        if not is_tcp(frame) or len(frame) <= FULL:
            return (frame,)
        return frame[:FULL], frame[:TCP_PAYLOAD] + frame[FULL:]


class _GroupsToMembers(MemoryDirectory):
    """Multicasts reach ports alone that joined a group."""

    def targets(self, sender: MemoryPort, frame: bytes) -> Iterable[MemoryPort]:
        targets = super().targets(sender, frame)
        if not is_group(frame) or frame[:6] == BROADCAST:
            return targets
        return [port for port in targets if port.groups or port.promiscuous]


def _priority_cleared(frame: bytes) -> bytes:
    return frame[:14] + bytes((frame[14] & 0x1F,)) + frame[15:] if is_tagged(frame) else frame


def _drop_bit_cleared(frame: bytes) -> bytes:
    return frame[:14] + bytes((frame[14] & 0xEF,)) + frame[15:] if is_tagged(frame) else frame


def _inner_tag_lost(frame: bytes) -> bytes:
    inner = is_tagged(frame) and is_tagged(frame[4:])
    return frame[:16] + frame[20:] if inner else frame


def _priority_tag_stripped(frame: bytes) -> bytes:
    vlan = int.from_bytes(frame[14:16], "big") & 0xFFF
    return frame[:12] + frame[16:] if is_tagged(frame) and not vlan else frame


def _length_corrected(frame: bytes) -> bytes:
    length = int.from_bytes(frame[12:14], "big")
    right = len(frame) - 14
    if length > 1_500 or right > 1_500:
        return frame
    return frame[:12] + right.to_bytes(2, "big") + frame[14:]


def _tagged_group_stripped(frame: bytes) -> bytes:
    return frame[:12] + frame[16:] if is_tagged(frame) and is_group(frame) else frame


_LAN = MemoryDirectory

BROKEN = (
    broken_memory(
        "directory-loses-every-eighth-at-one",
        "WIRE-1",
        "the last port loses every eighth frame",
        _LosesToTheNext,
    ),
    broken_memory(
        "directory-loses-ipv6",
        "INT-3",
        "IPv6 frames are lost",
        losing(_LAN, lambda frame: frame[12:14] == IPV6),
    ),
    broken_memory(
        "directory-stays-promiscuous",
        "WIRE-2",
        "a port that was promiscuous sees all for ever",
        _StaysPromiscuous,
    ),
    broken_memory(
        "directory-leaks-every-fiftieth",
        "WIRE-2",
        "every 50th frame of a port reaches all",
        _LeaksEveryFiftieth,
    ),
    broken_memory(
        "directory-floods-tagged",
        "WIRE-2",
        "tagged unicasts reach all ports",
        leaking(_LAN, is_tagged),
    ),
    broken_memory(
        "directory-floods-long",
        "WIRE-2",
        "unicasts above 1,514 bytes reach all ports",
        leaking(_LAN, is_long),
    ),
    broken_memory(
        "directory-nobodys-to-the-first",
        "DLV-7",
        "what is for nobody reaches the first port",
        _NobodysToTheFirst,
    ),
    broken_memory(
        "directory-compares-four-bytes",
        "DLV-1",
        "only the last four bytes of an address count",
        _ComparesFourBytes,
    ),
    broken_memory(
        "directory-promiscuous-sees-known",
        "DLV-4",
        "a promiscuous port sees only frames that have an owner",
        _PromiscuousSeesKnown,
    ),
    broken_memory(
        "directory-promiscuous-takes-all",
        "DLV-4",
        "a promiscuous port takes frames from owners",
        _PromiscuousTakesAll,
    ),
    broken_memory(
        "directory-returns-to-promiscuous",
        "DLV-4",
        "a promiscuous port sees its own frames",
        _ReturnsToPromiscuous,
    ),
    broken_memory(
        "directory-returns-own",
        "DLV-5",
        "a frame to one's own address comes back (OpenVPN, n2n)",
        _ReturnsOwn,
    ),
    broken_memory(
        "directory-returns-every-tenth",
        "WIRE-3",
        "every tenth frame of a port comes back",
        _ReturnsEveryTenth,
    ),
    broken_memory(
        "directory-promiscuous-owner-twice",
        "DLV-4",
        "a promiscuous owner receives twice",
        _PromiscuousOwnerTwice,
    ),
    broken_memory(
        "directory-doubles-every-fiftieth",
        "WIRE-4",
        "every 50th frame at a port arrives twice",
        _DoublesEveryFiftieth,
    ),
    broken_memory(
        "directory-groups-first",
        "WIRE-5",
        "group frames overtake unicasts (Open vSwitch)",
        _GroupsFirst,
    ),
    broken_memory(
        "directory-last-of-eight-first",
        "WIRE-5",
        "the last of eight frames leaves first",
        _LastOfEightFirst,
    ),
    broken_memory(
        "directory-swaps-every-32nd-type",
        "WIRE-6",
        "every 32nd frame has its type's bytes swapped",
        _ByteOrderEvery32nd,
    ),
    broken_memory(
        "directory-old-tail",
        "WIRE-6",
        "from 256 bytes on the last four are of a frame before",
        _OldTail,
    ),
    broken_memory(
        "directory-again-at-a-close",
        "WIRE-7",
        "the last frame comes again when a port closes",
        _LateAfterClose,
    ),
    broken_memory(
        "directory-asks-for-groups",
        "WIRE-8",
        "the LAN sends a query when a port comes up",
        _AsksForGroups,
    ),
    broken_memory(
        "directory-announces-itself",
        "WIRE-8",
        "the LAN answers a port's first broadcast",
        _AnnouncesItself,
    ),
    broken_memory(
        "directory-loses-4096",
        "INT-1",
        "frames of 4,096 bytes are lost",
        losing(_LAN, lambda frame: len(frame) == 4_096),
    ),
    broken_memory(
        "directory-loses-the-longest",
        "INT-1",
        "the longest length alone is lost",
        losing(_LAN, lambda frame: len(frame) == 9_018),
    ),
    broken_memory(
        "directory-loses-a-byte-above-8192",
        "INT-1",
        "odd lengths above 8,192 lose the last byte",
        altering(_LAN, lambda f: f[:-1] if len(f) > 8_192 and len(f) % 2 else f),
    ),
    broken_memory(
        "directory-clears-priority",
        "INT-2",
        "the priority of a tag is cleared",
        altering(_LAN, _priority_cleared),
    ),
    broken_memory(
        "directory-clears-drop-bit",
        "INT-2",
        "the drop bit of a tag is cleared",
        altering(_LAN, _drop_bit_cleared),
    ),
    broken_memory(
        "directory-loses-inner-tag",
        "INT-2",
        "the inner one of two tags is lost",
        altering(_LAN, _inner_tag_lost),
    ),
    broken_memory(
        "directory-strips-priority-tag",
        "INT-2",
        "a tag of VLAN 0 is stripped",
        altering(_LAN, _priority_tag_stripped),
    ),
    broken_memory(
        "directory-corrects-length",
        "INT-3",
        "an 802.3 length is made to fit the frame",
        altering(_LAN, _length_corrected),
    ),
    broken_memory(
        "directory-loses-lldp",
        "INT-3",
        "frames of type 88cc are lost, whatever their address",
        losing(_LAN, lambda frame: frame[12:14] == b"\x88\xcc"),
    ),
    broken_memory(
        "directory-pads-to-64",
        "INT-4",
        "short frames are filled up with zeros to 64 bytes",
        altering(_LAN, lambda frame: frame.ljust(64, b"\0")),
    ),
    broken_memory(
        "directory-loses-below-17",
        "INT-4",
        "frames of 14 to 16 bytes are lost (n2n)",
        losing(_LAN, lambda frame: len(frame) < 17),
    ),
    broken_memory(
        "directory-cuts-oversized",
        "INT-5",
        "oversized frames arrive cut, though declared dropped",
        _OversizedCut,
    ),
    broken_memory(
        "directory-oversized-tail-next",
        "INT-5",
        "the rest of an oversized frame is in front of the next",
        _OversizedTailNext,
    ),
    broken_memory(
        "directory-zeroes-tcp-checksums", "INT-6", "TCP checksums arrive as zeros", _ChecksumsAnew
    ),
    broken_memory(
        "directory-splits-segments",
        "INT-6",
        "TCP segments above 1,514 bytes are split",
        _SegmentsSplit,
    ),
    broken_memory(
        "directory-groups-to-members",
        "GRP-1",
        "multicasts reach ports alone that joined a group",
        _GroupsToMembers,
    ),
    broken_memory(
        "directory-loses-solicited-node",
        "GRP-1",
        "groups of 33:33:ff are lost",
        losing(_LAN, lambda frame: frame[:3] == b"\x33\x33\xff"),
    ),
    broken_memory(
        "directory-strips-tags-of-groups",
        "GRP-2",
        "group frames lose their tag",
        altering(_LAN, _tagged_group_stripped),
    ),
    broken_memory(
        "directory-loses-long-groups",
        "GRP-2",
        "group frames above 1,514 bytes are lost",
        losing(_LAN, lambda frame: is_group(frame) and is_long(frame)),
    ),
)
