"""Outgoing links: kept one-way lanes of messages, redialled for as long as they are wanted."""

from __future__ import annotations

import random
from typing import Any

import structlog
import trio

from hivemind.peer.client import Dialler
from hivemind.peer.config import PeerConfig
from hivemind.peer.connection import Connection, ConnectionLost
from hivemind.peer.errors import PeerError
from hivemind.peer.messages import LinkMessage, Ping, Pong, Refused
from hivemind.peer.metrics import Counters
from hivemind.peer.outbox import Outbox
from hivemind.peer.services import Services

log = structlog.get_logger()

_SEND_NOW_BYTES = 64 * 1024
"""More than this takes a turn of the loop of its own to encrypt."""
_PUT_OFF_PARTS = 8
"""So much of its interval may a ping come too early."""


class Link:
    """The lane to one peer. Its task dials, tells the receiver up and down in turn, and dials again."""

    def __init__(
        self,
        node_id: str,
        dialler: Dialler,
        services: Services,
        config: PeerConfig,
        counters: Counters,
        rng: random.Random,
    ) -> None:
        self.node_id = node_id
        self.ended = trio.Event()
        self._dialler = dialler
        self._services = services
        self._config = config
        self._counters = counters
        self._rng = rng
        self._scope = trio.CancelScope()
        self._connection: Connection | None = None
        self._outbox: Outbox | None = None
        self._last_problem = ""
        self._heard = trio.Event()
        self._spoke_s = 0.0
        self._quiet = trio.CancelScope()
        """The ping's sleep."""

    @property
    def is_up(self) -> bool:
        return self._outbox is not None

    def send(self, body: Any) -> bool:
        """Queue a message. False: down, or the queue is full. Raises FrameTooLarge or TypeError."""
        if self._connection is None or self._outbox is None:
            return False
        frame = self._connection.encode(LinkMessage(body))
        if not len(self._outbox) and _send_now(self._connection, self._outbox, frame):
            self._spoke()
            return True
        if self._outbox.offer(frame):
            return True
        self._counters.link_messages_dropped += 1
        return False

    def stop(self) -> None:
        """End the link; ``ended`` is set when it is down."""
        self._outbox = None
        self._scope.cancel()

    def heard(self) -> None:
        """The peer spoke to us: if we wait to dial it again, that is over."""
        self._heard.set()

    async def run(self, after: Link | None = None) -> None:
        """Keep the link, once the link ``after`` has ended: its down comes before our up."""
        try:
            with self._scope:
                if after is not None:
                    await after.ended.wait()
                await self._keep()
        finally:
            self.ended.set()

    async def _keep(self) -> None:
        delay_s = self._config.redial_min_s
        while True:
            self._heard = trio.Event()
            try:
                connection = await self._dialler.dial(self.node_id, "link")
            except PeerError as error:
                self._report(str(error))
            else:
                since_s = trio.current_time()
                await self._carry(connection)
                if trio.current_time() - since_s > self._config.redial_max_s:
                    delay_s = self._config.redial_min_s
            pause_s = delay_s * self._rng.uniform(0.5, 1.0)
            delay_s = min(delay_s * 2, self._config.redial_max_s)
            with trio.move_on_after(pause_s):
                await self._heard.wait()
                delay_s = self._config.redial_min_s

    async def _carry(self, connection: Connection) -> None:
        outbox = Outbox(
            max_frames=self._config.link_queue_frames,
            max_bytes=self._config.link_queue_bytes,
            batch_bytes=self._config.batch_bytes,
        )
        receiver = self._services.receiver
        reason = "the link was ended"
        self._connection, self._outbox, self._last_problem = connection, outbox, ""
        log.info("link_up", peer=self.node_id)
        self._services.contact(self.node_id)
        if receiver is not None:
            receiver.up(self.node_id)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, connection, outbox, nursery.cancel_scope)
                nursery.start_soon(self._ping, connection, outbox)
                reason = await self._watch(connection)
                nursery.cancel_scope.cancel()
        finally:
            self._connection = self._outbox = None
            log.info("link_down", peer=self.node_id, reason=reason)
            if receiver is not None:
                receiver.down(self.node_id)
            await connection.aclose()

    async def _write(self, connection: Connection, outbox: Outbox, scope: trio.CancelScope) -> None:
        try:
            while True:
                await connection.send_bytes(await outbox.take())
                self._spoke()
        except ConnectionLost:
            scope.cancel()

    async def _ping(self, connection: Connection, outbox: Outbox) -> None:
        """Say something when nothing else was said for a while."""
        ping = connection.encode(Ping())
        while True:
            with trio.move_on_after(self._config.ping_interval_s) as self._quiet:
                await trio.sleep_forever()
            outbox.offer(ping)

    def _spoke(self) -> None:
        """Put the ping off: a link in use shall not wake it. Not for each of many messages, which would cost more."""
        now_s = trio.current_time()
        if now_s - self._spoke_s >= self._config.ping_interval_s / _PUT_OFF_PARTS:
            self._spoke_s = now_s
            self._quiet.deadline = now_s + self._config.ping_interval_s

    async def _watch(self, connection: Connection) -> str:
        """Hear the pongs, which answer whatever arrives; returns why the link is over."""
        while True:
            with trio.move_on_after(self._config.link_silence_s) as scope:
                try:
                    match await connection.receive():
                        case Pong():
                            continue
                        case Refused(_, text):
                            return text
                        case None:
                            return "it closed the connection"
                        case other:
                            return f"it sent {type(other).__name__} on a link"
                except ConnectionLost as error:
                    return str(error)
            if scope.cancelled_caught:
                return f"it has been silent for {self._config.link_silence_s:g} s"

    def _report(self, problem: str) -> None:
        if problem != self._last_problem:
            log.info("link_cannot_connect", peer=self.node_id, reason=problem)
            self._last_problem = problem


