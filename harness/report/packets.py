"""The packets of a test in the report: what each is, and all of it for those that matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness import frames
from harness.evidence import comments
from harness.evidence.reader import Packet
from harness.evidence.results import Difference
from harness.report.hexdump import differing, dump

MOST_ROWS = 40
"""Packets that are listed."""

MOST_WHOLE = 8
"""Of them those with their fields and bytes, besides those that are wrong."""

MOST_WRONG = 6

LONGEST_DUMP = 9_216
"""Bytes of a wrong packet that are printed; LONGEST_OTHER of another one."""

LONGEST_OTHER = 1_600


@dataclass(frozen=True, slots=True)
class Row:
    """A packet; ``tree`` and ``dump`` are empty where only its line is shown."""

    number: int
    time: str
    port: str
    direction: str
    length: int
    reading: str
    happened: str
    wrong: str
    tree: str
    dump: Markup
    expected: Markup
    expected_length: int


def rows(
    packets: Sequence[Packet], differences: Sequence[Difference], first: int, *, whole: bool
) -> list[Row]:
    """Packets from ``first`` on; with fields and bytes if ``whole``."""
    # What results say is not trusted: a packet may be missing from the capture.
    wrong = {one.packet: one for one in reversed(differences) if 0 < one.packet <= len(packets)}
    shown = packets[first - 1 : first - 1 + MOST_ROWS]
    inside = {packet.number for packet in shown}
    shown = [*shown, *(packets[number - 1] for number in sorted(wrong) if number not in inside)]
    full = {packet.number for packet in shown[:MOST_WHOLE]} | set(sorted(wrong)[:MOST_WRONG])
    start = packets[0].time if packets else 0
    return [
        _row(
            packet, start, packets, wrong.get(packet.number), whole=whole and packet.number in full
        )
        for packet in shown[: MOST_ROWS + MOST_WRONG]
    ]


def _row(
    packet: Packet, start: int, packets: Sequence[Packet], wrong: Difference | None, *, whole: bool
) -> Row:
    summaries = filter(None, map(comments.summary, packet.fates))
    notes = [note for note in packet.notes if not note.startswith(comments.WRONG)]
    said = next((note for note in packet.notes if note.startswith(comments.WRONG)), "")
    tree, bytes_of, expected, length = "", Markup(), Markup(), 0
    if whole:
        tree = frames.field_tree(packet.frame)
        marked: set[int] = set()
        most = LONGEST_DUMP if wrong else LONGEST_OTHER
        if wrong and 0 < wrong.sent <= len(packets) and wrong.sent != packet.number:
            sent = packets[wrong.sent - 1].frame
            marked = differing(packet.frame, sent)
            if sent != packet.frame:
                expected, length = dump(sent, differing(sent, packet.frame), most), len(sent)
        bytes_of = dump(packet.frame, marked, most)
    return Row(
        packet.number,
        f"{(packet.time - start) / 1e6:.3f} ms",
        packet.port,
        packet.direction,
        len(packet.frame),
        frames.describe(packet.frame) if whole else frames.cast(packet.frame),
        "; ".join([*summaries, *notes]),
        said.removeprefix(comments.WRONG),
        tree,
        bytes_of,
        expected,
        length,
    )
