"""The member's side of joining: check the secret, sign the certificate, agree on the new node, answer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import structlog
import trio
from msgspec import Struct

from consensus.commands import AddNode
from consensus.errors import ConsensusError
from consensus.machine import Machine
from consensus.model.node import NodeFacts, NodeStatus
from consensus.outcomes import Refusal
from consensus.proposer import Proposer
from hivemind.peer.ca import ClusterCA
from hivemind.peer.errors import CertificateInvalid, PeerRefusal
from hivemind.peer.identity import Identity
from hivemind.peer.token import secret_matches
from hivemind.startup.joining import Admission

log = structlog.get_logger()

_PROPOSE_TIMEOUT_S = 10.0
_VOTELESS_TIMEOUT_S = 5.0


class _Body(Struct, frozen=True):
    facts: NodeFacts


class _Request(Struct, frozen=True):
    """All of it comes from a stranger."""

    node_id: str
    secret: str
    csr_pem: str
    body: _Body


class Admissions:
    """Registered as the peer channel's join handler.

    Args:
        identity: gives this node's identity as it is now.
        voters: gives Raft's voters as this node knows them.
        voteless: returns when a node is no voter.
    """

    def __init__(
        self,
        machine: Machine,
        proposer: Proposer,
        *,
        identity: Callable[[], Identity],
        voters: Callable[[], Sequence[str]],
        voteless: Callable[[str], Awaitable[None]],
    ) -> None:
        self._machine = machine
        self._proposer = proposer
        self._identity = identity
        self._voters = voters
        self._voteless = voteless

    async def admit(self, address: str, request: Any) -> dict[str, Any]:
        """Answers one newcomer at `address`.

        Raises:
            PeerRefusal: ``denied`` (wrong secret), ``invalid``, ``conflict``, or ``unavailable`` (try again).
        """
        asked = _checked(request)
        cluster = self._machine.state.cluster
        if cluster is None:
            raise PeerRefusal("unavailable", "this node does not know its cluster yet")
        if not secret_matches(asked.secret, cluster.join_secret_hash):
            log.warning("join_denied", node=asked.node_id, address=address, reason="wrong join secret")
            raise PeerRefusal("denied", "the join token's secret is wrong, or was rotated")
        identity = self._identity()
        try:
            ca = ClusterCA.unseal(cluster.ca_certificate_pem.decode(), cluster.ca_key_sealed, identity.member_key)
            certificate_pem = ca.sign(asked.csr_pem, asked.node_id, now_s=time.time())
        except CertificateInvalid as error:
            raise PeerRefusal("invalid", str(error)) from error
        await self._agree(asked)
        log.info("node_admitted", node=asked.node_id, address=address)
        admission = Admission(
            cluster_id=cluster.id,
            certificate_pem=certificate_pem,
            ca_pems=identity.ca_pems,
            member_key=identity.member_key,
            keyring=identity.keyring,
            voters=list(self._voters()),
            peers=[
                (node.id, node.facts.address, node.facts.peer_port)
                for node in self._machine.state.nodes.values()
                if node.id != asked.node_id and node.status is not NodeStatus.LEFT
            ],
        )
        answer = msgspec.to_builtins(admission, builtin_types=(bytes,))
        assert isinstance(answer, dict)
        return answer

    async def _agree(self, asked: _Request) -> None:
        try:
            command = AddNode(node_id=asked.node_id, facts=asked.body.facts)
            committed = await self._proposer.propose(command, timeout_s=_PROPOSE_TIMEOUT_S)
        except ConsensusError as error:
            raise PeerRefusal("unavailable", str(error)) from error
        if isinstance(committed.outcome, Refusal):
            log.warning("join_denied", node=asked.node_id, reason=committed.outcome.message)
            raise PeerRefusal("conflict", committed.outcome.message)
        # One that lost its log must not vote under its old name: it could elect a leader without acknowledged entries.
        with trio.move_on_after(_VOTELESS_TIMEOUT_S):
            await self._voteless(asked.node_id)
            return
        raise PeerRefusal("unavailable", f"node {asked.node_id!r} still has a vote from its earlier life")


def _checked(request: Any) -> _Request:
    try:
        return msgspec.convert(request, _Request)
    except msgspec.ValidationError as error:
        raise PeerRefusal("invalid", f"the join request is not understood: {error}") from error
