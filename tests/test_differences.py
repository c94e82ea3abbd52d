"""Every way in which a delivery can differ has its own word."""

from __future__ import annotations

import pytest

from harness import differences
from harness.differences import Difference, Kind, Sent
from harness.frames import BROADCAST, ethernet
from harness.plugin import classified

A, B = b"\x02\0\0\0\0\1", b"\x02\0\0\0\0\2"
ONE, TWO, THREE = (ethernet(B, A, stamp=number) for number in range(3))
SENT = [Sent("a", ONE), Sent("a", TWO), Sent("a", THREE)]


def differences_of(
    *arrived: bytes,
    must: tuple[int, ...] = (0, 1, 2),
    may: tuple[int, ...] = (),
    port: str = "b",
    earlier: tuple[bytes, ...] = (),
) -> list[Difference]:
    seen = differences.Port(port, must, may, arrived)
    return differences.compare(seen, SENT, earlier=earlier)


def kinds(*arrived: bytes, **how: object) -> list[Kind]:
    return [difference.kind for difference in differences_of(*arrived, **how)]  # type: ignore[arg-type]


def test_what_is_as_expected_has_no_difference() -> None:
    assert differences_of(ONE, TWO, THREE) == []
    assert differences_of(ONE, must=(0,), may=(1, 2)) == []
    assert differences_of(ONE, THREE, must=(0,), may=(1, 2)) == []
    assert differences_of(must=()) == []


@pytest.mark.parametrize(
    ("changed", "kind", "text"),
    [
        (TWO[:20], Kind.TRUNCATED, "20 of 60 bytes arrived"),
        (TWO + b"\1\2\3\4", Kind.LONGER, "4 bytes more at the end: looks like an FCS"),
        (TWO + bytes(4), Kind.LONGER, "4 bytes more at the end, all zero: looks like padding"),
        (bytes(12) + TWO, Kind.LONGER, "12 bytes more at the start: looks like a virtio header"),
        (TWO[:14] + b"?" + TWO[15:], Kind.ALTERED, "1 of 60 bytes, the first at 14"),
        (TWO[4:], Kind.TRUNCATED, "its first 4 bytes did not arrive"),
        (TWO[:12] + TWO[16:], Kind.ALTERED, "its tag of 4 bytes at 12 is missing"),
        (TWO[:12] + b"\x81\0\0\1" + TWO[12:], Kind.ALTERED, "a tag of 4 bytes at 12 was put in"),
    ],
)
def test_a_changed_frame_is_one_difference(changed: bytes, kind: Kind, text: str) -> None:
    assert [(one.kind, one.text) for one in differences_of(ONE, changed, THREE)] == [(kind, text)]


def test_another_frame_is_not_taken_for_a_changed_one() -> None:
    """However like it is to a frame that is missing."""
    old = TWO[:14] + b"?" + TWO[15:]
    assert kinds(ONE, old, THREE) == [Kind.ALTERED]
    assert kinds(ONE, old, THREE, earlier=(old,)) == [Kind.STALE, Kind.MISSING]
    assert kinds(THREE, must=(1,)) == [Kind.UNEXPECTED_RECEIVER, Kind.MISSING]


def test_missing_frames_are_counted() -> None:
    (one,) = differences_of(ONE, THREE)
    assert (one.kind, one.text) == (Kind.MISSING, "the frame of 60 bytes from a")
    (both,) = differences_of(ONE)
    assert (both.kind, both.text) == (Kind.MISSING, "2 of 3 frames (60, 60 bytes)")


def test_a_second_copy_is_a_duplicate() -> None:
    assert kinds(ONE, TWO, TWO, THREE) == [Kind.DUPLICATE]
    assert kinds(ONE, ONE, must=(0,)) == [Kind.DUPLICATE]


def test_a_frame_for_another_port_is_named_as_that() -> None:
    assert kinds(ONE, must=()) == [Kind.UNEXPECTED_RECEIVER]
    assert kinds(ONE, must=(), port="a") == [Kind.RETURNED]


def test_another_order_is_one_difference_with_the_order() -> None:
    (one,) = differences_of(THREE, ONE, TWO)
    assert (one.kind, one.text) == (Kind.REORDERED, "the same 3 frames from a, in order 3 1 2")
    seen = differences.Port("b", (0, 1, 2), (), (THREE, ONE, TWO))
    assert differences.compare(seen, SENT, ordered=False) == []


def test_frames_of_two_senders_may_overtake_each_other() -> None:
    other = ethernet(BROADCAST, b"\x02\0\0\0\0\3")
    sent = [Sent("a", ONE), Sent("c", other), Sent("a", TWO)]
    seen = differences.Port("b", (0, 1, 2), (), (ONE, TWO, other))
    assert differences.compare(seen, sent) == []


def test_what_was_sent_before_is_stale_and_what_nobody_sent_unknown() -> None:
    old, strange = ethernet(B, A, stamp=99), b"\x55" * 60
    assert kinds(old, must=(), earlier=(old,)) == [Kind.STALE]
    assert kinds(strange, must=()) == [Kind.UNKNOWN]
    assert kinds(b"", must=()) == [Kind.UNKNOWN]


def test_an_allowed_form_is_no_difference() -> None:
    def padded(frame: bytes, arrival: bytes) -> bool:
        return arrival in (frame, frame.ljust(64, b"\0"))

    seen = differences.Port("b", (0,), (), [ONE.ljust(64, b"\0")])
    assert differences.compare(seen, SENT, padded) == []
    again = differences.Port("b", (0,), (), [ONE.ljust(64, b"\0"), ONE])
    assert [one.kind for one in differences.compare(again, SENT, padded)] == [Kind.DUPLICATE]


def test_a_difference_of_a_run_without_captures_has_no_packet() -> None:
    frame = bytes(60)
    for kind in (Kind.MISSING, Kind.UNEXPECTED_RECEIVER):
        difference = Difference(kind, "port2", "seen", frame, within=(3, 9))
        (kept,), guilty = classified.located([difference], (), 0)
        assert (kept.packet, kept.sent, guilty) == (0, 0, {})
