"""Broken directories: what becomes of single frames (INT, GRP)."""

from __future__ import annotations

from collections.abc import Iterable

from harness.broken.living.hooks import (
    BROADCAST,
    FULL,
    IPV6,
    TCP_PAYLOAD,
    Alters,
    altering,
    broken_memory,
    is_long,
    is_tagged,
    is_tcp,
    leaking,
    losing,
)
from harness.lans.memory import MemoryDirectory, MemoryPort, is_group


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
        "directory-loses-ipv6",
        "INT-3",
        "IPv6 frames are lost",
        losing(_LAN, lambda frame: frame[12:14] == IPV6),
    ),
    broken_memory(
        "directory-floods-tagged",
        "INT-2",
        "tagged unicasts reach all ports",
        leaking(_LAN, is_tagged),
    ),
    broken_memory(
        "directory-floods-long",
        "INT-1",
        "unicasts above 1,514 bytes reach all ports",
        leaking(_LAN, is_long),
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
        "INT-1",
        "group frames above 1,514 bytes are lost",
        losing(_LAN, lambda frame: is_group(frame) and is_long(frame)),
    ),
)
