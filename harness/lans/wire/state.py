"""Where runs keep what other runs must know: changed interfaces, and who uses which LAN."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from harness.lan import LanError


def folder() -> Path:
    """Where the files are, private to the user."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if os.geteuid() == 0:
        place = Path("/run/lguest-harness")
    elif runtime:
        place = Path(runtime) / "lguest-harness"
    else:
        place = Path(tempfile.gettempdir()) / f"lguest-harness-{os.geteuid()}"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if place.stat().st_uid != os.geteuid():
        raise LanError(f"{place} belongs to somebody else")
    return place
