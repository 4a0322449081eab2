"""The resolver of this node, on the bridge's address, by UDP and TCP.

A question that was asked before is answered from its bytes: no parsing, one look-up, one send. Whatever an answer
can depend on empties that cache when it changes, so that no name outlives its endpoint.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable, Set
from contextlib import suppress

import structlog
import trio
from msgspec import Struct, field

from consensus.machine import Machine
from runtime.network.dns import records
from runtime.network.dns.cache import ForeignAnswers, OwnAnswers, asked_of_us
from runtime.network.dns.names import in_ranges
from runtime.network.dns.records import Answer, Forward
from runtime.network.dns.upstream import NoAnswer, Upstream, receive_message

log = structlog.get_logger()

PORT = 53
_IP_FREEBIND = 15
_BATCH = 64
"""Datagrams that are answered before others get their turn: under 2 ms of cached answers."""
_DATAGRAM_BYTES = 4096
_RECEIVE_BUFFER_BYTES = 1 << 20
_MAX_FORWARDED = 256
_MAX_STREAMS = 128
_STREAM_IDLE_S = 10.0
_MAX_KNOWN_CLIENTS = 4096
_UDP, _TCP = b"u", b"t"
_ANSWERED = (0, 3)
"""NOERROR and NXDOMAIN."""
_RCODE = 0x0F
"""Of the second byte of an answer without its id."""

Address = tuple[str, int]


class DnsCounters(Struct):
    """Since the daemon's start. `hits` were answered from their bytes; `refused` came from outside of the overlay.

    `answers`: by their code (RFC 6895 §2.3). `unanswered`: forwarded, or to be, and no upstream resolver answered.
    """

    queries: int = 0
    hits: int = 0
    forwarded: int = 0
    unanswered: int = 0
    refused: int = 0
    answers: list[int] = field(default_factory=lambda: [0] * 16)


class Resolver:
    """
    Args:
        dead: the nodes that membership holds dead now; the same set as long as it is.
        upstream: who answers for names that are not ours.
    """

    def __init__(self, machine: Machine, *, dead: Callable[[], Set[str]], upstream: Upstream) -> None:
        self._machine = machine
        self._dead = dead
        self._upstream = upstream
        self._own = OwnAnswers()
        self._foreign = ForeignAnswers()
        self._named: tuple[object, ...] = (None,) * 3
        self._basis: tuple[object, ...] = (None,) * 6
        self._known_clients: dict[str, bool] = {}
        self._forwards = 0
        self.counters = DnsCounters()

    async def run(
        self, address: str, *, port: int = PORT, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Until cancelled; starts with the port. Raises OSError where it is taken."""
        with _bound(address, port, socket.SOCK_DGRAM) as datagrams:
            port = datagrams.getsockname()[1]
            with _bound(address, port, socket.SOCK_STREAM) as listening:
                listening.listen(_MAX_STREAMS)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._serve_udp, datagrams, nursery)
                    nursery.start_soon(self._serve_tcp, trio.socket.from_stdlib_socket(listening))
                    task_status.started(port)
                    await trio.sleep_forever()

    # -- datagrams

    async def _serve_udp(self, datagrams: socket.socket, nursery: trio.Nursery) -> None:
        while True:
            await trio.lowlevel.wait_readable(datagrams)
            for _ in range(_BATCH):
                try:
                    query, client = datagrams.recvfrom(_DATAGRAM_BYTES)
                except BlockingIOError:
                    break
                except OSError:
                    # An ICMP answer to one of ours; the socket is as good as before.
                    continue
                self._take(datagrams, query, client, nursery)

    def _take(self, datagrams: socket.socket, query: bytes, client: Address, nursery: trio.Nursery) -> None:
        counters = self.counters
        counters.queries += 1
        if not self._may_ask(client[0]):
            counters.refused += 1
            return
        answer = self._answer(query, tcp=False)
        if isinstance(answer, bytes):
            counters.answers[answer[1] & _RCODE] += 1
            _send(datagrams, query[:2] + answer, client)
        elif answer is not None:
            if self._forwards < _MAX_FORWARDED:
                self._forwards += 1
                nursery.start_soon(self._forward_datagram, datagrams, query, client)
            else:
                counters.unanswered += 1

    async def _forward_datagram(self, datagrams: socket.socket, query: bytes, client: Address) -> None:
        try:
            answer = await self._forward(query, tcp=False)
        finally:
            self._forwards -= 1
        self.counters.answers[answer[1] & _RCODE] += 1
        _send(datagrams, query[:2] + answer, client)

    # -- streams

    async def _serve_tcp(self, listening: trio.socket.SocketType) -> None:
        await trio.serve_listeners(self._serve_stream, [trio.SocketListener(listening)])

    async def _serve_stream(self, stream: trio.SocketStream) -> None:
        with suppress(OSError, trio.BrokenResourceError, EOFError):
            client = stream.socket.getpeername()[0]
            if not self._may_ask(client):
                self.counters.refused += 1
                return
            async with stream:
                while True:
                    with trio.move_on_after(_STREAM_IDLE_S) as scope:
                        query = await receive_message(stream)
                    if scope.cancelled_caught or query is None:
                        return
                    self.counters.queries += 1
                    answer = self._answer(query, tcp=True)
                    if answer is None:
                        return
                    if not isinstance(answer, bytes):
                        answer = await self._forward(query, tcp=True)
                    self.counters.answers[answer[1] & _RCODE] += 1
                    await stream.send_all((len(answer) + 2).to_bytes(2, "big") + query[:2] + answer)

    # -- answers

    def _answer(self, query: bytes, *, tcp: bool) -> bytes | Forward | None:
        """Without the id."""
        self._forget_what_changed()
        way = _TCP if tcp else _UDP
        question = way + asked_of_us(query)
        kept = self._own.get(question)
        if kept is not None:
            self.counters.hits += 1
            return kept
        kept = self._foreign.get(way + query[2:], trio.current_time())
        if kept is not None:
            self.counters.hits += 1
            return kept
        made = records.answer(self._machine.state, self._dead(), query, tcp=tcp)
        if not isinstance(made, Answer):
            return made
        if made.turns[0][1] & _RCODE not in _ANSWERED:
            # It may be options that are wrong: the same question with others is not.
            return made.turns[0]
        self._own.put(question, made.turns)
        return self._own.get(question)

    def _forget_what_changed(self) -> None:
        state = self._machine.state
        named = (state.apps, state.services, state.cluster)
        if any(new is not old for new, old in zip(named, self._named, strict=True)):
            # What is ours now may have been somebody else's a moment ago.
            self._named = named
            self._foreign.clear()
            self._known_clients.clear()
        basis = (*named, state.tasks, state.nodes, self._dead())
        if any(new is not old for new, old in zip(basis, self._basis, strict=True)):
            self._basis = basis
            self._own.clear()

    async def _forward(self, query: bytes, *, tcp: bool) -> bytes:
        """Without the id."""
        self.counters.forwarded += 1
        try:
            answer = await self._upstream.ask(query, tcp=tcp)
        except NoAnswer:
            self.counters.unanswered += 1
            return records.failure(query)
        self._foreign.put((_TCP if tcp else _UDP) + query[2:], answer, trio.current_time())
        return answer[2:]

    def _may_ask(self, client: str) -> bool:
        """Containers and nodes may; to the rest of the world this is no resolver."""
        known = self._known_clients.get(client)
        if known is None:
            if len(self._known_clients) >= _MAX_KNOWN_CLIENTS:
                self._known_clients.clear()
            loopback = ipaddress.ip_address(client).is_loopback
            known = self._known_clients[client] = loopback or in_ranges(self._machine.state, client)
        return known


def _bound(address: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """Also where no link has the address yet: the bridge comes and goes."""
    bound = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        bound.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        bound.bind((address, port))
    except BaseException:
        bound.close()
        raise
    return bound


def _send(datagrams: socket.socket, answer: bytes, client: Address) -> None:
    try:
        datagrams.sendto(answer, client)
    except OSError as error:
        # Its buffer is full, or the client is gone: it asks again, or nobody waits.
        if error.errno not in (errno.EAGAIN, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EPERM):
            log.info("dns_answer_not_sent", client=client[0], reason=str(error))
