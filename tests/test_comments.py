"""What became of a frame: fates as comments for machines, and read back."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence import comments, pcapng
from harness.evidence.reader import read
from harness.exchange import Testbench
from harness.frames import ethernet
from harness.lan import DROPPED, FILTERED, Fate, FateKind, Layout, Record
from harness.lans.lguest import LguestLan, repaired
from harness.lans.lguest_records import Recorder
from harness.lguest import events
from harness.lguest.events import (
    Copied,
    Dropped,
    Event,
    Fault,
    Killed,
    Message,
    RawSend,
    Received,
    Refused,
    Transmitted,
    Warned,
)

NUMBERS = st.none() | st.integers(min_value=0, max_value=2**40)
FATES = st.builds(
    Fate, st.sampled_from(FateKind), st.text(max_size=50), st.text(max_size=20),
    NUMBERS, NUMBERS, NUMBERS,
)  # fmt: skip


@given(FATES)
def test_a_fate_is_one_line_with_sorted_keys_and_is_read_back(fate: Fate) -> None:
    line = comments.line(fate)
    assert comments.parse(line) == fate
    assert not any(ord(letter) < 32 for letter in line)
    fields = json.loads(line.removeprefix("fate: "))
    assert list(fields) == sorted(fields)
    assert fields["kind"] == fate.kind
    assert all(value is not None and value != "" for value in fields.values())


def test_the_line_is_stable() -> None:
    fate = Fate(FateKind.UNDELIVERED, "no free buffer", "guest2", 0, 60, 3)
    assert comments.line(fate) == (
        'fate: {"buffer":3,"count":0,"kind":"undelivered","of":60,"port":"guest2",'
        '"reason":"no free buffer"}'
    )
    assert comments.line(Fate(FateKind.SENT)) == 'fate: {"kind":"sent"}'


def test_a_reason_without_a_utf8_form_or_an_end_is_written_all_the_same() -> None:
    line = comments.line(Fate(FateKind.DROPPED, "\udc80" + "x" * 100_000))
    assert len(line.encode()) < 65_000
    fate = comments.parse(line)
    assert fate is not None
    assert fate.reason.startswith("?xxx")


@pytest.mark.parametrize(
    "text",
    [
        "", "fate", "fate: ", "fate: {", "fate: []", "fate: null", "fate: {}",
        'fate: {"kind":"moon"}', 'fate: {"kind":"sent","count":"1"}', 'fate: {"kind":"sent"} ',
        "fate: " + "[" * 100_000, "FATE: {}",
    ],
)  # fmt: skip
def test_what_states_no_fate_is_a_comment_like_any_other(text: str) -> None:
    if text.endswith(" ") and "kind" in text:
        assert comments.parse(text) == Fate(FateKind.SENT)
        return
    assert comments.parse(text) is None
    assert comments.read_back("sent", (text,)) == ((Fate(FateKind.SENT),), (text,))


def test_an_unknown_field_is_passed_over() -> None:
    line = 'fate: {"kind":"dropped","moon":[1],"reason":"full"}'
    assert comments.parse(line) == Fate(FateKind.DROPPED, "full")


# Version 0.1: words alone

SENT_WORDS = [
    ((), (Fate(FateKind.SENT),), ()),
    (("a word",), (Fate(FateKind.SENT),), ("a word",)),
    (("refused: no",), (Fate(FateKind.REFUSED, "no"),), ()),
    (
        ("Megapacket: 16 of 20 sections sent", "to guest2: 325 of 1000 bytes copied"),
        (
            Fate(FateKind.SENT_PARTLY, count=16, of=20),
            Fate(FateKind.UNDELIVERED, "", "guest2", 325, 1000),
        ),
        (),
    ),
    (
        ("to guest2: no free buffer",),
        (Fate(FateKind.SENT), Fate(FateKind.UNDELIVERED, "no free buffer", "guest2", 0)),
        (),
    ),
    (("raw SEND_DMA to key 0x1f000",), (Fate(FateKind.SENT_RAW, "SEND_DMA to key 0x1f000"),), ()),
]
COPIED = "copied by the Host into buffer 7, interrupt"
RECEIVED_WORDS = [
    ((), (Fate(FateKind.DELIVERED),), ()),
    ((FILTERED,), (Fate(FateKind.FILTERED),), ()),
    ((FILTERED, "queue 3"), (Fate(FateKind.FILTERED),), ("queue 3",)),
    ((COPIED,), (Fate(FateKind.DELIVERED, buffer=7),), ()),
    ((DROPPED,), (Fate(FateKind.DROPPED),), ()),
    (
        (f"runt: 6 bytes, {DROPPED}", COPIED),
        (Fate(FateKind.DROPPED, "runt: 6 bytes", buffer=7),),
        (),
    ),
    (
        ("no memory for a fresh buffer", COPIED),
        (Fate(FateKind.DROPPED, "no memory for a fresh buffer", buffer=7),),
        (),
    ),
    (
        ("cut: 1514 of 9014 bytes arrived", COPIED),
        (Fate(FateKind.TRUNCATED, count=1514, of=9014, buffer=7),),
        (),
    ),
]


@pytest.mark.parametrize(("said", "fates", "notes"), SENT_WORDS)
def test_words_of_a_sender_are_read(
    said: tuple[str, ...], fates: tuple[Fate, ...], notes: tuple[str, ...]
) -> None:
    assert comments.read_back("sent", said) == (fates, notes)


@pytest.mark.parametrize(("said", "fates", "notes"), RECEIVED_WORDS)
def test_words_of_a_receiver_are_read(
    said: tuple[str, ...], fates: tuple[Fate, ...], notes: tuple[str, ...]
) -> None:
    assert comments.read_back("received", said) == (fates, notes)


def test_a_record_of_version_0_1_and_one_of_today_leave_the_same_capture(tmp_path: Path) -> None:
    old = Record(1, "p", "received", bytes(60), 60, (FILTERED,))
    new = Record(1, "p", "received", bytes(60), 60, (), (Fate(FateKind.FILTERED),))
    path = tmp_path / "a.pcapng"
    written = []
    for record in (old, new):
        path.write_bytes(pcapng.encode([("p", bytes(6))], [record]))
        written.append(path.read_bytes())
        (packet,) = read(path)
        assert packet.comments == (FILTERED, 'fate: {"kind":"filtered"}')
        assert packet.fates == (Fate(FateKind.FILTERED),)
        assert packet.notes == ()
        assert not packet.passes_filter
    assert written[0] == written[1]


# The simulated LAN: every event

FRAME = ethernet(b"\x02\0\x02\0\0\0", b"\x02\0\x01\0\0\0", size=60)
LONG = ethernet(b"\x02\0\x02\0\0\0", b"\x02\0\x01\0\0\0", size=2000)
SEND = Transmitted(1, 1, 0, FRAME, 1, 1)
EVENTS: dict[type[Event], list[tuple[list[Event], list[tuple[str, str, tuple[Fate, ...]]]]]] = {
    Transmitted: [
        ([SEND], [("guest1", "sent", (Fate(FateKind.SENT),))]),
        (
            [Transmitted(1, 1, 0, FRAME, 20, 16)],
            [("guest1", "sent", (Fate(FateKind.SENT_PARTLY, count=16, of=20),))],
        ),
    ],
    RawSend: [
        (
            [RawSend(1, 1, 0x1F004, FRAME)],
            [("guest1", "sent", (Fate(FateKind.SENT_RAW, "SEND_DMA to key 0x1f004"),))],
        )
    ],
    Refused: [
        (
            [Refused(1, 1, 0, FRAME, "the device is not open")],
            [("guest1", "sent", (Fate(FateKind.REFUSED, "the device is not open"),))],
        )
    ],
    Copied: [
        ([SEND, Copied(1, 1, 4, 2, 0, 60, "")], [("guest1", "sent", (Fate(FateKind.SENT),))]),
        (
            [SEND, *2 * [Copied(1, 1, 4, 2, None, 0, "no free buffer")]],
            [
                (
                    "guest1",
                    "sent",
                    (
                        Fate(FateKind.SENT),
                        Fate(FateKind.UNDELIVERED, "no free buffer", "guest2", 0, 60),
                    ),
                )
            ],
        ),
        (
            [SEND, Copied(1, 1, 4, 2, 0, 7, "")],
            [
                (
                    "guest1",
                    "sent",
                    (Fate(FateKind.SENT), Fate(FateKind.UNDELIVERED, "", "guest2", 7, 60)),
                )
            ],
        ),
    ],
    Received: [
        (
            [Received(1, 2, 1, 3, FRAME, True, FRAME[:6])],
            [("guest2", "received", (Fate(FateKind.DELIVERED, buffer=3),))],
        ),
        (
            [
                Transmitted(1, 1, 0, LONG, 1, 1),
                Copied(1, 1, 4, 2, 3, 1514, ""),
                Received(1, 2, 1, 3, LONG[:1514], True, FRAME[:6]),
            ],
            [
                (
                    "guest1",
                    "sent",
                    (Fate(FateKind.SENT), Fate(FateKind.UNDELIVERED, "", "guest2", 1514, 2000)),
                ),
                (
                    "guest2",
                    "received",
                    (Fate(FateKind.TRUNCATED, count=1514, of=2000, buffer=3),),
                ),
            ],
        ),
    ],
    Dropped: [
        (
            [Dropped(1, 2, 1, 3, FRAME[:6], f"runt: 6 bytes, {DROPPED}")],
            [("guest2", "received", (Fate(FateKind.DROPPED, "runt: 6 bytes", buffer=3),))],
        ),
        (
            [Dropped(1, 2, 1, 3, FRAME, "no memory for a fresh buffer")],
            [
                (
                    "guest2",
                    "received",
                    (Fate(FateKind.DROPPED, "no memory for a fresh buffer", buffer=3),),
                )
            ],
        ),
    ],
    # Of a Guest or its Launcher, and of no frame:
    Message: [([Message(1, 1, "text")], [])],
    Warned: [([Warned(1, 1, "text")], [])],
    Killed: [([Killed(1, 1, "text")], [])],
    Fault: [([Fault(1, 1, "DEF-6", "text")], [])],
}


def test_every_event_of_the_simulator_is_among_them() -> None:
    classes = {
        value
        for value in vars(events).values()
        if inspect.isclass(value) and issubclass(value, tuple) and hasattr(value, "_fields")
    }
    assert classes == set(EVENTS) == set(get_args(Event))


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_an_event_becomes_a_fate(kind: type[Event], tmp_path: Path) -> None:
    lan = repaired()
    lan.open_devices(2)
    for happened, expected in EVENTS[kind]:
        assert any(isinstance(event, kind) for event in happened)
        records = Recorder(lan.devices).up_to(happened)
        assert [(record.port, record.direction, record.fates) for record in records] == expected
        path = tmp_path / "a.pcapng"
        path.write_bytes(pcapng.encode(lan.interfaces(), records))
        assert [(record.port, record.direction, record.fates) for record in read(path)] == expected


def packets_of(lan: LguestLan, path: Path) -> list[tuple[str, bool, tuple[Fate, ...]]]:
    path.write_bytes(pcapng.encode(lan.interfaces(), lan.records()))
    return [(packet.port, packet.arrived, packet.fates) for packet in read(path)]


def test_a_frame_dropped_for_lack_of_memory_did_not_arrive(tmp_path: Path) -> None:
    """As ``arrivals`` says, so does the capture."""
    lan = repaired()
    bench = Testbench(lan)
    sender, owner = bench.ports(2)
    lan.devices[1].guest.memory_left = 0
    frame = ethernet(owner, sender)
    sender.send(frame)
    lan.settle()
    assert list(owner.arrivals()) == []
    dropped = Fate(FateKind.DROPPED, "no memory for a fresh buffer", buffer=0)
    assert packets_of(lan, tmp_path / "a.pcapng") == [
        ("guest1", False, (Fate(FateKind.SENT),)),
        ("guest2", False, (dropped,)),
    ]


def test_a_refused_frame_has_its_reason(tmp_path: Path) -> None:
    lan = repaired()
    sender, owner = lan.ports(2)
    with pytest.raises(Exception, match="17 sections"):
        sender.send(ethernet(owner, sender, size=65535), Layout(offset=4095))
    ((_, _, (fate,)),) = packets_of(lan, tmp_path / "a.pcapng")
    assert fate.kind is FateKind.REFUSED
    assert fate.reason.startswith("its linear part takes 17 sections")
