"""Comparing values by name: what is the same, what is recorded, what a failure shows."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.comparing import Log, differ, instance, present, raises, recording, same
from harness.lan import FateKind
from harness.values import LONGEST_VALUE, holds, recorded, short


@dataclass
class Counts:
    """Some counters."""

    sent: int = 0
    lost: int = 0


class Copied(NamedTuple):
    """An event."""

    key: int
    frame: bytes


class Sent(NamedTuple):
    """Another event, with the same fields."""

    key: int
    frame: bytes


class Colour(enum.Enum):
    """One colour."""

    RED = "red"


SAME = [
    (1, 1),
    (None, None),
    ([1, 2], (1, 2)),
    (b"ab", bytearray(b"ab")),
    ({1, 2}, {2, 1}),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    (Counts(1, 2), Counts(1, 2)),
    (Colour.RED, "red"),
    (FateKind.SENT, "sent"),
    (bytes(5000), bytes(5000)),
    (list(range(5000)), list(range(5000))),
    (1 << 80, 1 << 80),
]
DIFFERENT: list[tuple[object, object]] = [
    (1, 2),
    (1, True),
    (0, False),
    (0, None),
    ("", None),
    ([], None),
    ([1, 2], [2, 1]),
    ([1], [1, 1]),
    (b"ab", "ab"),
    (b"ab", b"ab\0"),
    ({1}, {2}),
    ({1}, [1]),
    (Counts(1, 2), Counts(2, 1)),
    (Copied(1, b"a"), Sent(1, b"a")),
    (Copied(1, b"a"), (1, b"a")),
    (bytes(5000), bytes(4999) + b"a"),
    (bytes(5000), bytes(5001)),
    (list(range(5000)), [*range(4999), 0]),
    (1 << 80, (1 << 80) + 1),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_is_the_same(one: object, other: object) -> None:
    same("it", one, other)
    with pytest.raises(AssertionError, match=r"^it: expected anything but "):
        differ("it", one, other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_is_different(one: object, other: object) -> None:
    differ("it", one, other)
    differ("it", other, one)
    with pytest.raises(AssertionError, match=r"^it[,:]"):
        same("it", one, other)


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@settings(deadline=None)
@given(VALUE, VALUE)
def test_the_recorded_form_decides_and_is_bounded(one: object, other: object) -> None:
    log = Log()
    with recording(log):
        same("itself", one, one)
        try:
            same("the other", one, other)
        except AssertionError as error:
            reason = str(error).splitlines()[0]
            assert "object at 0x" not in reason
            assert len(reason) < 700
    for comparison in log.comparisons:
        again = holds(comparison.relation, comparison.received, comparison.expected)
        assert again == comparison.held
        assert len(str(comparison.received)) < 2 * LONGEST_VALUE


@pytest.mark.parametrize("value", [object(), len, Log, iter(())])
def test_what_has_no_plain_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=r"cannot be recorded: compare a part of it$"):
        same("it", value, value)


def failure(act: Callable[[], object]) -> list[str]:
    with pytest.raises(AssertionError) as caught:
        act()
    return str(caught.value).splitlines()


def test_a_failure_is_a_table_with_the_differing_cells_marked() -> None:
    assert failure(lambda: same("counters of the sender", Counts(1, 0), Counts(2, 0))) == [
        "counters of the sender, sent: expected 2, received 1",
        "",
        "      expected  received",
        "sent  2         1   <- differs",
        "lost  0         0",
    ]
    assert failure(lambda: same("used_len", [60, 0, 60], [60, 60])) == [
        "used_len, 2: expected 60, received 0; 1 more differs",
        "",
        "   expected  received",
        "1  60        60",
        "2  60        0   <- differs",
        "3  nothing   60   <- differs",
    ]
    assert failure(lambda: same("a frame waits", False, True)) == [
        "a frame waits: expected yes, received no"
    ]
    assert failure(lambda: same("memory", bytes(30) + b"\1" * 20, bytes(50))) == [
        "memory: expected 50 bytes, at 28 00 00 00 00 00 00 00 00...,"
        " received 50 bytes, at 28 00 00 01 01 01 01 01 01..."
    ]


def test_of_many_rows_those_that_differ_are_shown() -> None:
    lines = failure(lambda: same("words", [*range(1000)], [*range(990), *[0] * 10]))
    assert lines[0] == "words, 991: expected 0, received 990; 9 more differ"
    assert lines[1] == "10 of 1000 rows differ"
    assert len(lines) == 14


def test_a_value_in_a_few_words() -> None:
    assert short([]) == "nothing"
    assert short(None) == "none"
    assert short([b"abc", b"abcdefghi"]) == ("(3 bytes, 61 62 63), (9 bytes, 61 62 63 64 65 66...)")
    assert short([*range(20)]) == "0, 1, 2, 3, 4, 5, 6, 7, ... (20 in all)"
    assert short(Copied(4, b"a")) == "Copied: key 4, frame (1 byte, 61)"


def test_a_value_that_must_be_there() -> None:
    assert present("the array", 0) == 0
    assert failure(lambda: present("the array", None)) == [
        "the array: expected present, received nothing"
    ]
    assert instance("the event", Sent(1, b""), Sent).key == 1
    assert failure(lambda: instance("the event", Sent(1, b""), Copied)) == [
        "the event: expected Copied, received Sent"
    ]


def test_an_error_that_must_be_raised() -> None:
    log = Log()
    with recording(log):
        with raises("the error", ValueError, "no room") as raised:
            raise ValueError("there is no room left")
        assert raised.message == "there is no room left"

        def nothing() -> None:
            with raises("the error", ValueError, "no room"):
                pass

        def another() -> None:
            with raises("the error", ValueError, "no room"):
                raise ValueError("no time")

        def another_class() -> None:
            with raises("the error", ValueError):
                raise KeyError("no time")

        assert failure(nothing) == ["the error: expected ValueError: no room, received no error"]
        assert failure(another) == [
            "the error: expected ValueError: no room, received ValueError: no time"
        ]
        with pytest.raises(KeyError):
            another_class()
    assert [comparison.held for comparison in log.comparisons] == [True, False, False]


def test_a_failure_is_recorded_however_many_held_before() -> None:
    log = Log()
    with recording(log):
        for number in range(700):
            same("number", number, number)
        with pytest.raises(AssertionError):
            same("number", 1, 2)
    assert (len(log.comparisons), log.left_out) == (501, 200)
    assert not log.comparisons[-1].held


def test_nothing_is_recorded_outside_of_a_test() -> None:
    log = Log()
    with recording(log):
        same("inside", 1, 1)
    same("outside", recorded(1), 1)
    assert [comparison.what for comparison in log.comparisons] == ["inside"]


def test_an_object_that_cannot_be_recorded_is_not_what_was_expected() -> None:
    log = Log()
    with recording(log), pytest.raises(AssertionError, match="owner: expected none, received"):
        same("owner", object(), None)
    (comparison,) = log.comparisons
    assert comparison.received == {"is": "object", "recorded": False}
    assert not comparison.held
