"""Plays recordings of the original driver against the simulated LAN, step by step.

A scenario is one line of JSON; ``fixtures/recorded/README.md`` is its format. The
player drives the ``lguest`` variant through the same steps and compares results,
events, pending interrupts and counters after each, and the page at the end.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from harness.evidence.files import LARGEST, opened
from harness.lguest import dma
from harness.lguest.dma import PAGE_SIZE
from harness.lguest.driver import Counters, NetDevice
from harness.lguest.events import Fault, Killed, Message, Point, Received
from harness.lguest.host import Host
from harness.lguest.launcher import Launcher
from harness.lguest.memory import DevicePages, LguestError, Owner

GUEST_PAGES = 400
"""Pages that a recorded Guest owns; its device pages lie right above them."""

SEND_DMA_AT = 59 * PAGE_SIZE + 3072
"""Where the player puts the structure of a hand-written SEND_DMA: below the scratch pages."""


MOST_PAYLOAD = 1 << 20
"""Bytes of payload in one step: more than a Guest could send."""


class BadRecording(Exception):
    """A line that is not a scenario; the message says why."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One field of one step on which the simulated LAN and the original differ."""

    scenario: str
    step: str
    field: str
    expected: object
    got: object

    def __str__(self) -> str:
        return (
            f"{self.scenario}: {self.step}: {self.field}:"
            f" expected {_short(self.expected)}, got {_short(self.got)}"
        )


