"""Writes ``docs/override-points.md``: what broken LANs replace in the simulation.

It reads the source and imports nothing: ``python docs/make_overrides.py``.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

DOCS = Path(__file__).parent
PAGE = DOCS / "override-points.md"
PACKAGE = DOCS.parent / "harness"

HEAD = """\
# Override points of the simulation

A deliberately broken LAN is a subclass of a part of `harness/lguest/` that replaces one of the
members below; `harness/broken/base.py` and `hooks.py` have constructors and common base classes.
A member that is not listed is private to the simulation. One that is listed may change too,
together with the broken LANs that replace it.

This page is generated from the source: `make docs` writes it again.
"""

Classes = Mapping[str, tuple[str, ast.ClassDef]]


def classes(folder: Path) -> Classes:
    """Every class in a folder by its name, with the module that it is in."""
    return {
        node.name: (path.stem, node)
        for path in sorted(folder.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    }


def members(cls: ast.ClassDef) -> dict[str, str]:
    """The members of a class, each with the first line of its documentation, or nothing."""
    documented: dict[str, str] = {}
    name = ""
    for node in cls.body:
        if isinstance(node, ast.FunctionDef):
            documented[node.name] = (ast.get_docstring(node) or "").partition("\n\n")[0]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            name = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
            documented[name] = ""
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and name:
            documented[name] = str(node.value.value)
    return {name: " ".join(text.split()) for name, text in documented.items()}


def replaced(simulation: Classes, broken: Classes) -> dict[str, set[str]]:
    """The members of each class of the simulation that a broken LAN replaces."""
    points: dict[str, set[str]] = {}
    for _, cls in broken.values():
        for base in bases(cls, simulation, broken):
            names = set(members(cls)) & set(members(simulation[base][1])) - {"__init__"}
            points.setdefault(base, set()).update(names)
    return {name: points[name] for name in simulation if points.get(name)}


def bases(cls: ast.ClassDef, simulation: Classes, broken: Classes) -> set[str]:
    """Classes of the simulation that a class inherits from, directly or not."""
    above: set[str] = set()
    for base in (ast.unparse(base) for base in cls.bases):
        if base in simulation:
            above |= {base} | bases(simulation[base][1], simulation, broken)
        elif base in broken:
            above |= bases(broken[base][1], simulation, broken)
    return above


def render() -> str:
    """The page."""
    simulation, broken = classes(PACKAGE / "lguest"), classes(PACKAGE / "broken")
    parts = [HEAD]
    for name, points in replaced(simulation, broken).items():
        module, cls = simulation[name]
        rows = [
            f"| `{point}` | {text} |" for point, text in members(cls).items() if point in points
        ]
        table = ["| member | what it does |", "|---|---|", *rows]
        parts.append("\n".join([f"## {name}, in `{module}.py`\n", *table]) + "\n")
    return "\n".join(parts).replace("``", "`")


if __name__ == "__main__":
    PAGE.write_text(render())
