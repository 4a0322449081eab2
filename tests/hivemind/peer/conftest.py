"""A cluster's CA and channels on loopback, each closed at the end of its test."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import structlog
import trio

from hivemind.peer.ca import ClusterCA, make_csr, make_key
from hivemind.peer.channel import PeerChannel
from hivemind.peer.config import PeerConfig
from hivemind.peer.identity import Identity
from hivemind.peer.messages import Welcome, encode_frame

DAY_S = 86_400


class Recorder:
    """A LinkReceiver that keeps what it is told and lets a test wait for it."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Any]] = []
        self.changes: list[tuple[str, str]] = []
        self._news = trio.Event()

    def message(self, node_id: str, body: Any) -> None:
        self.messages.append((node_id, body))
        self._tell()

    def up(self, node_id: str) -> None:
        self.changes.append(("up", node_id))
        self._tell()

    def down(self, node_id: str) -> None:
        self.changes.append(("down", node_id))
        self._tell()

    async def until(self, condition: Callable[[Recorder], bool], timeout_s: float = 5) -> None:
        with trio.fail_after(timeout_s):
            while not condition(self):
                self._news = trio.Event()
                await self._news.wait()

    def _tell(self) -> None:
        self._news.set()


class Authority:
    """A CA, and identities of its making."""

    def __init__(self, cluster_id: str = "alpha") -> None:
        self.ca = ClusterCA.make(cluster_id, now_s=time.time())

    def identity(
        self, node_id: str, *, ca: ClusterCA | None = None, age_s: float = 0, lifetime_s: float = 90 * DAY_S
    ) -> Identity:
        ca = ca or self.ca
        key = make_key()
        certificate = ca.sign(make_csr(key, node_id), node_id, now_s=time.time() - age_s, lifetime_s=lifetime_s)
        return Identity(
            node_id=node_id,
            cluster_id=ca.cluster_id,
            key_pem=key,
            certificate_pem=certificate,
            ca_pems=(ca.certificate_pem,),
            member_key=bytes(32),
            keyring=b"keys",
        )


class Cluster(Authority):
    """Runs channels that find each other."""

    def __init__(self, nursery: trio.Nursery, cluster_id: str = "alpha") -> None:
        super().__init__(cluster_id)
        self.addresses: dict[str, tuple[str, int]] = {}
        self._nursery = nursery

    def channel(
        self, node_id: str, *, identity: Identity | None = None, config: PeerConfig | None = None
    ) -> PeerChannel:
        host = f"127.0.0.{random.randint(1, 250)}"
        return PeerChannel(
            identity or self.identity(node_id),
            bind=self.addresses.get(node_id, (host, 0)),
            resolve=self.addresses.get,
            rng=random.Random(1),
            config=config,
        )

    async def start(self, *channels: PeerChannel) -> None:
        for channel in channels:
            await self._nursery.start(self._run, channel)
            self.addresses[channel.node_id] = channel.address

    async def _run(self, channel: PeerChannel, *, task_status: trio.TaskStatus[None]) -> None:
        await channel.run(task_status=task_status)


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with trio.open_nursery() as nursery:
        yield Cluster(nursery)
        nursery.cancel_scope.cancel()


@pytest.fixture
def recorder() -> Callable[[], Recorder]:
    return Recorder


@pytest.fixture
def logs() -> Any:
    with structlog.testing.capture_logs() as captured:
        yield captured


async def _eventually(condition: Callable[[], bool], timeout_s: float = 5) -> None:
    with trio.fail_after(timeout_s):
        # What is waited for happens in sockets and tasks that tell nobody else.
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.01)


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    """Wait until a condition holds; fails after ``timeout_s``."""
    return _eventually


async def _stalled_peer(
    identity: Any, *, task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED
) -> None:
    """Answers the hello and never reads again."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener, trio.open_nursery() as nursery:
        task_status.started(listener.socket.getsockname())

        async def serve(tcp: trio.SocketStream) -> None:
            stream = trio.SSLStream(tcp, identity.server_context(), server_side=True, https_compatible=True)
            try:
                await stream.do_handshake()
                hello = await stream.receive_some()
                assert hello
                welcome = Welcome(1, identity.node_id, identity.cluster_id)
                await stream.send_all(encode_frame(welcome, 10_000))
                await trio.sleep_forever()
            except (trio.BrokenResourceError, AssertionError):
                return
            finally:
                await trio.aclose_forcefully(stream)

        while True:
            nursery.start_soon(serve, await listener.accept())


@pytest.fixture
def stalled_peer() -> Any:
    """``await nursery.start(stalled_peer, identity)`` gives its address."""
    return _stalled_peer
