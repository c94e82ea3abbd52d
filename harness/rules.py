"""The rules of a LAN: what the suite checks, one line each, with its source.

Ids are permanent: a rule is never renumbered, and an id never used again. ``source``
names the original's own section marks (D:570) or files; ``scope`` says whether the
rule holds for any LAN or describes lguest's inside; ``view`` whether it is about what
reached the port (wire) or what a host's card would pass up (host).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from harness.lan import LanError

Scope = Literal["any", "lguest", "repeater", "learning", "directory"]
View = Literal["wire", "host"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: a statement about a LAN that tests check.

    - ``id``: permanent: never given to another rule
    - ``text``: the statement, in a line
    - ``source``: where it comes from
    - ``scope``: whether it holds for any LAN, or describes lguest's inside
    - ``view``: whether it is about what reached the port (wire), or about what a host's card
      would pass up (host)

    >>> RULES["DLV-2"].view
    'host'
    """

    id: str
    text: str
    source: str
    scope: Scope = "lguest"
    view: View = "wire"


_TABLE = (
    # A. Publishing an address
    Rule("PUB-1", "A slot is unused if and only if its first byte is 0.", "D:570 unused_peer"),
    Rule("PUB-2", "Opening puts 02:00, the Guest id, 00:00 into the own slot alone.", "D:550"),
    Rule("PUB-3", "The lowest bit of the first published byte asks for every frame.", "D:570"),
    Rule(
        "PUB-4",
        "The bit is set exactly while promiscuous, all-multicast or a member of a group; it is"
        " recomputed at opening, and never on a closed device.",
        "D:570 set_multicast",
    ),
    Rule("PUB-5", "Closing zeroes the slot's six bytes, then unbinds the buffers.", "D:550"),
    Rule(
        "PUB-6",
        "A Guest that dies leaves its address; the slot's next owner overwrites it.",
        "D:550",
    ),
    # B. Who receives
    Rule(
        "DLV-1",
        "A match compares all six bytes, the peer's promiscuous bit cleared.",
        "D:570 mac_eq",
        "any",
        "host",
    ),
    Rule(
        "DLV-2",
        "A unicast reaches every peer that publishes that address, once each.",
        "D:570",
        "any",
        "host",
    ),
    Rule(
        "DLV-3",
        "A group destination reaches every other used slot, joined or not.",
        "D:570",
        "any",
        "host",
    ),
    Rule(
        "DLV-4",
        "A promiscuous peer receives every frame of every other peer, once.",
        "D:570 promisc",
        "any",
        "host",
    ),
    Rule("DLV-5", "A frame never comes back to its sender.", "D:570", "any", "host"),
    Rule("DLV-6", "An unused slot never receives.", "D:570 unused_peer", "any", "host"),
    Rule(
        "DLV-7",
        "An address that nobody publishes reaches nobody else; the send succeeds.",
        "D:570",
        "any",
        "host",
    ),
    Rule(
        "DLV-8",
        "Another device of the sending Guest does not receive: a failed transfer.",
        "io.c send_dma",
    ),
    Rule(
        "DLV-9",
        "The bytes that arrive are the bytes that were sent, header included.",
        "D:570, io.c copy_data",
        "any",
        "host",
    ),
    Rule("DLV-10", "The destination is the first six linear bytes, whatever the length.", "D:570"),
    Rule(
        "DLV-11",
        "Frames of one sender to one receiver arrive in sending order.",
        "expected of any LAN",
        "any",
        "host",
    ),
    # C. Packing a frame into sections
    Rule(
        "SEC-1",
        "The linear part is cut at pages, then comes one section per fragment.",
        "D:570 skb_to_dma",
    ),
    Rule(
        "SEC-2", "Fewer than 16 sections end in a zero length; 16 need no end.", "D:570 skb_to_dma"
    ),
    Rule(
        "SEC-3",
        'From the 17th section on fragments are left out: "Woah dude!  Megapacket!".',
        "D:570 skb_to_dma",
    ),
    Rule("SEC-4", "A linear part of more than 16 sections is refused.", "D:570 skb_to_dma"),
    Rule(
        "SEC-5",
        "A receive buffer is 1,514 bytes in one section, or two across a page.",
        "D:560 fill_slot",
    ),
    # D. The Host's copy
    Rule(
        "DMA-1",
        "BIND_DMA binds an array or unbinds one that is bound; interrupt 32 or a 33rd array fails.",
        "io.c bind_dma",
    ),
    Rule(
        "DMA-2",
        "SEND_DMA fills the first free buffer from the cursor on, of the array bound last.",
        "io.c dma_transfer",
    ),
    Rule(
        "DMA-3",
        "The copy ends when either side is exhausted; 0 bytes is a failure.",
        "io.c copy_data",
    ),
    Rule(
        "DMA-4", "A bad section list kills its owner and hurts nobody else.", "io.c check_dma_list"
    ),
    Rule("DMA-5", "No free buffer: an interrupt, and one more try.", "io.c send_dma"),
    Rule(
        "DMA-6", "An empty SEND_DMA succeeds, moves the cursor and interrupts.", "io.c dma_transfer"
    ),
    Rule("DMA-7", "A bad key kills the Guest that named it.", "io.c get_futex_key"),
    Rule(
        "DMA-8", "The Host copies frames too short for a header; only the receiver checks.", "io.c"
    ),
    Rule(
        "DMA-9",
        "A killed Guest makes no hypercall; its buffers stay bound until its Launcher ends.",
        "io.c release_all_dma",
    ),
    Rule("DMA-10", "No Guest reaches another's memory beyond bound buffers and used_len.", "io.c"),
    # E. Receiving
    Rule(
        "RCV-1",
        "Filled buffers are taken in slot order, replaced, and only then judged.",
        "D:560 lguestnet_rcv",
    ),
    Rule(
        "RCV-2",
        "A fresh buffer's list is written before its used_len becomes 0.",
        "D:560 fill_slot",
    ),
    Rule("RCV-3", "Protocol and packet type are read from the header.", "D:560 eth_type_trans"),
    Rule(
        "RCV-4", "With NOCSUM frames need no checksum; scatter-gather only with it.", "D:510, D:560"
    ),
    Rule(
        "RCV-5",
        "A refill that fails is logged; as shipped, the frame is still passed up.",
        "D:560 fill_slot",
    ),
    Rule(
        "LEN-1",
        "Lengths of 14 to 1,514 are passed up; others are dropped in silence.",
        "D:560",
        "any",
        "host",
    ),
    Rule("LEN-2", "A header alone, 14 bytes, is passed up.", "D:560", "any", "host"),
    Rule(
        "LEN-3",
        "A frame longer than the buffer arrives cut to 1,514 bytes.",
        "D:560, io.c copy_data",
    ),
    # F. Counters
    Rule(
        "CNT-1",
        "A whole transfer adds 1 to tx_packets and its length to tx_bytes, each.",
        "D:570 transfer_packet",
    ),
    Rule("CNT-2", "A frame that nobody wanted counts nothing.", "D:570"),
    Rule(
        "CNT-3",
        "Any other transfer adds 1 to tx_carrier_errors and nothing else.",
        "D:570 transfer_packet",
    ),
    Rule("CNT-4", "A frame passed up adds 1 to rx_packets, its payload to rx_bytes.", "D:560"),
    # G. Opening, closing, devices
    Rule(
        "LIF-1", "Opening publishes, fills eight buffers, binds; failing frees them: -12.", "D:550"
    ),
    Rule("LIF-2", "Frames sent between publishing and binding fail for that peer.", "D:550"),
    Rule("LIF-3", "Transmit always reports success.", "D:570"),
    Rule("DEV-1", "The peer number is features & (mapped size - 1).", "D:510"),
    Rule(
        "DEV-2",
        "A Launcher takes the first slot whose byte it can lock.",
        "lguest.c setup_net_file",
    ),
    Rule("DEV-3", "A device sets ACKNOWLEDGE, then DRIVER, then DRIVER_OK.", "lguest_bus.c"),
    Rule("DEV-4", "Eight or more device pages are refused.", "D:510"),
    # H. The Host network
    Rule(
        "HST-1",
        "The Guest is slot 1, the Launcher slot 0 and promiscuous.",
        "lguest.c setup_tun_net",
    ),
    Rule(
        "HST-2",
        "SEND_DMA on a private key goes to the Launcher, which checks the list and writes the TAP.",
        "lguest.c handle_tun_output",
    ),
    Rule(
        "HST-3",
        "A frame from the TAP fills the newest array's first free buffer; a bad list ends the"
        " Launcher.",
        "lguest.c handle_tun_input",
    ),
    Rule(
        "HST-4",
        "With all buffers full a frame from the TAP waits, and none is lost.",
        "io.c get_dma_buffer",
    ),
    # I. The wire: what the model of the LAN's kind says of every frame, in every test
    Rule("WIRE-1", "Every port that must receive a frame receives it.", "802.1Q 6.5.2", "any"),
    Rule(
        "WIRE-2",
        "No other port receives it, even where the host's card would hide that.",
        "802.1Q 8.6.3",
        "any",
    ),
    Rule("WIRE-3", "No frame returns to its sender.", "802.1Q 8.6.1", "any"),
    Rule("WIRE-4", "No frame arrives twice.", "802.1Q 6.5.4", "any"),
    Rule("WIRE-5", "Frames of one sender to one receiver keep their order.", "802.1Q 6.5.3", "any"),
    Rule(
        "WIRE-6", "A frame arrives with the bytes and the length that it had.", "802.1Q 6.5", "any"
    ),
    Rule("WIRE-7", "No frame of an earlier exchange arrives later.", "802.1Q 6.5.6", "any"),
    Rule("WIRE-8", "No frame arrives that no port sent.", "802.1Q 6.5", "any"),
    # J. Learning, as an IEEE 802.1Q bridge does it
    Rule(
        "LRN-1",
        "A unicast to an unknown address is flooded to all ports but the sender's.",
        "802.1Q 8.6.3",
        "learning",
    ),
    Rule(
        "LRN-2",
        "A unicast to a learned address leaves by the port where it was learned, alone.",
        "802.1Q 8.6.3",
        "learning",
    ),
    Rule(
        "LRN-3",
        "An address is learned from every frame: of any length, type, tag and destination.",
        "802.1Q 8.7",
        "learning",
    ),
    Rule(
        "LRN-4",
        "A station that sends from another port is known there at once, and there alone.",
        "802.1Q 8.7",
        "learning",
    ),
    Rule("LRN-5", "A group address is never learned.", "802.1Q 8.7", "learning"),
    Rule(
        "LRN-6",
        "The address 00:00:00:00:00:00 is never learned, unless declared.",
        "802.1Q 8.7",
        "learning",
    ),
    Rule(
        "LRN-7",
        "A unicast to an address behind the sender's own port goes nowhere.",
        "802.1Q 8.6.3",
        "learning",
    ),
    Rule(
        "LRN-8",
        "What was learned at a port that goes down is forgotten: frames for it flood again.",
        "802.1Q 8.8.3",
        "learning",
    ),
    Rule(
        "LRN-9",
        "Addresses taught back to back are all known, as many as the LAN declares; more of them"
        " are never misdelivered.",
        "RFC 2889 5.7, 5.8",
        "learning",
    ),
    Rule(
        "LRN-10",
        "An address that is silent for the ageing time is forgotten, and no other: frames for it"
        " flood again.",
        "802.1Q 8.8.3",
        "learning",
    ),
    # K. Integrity: what arrives is what was sent
    Rule(
        "INT-1",
        "A frame of every length from the shortest to the longest arrives whole.",
        "RFC 2544 9.1",
        "any",
        "host",
    ),
    Rule(
        "INT-2",
        "Tags arrive as they were sent: type, priority, drop bit, VLAN; one or two of them.",
        "802.1Q 9.6",
        "any",
        "host",
    ),
    Rule(
        "INT-3",
        "The type or length field is carried, whatever it says.",
        "802.3 3.2.6",
        "any",
        "host",
    ),
    Rule(
        "INT-4",
        "A short frame arrives as sent, or padded with zeros to 60 bytes; no old byte is in it.",
        "802.3 4.2.3.3, CVE-2003-0001",
        "any",
        "host",
    ),
    Rule(
        "INT-5",
        "A frame longer than declared is refused, dropped or cut as declared, and harms nothing"
        " that follows.",
        "802.3 3.2.7, RFC 2889 5.9",
        "any",
        "host",
    ),
    Rule(
        "INT-6",
        "Segments of a TCP flow are neither merged nor split nor changed.",
        "virtio 5.1.6.2",
        "any",
        "host",
    ),
    # L. Groups
    Rule(
        "GRP-1",
        "A frame to any group address reaches every other port.",
        "802.1Q 8.6.3",
        "any",
        "host",
    ),
    Rule(
        "GRP-2",
        "So does a long group frame, and a tagged one.",
        "802.1Q 8.6.3",
        "any",
        "host",
    ),
    Rule(
        "GRP-3",
        "A port that joined a group by its address receives the group's frames, however many it"
        " joined; a port that left, or never joined, receives them only as declared.",
        "802.1Q 8.8.4, virtio 5.1.6.5.2",
        "any",
    ),
    # M. Many ports
    Rule("MANY-1", "Every port reaches every other, by unicast.", "RFC 2889 5.1", "any", "host"),
    Rule("MANY-2", "A broadcast of every port reaches all others.", "RFC 2889 5.6", "any", "host"),
    # N. Load
    Rule(
        "LOAD-1",
        "A burst as large as the LAN declares arrives complete and in order.",
        "RFC 2544 26.4",
        "any",
        "host",
    ),
    Rule(
        "LOAD-2", "So do bursts from all ports at once, in both directions.", "RFC 2889 5.2", "any"
    ),
    Rule(
        "LOAD-3",
        "However many frames crossed, the next one does: no counter or ring wraps into a loss.",
        "virtio 2.7, RFC 2544 26.3",
        "any",
        "host",
    ),
    Rule(
        "LOAD-4",
        "More frames than the LAN can hold cost some of them and nothing else; then all works.",
        "RFC 2544 26.5",
        "any",
        "host",
    ),
    Rule(
        "LOAD-5",
        "A port that takes no frames stops no other port, and works when it takes frames again.",
        "RFC 2889 5.5",
        "any",
    ),
    # O. Ports that come and go
    Rule(
        "PORT-1",
        "A port that comes back gets nothing that was sent while it was away.",
        "RFC 2544 26.6",
        "any",
        "host",
    ),
    Rule(
        "PORT-2",
        "Ports that leave and return, in any order, each get their own frames.",
        "802.1Q 8.8.3",
        "any",
        "host",
    ),
    Rule(
        "PORT-3",
        "A port that is down sends nothing, and hurts nobody.",
        "RFC 2863",
        "any",
        "host",
    ),
    Rule(
        "PORT-4",
        "A hundred departures and returns of one port change nothing.",
        "RFC 2544 26.6",
        "any",
        "host",
    ),
    Rule(
        "PORT-5",
        "Nothing crosses a link that is down, and nothing of that time arrives later; then the"
        " port works as before.",
        "802.1Q 6.5, RFC 2863",
        "any",
    ),
    Rule(
        "PORT-6",
        "A port whose peer died without leaving hurts no other; a newcomer with the same address"
        " receives its own frames and none of before.",
        "802.1Q 8.8.3",
        "any",
    ),
    # P. Isolation
    Rule("ISO-1", "Two LANs never exchange a frame.", "802.1Q 6.5", "any", "host"),
    # Q. Counters of any LAN
    Rule(
        "CNT-5",
        "A port's counters grow by one with each frame that it sent or that was delivered to it,"
        " and never go back.",
        "RFC 2863 ifInUcastPkts, ifOutUcastPkts",
        "any",
    ),
    # R. Random programs
    Rule(
        "PRG-1",
        "Random programs: every frame of every step reaches the ports that the model of its kind"
        " names, and no other.",
        "802.1Q 6.5, 8.6",
        "any",
    ),
)

