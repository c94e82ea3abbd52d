"""All results and captures of a report as one ZIP file, to hand on."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path

from harness.evidence.judge import BadEvidence, capture_path
from harness.evidence.merge import Runs
from harness.evidence.own_folder import replace

FILE_NAME = "evidence.zip"
TOP = "lguest-harness"
"""The folder in the archive; its name at the beginning marks the file as ours."""

LARGEST = 64 << 20
"""Bytes of captures; a larger run is not packed."""

_EPOCH = (1980, 1, 1, 0, 0, 0)


def write(runs: Runs, folder: Path) -> str:
    """Pack the runs, and return the name of the file; "" if they are too large, or unreadable.

    OSError if it cannot be written, or a file of the user is there.
    """
    packed = BytesIO()
    left = LARGEST
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as into:
        for number, run in enumerate(runs.runs, start=1):
            top = f"{TOP}/{number}" if len(runs.runs) > 1 else TOP
            below = {run.path.name: run.path}
            for test in run.tests:
                if test.capture is not None:
                    try:
                        below[test.capture.path] = capture_path(test.capture, run.path.parent)
                    except BadEvidence:
                        continue
            for name, path in below.items():
                try:
                    content = path.read_bytes() if path.is_file() else b""
                except OSError:
                    continue
                left -= len(content)
                if left < 0:
                    return ""
                about = zipfile.ZipInfo(f"{top}/{name}", _EPOCH)
                about.compress_type = zipfile.ZIP_DEFLATED
                into.writestr(about, content)
    replace(folder / FILE_NAME, packed.getvalue(), TOP.encode())
    return FILE_NAME
