"""Writes ``docs/api.md`` from the docstrings of the public names: ``python docs/make_api.py``.

It reads the source and imports nothing, so the page depends on the source alone.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parent
PAGE = DOCS / "api.md"
PACKAGE = DOCS.parent / "harness"

CHAPTERS: Mapping[str, tuple[str, ...]] = {
    "In a test": ("Testbench", "Delivery", "ethernet", "rule", "same", "create"),
    "A LAN of your own": (
        "Lan",
        "Port",
        "Traits",
        "Layout",
        "Arrival",
        "PortVerbs",
        "LanVerbs",
        "Counters",
    ),
    "What was recorded": ("Record", "Fate", "FateKind"),
    "Rules": ("Rule", "RULES"),
    "Errors": ("LanError", "FrameRefused", "Inconclusive", "Unsupported"),
}

HEAD = """\
# API

The public names of the package, all imported from `harness`:

```python
from harness import Testbench, ethernet, rule
```

They are loaded when they are first used; `import harness` alone loads nothing else. The
examples run as tests, with every public name imported.

## What stays stable

Versions follow [semantic versioning](https://semver.org). These four are covered:

- the names on this page, with the members listed here
- the schema of `results.jsonl` and of the comments in captures (`reports/README.md`)
- the contract of `command:` and the framing of `stream:` (`fixtures/lans/README.md`)
- rule ids: an id is never given to another rule

Everything else is private and may change in any version: all other modules and names, the
texts of messages, and the look of the report. A class that lacks names added after it was
written still works: LANs written for version 0.1 run unchanged.

This page is generated from the docstrings: `make docs` writes it again.
"""

Definition = ast.ClassDef | ast.FunctionDef | ast.Assign | ast.AnnAssign


@dataclass(frozen=True, slots=True)
class Name:
    """A public name: where it is defined, and its docstring (empty if it has none)."""

    name: str
    definition: Definition
    doc: str


def public() -> dict[str, Name]:
    """The public names, in the order of the page; ValueError if a chapter is out of date."""
    init = ast.parse((PACKAGE / "__init__.py").read_text())
    homes = {
        alias.name: node.module
        for node in ast.walk(init)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harness.")
        for alias in node.names
    }
    listed = [name for names in CHAPTERS.values() for name in names]
    declared = next(
        ast.literal_eval(node.value)
        for node in init.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    if sorted(listed) != sorted(declared):
        raise ValueError(f"CHAPTERS and __all__ differ: {set(listed) ^ set(declared)}")
    return {name: _find(name, str(homes[name])) for name in listed}


def _find(name: str, module: str) -> Name:
    path = PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py")
    for node, doc in _documented(ast.parse(path.read_text()).body):
        if _defines(node) == name:
            return Name(name, node, doc)
    raise ValueError(f"{path} does not define {name}")


def _defines(node: Definition) -> str:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return node.name
    return ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)


def _documented(body: list[ast.stmt]) -> Iterator[tuple[Definition, str]]:
    """Definitions with their docstrings; that of a variable is the text below it."""
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node, ast.get_docstring(node) or ""
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            yield node, _text(after)


def _text(node: ast.stmt | None) -> str:
    """The text that a statement consists of; empty for any other statement."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return inspect.cleandoc(str(node.value.value))
    return ""


def members(name: Name) -> list[tuple[str, str]]:
    """Public methods, properties and values of a class, each with its docstring."""
    if not isinstance(name.definition, ast.ClassDef):
        return []
    fields = _fields(name.definition)
    return [
        (_member(node, name.definition), doc)
        for node, doc in _documented(name.definition.body)
        if not _defines(node).startswith("_") and node not in fields
    ]


def _fields(cls: ast.ClassDef) -> list[ast.AnnAssign]:
    return [node for node in cls.body if isinstance(node, ast.AnnAssign)]


def _member(node: Definition, cls: ast.ClassDef) -> str:
    if isinstance(node, ast.FunctionDef):
        if any(ast.unparse(decorator) == "property" for decorator in node.decorator_list):
            returns = ast.unparse(node.returns) if node.returns else ""
            return f"{cls.name}.{node.name}: {returns}"
        return f"{cls.name}.{_signature(node)}"
    return f"{cls.name}.{ast.unparse(node)}"


def _signature(function: ast.FunctionDef, name: str = "") -> str:
    """The call as a reader writes it, without ``self``; what it returns, behind an arrow."""
    arguments = re.sub(r"^(self|cls)(, |$)", "", ast.unparse(function.args))
    arguments = re.sub(r"(?<=[\w\]])=", " = ", arguments)
    returns = "" if name or function.returns is None else f" -> {ast.unparse(function.returns)}"
    return f"{name or function.name}({arguments}){returns}"


def _shape(name: Name) -> str:
    """How the name is defined, as code."""
    node = name.definition
    if isinstance(node, ast.FunctionDef):
        return _signature(node)
    if not isinstance(node, ast.ClassDef):
        if isinstance(node, ast.AnnAssign):
            return f"{name.name}: {ast.unparse(node.annotation)}"
        return ""
    made = [inner for inner in node.body if getattr(inner, "name", "") in ("__init__", "__new__")]
    fields = "".join(f"\n    {ast.unparse(field)}" for field in _fields(node))
    if made and isinstance(made[0], ast.FunctionDef):
        return _signature(made[0], name.name)
    return f"class {name.name}:{fields}" if fields else ""


def anchors(names: Mapping[str, Name]) -> dict[str, str]:
    """Where each name's heading is, as GitHub counts headings that differ in case only."""
    slugs: dict[str, str] = {}
    taken = [chapter.lower().replace(" ", "-") for chapter in CHAPTERS]
    for name in names:
        slug = name.lower()
        slugs[name] = f"{slug}-{taken.count(slug)}" if slug in taken else slug
        taken.append(slug)
    return slugs


def _prose(doc: str, links: Mapping[str, str]) -> str:
    """A docstring as Markdown; examples as fenced blocks."""
    text = re.sub(r"``(.+?)``", r"`\1`", doc)
    parts = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith(">>>"):
            parts.append(f"```pycon\n{paragraph}\n```")
        else:
            parts.append(re.sub(r"`(\w+)((?:\.\w+)?)`", lambda m: _link(m, links), paragraph))
    return "\n\n".join(parts)


def _link(match: re.Match[str], links: Mapping[str, str]) -> str:
    name = match[1]
    known = name in links and name[0].isupper()
    return f"[{match[0]}](#{links[name]})" if known else match[0]


def render() -> str:
    """The page."""
    names = public()
    links = anchors(names)
    lines = [HEAD]
    for chapter, listed in CHAPTERS.items():
        lines.append(f"## {chapter}\n")
        for name in listed:
            lines.append(f"### {name}\n")
            if shape := _shape(names[name]):
                lines.append(f"```python\n{shape}\n```\n")
            lines.append(f"{_prose(names[name].doc, links)}\n")
            lines += [_bullet(what, doc, links) for what, doc in members(names[name])]
            if members(names[name]):
                lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _bullet(what: str, doc: str, links: Mapping[str, str]) -> str:
    indented = _prose(doc, links).replace("\n", "\n  ").replace("  \n", "\n")
    return f"- `{what}`: {indented}"


if __name__ == "__main__":
    PAGE.write_text(render())
