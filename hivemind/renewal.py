"""Renewing this node's certificate at two thirds of its life. Every member holds the CA's key, so it signs its own."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
import trio

from consensus.machine import Machine
from consensus.model.cluster import Cluster
from hivemind.identity_keeper import IdentityKeeper
from hivemind.peer.ca import ClusterCA, make_csr
from hivemind.peer.channel import PeerChannel
from hivemind.peer.errors import CertificateInvalid

log = structlog.get_logger()

CHECK_S = 3600.0


class Renewal:
    """Keeps the identity in use fresh.

    Args:
        now_s: the wall clock, which certificates go by.
    """

    def __init__(
        self,
        keeper: IdentityKeeper,
        machine: Machine,
        channel: PeerChannel,
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._keeper = keeper
        self._machine = machine
        self._channel = channel
        self._now_s = now_s

    async def run(self) -> None:
        """Until cancelled. What fails is tried again at the next check: a third of the life is left for that."""
        while True:
            cluster = self._machine.state.cluster
            if cluster is not None and self._keeper.identity.renew_due(self._now_s()):
                try:
                    await self.renew(cluster)
                except (CertificateInvalid, OSError) as error:
                    log.error("certificate_not_renewed", reason=str(error))
            await trio.sleep(CHECK_S)

    async def renew(self, cluster: Cluster) -> None:
        """Signs, keeps and uses a new certificate. Raises CertificateInvalid, OSError."""
        old = self._keeper.identity
        ca = ClusterCA.unseal(cluster.ca_certificate_pem.decode(), cluster.ca_key_sealed, old.member_key)
        certificate_pem = ca.sign(make_csr(old.key_pem, old.node_id), old.node_id, now_s=self._now_s())
        self._channel.use(await self._keeper.change(certificate_pem=certificate_pem))
