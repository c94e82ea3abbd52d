"""A port as a test sees it: what the LAN's own port does, the model and the bench follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, SupportsBytes, cast

from harness.lan import Arrival, Counters, Layout, Port, PortVerbs, as_frame
from harness.models import Model


class Bench(Protocol):
    """What a port needs of the Testbench that it belongs to."""

    model: Model

    def send_loose(self, port: BenchPort, frame: bytes, layout: Layout | None) -> None:
        """Send a frame outside of an exchange."""

    def forget_pending(self) -> None:
        """The test itself looks at what arrived."""

    def introduce_again(self) -> None:
        """A port left or came back."""

    def resume(self, port: BenchPort, resume: Callable[[], None]) -> None:
        """A port takes frames again."""

    def require_verbs(self, *verbs: str) -> None:
        """Unsupported on a LAN that does not declare them."""


class BenchPort:
    """A port as a test sees it: the LAN's own, whose changes of state the model follows.

    It has all that ``Port`` has; what else the LAN's own port has is there too.
    """

    def __init__(self, bench: Bench, port: Port) -> None:
        self._bench = bench
        self.port = port
        self.name = port.name
        self.mac = port.mac
        self.comes_back: Callable[[], None] = self.open
        """What brings it back when it is down."""

    @property
    def lan(self) -> Bench:
        """The LAN that it is a port of, as the test sees it."""
        return self._bench

    def __repr__(self) -> str:
        return repr(self.port)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.port, name)

    def __eq__(self, other: object) -> bool:
        return other is self or other is self.port

    def __hash__(self) -> int:
        return hash(self.port)

    def send(self, frame: SupportsBytes, layout: Layout | None = None) -> None:
        """Send one frame outside of an exchange; the next exchange judges what becomes of it."""
        self._bench.send_loose(self, as_frame(frame), layout)

    def arrivals(self) -> Sequence[Arrival]:
        """Frames that arrived since the last call; the test judges them, and nobody else."""
        self._bench.forget_pending()
        return self.port.arrivals()

    def set_promiscuous(self, on: bool) -> None:
        """Turn promiscuous mode on or off."""
        self.port.set_promiscuous(on)
        self._bench.model.set_promiscuous(self.name, on)

    def join_groups(self, count: int) -> None:
        """Be a member of ``count`` groups in all."""
        self.port.join_groups(count)
        self._bench.model.set_groups(self.name, count)

    def close(self) -> None:
        """Leave the LAN."""
        self.port.close()
        self._down(self.open)

    def open(self, *, silently: bool = False) -> None:
        """Join the LAN again, after ``close`` or ``vanish``; silently: it sends nothing yet."""
        self.port.open()
        self._up(silently=silently)

    # What not every LAN has: Unsupported on one that does not declare it

    def link_down(self) -> None:
        """The link fails: nothing crosses it."""
        self._able("link").link_down()
        self._down(self.link_up)

    def link_up(self) -> None:
        """The link is there again."""
        self._able("link").link_up()
        self._up()

    def vanish(self) -> None:
        """The port's peer dies, and the LAN is not notified; ``open`` brings another one."""
        self._able("vanish").vanish()
        self._down(self.open)

    def pause(self) -> None:
        """Take no frames from the LAN."""
        self._able("pause").pause()
        self._bench.model.pause(self.name)

    def resume(self) -> None:
        """Take frames again; those that waited may arrive, in order, and nothing else."""
        able = self._able("pause")
        self._bench.resume(self, able.resume)

    def join_group(self, group: bytes) -> None:
        """Be a member of a group, by its address."""
        self._able("groups").join_group(group)
        self._bench.model.join(self.name, group)

    def leave_group(self, group: bytes) -> None:
        """Be no member of a group any more."""
        self._able("groups").leave_group(group)
        self._bench.model.leave(self.name, group)

    def counters(self) -> Counters:
        """What the LAN counted at this port."""
        return self._able("counters").counters()

    def _able(self, verb: str) -> PortVerbs:
        self._bench.require_verbs(verb)
        return cast("PortVerbs", self.port)

    def _down(self, returns: Callable[[], None]) -> None:
        self.comes_back = returns
        self._bench.model.go_down(self.name)
        self._bench.introduce_again()

    def _up(self, *, silently: bool = False) -> None:
        self._bench.model.come_up(self.name)
        if not silently:
            self._bench.introduce_again()
