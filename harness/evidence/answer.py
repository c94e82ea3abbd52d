"""What a command says, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass

CANNOT_WRITE = 74
"""The exit code where evidence cannot be written: disk full, read-only, ... (EX_IOERR)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Lines for standard output, lines for standard error, and the exit code."""

    lines: tuple[str, ...]
    errors: tuple[str, ...]
    code: int
