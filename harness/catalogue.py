"""Which tests check which rule: asked of pytest, which collects and runs nothing."""

from __future__ import annotations

import contextlib
import io
from importlib import resources

import pytest

from harness.pytest_plugin import rule_ids


class _Collector:
    def __init__(self) -> None:
        self.tests: dict[str, list[str]] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            name = item.nodeid.partition("[")[0]
            for rule in rule_ids(item):
                listed = self.tests.setdefault(rule, [])
                if name not in listed:
                    listed.append(name)


def tests_of_rules() -> dict[str, list[str]]:
    """Rule id to the node ids of its tests, parameters left out, in order of collection.

    Raises RuntimeError with pytest's own words when the suite cannot be collected.
    """
    collector = _Collector()
    said = io.StringIO()
    with resources.as_file(resources.files("testcases")) as folder:
        arguments = ["--collect-only", "-q", "-p", "no:cacheprovider", str(folder)]
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = pytest.main(arguments, plugins=[collector])
    if code != 0:
        raise RuntimeError(f"the suite cannot be collected:\n{said.getvalue()}")
    return collector.tests
