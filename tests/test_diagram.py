"""Sequence diagrams of deliveries that went wrong, and the hex dumps beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.evidence import pcapng
from harness.evidence.reader import Packet, parse
from harness.frames import BROADCAST, ethernet
from harness.lan import Fate, FateKind, Record
from harness.report.hexdump import differing, dump
from harness.report.sequence import Diagram, diagram
from harness.report.svg import WIDEST, Drawing, draw
from harness.report.topology import topology

A, B = b"\x02\0\0\0\0\1", b"\x02\0\0\0\0\2"
FRAMES = [ethernet(B, A, stamp=number) for number in range(4)]
PORTS = [f"p{number}" for number in range(1, 10)]


def sent(time: int, frame: bytes, *comments: str) -> Record:
    return Record(time, "p1", "sent", frame, len(frame), ("R-1", "failed", *comments))


def got(time: int, frame: bytes, *comments: str, port: str = "p2", fate: str = "") -> Record:
    fates = (Fate(FateKind(fate)),) if fate else ()
    return Record(time, port, "received", frame, len(frame), ("R-1", "failed", *comments), fates)


def packets(records: Sequence[Record]) -> list[Packet]:
    interfaces = [(port, bytes(6)) for port in PORTS]
    return parse(Path("a.pcapng"), pcapng.encode(interfaces, records))


def drawn(records: Sequence[Record], ports: int = 3) -> tuple[Diagram, Drawing]:
    read = packets(records)
    made = diagram(PORTS[:ports], read, len(read))
    return made, draw(made, {}, [], set())


def test_an_altered_frame_is_one_red_arrow_with_its_label() -> None:
    altered = FRAMES[0][:14] + b"?" + FRAMES[0][15:]
    wrong = "WRONG: altered: 1 of 60 bytes, the first at 14"
    made, picture = drawn([sent(1, FRAMES[0]), got(2, altered, wrong)])
    (step,) = made.steps
    assert (step.port, [arrow.to for arrow in step.arrows]) == ("p1", ["p2"])
    assert [stroke.style for stroke in picture.strokes] == ["delivered wrong"]
    assert "altered: 1 of 60 bytes," in [label.text for label in picture.labels]


def test_a_missing_frame_is_an_arrow_that_does_not_arrive() -> None:
    comment = "WRONG: missing at p3: the frame of 60 bytes from p1"
    made, picture = drawn([sent(1, FRAMES[0], comment), got(2, FRAMES[0])])
    (step,) = made.steps
    assert [(arrow.to, arrow.fate, arrow.wrong) for arrow in step.arrows] == [
        ("p2", FateKind.DELIVERED, False),
        ("p3", FateKind.UNDELIVERED, True),
    ]
    assert [stroke.style for stroke in picture.strokes] == ["delivered", "undelivered wrong"]


def test_arrows_cross_where_frames_overtook_each_other() -> None:
    order = [3, 0, 1, 2]
    records = [sent(number, frame) for number, frame in enumerate(FRAMES)]
    wrong = "WRONG: reordered: the same 4 frames from p1, in order 4 1 2 3"
    records += [got(9 + n, FRAMES[n], *([wrong] if n == 3 else [])) for n in order]
    _, picture = drawn(records)
    ends = [stroke.y + stroke.drop for stroke in picture.strokes]
    starts = [stroke.y for stroke in picture.strokes]
    assert starts == sorted(starts)
    # The last one sent ends highest, where the first one began.
    assert sorted(range(4), key=lambda index: ends[index]) == order
    assert min(ends) == min(starts)
    assert [stroke.style for stroke in picture.strokes] == ["delivered"] * 3 + ["delivered wrong"]


def test_frames_that_arrive_in_order_have_level_arrows() -> None:
    records = [sent(number, frame) for number, frame in enumerate(FRAMES)]
    records += [got(9 + number, frame) for number, frame in enumerate(FRAMES)]
    assert {stroke.drop for stroke in drawn(records)[1].strokes} == {0}


def test_what_many_cards_filtered_is_one_line_of_text() -> None:
    flood = [got(2, FRAMES[0], port=port, fate="filtered") for port in PORTS[2:8]]
    _, picture = drawn([sent(1, FRAMES[0]), got(2, FRAMES[0]), *flood], ports=8)
    assert [stroke.style for stroke in picture.strokes] == ["delivered"]
    texts = [label.text for label in picture.labels]
    assert "filtered by the cards of p3, p4, p5, p6, p7, p8" in texts
    assert picture.width <= WIDEST


def test_a_topology_says_who_sent_and_where_it_was_wrong() -> None:
    frame = ethernet(BROADCAST, A)
    read = packets([sent(1, frame), got(2, frame), got(3, frame, port="p3")])
    made = topology("mylan", PORTS, {}, read, {"p3": ["unexpected receiver"]})
    shown = [(port.name, port.sent, port.received, port.wrong) for port in made.ports[:3]]
    assert shown == [("p1", 1, 0, ""), ("p2", 0, 1, ""), ("p3", 0, 1, "unexpected receiver")]
    assert (len(made.ports), made.hidden) == (9, 0)
    assert made.title.endswith("wrong at p3 unexpected receiver")


def test_bytes_that_differ_are_marked_at_their_place_or_moved() -> None:
    frame = FRAMES[0]
    assert differing(frame[:14] + b"?" + frame[15:], frame) == {14}
    assert differing(frame + b"1234", frame) == {60, 61, 62, 63}
    assert differing(bytes(12) + frame, frame) == set(range(12))
    assert differing(frame[:20], frame) == set()
    tagged = frame[:12] + b"\x81\0\0\1" + frame[12:]
    assert differing(tagged, frame) == {12, 13, 14, 15}
    assert differing(frame, tagged) == set()


def test_a_dump_marks_bytes_and_shows_no_markup_of_frames() -> None:
    text = str(dump(b"<b>\0\1\2", {4, 5}, 99))
    assert text == "0000  3c 62 3e 00 <mark>01 02</mark>" + "   " * 10 + "  &lt;b&gt;..."
    assert str(dump(bytes(40), set(), 16)).splitlines()[1] == "... 24 more bytes in the capture"
