"""The mark that ties a test to the rules it checks."""

from __future__ import annotations

import pytest

rule = pytest.mark.rule
"""``@rule("DLV-2")``: this test checks that rule; several may be named."""
