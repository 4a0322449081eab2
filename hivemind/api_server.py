"""The API on this node: what it stands on, put together, and served with or without TLS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import trio

from api import deps as api_deps
from api.app import create_app
from api.serve import ServeConfig, serve
from hivemind.api_certificate import CertificateFiles
from hivemind.api_gateways import ApiContainers, ApiNodes
from hivemind.api_tls import OwnCertificate, TlsFiles
from hivemind.api_volumes import ApiVolumes
from hivemind.dashboard import static_files
from hivemind.gossip_keys import GossipKeys
from hivemind.image_resolver import ImageResolver
from hivemind.observability import gossip_metrics, metrics
from hivemind.planning import Planner
from hivemind.standing import Standing
from hivemind.startup import founding
from hivemind.token_keys import TokenKeys
from hivemind.upkeep import Upkeep
from membership import Membership
from runtime.gateway import ContainerGateway
from runtime.gateway_server import NodeContainers
from runtime.volumes.gateway import VolumeGateway

if TYPE_CHECKING:
    from hivemind.daemon import Daemon

GRACE_S = 6.0
"""For requests in flight at a stop; with what else a stop does, the whole stays under 10 s."""


class ApiServer:
    """Serves from `run` until `shutdown`; `ended` is set when the last request is over.

    `sources`: figures of other parts, for the metrics.
    """

    def __init__(
        self,
        daemon: Daemon,
        membership: Membership,
        standing: Standing,
        *,
        upkeep: Upkeep,
        gateway: ContainerGateway,
        local: NodeContainers,
        volumes: VolumeGateway,
        sources: Sequence[metrics.Source] = (),
    ) -> None:
        self._daemon = daemon
        self._membership = membership
        self._standing = standing
        self._upkeep = upkeep
        self._gateway = gateway
        self._local = local
        self._volumes = volumes
        self._sources = sources
        self._tls: TlsFiles | None = None
        self.shutdown = trio.Event()
        self.ended = trio.Event()

    async def prepare(self, nursery: trio.Nursery) -> None:
        """Loads what TLS needs, and follows it in `nursery`. Raises StartupError where the files cannot be used."""
        daemon, config = self._daemon, self._daemon.config
        if config.tls == "auto":
            own = OwnCertificate(config, daemon.node_id, daemon.machine, daemon.identity.member_key)
            await own.ready()
            nursery.start_soon(own.run)
            files = own.files
        elif config.tls_cert is not None and config.tls_key is not None:
            files = CertificateFiles(config.tls_cert, config.tls_key)
        else:
            return
        self._tls = TlsFiles(files, config.tls_client_ca)
        await trio.to_thread.run_sync(self._tls.load)
        nursery.start_soon(self._tls.run)

    async def run(self, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
        """Raises OSError where the address cannot be bound."""
        config = self._daemon.config
        try:
            await serve(
                create_app(self._deps()),
                bind=[(config.bind, config.api_port)],
                shutdown=self.shutdown,
                config=ServeConfig(grace_s=GRACE_S),
                tls=None if self._tls is None else self._tls.context,
                task_status=task_status,
            )
        finally:
            self.ended.set()

    def _deps(self) -> api_deps.Deps:
        daemon, limits = self._daemon, self._daemon.config.rate_limit
        member_key = daemon.identity.member_key
        token_keys = TokenKeys(daemon.cluster, member_key)

        async def join_token() -> str:
            return str(await trio.to_thread.run_sync(founding.join_token, daemon.cluster(), member_key))

        return api_deps.Deps(
            replica=daemon.machine,
            proposer=daemon.proposer,
            cluster=self._standing,
            containers=ApiContainers(self._gateway, node_id=daemon.node_id, local=self._local, channel=daemon.channel),
            nodes=ApiNodes(self._gateway, daemon.channel),
            volumes=ApiVolumes(self._volumes),
            upkeep=self._upkeep,
            gossip_keys=GossipKeys(self._membership),
            passwords=daemon.passwords,
            token_key=token_keys.current,
            previous_token_key=token_keys.previous,
            seal=token_keys.seal,
            join_token=join_token,
            render_metrics=self._metrics().render,
            plan_deploy=Planner(daemon.machine, self._membership),
            resolve_image=ImageResolver(daemon.engine, now_s=trio.current_time),
            static=static_files(),
            settings=api_deps.Settings(
                version=daemon.facts.version,
                leader_wait_s=daemon.config.leader_wait_s,
                requests_per_ip_per_minute=None if limits is None else limits.per_address_per_minute,
                requests_per_user_per_hour=None if limits is None else limits.per_user_per_hour,
            ),
        )

    def _metrics(self) -> metrics.Metrics:
        daemon = self._daemon
        figures = metrics.Metrics()
        figures.add(metrics.of_state(daemon.machine))
        figures.add(metrics.of_raft(daemon.raft))
        figures.add(metrics.of_loop(daemon.lag))
        figures.add(gossip_metrics.of_gossip(self._membership.health))
        figures.add(metrics.of_struct("peer", "Peer channel", daemon.channel.metrics))
        for source in self._sources:
            figures.add(source)
        return figures
