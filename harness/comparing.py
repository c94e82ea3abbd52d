"""Compare values by name: what a test compared goes into its results.

``same`` fails as an assert does, with a table of what differs. Both values are recorded in a
plain, bounded form, so that anyone can compare them again without running the test. The
verdict itself comes from these forms: what is recorded is what was compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

from harness.values import Plain, Relation, explain, holds, recorded, short

T = TypeVar("T")

MOST_COMPARISONS = 500
"""Comparisons of a test that are recorded; further ones that hold are counted."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where received frames stand in a capture: what ``port`` passed up, from ``first`` on.

    ``packets`` is how many packets there were when they were compared.
    """

    port: str
    first: int
    packets: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two values that were compared, in their recorded form."""

    what: str
    expected: Plain
    received: Plain
    relation: Relation
    held: bool
    source: Source | None = None


@dataclass(slots=True)
class Log:
    """What one test compared, in order. ``lan`` is the one that its capture is of."""

    lan: object = None
    comparisons: list[Comparison] = field(default_factory=list)
    left_out: int = 0
    """Comparisons that held and are not in the list."""

    def add(self, comparison: Comparison) -> None:
        """Keep a comparison; one that did not hold is always kept."""
        if comparison.held and len(self.comparisons) >= MOST_COMPARISONS:
            self.left_out += 1
        else:
            self.comparisons.append(comparison)


_log: ContextVar[Log | None] = ContextVar("log", default=None)


@contextmanager
def recording(log: Log) -> Iterator[None]:
    """Comparisons go into this log."""
    token = _log.set(log)
    try:
        yield
    finally:
        _log.reset(token)


def recorded_lan() -> object:
    """The LAN that the capture of the running test is of; None if there is none."""
    log = _log.get()
    return None if log is None else log.lan


def same(what: str, received: object, expected: object) -> None:
    """Fail unless two values are the same; ``what`` names them.

    Values are numbers, texts, bytes, None, and lists, sets, mappings and dataclasses of those;
    TypeError if another is expected. A list and a tuple with the same items are the same; True
    and 1 are not.

    >>> same("frames sent", 2, 2)
    >>> same("counters", {"sent": 3, "lost": 0}, {"sent": 3, "lost": 1})
    Traceback (most recent call last):
    ...
    AssertionError: counters, lost: expected 1, received 0
    <BLANKLINE>
          expected  received
    lost  1         0   <- differs
    sent  3         3
    """
    __tracebackhide__ = True
    same_in_capture(what, received, expected, None)


def same_in_capture(what: str, received: object, expected: object, source: Source | None) -> None:
    """The same, for frames that the test's capture has too."""
    __tracebackhide__ = True
    if not _compare(what, received, expected, "same", source):
        raise AssertionError("\n".join(explain(what, received, expected)))


def differ(what: str, received: object, other: object) -> None:
    """Fail if two values are the same."""
    __tracebackhide__ = True
    if not _compare(what, received, other, "different", None):
        raise AssertionError(f"{what}: expected anything but {short(other)}, received just that")


def present(what: str, value: T | None) -> T:
    """Fail if there is no value; return it."""
    __tracebackhide__ = True
    same(what, "nothing" if value is None else "present", "present")
    assert value is not None
    return value


def instance(what: str, value: object, kind: type[T]) -> T:
    """Fail unless a value is of a class; return it."""
    __tracebackhide__ = True
    same(what, type(value).__name__, kind.__name__)
    assert isinstance(value, kind)
    return value


@dataclass(slots=True)
class raises:  # noqa: N801  # it reads as a verb
    """Fail unless an error of this class is raised whose message has ``text`` in it."""

    what: str
    kind: type[Exception]
    text: str = ""
    message: str = ""
    """The message of the error, when the block is over."""

    def __enter__(self) -> raises:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> bool:
        __tracebackhide__ = True
        wanted = f"{self.kind.__name__}: {self.text}" if self.text else self.kind.__name__
        if error is None:
            same(self.what, "no error", wanted)
        if not isinstance(error, self.kind):
            return False
        self.message = str(error)
        received = wanted if self.text in self.message else f"{self.kind.__name__}: {error}"
        same(self.what, received, wanted)
        return True


def _compare(
    what: str, received: object, expected: object, relation: Relation, source: Source | None
) -> bool:
    # A faulty LAN may hand out anything; what a test expects has a plain form.
    got, want = recorded(received), recorded(expected, strict=True)
    held = holds(relation, got, want)
    log = _log.get()
    if log is not None:
        log.add(Comparison(what, want, got, relation, held, source))
    return held
