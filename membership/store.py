"""Our own incarnation, kept over restarts.

A member that came back with an incarnation that it had used before would be contradicted by its own past: the
others would believe the old suspicion or death, and ignore its new meta, until it had refuted.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import structlog
import trio

from membership.errors import MembershipError

log = structlog.get_logger()


class IncarnationStore(Protocol):
    """Where the highest incarnation that may have been used is kept. Called rarely: at the start, then about
    once in a hundred refutations and changes of meta."""

    def load(self) -> int:
        """The number saved last; 0 at the very first start."""
        ...

    async def save(self, upto: int) -> None:
        """Keep the number; when this returns it survives a crash. Must not hold the loop up."""
        ...


class IncarnationSaver:
    """Saves the newest reservation, one at a time, beside the protocol."""

    def __init__(self, store: IncarnationStore) -> None:
        self._store = store
        self._wanted = 0
        self._saved = 0
        self._changed = trio.Event()

    def reserve(self, upto: int) -> None:
        """Let the number be saved soon."""
        self._wanted = upto
        self._changed.set()

    async def flush(self) -> None:
        """Save what is not saved yet. A full disk must not end a membership: the next start would then refute its
        past, which takes longer."""
        upto = self._wanted
        if upto != self._saved:
            try:
                await self._store.save(upto)
            except OSError as error:
                log.error("incarnation_not_saved", incarnation=upto, reason=str(error))
            self._saved = upto

    async def run(self) -> None:
        """Save until cancelled."""
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            await self.flush()


class MemoryIncarnationStore:
    """For simulations and tests: survives a restart of the member, not of the process."""

    def __init__(self, incarnation: int = 0) -> None:
        self._incarnation = incarnation

    def load(self) -> int:
        """See `IncarnationStore`."""
        return self._incarnation

    async def save(self, upto: int) -> None:
        """See `IncarnationStore`."""
        await trio.lowlevel.checkpoint()
        self._incarnation = upto


class FileIncarnationStore:
    """One decimal number in a file, replaced atomically and synced with its directory."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> int:
        """See `IncarnationStore`. Raises MembershipError if the file is there and holds no number: to start over
        at 0 would be to forget the floor silently."""
        try:
            text = self._path.read_text(encoding="ascii")
        except FileNotFoundError:
            return 0
        except UnicodeDecodeError as error:
            raise MembershipError(f"{self._path} holds no incarnation") from error
        if not text.strip().isdecimal():
            raise MembershipError(f"{self._path} holds no incarnation: {text[:40]!r}")
        return int(text)

    async def save(self, upto: int) -> None:
        """See `IncarnationStore`. Raises OSError where the disk does."""
        await trio.to_thread.run_sync(self._save, upto)

    def _save(self, upto: int) -> None:
        fresh = self._path.with_name(self._path.name + ".new")
        with open(fresh, "w", encoding="ascii") as file:
            file.write(f"{upto}\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
