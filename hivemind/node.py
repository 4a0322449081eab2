"""One node's parts, made and connected; started and stopped in order."""

from __future__ import annotations

import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
import trio

from api.auth.passwords import Argon2Hasher
from consensus.commands import AddNode, SetNodeStatus, StartNode
from consensus.errors import ConsensusError
from consensus.machine import Machine
from consensus.model.node import NodeFacts, NodeStatus
from consensus.outcomes import Refusal
from consensus.proposer import ClusterProposer
from consensus.raft import RaftConfig, RaftNode, TransferFailed
from hivemind import forwarding, gossip_meta, standing
from hivemind.addresses import AddressBook
from hivemind.config import DaemonConfig
from hivemind.forwarding import Forwarding
from hivemind.gossip_meta import GossipMeta, Intent
from hivemind.observability.loop_lag import LoopLag
from hivemind.peer.channel import PeerChannel
from hivemind.peer.identity import Identity
from hivemind.standing import Standing
from hivemind.startup import first_steps
from hivemind.startup.admitting import Admissions
from hivemind.startup.first_steps import Found, Learn
from hivemind.startup.obtain import StartupError
from membership import EXCHANGE_KINDS, PRESETS, FileIncarnationStore, Keyring, Membership, Peer, UdpTransport
from runtime.engine.base import Engine

log = structlog.get_logger()

_RETRY_S = 1.0
_LEAVE_GOSSIP_S = 1.0
_FIRST_GOSSIP_PEERS = 5
_TRANSFER_TIMEOUT_S = 1.0
_ANNOUNCE_TIMEOUT_S = 1.5


class _Exchange:
    """Membership's stream exchange over the peer channel."""

    def __init__(self, channel: PeerChannel) -> None:
        self._channel = channel

    async def exchange(self, name: str, kind: str, payload: bytes, *, timeout_s: float) -> bytes:
        answer = await self._channel.call(name, f"swim.{kind}", payload, timeout_s=timeout_s)
        if not isinstance(answer, bytes):
            raise ValueError(f"{name} answered {kind} with {type(answer).__name__}")
        return answer


