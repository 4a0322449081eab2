"""Joining, as the node that has no identity yet."""

from __future__ import annotations

import ssl
import time
from typing import Any

import trio
from cryptography import x509

from hivemind.peer.ca import check_issued_by, fingerprint, load_certificate
from hivemind.peer.client import connect_tcp
from hivemind.peer.config import PeerConfig
from hivemind.peer.connection import Connection, ConnectionLost
from hivemind.peer.errors import CertificateInvalid, PeerRefusal, PeerTimeout, PeerUnreachable, PeerUntrusted
from hivemind.peer.hello import MAX_VERSION, MIN_VERSION, refusal_error
from hivemind.peer.messages import Answer, Failure, Hello, Refused, Request, Welcome
from hivemind.peer.metrics import Counters
from hivemind.peer.names import certificate_name
from hivemind.peer.tls import TlsFailed, TlsRefused, handshake
from hivemind.peer.tls_stream import TlsStream
from hivemind.peer.token import JoinToken


async def request_join(
    seed: tuple[str, int],
    token: JoinToken,
    *,
    node_id: str,
    csr_pem: str,
    body: dict[str, Any],
    timeout_s: float,
    config: PeerConfig | None = None,
) -> dict[str, Any]:
    """Ask the seed to take us in; the secret is sent only to the cluster that the token names.

    The join handler there gets ``{"node_id", "secret", "csr_pem", "body"}``; its answer is returned.

    Raises:
        PeerUnreachable: no connection, or it was lost.
        PeerUntrusted: the seed is not of the token's cluster, or its certificate is not valid.
        PeerIncompatible: no protocol version in common.
        PeerRefusal: the cluster said no; code and message are its own.
        PeerTimeout: no answer in time; ``ambiguous`` unless nothing had been sent.
    """
    config = config or PeerConfig()
    joining = _Joining(f"{seed[0]}:{seed[1]}", token, config)
    with trio.move_on_after(timeout_s):
        request = {"node_id": node_id, "secret": token.secret, "csr_pem": csr_pem, "body": body}
        return await joining.run(seed, node_id, request)
    raise PeerTimeout(joining.where, "join", timeout_s, ambiguous=joining.sent)


class _Joining:
    def __init__(self, where: str, token: JoinToken, config: PeerConfig) -> None:
        self.where = where
        self.sent = False
        self._token = token
        self._config = config

    async def run(self, seed: tuple[str, int], node_id: str, request: dict[str, Any]) -> dict[str, Any]:
        connection: Connection | None = None
        with trio.move_on_after(self._config.connect_timeout_s):
            connection = await self._connect(seed)
        if connection is None:
            raise PeerUnreachable(self.where, f"no answer to TCP and TLS within {self._config.connect_timeout_s:g} s")
        try:
            await self._check_seed(connection, node_id)
            connection.allow(self._config.max_frame_bytes)
            self.sent = True
            await connection.send(Request(1, "join", request))
            return self._answer(await connection.receive())
        except ConnectionLost as error:
            raise PeerUnreachable(self.where, str(error), ambiguous=self.sent) from error
        finally:
            await connection.aclose()

    async def _connect(self, seed: tuple[str, int]) -> Connection:
        stream = TlsStream(await connect_tcp(self.where, seed), _stranger_context())
        try:
            await handshake(stream)
        except (TlsRefused, TlsFailed) as error:
            await trio.aclose_forcefully(stream)
            raise PeerUnreachable(self.where, str(error)) from error
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return Connection(stream, max_frame_bytes=self._config.max_stranger_frame_bytes, counters=Counters())

    async def _check_seed(self, connection: Connection, node_id: str) -> None:
        await connection.send(Hello(MIN_VERSION, MAX_VERSION, node_id, "", "join"))
        match await connection.receive():
            case Welcome() as welcome:
                pass
            case Refused() as refused:
                raise refusal_error(self.where, refused)
            case _:
                raise PeerUnreachable(self.where, "it did not answer our hello")
        try:
            check_seed(connection.peer_certificate_der() or b"", welcome, self._token, now_s=time.time())
        except CertificateInvalid as error:
            await connection.send(Refused("untrusted", str(error)))
            raise PeerUntrusted(self.where, str(error)) from error

    def _answer(self, message: object) -> dict[str, Any]:
        match message:
            case Answer(_, dict() as answer):
                return answer
            case Failure(_, code, text):
                raise PeerRefusal(code, text)
            case _:
                raise PeerUnreachable(self.where, "it gave no answer to our request", ambiguous=True)


def check_seed(leaf_der: bytes, welcome: Welcome, token: JoinToken, *, now_s: float) -> None:
    """Check that the seed's certificate chains to the CA of the token.

    TLS has shown that the seed holds the leaf's key; the leaf must be signed by a CA whose
    fingerprint is the token's. Raises CertificateInvalid.
    """
    authorities = [load_certificate(pem) for pem in welcome.ca_pems[:8]]
    trusted = [ca for ca in authorities if fingerprint(ca) == token.fingerprint]
    if not trusted:
        raise CertificateInvalid("its CA does not have the token's fingerprint: it is another cluster's")
    try:
        leaf = x509.load_der_x509_certificate(leaf_der)
    except ValueError as error:
        raise CertificateInvalid("its certificate cannot be read") from error
    check_issued_by(leaf, trusted[0], now_s=now_s)
    name = certificate_name(leaf)
    if (name.node_id, name.cluster_id) != (welcome.node_id, welcome.cluster_id):
        raise CertificateInvalid(f"its certificate is for {name.node_id} in {name.cluster_id}, its hello says other")


def _stranger_context() -> ssl.SSLContext:
    """A joiner trusts nobody yet: the certificate is checked by :func:`check_seed`, after the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
