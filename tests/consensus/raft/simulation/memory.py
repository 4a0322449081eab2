"""A disk in memory, as the core sees it: what is durable survives a crash, and a part of what was under way may."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgpack

from consensus.raft.corrections.compaction import base_entry
from consensus.raft.journal import Flush, Journal, _Append
from consensus.raft.library import NO_OP
from consensus.raft.record import Entry
from consensus.raft.snapshot import Snapshot, SnapshotHeader
from consensus.raft.storage import _voters
from consensus.raft.voter_set import Identity, VoterHistory
from consensus.raft.votes import Votes

_SEGMENT_ENTRIES = 6


class Disk:
    """The face of `JournalSegments`, and the rest of a data directory."""

    def __init__(self, name: str, voters: Sequence[str]) -> None:
        self.identity = Identity(name, tuple(sorted(voters)))
        self.entries = [Entry(NO_OP, 1, 0)]
        self.votes = Votes()
        self.snapshot: bytes | None = None

    def append(self, entries: Sequence[Entry]) -> None:
        self.entries += entries

    def truncate(self, last_index: int) -> None:
        del self.entries[last_index + 1 - self.entries[0].index :]

    def drop(self, first_index: int) -> None:
        """Whole segments only."""
        kept_from = max(self.entries[0].index, first_index // _SEGMENT_ENTRIES * _SEGMENT_ENTRIES)
        del self.entries[: kept_from - self.entries[0].index]

    def restart(self, base: Entry) -> None:
        self.entries = [base]

    def sync(self) -> None:
        pass

    def keep_votes(self, votes: Votes) -> None:
        self.votes = votes

    def tear(self, flush: Flush, rng: random.Random) -> None:
        """A crash in the middle of a flush: a part of it, in order."""
        if rng.random() < 0.3:
            return
        if flush._votes is not None:
            self.votes = flush._votes
        for change in flush._changes[: rng.randint(0, len(flush._changes))]:
            if isinstance(change, _Append) and rng.random() < 0.5:
                self.append(change.entries[: rng.randint(0, len(change.entries))])
                return
            Flush(self, [change], self.keep_votes, None, 0).run()  # type: ignore[arg-type]

    def open(self) -> tuple[Journal, VoterHistory, MemorySnapshots]:
        """As `open_storage` does it."""
        snapshots = MemorySnapshots(self)
        snapshot = None
        if self.snapshot is not None:
            snapshot = unpack_snapshot(self.snapshot)
            header = snapshots.header = snapshot.header
            first, last = self.entries[0], self.entries[-1]
            assert header.index >= first.index, "a hole between snapshot and journal"
            if not (header.index <= last.index and self.entries[header.index - first.index].term == header.term):
                self.entries = [base_entry(header)]
        else:
            assert self.entries[0].index == 1, "the snapshot is lost"
        voters = _voters(self.identity, snapshot, self.entries)
        return Journal(self, list(self.entries), self.votes, self.keep_votes), voters, snapshots  # type: ignore[arg-type]


def unpack_snapshot(data: bytes) -> Snapshot:
    index, term, voters, state = msgpack.unpackb(data)
    return Snapshot(SnapshotHeader(index, term, tuple(voters)), memoryview(state))


class MemorySnapshots:
    """The face of `SnapshotStore`."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.header: SnapshotHeader | None = None

    @property
    def index(self) -> int:
        return 0 if self.header is None else self.header.index

    def write(self, header: SnapshotHeader, pieces: Callable[[], Iterable[bytes]]) -> None:
        self._disk.snapshot = msgpack.packb([header.index, header.term, header.voters, b"".join(pieces())])

    def install(self, receiving: MemoryReceiving) -> Snapshot:
        snapshot = unpack_snapshot(bytes(receiving.data))
        self._disk.snapshot = bytes(receiving.data)
        return snapshot

    def open_sending(self) -> MemorySending | None:
        if self.header is None or self._disk.snapshot is None:
            return None
        return MemorySending(unpack_snapshot(self._disk.snapshot).header.index, self._disk.snapshot)

    def begin_receiving(self, index: int, size_bytes: int) -> MemoryReceiving:
        return MemoryReceiving(index, size_bytes)


class MemorySending:
    def __init__(self, index: int, data: bytes) -> None:
        self.index, self.offset, self._data = index, 0, data

    def chunk(self, size_bytes: int) -> dict[str, Any]:
        data = self._data[self.offset : self.offset + size_bytes]
        return {"snapshot": self.index, "size": len(self._data), "offset": self.offset, "data": data}

    def close(self) -> None:
        pass


class MemoryReceiving:
    def __init__(self, index: int, size_bytes: int) -> None:
        self.index, self.size_bytes, self.data = index, size_bytes, bytearray()

    @property
    def offset(self) -> int:
        return len(self.data)

    def take(self, offset: int, data: bytes) -> None:
        if offset == self.offset:
            self.data += data

    @property
    def whole(self) -> bool:
        return self.offset >= self.size_bytes

    def close(self) -> None:
        pass
