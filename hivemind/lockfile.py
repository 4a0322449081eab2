"""One daemon per data-dir: a lock that ends with the process that holds it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class AlreadyRunning(Exception):
    """Another daemon has this data-dir."""


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Holds `data_dir`/lock, which names our pid, until the end of the block.

    Raises:
        AlreadyRunning: another process holds it.
    """
    path = data_dir / "lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.pread(fd, 32, 0).decode().strip() or "unknown"
            raise AlreadyRunning(f"a daemon runs on {data_dir} already (pid {pid})") from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)
