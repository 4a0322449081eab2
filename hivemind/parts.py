"""What of a daemon stands on gossip and consensus; `daemon.py` starts and stops it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
import trio

from consensus.model.network import OverlayMode
from consensus.model.node import NodeStatus
from hivemind import forwarding, leadership, leaving, standing, state_check, upkeep
from hivemind.api_server import ApiServer
from hivemind.dead_nodes import DeadNodes
from hivemind.leadership import CpuCounters, GossipMembers, LeaderRaft, Ping
from hivemind.leaving import Leaving
from hivemind.observability import metrics
from hivemind.observability.dns_metrics import of_names
from hivemind.orchestrator.config import OrchestratorConfig
from hivemind.orchestrator.deps import Deps as OrchestratorDeps
from hivemind.orchestrator.loop import Orchestrator
from hivemind.peer.channel import PeerChannel
from hivemind.peer.errors import PeerError
from hivemind.presence import Presence
from hivemind.removal import Removal
from hivemind.standing import Standing
from hivemind.startup import founding
from hivemind.startup.admitting import Admissions
from hivemind.state_check import StateCheck
from hivemind.upkeep import Upkeep
from membership import EXCHANGE_KINDS, Membership, MemberState
from runtime import labels
from runtime.agent import Agent
from runtime.agent_config import AgentConfig, starts_for
from runtime.engine.docker_engine import DockerEngine
from runtime.engine.errors import EngineError
from runtime.gateway import ContainerGateway
from runtime.gateway_server import GatewayServer, NodeContainers
from runtime.network.dns.server import Resolver
from runtime.network.dns.service import NameService
from runtime.network.dns.upstream import Upstream, read_resolvers
from runtime.network.mesh import Mesh, MeshConfig
from runtime.network.nft.compiler import here_of
from runtime.network.nft.driver import PacketRules
from runtime.network.nft.errors import NftError
from runtime.network.overlay import keys, rule_memory
from runtime.network.overlay.attachment import default_network
from runtime.network.overlay.driver import Overlay
from runtime.network.overlay.errors import OverlayError
from runtime.network.overlay.kernel import HostKernel
from runtime.network.overlay.plan import BRIDGE, gateway
from runtime.network.overlay.prober import Prober
from runtime.network.overlay.reporter import overlay_reporter
from runtime.network.port_reporter import PortReporter, ports_in_the_way
from runtime.vitals import VitalsSampler
from runtime.volumes.backup_keeper import BackupKeeper
from runtime.volumes.backups import VolumeBackups
from runtime.volumes.data import VolumeData
from runtime.volumes.gateway import VolumeGateway
from runtime.volumes.server import VolumeServer

if TYPE_CHECKING:
    from hivemind.daemon import Daemon

log = structlog.get_logger()

_PEER_FAILURES = (PeerError,)


class Parts:
    """What stands on gossip and consensus."""

    def __init__(self, daemon: Daemon, membership: Membership) -> None:
        self._daemon = daemon
        config, node_id, machine, channel = daemon.config, daemon.node_id, daemon.machine, daemon.channel
        self.membership = membership
        self.state_check = _state_check(daemon, membership)
        daemon.raft.image_failed = self.state_check.doubt
        self.standing = Standing(daemon.raft, membership, machine, channel, unfit=lambda: self.state_check.unfit)
        self.members = GossipMembers(membership)
        self.ping = Ping(channel)
        self.leaving = Leaving(node_id, machine, daemon.proposer, daemon.raft, membership)
        self.removal = Removal(machine, self.standing, self.leaving, channel.reception)
        self.presence = Presence(
            node_id, daemon.boot_id, daemon.facts, proposer=daemon.proposer, raft=daemon.raft, rng=daemon.rng
        )
        self._dead = DeadNodes(membership)
        self._resolver = self._make_resolver()
        self._names = NameService(self._resolver)
        self._prober = Prober(self._should_answer)
        self.overlay = _overlay(daemon, self._names, self._prober)
        self.agent = self._agent()
        self.mesh = Mesh(
            node_id=node_id,
            machine=machine,
            peers=channel,
            peer_failures=_PEER_FAILURES,
            rng=daemon.rng,
            config=MeshConfig(bind_address=config.bind),
            virtual=here_of,
        )
        self.port_reporter = PortReporter(
            node_id,
            daemon.boot_id,
            machine,
            daemon.proposer,
            self.mesh,
            look=partial(ports_in_the_way, config.bind),
        )
        self.packet_rules = PacketRules(node_id=node_id, machine=machine, mesh=self.mesh, bridge=BRIDGE)
        self.vitals = VitalsSampler(
            config.data_dir, containers=lambda: self.agent.container_count, publish=membership.set_vitals
        )
        local = NodeContainers(self.agent, daemon.engine, lambda: list(self.vitals.history))
        self._gateway_server = GatewayServer(local, peer_failures=_PEER_FAILURES)
        gateway = ContainerGateway(node_id=node_id, local=local, peers=channel, peer_failures=_PEER_FAILURES)
        volumes = self._volumes()
        self.upkeep = Upkeep(daemon.raft, channel, folder=config.data_dir)
        self.api = ApiServer(
            daemon,
            membership,
            self.standing,
            upkeep=self.upkeep,
            gateway=gateway,
            local=local,
            volumes=volumes,
            sources=[metrics.of_policies(lambda: self.packet_rules.counts), of_names(self._resolver.counters)],
        )
        self.orchestrator = _orchestrator(daemon, self.members, self.ping, CpuCounters(gateway))
        self._register(channel)

    def _agent(self) -> Agent:
        daemon = self._daemon
        return Agent(
            node_id=daemon.node_id,
            cluster_id=daemon.identity.cluster_id,
            machine=daemon.machine,
            proposer=daemon.proposer,
            engine=daemon.engine,
            caught_up=self.standing.caught_up,
            config=AgentConfig(
                offline_start_after_s=daemon.config.offline_start_after_s,
                parallel_starts=starts_for(daemon.facts.cpu_cores),
            ),
            attach=default_network if self.overlay is None else self.overlay.attach,
            facts=daemon.facts,
        )

    def _volumes(self) -> VolumeGateway:
        """The data of volumes, here and elsewhere, and their scheduled backups."""
        daemon, node_id = self._daemon, self._daemon.node_id
        volume_data = VolumeData(
            daemon.engine,
            self.agent.volumes,
            self.agent.volume_cleaner,
            cluster_id=daemon.identity.cluster_id,
            node_id=node_id,
        )
        backups = VolumeBackups(
            volume_data,
            state=lambda: daemon.machine.state,
            unseal=lambda sealed: founding.unseal(sealed, daemon.identity.member_key),
        )
        self.backup_keeper = BackupKeeper(node_id, daemon.machine, daemon.proposer, backups, self.standing.caught_up)
        volumes = VolumeGateway(
            node_id=node_id, local=volume_data, backups=backups, peers=daemon.channel, peer_failures=_PEER_FAILURES
        )
        self._volume_server = VolumeServer(volume_data, backups, volumes, peer_failures=_PEER_FAILURES)
        return volumes

    def _make_resolver(self) -> Resolver:
        machine = self._daemon.machine

        def upstream() -> list[str]:
            return read_resolvers([gateway(node.subnet) for node in machine.state.nodes.values() if node.subnet])

        return Resolver(machine, dead=lambda: self._dead.ids, upstream=Upstream(upstream))

    async def start_overlay(self, nursery: trio.Nursery) -> None:
        """Before the agent: containers are put on it. Does nothing where this node takes no part."""
        if self.overlay is None:
            return
        daemon = self._daemon
        nursery.start_soon(self._dead.run)
        nursery.start_soon(self._names.run, self.overlay)
        await nursery.start(self.overlay.run)
        reporter = overlay_reporter(daemon.node_id, daemon.boot_id, daemon.machine, daemon.proposer, self.overlay)
        nursery.start_soon(reporter.run)
        nursery.start_soon(self._prober.run, self.overlay)
        nursery.start_soon(self.packet_rules.run)

    def _should_answer(self, node_id: str) -> bool:
        """Whether a node's daemon is up, so that it gives echoes through the overlay."""
        node, member = self._daemon.machine.state.nodes.get(node_id), self.membership.members.get(node_id)
        ready = node is not None and node.status is NodeStatus.READY and node.overlay is not None
        return ready and member is not None and member.state is MemberState.ALIVE

    async def remove_overlay(self) -> None:
        """At the end of this node's membership."""
        if self.overlay is not None:
            try:
                await self.packet_rules.remove()
                await self.overlay.remove()
                keys.forget(self._daemon.config.data_dir)
                rule_memory.forget(self._daemon.config.data_dir)
            except (OverlayError, EngineError, NftError) as error:
                log.warning("overlay_not_removed", reason=str(error))

    def _register(self, channel: PeerChannel) -> None:
        """What this node answers to the others."""

        async def swim(kind: str, peer: str, payload: Any) -> bytes:
            return await self.membership.serve_exchange(peer, kind, payload)

        daemon = self._daemon
        for kind in EXCHANGE_KINDS:
            channel.serve(f"swim.{kind}", partial(swim, kind))
        admissions = Admissions(
            daemon.machine,
            daemon.proposer,
            identity=lambda: daemon.keeper.identity,
            voters=lambda: daemon.raft.voters,
            voteless=self.standing.voteless,
        )
        channel.serve_join(admissions.admit)
        channel.serve(forwarding.SERVICE, daemon.forwarding.serve)
        channel.serve(standing.BARRIER_SERVICE, self.standing.serve_barrier)
        channel.serve(leadership.PING_SERVICE, self.ping.serve)
        channel.serve(leaving.SERVICE, self.leaving.serve)
        channel.serve(upkeep.TRANSFER_SERVICE, self.upkeep.serve_transfer)
        channel.serve(state_check.CHECKPOINT_SERVICE, self.state_check.serve_checkpoint)
        channel.serve(state_check.DOUBT_SERVICE, self.state_check.serve_doubt)
        channel.serve_stream(state_check.STATE_SERVICE, self.state_check.serve_state)
        channel.on_contact(self.membership.contact)
        channel.listen(daemon.raft)
        channel.turn_away(self.standing.why_removed)
        self.mesh.serve(channel)
        self._gateway_server.serve(channel)
        self._volume_server.serve(channel)


