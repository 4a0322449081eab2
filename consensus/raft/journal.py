"""The log as PySyncObj sees it, and the group commit behind it.

Changes act on the entries in memory at once and are queued for the disk. One flush at a time takes all that is
queued, writes and syncs it in a worker thread, and reports back: a single fdatasync covers everything that came
while the one before was under way. Term and vote travel in the same flushes, before the entries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import overload

import msgspec

from .journal_segments import JournalSegments
from .record import Entry
from .votes import Votes


class _Append(msgspec.Struct):
    entries: list[Entry]


class _Truncate(msgspec.Struct, frozen=True):
    last_index: int


class _Drop(msgspec.Struct, frozen=True):
    first_index: int


class _Restart(msgspec.Struct, frozen=True):
    base: Entry


_Change = _Append | _Truncate | _Drop | _Restart
_SMALL_ENTRIES = 4


class Flush:
    """What one trip to the disk makes durable. `run` blocks; after an OSError it may be run again."""

    def __init__(
        self,
        segments: JournalSegments,
        changes: list[_Change],
        keep_votes: Callable[[Votes], None],
        votes: Votes | None,
        revision: int,
    ) -> None:
        self._segments = segments
        self._changes = changes
        self._keep_votes = keep_votes
        self._votes = votes
        self.revision = revision

    @property
    def is_small(self) -> bool:
        """Whether it is a few entries and nothing else, so that one sync is all that takes time."""
        if self._votes is not None or len(self._changes) != 1:
            return False
        change = self._changes[0]
        return isinstance(change, _Append) and len(change.entries) <= _SMALL_ENTRIES

    def run(self) -> None:
        """Write and sync. Raises OSError with the changes that are not done yet still in the flush."""
        if self._votes is not None:
            self._keep_votes(self._votes)
            self._votes = None
        while self._changes:
            match self._changes[0]:
                case _Append(entries):
                    self._segments.append(entries)
                case _Truncate(last_index):
                    self._segments.truncate(last_index)
                case _Drop(first_index):
                    self._segments.drop(first_index)
                case _Restart(base):
                    self._segments.restart(base)
            del self._changes[0]
        self._segments.sync()


class Journal:
    """The face of `pysyncobj.journal.Journal`, over `JournalSegments`. `keep_votes` blocks until they are durable.

    It may hold fewer entries than the disk, where only whole segments are dropped.

    `added` and `cut` are told of every entry that enters and of every cut at the end, so that what derives from
    the log (the voter set) can never disagree with it.
    """

    def __init__(
        self, segments: JournalSegments, entries: Sequence[Entry], votes: Votes, keep_votes: Callable[[Votes], None]
    ) -> None:
        self._segments = segments
        self._entries = list(entries)
        self._votes = votes
        self._keep_votes = keep_votes
        self._changes: list[_Change] = []
        self._votes_dirty = False
        self._flushing_index = 0
        self._bytes = sum(len(entry.command) for entry in entries)
        self.durable_index = self._entries[-1].index
        self.revision = 0
        self.durable_revision = 0
        self.added: Callable[[Entry], None] = lambda entry: None
        self.cut: Callable[[int], None] = lambda last_index: None

    # What PySyncObj calls.

    def add(self, command: bytes, idx: int, term: int) -> None:
        entry = Entry(command, idx, term)
        self._entries.append(entry)
        self._bytes += len(command)
        if self._changes and isinstance(last := self._changes[-1], _Append):
            last.entries.append(entry)
            self.revision += 1
        else:
            self._queue(_Append([entry]))
        self.added(entry)

    def deleteEntriesFrom(self, entryFrom: int) -> None:
        """Drop the entry at position `entryFrom` and all after it."""
        if entryFrom >= len(self._entries):
            return
        self._bytes -= sum(len(entry.command) for entry in self._entries[entryFrom:])
        del self._entries[entryFrom:]
        last_index = self._entries[-1].index
        self.durable_index = min(self.durable_index, last_index)
        self._flushing_index = min(self._flushing_index, last_index)
        self._queue(_Truncate(last_index))
        self.cut(last_index)

    def deleteEntriesTo(self, entryTo: int) -> None:
        """Drop the entries before position `entryTo`."""
        if entryTo <= 0:
            return
        self._bytes -= sum(len(entry.command) for entry in self._entries[:entryTo])
        del self._entries[:entryTo]
        self._queue(_Drop(self._entries[0].index))

    @overload
    def __getitem__(self, item: int) -> Entry: ...
    @overload
    def __getitem__(self, item: slice) -> list[Entry]: ...
    def __getitem__(self, item: int | slice) -> Entry | list[Entry]:
        return self._entries[item]

    def __len__(self) -> int:
        return len(self._entries)

    def getCurrentTerm(self) -> int:
        return self._votes.term

    def getVotedForNodeId(self) -> str | None:
        return self._votes.voted_for

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:
        self._votes = Votes(term, votedForNodeId)
        self._votes_dirty = True
        self.revision += 1

    def getRaftCommitIndex(self) -> int:
        """Volatile in Raft: learnt anew from the leader."""
        return self._entries[0].index

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:
        """Not stored, see `getRaftCommitIndex`."""

    def onOneSecondTimer(self) -> None:
        """The stock journal stores its metadata here, up to a second late; ours has done so long before."""

    def _destroy(self) -> None:
        """Closing is the opener's task: a flush may still be under way."""

    # What we call.

    def reset(self, base: Entry) -> None:
        """Forget all entries; the log begins anew after `base` (an installed snapshot's last entry)."""
        self._entries = [base]
        self._bytes = len(base.command)
        self.durable_index = self._flushing_index = 0
        self._queue(_Restart(base))
        self.cut(0)

    @property
    def first(self) -> Entry:
        return self._entries[0]

    @property
    def last(self) -> Entry:
        return self._entries[-1]

    @property
    def size_bytes(self) -> int:
        """Of the commands held."""
        return self._bytes

    @property
    def segments(self) -> int:
        """How many there are on disk."""
        return self._segments.count

    def at(self, index: int) -> Entry:
        """The entry with this log index, which must be held."""
        return self._entries[index - self._entries[0].index]

    def holds(self, index: int) -> bool:
        return self._entries[0].index <= index <= self._entries[-1].index

    @property
    def dirty(self) -> bool:
        return self.revision != self.durable_revision

    def begin_flush(self) -> Flush:
        """Take all that is queued. One flush at a time; end it with `flushed`."""
        votes = self._votes if self._votes_dirty else None
        flush = Flush(self._segments, self._changes, self._keep_votes, votes, self.revision)
        self._changes, self._votes_dirty = [], False
        self._flushing_index = self._entries[-1].index
        return flush

    def flushed(self, flush: Flush) -> None:
        """What `flush` took is durable now."""
        self.durable_revision = flush.revision
        self.durable_index = max(self.durable_index, self._flushing_index)

    def close(self) -> None:
        """Close the files; no flush may be under way."""
        self._segments.close()

    def _queue(self, change: _Change) -> None:
        self._changes.append(change)
        self.revision += 1
