"""pytest glue: one capture of the whole run, made when all results are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.evidence import one_capture


class OneCapture:
    """Merges the captures at the end of a run, and says so.

    ``shown`` is how the folder of the results is named to the user.
    """

    def __init__(self, folder: Path, shown: str) -> None:
        self._folder = folder
        self._shown = f"{shown}/{one_capture.FILE_NAME}"
        self._lines: list[str] = []

    def pytest_sessionfinish(self) -> None:
        try:
            merged = one_capture.merge(self._folder)
        except OSError as error:
            self._lines = [f"{self._shown}: {error.strerror}"]
            return
        self._lines = [f"{merged.tests} tests in {self._shown}", *merged.problems]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in self._lines:
            terminalreporter.write_line(line)
