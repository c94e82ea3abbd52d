"""The contract between the harness and a LAN that is a program: version 1.

The harness writes a JSON object per line to the program's standard input, and the program
answers each with one on its standard output: an object of the schema of that message, or
``{"error": "what is wrong"}``. The harness's lines are ASCII, without spaces outside of
strings, their keys in the order of ``REQUESTS``. ``fixtures/lans/README.md`` tells it at
length, with two programs as templates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from harness.lan import Traits

VERSION = 1

Schema = Mapping[str, Any]
"""Key to type; a list of one type, or a schema again, for what is inside."""

REQUESTS: Mapping[str, Schema] = MappingProxyType(
    {
        "start": {"message": str, "contract": int, "directory": str},
        "feature": {"message": str, "feature": str},
        "port": {"message": str, "port": int, "mac": str},
        "promiscuous": {"message": str, "port": int, "on": bool},
        "close": {"message": str, "port": int},
        "open": {"message": str, "port": int},
        "stop": {"message": str},
    }
)
"""What the harness says, by message."""

ANSWERS: Mapping[str, Schema] = MappingProxyType(
    {
        "start": {
            "answer": str,
            "contract": int,
            "name": str,
            "version": str,
            "features": [str],
            "limits": {"shortest": int, "longest": int, "ports": int, "wait_ms": int},
        },
        "feature": {"answer": str, "has": bool},
        "port": {"answer": str, "socket": str},
        "promiscuous": {"answer": str},
        "close": {"answer": str},
        "open": {"answer": str},
        "stop": {"answer": str},
    }
)
"""What the program answers, by message."""

OPTIONAL = frozenset({"wait_ms"})
"""Keys that may be missing."""

FEATURES: Mapping[str, str] = MappingProxyType(
    {
        "filters-at-sender": "a port is sent only what is for it, by the address it was told",
        "learns": "it learns from sources where an address is, and sends there alone",
        "promiscuous": "it takes the message promiscuous, and then sends that port everything",
        "unordered": "frames may overtake each other, and come within limits.wait_ms",
    }
)
"""The words that a LAN can claim."""

MARKER = 60
"""Bytes in the harness's own frames: the limits must let them through."""

LONGEST = 262_144
LONGEST_WAIT_MS = 1000
PORTS = 8
_BUFFERED = 65_536
_NAMES = {str: "a string", int: "a whole number", bool: "true or false"}


class BadAnswer(Exception):
    """An answer that is not as the contract wants it, and why."""


class Refusal(Exception):
    """The program answered with an error of its own."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What a program says of itself."""

    name: str
    version: str
    features: frozenset[str]
    shortest: int
    longest: int
    ports: int
    wait_ms: int = 0

    def traits(self) -> Traits:
        """The same as the harness says it; nothing else is known of the LAN."""
        learns, ordered = "learns" in self.features, "unordered" not in self.features
        at_sender = "filters-at-sender" in self.features
        return Traits(
            filters="sender" if at_sender else "receiver" if learns else "nobody",
            learns=learns,
            ordered=ordered,
            shortest=self.shortest,
            longest=self.longest,
            oversized="dropped",
            # No more than sockets hold: a program may write to a port that nobody reads yet.
            burst=max(1, min(64, _BUFFERED // self.longest)),
            layouts=False,
            counters=False,
            settles="fence" if ordered else "wait",
            ports=min(self.ports, PORTS),
            wait_s=self.wait_ms / 1000,
        )


def request(message: str, **fields: object) -> bytes:
    """A message as a line, its keys in the order of its schema."""
    told = {"message": message, **fields}
    assert told.keys() == REQUESTS[message].keys(), message
    ordered = {key: told[key] for key in REQUESTS[message]}
    return json.dumps(ordered, separators=(",", ":")).encode("ascii")


def answer(message: str, line: bytes) -> dict[str, Any]:
    """What a line answers to a message; BadAnswer, or Refusal."""
    try:
        told = json.loads(line.decode())
    except (ValueError, RecursionError):
        raise BadAnswer("not JSON") from None
    if not isinstance(told, dict):
        raise BadAnswer("not a JSON object")
    if told.keys() == {"error"} and isinstance(told["error"], str):
        raise Refusal(told["error"])
    if message == "start" and told.get("contract", VERSION) != VERSION:
        raise BadAnswer(
            f"it speaks contract {told['contract']!r}, and the harness contract {VERSION}"
        )
    _check(told, ANSWERS[message], "")
    if told["answer"] != message:
        raise BadAnswer(f"it answers {told['answer']!r}")
    return told


def declared(told: Mapping[str, Any]) -> Declared:
    """What an answer to ``start`` declares; BadAnswer for what cannot be."""
    for key in ("name", "version"):
        if not told[key] or not told[key].isprintable():
            raise BadAnswer(f"{key} is {told[key]!r}, and should be a few printable characters")
    for word in told["features"]:
        if word not in FEATURES:
            raise BadAnswer(f"unknown feature {word!r}: contract {VERSION} has {_list(FEATURES)}")
    limits = told["limits"]
    for key, least, most in (
        ("shortest", 1, MARKER),
        ("longest", MARKER, LONGEST),
        ("ports", 2, 65_535),
        ("wait_ms", 1, LONGEST_WAIT_MS),
    ):
        if key in OPTIONAL and key not in limits:
            continue
        if not least <= limits[key] <= most:
            raise BadAnswer(f"limits.{key} is {limits[key]}, and should be {least} to {most}")
    if ("unordered" in told["features"]) != ("wait_ms" in limits):
        raise BadAnswer("feature 'unordered' and limits.wait_ms go together: one is missing")
    return Declared(told["name"], told["version"], frozenset(told["features"]), **limits)


def _check(told: object, schema: Any, where: str) -> None:
    if isinstance(schema, Mapping):
        if not isinstance(told, dict):
            raise BadAnswer(f"{where} should be an object")
        within = f"{where}." if where else ""
        for key in schema:
            if key not in told and key not in OPTIONAL:
                raise BadAnswer(f"{within}{key} is missing")
        for key in told:
            if key not in schema:
                raise BadAnswer(f"{within}{key} is not in the contract")
            _check(told[key], schema[key], within + key)
    elif isinstance(schema, list):
        if not isinstance(told, list):
            raise BadAnswer(f"{where} should be a list")
        for number, each in enumerate(told):
            _check(each, schema[0], f"{where}[{number}]")
    elif type(told) is not schema:
        raise BadAnswer(f"{where} is {told!r}, and should be {_NAMES[schema]}")


def _list(words: Mapping[str, str]) -> str:
    return ", ".join(words)
