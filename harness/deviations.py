"""Known deviations of a LAN, with the reason and the evidence.

A deviations file holds an array ``deviation``. Each entry names a rule, the tests that
show it, a reason and the evidence; neither may be empty. A test is ``file.py::test``, for
some of its parameters ``file.py::test[parameters]`` (the LAN left out); without tests, all
of the rule. Such a test is a strict expected failure on that LAN: if it passes, it is red. With
``sometimes = true`` it may pass too: for random programs, and what depends on time.

``versions`` lists the versions that an entry holds for, each as the beginning of what
``lguest-harness lans`` shows: ``Linux 6`` stands for Linux 6.1 and 6.18, ``Linux 6.1`` not
for 6.18. For any other version there is no such entry, and the test must pass. Without
``versions``, and where the version is known only when the LAN runs, an entry holds.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.evidence import files
from harness.lan import LanError
from harness.rules import RULES

LARGEST_FILE = 1 << 18
"""Bytes of the largest deviations file."""

MOST_DOTS = 300
"""Dots in one of its lines."""

FOLDER = Path(__file__).parent / "lans" / "deviations"

_WORDS = ("rule", "reason", "evidence")
_LISTS = ("tests", "versions")
_SOMETIMES = "sometimes"


@dataclass(frozen=True, slots=True)
class Deviation:
    """One rule that a LAN breaks knowingly."""

    rule: str
    reason: str
    evidence: str
    tests: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    sometimes: bool = False
    """Whether a test that it names may pass as well."""

    def covers(self, rule_ids: tuple[str, ...], test: str) -> bool:
        """Whether a test (``file.py::name[parameters]``) is one that fails for this."""
        named = test in self.tests or test.partition("[")[0] in self.tests
        return self.rule in rule_ids and (not self.tests or named)

    def holds(self, version: str) -> bool:
        """Whether it is known of this version; an empty one is not known."""
        return not (self.versions and version) or any(
            version.startswith(known) and not version[len(known) :][:1].isalnum()
            for known in self.versions
        )


def of(lan: str, folder: Path = FOLDER) -> tuple[Deviation, ...]:
    """The deviations of a LAN; LanError, in one line, for a bad file."""
    path = folder / f"{lan}.toml"
    return read(path) if path.exists() else ()


def read(path: Path, *, draft: bool = False) -> tuple[Deviation, ...]:
    """The deviations in a file; LanError, in one line, for a bad one.

    In a ``draft``, reasons and evidence may still be empty.
    """
    try:
        text = files.content(path, LARGEST_FILE).decode()
        # The time that tomllib takes for a key grows with the square of its parts.
        if any(line.count(".") > MOST_DOTS for line in text.splitlines()):
            raise ValueError(f"a line has more than {MOST_DOTS} dots")
        content = tomllib.loads(text)
        if content and content.keys() != {"deviation"}:
            raise TypeError("it should hold an array `deviation`, and nothing else")
        listed = content.get("deviation", ())
    except files.BadFile as error:
        raise LanError(str(error)) from None
    except RecursionError:
        raise LanError(f"{path}: not a deviations file: nested too deeply") from None
    except (ValueError, TypeError) as error:
        raise LanError(f"{path}: not a deviations file: {error}") from None
    return entries(listed, f"{path}", draft=draft)


def entries(
    listed: Iterable[Mapping[str, object]], path: str, *, draft: bool = False
) -> tuple[Deviation, ...]:
    """The deviations in entries of a file; LanError, in one line, for bad ones."""
    try:
        deviations = tuple(map(_entry, listed))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise LanError(f"{path}: not a deviations file: {what}") from None
    for deviation in deviations:
        if deviation.rule not in RULES:
            raise LanError(f"{path}: unknown rule {deviation.rule!r}")
        for word in ("reason", "evidence"):
            if not draft and not getattr(deviation, word).strip():
                where = f"{deviation.rule}, {', '.join(deviation.tests) or 'all tests'}"
                raise LanError(f"{path}: the {word} is empty ({where}): a person fills it in")
    return deviations


def _entry(table: Mapping[str, object]) -> Deviation:
    for key in table:
        if key not in (*_WORDS, *_LISTS, _SOMETIMES):
            raise TypeError(f"unknown key {key!r}")
    rule, reason, evidence = (_text(table[key]) for key in _WORDS)
    tests, versions = (_texts(table.get(key, [])) for key in _LISTS)
    sometimes = table.get(_SOMETIMES, False)
    if not isinstance(sometimes, bool):
        raise TypeError(f"{_SOMETIMES} = {sometimes!r} should be true or false")
    return Deviation(rule, reason, evidence, tests, versions, sometimes)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} should be a string")
    return value


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{values!r} should be a list of strings")
    return tuple(values)


def test_name(node_id: str, lan: str) -> str:
    """``file.py::test[parameters]``: what a deviations file calls a test."""
    head, _, parameters = node_id.partition("[")
    file, *_, name = head.split("::")
    rest = parameters.removesuffix("]")
    if rest == lan or rest.startswith(f"{lan}-"):
        rest = rest.removeprefix(lan).removeprefix("-")
    else:  # a parameter of a wider scope comes before the LAN
        rest = rest.removesuffix(f"-{lan}")
    short = f"{Path(file).name}::{name}"
    return f"{short}[{rest}]" if rest else short


test_name.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test
