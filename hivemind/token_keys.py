"""The keys that sign and verify the API's tokens: in the replicated state, sealed; unsealed once each here.

The leader puts a new one in the place of one that has become old; tokens that the old one signed hold on.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

import structlog
import trio

from api.deps import TOKEN_LIFETIME_S
from consensus.commands import RotateTokenKey
from consensus.errors import ConsensusError
from consensus.machine import Machine
from consensus.model.cluster import Cluster
from consensus.outcomes import Refusal
from consensus.proposer import UserProposer
from hivemind.startup import founding

log = structlog.get_logger()

CHECK_S = 600.0


class TokenKeys:
    """`cluster` raises Unavailable while this node does not know it yet; so do the methods."""

    def __init__(self, cluster: Callable[[], Cluster], member_key: bytes) -> None:
        self._cluster = cluster
        self._member_key = member_key
        self._unsealed: dict[bytes, bytes] = {}

    def current(self) -> bytes:
        return self._unseal(self._cluster().token_key_sealed)

    def previous(self) -> bytes | None:
        """The key before, as long as tokens that it signed hold."""
        cluster = self._cluster()
        sealed = cluster.previous_token_key_sealed
        if sealed is None or cluster.previous_token_key_until_s <= time.time():
            return None
        return self._unseal(sealed)

    def seal(self, plain: bytes) -> bytes:
        return founding.seal(plain, self._member_key)

    def _unseal(self, sealed: bytes) -> bytes:
        plain = self._unsealed.get(sealed)
        if plain is None:
            if len(self._unsealed) >= 4:
                self._unsealed.clear()
            plain = self._unsealed[sealed] = founding.unseal(sealed, self._member_key)
        return plain


def is_due(cluster: Cluster, now_s: float, lifetime_s: float) -> bool:
    """Whether the key in use is as old as it may become."""
    return now_s - (cluster.token_key_since_s or cluster.created_at_s) >= lifetime_s


class TokenKeyRotation:
    """Rotates the key by age. `leads` says whether this node does so now; should two, the second finds it done."""

    def __init__(
        self,
        machine: Machine,
        proposer: UserProposer,
        *,
        leads: Callable[[], bool],
        member_key: bytes,
        lifetime_s: float,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._machine = machine
        self._proposer = proposer
        self._leads = leads
        self._member_key = member_key
        self._lifetime_s = lifetime_s
        self._now_s = now_s

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            cluster = self._machine.state.cluster
            if cluster is not None and self._leads() and is_due(cluster, self._now_s(), self._lifetime_s):
                await self._rotate(cluster)
            await trio.sleep(CHECK_S)

    async def _rotate(self, cluster: Cluster) -> None:
        command = RotateTokenKey(
            token_key_sealed=founding.seal(secrets.token_bytes(32), self._member_key),
            previous_until_s=self._now_s() + TOKEN_LIFETIME_S,
            in_place_of=cluster.token_key_sealed,
        )
        try:
            outcome = (await self._proposer.propose(command)).outcome
        except ConsensusError as error:
            log.info("token_key_not_rotated", reason=str(error))
            return
        if isinstance(outcome, Refusal):
            log.info("token_key_not_rotated", reason=outcome.message)
        else:
            log.info("token_key_rotated")
