"""Shared by the tests of membership: one pure core that hears what it is told, and a few drivers in memory."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec
import pytest
import trio

from membership import Keyring, Membership, MemoryIncarnationStore, Peer, SwimConfig, local
from membership.codec import HIGHEST_VERSION, LOWEST_VERSION, decode_packet
from membership.effects import Effect, Send
from membership.faults import Faults, LinkQuality
from membership.inputs import PacketReceived, Start
from membership.member import Address
from membership.memory import MemoryExchanges, MemoryNetwork
from membership.messages import Alive, Message, Packet
from membership.swim import Swim
from membership.timers import GossipTick

E = TypeVar("E")


class Lone:
    """A core named `me`, with a clock that the test moves."""

    def __init__(self, config: SwimConfig, seed: int = 1) -> None:
        self.now_s = 0.0
        self.swim = Swim(
            config,
            name="me",
            address=("10.0.0.1", 7946),
            meta=b"",
            incarnation=1,
            rng=random.Random(seed),
        )
        self.started = self.swim.handle(Start(), self.now_s)

    def hear(self, *messages: Message, sender: str = "other", source: Address = ("10.0.0.9", 7946)) -> list[Effect]:
        packet = Packet(LOWEST_VERSION, HIGHEST_VERSION, sender, messages)
        return self.swim.handle(PacketReceived(source, packet), self.now_s)

    def meet(self, *names: str) -> None:
        self.hear(*(alive(name) for name in names))


def alive(name: str, incarnation: int = 1, *, host: str = "", meta: bytes = b"") -> Alive:
    return Alive(name, host or f"10.0.1.{sum(name.encode()) % 250}", 7946, incarnation, meta)


def only(kind: type[E], effects: list[Effect]) -> list[E]:
    return [effect for effect in effects if isinstance(effect, kind)]


def said(effects: list[Effect], kind: type[E]) -> list[tuple[Address, E]]:
    """The messages of this kind that were sent, with whom to."""
    return [
        (send.target, message)
        for send in only(Send, effects)
        for message in decode_packet(send.packet).messages
        if isinstance(message, kind)
    ]


class Town:
    """Drivers in one process, under whatever clock trio runs."""

    def __init__(self, nursery: trio.Nursery, config: SwimConfig, quality: LinkQuality, seed: int) -> None:
        self.nursery = nursery
        self.config = config
        self.rng = random.Random(seed)
        self.faults = Faults(quality, self.rng)
        self.network = MemoryNetwork(self.faults)
        self.exchanges = MemoryExchanges(self.faults)
        self.stores: dict[str, MemoryIncarnationStore] = {}
        self.scopes: dict[str, trio.CancelScope] = {}
        self.keys = [b"k" * 32]

    async def start(self, name: str, host: str, *, meta: bytes = b"", keys: list[bytes] | None = None) -> Membership:
        address = (host, 7946)
        member = Membership(
            self.config,
            name=name,
            address=address,
            meta=meta,
            keyring=Keyring(keys or self.keys),
            packets=self.network.attach(address),
            exchange=self.exchanges.client(name, address),
            incarnations=self.stores.setdefault(name, MemoryIncarnationStore()),
            rng=random.Random(self.rng.random()),
        )
        self.exchanges.serve(name, address, member.serve_exchange)
        await self.nursery.start(self._run, name, member)
        return member

    async def _run(self, name: str, member: Membership, *, task_status: trio.TaskStatus[None]) -> None:
        with trio.CancelScope() as self.scopes[name]:
            await member.run(task_status=task_status)

    def kill(self, name: str, host: str) -> None:
        self.scopes[name].cancel()
        self.network.detach((host, 7946))
        self.exchanges.stop(name)

    async def start_joined(self, count: int) -> list[Membership]:
        members = [await self.start(f"n{index}", f"10.0.0.{index + 1}") for index in range(count)]
        for member in members[1:]:
            report = await member.join([Peer("n0", ("10.0.0.1", 7946))])
            assert report.joined == ("n0",), report
        return members


@asynccontextmanager
async def open_town(
    config: SwimConfig | None = None, quality: LinkQuality | None = None, seed: int = 1
) -> AsyncIterator[Town]:
    async with trio.open_nursery() as nursery:
        yield Town(nursery, config or local(), quality or LinkQuality(), seed)
        nursery.cancel_scope.cancel()


async def eventually(met: Callable[[], bool], *, within_s: float) -> None:
    with trio.fail_after(within_s):
        while not met():  # noqa: ASYNC110  what is waited for is a state of several members
            await trio.sleep(0.02)


class Kit:
    """What tests import from here, as importlib mode has no packages of tests."""

    Lone = Lone
    alive = staticmethod(alive)
    only = staticmethod(only)
    said = staticmethod(said)
    open_town = staticmethod(open_town)
    eventually = staticmethod(eventually)
    gossip = GossipTick()
    replace = staticmethod(msgspec.structs.replace)


@pytest.fixture
def kit() -> type[Kit]:
    return Kit
