"""JUnit XML by pytest's own option: rule, LAN, verdict and capture are properties."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.small_run import OUTCOMES, SUITE, run

RULES = {"test_stays_silent": "DLV-7", "test_knows_nothing": "DLV-7", "test_deviates": "DLV-9"}

ERRORS = """
@pytest.fixture
def trouble(lan):
    raise ValueError("no way in")

@pytest.fixture
def trouble_after(lan):
    yield
    raise ValueError("no way out")

@rule("DLV-2", "DLV-3")
def test_begins_badly(lan: Testbench, trouble: None) -> None:
    pass

@rule("DLV-2")
def test_ends_badly(lan: Testbench, trouble_after: None) -> None:
    pass

def test_without_a_lan() -> None:
    pass
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "two workers"])
def test_every_word_is_in_the_xml(tmp_path: Path, workers: tuple[str, ...]) -> None:
    run(tmp_path, "--junitxml=junit.xml", *workers, suite=SUITE + ERRORS)
    cases = ElementTree.parse(tmp_path / "junit.xml").getroot().iter("testcase")
    properties = {
        case.get("name", ""): [
            (str(item.get("name")), str(item.get("value"))) for item in case.iter("property")
        ]
        for case in cases
    }
    assert properties.pop("test_without_a_lan") == []
    begins, ends = "test_begins_badly[lguest]", "test_ends_badly[lguest]"
    words = {**OUTCOMES, begins: "failed", ends: "failed"}
    rules = {**RULES, "test_begins_badly": "DLV-2, DLV-3"}
    assert properties.keys() == words.keys()
    for name, word in words.items():
        capture = f"reports/captures/test_small.py/{name}.pcapng"
        assert sorted(properties[name]) == [
            ("capture", capture),
            ("lan", "lguest"),
            ("rule", rules.get(name.partition("[")[0], "DLV-2")),
            ("settled", "barrier"),
            ("verdict", word),
        ]
        assert (tmp_path / capture).exists()


def test_without_captures_there_is_no_property_of_one(tmp_path: Path) -> None:
    run(tmp_path, "--junitxml=junit.xml", "--no-captures")
    xml = (tmp_path / "junit.xml").read_text()
    assert xml.count('name="verdict"') == len(OUTCOMES)
    assert 'name="capture"' not in xml