class Node:
    """Everything that one daemon runs. `run` returns when it has stopped in good order."""

    def __init__(
        self,
        config: DaemonConfig,
        identity: Identity,
        facts: NodeFacts,
        *,
        engine: Engine,
        passwords: Argon2Hasher,
        lag: LoopLag,
    ) -> None:
        self.config = config
        self.identity = identity
        self.facts = facts
        self.node_id = identity.node_id
        self.boot_id = secrets.token_hex(6)
        self._engine = engine
        self._rng = random.SystemRandom()
        self._steps = first_steps.load(config.data_dir)
        told = self._steps.peers if isinstance(self._steps, Learn) else []
        self.machine = Machine()
        self.addresses = AddressBook(self.machine, told)
        self.channel = PeerChannel(
            identity, bind=(config.bind, config.peer_port), resolve=self.addresses.resolve, rng=self._rng
        )
        self.raft = RaftNode(
            node_id=self.node_id,
            data_dir=config.data_dir / "raft",
            links=self.channel,
            machine=self.machine,
            config=RaftConfig.local() if config.preset == "local" else RaftConfig(),
            rng=self._rng,
        )
        self.forwarding = Forwarding(self.raft, self.channel)
        self.proposer = ClusterProposer(self.machine, self.forwarding.submit, session=f"{self.node_id}-{self.boot_id}")

    async def run(self, stop: trio.Event) -> None:
        async with self._gossip() as membership:
            self.addresses.use_members(membership.members)
            self._serve_peers(membership)
            async with trio.open_nursery() as nursery:
                await nursery.start(self.channel.run)
                await nursery.start(membership.run)
                await self._start_raft(nursery)
                nursery.start_soon(self._watch_fault)
                nursery.start_soon(self._meet_peers, membership)
                nursery.start_soon(self._announce_start)
                await stop.wait()
                await self._announce_restart(membership)
                nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def _gossip(self) -> AsyncIterator[Membership]:
        folder = self.config.data_dir / "membership"
        folder.mkdir(mode=0o700, exist_ok=True)
        async with await UdpTransport.bind((self.config.bind, self.config.peer_port)) as packets:
            yield Membership(
                PRESETS[self.config.preset](),
                name=self.node_id,
                address=(self.config.advertise, self.config.peer_port),
                meta=gossip_meta.pack(self._meta(Intent.NONE)),
                keyring=Keyring.deserialise(self.identity.keyring),
                packets=packets,
                exchange=_Exchange(self.channel),
                incarnations=FileIncarnationStore(folder / "incarnation"),
                rng=self._rng,
            )

    def _meta(self, intent: Intent) -> GossipMeta:
        return GossipMeta(
            boot_id=self.boot_id, intent=intent, api_port=self.config.api_port, version=self.facts.version
        )

    def _serve_peers(self, membership: Membership) -> None:
        async def swim(kind: str, peer: str, payload: Any) -> bytes:
            return await membership.serve_exchange(peer, kind, payload)

        for kind in EXCHANGE_KINDS:
            self.channel.serve(f"swim.{kind}", lambda peer, payload, kind=kind: swim(kind, peer, payload))
        admissions = Admissions(
            self.machine, self.proposer, identity=lambda: self.identity, voters=lambda: self.raft.voters
        )
        self.standing = Standing(self.raft, membership, self.machine, self.channel)
        self.channel.serve_join(admissions.admit)
        self.channel.serve(forwarding.SERVICE, self.forwarding.serve)
        self.channel.serve(standing.BARRIER_SERVICE, self.standing.serve_barrier)
        self.channel.listen(self.raft)

    async def _start_raft(self, nursery: trio.Nursery) -> None:
        if not self.raft.has_state:
            match self._steps:
                case Found():
                    self.raft.found()
                case Learn(voters=voters):
                    self.raft.learn(voters)
                case None:
                    raise StartupError(
                        f"{self.config.data_dir} has an identity but no Raft log: restore it from a backup,"
                        " or remove this node from the cluster, empty the directory and join again"
                    )
        await nursery.start(self.raft.run)

    async def _watch_fault(self) -> None:
        while self.machine.fault is None:
            await self.machine.watch.changed(self.machine.watch.index)
        raise StartupError(self.machine.fault)

    async def _meet_peers(self, membership: Membership) -> None:
        """Joins the gossip through the peers that are known; goes on until one answers."""
        while True:
            others = self.addresses.others(self.node_id)
            chosen = self._rng.sample(sorted(others), min(len(others), _FIRST_GOSSIP_PEERS))
            if not chosen:
                return
            report = await membership.join([Peer(name, others[name]) for name in chosen])
            if report.joined:
                log.info("gossip_joined", through=report.joined)
                return
            log.warning("gossip_not_joined", failed=dict(report.failed))
            await trio.sleep(_RETRY_S)

    async def _announce_start(self) -> None:
        """Finishes the first steps, and tells the cluster that this daemon runs."""
        if isinstance(self._steps, Found):
            await self._propose_until_agreed(self._steps.command)
            await self._propose_until_agreed(AddNode(node_id=self.node_id, facts=self.facts))
        outcome = await self._propose_until_agreed(
            StartNode(node_id=self.node_id, boot_id=self.boot_id, facts=self.facts)
        )
        if isinstance(outcome, Refusal):
            raise StartupError(f"the cluster does not take this node back: {outcome.message}")
        if self._steps is not None:
            await trio.to_thread.run_sync(first_steps.done, self.config.data_dir)
        log.info("node_ready", node=self.node_id, leader=self.raft.leader_id)

    async def _propose_until_agreed(self, command: Any) -> Any:
        while True:
            try:
                return (await self.proposer.propose(command)).outcome
            except ConsensusError as error:
                log.warning("waiting_for_leader", reason=str(error))
                await trio.sleep(_RETRY_S)

    async def _announce_restart(self, membership: Membership) -> None:
        """Nothing of ours is moved until the restart grace is over (design.md §3)."""
        membership.set_meta(gossip_meta.pack(self._meta(Intent.RESTARTING)))
        if self.raft.is_leader and len(self.raft.voters) > 1:
            try:
                await self.raft.transfer_leadership(timeout_s=_TRANSFER_TIMEOUT_S)
            except TransferFailed as error:
                log.warning("leadership_not_transferred", reason=str(error))
        command = SetNodeStatus(
            node_id=self.node_id,
            expected=NodeStatus.READY,
            status=NodeStatus.RESTARTING,
            boot_id=self.boot_id,
            message="its daemon is restarting",
        )
        try:
            await self.proposer.propose(command, timeout_s=_ANNOUNCE_TIMEOUT_S)
        except ConsensusError as error:
            log.warning("restart_not_announced", reason=str(error))
