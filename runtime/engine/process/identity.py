"""Processes that are not our children: which one it is, whether it lives, and waiting for its end."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
from msgspec import Struct

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class ProcessIdentity(Struct, frozen=True):
    """A pid with its start time (clock ticks since that boot), so that a reused pid is never mistaken."""

    pid: int
    start_ticks: int
    boot_id: str

    def alive(self) -> bool:
        """False once it has ended, a zombie included."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return False
        # Fields after the command's name, which may hold anything: state is the 3rd of all, start the 22nd.
        fields = stat.rpartition(b")")[2].split()
        if fields[0] in (b"Z", b"X") or int(fields[19]) != self.start_ticks:
            return False
        return _BOOT_ID.read_text().strip() == self.boot_id

    def open(self) -> int | None:
        """A pidfd, readable when it ends; None where it has ended. The caller closes it."""
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        # Only now is the pid pinned: if it is still the one that we mean, the fd is, too.
        if self.alive():
            return fd
        os.close(fd)
        return None


async def wait_ended(process: ProcessIdentity) -> None:
    """Return when the process has ended, at once where it had."""
    fd = process.open()
    if fd is None:
        return
    try:
        await anyio.wait_readable(fd)
    finally:
        os.close(fd)
