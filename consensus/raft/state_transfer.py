"""The whole applied state of a node of the log: copied to a file, and replaced by another node's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from .core import Core
from .errors import NotRunning
from .links import StateMachine
from .snapshot import SnapshotHeader, write_snapshot
from .view import NodeView


class StateTransfer(NodeView):
    """The part of `RaftNode` that does so."""

    _machine: StateMachine
    _data_dir: Path

    async def export_state(self, path: Path) -> SnapshotHeader:
        """Write what is applied now to the file `path`, as a snapshot, while everything goes on.

        Raises:
            NotRunning; ValueError: the state machine found its state damaged; OSError.
        """
        core = self._running()
        header, pieces = core.applied_header(), self._machine.image()
        await trio.to_thread.run_sync(lambda: write_snapshot(path, header, pieces()))
        return header

    async def replace_state(self, receive: Callable[[int, Path], Awaitable[None]]) -> int:
        """Replace what is applied, which is wrong, by another node's: on disk, then in memory. Returns its index.

        Nothing is applied meanwhile; the log goes on. `receive(at_least, path)` gets a snapshot file of index
        `at_least` or later. Not at the leader, which must apply what it appends.

        Raises:
            NotRunning, StorageDamaged, OSError; ValueError: what came cannot be used; whatever `receive` raises.
        """
        core, path = self._running(), self._data_dir / "snapshot.replacing"
        core.applying_held = True
        try:
            await receive(core.raftLastApplied, path)
            return await core.replace_state(path)
        finally:
            core.applying_held = False
            path.unlink(missing_ok=True)
            core.pump_soon()

    def _running(self) -> Core:
        if self._core is None:
            raise NotRunning(f"the log of node {self.node_id} does not run")
        return self._core
