"""Dialling a peer: TCP, TLS, hello; within one deadline."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from hivemind.peer.config import PeerConfig
from hivemind.peer.connection import Connection, ConnectionLost
from hivemind.peer.errors import CertificateInvalid, PeerUnreachable, PeerUntrusted
from hivemind.peer.hello import check_welcome, refusal_error
from hivemind.peer.messages import REMOVED, Hello, Kind, Refused, Welcome
from hivemind.peer.metrics import Counters
from hivemind.peer.names import certificate_name_of_der
from hivemind.peer.reception import Reception
from hivemind.peer.tls import TlsFailed, TlsRefused, handshake, tune
from hivemind.peer.tls_stream import TlsStream
from hivemind.peer.trust import Trust

log = structlog.get_logger()

Resolver = Callable[[str], tuple[str, int] | None]


class Dialler:
    """Opens connections to peers by their node ids."""

    def __init__(self, trust: Trust, resolve: Resolver, config: PeerConfig, counters: Counters) -> None:
        self.reception = Reception()
        self._trust = trust
        self._resolve = resolve
        self._config = config
        self._counters = counters

    async def dial(self, node_id: str, kind: Kind, service: str = "") -> Connection:
        """Connect, shake hands and say hello.

        Raises:
            PeerUnreachable: with its kinds PeerUntrusted and PeerIncompatible; never ambiguous.
            PeerRefusal: the peer does not serve that.
        """
        address = self._resolve(node_id)
        if address is None:
            raise PeerUnreachable(node_id, "its address is not known")
        where = f"{address[0]}:{address[1]}"
        self._counters.dialled += 1
        with trio.move_on_after(self._config.connect_timeout_s):
            return await self._dial(node_id, address, kind, service)
        raise PeerUnreachable(node_id, f"no answer from {where} within {self._config.connect_timeout_s:g} s")

    async def _dial(self, node_id: str, address: tuple[str, int], kind: Kind, service: str) -> Connection:
        socket_stream = await connect_tcp(node_id, address)
        stream = TlsStream(socket_stream, self._trust.client_context)
        connection = Connection(stream, max_frame_bytes=self._config.max_stranger_frame_bytes, counters=self._counters)
        try:
            await handshake(stream)
            await self._hello(connection, node_id, kind, service)
        except TlsRefused as error:
            await connection.aclose()
            self._counters.handshakes_failed += 1
            raise PeerUntrusted(node_id, str(error)) from error
        except TlsFailed as error:
            await connection.aclose()
            self._counters.handshakes_failed += 1
            raise PeerUnreachable(node_id, str(error)) from error
        except ConnectionLost as error:
            await connection.aclose()
            kind_of_error = PeerUntrusted if error.untrusted else PeerUnreachable
            raise kind_of_error(node_id, str(error)) from error
        except BaseException:
            await connection.aclose()
            raise
        connection.allow(self._config.max_frame_bytes)
        return connection

    async def _hello(self, connection: Connection, node_id: str, kind: Kind, service: str) -> None:
        us = self._trust.us
        await connection.send(Hello(us.min_version, us.max_version, us.node_id, us.cluster_id, kind, service))
        match await connection.receive():
            case Welcome() as welcome:
                try:
                    name = certificate_name_of_der(connection.peer_certificate_der() or b"")
                    check_welcome(welcome, name, node_id, us)
                except (CertificateInvalid, PeerUntrusted) as error:
                    problem = error.reason if isinstance(error, PeerUntrusted) else str(error)
                    await connection.send(Refused("untrusted", problem))
                    raise PeerUntrusted(node_id, problem) from error
                self.reception.welcomed()
            case Refused(code, message) as refused:
                if code == REMOVED:
                    self.reception.turned_away(message, trio.current_time())
                raise refusal_error(node_id, refused)
            case None:
                raise PeerUnreachable(node_id, "it closed the connection instead of answering our hello")
            case other:
                raise PeerUnreachable(node_id, f"it answered our hello with {type(other).__name__}")


async def connect_tcp(node_id: str, address: tuple[str, int]) -> trio.SocketStream:
    """A TCP connection. Raises PeerUnreachable."""
    host, port = address
    try:
        stream = await trio.open_tcp_stream(host, port)
    except OSError as error:
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        raise PeerUnreachable(node_id, f"cannot connect to {host}:{port}: {cause.strerror or cause}") from error
    tune(stream)
    return stream