def _short(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def scenarios(
    path: Path, most: int = LARGEST
) -> Iterator[tuple[int, dict[str, Any] | BadRecording]]:
    """The scenarios of a file with their line numbers; for a bad line, its error.

    For a file without any scenario only the first line's error is given. BadFile for one that
    is not a regular file, or has more than ``most`` bytes.
    """
    bad: list[tuple[int, BadRecording]] = []
    good = False
    with opened(path, most) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield number, _scenario(line)
            except BadRecording as error:
                bad.append((number, error))
            else:
                good = True
            if good:
                yield from bad
                bad.clear()
    if bad:
        (number, first), *others = bad
        more = f", and {len(others)} lines more: no recording" if others else ""
        yield number, BadRecording(f"{first}{more}")


def _scenario(line: bytes) -> dict[str, Any]:
    try:
        scenario = json.loads(line)
    except ValueError as error:
        raise BadRecording(f"not JSON: {error}") from None
    except RecursionError:
        raise BadRecording("not JSON: nested too deeply") from None
    if not isinstance(scenario, dict):
        raise BadRecording("not a JSON object")
    return scenario


def payload(seed: int, length: int, start: int = 0) -> bytes:
    """Recorded payload bytes ``start`` to ``start + length`` for a seed."""
    if length > MOST_PAYLOAD:
        raise ValueError(f"{length} bytes of payload, more than {MOST_PAYLOAD}")
    return bytes((seed + 7 * k + (k >> 8)) & 0xFF for k in range(start, start + length))


def play(scenario: dict[str, Any] | BadRecording) -> list[Disagreement]:
    """Play one scenario; every field that differs from what was recorded.

    Raises BadRecording for a scenario that cannot be played as written.
    """
    if isinstance(scenario, BadRecording):
        raise scenario
    try:
        player = _Player(scenario)
        try:
            return list(player.run())
        finally:
            player.host.close()
    except KeyError as error:
        raise BadRecording(f"field {error} is missing") from None
    except (TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise BadRecording(f"cannot be played: {error}") from None
    except (LguestError, OSError, MemoryError) as error:
        raise BadRecording(f"cannot be played: {error or 'not enough memory'}") from None


class _Player:
    """A LAN made for one scenario, and the operations on it."""

    def __init__(self, scenario: dict[str, Any]) -> None:
        self.name = str(scenario["name"])
        self.steps = scenario["steps"]
        self.final_page = scenario["final_page"]
        self.host = Host()
        self.pages = DevicePages(int(scenario["pages"]))
        self.devices: dict[int, NetDevice] = {}
        for guest in scenario["guests"]:
            launcher = Launcher(self.host, guest["id"], GUEST_PAGES - 1)
            self.devices[guest["id"]] = launcher.join(
                self.pages,
                guest["slot"],
                nocsum=guest.get("nocsum", False),
                randomness=guest.get("randomness", False),
                rx_offset=guest["rx_offset"],
            )

    def run(self) -> Iterator[Disagreement]:
        for number, step in enumerate(self.steps):
            where = f"step {number} ({step['op']})"
            before = {guest: astuple(device.counters) for guest, device in self.devices.items()}
            self.host.events.clear()
            result = self.act(step)
            got = self.outcome(result, before)
            expected = {"events": [], "stats": {}, **step["expect"]}
            for field in sorted({*expected, *got}):
                if expected.get(field) != got.get(field):
                    yield Disagreement(self.name, where, field, expected.get(field), got.get(field))
        page = self.page()
        if page != self.final_page:
            yield Disagreement(self.name, "end", "final_page", self.final_page, page)

    def device(self, guest: int) -> NetDevice:
        try:
            return self.devices[guest]
        except (KeyError, TypeError):
            raise BadRecording(f"there is no Guest {guest!r}") from None

    def act(self, step: dict[str, Any]) -> object:
        action = _ACTIONS.get(step["op"])
        if action is None:
            raise BadRecording(f"unknown operation {step['op']!r}")
        return action(self, step)

    def outcome(self, result: object, before: dict[int, tuple[int, ...]]) -> dict[str, Any]:
        """What the step did, in the format of the recordings."""
        events = [seen for event in self.host.events if (seen := _recorded(event)) is not None]
        stats = {}
        for guest, device in self.devices.items():
            moved = {
                field.name: now - then
                for field, now, then in zip(
                    fields(Counters), astuple(device.counters), before[guest], strict=True
                )
                if now != then
            }
            if moved:
                stats[str(guest)] = moved
        pending = [guest for guest, device in self.devices.items() if device.guest.pending]
        got: dict[str, Any] = {"events": events, "pending": pending, "stats": stats}
        if result is not None:
            got["result"] = result
        return got

    def page(self) -> dict[str, str]:
        published = ((slot, self.pages.published(slot)) for slot in range(self.pages.slots))
        return {str(slot): address.hex(":") for slot, address in published if any(address)}

    # The operations

    def open(self, step: dict[str, Any]) -> object:
        return self.device(step["guest"]).open()

    def open_all(self, _: dict[str, Any]) -> None:
        for device in self.devices.values():
            device.open()

    def close(self, step: dict[str, Any]) -> None:
        self.device(step["guest"]).close()

    def flags(self, step: dict[str, Any]) -> None:
        self.device(step["guest"]).set_flags(
            promiscuous=bool(step["promisc"]),
            all_multicast=bool(step["allmulti"]),
            multicast_count=step["mc_count"],
        )

    def transmit(self, step: dict[str, Any]) -> None:
        header = bytes.fromhex(step["header"])
        length = step["length"]
        frame = (header + payload(step["payload_seed"], max(0, length - len(header))))[:length]
        fragments = [(size, offset) for size, offset in step.get("frags", [])]
        self.device(step["guest"]).transmit(
            frame, step.get("linear"), step.get("linear_offset", 0), fragments
        )

    def irq(self, step: dict[str, Any]) -> object:
        device = self.device(step["guest"])
        device.guest.alive()
        device.guest.pending &= ~(1 << device.interrupt)
        return "handled" if device.receive() else "none"

    def send_dma(self, step: dict[str, Any]) -> object:
        device = self.device(step["guest"])
        return self.send_by_hand(device, device.peer_key(step["to_slot"]), step)

    def send_dma_key(self, step: dict[str, Any]) -> object:
        device = self.device(step["guest"])
        return self.send_by_hand(device, device.page + step["key_offset"], step)

    def send_by_hand(self, device: NetDevice, key: int, step: dict[str, Any]) -> object:
        memory = device.guest.memory
        done = 0
        for address, length in step["sections"]:
            if address >= 0 and address + length <= memory.private_size:
                memory.write(address, payload(step["payload_seed"], length, done))
            done += length
        memory.write(SEND_DMA_AT + 4, dma.pack(step["sections"]))
        return device.guest.send_dma(key, SEND_DMA_AT)

    def set_buffer(self, step: dict[str, Any]) -> None:
        device = self.device(step["guest"])
        device.guest.alive()
        at = device.ring + step["buffer"] * dma.SIZE
        device.guest.memory.write(at + 4, dma.pack(step["sections"]))

    def no_memory(self, step: dict[str, Any]) -> None:
        after = step["after"]
        self.device(step["guest"]).guest.memory_left = None if after < 0 else after

    def publish(self, step: dict[str, Any]) -> None:
        self.pages.publish(step["slot"], bytes.fromhex(step["mac"]))

    def restock_on_retry(self, _: dict[str, Any]) -> None:
        def restock(point: Point, sender: Owner) -> None:
            if point is not Point.RESTOCK:
                return
            for _, device in sorted(self.devices.items()):
                guest = device.guest
                if guest is not sender and not guest.dead and device.is_open and guest.pending:
                    guest.interrupt()

        self.host.interleave = restock


_ACTIONS: dict[str, Callable[[_Player, dict[str, Any]], object]] = {
    "open": _Player.open,
    "open_all": _Player.open_all,
    "close": _Player.close,
    "flags": _Player.flags,
    "transmit": _Player.transmit,
    "irq": _Player.irq,
    "send_dma": _Player.send_dma,
    "send_dma_key": _Player.send_dma_key,
    "set_buffer": _Player.set_buffer,
    "no_memory": _Player.no_memory,
    "publish": _Player.publish,
    "restock_on_retry": _Player.restock_on_retry,
}


def _recorded(event: object) -> dict[str, Any] | None:
    """An event in the format of the recordings; None for one that they do not hold."""
    match event:
        case Received():
            return {
                "event": "receive",
                "guest": event.guest,
                "length": len(event.frame),
                "protocol": f"{event.protocol:04x}",
                "pkt_type": event.packet_type,
                "checksum_unnecessary": event.checksum_unnecessary,
                "sha256": hashlib.sha256(event.frame).hexdigest(),
            }
        case Message():
            return {"event": "message", "guest": event.guest, "text": event.text}
        case Killed():
            return {"event": "kill", "guest": event.guest}
        case Fault():
            return {"event": "fault", "guest": event.guest, "text": event.text}
    return None