def _overlay(daemon: Daemon, names: NameService, reach: Prober) -> Overlay | None:
    """None where this node takes no part in it."""
    if daemon.facts.overlay is OverlayMode.OFF or not isinstance(daemon.engine, DockerEngine):
        return None
    return Overlay(
        node_id=daemon.node_id,
        machine=daemon.machine,
        networks=daemon.engine.networks,
        kernel=HostKernel(keys.load_or_make(daemon.config.data_dir)),
        labels=labels.own_labels(daemon.identity.cluster_id, daemon.node_id),
        names=names,
        reach=reach,
        rule_memory=rule_memory.FileMemory(daemon.config.data_dir),
    )


def _state_check(daemon: Daemon, membership: Membership) -> StateCheck:
    return StateCheck(
        daemon.machine,
        daemon.raft,
        daemon.channel,
        members=lambda: [name for name, member in membership.members.items() if member.state is MemberState.ALIVE],
        folder=daemon.config.data_dir,
        period_s=state_check.LOCAL_PERIOD_S if daemon.config.preset == "local" else state_check.PERIOD_S,
    )


def _orchestrator(daemon: Daemon, members: GossipMembers, ping: Ping, cpu_times: CpuCounters) -> Orchestrator:
    config = daemon.config
    return Orchestrator(
        OrchestratorDeps(
            self_id=daemon.node_id,
            machine=daemon.machine,
            proposer=daemon.leader_proposer,
            raft=LeaderRaft(daemon.raft),
            members=members,
            ping=ping,
            cpu_times=cpu_times,
        ),
        OrchestratorConfig(
            lost_after_s=config.lost_after_s,
            restart_grace_s=config.restart_grace_s,
            voter_grace_s=config.voter_grace_s,
        ),
    )
