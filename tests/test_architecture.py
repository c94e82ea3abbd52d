"""The packages of ``harness`` depend one way, and use no private names of each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import harness

ROOT = Path(harness.__file__).parent

ALLOWED = {
    "lguest": set(),
    "lan": set(),
    "differences": set(),
    "models": {"lan"},
    "frames": {"lan"},
    "rules": {"lan"},
    "lans": {"lan", "lguest", "frames"},
    "values": set(),
    "evidence": {"lan", "rules", "models", "values"},
    "bench_port": {"lan", "models"},
    "replay": {"lan", "frames", "models", "evidence", "exchange", "bench_port"},
    "live": {"lan", "lans", "evidence"},
    "scapy": {"lan", "live"},
}
"""Rooms near the ground, and all that they may know."""


def modules() -> dict[str, Path]:
    """Every module of the package by its name."""
    return {
        ".".join(("harness", *path.relative_to(ROOT).with_suffix("").parts)): path
        for path in sorted(ROOT.rglob("*.py"))
        if "testcases" not in path.relative_to(ROOT).parts
    }


def room(module: str) -> str:
    """The package or module below ``harness`` that a module belongs to."""
    return [*module.split("."), ""][1]


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of all that a file imports from the package, wherever it does so."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def arrows() -> dict[str, set[str]]:
    """Room to the rooms that it imports, without itself and the public face."""
    known = modules()
    drawn: dict[str, set[str]] = {}
    for module, path in known.items():
        if module == "harness.__init__":
            continue
        for source, name in imports(path):
            if source == "harness":
                target = name if f"harness.{name}" in known or (ROOT / name).is_dir() else ""
            elif source.startswith("harness."):
                target = room(source)
            else:
                continue
            if target and target != room(module):
                drawn.setdefault(room(module), set()).add(target)
    return drawn


def test_no_two_rooms_need_each_other() -> None:
    graph = arrows()
    assert len(graph) > 10

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for target in graph.get(waiting.pop(), ()):
                if target not in seen:
                    seen.add(target)
                    waiting.append(target)
        return seen

    assert [name for name in graph if name in reach(name)] == []


def test_the_rooms_near_the_ground_know_only_what_they_may() -> None:
    graph = arrows()
    for name, allowed in ALLOWED.items():
        assert graph.get(name, set()) <= allowed, name


def test_no_private_name_crosses_from_one_room_to_another() -> None:
    crossing = [
        f"{module} imports {source}.{name}"
        for module, path in modules().items()
        for source, name in imports(path)
        if source.startswith("harness.") and name.startswith("_") and room(source) != room(module)
    ]
    assert crossing == []


def test_the_simulation_imports_nothing_else_of_the_package() -> None:
    assert arrows().get("lguest", set()) == set()
