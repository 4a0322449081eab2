"""Snapshots that lose nothing: the log's tail stays, the loop goes on, a bad one is noticed.

Stock (design.md §10 A): when the dump is newer than the journal's first entry, the whole journal is dropped at the
next start, with its acknowledged tail; a dump that cannot be read is swallowed and the node starts empty; writing
one stops the loop or forks. Here the state is frozen in the loop, and encoded and written in a worker thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import structlog
import trio

from ..errors import StorageDamaged
from ..library import NO_OP, Library, Message, Node
from ..record import Entry
from ..snapshot import SnapshotHeader, read_snapshot
from ..snapshot_store import SnapshotReceiving

_log = structlog.get_logger()


def base_entry(header: SnapshotHeader) -> Entry:
    """The entry that stands at the beginning of a log that continues a snapshot; nobody ever applies it."""
    return Entry(NO_OP, header.index, header.term)


async def _let_go(replaced: Iterable[object]) -> None:
    """Free it a piece at a time."""
    for _ in replaced:
        await trio.lowlevel.checkpoint()


class Compaction(Library):
    """Snapshots: made, sent by `Replication`, received and installed here."""

    def __init__(self, **parts: Any) -> None:
        self.snapshot_lock: AbstractAsyncContextManager[Any] = trio.Lock()
        self.in_thread: Callable[..., Awaitable[Any]] = trio.to_thread.run_sync
        self._receiving: SnapshotReceiving | None = None
        self._installing = False
        self._making = False
        self.start_soon: Callable[..., None] | None = None
        """Of the nursery that the driver runs the core in."""
        self.image_failed: Callable[[str], None] = lambda reason: None
        """Told when the state machine finds its own state damaged while it makes a snapshot."""
        self.pump_soon: Callable[[], None] = lambda: None
        super().__init__(**parts)

    def compact_if_due(self) -> None:
        """Begin a snapshot when enough has been applied since the last one."""
        if self._making or self._installing or self.start_soon is None:
            return
        applied, settings = self.raftLastApplied, self.settings
        fresh = applied - max(self.snapshots.index, self.journal.first.index)
        full = self.journal.size_bytes >= settings.snapshot_after_bytes and fresh > 0
        if fresh >= settings.snapshot_after_entries or full:
            self.compact_now()

    def compact_now(self) -> None:
        """Begin a snapshot of what is applied now."""
        assert self.start_soon is not None
        self._making = True
        self.start_soon(self._make_snapshot, self.applied_header(), self.machine.image())

    def applied_header(self) -> SnapshotHeader:
        """Of a snapshot of what is applied now."""
        applied = self.raftLastApplied
        return SnapshotHeader(applied, self.journal.at(applied).term, self.voter_history.at(applied))

    def handle(self, node: Node, message: Message) -> None:
        if message["type"] == "snapshot_chunk":
            self._on_chunk(node, message)
        else:
            super().handle(node, message)

    async def _make_snapshot(self, header: SnapshotHeader, pieces: Callable[[], Iterable[bytes]]) -> None:
        try:
            async with self.snapshot_lock:
                if header.index <= self.snapshots.index:
                    return
                await self.in_thread(self.snapshots.write, header, pieces)
                self.snapshots.header = header
                self._drop_entries(header.index)
        except OSError as error:
            _log.error("raft_snapshot_failed", node_id=self.node_id, error=str(error))
            return
        except ValueError as error:
            _log.critical("raft_snapshot_refused", node_id=self.node_id, error=str(error))
            self.image_failed(str(error))
            return
        finally:
            self._making = False
        self.pump_soon()
        _log.info("raft_snapshot_made", node_id=self.node_id, index=header.index)

    def _drop_entries(self, index: int) -> None:
        """Drop what the snapshot has, but for a tail that spares slow followers a snapshot."""
        log, keep = self.journal, index
        spare_bytes = self.settings.snapshot_after_bytes // 4
        lowest = max(log.first.index, index - self.settings.tail_entries_kept)
        while keep > lowest and (spare_bytes := spare_bytes - len(log.at(keep).command)) > 0:
            keep -= 1
        log.deleteEntriesTo(keep - log.first.index)
        self.voter_history.compact(keep)

    def _on_chunk(self, node: Node, message: Message) -> None:
        if message["term"] < self.raftCurrentTerm:
            self.transport.send(node, {"type": "stale", "term": self.raftCurrentTerm})
            return
        if message["term"] > self.raftCurrentTerm or self._isLeader():
            self.step_down(message["term"], "a newer leader exists")
        self.heard_leader()
        # The library's bookkeeping of the leader; a snapshot message verifies nothing of our log.
        contact = {"type": "append_entries", "term": message["term"], "commit_index": 0}
        super().handle(node, contact)
        if self._installing:
            return
        index = message["snapshot"]
        if index <= self.raftLastApplied:
            self._answer_chunk(node, message, offset=0, done=True)
            return
        try:
            receiving = self._take(index, message)
        except OSError as error:
            _log.error("raft_snapshot_failed", node_id=self.node_id, error=str(error))
            self._drop_receiving()
            return
        if not receiving.whole:
            self._answer_chunk(node, message, offset=receiving.offset, done=False)
        elif self.start_soon is not None:
            self._installing = True
            self.start_soon(self._install, receiving, node, message)

    def _take(self, index: int, message: Message) -> SnapshotReceiving:
        """Raises OSError: no room; the leader will send it again."""
        receiving = self._receiving
        if receiving is None or receiving.index != index or receiving.size_bytes != message["size"]:
            self._drop_receiving()
            receiving = self._receiving = self.snapshots.begin_receiving(index, message["size"])
        receiving.take(message["offset"], message["data"])
        return receiving

    def _answer_chunk(self, node: Node, message: Message, *, offset: int, done: bool) -> None:
        answer = {"type": "snapshot_answer", "snapshot": message["snapshot"], "offset": offset, "done": done}
        self.transport.send(node, answer | {"exchange": message["exchange"]})

    def _drop_receiving(self) -> None:
        receiving, self._receiving = self._receiving, None
        if receiving is not None:
            receiving.close()

    async def _install(self, receiving: SnapshotReceiving, node: Node, message: Message) -> None:
        term = self.raftCurrentTerm
        try:
            async with self.snapshot_lock:
                snapshot = await self.in_thread(self.snapshots.install, receiving)
                replaced = self._adopt(snapshot.header, await self.in_thread(self.machine.load, snapshot.state))
        except StorageDamaged as error:
            _log.warning("raft_snapshot_damaged_on_the_way", node_id=self.node_id, error=str(error))
            return
        except OSError as error:
            _log.error("raft_snapshot_failed", node_id=self.node_id, error=str(error))
            return
        finally:
            self._drop_receiving()
            self._installing = False
        if self.raftCurrentTerm == term:
            self.durability.hold(lambda: self._answer_chunk(node, message, offset=0, done=True))
        self.pump_soon()
        await _let_go(replaced)

    async def replace_state(self, path: Path) -> int:
        """Replace state and snapshot by the snapshot file `path`, which is at least as new; nothing may be applied
        meanwhile. Returns its index.

        Raises:
            StorageDamaged, ValueError: it cannot be read, or is too old; nothing was changed.
        """
        async with self.snapshot_lock:
            snapshot = await self.in_thread(read_snapshot, path)
            index: int = snapshot.header.index
            if index < self.raftLastApplied:
                raise ValueError(f"the state is of index {index}, but {self.raftLastApplied} is applied here")
            put_in_place = await self.in_thread(self.machine.load, snapshot.state)
            await self.in_thread(self.snapshots.adopt, path)
            replaced = self._adopt(snapshot.header, put_in_place, replacing=True)
        await _let_go(replaced)
        return index

    def _adopt(
        self, header: SnapshotHeader, put_in_place: Callable[[], Iterable[object]], *, replacing: bool = False
    ) -> Iterable[object]:
        """Continue from a snapshot that is on disk by now. Keeps the tail of the log that continues it.

        Returns what its state replaced.
        """
        log = self.journal
        self.snapshots.header = header
        if header.index <= self.raftLastApplied and not replacing:
            return ()
        replaced = put_in_place()
        self._SyncObj__raftLastApplied = header.index
        self._SyncObj__raftCommitIndex = max(self.raftCommitIndex, header.index)
        if log.holds(header.index) and log.at(header.index).term == header.term:
            log.deleteEntriesTo(header.index - log.first.index)
            self.voter_history.compact(header.index)
        else:
            log.reset(base_entry(header))
            self.voter_history.restart(header.index, header.voters)
            self.follow_voters()
        self.committed_voters_index, self.committed_voters = header.index, header.voters
        self.forget_waiting(header.index)
        _log.info("raft_snapshot_installed", node_id=self.node_id, index=header.index)
        return replaced
