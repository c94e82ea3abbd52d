"""The mark that ties a test to the rules it checks."""

from __future__ import annotations

import pytest

rule = pytest.mark.rule
"""Marks a test with the ids of the rules that it checks; several may be named.

An unknown id is an error when tests are collected. The rule also selects the view of the
fixture ``lan`` (see `Testbench`).

>>> @rule("DLV-2", "DLV-7")
... def test_of_mine(lan): ...
>>> test_of_mine.pytestmark[0].args
('DLV-2', 'DLV-7')
"""
