"""One failure as a bug report in Markdown: to paste into an issue of the LAN's project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.evidence.reader import Packet
from harness.evidence.results import Difference, Result, Run
from harness.evidence.text import visible
from harness.rules import Rule

MOST_DIFFERENCES = 8
MOST_FRAMES = 3
LONGEST = 256
"""Bytes of a frame in hex; the capture has all of them."""


def markdown(
    result: Result,
    run: Run,
    rules: Sequence[Rule],
    compared: Sequence[tuple[str, str, str, bool]],
    packets: Sequence[Packet],
    command: str,
) -> str:
    """``compared`` has port, expected, received and whether they differ, for each port."""
    return "\n".join(_lines(result, run, rules, compared, packets, command)) + "\n"


def _lines(
    result: Result,
    run: Run,
    rules: Sequence[Rule],
    compared: Sequence[tuple[str, str, str, bool]],
    packets: Sequence[Packet],
    command: str,
) -> Iterator[str]:
    lan = result.lan or ""
    yield f"### {_plain(lan)}: {_plain(result.reason)}"
    yield ""
    for rule in rules:
        yield f"- Rule {rule.id}: {_plain(rule.text)} [{_plain(rule.source)}]"
    version = result.version or run.lans.get(lan, "")
    yield f"- LAN: {_plain(run.specs.get(lan, lan))}{f' ({_plain(version)})' if version else ''}"
    yield f"- lguest-harness {_plain(run.harness)}, {_plain(run.machine)}, {_plain(run.started)}"
    yield f"- Run it again: {_code(command)}"
    yield ""
    if compared:
        yield "| port | expected | received | |"
        yield "|---|---|---|---|"
        for port, expected, received, differs in compared:
            cells = map(_plain, (port, expected, received))
            yield f"| {' | '.join(cells)} | {'**differs**' if differs else ''} |"
        yield ""
    for difference in result.differences[:MOST_DIFFERENCES]:
        yield f"- {_plain(str(difference))}"
    more = len(result.differences) - MOST_DIFFERENCES
    yield from [f"- and {more} more", ""] if more > 0 else [""]
    yield from _hex(result.differences, packets)
    if lan in run.lan_files:
        yield "The LAN file:"
        yield ""
        yield from (f"    {visible(line.expandtabs())}" for line in run.lan_files[lan].splitlines())


def _hex(differences: Sequence[Difference], packets: Sequence[Packet]) -> Iterator[str]:
    for difference in differences[:MOST_FRAMES]:
        shown = {"sent": difference.sent, "received": difference.packet}
        if difference.kind == "missing":
            shown.pop("received")
        yield from _frames(shown, packets)


def _frames(numbers: Mapping[str, int], packets: Sequence[Packet]) -> Iterator[str]:
    for way, number in numbers.items():
        if 0 < number <= len(packets):
            packet = packets[number - 1]
            size = len(packet.frame)
            cut = f", the first {LONGEST}" if size > LONGEST else ""
            yield f"{way} by {_plain(packet.port)}, packet {number}, {size} bytes{cut}:"
            yield ""
            for start in range(0, min(len(packet.frame), LONGEST), 16):
                yield f"    {start:04x}  {packet.frame[start : min(start + 16, LONGEST)].hex(' ')}"
            yield ""


def _plain(text: str) -> str:
    """Text that Markdown shows literally, in one line."""
    one_line = " ".join(text.split())
    return "".join(f"\\{letter}" if letter in r"\`*_[]<>|#~" else letter for letter in one_line)


def _code(text: str) -> str:
    one_line = " ".join(text.split())
    return f"`` {one_line} ``" if "`" in one_line else f"`{one_line}`"
