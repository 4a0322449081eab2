"""Two servers' CPU for the same request, in turn and in small blocks: what else the machine does is dear to both.

A block is answered in some 50 ms, so a figure of many blocks holds beside other work, where seconds of one server and
seconds of the other do not.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from msgspec import Struct

REQUESTS_A_BLOCK = 48
RECEIVE_BYTES = 1 << 17


class Server(Struct, frozen=True):
    """`request` is a whole HTTP/1.1 request; `pid` is the server's process."""

    address: tuple[str, int]
    request: bytes
    pid: int


class InTurn(Struct, frozen=True):
    """CPU of each server for a request, and how many times the second's the first's is: medians over all blocks."""

    first_cpu_ms: float
    second_cpu_ms: float
    ratio: float


class _Clients:
    """Each has a request under way until all have their answer."""

    def __init__(self, server: Server, clients: int) -> None:
        self._server = server
        self._sockets = [socket.create_connection(server.address) for _ in range(clients)]
        for each in self._sockets:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def block(self) -> float:
        """The server's CPU in milliseconds for one of the requests of a block."""
        turns = max(1, REQUESTS_A_BLOCK // len(self._sockets))
        before_s = threads_cpu_s(self._server.pid)
        for _ in range(turns):
            for each in self._sockets:
                each.sendall(self._server.request)
            for each in self._sockets:
                _take_answer(each)
        return 1000 * (threads_cpu_s(self._server.pid) - before_s) / turns / len(self._sockets)

    def close(self) -> None:
        for each in self._sockets:
            each.close()


def threads_cpu_s(pid: int) -> float:
    """What the threads that there are have used, to the nanosecond (/proc/PID/stat counts ticks of 10 ms)."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def in_turn(first: Server, second: Server, *, clients: int, blocks: int) -> InTurn:
    """Raises RuntimeError where an answer is not 200."""
    asked = [_Clients(server, clients) for server in (first, second)]
    try:
        for each in asked:
            each.block()
        pairs = [(asked[0].block(), asked[1].block()) for _ in range(blocks)]
    finally:
        for each in asked:
            each.close()
    ratio = median(one / other for one, other in pairs)
    return InTurn(_median(pairs, 0), _median(pairs, 1), ratio)


def _median(pairs: Sequence[tuple[float, float]], which: int) -> float:
    return median(pair[which] for pair in pairs)


def _take_answer(connection: socket.socket) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"expected 200, got {head[:200]!r}")
    left = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]) - len(body)
    while left > 0:
        left -= len(_more(connection))


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(RECEIVE_BYTES)
    if not data:
        raise RuntimeError("the server closed the connection")
    return data
