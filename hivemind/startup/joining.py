"""The newcomer's side of joining: ask the seeds, in turn and again, until one lets us in or says no."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import structlog
import trio
from msgspec import Struct

from consensus.model.node import NodeFacts
from hivemind.peer.ca import make_csr, make_key
from hivemind.peer.errors import PeerError, PeerIncompatible, PeerRefusal, PeerUntrusted
from hivemind.peer.identity import Identity
from hivemind.peer.join import request_join
from hivemind.peer.token import JoinToken

log = structlog.get_logger()

REQUEST_TIMEOUT_S = 15.0
_BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_TEMPORARY = frozenset({"unavailable", "busy", "internal"})


class JoinRefused(Exception):
    """A member said no, or is not of the token's cluster: trying again would not help."""


class Admission(Struct, frozen=True):
    """What a member answers to a newcomer that it lets in."""

    cluster_id: str
    certificate_pem: str
    ca_pems: tuple[str, ...]
    member_key: bytes
    keyring: bytes
    voters: list[str]
    peers: list[tuple[str, str, int]]


async def join_cluster(
    node_id: str, facts: NodeFacts, seeds: Sequence[tuple[str, int]], token: JoinToken
) -> tuple[Identity, Admission]:
    """Tries until it is admitted.

    Raises:
        JoinRefused: with the member's own words.
    """
    key_pem = make_key()
    csr_pem = make_csr(key_pem, node_id)
    body: dict[str, Any] = {"facts": msgspec.to_builtins(facts)}
    attempt = 0
    while True:
        for seed in seeds:
            where = f"{seed[0]}:{seed[1]}"
            log.info("joining", seed=where, attempt=attempt + 1)
            try:
                answer = await request_join(
                    seed, token, node_id=node_id, csr_pem=csr_pem, body=body, timeout_s=REQUEST_TIMEOUT_S
                )
                admission = msgspec.convert(answer, Admission)
            except PeerRefusal as error:
                if error.code not in _TEMPORARY:
                    raise JoinRefused(f"{where} refused this node: {error.message}") from error
                log.warning("join_delayed", seed=where, reason=error.message)
            except (PeerUntrusted, PeerIncompatible) as error:
                raise JoinRefused(f"{where} was not joined: {error.reason}") from error
            except PeerError as error:
                log.warning("join_failed", seed=where, reason=str(error))
            else:
                identity = Identity(
                    node_id=node_id,
                    cluster_id=admission.cluster_id,
                    key_pem=key_pem,
                    certificate_pem=admission.certificate_pem,
                    ca_pems=admission.ca_pems,
                    member_key=admission.member_key,
                    keyring=admission.keyring,
                )
                log.info("joined", seed=where, cluster=admission.cluster_id, peers=len(admission.peers))
                return identity, admission
        pause_s = _BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)]
        log.info("join_retry", after_s=pause_s)
        await trio.sleep(pause_s)
        attempt += 1
