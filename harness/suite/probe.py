"""Finds out what a LAN is by sending frames, and sets that against what it declares of itself.

Nothing that the LAN declares is believed; it only says how many ports there are, and how many
frames may be sent at once. Each finding comes with the evidence for it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.exchange import LAGS
from harness.frames import BROADCAST, HEADER, LARGEST, LONGEST, ethernet, tagged
from harness.lan import FrameRefused, Inconclusive, Lan, LanError, Port
from harness.models import NO_ADDRESS, RESERVED, SHORTEST_PADDED, kind_of

PORTS = 4

PATIENCE_S = 2.0
"""How long a LAN may take to learn an address, until it counts as one that does not learn.

An address may take twice as long, and half a second, to move.
"""

BURSTS = 12
MOST_IN_BURST = 32

LENGTHS = (60, 64, 1500, LONGEST, 1515, 1518, 1519, 1522, 1600, 2048, 4096, 8192, 9000, 9014)
MORE_LENGTHS = (9018, 9019, 16_384, 32_768, LARGEST)
VLANS = (1, 42, 4094)
UNCLEAR = "unclear"

_UNORDERED_WAIT_S = 0.2
"""Declared for a LAN that was seen to reorder: how late a frame can be was not measured."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One property of a LAN: what it is, what shows that, and what the LAN declares.

    ``declared`` is empty if it declares nothing. ``wrong``: the two contradict each other.
    ``properties`` are those of a LAN file that declare what was found.
    """

    what: str
    observed: str
    evidence: str
    declared: str = ""
    wrong: bool = False
    properties: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        declared = f"declared {self.declared}" if self.declared else "not declared"
        mark = "CONTRADICTS " if self.wrong else ""
        return f"{self.what + ':':<13}{self.observed:<13} {mark}({declared}): {self.evidence}"


def probe(lan: Lan, patience_s: float = PATIENCE_S) -> Iterator[Finding]:
    """Every finding, as it is made; LanError if the LAN has no ports."""
    prober = _Prober(lan, patience_s)
    for search in (
        prober.kind,
        prober.unknown,
        prober.hairpin,
        prober.promiscuous,
        prober.reserved,
        prober.learns_zero,
        prober.moves,
        prober.flushes,
        prober.vlan,
        prober.ordered,
        prober.short,
        prober.long,
    ):
        try:
            yield from search()
        except LanError as error:
            yield Finding(search.__name__.replace("_", " "), UNCLEAR, str(error), wrong=True)
            if isinstance(error, Inconclusive):
                return


def report(findings: Sequence[Finding], name: str) -> list[str]:
    """The findings, a line each, and how many of them contradict what the LAN declares."""
    wrong = sum(finding.wrong for finding in findings)
    return [
        *map(str, findings),
        f"{len(findings)} findings, {wrong} contradict{'s' * (wrong == 1)} what {name} declares",
    ]


@dataclass(slots=True)
class _Prober:
    """Sends frames on a LAN that nobody else uses, and looks at every port."""

    lan: Lan
    patience_s: float
    ports: Sequence[Port] = ()
    seen_kind: str = UNCLEAR
    lag_s: float | None = None
    """How long the LAN took to learn an address."""
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 1 << 32)))

    def __post_init__(self) -> None:
        self.ports = self.lan.ports(min(PORTS, self.lan.traits.ports))
        self._collect()

    # What all of them need

    def unused(self) -> bytes:
        """An address that was never used."""
        return b"\x0e\xfe" + next(self._numbers).to_bytes(4, "big")

    def frame(self, to: bytes, by: bytes, size: int = SHORTEST_PADDED) -> bytes:
        """A frame like no other."""
        return ethernet(to, by, size=size, stamp=next(self._numbers))

    def send(self, sender: Port, *frames: bytes) -> dict[str, list[bytes]]:
        """What every port receives of frames that are sent together; refused ones are lost."""
        for frame in frames:
            try:
                sender.send(frame)
            except FrameRefused:
                continue
        return self._collect()

    def _collect(self) -> dict[str, list[bytes]]:
        self.lan.settle()
        return {port.name: [got.frame for got in port.arrivals()] for port in self.ports}

    def reached(self, sender: Port, to: bytes, by: bytes | None = None) -> set[str]:
        """Names of the ports that a frame reaches."""
        frame = self.frame(to, by or sender.mac)
        return {name for name, seen in self.send(sender, frame).items() if frame in seen}

    def others(self, sender: Port) -> set[str]:
        """Names of all ports but one."""
        return {port.name for port in self.ports} - {sender.name}

    def teach(self, port: Port, address: bytes) -> None:
        """A port sends a broadcast from an address."""
        self.send(port, self.frame(BROADCAST, address))

    def until(self, wanted: Callable[[], bool], limit_s: float) -> float | None:
        """Seconds until something holds, 0 if at the first try; None if not within the limit."""
        began_s = time.monotonic()
        if wanted():
            return 0.0
        while time.monotonic() - began_s <= limit_s:
            if wanted():
                return time.monotonic() - began_s
        return None

    def _shown(self, names: set[str], sender: Port) -> str:
        if names == self.others(sender):
            return f"all {len(names)} other ports"
        return "no port" if not names else ", ".join(sorted(names))

    @property
    def learns(self) -> bool:
        return self.seen_kind == "learning"

    # Who receives

    def kind(self) -> Iterator[Finding]:
        sender, owner, *rest = self.ports
        everybody = self.others(sender)
        unknown = self.reached(sender, self.unused())
        own = self.reached(sender, owner.mac)
        station = self.unused()
        place = rest[-1] if rest else owner
        self.teach(place, station)

        def known() -> bool:
            return self.reached(sender, station) == {place.name}

        lag_s = self.lag_s = self.until(known, self.patience_s) if rest else None
        evidence = (
            f"an unused address reached {self._shown(unknown, sender)}; the address of"
            f" {owner.name}, before a frame was sent from it, {self._shown(own, sender)}"
        )
        if lag_s is not None:
            self.seen_kind = "learning"
            evidence += f"; an address that {place.name} had sent from, {place.name} alone"
        elif rest:
            last = self.reached(sender, station)
            evidence += f"; one that {place.name} had sent from, {self._shown(last, sender)}"
        # Whether frames come back to their sender is a finding of its own.
        if not rest and everybody <= unknown & own:
            self.seen_kind = "wire"
        elif lag_s is None and everybody <= unknown & own:
            self.seen_kind = "repeater"
        elif lag_s is None and unknown <= {sender.name} and own - unknown == {owner.name}:
            self.seen_kind = "directory"
        declared = kind_of(self.lan.traits)
        wrong = self.seen_kind != declared
        properties = {} if self.seen_kind == UNCLEAR else {"kind": self.seen_kind}
        yield Finding("kind", self.seen_kind, evidence, declared, wrong, properties)
        if lag_s is not None:
            allowed_s = LAGS * self.lan.traits.lag_s
            declares = f"{self.lan.traits.lag_s:g} s"
            evidence = "from the first frame of an address until it was known"
            lag = {"lag_s": _up(lag_s)} if lag_s else {}
            yield Finding("lag", _time(lag_s), evidence, declares, lag_s > allowed_s, lag)

    def unknown(self) -> Iterator[Finding]:
        if not self.learns:
            return
        sender = self.ports[0]
        reached = [self.reached(sender, self.unused()) for _ in range(5)]
        flooded = all(names == self.others(sender) for names in reached)
        dropped = not any(reached)
        observed = "flooded" if flooded else "dropped" if dropped else "partly"
        fewest = min(reached, key=len)
        evidence = (
            f"of 5 unused addresses, the one with fewest reached {self._shown(fewest, sender)}"
        )
        declared = self.lan.traits.unknown
        known = {} if observed == "partly" else {"unknown": observed}
        yield Finding("unknown", observed, evidence, declared, observed != declared, known)

    def hairpin(self) -> Iterator[Finding]:
        sender = self.ports[0]
        self.teach(sender, sender.mac)
        back = sender.name in self.reached(sender, sender.mac)
        broadcast = sender.name in self.reached(sender, BROADCAST)
        evidence = f"its own address came back to {sender.name}: {_yes(back)}"
        evidence += f"; a broadcast: {_yes(broadcast)}"
        declared = self.lan.traits.hairpin
        wrong = back is not declared or broadcast
        known = {"hairpin": back}
        yield Finding("hairpin", _yes(back or broadcast), evidence, _yes(declared), wrong, known)

    def promiscuous(self) -> Iterator[Finding]:
        if len(self.ports) < 3:
            return
        sender, owner, *_, watcher = self.ports
        self.teach(owner, owner.mac)
        before = watcher.name in self.reached(sender, owner.mac)
        watcher.set_promiscuous(True)
        try:
            during = watcher.name in self.reached(sender, owner.mac)
        finally:
            watcher.set_promiscuous(False)
        after = watcher.name in self.reached(sender, owner.mac)
        observed = "all" if during else "reached"
        evidence = (
            f"frames for {owner.name} reached {watcher.name} before: {_yes(before)}, while it was"
            f" promiscuous: {_yes(during)}, after: {_yes(after)}"
        )
        declared = self.lan.traits.promiscuous
        wrong = declared not in (None, observed) or before is not after
        known = {"promiscuous": observed}
        yield Finding("promiscuous", observed, evidence, declared or "", wrong, known)

    def reserved(self) -> Iterator[Finding]:
        sender = self.ports[0]
        crossed = [last for last in range(16) if self.reached(sender, RESERVED + bytes((last,)))]
        # A bridge without spanning tree may forward its group, the first.
        telling = [last for last in crossed if last]
        observed = "forwarded" if len(telling) == 15 else "partly" if telling else "filtered"
        shown = " ".join(f"{last:x}" for last in crossed) or "none"
        evidence = f"of 01:80:c2:00:00:00 to 0f these were forwarded: {shown}"
        declared = self.lan.traits.reserved
        wrong = declared not in (None, observed)
        known = {} if observed == "partly" else {"reserved": observed}
        yield Finding("reserved", observed, evidence, declared or "", wrong, known)

    # What is learned

    def learns_zero(self) -> Iterator[Finding]:
        if not self.learns:
            return
        sender, *_, place = self.ports
        self.teach(place, NO_ADDRESS)
        limit_s = self.patience_s if self.lag_s else 0.0
        alone = self.until(lambda: self.reached(sender, NO_ADDRESS) == {place.name}, limit_s)
        observed = _yes(alone is not None)
        reached = self._shown(self.reached(sender, NO_ADDRESS), sender)
        evidence = f"after {place.name} sent from 00:00:00:00:00:00, frames to it reach {reached}"
        declared = self.lan.traits.learns_zero
        shown = "" if declared is None else _yes(declared)
        known = {"learns_zero": alone is not None}
        yield Finding("learns zero", observed, evidence, shown, shown not in ("", observed), known)

    def moves(self) -> Iterator[Finding]:
        if not self.learns or len(self.ports) < 3:
            return
        sender, first, second = self.ports[:3]
        station = self.unused()
        self.teach(first, station)
        self.until(lambda: self.reached(sender, station) == {first.name}, self.patience_s)

        def moved() -> bool:
            self.teach(second, station)
            return self.reached(sender, station) == {second.name}

        took_s = self.until(moved, 2 * self.patience_s + 0.5)
        declared_s = self.lan.traits.moves_s
        allowed_s = LAGS * self.lan.traits.lag_s + (declared_s + 1 if declared_s else 0)
        evidence = f"an address of {first.name} sent from {second.name} until it was known there"
        wrong = took_s is None or took_s > allowed_s
        known = {"moves_s": _up(took_s)} if took_s else {}
        yield Finding("moves", _time(took_s), evidence, f"{declared_s:g} s", wrong, known)

    def flushes(self) -> Iterator[Finding]:
        if not self.learns or len(self.ports) < 4:
            return
        sender, stays, leaves, other = self.ports
        remains, gone = self.unused(), self.unused()
        self.teach(stays, remains)
        self.teach(leaves, gone)
        self.until(lambda: self.reached(sender, gone) == {leaves.name}, self.patience_s)
        leaves.close()
        try:
            kept = self.reached(sender, remains) == {stays.name}
            flooded = other.name in self.reached(sender, gone)
        finally:
            leaves.open()
        self._collect()
        observed = "own" if kept else "all"
        evidence = (
            f"when {leaves.name} was down, an address of {stays.name} was still known:"
            f" {_yes(kept)}, one of {leaves.name} was flooded for: {_yes(flooded)}"
        )
        declared = self.lan.traits.flushes
        wrong = declared not in (None, observed)
        yield Finding("flushes", observed, evidence, declared or "", wrong, {"flushes": observed})

    # What becomes of the bytes

    def vlan(self) -> Iterator[Finding]:
        sender, owner, *_ = self.ports
        lost, changed = [], []
        for vlan in VLANS:
            frame = tagged(self.frame(BROADCAST, sender.mac, 100), vlan=vlan)
            seen = self.send(sender, frame)[owner.name]
            if not seen:
                lost.append(vlan)
            elif seen != [frame]:
                changed.append(vlan)
        observed = "changed" if changed else "aware" if lost else "transparent"
        evidence = f"of the VLANs {_list(VLANS)}, lost: {_list(lost)}; changed: {_list(changed)}"
        declared = self.lan.traits.vlan
        wrong = bool(changed) or (bool(lost) and declared == "transparent")
        known = {} if observed == "changed" else {"vlan": observed}
        yield Finding("vlan", observed, evidence, declared, wrong, known)

    def ordered(self) -> Iterator[Finding]:
        sender, owner, *_ = self.ports
        count = min(self.lan.traits.burst, MOST_IN_BURST)
        lost = swapped = 0
        for burst in range(BURSTS):
            size = [60 + 131 * (number + burst) % 1400 for number in range(max(2, count - burst))]
            frames = [
                self.frame((owner.mac, BROADCAST)[number % 5 == 4], sender.mac, bytes_)
                for number, bytes_ in enumerate(size)
            ]
            seen = self.send(sender, *frames)[owner.name]
            places = [frames.index(frame) for frame in seen if frame in frames]
            lost += len(set(range(len(frames))) - set(places))
            swapped += places != sorted(places)
        observed = "no" if swapped else "yes"
        evidence = (
            f"{BURSTS} bursts of up to {count} frames: {swapped} out of order, {lost} frames lost"
        )
        declared = self.lan.traits.ordered
        wrong = (declared and bool(swapped)) or bool(lost)
        known = {"ordered": False, "wait_s": _UNORDERED_WAIT_S} if swapped else {}
        yield Finding("ordered", observed, evidence, _yes(declared), wrong, known)

    def short(self) -> Iterator[Finding]:
        sender, owner, *_ = self.ports
        lengths: dict[int, set[int]] = {}
        dirty = False
        for size in range(1, SHORTEST_PADDED + 1):
            self.send(sender, self.frame(BROADCAST, sender.mac, 200))
            frame = self.frame(BROADCAST, sender.mac, size)
            seen = self.send(sender, frame)[owner.name]
            dirty |= any(got[:size] != frame or any(got[size:]) for got in seen)
            lengths[size] = {len(got) for got in seen}
        arrived = [size for size, got in lengths.items() if got]
        gap = max((size for size, got in lengths.items() if not got), default=0)
        padded = [size for size in arrived if lengths[size] != {size}]
        whole = [size for size in arrived if lengths[size] == {size}]
        declared = self.lan.traits.shortest
        shown = _list([size for size in arrived if size < gap])
        yield Finding(
            "shortest",
            f"{gap + 1} bytes",
            f"all from {gap + 1} to {SHORTEST_PADDED} bytes arrived; of the shorter ones: {shown}",
            f"{declared} bytes",
            gap + 1 > max(declared, HEADER),
            {"shortest": gap + 1},
        )
        to_sixty = all(lengths[size] == {SHORTEST_PADDED} for size in padded)
        observed = "other" if dirty or not to_sixty else "60 bytes" if padded else "none"
        evidence = f"{len(padded)} of {len(arrived)} short frames arrived longer"
        evidence += "; not all bytes behind were zero" if dirty else ""
        given = self.lan.traits.padding
        expected = {None: "", 0: "none"}.get(given, f"{given} bytes")
        mixed = bool(padded) and any(HEADER <= size < SHORTEST_PADDED for size in whole)
        wrong = observed == "other" or expected not in ("", observed) or mixed
        length = SHORTEST_PADDED if padded else 0
        known = {} if observed == "other" or mixed else {"padding": length}
        yield Finding("padding", observed, evidence, expected, wrong, known)

    def long(self) -> Iterator[Finding]:
        traits = self.lan.traits
        near = (traits.longest - 1, traits.longest, traits.longest + 1)
        sizes = sorted({*LENGTHS, *MORE_LENGTHS, *(size for size in near if size <= LARGEST)})
        became: dict[int, str] = {}
        for size in sizes:
            became[size] = self._became(size)
            if became[size] != "whole" and not self._alive():
                evidence = f"after a frame of {size} bytes a broadcast reached no port"
                yield Finding("longest", UNCLEAR, evidence, f"{traits.longest} bytes", wrong=True)
                return
        whole = [size for size in sizes if became[size] == "whole"]
        least_lost = min((size for size in sizes if became[size] != "whole"), default=LARGEST + 1)
        longest = max((size for size in whole if size < least_lost), default=0)
        while least_lost - longest > 1 and longest:
            middle = (longest + least_lost) // 2
            became[middle] = self._became(middle)
            if became[middle] == "whole":
                longest = middle
            else:
                least_lost = middle
        beyond = {size: what for size, what in became.items() if size > longest}
        later = sorted(size for size, what in beyond.items() if what == "whole")
        cuts = traits.oversized == "cut"
        most = min(traits.longest, LONGEST if cuts else LARGEST)
        above = longest > traits.longest and traits.oversized != "delivered"
        wrong = longest < most or above or bool(later)
        evidence = "every length tried up to it arrived whole"
        if least_lost <= LARGEST:
            evidence += f", {least_lost} {beyond[least_lost]}"
        if later:
            evidence += f"; {_list(later)} whole again"
        yield Finding(
            "longest",
            f"{longest} bytes",
            evidence,
            f"{traits.longest} bytes",
            wrong,
            {"longest": longest} if longest else {},
        )
        fates = sorted(set(beyond.values()))
        if not fates:
            return
        observed = {"refused": "dropped", "whole": "delivered"}.get(fates[0], fates[0].split()[0])
        if len({fate.split()[0] for fate in fates} - {"refused"}) > 1:
            observed = "mixed"
        evidence = ", ".join(f"{size} {what}" for size, what in sorted(beyond.items())[:3])
        wrong = observed not in (
            traits.oversized,
            "dropped" if traits.oversized != "cut" else "cut",
        )
        known = {} if observed in ("mixed", "changed") else {"oversized": observed}
        yield Finding("oversized", observed, evidence, traits.oversized, wrong, known)

    def _became(self, size: int) -> str:
        """What became of a broadcast of that size at the second port."""
        sender, owner, *_ = self.ports
        frame = self.frame(BROADCAST, sender.mac, size)
        try:
            sender.send(frame)
        except FrameRefused:
            return "refused"
        seen = self._collect()[owner.name]
        if not seen:
            return "dropped"
        if seen == [frame]:
            return "whole"
        if len(seen) == 1 and frame.startswith(seen[0]):
            return f"cut to {len(seen[0])}"
        return "changed"

    def _alive(self) -> bool:
        return bool(self.reached(self.ports[0], BROADCAST))


def _up(seconds: float) -> float:
    """Half as much again, in hundredths: a measured time is no limit."""
    return math.ceil(150 * seconds) / 100


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    return f"{seconds:.1f} s" if seconds else "at once"


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"
