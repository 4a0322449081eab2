"""Networks in memory, for drivers under trio's virtual time."""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import trio

from membership.faults import Faults
from membership.member import Address

MAX_IN_FLIGHT = 10_000

Serve: TypeAlias = Callable[[str, str, bytes], Awaitable[bytes]]


class MemoryNetwork:
    """Datagrams between transports of one process, subject to `Faults`."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._transports: dict[Address, MemoryTransport] = {}

    def attach(self, address: Address) -> MemoryTransport:
        """A transport at this address; one that was there before gets nothing any more."""
        transport = MemoryTransport(self, address)
        self._transports[address] = transport
        return transport

    def detach(self, address: Address) -> None:
        """Let what is sent to the address vanish, as with a machine that is off."""
        self._transports.pop(address, None)

    def deliver(self, datagram: bytes, source: Address, target: Address) -> None:
        """Send a datagram on its way."""
        transport = self._transports.get(target)
        if transport is not None:
            for delay_s in self.faults.fate(source, target):
                transport.arrive(datagram, source, trio.current_time() + delay_s)


class MemoryTransport:
    """A `PacketTransport` on a MemoryNetwork."""

    def __init__(self, network: MemoryNetwork, address: Address) -> None:
        self._network = network
        self._address = address
        self._in_flight: list[tuple[float, int, bytes, Address]] = []
        self._arrivals = 0
        self._arrived = trio.Event()

    async def send(self, datagram: bytes, target: Address) -> None:
        """See `PacketTransport`."""
        await trio.lowlevel.checkpoint()
        self._network.deliver(datagram, self._address, target)

    async def receive(self) -> tuple[bytes, Address]:
        """See `PacketTransport`."""
        while True:
            await trio.lowlevel.checkpoint()
            arrived = self.receive_nowait()
            if arrived is not None:
                return arrived
            due_s = self._in_flight[0][0] if self._in_flight else float("inf")
            self._arrived = trio.Event()
            with trio.move_on_at(due_s):
                await self._arrived.wait()

    def receive_nowait(self) -> tuple[bytes, Address] | None:
        """See `PacketTransport`."""
        if not self._in_flight or self._in_flight[0][0] > trio.current_time():
            return None
        _, _, datagram, source = heapq.heappop(self._in_flight)
        return datagram, source

    def arrive(self, datagram: bytes, source: Address, due_s: float) -> None:
        """Take in a datagram that is to be received at a time; too many are dropped, as by a full buffer."""
        if len(self._in_flight) < MAX_IN_FLIGHT:
            self._arrivals += 1
            heapq.heappush(self._in_flight, (due_s, self._arrivals, datagram, source))
            self._arrived.set()


class MemoryExchanges:
    """Streams between the members of one process."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._servers: dict[str, tuple[Address, Serve]] = {}

    def serve(self, name: str, address: Address, serve: Serve) -> None:
        """Let a member be reached."""
        self._servers[name] = (address, serve)

    def stop(self, name: str) -> None:
        """Let it be reached no more."""
        self._servers.pop(name, None)

    def client(self, name: str, address: Address) -> MemoryExchange:
        """What the member `name` asks others with."""
        return MemoryExchange(self, name, address)

    async def ask(self, name: str, address: Address, target: str, kind: str, payload: bytes) -> bytes:
        """Carry one exchange: it needs both directions, so one cut stops it."""
        if target not in self._servers:
            raise ConnectionRefusedError(f"nobody serves {target}")
        there, serve = self._servers[target]
        if self.faults.is_cut(address, there) or self.faults.is_cut(there, address):
            await trio.sleep_forever()
        await trio.sleep(self.faults.delay_s())
        answer = await serve(name, kind, payload)
        await trio.sleep(self.faults.delay_s())
        return answer


class MemoryExchange:
    """A `StreamExchange` among MemoryExchanges."""

    def __init__(self, exchanges: MemoryExchanges, name: str, address: Address) -> None:
        self._exchanges = exchanges
        self._name = name
        self._address = address

    async def exchange(self, name: str, kind: str, payload: bytes, *, timeout_s: float) -> bytes:
        """See `StreamExchange`."""
        with trio.fail_after(timeout_s):
            return await self._exchanges.ask(self._name, self._address, name, kind, payload)
