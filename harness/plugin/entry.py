"""What pytest loads: options, marker, fixtures. Everything else is loaded when it is used.

In an environment where no test asks for our fixtures, and no option of ours is given, this
module does nothing: it writes no file, prints no line and costs no time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import pytest

from harness.plugin import options

if TYPE_CHECKING:
    from harness.exchange import Testbench
    from harness.lan import Lan
    from harness.lans.lguest import LguestLan
    from harness.plugin.host_tap import HostTap
    from harness.plugin.pool import Pool
    from harness.plugin.session import Session
    from harness.replay import Replayed

LAN_NAME = "lan_name"
"""The fixture that every test of a LAN uses, at least through another."""

NEW_LAN = "new_lan"

CROSSES = "lguest_harness_begun"
"""The attribute of a report that says that its test used this plugin, also from a worker."""


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add(parser)
    parser.addini("lguest_harness_rules", "TOML file with rules of your own", default="")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "rule(id, ...): the rules that this test checks (`lguest-harness rules`)"
    )
    config.addinivalue_line(
        "markers", f"{NEW_LAN}: this test gets a LAN that no test has used before"
    )
    config.pluginmanager.register(_Watch(config), "lguest-harness-watch")
    if any(config.getoption(name) not in (None, False, []) for name in options.EXPLICIT):
        _session(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if LAN_NAME in metafunc.fixturenames:
        _session(metafunc.config).parametrize(metafunc)


def _session(config: pytest.Config) -> Session:
    """The run as this plugin sees it; loads it on first use."""
    from harness.plugin import session

    return session.of(config)


class _Watch:
    """Notices, in the process that the user started, what only workers see."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._collected: Sequence[str] = ()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        from harness.plugin import seeds, writer

        writer.say_where(node)
        seeds.say(node)

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> object | None:
        if not any(config.getoption(name) for name in options.EXPLICIT):
            return None
        return _session(config).scheduling(config, log)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        self._collected = ids

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self._collected and hasattr(report, CROSSES):
            _session(self._config).begin(self._collected, report)
            self._collected = ()


@pytest.fixture(scope="module")
def lan_pool(pytestconfig: pytest.Config) -> Iterator[Pool]:
    """Where the module's real LANs are kept."""
    yield from _session(pytestconfig).pool()


@pytest.fixture
def lan_under_test(request: pytest.FixtureRequest, lan_name: str, lan_pool: Pool) -> Iterator[Lan]:
    """The LAN itself (`harness.Lan`); its capture is written when the test is over.

    A simulated LAN is the test's own; a real one is shared by the tests of a module, and
    its ports are reset between them.
    """
    yield from _session(request.config).lan(request.node, lan_name, lan_pool)


@pytest.fixture
def lan(
    request: pytest.FixtureRequest, lan_name: str, lan_under_test: Lan, lan_pool: Pool
) -> Testbench:
    """The LAN as tests of delivery see it (`harness.Testbench`): ports, exact exchanges."""
    return _session(request.config).testbench(request.node, lan_name, lan_under_test, lan_pool)


@pytest.fixture
def second_lan(request: pytest.FixtureRequest, lan_name: str) -> Iterator[Lan]:
    """Another LAN of the same make, beside the one under test."""
    yield from _session(request.config).second_lan(lan_name)


@pytest.fixture
def new_bench(
    request: pytest.FixtureRequest, lan_name: str
) -> Callable[[], AbstractContextManager[Testbench]] | None:
    """Makes LANs like the one under test, with a Testbench each; None for a known deviation.

    They are for finding out more about a failure, which a known deviation does not need.
    """
    if request.node.get_closest_marker("xfail"):
        return None
    return lambda: _session(request.config).new_bench(request.node, lan_name)


@pytest.fixture
def replay() -> Callable[..., Replayed]:
    """Sends a capture through the LAN: `replay(lan, path)` judges every frame of it."""
    from harness import replay as replaying

    return replaying.replay


@pytest.fixture
def lguest(lan_under_test: Lan) -> LguestLan:
    """The simulated LAN from inside: Guests, their devices, the Host. Not for other LANs."""
    from harness.lans.lguest import LguestLan

    assert isinstance(lan_under_test, LguestLan)
    return lan_under_test


@pytest.fixture
def tap(lguest: LguestLan) -> HostTap:
    """A simulated Guest on a network with its Host, and the Host's end of it, a TAP."""
    from harness.plugin.host_tap import HostTap

    return HostTap.on(lguest)
