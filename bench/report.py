"""The report of a large run: how long it takes to write, and to open in a browser."""

from __future__ import annotations

import shutil
import statistics
import time
from pathlib import Path

from harness.evidence import comments, merge, pcapng, results
from harness.frames import BROADCAST, ethernet
from harness.lans import lguest
from harness.plugin import writer
from harness.report import html


def written(folder: Path, tests: int) -> float:
    """Seconds to write the report of so many tests, test with an exchange and a capture."""
    ids = [f"testcases/test_bench.py::test_{number}[lguest]" for number in range(tests)]
    lines: list[results.Line] = [_run(ids), *(_test(folder, test) for test in ids)]
    lines.append(results.End({"passed": tests}, 0, 1.0))
    file = folder / results.FILE_NAME
    file.write_bytes(b"".join(results.line(test) for test in lines))
    start = time.perf_counter()
    html.write(merge.load([file]), folder)
    return time.perf_counter() - start


def opened(folder: Path) -> float | None:
    """Seconds until its list can be used in Chromium; None where there is none."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if program is None:
        return None
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        taken = []
        for _ in range(3):
            page = browser.new_page()
            start = time.perf_counter()
            page.goto((folder / "index.html").as_uri())
            page.wait_for_selector("html[data-ready]")
            taken.append(time.perf_counter() - start)
            page.close()
        browser.close()
    return statistics.median(taken)


def _run(ids: list[str]) -> results.Run:
    return results.Run(
        schema=results.SCHEMA,
        harness="bench",
        rules=results.rules_hash(),
        lans={"lguest": ""},
        options={},
        repeat=[],
        shard="",
        collected=ids,
        machine="",
        started="2007-07-26T17:41:03Z",
    )


def _test(folder: Path, node_id: str) -> results.Result:
    lan = lguest.lguest()
    sender, owner, other = lan.ports(3)
    frame = ethernet(BROADCAST, sender)
    sender.send(frame)
    lan.settle()
    records = [record._replace(comments=("DLV-3", "passed")) for record in lan.records()]
    content = pcapng.encode(lan.interfaces(), records, [f"{comments.TEST}{node_id}"])
    lan.close()
    below = f"captures/{pcapng.path_of(node_id).as_posix()}"
    pcapng.write(folder / below, content)
    whole = [results.Wanted(len(frame), 1)]
    ports = {port.name: port.mac.hex(":") for port in (sender, owner, other)}
    wanted = {owner.name: whole, other.name: whole}
    return results.Result(
        id=node_id,
        rules=["DLV-3"],
        lan="lguest",
        outcome="passed",
        settled="barrier",
        ports=ports,
        exchanges=[results.Exchange(1, 3, 3, "wire", list(ports), wanted, True)],
        capture=writer.capture_of(below, content, len(records)),
    )
