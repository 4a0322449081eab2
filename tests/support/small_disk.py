"""A file system of its own, that a test can fill. Needs root (mark the test `lab`)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.reaper import reap_after_us


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[None]:
    """Makes `folder`, and has a file system of this size there; what is in it goes with it."""
    folder.mkdir(parents=True)
    release = reap_after_us(["umount", "-l", str(folder)])
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()
        release()
