"""Rules of a user's own: ``rules`` in the table ``[tool.lguest-harness]`` of pyproject.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.lan import LanError
from harness.rules import Rule, read_rules


def read(config: pytest.Config) -> Mapping[str, Rule]:
    """The rules that the project under test defines, by id; LanError for a bad file."""
    named = _file_name(config)
    if not named:
        return {}
    return {rule.id: rule for rule in read_rules(config.rootpath / named)}


def _file_name(config: pytest.Config) -> str:
    """Where they are: from pytest's own configuration, or from pyproject.toml."""
    given = str(config.getini("lguest_harness_rules"))
    path = config.rootpath / "pyproject.toml"
    if given or not path.is_file():
        return given
    value = _table(path).get("rules", "")
    if not isinstance(value, str):
        raise LanError(f"{path}: tool.lguest-harness.rules should be the name of a TOML file")
    return value


def _table(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text()).get("tool", {}).get("lguest-harness", {})
    except (OSError, ValueError) as error:
        raise LanError(f"{path}: {error}") from None
    if not isinstance(table, dict):
        raise LanError(f"{path}: tool.lguest-harness should be a table")
    return table
