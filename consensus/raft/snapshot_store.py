"""The snapshot on disk, as the leader sends it and as a follower receives it: in chunks, resumable by offset."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from .durable_file import adopt_durably
from .snapshot import Snapshot, SnapshotHeader, adopt_snapshot, write_snapshot


class SnapshotSending:
    """One transfer to one follower. Keeps reading the same file, whatever replaces it meanwhile."""

    def __init__(self, path: Path, index: int) -> None:
        self.index = index
        self.offset = 0
        self._descriptor = os.open(path, os.O_RDONLY)
        self._size = os.fstat(self._descriptor).st_size

    def chunk(self, size_bytes: int) -> dict[str, Any]:
        """Fields of the next chunk's message."""
        data = os.pread(self._descriptor, size_bytes, self.offset)
        return {"snapshot": self.index, "size": self._size, "offset": self.offset, "data": data}

    def close(self) -> None:
        os.close(self._descriptor)


class SnapshotReceiving:
    """A snapshot that comes in, in a file beside the real one until it is whole."""

    def __init__(self, path: Path, index: int, size_bytes: int) -> None:
        self.index = index
        self.size_bytes = size_bytes
        self.offset = 0
        self._path = path
        self._file = open(path, "wb")  # noqa: SIM115 - open until the last chunk, over many messages

    def take(self, offset: int, data: bytes) -> None:
        """Write a chunk; one that does not continue what we have is ignored."""
        if offset == self.offset:
            self._file.write(data)
            self.offset += len(data)

    @property
    def whole(self) -> bool:
        return self.offset >= self.size_bytes

    def install(self, target: Path) -> Snapshot:
        """Check it and make it the snapshot, durably; blocks. Raises StorageDamaged if it came in damaged."""
        self._file.flush()
        return adopt_snapshot(target, self._path)

    def close(self) -> None:
        # Its buffer may not fit on a full disk, and is of no use to anybody.
        with suppress(OSError):
            self._file.close()
        self._path.unlink(missing_ok=True)


class SnapshotStore:
    """Where the snapshot is, and what is in it."""

    def __init__(self, path: Path, header: SnapshotHeader | None) -> None:
        self.path = path
        self.header = header
        self.size_bytes = 0
        self.write_s = 0.0

    @property
    def index(self) -> int:
        return 0 if self.header is None else self.header.index

    def write(self, header: SnapshotHeader, pieces: Callable[[], Iterable[bytes]]) -> None:
        """Make it the snapshot, durably; blocks. `header` counts when the caller says so."""
        began_s = time.monotonic()
        self.size_bytes = write_snapshot(self.path, header, pieces())
        self.write_s = time.monotonic() - began_s

    def install(self, receiving: SnapshotReceiving) -> Snapshot:
        """As `SnapshotReceiving.install`."""
        return receiving.install(self.path)

    def adopt(self, path: Path) -> None:
        """Make the file `path`, which was checked, the snapshot, durably; blocks."""
        adopt_durably(path, self.path)

    def open_sending(self) -> SnapshotSending | None:
        """Begin a transfer; None if there is no snapshot."""
        return None if self.header is None else SnapshotSending(self.path, self.header.index)

    def begin_receiving(self, index: int, size_bytes: int) -> SnapshotReceiving:
        return SnapshotReceiving(self.path.with_name(self.path.name + ".incoming"), index, size_bytes)
