"""Drafts a LAN file from what ``probe`` found, with the evidence in comments."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.lan import LanError
from harness.lans.files import schema
from harness.suite.probe import Finding

_FORMS = ("interfaces", "stream", "dgram", "vde", "command", "python")
_OPTIONS = re.compile(r"(;(kind|patience)=[^;]*)+$")
_WIDTH = 98


def drafted(spec: str, findings: Sequence[Finding]) -> str:
    """A LAN file for a LAN of any form; LanError for one that is built in."""
    if spec.startswith("file:") or spec.endswith(".toml"):
        text = _again(Path(spec.removeprefix("file:")), findings)
    else:
        form, colon, where = spec.partition(":")
        if not colon or form not in _FORMS:
            raise LanError(f"{spec}: no LAN file can be drafted of a LAN that is built in")
        where = _OPTIONS.sub("", where) if form not in ("command", "python") else where
        ports = f"[ports]\nform = {_value(form)}\nspec = {_spec(form, where)}\n"
        text = "\n".join([_head(spec), *_kind(findings), "", ports, *_properties(findings)]) + "\n"
    schema.parsed(text, Path("the draft"))
    return text


def _again(path: Path, findings: Sequence[Finding]) -> str:
    """A LAN file with the kind and the properties that were found, and all else as it is."""
    kept: list[str] = []
    table = ""
    for line in path.read_text().splitlines():
        if match := re.match(r"\s*\[+\s*([\w.]+)", line):
            table = match[1]
        if table == "properties" or (not table and re.match(r"\s*(kind|properties)\b", line)):
            continue
        kept.append(line)
    return "\n".join([*_kind(findings), *kept, *_properties(findings)]) + "\n"


def _head(spec: str) -> str:
    return f"# Drafted by: lguest-harness probe {json.dumps(spec, ensure_ascii=False)}"


def _kind(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        if finding.what == "kind":
            yield from _comment(finding)
            if "kind" in finding.properties:
                yield f"kind = {_value(finding.properties['kind'])}"


def _properties(findings: Sequence[Finding]) -> Iterator[str]:
    yield "[properties]"
    for finding in findings:
        if finding.what != "kind":
            yield from _comment(finding)
            yield from (f"{key} = {_value(value)}" for key, value in finding.properties.items())


def _comment(finding: Finding) -> list[str]:
    unclear = "" if finding.properties else f"{finding.what} is {finding.observed}: "
    text = " ".join(f"{unclear}{finding.evidence}".split())
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ")


def _spec(form: str, where: str) -> str:
    """What follows the colon; a list where it has several parts."""
    separator = {"interfaces": ",", "stream": ",", "dgram": ";"}.get(form)
    parts = where.split(separator) if separator else [where]
    return _value(where) if len(parts) == 1 else f"[{', '.join(map(_value, parts))}]"


def _value(value: object) -> str:
    """A value as TOML has it."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
