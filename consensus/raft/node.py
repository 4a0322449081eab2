"""`RaftNode`: the replicated log in trio. With its pump the only driver in this package."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import structlog
import trio

from .config import RaftConfig
from .core import Core
from .durability import Durability
from .errors import (
    ApplyFailed,
    BarrierFailed,
    EntryTooLarge,
    NotLeader,
    StorageFull,
    TransferFailed,
)
from .library import REGULAR, Node
from .links import RaftLinks, StateMachine
from .proposal import Proposal
from .pump import Pump
from .state_transfer import StateTransfer
from .storage import Storage, create_storage, has_identity, open_storage
from .transport import transport_over
from .view import NOBODY, Leadership
from .waiting import Threshold, Waiters

_log = structlog.get_logger()


class Applied(msgspec.Struct, frozen=True):
    """A proposal that was applied at the leader: its log index, and what the state machine returned."""

    index: int
    result: Any


class RaftNode(StateTransfer):
    """One node of the replicated log.

    Before the first `run` ever, call `found` (first node of a cluster) or `learn` (every other node). Later starts
    read everything from `data_dir`.
    """

    def __init__(
        self,
        *,
        node_id: str,
        data_dir: Path,
        links: RaftLinks,
        machine: StateMachine,
        config: RaftConfig,
        rng: random.Random,
    ) -> None:
        super().__init__()
        config.validate()
        self.node_id = node_id
        self._data_dir = data_dir
        self._links = links
        self._machine = machine
        self._config = config
        self._rng = rng
        self._first_voters: tuple[str, ...] | None = None
        self._hints: set[str] = set()
        self.image_failed: Callable[[str], None] = lambda reason: None
        """Called when the state machine finds its own state damaged while a snapshot is made; must not raise."""
        self._storage: Storage | None = None
        self._pump: Pump
        """Of the core, while there is one."""
        self._applied = Threshold()
        self._confirmed = Waiters()
        self._leadership_changed = trio.Event()

    # First start.

    @property
    def has_state(self) -> bool:
        """Whether the data directory holds a node already: then neither `found` nor `learn`."""
        return has_identity(self._data_dir)

    def found(self) -> None:
        """First start of the first node: the sole voter of a new cluster."""
        self._first_voters = (self.node_id,)

    def learn(self, voters: Sequence[str]) -> None:
        """First start of a joiner: learner of these voters."""
        self._first_voters = tuple(voters)
        self.update_voters(voters)

    def update_voters(self, voters: Sequence[str]) -> None:
        """A hint that these nodes may know the leader; for a learner that was away while all voters changed."""
        self._hints |= set(voters) - {self.node_id}
        if self._core is not None:
            self._core.transport.hint(self._hints)
            self._core.pump_soon()

    # Running.

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take part until cancelled. Started when the state of the disk is restored.

        Raises:
            StorageError: the files cannot be used.
            OSError: the disk fails.
        """
        storage = await trio.to_thread.run_sync(self._open)
        try:
            if storage.snapshot is not None:
                (await trio.to_thread.run_sync(self._machine.load, storage.snapshot.state))()
                storage.snapshot = None
            durability = Durability(storage.journal)
            core = self._make_core(storage, durability)
            self._pump = pump = Pump(core, self._observe)
            durability.flushed, core.pump_soon = pump.flushed, pump.kick
            async with trio.open_nursery() as nursery:
                core.start_soon = nursery.start_soon
                self._core, self._storage = core, storage
                self._links.listen(self)
                core.transport.start()
                core.transport.hint(self._hints)
                nursery.start_soon(durability.run)
                nursery.start_soon(self._keep_voters)
                self._observe()
                task_status.started()
                await pump.run()
        finally:
            if self._core is not None:
                self._core.transport.destroy()
                self._core = None
                self._observe()
            storage.close()

    def _open(self) -> Storage:
        if self._first_voters is not None:
            create_storage(self._data_dir, self.node_id, self._first_voters)
            self._first_voters = None
        return open_storage(self._data_dir, self.node_id, self._config.segment_bytes)

    def _make_core(self, storage: Storage, durability: Durability) -> Core:
        core = Core(
            node_id=self.node_id,
            config=self._config,
            journal=storage.journal,
            voters=storage.voters,
            machine=self._machine,
            snapshots=storage.snapshots,
            durability=durability,
            transport=transport_over(self._links),
            rng=self._rng,
            clock=time.monotonic,
            applied_index=storage.applied_index,
            committed_voters=storage.committed_voters,
        )
        durability.full = core.set_storage_full
        core.image_failed = lambda reason: self.image_failed(reason)
        return core

    def _observe(self) -> None:
        """Tell those who wait of what the tick changed."""
        core = self._core
        self._applied.advance(0 if core is None else core.raftLastApplied)
        self._confirmed.check()
        leadership = NOBODY if core is None else self._see(core)
        if leadership != self._leadership:
            self._leadership = leadership
            self._leadership_changed.set()
            self._leadership_changed = trio.Event()

    def _see(self, core: Core) -> Leadership:
        leader = core._getLeader()
        voters = core.committed_voters
        return Leadership(
            leader_id=None if leader is None else leader.id,
            is_leader=core._isLeader(),
            term=core.raftCurrentTerm,
            role="voter" if self.node_id in voters else "learner",
            voters=voters,
        )

    async def _keep_voters(self) -> None:
        """Write every committed voter set to disk, for the next start."""
        leadership = self._leadership
        while True:
            kept = leadership.voters
            while leadership.voters == kept:
                leadership = await self.wait_leadership(leadership)
            if self._storage is not None and self._core is not None:
                kept_now = self._core.committed_voters_index, self._core.committed_voters
                try:
                    await trio.to_thread.run_sync(self._storage.save_voters, *kept_now)
                except OSError as error:
                    # The log has it too; all that is lost is that a restart may show older voters for a moment.
                    _log.warning("raft_voters_not_kept", node_id=self.node_id, error=str(error))

    # What the links tell (LinkReceiver).

    def message(self, node_id: str, body: Any) -> None:
        if self._core is not None:
            self._core.receive(node_id, body)
            if self._core.is_other_voter(node_id):
                self._pump.step()
            else:
                # Learners may be hundreds, and wait for each other.
                self._core.pump_soon()

    def up(self, node_id: str) -> None:
        if self._core is not None:
            self._core.transport.link_up(node_id)
            self._core.pump_soon()

    def down(self, node_id: str) -> None:
        if self._core is not None:
            self._core.transport.link_down(node_id)
            self._core.pump_soon()

    # Waiting.

    async def wait_caught_up(self, node_id: str) -> None:
        """Return when `caught_up(node_id)`. Raises NotLeader when this node stops leading."""
        await self._confirmed.wait(lambda: not self.is_leader or self.caught_up(node_id))
        if not self.is_leader:
            raise NotLeader(self.leader_id)

    async def wait_applied(self, index: int) -> None:
        """Return when this node's state machine has applied the entry `index`."""
        await self._applied.wait(index)

    async def wait_leadership(self, seen: Leadership) -> Leadership:
        """Return the leadership as soon as it is not `seen` (any more)."""
        while self._leadership == seen:
            await self._leadership_changed.wait()
        return self._leadership

    # What the leader does.

    async def propose(self, entry: bytes, *, timeout_s: float) -> Applied:
        """Append `entry`, and return when it is applied here.

        Raises:
            ProposalRefused: it was not applied and will not be; one of its subclasses says why.
            OutcomeUnknown: it may have been applied or may be later.
        """
        if len(entry) > self._config.entry_bytes_max:
            raise EntryTooLarge(len(entry), self._config.entry_bytes_max)
        core = self._leading()
        answer, began_s = self._proposal(core, timeout_s), time.monotonic()
        self._proposals += 1
        self._proposals_failed += 1
        core._applyCommand(REGULAR + entry, answer)
        if core.is_quiet():
            # One at a time: each finds the last one done.
            self._pump.step()
        else:
            # Together with what else is proposed in this turn of the loop.
            core.pump_soon()
        index, result = await answer.wait(timeout_s)
        self._proposals_failed -= 1
        self._commit_latency.add(time.monotonic() - began_s)
        if isinstance(result, ApplyFailed):
            raise result
        return Applied(index, result)

    async def add_voter(self, node_id: str, *, timeout_s: float) -> None:
        """Make a learner a voter; returns when that is committed. One change at a time.

        Raises: as `propose`, and ChangeRefused.
        """
        await self._change("add", node_id, timeout_s)

    async def remove_voter(self, node_id: str, *, timeout_s: float) -> None:
        """Make a voter a learner; also this leader itself, which then steps down. Raises: as `add_voter`."""
        await self._change("rem", node_id, timeout_s)

    async def _change(self, kind: Literal["add", "rem"], node_id: str, timeout_s: float) -> None:
        core = self._leading()
        with trio.move_on_after(timeout_s):
            await self._confirmed.wait(lambda: core.is_settled() or not core._isLeader())
        core = self._leading()
        answer = self._proposal(core, timeout_s)
        core.propose_change(kind, node_id, answer)
        core.pump_soon()
        await answer.wait(timeout_s)

    def _proposal(self, core: Core, timeout_s: float) -> Proposal:
        answer = Proposal(core)
        self._pump.end_within(timeout_s, answer.over)
        return answer

    def tell_commit(self, node_id: str) -> None:
        """At the leader: this voter waits for what is committed; do not let the news of it wait for an append."""
        if self._core is not None:
            self._core.tell_commit(node_id)

    async def read_barrier(self, *, timeout_s: float) -> int:
        """Confirm the leadership by a round of heartbeats sent after this call; return the index to wait for.

        Read-index of Ongaro's dissertation, section 6.4. Raises NotLeader or BarrierFailed.
        """
        core = self._leading()
        term = core.raftCurrentTerm
        index: int = max(core.raftCommitIndex, core._SyncObj__noopIDx or 0)
        exchange = core.begin_confirmation()

        def still_leads() -> bool:
            return core is self._core and core._isLeader() and core.raftCurrentTerm == term

        with trio.move_on_after(timeout_s):
            await self._confirmed.wait(lambda: not still_leads() or core.is_confirmed(exchange))
            if still_leads():
                return index
            raise NotLeader(self.leader_id)
        raise BarrierFailed(f"no quorum answered within {timeout_s} s")

    async def transfer_leadership(self, heir: str | None = None, *, timeout_s: float) -> None:
        """Hand the leadership to the voter `heir` (default: the most advanced one); proposals wait meanwhile.

        Raises:
            NotLeader, TransferFailed.
        """
        core = self._leading()
        if heir is not None and heir not in core.voter_history.latest:
            raise TransferFailed(f"node {heir} does not vote")
        core.begin_transfer(heir)
        core.pump_soon()
        try:
            with trio.move_on_after(timeout_s):
                await self._confirmed.wait(lambda: not core._isLeader())
                return
            raise TransferFailed(f"no voter took over within {timeout_s} s")
        finally:
            core.end_transfer()
            core.pump_soon()

    def _leading(self) -> Core:
        core = self._core
        if core is not None and core.storage_full and core._getLeader() in (None, Node(self.node_id)):
            raise StorageFull("no room on disk for the log")
        if core is None or not core._isLeader():
            raise NotLeader(self.leader_id)
        return core
