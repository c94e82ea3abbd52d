"""The report, in a real browser: what a reader sees, clicks and types."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlparse

import msgspec
import pytest
from axe_playwright_python.sync_playwright import Axe
from click.testing import CliRunner
from playwright.sync_api import Browser, Page, expect, sync_playwright

from harness.cli.main import main
from harness.evidence import merge, pcapng, results
from harness.frames import ethernet
from harness.lan import Record
from harness.plugin import writer
from harness.report import bugreport, html

ROOT = Path(__file__).parents[1]
EVIL = "<img src=x onerror=\"window.hacked='yes'\"></script><script>window.hacked='yes'</script>"
HOSTILE = f"\"'>{EVIL}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium, as Debian has it."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real run: a LAN as it should be, and one that is wrong."""
    folder = tmp_path_factory.mktemp("run")
    lans = ["--lan", "lguest", "--lan", "broken:hears-its-own-groups"]
    files = ["testcases/test_delivery.py", "testcases/test_bytes_and_order.py"]
    command = [sys.executable, "-m", "pytest", *files, "-q", *lans]
    done = subprocess.run(
        [*command, "--reports", str(folder), "-p", "no:cacheprovider"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    return folder


class Watched(NamedTuple):
    """A page, and what it complained of or asked the network for."""

    page: Page
    complaints: list[str]

    def look_at(self, index: Path) -> Page:
        self.page.goto(index.as_uri())
        self.page.wait_for_selector("html[data-ready]")
        return self.page


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    """A page that must not complain."""
    context = browser.new_context()
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda asked: (
            None if asked.url.startswith(("file:", "data:")) else complaints.append(asked.url)
        ),
    )
    yield Watched(page, complaints)
    context.close()
    assert complaints == []


def made(folder: Path, tests: Sequence[results.Result]) -> Path:
    """The report of results that are written here and now."""
    run = results.Run(
        schema=results.SCHEMA,
        harness="1",
        rules=results.rules_hash(),
        lans={"lguest": HOSTILE},
        options={"campaign": HOSTILE},
        repeat=[],
        shard="",
        collected=[test.id for test in tests],
        machine=HOSTILE,
        started="2007-07-26T17:41:03Z",
    )
    outcomes = Counter[str](test.outcome for test in tests)
    code = 1 if results.RED & set(outcomes) else 0 if tests else 5
    end = results.End(dict(outcomes), code, 1.0)
    file = folder / results.FILE_NAME
    lines: list[results.Line] = [run, *tests, end]
    file.write_bytes(b"".join(results.line(line) for line in lines))
    return html.write(merge.load([file]), folder)


def shown_tests(page: Page) -> int:
    return page.locator("details.test:visible").count()


def test_the_verdict_stands_on_top_and_failures_are_open(watched: Watched, run: Path) -> None:
    page = watched.look_at(run / "index.html")
    expect(page.locator(".verdict .word")).to_have_text("FAILED")
    broken = page.locator(".of-lan", has_text="broken:hears-its-own-groups")
    expect(broken).to_contain_text(
        re.compile(r"\d+ of \d+ rules failed on .* \(\d+ of \d+ tests\)")
    )
    assert page.locator("details.test").first.get_attribute("data-outcome") == "failed"
    first = page.locator("details.cause[open]").first
    expect(first.locator("summary").first).to_contain_text("comes back to its sender")
    expect(first.locator("svg.topology")).to_be_visible()
    expect(first.locator("svg.diagram")).to_be_visible()
    expect(first.locator(".differs").first).to_contain_text("guest1")
    expect(first.locator(".differs").first).to_contain_text("returned to sender")
    assert first.locator("svg.diagram g.wrong").count() == 1
    expect(first.locator(".packets .bad").first).to_contain_text("returned to sender")
    assert page.locator("details.test[open]").count() == 0


def test_the_numbers_of_the_verdict_lead_to_what_they_count(watched: Watched, run: Path) -> None:
    page = watched.look_at(run / "index.html")
    broken = page.locator(".of-lan", has_text="broken:hears-its-own-groups")
    red = int(broken.locator("b").last.inner_text())
    broken.locator("a").last.click()
    expect(page.locator(".filters output")).to_contain_text(f"{red} of ")
    assert shown_tests(page) == red
    rules = int(broken.locator("b").first.inner_text())
    broken.locator("a").first.click()
    assert page.locator(".matrix tr.rule:visible").count() == rules


def test_rows_that_tell_two_lans_apart(watched: Watched, run: Path) -> None:
    page = watched.look_at(run / "index.html")
    rows = page.locator(".matrix tr.rule:visible")
    every = rows.count()
    choice = page.get_by_label("Rows")
    choice.select_option("fails on broken:hears-its-own-groups, passes on lguest")
    apart = rows.count()
    assert 0 < apart < every
    cells = rows.locator(".cell[data-lan=lguest]")
    assert {cell.get_attribute("data-word") for cell in cells.all()} == {"passed"}
    choice.select_option("fails on lguest, passes on broken:hears-its-own-groups")
    assert rows.count() == 0
    choice.select_option("all rules")
    assert rows.count() == every


def test_a_link_leads_to_one_test(watched: Watched, run: Path) -> None:
    page = watched.look_at(run / "index.html")
    test = page.locator("details.test[data-outcome=passed]").last
    name = str(test.get_attribute("data-id"))
    test.locator("summary").click()
    test.locator("a", has_text="Link to this test").click()
    address = page.url
    assert unquote(address).endswith(f"#test={name}")
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    expect(page.locator("details.test[open]")).to_have_attribute("data-id", name)
    expect(page.locator("details.test[open]")).to_be_in_viewport()


def test_tests_are_sorted_by_time(watched: Watched, run: Path) -> None:
    page = watched.look_at(run / "index.html")
    page.get_by_label("Sort by").select_option("time")
    read = "(tests) => tests.map((test) => Number(test.dataset.seconds))"
    seconds = page.locator("details.test").evaluate_all(read)
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[0] > seconds[-1]


def test_a_failure_can_be_copied_as_a_bug_report(watched: Watched, run: Path) -> None:
    page = watched.look_at(run / "index.html")
    inside = page.locator("details.cause[open]").first
    inside.get_by_role("button", name="Copy as bug report").click()
    text = inside.locator("textarea.bug").input_value()
    assert text.startswith("### broken:hears-its-own-groups: guest1: returned to sender: ")
    for part in ("- Rule ", "- LAN: ", "- Run it again: `pytest ", "| guest1 | nothing | 1 frame "):
        assert part in text
    assert "    0000  ff ff ff ff ff ff 02 00 01" in text


def test_a_bug_report_has_the_lan_file(run: Path) -> None:
    saved = results.read(run)
    failed = next(test for test in saved.tests if test.outcome == "failed")
    head = msgspec.structs.replace(
        saved.run, lan_files={str(failed.lan): 'kind = "learning"\n[ports]\n'}
    )
    text = bugreport.markdown(failed, head, [], [], [], "again")
    assert text.endswith('The LAN file:\n\n    kind = "learning"\n    [ports]\n')
    assert "The LAN file" not in bugreport.markdown(failed, saved.run, [], [], [], "again")


def test_all_evidence_is_in_the_archive(run: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(run / "evidence.zip") as packed:
        packed.extractall(tmp_path)
    done = CliRunner().invoke(main, ["judge", str(tmp_path / "lguest-harness")])
    assert done.exit_code == 0, done.output


def test_each_lan_has_a_page_and_a_badge(watched: Watched, run: Path) -> None:
    watched.page.goto((run / "lans" / "lguest.html").as_uri())
    word = watched.page.locator(".word")
    expect(word).to_have_text("PASSED")
    badge = watched.page.locator("img")
    assert badge.evaluate("(image) => image.naturalWidth") > 0
    text = str(badge.get_attribute("alt"))
    assert re.fullmatch(r"LAN conformance: \d+ of \d+ rules", text)
    broken = run / "lans" / "broken%3Ahears-its-own-groups.svg"
    assert "#b3101c" in broken.read_text()


def test_a_report_against_an_older_run(watched: Watched, tmp_path: Path) -> None:
    def results_of(name: str, **outcomes: results.Outcome) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        tests = [
            results.Result(f"test.py::test_{test}[lguest]", ["DLV-2"], "lguest", word, reason="so")
            for test, word in outcomes.items()
        ]
        made(folder, tests)
        return folder

    old = results_of("old", a="failed", b="failed", c="passed", d="failed", e="passed")
    new = results_of("new", a="failed", b="passed", c="failed", e="passed", f="failed")
    into = tmp_path / "into"
    command = ["report", str(new), "--against", str(old), "-o", str(into)]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1, done.output
    page = watched.look_at(into / "index.html")
    cells = page.locator(".change tbody tr").first.locator("td").all()
    listed = [[item.text_content() for item in cell.locator("li").all()] for cell in cells]
    assert [cell.locator("a").count() for cell in cells] == [2, 1, 1, 0]
    names = [[str(name)[len("test.py::test_")] for name in cell] for cell in listed]
    assert names == [["c", "f"], ["b"], ["a"], ["d"]]
    page.locator("details.test[data-id*=test_c] summary").click()
    expect(page.locator("details.test[data-id*=test_c] .past")).to_contain_text("passed")


def test_a_click_in_the_matrix_shows_those_tests_and_a_second_click_all(
    watched: Watched, run: Path
) -> None:
    page = watched.look_at(run / "index.html")
    total = shown_tests(page)
    cell = page.get_by_role("button", name="DLV-3 on broken:hears-its-own-groups: ")
    counts = re.findall(r"(\d+) [a-z]+", str(cell.get_attribute("aria-label")).partition(": ")[2])
    count = sum(map(int, counts))
    cell.click()
    assert shown_tests(page) == count > 0
    expect(page.locator(".filters output")).to_have_text(f"{count} of {total} tests")
    assert cell.get_attribute("aria-pressed") == "true"
    assert "rule=DLV-3" in page.url
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert shown_tests(page) == count
    cell.click()
    assert shown_tests(page) == total


def test_filters_narrow_each_other(watched: Watched, run: Path) -> None:
    page = watched.look_at(run / "index.html")
    total = shown_tests(page)
    page.locator("select[name=lan]").select_option("lguest")
    on_lguest = shown_tests(page)
    page.locator("select[name=outcome]").select_option("deviation")
    deviating = shown_tests(page)
    assert 0 < deviating < on_lguest < total
    page.get_by_label("Search").fill("no test has these words")
    assert shown_tests(page) == 0
    page.get_by_role("button", name="Show all").click()
    expect(page.locator(".filters output")).to_have_text(f"{total} of {total} tests")


def test_it_is_usable_from_the_keyboard(watched: Watched, run: Path) -> None:
    page = watched.look_at(run / "index.html")
    page.keyboard.press("/")
    page.keyboard.type("unicast reaches its owner alone")
    page.locator("select[name=lan]").select_option("lguest")
    summary = page.locator("details.test:visible summary").first
    while not summary.evaluate("each => each === document.activeElement"):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("details.test:visible svg.diagram").first).to_be_visible()


def test_every_link_leads_to_a_capture(watched: Watched, run: Path) -> None:
    page = watched.look_at(run / "index.html")
    page.locator("select[name=outcome]").select_option("deviation")
    for summary in page.locator("details.test:visible summary").all():
        summary.click()
    links = page.locator("details.test a", has_text="Open the capture")
    expect(links).to_have_count(page.locator("details.test[open]").count())
    for link in links.all():
        target = Path(unquote(urlparse(str(link.evaluate("each => each.href"))).path))
        assert target.read_bytes().startswith(b"\x0a\x0d\x0d\x0a")


def test_the_line_to_copy_runs_just_that_test(watched: Watched, run: Path, tmp_path: Path) -> None:
    page = watched.look_at(run / "index.html")
    command = page.locator(".cause .again code").first.inner_text()
    assert command.startswith("pytest ")
    line = f"{sys.executable} -m {command} --reports {tmp_path} -p no:cacheprovider"
    done = subprocess.run(["sh", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "1 failed" in done.stdout.splitlines()[-1]
    shown = page.locator(".cause .again code").nth(1).inner_text()
    path = shlex.split(shown)[-1]
    assert (run.parent / path).is_file()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_is_accessible_and_fits_the_screen(
    browser: Browser, run: Path, scheme: str, width: int
) -> None:
    page = browser.new_page(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page.goto((run / "index.html").as_uri())
    page.wait_for_selector("html[data-ready]")
    expect(page.locator("details.cause[open] svg.diagram").first).to_be_visible()
    hints = page.evaluate(
        """[...document.querySelectorAll(".hint")].filter((hint) => hint.parentElement.offsetWidth)
        .map((hint) => [hint.nextElementSibling, !hint.hidden])
        .map(([area, shown]) => [area.scrollWidth > area.clientWidth, shown])"""
    )
    assert all(overflows == shown for overflows, shown in hints)
    assert any(shown for _, shown in hints) == (width < 500)
    # The same kind of test thousands of times finds nothing new.
    page.evaluate("document.querySelectorAll('.test:nth-child(n+4)').forEach((e) => e.remove())")
    answer = Axe().run(page)
    assert answer.violations_count == 0, answer.generate_report()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    page.close()


def hostile_test(folder: Path) -> results.Result:
    """A passed test, all of whose words and bytes are markup."""
    frame = ethernet(b"\x02\0\0\0\0\2", b"\x02\0\0\0\0\1")[:14] + EVIL.encode()
    records = [
        Record(1, HOSTILE, "sent", frame, len(frame), ("", HOSTILE)),
        Record(2, "other", "received", frame, len(frame), ("", HOSTILE)),
    ]
    content = pcapng.encode([(HOSTILE, b"\x02" * 6), ("other", b"\x02" * 6)], records, [HOSTILE])
    (folder / "captures").mkdir()
    (folder / "captures" / "one.pcapng").write_bytes(content)
    whole = results.Wanted(len(frame), 1)
    return results.Result(
        id=f"test.py::test[{HOSTILE}]",
        rules=["DLV-2", HOSTILE],
        lan=HOSTILE,
        outcome="failed",
        reason=HOSTILE,
        details=[HOSTILE],
        ending=HOSTILE + " at the end",
        doc=HOSTILE,
        settled=HOSTILE,
        ports={HOSTILE: HOSTILE, "other": "02:02:02:02:02:02"},
        exchanges=[results.Exchange(1, 2, 2, "wire", [HOSTILE, "other"], {"other": [whole]}, True)],
        capture=writer.capture_of("captures/one.pcapng", content, 2),
    )


def test_what_comes_from_frames_and_lans_stays_text(watched: Watched, tmp_path: Path) -> None:
    index = made(tmp_path, [hostile_test(tmp_path)])
    page = watched.look_at(index)
    test = page.locator("details.test")
    test.locator("summary").first.click()
    expect(test.locator("svg.diagram")).to_be_visible()
    expect(test.locator(".details")).to_have_text(HOSTILE)
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2


@pytest.mark.parametrize(
    ("outcomes", "word", "mood"),
    [
        (["passed"], "PASSED", "good"),
        (["passed", "deviation"], "PASSED", "good"),
        (["passed", "failed"], "FAILED", "bad"),
        (["passed", "inconclusive"], "FAILED", "bad"),
        (["skipped"], "NO VERDICT", "open"),
        (["deviation"], "NO VERDICT", "open"),
        ([], "NO VERDICT", "open"),
    ],
)
def test_the_verdict_is_no_better_than_the_run(
    tmp_path: Path, outcomes: list[results.Outcome], word: str, mood: str
) -> None:
    tests = [
        results.Result(f"test.py::test_{n}", ["DLV-2"], "lguest", outcome, reason="so")
        for n, outcome in enumerate(outcomes)
    ]
    page = made(tmp_path, tests).read_text()
    assert f'<p class="word">{word}</p>' in page
    assert f'class="verdict {mood}"' in page


def test_a_lan_that_crashed_is_named_in_the_verdict(tmp_path: Path) -> None:
    reason = "command './switch': settle: it has ended with exit code 139"
    crashed = results.Result("test.py::test", ["DLV-2"], "mine", "inconclusive", reason=reason)
    page = made(tmp_path, [crashed]).read_text()
    assert '<p class="word">LAN CRASHED (exit code 139)</p>' in page
    assert "the LAN crashed (exit code 139)" in page


def test_an_unfinished_run_is_incomplete(tmp_path: Path) -> None:
    passed = results.Result("test.py::test", ["DLV-2"], "lguest", "passed")
    made(tmp_path, [passed])
    file = tmp_path / results.FILE_NAME
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))
    page = html.write(merge.load([file]), tmp_path).read_text()
    assert '<p class="word">INCOMPLETE</p>' in page


def test_five_thousand_tests_can_be_searched(watched: Watched, tmp_path: Path) -> None:
    tests = [
        results.Result(f"testcases/test_x.py::test_{n}[lguest]", ["DLV-2"], "lguest", "passed")
        for n in range(5000)
    ]
    page = watched.look_at(made(tmp_path, tests))
    expect(page.locator(".filters output")).to_have_text("5,000 of 5,000 tests")
    page.get_by_label("Search").fill("4999")
    assert shown_tests(page) == 1
    page.locator("details.test:visible summary").click()
    expect(page.locator("details.test:visible code").first).to_contain_text("test_4999")


def test_a_capture_other_than_the_one_written_is_named(watched: Watched, tmp_path: Path) -> None:
    test = hostile_test(tmp_path)
    (tmp_path / "captures" / "one.pcapng").write_bytes(b"not a capture")
    page = watched.look_at(made(tmp_path, [test]))
    page.locator("details.test summary").first.click()
    expect(page.locator("details.test")).to_contain_text("No capture to show: ")


def test_differences_at_packets_that_are_not_there_are_shown_without_them(tmp_path: Path) -> None:
    test = hostile_test(tmp_path)
    forged = [
        results.Difference(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, packet, sent)
        for packet, sent in ((99, 1), (2, 99), (-1, -1), (0, 0))
    ]
    page = made(tmp_path, [msgspec.structs.replace(test, differences=forged)])
    assert '<p class="word">FAILED</p>' in page.read_text()


def test_the_same_run_gives_the_same_report(tmp_path: Path) -> None:
    test = hostile_test(tmp_path)
    one = made(tmp_path, [test]).read_bytes()
    assert made(tmp_path, [test]).read_bytes() == one
