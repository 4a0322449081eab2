"""The accepting side: one listener that nothing kills, handshakes with deadlines and limits."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from hivemind.peer.admission import Admission, LogBudget
from hivemind.peer.config import PeerConfig
from hivemind.peer.connection import Connection, ConnectionLost
from hivemind.peer.errors import CertificateInvalid, PeerRefusal
from hivemind.peer.hello import answer_hello
from hivemind.peer.inbound import InboundCalls, InboundLinks, serve_stream
from hivemind.peer.messages import REMOVED, Answer, Failure, Hello, Refused, Request, Welcome
from hivemind.peer.metrics import Counters
from hivemind.peer.names import CertificateName, certificate_name_of_der
from hivemind.peer.services import Services, guarded
from hivemind.peer.tls import TlsFailed, TlsRefused, handshake, linger, tune
from hivemind.peer.tls_stream import TlsStream
from hivemind.peer.trust import Trust

log = structlog.get_logger()


class PeerServer:
    """Accepts connections and serves them."""

    def __init__(
        self,
        trust: Trust,
        services: Services,
        config: PeerConfig,
        counters: Counters,
        heard: Callable[[str], None],
    ) -> None:
        """`heard` is told of each connection from a peer."""
        self._trust = trust
        self._services = services
        self._config = config
        self._counters = counters
        self._heard = heard
        self._admission = Admission(config)
        self._log_budget = LogBudget()
        self._links = InboundLinks(services, config)

    async def serve(self, listener: trio.SocketListener) -> None:
        """Accept for ever. An error of accept, such as too many open files, is waited out."""
        async with listener, trio.open_nursery() as nursery:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    log.warning("peer_accept_failed", error=str(error))
                    await trio.sleep(self._config.accept_backoff_s)
                else:
                    nursery.start_soon(self._admit, stream)

    async def _admit(self, stream: trio.SocketStream) -> None:
        self._counters.accepted += 1
        try:
            address = str(stream.socket.getpeername()[0])
            tune(stream)
        except OSError:
            # It is gone again already.
            await trio.aclose_forcefully(stream)
            return
        problem = self._admission.enter(address)
        if problem is not None:
            self._refused(address, problem)
            await trio.aclose_forcefully(stream)
            return
        visit = _Visit(address)
        self._counters.open_inbound += 1
        try:
            await self._serve(stream, visit)
        except ConnectionLost as error:
            if visit.peer:
                log.info("peer_connection_lost", peer=visit.peer, address=address, reason=str(error))
            else:
                self._refused(address, str(error))
        except Exception as error:
            # A bug in serving one connection must not end the listener and all the others.
            log.error("peer_connection_failed", address=address, peer=visit.peer, exc_info=error)
        finally:
            self._counters.open_inbound -= 1
            self._admission.leave(address, was_stranger=not visit.peer)
            await trio.aclose_forcefully(stream)

    async def _serve(self, socket_stream: trio.SocketStream, visit: _Visit) -> None:
        stream = TlsStream(socket_stream, self._trust.server_context, server_side=True)
        connection = Connection(stream, max_frame_bytes=self._config.max_stranger_frame_bytes, counters=self._counters)
        with trio.move_on_after(self._config.handshake_timeout_s) as scope:
            try:
                await handshake(stream)
            except (TlsRefused, TlsFailed) as error:
                self._counters.handshakes_failed += 1
                self._refused(visit.address, str(error))
                return
        if scope.cancelled_caught:
            self._counters.handshakes_failed += 1
            raise ConnectionLost("no TLS handshake in time")
        hello = None
        with trio.move_on_after(self._config.handshake_timeout_s) as scope:
            hello = await connection.receive()
        if scope.cancelled_caught:
            raise ConnectionLost("no hello in time")
        if not isinstance(hello, Hello):
            raise ConnectionLost("it said no hello")
        await self._welcome(connection, hello, visit)

    async def _welcome(self, connection: Connection, hello: Hello, visit: _Visit) -> None:
        answer = self._answer(connection, hello)
        if isinstance(answer, Refused):
            self._refused(visit.address, answer.message, peer=hello.node_id)
            with trio.move_on_after(1):
                await connection.send(answer)
                await linger(connection.stream.transport_stream)
            return
        if hello.kind == "join":
            # A joiner stays a stranger: with its deadline, its small frames and its count.
            with trio.move_on_after(self._config.join_timeout_s):
                await connection.send(answer)
                await self._join(connection, visit.address)
            return
        visit.peer = hello.node_id
        self._admission.known(visit.address)
        connection.allow(self._config.max_frame_bytes)
        await connection.send(answer)
        self._heard(visit.peer)
        if hello.kind == "rpc":
            await InboundCalls(connection, hello.node_id, self._services, self._config, self._counters).run()
        elif hello.kind == "stream":
            await serve_stream(connection, hello.node_id, self._services, self._config)
        elif self._services.receiver is not None:
            await self._links.run(connection, hello.node_id, self._services.receiver)

    def _answer(self, connection: Connection, hello: Hello) -> Welcome | Refused:
        certificate: CertificateName | None = None
        der = connection.peer_certificate_der()
        try:
            certificate = certificate_name_of_der(der) if der else None
        except CertificateInvalid as error:
            return Refused("untrusted", str(error))
        answer = answer_hello(hello, certificate, self._trust.us)
        if isinstance(answer, Refused):
            return answer
        reason = None if hello.kind == "join" else self._services.turn_away(hello.node_id)
        if reason is not None:
            return Refused(REMOVED, reason)
        if hello.kind == "stream" and not self._services.has_stream(hello.service):
            return Refused("unknown_service", f"there is no stream service {hello.service}")
        if hello.kind == "link" and self._services.receiver is None:
            return Refused("not_listening", "it does not take links yet")
        if hello.kind == "join":
            if self._services.join is None:
                return Refused("not_ready", "it does not take joiners yet")
            return Welcome(answer.version, answer.node_id, answer.cluster_id, self._trust.identity.ca_pems)
        return answer

    async def _join(self, connection: Connection, address: str) -> None:
        message = await connection.receive()
        match message:
            case Request(call_id, "join", body) if self._services.join is not None:
                try:
                    reply: Answer | Failure = Answer(call_id, await guarded(self._services.join, address, "join", body))
                except PeerRefusal as refusal:
                    self._refused(address, f"join rejected: {refusal.message}")
                    reply = Failure(call_id, refusal.code, refusal.message)
                connection.allow(self._config.max_frame_bytes)
                await connection.send(reply)
                await linger(connection.stream.transport_stream)
            case Refused(_, text):
                self._refused(address, f"the joiner refused us: {text}")
            case _:
                raise ConnectionLost("no join request came")

    def _refused(self, address: str, reason: str, *, peer: str = "") -> None:
        self._counters.refused += 1
        if self._log_budget.take(trio.current_time()):
            suppressed, self._log_budget.suppressed = self._log_budget.suppressed, 0
            log.warning("peer_refused", address=address, peer=peer, reason=reason, not_logged=suppressed)


class _Visit:
    """One accepted connection; ``peer`` is empty until its hello is done."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.peer = ""
