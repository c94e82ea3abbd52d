"""README and docs: every command runs, every link leads somewhere, generated pages are current."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clone import ROOT, clone
from tests.test_api import load

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
"""Pages whose commands, links and words are checked."""

FEW = "test_unicast_reaches_its_owner_alone or own_address"
"""Tests that are run where a page runs the whole suite."""

NOT_RUN = {
    "make": "takes minutes, or makes this very environment: the target must exist",
    "wireshark": "opens a window; tshark runs with the same profile",
    "pytest -d": "needs another machine: tests/test_ssh.py runs it over a real sshd",
    "lguest-harness rules --coverage": "takes minutes: `make test` runs it",
}
"""Commands, by how they begin, that are checked in another way, and why."""

CURRENT = {path.stem: path for path in (ROOT / "docs").glob("make_*.py")}


@dataclass(frozen=True)
class Command:
    """A command of a page, and the exit code that the page says it has."""

    text: str
    exit_code: int

    @property
    def not_run(self) -> bool:
        words = self.text.split()
        return any(words[: len(key.split())] == key.split() for key in NOT_RUN)


def blocks(page: Path) -> list[list[Command]]:
    """The commands of each ``sh`` block of a page."""
    fenced = re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [[_command(line) for line in _lines(block)] for block in fenced]


def _lines(block: str) -> list[str]:
    return [line for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def _command(line: str) -> Command:
    text, _, comment = line.partition("  #")
    code = re.search(r"exit code (\d+)", comment)
    return Command(text.strip(), int(code[1]) if code else 0)


WITH_COMMANDS = [page for page in PAGES if blocks(page)]


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.stem)
def test_its_commands_run(page: Path, tmp_path: Path) -> None:
    """In order, in a copy of the project; a block starts at its root."""
    for program in ("bash", "cc", "tshark"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    project = clone(tmp_path / "clone")
    script = "\n".join(_script(block, project) for block in blocks(page))
    done = subprocess.run(
        ["bash", "-c", script],
        env={
            "PATH": f"{project}/.venv/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(tmp_path),
            "PYTHONPATH": str(project),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:]


def _script(block: list[Command], project: Path) -> str:
    """A shell script that stops at the first command with another exit code."""
    lines = [f"cd {shlex.quote(str(project))}"]
    for command in block:
        if command.not_run:
            continue
        wrong = f"echo {shlex.quote(command.text)}: exit code $code; exit 1"
        chosen = f'-k "{FEW}"' if "lguest-harness" in command.text else ""
        options = shlex.quote(f"-p no:randomly -p no:cacheprovider {chosen}")
        lines += [f"export PYTEST_ADDOPTS={options}", command.text]
        lines += [f'code=$?; [ "$code" = {command.exit_code} ] || {{ {wrong}; }}']
    return "\n".join(lines)


def test_commands_that_are_not_run_have_options_and_targets_that_exist() -> None:
    checked = set()
    for command in (command for page in PAGES for block in blocks(page) for command in block):
        if not command.not_run:
            continue
        words = shlex.split(command.text)
        checked.add(words[0])
        if words[0] == "make":
            dry = ["make", "--dry-run", *words[1:]]
            done = subprocess.run(dry, cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        elif words[0] == "pytest":
            _has_options(["pytest"], words)
        elif words[0] == "lguest-harness":
            _has_options(words[:2], words)
    assert checked == {key.split()[0] for key in NOT_RUN}, "NOT_RUN names what no page has"


def _has_options(command: list[str], words: list[str]) -> None:
    program = str(Path(sys.executable).parent / command[0])
    done = subprocess.run(
        [program, *command[1:], "--help"], cwd=ROOT, capture_output=True, text=True
    )
    known = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", done.stdout))
    used = {word.partition("=")[0] for word in words if word.startswith("-")}
    assert used <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        assert not anchor or anchor in _anchors(file), target


def _anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings of a page."""
    anchors: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE):
        slug = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        repeated = sum(re.fullmatch(rf"{slug}(-\d+)?", other) is not None for other in anchors)
        anchors.append(f"{slug}-{repeated}" if repeated else slug)
    return set(anchors)


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        links = re.findall(r"\]\(([^)#\s]+\.md)[^)]*\)", page.read_text())
        targets = {(page.parent / link).resolve() for link in links if "://" not in link}
        waiting += targets - reached
    assert set(PAGES) <= reached


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130


@pytest.mark.parametrize("name", ["make_api", "make_overrides", "make_lan_files"])
def test_generated_pages_are_current(name: str) -> None:
    maker = load(CURRENT[name])
    assert maker.PAGE.read_text() == maker.render(), "run `make docs`"


def test_every_override_point_is_described() -> None:
    rows = load(CURRENT["make_overrides"]).PAGE.read_text().splitlines()
    assert [row for row in rows if row.startswith("| `") and row.endswith("|  |")] == []


OLD_WORDS = re.compile(
    r"(?<![\w-])(told|tells?|what came|worked out a(new|gain)|wrong on purpose|once more|till"
    r"|one but all|in a wrong way|as it should be|its own words|handed up)(?![\w-])",
    re.IGNORECASE,
)
"""What the project once said for: comment, line, says, received, recomputed, deliberately
broken, again, until, all but one, in its words, passed up."""

EXCEPTIONS = {
    "harness/evidence/results.py": "`told` is the name of a field in results.jsonl, schema 1",
}


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a page; of Python, comments and texts without what f-strings fill in."""
    if path.suffix != ".py":
        yield from enumerate(path.read_text().splitlines(), start=1)
        return
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type in (tokenize.STRING, tokenize.COMMENT):
                yield token.start[0], re.sub(r"\{[^{}]*\}", "", token.string)


def test_prose_is_in_the_words_of_the_glossary() -> None:
    suffixes = {".py", ".md", ".toml", ".j2", ".js"}
    sources = [path for path in (ROOT / "harness").rglob("*") if path.suffix in suffixes]
    phrases = {
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in [*PAGES, *sources]
        if str(path.relative_to(ROOT)) not in EXCEPTIONS
        for number, text in prose(path)
        for match in OLD_WORDS.finditer(text)
    }
    assert phrases == set()


def test_no_variable_is_called_each() -> None:
    loops = re.compile(r"\bfor each in\b")
    sources = sorted((ROOT / "harness").rglob("*.py"))
    assert [str(path) for path in sources if loops.search(path.read_text())] == []
