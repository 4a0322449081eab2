"""How datagrams and exchanges leave and reach this process: the Protocols, and UDP.

The in-memory ones for tests and simulations are in `memory.py`; the stream exchange of a real node is wired to its
peer channel by whoever puts the node together.
"""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Protocol

import trio

from membership.member import Address

MAX_DATAGRAM_BYTES = 65_535
RECEIVE_BUFFER_BYTES = 1 << 20
"""Room for a burst of packets while the process is busy; the kernel may grant less."""


class PacketTransport(Protocol):
    """Unreliable datagrams."""

    async def send(self, datagram: bytes, target: Address) -> None:
        """Send, or lose, one datagram. Raises OSError where the network refuses it."""
        ...

    async def receive(self) -> tuple[bytes, Address]:
        """The next datagram and its source."""
        ...

    def receive_nowait(self) -> tuple[bytes, Address] | None:
        """The next datagram that has arrived already, or None."""
        ...


class StreamExchange(Protocol):
    """Reliable, authenticated, encrypted question and answer between members."""

    async def exchange(self, name: str, kind: str, payload: bytes, *, timeout_s: float) -> bytes:
        """Ask `name`, whose `Membership.serve_exchange` answers. Any exception means that it failed."""
        ...


class UdpTransport:
    """A UDP socket. `async with await UdpTransport.bind((host, port)) as transport: …`"""

    def __init__(self, bound: socket.socket) -> None:
        self._bound = bound
        self._socket = trio.socket.from_stdlib_socket(bound)

    @classmethod
    async def bind(cls, address: Address) -> UdpTransport:
        """Bind an IPv4 or IPv6 address; port 0 takes a free one. Raises OSError."""
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        unbound = socket.socket(family, socket.SOCK_DGRAM)
        try:
            unbound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            unbound.bind(address)
            unbound.setblocking(False)
        except BaseException:
            unbound.close()
            raise
        await trio.lowlevel.checkpoint()
        return cls(unbound)

    @property
    def address(self) -> Address:
        """The bound address."""
        host, port = self._socket.getsockname()[:2]
        return (host, port)

    async def send(self, datagram: bytes, target: Address) -> None:
        """See `PacketTransport`."""
        await self._socket.sendto(datagram, target)

    async def receive(self) -> tuple[bytes, Address]:
        """See `PacketTransport`."""
        datagram, source = await self._socket.recvfrom(MAX_DATAGRAM_BYTES)
        return datagram, (source[0], source[1])

    def receive_nowait(self) -> tuple[bytes, Address] | None:
        """See `PacketTransport`."""
        try:
            datagram, source = self._bound.recvfrom(MAX_DATAGRAM_BYTES)
        except (BlockingIOError, ConnectionError):
            return None
        return datagram, (source[0], source[1])

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    async def __aenter__(self) -> UdpTransport:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