def _send_now(connection: Connection, outbox: Outbox, frame: bytes) -> bool:
    """Send without waiting for the writer's turn; what the kernel has no room for is left to the writer."""
    if len(frame) > _SEND_NOW_BYTES:
        return False
    try:
        sent = connection.send_now(frame)
    except ConnectionLost:
        # The writer meets it, too, and ends the link in order.
        return False
    if connection.has_unsent:
        outbox.offer(b"")
    return sent


class Links:
    """The links that are wanted."""

    def __init__(
        self,
        dialler: Dialler,
        services: Services,
        config: PeerConfig,
        counters: Counters,
        rng: random.Random,
    ) -> None:
        self._dialler = dialler
        self._services = services
        self._config = config
        self._counters = counters
        self._rng = rng
        self._links: dict[str, Link] = {}
        self._ending: dict[str, Link] = {}
        self._nursery: trio.Nursery | None = None

    @property
    def open_count(self) -> int:
        return sum(link.is_up for link in self._links.values())

    def start(self, nursery: trio.Nursery) -> None:
        """Begin with the links that were asked for so far; later ones start at once."""
        self._nursery = nursery
        for link in self._links.values():
            nursery.start_soon(self._run, link, None)

    def stop(self) -> None:
        """The nursery is over; no link can begin any more."""
        self._nursery = None

    def connect(self, node_id: str) -> None:
        """Want a link to the node. Again: nothing."""
        if node_id in self._links:
            return
        link = Link(node_id, self._dialler, self._services, self._config, self._counters, self._rng)
        self._links[node_id] = link
        if self._nursery is not None:
            self._nursery.start_soon(self._run, link, self._ending.get(node_id))

    def disconnect(self, node_id: str) -> None:
        """Want it no more. Its ``down`` is called from its own task, soon."""
        link = self._links.pop(node_id, None)
        if link is not None and self._nursery is not None:
            self._ending[node_id] = link
            link.stop()

    def heard(self, node_id: str) -> None:
        """The node has just come to us, so it can be reached again (or for the first time)."""
        self._services.contact(node_id)
        if node_id in self._links:
            self._links[node_id].heard()

    def send(self, node_id: str, body: Any) -> bool:
        link = self._links.get(node_id)
        return link is not None and link.send(body)

    async def _run(self, link: Link, after: Link | None) -> None:
        await link.run(after)
        if self._ending.get(link.node_id) is link:
            del self._ending[link.node_id]
