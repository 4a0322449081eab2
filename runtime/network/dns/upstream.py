"""Questions that are not ours, passed on to the machine's own resolvers."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import trio

RESOLV_CONF = Path("/etc/resolv.conf")
TIMEOUT_S = 2.0
ROUNDS = 2
_DATAGRAM_BYTES = 65535
_PORT = 53


class NoAnswer(Exception):
    """No resolver of this machine answered."""


def resolvers(text: str, own: Iterable[str] = ()) -> list[str]:
    """The addresses that a resolv.conf names, without `own`: nobody asks himself."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver" and words[1] not in own:
            found.append(words[1].partition("%")[0])
    return found


def read_resolvers(own: Iterable[str]) -> list[str]:
    """Those of this machine; none where its file cannot be read."""
    try:
        return resolvers(RESOLV_CONF.read_text(), own)
    except OSError:
        return []


class Upstream:
    """`servers` gives the addresses to ask, in order; each has `timeout_s`, twice."""

    def __init__(
        self, servers: Callable[[], Sequence[str]], *, port: int = _PORT, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._servers = servers
        self._port = port
        self._timeout_s = timeout_s

    async def ask(self, query: bytes, *, tcp: bool) -> bytes:
        """The whole answer to a whole query, with the query's id. Raises NoAnswer."""
        for _ in range(ROUNDS):
            for server in self._servers():
                with trio.move_on_after(self._timeout_s):
                    try:
                        return await (self._by_tcp(server, query) if tcp else self._by_udp(server, query))
                    except (OSError, trio.BrokenResourceError, EOFError):
                        continue
        raise NoAnswer

    async def _by_udp(self, server: str, query: bytes) -> bytes:
        # A socket of its own for each question: its port is new, and so as hard to guess as the id (RFC 5452 §9.2).
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        with trio.socket.socket(family, socket.SOCK_DGRAM) as asked:
            await asked.connect((server, self._port))
            await asked.send(query)
            while True:
                answer = await asked.recv(_DATAGRAM_BYTES)
                if _answers(query, answer):
                    return answer

    async def _by_tcp(self, server: str, query: bytes) -> bytes:
        async with await trio.open_tcp_stream(server, self._port) as stream:
            await stream.send_all(len(query).to_bytes(2, "big") + query)
            answer = await receive_message(stream)
        if answer is None or not _answers(query, answer):
            raise EOFError("no answer")
        return answer


def _answers(query: bytes, answer: bytes) -> bool:
    """The same id and, in lower case, the same question."""
    end = _question_end(query)
    if len(answer) < end or answer[:2] != query[:2] or not answer[2] & 0x80:
        return False
    return answer[12:end].lower() == query[12:end].lower()


def _question_end(query: bytes) -> int:
    at = 12
    while query[at]:
        at += 1 + query[at]
    return at + 5


async def receive_message(stream: trio.abc.ReceiveStream) -> bytes | None:
    """The next message of a stream (RFC 1035 §4.2.2); None at the end. Raises EOFError in the middle of one."""
    length = await _exactly(stream, 2)
    if not length:
        return None
    message = await _exactly(stream, int.from_bytes(length, "big"))
    if not message:
        raise EOFError("the stream ended in a message")
    return message


async def _exactly(stream: trio.abc.ReceiveStream, count: int) -> bytes:
    """b"" at the end."""
    received = bytearray()
    while len(received) < count:
        piece = await stream.receive_some(count - len(received))
        if not piece:
            if received:
                raise EOFError("the stream ended in a message")
            return b""
        received += piece
    return bytes(received)
