"""Random programs: the same for a seed, within what a LAN declares, shortened when they fail."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, get_args

import pytest

from harness import registry
from harness.exchange import Testbench
from harness.lan import Traits, Unsupported
from harness.suite import programs
from harness.suite.programs import Age, Change, Membership, Program, Send, Try, What

SEEDS = range(40)


def bench(name: str) -> Testbench:
    return Testbench(registry.create(name))


def traits() -> Traits:
    return bench("lguest-repaired").traits


def writes(seed: int, *, bursts: bool) -> Program:
    return programs.program(seed, traits(), bursts=bursts)


@pytest.mark.parametrize("bursts", [False, True])
def test_a_seed_gives_the_same_program_and_another_seed_another(bursts: bool) -> None:
    written = [str(writes(seed, bursts=bursts)) for seed in SEEDS]
    assert written == [str(writes(seed, bursts=bursts)) for seed in SEEDS]
    assert len(set(written)) == len(SEEDS)


@pytest.mark.parametrize("seed", range(4))
def test_a_program_gives_the_same_result_twice(seed: int) -> None:
    def records() -> list[tuple[str, str, bytes]]:
        lan = bench("lguest-repaired")
        assert programs.run(writes(seed, bursts=True), lan) is None
        return [(record.port, record.direction, record.frame) for record in lan.lan.records()]

    first = records()
    assert len(first) > 100
    assert records() == first


def test_programs_have_steps_of_every_kind_within_what_the_lan_declares() -> None:
    listed = [step for seed in SEEDS for step in writes(seed, bursts=True).steps]
    sends = [step for step in listed if isinstance(step, Send)]
    shots = [shot for send in sends for shot in send.shots]
    declared = traits()
    assert {step.what for step in listed if isinstance(step, Change)} == {
        *("close", "open", "promiscuous", "plain", "join", "leave")
    }
    assert any(isinstance(step, Try) for step in listed)
    assert {shot.to.kind for shot in shots} == {"port", "station", "unused", "bytes"}
    assert {shot.source.kind for shot in shots} == {"port", "station", "unused", "bytes"}
    sizes = {shot.size for shot in shots}
    assert min(sizes) == declared.shortest
    assert max(sizes) == declared.longest
    assert max(len(send.shots) for send in sends) == declared.burst
    assert any(shot.vlan for shot in shots)
    assert any(len({shot.sender for shot in send.shots}) > 1 for send in sends)


def test_programs_use_every_verb_that_the_lan_declares_and_no_other() -> None:
    def steps(lan: str) -> list[programs.Step]:
        declared = bench(lan).traits
        drawn = (programs.program(seed, declared, bursts=True) for seed in SEEDS)
        return [step for program in drawn for step in program.steps]

    listed = steps("memory-learning")
    assert {step.what for step in listed if isinstance(step, Change)} == set(get_args(What))
    members = {step.member for step in listed if isinstance(step, Membership)}
    assert members == {True, False}
    assert any(isinstance(step, Age) for step in listed)
    plain = steps("lguest-repaired")
    changes = {step.what for step in plain if isinstance(step, Change)}
    assert changes == {"close", "open", "promiscuous", "plain", "join", "leave"}
    assert not any(isinstance(step, Membership | Age) for step in plain)


@pytest.mark.parametrize("lan", ["memory-repeater", "memory-learning", "memory-directory"])
def test_a_program_with_verbs_holds_on_a_correct_lan_and_its_text_is_the_same_test(
    lan: str,
) -> None:
    for seed in range(8):
        written = programs.program(seed, bench(lan).traits, bursts=True)
        assert programs.makes_sense(written.steps)
        first, second = bench(lan), bench(lan)
        assert programs.run(written, first) is None
        names: dict[str, Any] = {}
        exec(str(written), names)
        names[f"test_program_{seed}"](second)
        second.finish()
        assert second.violations == []
        assert [tuple(record) for record in first.lan.records()] == [
            tuple(record) for record in second.lan.records()
        ]


@pytest.mark.parametrize(
    "steps",
    [
        [Change(0, "vanish"), Change(0, "link_up")],
        [Change(0, "link_down"), Change(0, "open")],
        [Change(0, "pause"), Change(0, "close")],
        [Change(0, "resume")],
        [Change(0, "pause"), Change(0, "pause")],
    ],
    ids=lambda steps: "-".join(step.what for step in steps),
)
def test_a_port_returns_as_it_left(steps: list[programs.Step]) -> None:
    assert not programs.makes_sense(steps)


def test_without_bursts_every_frame_is_sent_alone() -> None:
    listed = [step for seed in SEEDS for step in writes(seed, bursts=False).steps]
    assert {len(step.shots) for step in listed if isinstance(step, Send)} == {1}


@pytest.mark.parametrize("bursts", [False, True])
def test_only_ports_that_are_up_send(bursts: bool) -> None:
    assert all(programs.makes_sense(writes(seed, bursts=bursts).steps) for seed in SEEDS)


def test_ports_that_are_down_neither_leave_nor_send_and_those_that_are_up_do_not_return() -> None:
    close, back = Change(0, "close"), Change(0, "open")
    send = next(step for step in writes(0, bursts=False).steps if isinstance(step, Send))
    send = Send((replace(send.shots[0], sender=0),))
    assert programs.makes_sense([send, close, back, send])
    senseless: list[list[programs.Step]] = [[close, send], [close, close], [back]]
    for steps in senseless:
        assert not programs.makes_sense(steps)


def test_it_needs_no_hypothesis() -> None:
    code = "import sys; sys.modules['hypothesis'] = None; import harness.suite.programs"
    subprocess.run([sys.executable, "-c", code], check=True)


# Programs that fail


@contextmanager
def no_other_lan() -> Iterator[Testbench]:
    raise Unsupported("there is one LAN")
    yield


def first_failure(name: str, another: programs.NewBench | None) -> str:
    """What is said of the first program that fails on a LAN."""
    for seed in SEEDS:
        try:
            programs.check(writes(seed, bursts=True), bench(name), another)
        except AssertionError as error:
            return str(error)
    pytest.fail(f"no program fails on {name}")


FAULTS = {
    "only-broadcast-is-a-group": ("WIRE-1", 1),
    "hears-its-own-groups": ("WIRE-3", 1),
    "strips-tags": ("WIRE-6", 1),
    "floods-unknown": ("WIRE-2", 1),
    "unicast-twice": ("WIRE-4", 1),
    "promiscuous-miss-unknown": ("WIRE-1", 2),
    "drains-from-slot-zero": ("WIRE-5", 9),
    "remembers-receivers": ("WIRE-1", 9),
    "forgets-its-mode": ("WIRE-1", 4),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_and_shown_as_a_short_test_that_fails(name: str) -> None:
    rule, most = FAULTS[name]
    broken = f"broken:{name}"

    @contextmanager
    def another() -> Iterator[Testbench]:
        yield bench(broken)

    message = first_failure(broken, another)
    assert message.startswith(f"on the wire, {rule}: ")
    text = message[message.index("from harness") :]
    names: dict[str, Any] = {}
    exec(text, names)
    test = next(value for key, value in names.items() if key.startswith("test_program"))
    assert re.search(rf"\b[1-{most}] of \d+ steps are enough", message)
    for lan, fails in ((bench(broken), True), (bench("lguest-repaired"), False)):
        test(lan)
        lan.finish()
        assert bool(lan.violations) is fails


def test_a_program_that_fails_only_after_others_is_shown_whole() -> None:
    @contextmanager
    def another() -> Iterator[Testbench]:
        yield bench("lguest-repaired")

    message = first_failure("broken:unicast-twice", another)
    assert "on a new LAN they do not fail: what was sent before matters" in message


def test_a_program_on_the_only_lan_of_its_kind_is_shown_whole() -> None:
    message = first_failure("broken:unicast-twice", no_other_lan)
    assert "there is no second LAN" in message
    assert "def test_program_" in message


def test_a_known_deviation_is_not_shortened() -> None:
    message = first_failure("broken:unicast-twice", None)
    assert re.fullmatch(r"on the wire, WIRE-4: .*, in step \d+ of program \d+", message)
