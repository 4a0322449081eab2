"""One node's parts, made and connected; started and stopped in order."""

from __future__ import annotations

import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import structlog
import trio

from api.auth.passwords import Argon2Hasher
from consensus.machine import Machine
from consensus.model.node import NodeFacts
from consensus.proposer import ClusterProposer
from consensus.raft import RaftConfig, RaftNode
from hivemind import forwarding, gossip_meta, leadership, leaving, standing
from hivemind.addresses import AddressBook
from hivemind.config import DaemonConfig
from hivemind.forwarding import Forwarding
from hivemind.gossip_meta import GossipMeta, Intent
from hivemind.leadership import GossipMembers, LeaderRaft, Ping
from hivemind.leaving import Leaving
from hivemind.observability.loop_lag import LoopLag
from hivemind.orchestrator.config import OrchestratorConfig
from hivemind.orchestrator.deps import Deps as OrchestratorDeps
from hivemind.orchestrator.loop import Orchestrator
from hivemind.peer.channel import PeerChannel
from hivemind.peer.errors import PeerError
from hivemind.peer.identity import Identity
from hivemind.presence import Presence
from hivemind.standing import Standing
from hivemind.startup import first_steps
from hivemind.startup.admitting import Admissions
from hivemind.startup.first_steps import Found, Learn
from hivemind.startup.obtain import StartupError
from membership import EXCHANGE_KINDS, PRESETS, FileIncarnationStore, Keyring, Membership, UdpTransport
from runtime.agent import Agent
from runtime.agent_config import AgentConfig
from runtime.engine.base import Engine
from runtime.network.mesh import Mesh, MeshConfig

log = structlog.get_logger()


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
        self.engine = engine
        self.passwords = passwords
        self.lag = lag
        self.rng = random.SystemRandom()
        self.steps = first_steps.load(config.data_dir)
        told = self.steps.peers if isinstance(self.steps, Learn) else []
        self.machine = Machine()
        self.addresses = AddressBook(self.machine, told)
        self.channel = PeerChannel(
            identity, bind=(config.bind, config.peer_port), resolve=self.addresses.resolve, rng=self.rng
        )
        self.raft = RaftNode(
            node_id=self.node_id,
            data_dir=config.data_dir / "raft",
            links=self.channel,
            machine=self.machine,
            config=RaftConfig.local() if config.preset == "local" else RaftConfig(),
            rng=self.rng,
        )
        self.forwarding = Forwarding(self.raft, self.channel)
        session = f"{self.node_id}-{self.boot_id}"
        self.proposer = ClusterProposer(self.machine, self.forwarding.submit, session=session)
        self._leader_proposer = ClusterProposer(
            self.machine, self.forwarding.submit_here, session=f"{session}-leader", leader_wait_s=0.5
        )

    async def run(self, stop: trio.Event) -> None:
        """Until `stop`, or until this node has left the cluster."""
        async with self._gossip() as membership:
            self.addresses.use_members(membership.members)
            leaving_ = Leaving(self.node_id, self.machine, self.proposer, self.raft, membership)
            await self._run(membership, leaving_, stop)

    @asynccontextmanager
    async def _gossip(self) -> AsyncIterator[Membership]:
        folder = self.config.data_dir / "membership"
        folder.mkdir(mode=0o700, exist_ok=True)
        async with await UdpTransport.bind((self.config.bind, self.config.peer_port)) as packets:
            yield Membership(
                PRESETS[self.config.preset](),
                name=self.node_id,
                address=(self.config.advertise, self.config.peer_port),
                meta=gossip_meta.pack(self.meta(Intent.NONE)),
                keyring=Keyring.deserialise(self.identity.keyring),
                packets=packets,
                exchange=_Exchange(self.channel),
                incarnations=FileIncarnationStore(folder / "incarnation"),
                rng=self.rng,
            )

    def meta(self, intent: Intent) -> GossipMeta:
        return GossipMeta(
            boot_id=self.boot_id, intent=intent, api_port=self.config.api_port, version=self.facts.version
        )

    async def _run(self, membership: Membership, leaving_: Leaving, stop: trio.Event) -> None:
        standing_ = Standing(self.raft, membership, self.machine, self.channel)
        ping = Ping(self.channel)
        members = GossipMembers(membership)
        presence = Presence(
            self.node_id, self.boot_id, self.facts, proposer=self.proposer, raft=self.raft, rng=self.rng
        )
        agent = self._agent(standing_)
        mesh = Mesh(
            node_id=self.node_id,
            machine=self.machine,
            peers=self.channel,
            peer_failures=(PeerError,),
            config=MeshConfig(bind_address=self.config.bind),
        )
        self._serve_peers(membership, standing_, ping, leaving_)
        mesh.serve(self.channel)
        orchestrator = Orchestrator(
            OrchestratorDeps(
                self_id=self.node_id,
                machine=self.machine,
                proposer=self._leader_proposer,
                raft=LeaderRaft(self.raft),
                members=members,
                ping=ping,
            ),
            OrchestratorConfig(lost_after_s=self.config.lost_after_s, restart_grace_s=self.config.restart_grace_s),
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(self.channel.run)
            await nursery.start(membership.run)
            await self._start_raft(nursery)
            nursery.start_soon(self._watch_fault)
            await nursery.start(members.run)
            nursery.start_soon(presence.meet_peers, membership, self.addresses)
            founding = self.steps.command if isinstance(self.steps, Found) else None
            nursery.start_soon(presence.announce_start, founding, partial(first_steps.done, self.config.data_dir))
            await nursery.start(agent.run)
            await nursery.start(mesh.run)
            await nursery.start(orchestrator.run)
            await stop.wait()
            membership.set_meta(gossip_meta.pack(self.meta(Intent.RESTARTING)))
            await presence.announce_restart()
            nursery.cancel_scope.cancel()

    def _agent(self, standing_: Standing) -> Agent:
        return Agent(
            node_id=self.node_id,
            cluster_id=self.identity.cluster_id,
            machine=self.machine,
            proposer=self.proposer,
            engine=self.engine,
            caught_up=standing_.caught_up,
            config=AgentConfig(offline_start_after_s=self.config.offline_start_after_s),
        )

    def _serve_peers(self, membership: Membership, standing_: Standing, ping: Ping, leaving_: Leaving) -> None:
        async def swim(kind: str, peer: str, payload: Any) -> bytes:
            return await membership.serve_exchange(peer, kind, payload)

        for kind in EXCHANGE_KINDS:
            self.channel.serve(f"swim.{kind}", lambda peer, payload, kind=kind: swim(kind, peer, payload))
        admissions = Admissions(
            self.machine, self.proposer, identity=lambda: self.identity, voters=lambda: self.raft.voters
        )
        self.channel.serve_join(admissions.admit)
        self.channel.serve(forwarding.SERVICE, self.forwarding.serve)
        self.channel.serve(standing.BARRIER_SERVICE, standing_.serve_barrier)
        self.channel.serve(leadership.PING_SERVICE, ping.serve)
        self.channel.serve(leaving.SERVICE, leaving_.serve)
        self.channel.listen(self.raft)

    async def _start_raft(self, nursery: trio.Nursery) -> None:
        if not self.raft.has_state:
            match self.steps:
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
