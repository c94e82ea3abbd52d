"""The public API: every name and member is documented, and its examples run."""

from __future__ import annotations

import doctest
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import harness

ROOT = Path(__file__).parents[1]


def load(path: Path) -> ModuleType:
    """A module that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


make_api = load(ROOT / "docs" / "make_api.py")


@pytest.mark.parametrize("name", harness.__all__)
def test_its_examples_run(name: str) -> None:
    public = {name: getattr(harness, name) for name in harness.__all__}
    doc = make_api.public()[name].doc
    examples = doctest.DocTestParser().get_doctest(doc, public, name, None, None)
    assert examples.examples, f"{name} has no example"
    said: list[str] = []
    results = doctest.DocTestRunner().run(examples, out=said.append)
    assert results.failed == 0, "".join(said)


@pytest.mark.parametrize("name", harness.__all__)
def test_every_member_is_documented(name: str) -> None:
    public_name = make_api.public()[name]
    assert public_name.doc
    assert [what for what, doc in make_api.members(public_name) if not doc] == []


def test_an_example_that_no_longer_holds_is_noticed() -> None:
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    said: list[str] = []
    assert doctest.DocTestRunner().run(wrong, out=said.append).failed == 1


def test_importing_the_package_loads_nothing_else() -> None:
    code = (
        "import sys, harness\n"
        "print([name for name in sys.modules if name.startswith(('harness.', 'scapy'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n"
