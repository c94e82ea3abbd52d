"""Optional verbs: what a test sees of them, and what a LAN that declares them must have."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace

import pytest
from _pytest.pytester import Pytester

from harness import registry
from harness.exchange import Testbench
from harness.frames import BROADCAST, ethernet
from harness.lan import VERBS, LanError, Unsupported
from harness.lans import contract
from harness.lans.memory import LEARNING, MemoryLearning, MemoryPort
from harness.suite.run import run_quietly
from tests.lans.users import CLASS, EXAMPLES, lan_name

GROUP = bytes.fromhex("01005e400001")


def bench(name: str = "memory-learning") -> Testbench:
    return Testbench(registry.create(name))


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "age"])
def test_a_verb_that_a_lan_does_not_declare_is_unsupported(verb: str) -> None:
    port, _ = bench("lguest-repaired").ports(2)
    arguments = [GROUP] if verb == "groups" else []
    for method in VERBS[verb]:
        with pytest.raises(Unsupported, match=f"does not declare the verb '{verb}'"):
            getattr(port, method)(*arguments)


def test_what_waited_for_a_port_arrives_when_it_takes_frames_again() -> None:
    lan = bench()
    sender, stuck, _ = lan.ports(3)
    stuck.pause()
    received = stuck.counters().received
    for number in range(3):
        lan.wire(sender, ethernet(BROADCAST, sender, stamp=number))
    assert stuck.counters().received == received
    stuck.resume()
    assert stuck.counters().received == received + 3
    assert lan.violations == []


@pytest.mark.parametrize("change", ["altered", "doubled", "reversed"])
def test_what_waited_for_a_port_is_judged(change: str) -> None:
    class Changes(MemoryLearning):
        def takes_again(self, port: MemoryPort) -> None:
            waiting = port.unread
            if change == "altered":
                waiting[0] = waiting[0][:-1] + b"\xff"
            elif change == "doubled":
                waiting.append(waiting[0])
            else:
                waiting.reverse()
            super().takes_again(port)

    lan = Testbench(Changes("changes"))
    sender, stuck, _ = lan.ports(3)
    stuck.pause()
    for number in range(2):
        lan.wire(sender, ethernet(stuck, sender, stamp=number))
    stuck.resume()
    assert len(lan.violations) >= 1


def test_a_port_comes_back_as_it_left_when_a_test_is_over() -> None:
    lan = bench()
    one, two, three, four = lan.ports(4)
    one.close()
    two.link_down()
    three.vanish()
    lan.finish()
    assert lan.violations == []
    lan.stream([(four, ethernet(BROADCAST, four))])
    assert lan.violations == []


def test_members_alone_receive_a_group_that_was_joined() -> None:
    lan = bench()
    sender, member, other = lan.ports(3)
    frame = ethernet(GROUP, sender)
    assert lan.wire(sender, frame) == {member: [frame], other: [frame]}
    member.join_group(GROUP)
    assert lan.wire(sender, frame) == {member: [frame]}
    member.join_groups(0)
    assert lan.wire(sender, frame) == {member: [frame], other: [frame]}
    assert lan.violations == []


def test_a_learned_address_is_forgotten_and_ports_introduce_themselves_again() -> None:
    lan = bench()
    sender, owner, other = lan.ports(3)
    address = lan.fresh_address()
    lan.teach(owner, address)
    lan.age(2 * (LEARNING.ageing_s or 0))
    frame = ethernet(address, sender)
    assert lan.wire(sender, frame) == {owner: [frame], other: [frame]}
    frame = ethernet(owner, sender)
    assert lan.wire(sender, frame) == {owner: [frame]}


def test_the_example_hub_has_the_verbs_that_it_declares() -> None:
    lan = bench(lan_name([sys.executable, str(EXAMPLES / "hub.py")]))
    try:
        assert lan.traits.verbs == ("link", "vanish", "pause", "groups", "counters")
        sender, owner, other = lan.ports(3)
        before = other.counters()
        owner.link_down()
        frame = ethernet(BROADCAST, sender)
        assert lan.wire(sender, frame) == {other: [frame]}
        owner.link_up()
        owner.vanish()
        assert lan.wire(sender, frame) == {other: [frame]}
        owner.open()
        owner.pause()
        assert lan.wire(sender, frame) == {other: [frame]}
        owner.resume()
        owner.join_group(GROUP)
        assert lan.wire(sender, frame) == {owner: [frame], other: [frame]}
        after = other.counters()
        assert (after.sent - before.sent, after.received - before.received) == (0, 4)
        lan.finish()
        assert lan.violations == []
    finally:
        lan.lan.close()


@pytest.mark.parametrize(
    ("verbs", "complaint"),
    [
        ('("link",)', "name the verb 'link', and its port .* lacks link_down, link_up"),
        ('("age",)', "its traits name the verb 'age', and it lacks age"),
        ('("fly",)', "its traits name the verb 'fly'; known are link, vanish, "),
    ],
)
def test_a_class_that_lacks_what_its_verbs_name_is_refused(
    pytester: Pytester, monkeypatch: pytest.MonkeyPatch, verbs: str, complaint: str
) -> None:
    name = f"verbs_{abs(hash(verbs))}"
    text = CLASS.replace(
        '8, False, False, "barrier")', f'8, False, False, "barrier", verbs={verbs})'
    )
    (pytester.path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(pytester.path))
    with pytest.raises(LanError, match=complaint):
        registry.create(f"python:{name}:Lan").ports(2)


def test_features_that_need_another_are_refused_without_it() -> None:
    limits = {"shortest": 14, "longest": 1514, "ports": 8}
    start = {"name": "mine", "version": "1", "features": ["age"], "limits": limits}
    with pytest.raises(contract.BadAnswer, match="feature 'age' and limits\\.ageing_s go together"):
        contract.declared(start)
    with pytest.raises(contract.BadAnswer, match="feature 'members' needs feature 'groups'"):
        contract.declared({**start, "features": ["members"]})
    limits["ageing_s"] = 300
    declared = contract.declared({**start, "features": ["age", "groups", "members"]}).traits()
    assert (declared.verbs, declared.groups, declared.ageing_s) == (
        ("groups", "age"),
        "members",
        300,
    )


def test_a_silent_address_may_be_known_until_twice_the_ageing_time() -> None:
    class Slow(MemoryLearning):
        """Looks for old addresses late."""

        traits = replace(LEARNING, ageing_s=200.0)

    lan = Testbench(Slow("slow"))
    sender, owner, _ = lan.ports(3)
    address = lan.fresh_address()
    lan.teach(owner, address)
    lan.age(250)
    lan.wire(sender, ethernet(address, sender))
    assert lan.violations == []


def test_a_quick_run_has_a_test_of_each_rule() -> None:
    class Collected:
        def __init__(self) -> None:
            self.rules: list[Counter[str]] = []

        def pytest_collection_finish(self, session: pytest.Session) -> None:
            marks = [mark for item in session.items for mark in item.iter_markers("rule")]
            self.rules.append(Counter(rule for mark in marks for rule in mark.args))

    runs = Collected()
    for more in ((), ("--quick",)):
        run_quietly(["--collect-only", "--lan", "memory-learning", *more], runs, [0])
    whole, quick = runs.rules
    assert quick.keys() == whole.keys()
    assert 3 * sum(quick.values()) < sum(whole.values())
