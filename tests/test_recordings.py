"""The recordings of the original driver, and the command that plays them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness.cli.main import main
from harness.suite import recordings

RECORDED = Path(__file__).parents[1] / "fixtures" / "recorded"
SCENARIOS = {"crossing": 40, "curated": 88, "hostile": 50, "random": 200}


def play(*files: Path) -> Result:
    return CliRunner().invoke(main, ["play", *map(str, files)])


def scenario(name: str) -> dict[str, Any]:
    for _, recorded in recordings.scenarios(RECORDED / "curated.jsonl"):
        assert isinstance(recorded, dict)
        if recorded["name"] == name:
            return recorded
    raise AssertionError(f"no scenario {name}")


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_recorded_scenario_agrees(name: str) -> None:
    result = play(RECORDED / f"{name}.jsonl")
    assert result.output == f"{SCENARIOS[name]} scenarios agree, 0 differ\n"
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("step", "field", "value"),
    [
        (0, "result", -12),
        (4, "pending", []),
        (4, "stats", {"1": {"tx_packets": 1, "tx_bytes": 61}}),
        (4, "events", [{"event": "kill", "guest": 1}]),
        (6, "result", "none"),
        (6, "events", []),
        (6, "stats", {}),
    ],
)
def test_a_difference_in_any_field_is_reported(
    tmp_path: Path, step: int, field: str, value: object
) -> None:
    changed = scenario("unicast")
    changed["steps"][step]["expect"][field] = value
    path = tmp_path / "changed.jsonl"
    path.write_text(json.dumps(changed) + "\n" + json.dumps(scenario("promiscuous")) + "\n")
    result = play(path)
    line, last = result.output.splitlines()
    assert line.startswith(f"unicast: step {step} (")
    assert f": {field}: expected {json.dumps(value, sort_keys=True)}, got " in line
    assert last == "1 scenarios agree, 1 differ"
    assert result.exit_code == 1


def test_a_different_byte_of_a_frame_is_reported(tmp_path: Path) -> None:
    changed = scenario("unicast")
    changed["steps"][4]["payload_seed"] += 1
    path = tmp_path / "changed.jsonl"
    path.write_text(json.dumps(changed))
    result = play(path)
    assert "step 6 (irq): events" in result.output
    assert result.exit_code == 1


def test_a_different_final_page_is_reported(tmp_path: Path) -> None:
    changed = scenario("unicast")
    changed["final_page"]["3"] = "02:00:04:00:00:01"
    path = tmp_path / "changed.jsonl"
    path.write_text(json.dumps(changed))
    result = play(path)
    assert result.output.startswith("unicast: end: final_page: expected")
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "not JSON"),
        ("[1, 2]", "not a JSON object"),
        ("{}", "field 'name' is missing"),
        ('{"name": "x", "steps": 3, "final_page": {}, "pages": 1, "guests": []}', "cannot be"),
        ("\udcff", "not JSON"),
    ],
)
def test_a_malformed_line_is_named_and_the_rest_is_played(
    tmp_path: Path, line: str, complaint: str
) -> None:
    bad, good = tmp_path / "bad.jsonl", tmp_path / "good.jsonl"
    good.write_text(json.dumps(scenario("unicast")))
    whole = f"{json.dumps(scenario('promiscuous'))}\n{line}\n{json.dumps(scenario('unicast'))}\n"
    bad.write_bytes(whole.encode("utf-8", "surrogateescape"))
    result = play(bad, good)
    message, last = result.output.splitlines()
    assert message.startswith(f"{bad}:2: ")
    assert complaint in message
    assert last == "3 scenarios agree, 0 differ"
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        ({"op": "fly"}, "unknown operation 'fly'"),
        ({"op": "open", "guest": 99}, "there is no Guest 99"),
        ({"op": "open", "guest": [1]}, "there is no Guest [1]"),
        ({"op": "open"}, "field 'guest' is missing"),
        ({"guest": 1}, "field 'op' is missing"),
        ({"op": "publish", "slot": 0, "mac": "zz"}, "cannot be played"),
        ({"op": "publish", "slot": 0, "mac": "0200"}, "an address has six bytes"),
        ({"op": "close", "guest": 1}, "eth0 of Guest 1 is not open"),
        ({"op": "send_dma", "guest": 1, "to_slot": 1, "payload_seed": 0,
          "sections": [[0, 99999]]}, "does not fit"),
    ],
)  # fmt: skip
def test_a_step_that_cannot_be_played_is_named(
    tmp_path: Path, step: dict[str, Any], complaint: str
) -> None:
    changed = scenario("unicast")
    changed["steps"].insert(0, {**step, "expect": {}})
    path = tmp_path / "changed.jsonl"
    path.write_text("\n" + json.dumps(changed) + "\n")
    result = play(path)
    message, last = result.output.splitlines()
    assert message.startswith(f"{path}:2: ")
    assert complaint in message
    assert last == "0 scenarios agree, 0 differ"
    assert result.exit_code == 2


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    good = tmp_path / "good.jsonl"
    good.write_text(json.dumps(scenario("unicast")))
    result = play(tmp_path / "missing.jsonl", tmp_path, good)
    assert f"{tmp_path / 'missing.jsonl'}: No such file or directory" in result.output
    assert f"{tmp_path}: Is a directory" in result.output
    assert result.output.endswith("1 scenarios agree, 0 differ\n")
    assert result.exit_code == 2


def test_a_file_without_a_scenario_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.md"
    path.write_text("# Notes\n\nnot\na\nrecording\n")
    result = play(path)
    assert result.output.splitlines() == [
        f"{path}:1: not JSON: Expecting value: line 1 column 1 (char 0), and 3 lines more:"
        " no recording",
        "0 scenarios agree, 0 differ",
    ]
    assert result.exit_code == 2
