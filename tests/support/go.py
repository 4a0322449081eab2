"""Whether Go programs can be built and run here."""

from __future__ import annotations

import shutil


def why_no_go() -> str | None:
    """Why tests marked `go` cannot run here; None if they can."""
    missing = [name for name in ("go", "gofmt", "unshare") if shutil.which(name) is None]
    return f"no {', '.join(missing)} (scripts/test installs golang-go where it can)" if missing else None