RULES: Mapping[str, Rule] = MappingProxyType({rule.id: rule for rule in _TABLE})
"""Every rule of the suite (`Rule`) by its id, in the order of the specification.

It cannot be changed; rules of your own go into a file (see writing-tests).

>>> RULES["LEN-2"].scope
'any'
>>> [rule_id for rule_id in RULES if rule_id.startswith("LEN")]
['LEN-1', 'LEN-2', 'LEN-3']
"""

_OWN_ID = re.compile(r"[A-Z][A-Z0-9]{0,15}-[0-9]{1,4}")
_OWN_KEYS = {"id": str, "text": str, "source": str, "scope": str, "view": str}
_CHOICES = {"scope": get_args(Scope), "view": get_args(View)}


def read_rules(path: Path) -> tuple[Rule, ...]:
    """Rules of a user's own from a TOML file; LanError, in one line, for a bad one.

    The file has an array ``rule`` of tables with ``id`` (capital letters, a hyphen, a number,
    not an id of ours), ``text`` and, if wanted, ``source``, ``scope`` and ``view``.
    """
    try:
        listed = tomllib.loads(path.read_text()).get("rule", [])
    except OSError as error:
        raise LanError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise LanError(f"{path}: {error}") from None
    if not isinstance(listed, list):
        raise LanError(f"{path}: `rule` should be an array of tables: [[rule]]")
    rules = [_own_rule(path, number, table) for number, table in enumerate(listed, start=1)]
    for rule in rules:
        if rule.id in RULES or rules.count(rule) > 1:
            raise LanError(f"{path}: rule id {rule.id} is taken")
    return tuple(rules)


def _own_rule(path: Path, number: int, table: Any) -> Rule:
    where = f"{path}: rule {number}"
    if not isinstance(table, dict):
        raise LanError(f"{where} should be a table")
    for key, value in table.items():
        if key not in _OWN_KEYS:
            raise LanError(f"{where}: unknown key {key!r}; known are {', '.join(_OWN_KEYS)}")
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise LanError(f"{where}: {key} should be one line of text")
        if value not in _CHOICES.get(key, (value,)):
            raise LanError(f"{where}: {key} should be one of {', '.join(_CHOICES[key])}")
    for key in ("id", "text"):
        if key not in table:
            raise LanError(f"{where}: {key} is missing")
    if not _OWN_ID.fullmatch(table["id"]):
        raise LanError(f"{where}: id {table['id']!r} should look like ACME-1")
    return Rule(**{"source": path.name, "scope": "any", **table})
