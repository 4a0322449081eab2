"""Echoes between an address of this node's part of the overlay and those of others', by UDP.

A packet is a kind, a token and, where it asks for it, padding. Answers are short: no echo is louder than its call.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Generic, TypeVar

import trio

from consensus.model.network import in_ranges

PORT = 51843
_ASK, _ANSWER = b"hm?", b"hm!"
_TOKEN_BYTES = 8
_HEADERS_BYTES = 28
"""IP (20) and UDP (8)."""
_IP_FREEBIND, _IP_MTU_DISCOVER, _IP_PMTUDISC_DO = 15, 10, 2
_DATAGRAM_BYTES = 65536

A = TypeVar("A")


class Echoes(Generic[A]):
    """At one address. `A`: what the asker knows an ask by.

    Args:
        answered: told of each ask that is answered before it is forgotten.
    """

    def __init__(self, address: str, answered: Callable[[A], None]) -> None:
        """Raises OSError."""
        self._answered = answered
        self._asked: dict[bytes, A] = {}
        self._socket = _bound(address)

    def __enter__(self) -> Echoes[A]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    def forget(self) -> None:
        """What was not answered until now comes too late."""
        self._asked.clear()

    def ask(self, to: str, ask: A, packet_bytes: int = 0) -> None:
        """`packet_bytes`: how long the packet shall be, its headers included. What cannot be sent gets no answer."""
        token = secrets.token_bytes(_TOKEN_BYTES)
        self._asked[token] = ask
        with suppress(OSError):
            self._socket.sendto((_ASK + token).ljust(packet_bytes - _HEADERS_BYTES, b"\0"), (to, PORT))

    async def run(self, ranges: Callable[[], Sequence[str]]) -> None:
        """Give echoes to who is in the overlay's ranges, and take those that were asked for, until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            with suppress(OSError):
                packet, sender = self._socket.recvfrom(_DATAGRAM_BYTES)
                kind, token = packet[: len(_ASK)], packet[len(_ASK) : len(_ASK) + _TOKEN_BYTES]
                if kind == _ANSWER:
                    if (ask := self._asked.pop(token, None)) is not None:
                        self._answered(ask)
                elif kind == _ASK and in_ranges(ranges(), sender[0]):
                    self._socket.sendto(_ANSWER + token, sender)


def _bound(address: str) -> socket.socket:
    """Also where no link has the address yet. What is too long for the way is not cut into pieces."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        bound.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        bound.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DO)
        bound.bind((address, PORT))
    except BaseException:
        bound.close()
        raise
    return bound
