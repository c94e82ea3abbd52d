"""The reference models, frame by frame."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.frames import BROADCAST, GROUPS, ethernet
from harness.lan import Traits
from harness.models import MAY, MUST, MUST_NOT, Kind, Model, Verdict, arrives_as, kind_of

TRAITS = Traits("nobody", False, True, 14, 1514, "dropped", 64, False, False, "barrier")
NAMES = ("a", "b", "c")
ADDRESS = {name: bytes((2, 0, 0, 0, 0, number)) for number, name in enumerate(NAMES, start=1)}
FRESH = b"\x0e\0\0\0\0\1"


def model(kind: Kind, **traits: object) -> Model:
    made = Model(replace(TRAITS, kind=kind, **traits), kind)  # type: ignore[arg-type]
    for name in NAMES:
        made.plug(name, ADDRESS[name])
    return made


def says(of: Model, frame: bytes, sender: str = "a") -> dict[str, Verdict]:
    return {name: ruling.verdict for name, ruling in of.rulings(sender, frame).items()}


def to(address: bytes, source: bytes = ADDRESS["a"], size: int = 60) -> bytes:
    return ethernet(address, source, size=size)


def test_the_kind_of_a_lan_that_declares_none_follows_from_its_traits() -> None:
    assert kind_of(TRAITS) == "repeater"
    assert kind_of(replace(TRAITS, learns=True, filters="receiver")) == "learning"
    assert kind_of(replace(TRAITS, filters="sender")) == "directory"
    assert kind_of(replace(TRAITS, kind="wire")) == "wire"


@pytest.mark.parametrize("destination", [ADDRESS["b"], FRESH, BROADCAST, ADDRESS["a"]])
def test_a_repeater_sends_everything_to_all_others(destination: bytes) -> None:
    assert says(model("repeater"), to(destination)) == {"a": MUST_NOT, "b": MUST, "c": MUST}


def test_a_directory_knows_its_ports() -> None:
    directory = model("directory")
    assert says(directory, to(ADDRESS["b"])) == {"a": MUST_NOT, "b": MUST, "c": MUST_NOT}
    assert says(directory, to(FRESH)) == dict.fromkeys(NAMES, MUST_NOT)
    assert says(directory, to(ADDRESS["a"])) == dict.fromkeys(NAMES, MUST_NOT)
    directory.set_promiscuous("c", True)
    assert says(directory, to(ADDRESS["b"]))["c"] is MUST
    assert says(directory, to(FRESH))["c"] is MUST


def test_a_learning_lan_floods_until_it_knows() -> None:
    learning = model("learning")
    assert says(learning, to(FRESH)) == {"a": MUST_NOT, "b": MUST, "c": MUST}
    learning.sent("b", to(BROADCAST, FRESH))
    assert says(learning, to(FRESH)) == {"a": MUST_NOT, "b": MUST, "c": MUST_NOT}
    learning.sent("c", to(BROADCAST, FRESH))
    assert says(learning, to(FRESH)) == {"a": MUST_NOT, "b": MUST_NOT, "c": MUST}
    learning.sent("a", to(BROADCAST, FRESH))
    assert says(learning, to(FRESH)) == dict.fromkeys(NAMES, MUST_NOT)


@pytest.mark.parametrize("source", [BROADCAST, GROUPS["ipv4-multicast"]])
def test_a_group_is_never_learned(source: bytes) -> None:
    learning = model("learning")
    learning.sent("b", to(ADDRESS["a"], source))
    assert learning.table == {}


def test_a_port_that_goes_down_leaves_its_addresses_in_doubt() -> None:
    learning = model("learning")
    learning.sent("b", to(BROADCAST, FRESH))
    learning.go_down("b")
    assert says(learning, to(FRESH)) == {"a": MUST_NOT, "b": MUST_NOT, "c": MAY}
    learning.come_up("b")
    assert says(learning, to(FRESH)) == {"a": MUST_NOT, "b": MUST, "c": MAY}


def test_nothing_comes_from_a_port_that_is_down() -> None:
    kinds: tuple[Kind, ...] = ("repeater", "learning", "directory")
    for kind in kinds:
        lan = model(kind)
        lan.go_down("a")
        assert says(lan, to(BROADCAST)) == dict.fromkeys(NAMES, MUST_NOT)


@pytest.mark.parametrize(("declared", "verdict"), [("forwarded", MUST), ("filtered", MUST_NOT)])
def test_reserved_groups_are_as_declared(declared: str, verdict: Verdict) -> None:
    lan = model("learning", reserved=declared)
    assert says(lan, to(GROUPS["lldp"]))["b"] is verdict
    assert says(model("learning"), to(GROUPS["lldp"]))["b"] is MAY
    assert says(lan, to(bytes.fromhex("0180c2000010")))["b"] is MUST


def test_a_frame_beyond_the_limits_is_as_declared() -> None:
    assert says(model("repeater"), to(BROADCAST, size=1515))["b"] is MUST_NOT
    assert says(model("repeater", oversized="delivered"), to(BROADCAST, size=1515))["b"] is MAY
    assert says(model("repeater"), to(BROADCAST, size=13))["b"] is MAY


def test_a_full_table_leaves_new_addresses_in_doubt() -> None:
    learning = model("learning", addresses=1)
    learning.sent("b", to(BROADCAST, FRESH))
    learning.sent("b", to(BROADCAST, b"\x0e\0\0\0\0\2"))
    assert says(learning, to(FRESH))["c"] is MUST_NOT
    assert says(learning, to(b"\x0e\0\0\0\0\2"))["c"] is MAY


def test_the_short_answer_is_never_older_than_the_state() -> None:
    learning = model("learning")
    frame = to(FRESH)
    assert learning.receivers("a", frame).must == ("b", "c")
    learning.sent("b", to(BROADCAST, FRESH))
    assert learning.receivers("a", frame).must == ("b",)
    learning.go_down("b")
    assert learning.receivers("a", frame) == ((), ("c",), True)
    directory = model("directory")
    assert directory.receivers("a", frame).must == ()
    directory.set_promiscuous("c", True)
    assert directory.receivers("a", frame).must == ("c",)


def test_what_a_frame_may_look_like() -> None:
    frame = to(BROADCAST, size=40)
    padded = frame.ljust(60, b"\0")
    assert arrives_as(TRAITS, frame, frame)
    assert arrives_as(TRAITS, frame, padded)
    assert not arrives_as(replace(TRAITS, padding=0), frame, padded)
    assert not arrives_as(TRAITS, frame, padded[:-1] + b"\1")
    assert not arrives_as(TRAITS, frame, frame[:-1])
    cutting = replace(TRAITS, oversized="cut")
    assert not arrives_as(cutting, frame, frame[:-1])
    long = to(BROADCAST, size=9000)
    assert arrives_as(cutting, long, long[:1514])
    assert not arrives_as(cutting, long, long[:1513])
    assert not arrives_as(TRAITS, long, long[:1514])
