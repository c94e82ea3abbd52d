"""What a LAN is known to do otherwise, with the reason and the evidence.

``lans/deviations/<lan>.toml`` holds an array ``deviation``; each entry names a rule,
the tests that show it, a reason and the evidence. A test is ``file.py::test``, for some
of its parameters ``file.py::test[parameters]`` (the LAN left out); without tests, all of
the rule. Such a test is a strict expected failure on that LAN.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from harness.lan import LanError
from harness.rules import RULES

FOLDER = Path(__file__).parent / "lans" / "deviations"


@dataclass(frozen=True, slots=True)
class Deviation:
    """One rule that a LAN breaks knowingly."""

    rule: str
    reason: str
    evidence: str
    tests: tuple[str, ...] = ()

    def covers(self, rule_ids: tuple[str, ...], test: str) -> bool:
        """Whether a test (``file.py::name[parameters]``) is one that fails for this."""
        named = test in self.tests or test.partition("[")[0] in self.tests
        return self.rule in rule_ids and (not self.tests or named)


def of(lan: str, folder: Path = FOLDER) -> tuple[Deviation, ...]:
    """The deviations of a LAN; LanError for a file that is not as it should be."""
    path = folder / f"{lan}.toml"
    if not path.exists():
        return ()
    try:
        entries = tomllib.loads(path.read_text())["deviation"]
        found = tuple(
            Deviation(
                entry["rule"], entry["reason"], entry["evidence"], tuple(entry.get("tests", ()))
            )
            for entry in entries
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise LanError(f"{path}: not a deviations file: {error}") from None
    for deviation in found:
        if deviation.rule not in RULES:
            raise LanError(f"{path}: unknown rule {deviation.rule!r}")
    return found
