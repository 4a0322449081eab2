"""``hivemind leave``: this node drains, gives up its vote, is taken out of the cluster and forgets it.

Named volumes stay on the machine: they are the user's data, and a cluster's disk is not the place to lose it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import structlog
import trio

from consensus.commands import RemoveNode, SetMaintenance
from consensus.errors import ConsensusError
from consensus.machine import Machine
from consensus.outcomes import Refusal
from consensus.proposer import Proposer
from consensus.raft import RaftError, RaftNode
from hivemind import known_peers
from hivemind.peer.errors import PeerRefusal
from membership import Membership
from runtime.engine.base import Engine
from runtime.engine.errors import EngineError

log = structlog.get_logger()

SERVICE = "node.leave"
DRAIN_TIMEOUT_S = 300.0
VOTE_WARNING_S = 30.0
TRANSFER_TIMEOUT_S = 2.0
GOODBYE_TIMEOUT_S = 3.0
_RETRY_S = 1.0
_LOOK_PAUSE_S = 0.2


class Leaving:
    """Registered as `SERVICE`; `run` does what was asked for and then returns."""

    def __init__(
        self, node_id: str, machine: Machine, proposer: Proposer, raft: RaftNode, membership: Membership
    ) -> None:
        self._node_id = node_id
        self._machine = machine
        self._proposer = proposer
        self._raft = raft
        self._membership = membership
        self._asked = trio.Event()

    @property
    def under_way(self) -> bool:
        """Whether it was asked."""
        return self._asked.is_set()

    async def serve(self, peer: str, body: object) -> dict[str, str]:
        """Agrees to leave; it is done afterwards. Raises PeerRefusal where nobody would be left to take over."""
        await trio.lowlevel.checkpoint()
        state = self._machine.state
        if len(state.nodes) == 1 and not all(task.ended for task in state.tasks.values()):
            raise PeerRefusal("conflict", "this is the last node: delete the apps first, they would have nowhere to go")
        self._asked.set()
        return {"message": f"node {self._node_id} drains and leaves"}

    async def run(self) -> None:
        """Waits until it is asked; returns when the node is out of the cluster."""
        await self._asked.wait()
        log.info("leaving", node=self._node_id)
        await self._until_agreed(SetMaintenance(node_id=self._node_id, enable=True, drain=True))
        with trio.move_on_after(DRAIN_TIMEOUT_S) as scope:
            await self._until_empty()
        if scope.cancelled_caught:
            log.warning(
                "leaving_undrained", tasks=[task.id for task in self._machine.state.tasks_on_node(self._node_id)]
            )
        await self._until_another_leads()
        await self._until_agreed(RemoveNode(node_id=self._node_id, force=True))
        await self._until_voteless()
        await self._membership.leave(timeout_s=GOODBYE_TIMEOUT_S)
        log.info("left", node=self._node_id)

    async def _until_agreed(self, command: SetMaintenance | RemoveNode) -> None:
        while True:
            try:
                committed = await self._proposer.propose(command)
            except ConsensusError as error:
                log.warning("leaving_delayed", reason=str(error))
                await trio.sleep(_RETRY_S)
                continue
            if isinstance(committed.outcome, Refusal):
                log.warning("leaving_refused", command=type(command).__name__, reason=committed.outcome.message)
            return

    async def _until_empty(self) -> None:
        while True:
            index = self._machine.watch.index
            if all(task.ended for task in self._machine.state.tasks_on_node(self._node_id)):
                return
            await self._machine.watch.changed(index)

    async def _until_another_leads(self) -> None:
        """Taking this node out is for a leader that stays: it also has to settle who votes afterwards.

        Where this node is the only voter, it makes a voter of another first (orchestrator/voters.py).
        """
        while self._raft.is_leader and self._has_others():
            seen = self._raft.leadership
            if len(seen.voters) > 1:
                try:
                    await self._raft.transfer_leadership(timeout_s=TRANSFER_TIMEOUT_S)
                except RaftError as error:
                    log.warning("leadership_not_transferred", reason=str(error))
            with trio.move_on_after(_RETRY_S):
                await self._raft.wait_leadership(seen)

    def _has_others(self) -> bool:
        return any(node_id != self._node_id for node_id in self._machine.state.nodes)

    async def _until_voteless(self) -> None:
        """The leader takes the vote away as soon as the node is out; the last node keeps it.

        However long it takes: to go with a vote that is still counted could take the majority along.
        """
        seen = self._raft.leadership
        while self._node_id in seen.voters and self._has_others():
            with trio.move_on_after(VOTE_WARNING_S) as scope:
                seen = await self._raft.wait_leadership(seen)
            if scope.cancelled_caught:
                log.warning("leaving_waits_for_voteless", voters=seen.voters, leader=seen.leader_id)


async def until_no_containers(engine: Engine, own_labels: Mapping[str, str]) -> None:
    """Returns when the agent has removed the last of our containers; they may be many, and the engine slow."""
    while True:
        try:
            if not await engine.list(own_labels):
                return
        except EngineError as error:
            log.warning("containers_not_listed", reason=str(error))
        await trio.sleep(_LOOK_PAUSE_S)


def forget_cluster(data_dir: Path) -> None:
    """Removes what ties `data_dir` to the cluster, so that its next daemon starts as a new node."""
    for name in ("identity", "raft", "membership"):
        shutil.rmtree(data_dir / name, ignore_errors=True)
    (data_dir / known_peers.FILE).unlink(missing_ok=True)
