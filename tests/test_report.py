"""The report, in a real browser: what a reader sees, clicks and types."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlparse

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from harness.evidence import merge, pcapng, results
from harness.frames import ethernet
from harness.lan import Record
from harness.plugin import writer
from harness.report import html

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
    file.write_bytes(b"".join(results.line(each) for each in lines))
    return html.write(merge.load([file]), folder)


def shown_tests(page: Page) -> int:
    return page.locator("details.test:visible").count()


def test_the_verdict_stands_on_top_and_failures_are_open(watched: Watched, run: Path) -> None:
    page = watched.look_at(run / "index.html")
    expect(page.locator(".verdict")).to_contain_text("FAILED on lguest")
    assert page.locator("details.test").first.get_attribute("data-outcome") == "failed"
    differs = page.locator(".differs")
    first = page.locator("details.test[data-outcome=failed]").filter(has=differs).first
    expect(first.locator("svg.diagram")).to_be_visible()
    expect(first.locator(".details")).to_contain_text("expected  nothing")
    expect(first.locator(".differs").first).to_contain_text("guest1")
    assert first.locator("svg g.wrong").count() == 1
    passed = page.locator("details.test[data-outcome=passed]").first
    assert passed.get_attribute("open") is None


def test_a_click_in_the_matrix_shows_those_tests_and_a_second_click_all(
    watched: Watched, run: Path
) -> None:
    page = watched.look_at(run / "index.html")
    total = shown_tests(page)
    cell = page.get_by_role("button", name="DLV-3 on broken:hears-its-own-groups: 23 failed")
    cell.click()
    assert shown_tests(page) == 23
    expect(page.locator("output")).to_have_text(f"23 of {total} tests")
    assert cell.get_attribute("aria-pressed") == "true"
    assert "rule=DLV-3" in page.url
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert shown_tests(page) == 23
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
    expect(page.locator("output")).to_have_text(f"{total} of {total} tests")


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
    links = page.locator("a", has_text="Open the capture")
    expect(links).to_have_count(page.locator("details.test[open]").count())
    for link in links.all():
        target = Path(unquote(urlparse(str(link.evaluate("each => each.href"))).path))
        assert target.read_bytes().startswith(b"\x0a\x0d\x0d\x0a")


def test_the_line_to_copy_runs_just_that_test(watched: Watched, run: Path, tmp_path: Path) -> None:
    page = watched.look_at(run / "index.html")
    command = page.locator("details.test code").first.inner_text()
    assert command.startswith("pytest ")
    line = f"{sys.executable} -m {command} --reports {tmp_path} -p no:cacheprovider"
    done = subprocess.run(["sh", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "1 failed" in done.stdout.splitlines()[-1]


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
    expect(page.locator("details.test[open] svg.diagram").first).to_be_visible()
    # The same kind of test thousands of times finds nothing new.
    page.evaluate("document.querySelectorAll('.test:nth-child(n+4)').forEach((e) => e.remove())")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
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
    expect(test.locator("svg.diagram")).to_be_visible()
    expect(test.locator(".details")).to_have_text(HOSTILE)
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2


@pytest.mark.parametrize(
    ("outcomes", "verdict", "mood"),
    [
        (["passed"], "PASSED on lguest: 1 passed", "good"),
        (["passed", "deviation"], "PASSED on lguest: 1 known deviations, 1 passed", "good"),
        (["passed", "failed"], "FAILED on lguest: ", "bad"),
        (["passed", "inconclusive"], "FAILED on lguest: ", "bad"),
        (["skipped"], "NO VERDICT on lguest: 1 skipped (no test passed)", "open"),
        (["deviation"], "NO VERDICT on lguest: 1 known deviations (no test passed)", "open"),
        ([], "NO VERDICT: no test ran (no test passed)", "open"),
    ],
)
def test_the_verdict_is_no_better_than_the_run(
    tmp_path: Path, outcomes: list[results.Outcome], verdict: str, mood: str
) -> None:
    tests = [
        results.Result(f"test.py::test_{n}", ["DLV-2"], "lguest", word, reason="so")
        for n, word in enumerate(outcomes)
    ]
    page = made(tmp_path, tests).read_text()
    assert verdict in page
    assert f'class="verdict {mood}"' in page


def test_five_thousand_tests_can_be_searched(watched: Watched, tmp_path: Path) -> None:
    tests = [
        results.Result(f"testcases/test_x.py::test_{n}[lguest]", ["DLV-2"], "lguest", "passed")
        for n in range(5000)
    ]
    page = watched.look_at(made(tmp_path, tests))
    expect(page.locator("output")).to_have_text("5,000 of 5,000 tests")
    page.get_by_label("Search").fill("4999")
    assert shown_tests(page) == 1
    page.locator("details.test:visible summary").click()
    expect(page.locator("details.test:visible code")).to_contain_text("test_4999")


def test_a_capture_other_than_the_one_written_is_named(watched: Watched, tmp_path: Path) -> None:
    test = hostile_test(tmp_path)
    (tmp_path / "captures" / "one.pcapng").write_bytes(b"not a capture")
    page = watched.look_at(made(tmp_path, [test]))
    expect(page.locator("details.test")).to_contain_text("No capture to show: ")


def test_the_same_run_gives_the_same_report(tmp_path: Path) -> None:
    test = hostile_test(tmp_path)
    one = made(tmp_path, [test]).read_bytes()
    assert made(tmp_path, [test]).read_bytes() == one
