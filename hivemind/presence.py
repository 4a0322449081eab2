"""A daemon's coming and going, as the cluster is told: met in gossip, started, about to restart."""

from __future__ import annotations

import random
from collections.abc import Callable

import structlog
import trio

from consensus.commands import AddNode, AnyCommand, SetNodeStatus, StartNode
from consensus.errors import ConsensusError
from consensus.model.node import NodeFacts, NodeStatus
from consensus.outcomes import AnyOutcome, Refusal
from consensus.proposer import Proposer
from consensus.raft import RaftError, RaftNode
from hivemind.addresses import AddressBook
from hivemind.startup.first_steps import FirstSteps, Found, Restored
from hivemind.startup.obtain import StartupError
from membership import Membership, Peer

log = structlog.get_logger()

_RETRY_S = 1.0
_FIRST_PEERS = 5
_TRANSFER_TIMEOUT_S = 1.0
_ANNOUNCE_TIMEOUT_S = 1.5


class Presence:
    """
    Args:
        boot_id: names this run of the daemon.
    """

    def __init__(
        self,
        node_id: str,
        boot_id: str,
        facts: NodeFacts,
        *,
        proposer: Proposer,
        raft: RaftNode,
        rng: random.Random,
    ) -> None:
        self._node_id = node_id
        self._boot_id = boot_id
        self._facts = facts
        self._proposer = proposer
        self._raft = raft
        self._rng = rng

    async def meet_peers(self, membership: Membership, addresses: AddressBook) -> None:
        """Joins the gossip through some of the peers that are known; goes on until one answers."""
        while others := addresses.others(self._node_id):
            chosen = self._rng.sample(sorted(others), min(len(others), _FIRST_PEERS))
            report = await membership.join([Peer(name, others[name]) for name in chosen])
            if report.joined:
                log.info("gossip_joined", through=report.joined)
                return
            log.warning("gossip_not_joined", failed=dict(report.failed))
            await trio.sleep(_RETRY_S)

    async def announce_start(self, steps: FirstSteps | None, first_steps_done: Callable[[], None]) -> None:
        """Tells the cluster that this daemon runs; after the first steps of one that has no other member.

        Raises:
            StartupError: the cluster does not take this node back.
        """
        if isinstance(steps, Found):
            await self._until_agreed(steps.command)
        if isinstance(steps, Found | Restored):
            await self._until_agreed(AddNode(node_id=self._node_id, facts=self._facts))
        outcome = await self._until_agreed(StartNode(node_id=self._node_id, boot_id=self._boot_id, facts=self._facts))
        if isinstance(outcome, Refusal):
            raise StartupError(f"the cluster does not take this node back: {outcome.message}")
        await trio.to_thread.run_sync(first_steps_done)
        log.info("node_ready", node=self._node_id, leader=self._raft.leader_id)

    async def _until_agreed(self, command: AnyCommand) -> AnyOutcome:
        while True:
            try:
                return (await self._proposer.propose(command)).outcome
            except ConsensusError as error:
                log.warning("waiting_for_leader", reason=str(error))
                await trio.sleep(_RETRY_S)

    async def announce_restart(self) -> None:
        """From now on nothing of ours is moved until the restart grace is over (design.md §3)."""
        if self._raft.is_leader and len(self._raft.voters) > 1:
            try:
                await self._raft.transfer_leadership(timeout_s=_TRANSFER_TIMEOUT_S)
            except RaftError as error:
                log.warning("leadership_not_transferred", reason=str(error))
        command = SetNodeStatus(
            node_id=self._node_id,
            expected=NodeStatus.READY,
            status=NodeStatus.RESTARTING,
            boot_id=self._boot_id,
            message="its daemon is restarting",
        )
        try:
            await self._proposer.propose(command, timeout_s=_ANNOUNCE_TIMEOUT_S)
        except ConsensusError as error:
            log.warning("restart_not_announced", reason=str(error))
