"""pytest glue: one capture of the whole run, made when all results are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.report import one_capture


class OneCapture:
    """Merges the captures at the end of a run, and says so."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._told: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        path = self._folder / one_capture.FILE_NAME
        try:
            merged = one_capture.merge(self._folder)
        except OSError as error:
            self._told = [f"{path}: {error.strerror}"]
            return
        self._told = [f"{merged.tests} tests in {path}", *merged.problems]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in self._told:
            terminalreporter.write_line(line)
