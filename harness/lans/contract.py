"""The contract between the harness and a LAN that is a program: version 1.

The harness writes a JSON object per line to the program's standard input, and the program
answers every line with one on its standard output: an object with that message's schema, or
``{"error": "what is wrong"}``. The harness's lines are ASCII, without spaces outside of
strings, their keys in the order of ``REQUESTS``. ``fixtures/lans/README.md`` is the full
description, with two programs as templates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from harness.lan import VERBS, Traits

VERSION = 1

Schema = Mapping[str, Any]
"""Key to type; a list of one type for a list, a schema for an object."""

REQUESTS: Mapping[str, Schema] = MappingProxyType(
    {
        "start": {"message": str, "contract": int, "directory": str},
        "feature": {"message": str, "feature": str},
        "port": {"message": str, "port": int, "mac": str},
        "promiscuous": {"message": str, "port": int, "on": bool},
        "close": {"message": str, "port": int},
        "open": {"message": str, "port": int},
        "link": {"message": str, "port": int, "up": bool},
        "join": {"message": str, "port": int, "group": str},
        "leave": {"message": str, "port": int, "group": str},
        "counters": {"message": str, "port": int},
        "age": {"message": str, "seconds": int},
        "stop": {"message": str},
    }
)
"""What the harness sends, by message."""

ANSWERS: Mapping[str, Schema] = MappingProxyType(
    {
        "start": {
            "answer": str,
            "contract": int,
            "name": str,
            "version": str,
            "features": [str],
            "limits": {
                "shortest": int,
                "longest": int,
                "ports": int,
                "wait_ms": int,
                "ageing_s": int,
            },
        },
        "feature": {"answer": str, "has": bool},
        "port": {"answer": str, "socket": str},
        "promiscuous": {"answer": str},
        "close": {"answer": str},
        "open": {"answer": str},
        "link": {"answer": str},
        "join": {"answer": str},
        "leave": {"answer": str},
        "counters": {"answer": str, "sent": int, "received": int},
        "age": {"answer": str},
        "stop": {"answer": str},
    }
)
"""What the program answers, by message."""

OPTIONAL = frozenset({"wait_ms", "ageing_s"})
"""Keys that may be missing."""

FEATURES: Mapping[str, str] = MappingProxyType(
    {
        "filters-at-sender": "a port is sent only frames for its address, and group frames",
        "learns": "it learns from source addresses, and sends a unicast to that port alone",
        "promiscuous": "it takes the message promiscuous, and then sends that port every frame",
        "unordered": "frames may overtake each other, and arrive within limits.wait_ms",
        "link": "it takes the message link: the link of a port fails, or is there again",
        "vanish": "a port's connection may end without the message close",
        "pause": "a port may stop reading; the others still get their frames",
        "groups": "it takes the messages join and leave, with the address of a group",
        "members": "frames of a group that ports joined reach its members alone",
        "counters": "it takes the message counters, and counts the frames of every port",
        "age": "it takes the message age: addresses grow older by so many seconds",
    }
)
"""The features that a LAN can declare."""

MARKER = 60
"""Bytes in the harness's own frames: the limits must include it."""

LONGEST = 262_144
LONGEST_WAIT_MS = 1000
LONGEST_AGEING_S = 1_000_000
PORTS = 8
_BUFFERED = 65_536
_NAMES = {str: "a string", int: "a whole number", bool: "true or false"}


class BadAnswer(Exception):
    """An answer that does not follow the contract, and why."""


class Refusal(Exception):
    """The program answered with an error of its own."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What a program declares about itself."""

    name: str
    version: str
    features: frozenset[str]
    shortest: int
    longest: int
    ports: int
    wait_ms: int = 0
    ageing_s: int | None = None

    def traits(self) -> Traits:
        """The same, as traits; nothing else is known about the LAN."""
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
            verbs=tuple(verb for verb in VERBS if verb in self.features),
            groups=self._groups(),
            ageing_s=self.ageing_s,
        )

    def _groups(self) -> Literal["all", "members"] | None:
        if "groups" not in self.features:
            return None
        return "members" if "members" in self.features else "all"


def request(message: str, **fields: object) -> bytes:
    """A message as a line, its keys in the order of its schema."""
    values = {"message": message, **fields}
    assert values.keys() == REQUESTS[message].keys(), message
    ordered = {key: values[key] for key in REQUESTS[message]}
    return json.dumps(ordered, separators=(",", ":")).encode("ascii")


def answer(message: str, line: bytes) -> dict[str, Any]:
    """The answer in a line; BadAnswer for one against the contract, Refusal for an error."""
    try:
        fields = json.loads(line.decode())
    except (ValueError, RecursionError):
        raise BadAnswer("not JSON") from None
    if not isinstance(fields, dict):
        raise BadAnswer("not a JSON object")
    if fields.keys() == {"error"} and isinstance(fields["error"], str):
        raise Refusal(fields["error"])
    if message == "start" and fields.get("contract", VERSION) != VERSION:
        raise BadAnswer(
            f"it uses contract {fields['contract']!r}; the harness uses contract {VERSION}"
        )
    _check(fields, ANSWERS[message], "")
    if fields["answer"] != message:
        raise BadAnswer(f"it answers {fields['answer']!r}")
    return fields


def declared(answer: Mapping[str, Any]) -> Declared:
    """What an answer to ``start`` declares; BadAnswer for values out of range."""
    for key in ("name", "version"):
        if not answer[key] or not answer[key].isprintable():
            raise BadAnswer(f"{key} is {answer[key]!r}, and should be a few printable characters")
    for word in answer["features"]:
        if word not in FEATURES:
            raise BadAnswer(f"unknown feature {word!r}: contract {VERSION} has {_list(FEATURES)}")
    limits = answer["limits"]
    for key, least, most in (
        ("shortest", 1, MARKER),
        ("longest", MARKER, LONGEST),
        ("ports", 2, 65_535),
        ("wait_ms", 1, LONGEST_WAIT_MS),
        ("ageing_s", 1, LONGEST_AGEING_S),
    ):
        if key in OPTIONAL and key not in limits:
            continue
        if not least <= limits[key] <= most:
            raise BadAnswer(f"limits.{key} is {limits[key]}, and should be {least} to {most}")
    for feature, limit in (("unordered", "wait_ms"), ("age", "ageing_s")):
        if (feature in answer["features"]) != (limit in limits):
            raise BadAnswer(f"feature {feature!r} and limits.{limit} go together: one is missing")
    if "members" in answer["features"] and "groups" not in answer["features"]:
        raise BadAnswer("feature 'members' needs feature 'groups'")
    return Declared(answer["name"], answer["version"], frozenset(answer["features"]), **limits)


def _check(value: object, schema: Any, where: str) -> None:
    if isinstance(schema, Mapping):
        if not isinstance(value, dict):
            raise BadAnswer(f"{where} should be an object")
        within = f"{where}." if where else ""
        for key in schema:
            if key not in value and key not in OPTIONAL:
                raise BadAnswer(f"{within}{key} is missing")
        for key in value:
            if key not in schema:
                raise BadAnswer(f"{within}{key} is not in the contract")
            _check(value[key], schema[key], within + key)
    elif isinstance(schema, list):
        if not isinstance(value, list):
            raise BadAnswer(f"{where} should be a list")
        for number, item in enumerate(value):
            _check(item, schema[0], f"{where}[{number}]")
    elif type(value) is not schema:
        raise BadAnswer(f"{where} is {value!r}, and should be {_NAMES[schema]}")


def _list(words: Mapping[str, str]) -> str:
    return ", ".join(words)
