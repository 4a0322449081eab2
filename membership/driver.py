"""The driver: the one place where the core meets time, randomness and the network.

Everything that happens (a datagram, a timer, a call of an application) becomes an input of `Swim.handle`; the effects
are performed at once and never block: datagrams go through a bounded queue, exchanges run as tasks of the driver's
nursery.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import assert_never

import structlog
import trio

from membership.anti_entropy import PUSH_PULL_EXCHANGE
from membership.changes import Subscribers, Subscription
from membership.codec import decode_exchange, encode_exchange, open_packet, seal_packet
from membership.config import SwimConfig
from membership.coordinates import Coordinate
from membership.effects import (
    AnswerExchange,
    Change,
    Effect,
    Exchange,
    JoinExchange,
    JoinOutcome,
    LeaveSpread,
    MemberChanged,
    MemberConflict,
    MemberReaped,
    ReserveIncarnations,
    Send,
    StartTimer,
    UserEventHeard,
    VitalsChanged,
)
from membership.errors import CodecError, ExchangeRefused, NotRunning
from membership.health import Health, Traffic, snapshot
from membership.inputs import (
    Contact,
    ExchangeAnswered,
    ExchangeFailed,
    ExchangeReceived,
    Input,
    Join,
    Leave,
    PacketReceived,
    Peer,
    SayEvent,
    SetMeta,
    SetVitals,
    Start,
    TimerFired,
)
from membership.joining import JoinReport, Joins
from membership.key_distribution import KEYS_EXCHANGE, KeyDistribution, KeyReport, SaveKeyring
from membership.keyring import Keyring
from membership.member import Address, Member
from membership.messages import ExchangeBody, KeyOperation, KeyRequest, PushPull, Refusal
from membership.probe import PING_EXCHANGE
from membership.store import IncarnationSaver, IncarnationStore
from membership.swim import Swim, check_meta, check_vitals
from membership.timer_queue import TimerQueue
from membership.timers import Timer
from membership.transport import PacketTransport, StreamExchange

EXCHANGE_KINDS = (PUSH_PULL_EXCHANGE, PING_EXCHANGE, KEYS_EXCHANGE)
"""What `Membership.serve_exchange` answers."""

SEND_QUEUE_PACKETS = 1024
"""Packets that wait for the socket; more are dropped, which the protocol expects of a network."""

MOST_CAUGHT_UP = 4096
"""Packets taken in at one go after a pause: more than a receive buffer holds of them."""

log = structlog.get_logger()


class Membership:
    """One member of a cluster, on trio. `run` it in a nursery; everything else works while it runs."""

    def __init__(
        self,
        config: SwimConfig,
        *,
        name: str,
        address: Address,
        meta: bytes,
        keyring: Keyring,
        packets: PacketTransport,
        exchange: StreamExchange,
        incarnations: IncarnationStore,
        rng: random.Random,
        save_keyring: SaveKeyring | None = None,
    ) -> None:
        """`address` is what others reach this member at; `save_keyring` keeps the keyring after a change by the
        cluster. Raises ConfigError, MetaTooLarge, and what `incarnations.load` raises."""
        self.name = name
        self.keyring = keyring
        self._swim = Swim(
            config,
            name=name,
            address=address,
            meta=meta,
            incarnation=incarnations.load() + 1,
            rng=rng,
        )
        self._packets = packets
        self._exchange = exchange
        self._key_distribution = KeyDistribution(name, keyring, exchange, save_keyring)
        self._subscribers = Subscribers()
        self._before_start: dict[type[Input], Input] = {}
        self._nursery: trio.Nursery | None = None
        self._outgoing, self._outbox = trio.open_memory_channel[Send](SEND_QUEUE_PACKETS)
        self._timers = TimerQueue()
        self._joins = Joins()
        self._other_keys: set[str] = set()
        self._leave_spread = trio.Event()
        self._answers: dict[int, ExchangeBody] = {}
        self._exchanges_served = 0
        self._traffic = Traffic()
        self._saver = IncarnationSaver(incarnations)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take part until cancelled. To leave in good order, await `leave` first."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                self._handle(Start())
                # Not a packet leaves under an incarnation that a crash could make us use again.
                await self._saver.flush()
                nursery.start_soon(self._saver.run)
                for early in self._before_start.values():
                    self._handle(early)
                nursery.start_soon(self._send_packets)
                nursery.start_soon(self._receive_packets)
                nursery.start_soon(self._timers.run, self._fire, self._catch_up)
                task_status.started()
                await trio.sleep_forever()
            finally:
                self._nursery = None
                self._joins.abandon()

    @property
    def members(self) -> Mapping[str, Member]:
        """All known members by name, this one, the dead and the left included. A live view; empty before `run`."""
        return MappingProxyType(self._swim.table.members)

    @property
    def vitals(self) -> Mapping[str, bytes]:
        """The newest vitals of each member that announced some. A live view."""
        return MappingProxyType(self._swim.vitals.data)

    def rtt_s(self, name: str) -> float | None:
        """The smoothed round trip to a member, or None if it was never probed."""
        return self._swim.round_trips.get(name)

    def changes(self) -> AbstractAsyncContextManager[Subscription]:
        """`async with membership.changes() as changes: async for change in changes: …`

        Changes from the opening of the context on. A slow subscriber finds, for each member, the newest only.
        """
        return self._subscribers.subscribe()

    async def join(self, peers: Sequence[Peer]) -> JoinReport:
        """Push-pull with each of the peers. Never raises for a peer that fails: the report says why.

        Raises NotRunning.
        """
        self._running()
        chosen = {peer.name: peer for peer in peers}
        joining = self._joins.begin(chosen)
        try:
            if chosen:
                self._handle(Join(tuple(chosen.values())))
                await joining.done.wait()
        finally:
            self._joins.end(joining)
        for peer in self._other_keys.intersection(joining.joined):
            await self._catch_up_with_keys(peer)
        return JoinReport(tuple(joining.joined), joining.failed)

    def contact(self, name: str) -> None:
        """A layer above has just spoken with this member: where it is believed dead, it is asked at once, so that a
        long partition heals with the first contact and not with the next reconnect."""
        if self._nursery is not None:
            self._handle(Contact(name))

    async def leave(self, *, timeout_s: float) -> None:
        """Tell the others good-bye, and wait until that has spread or the time is over. Raises NotRunning."""
        self._running()
        self._handle(Leave())
        with trio.move_on_after(timeout_s):
            await self._leave_spread.wait()

    def set_meta(self, meta: bytes) -> None:
        """Announce new meta (at most 512 bytes). Raises MetaTooLarge."""
        check_meta(meta)
        self._handle_when_started(SetMeta(meta))

    def set_vitals(self, vitals: bytes) -> None:
        """Announce new vitals (at most 256 bytes). Raises MetaTooLarge."""
        check_vitals(vitals)
        self._handle_when_started(SetVitals(vitals))

    def send_event(self, name: str, payload: bytes) -> None:
        """Tell all members something (at most 512 bytes), once; this member's subscribers hear it too. The name is
        formed like a member's. Raises MetaTooLarge, CodecError, NotRunning."""
        self._running()
        self._handle(SayEvent(name, payload))

    def distance_s(self, one: str, other: str) -> float | None:
        """The estimated round trip between any two members, or None while the place of either is unknown here."""
        return self._swim.coordinates.distance_s(one, other)

    def coordinates(self) -> dict[str, Coordinate]:
        """The places in the network that are known here, this member's own among them. A copy."""
        return self._swim.coordinates.known()

    async def change_keys(self, operation: KeyOperation, key: bytes = b"", *, timeout_s: float) -> KeyReport:
        """Install, use, remove or list keys at every live member (`key_distribution.py`). Never raises for a
        member that fails: the report says why. Raises NotRunning."""
        self._running()
        live = [member.name for member in self._swim.table.live()]
        return await self._key_distribution.change(operation, key, members=live, timeout_s=timeout_s)

    async def serve_exchange(self, peer: str, kind: str, payload: bytes) -> bytes:
        """Answer an exchange that the authenticated member `peer` sent. Raises CodecError, NotRunning.

        `kind` is one of `membership.EXCHANGE_KINDS`; the payload says by itself which it is.
        """
        await trio.lowlevel.checkpoint()
        self._running()
        body = decode_exchange(payload)
        if isinstance(body, KeyRequest):
            return encode_exchange(await self._key_distribution.serve(body))
        if isinstance(body, PushPull):
            self._note_keys(peer, body, joining=False)
        self._exchanges_served += 1
        number = self._exchanges_served
        self._handle(ExchangeReceived(number, peer, body))
        return self._encode(self._answers.pop(number))

    def health(self) -> Health:
        """A snapshot of what is measured here."""
        return snapshot(self._swim, self._traffic)

    def _running(self) -> trio.Nursery:
        if self._nursery is None:
            raise NotRunning("Membership.run is not in progress")
        return self._nursery

    def _handle_when_started(self, happening: Input) -> None:
        if self._nursery is None:
            self._before_start[type(happening)] = happening
        else:
            self._handle(happening)

    def _fire(self, timer: Timer) -> None:
        self._handle(TimerFired(timer))

    def _handle(self, happening: Input) -> None:
        for effect in self._swim.handle(happening, trio.current_time()):
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Send():
                self._queue(effect)
            case StartTimer():
                self._timers.start(effect.timer, effect.delay_s)
            case Exchange():
                self._running().start_soon(self._ask, effect)
            case AnswerExchange():
                self._answers[effect.number] = effect.body
            case JoinOutcome():
                self._joins.outcome(effect)
            case LeaveSpread():
                self._leave_spread.set()
            case ReserveIncarnations():
                self._saver.reserve(effect.upto)
            case MemberChanged() | MemberReaped() | MemberConflict() | VitalsChanged() | UserEventHeard():
                self._log(effect)
                self._subscribers.publish(effect)
            case _:
                assert_never(effect)

    def _queue(self, effect: Send) -> None:
        try:
            self._outgoing.send_nowait(effect)
        except trio.WouldBlock:
            self._traffic.packets_dropped += 1

    def _log(self, change: Change) -> None:
        match change:
            case MemberChanged(member=member, previous=previous) if previous is not member.state:
                log.info(
                    "member_" + member.state.word,
                    member=member.name,
                    incarnation=member.incarnation,
                    previous=None if previous is None else previous.word,
                )
            case MemberConflict():
                log.warning(
                    "member_name_conflict", member=change.name, believed=change.believed, claimed=change.claimed
                )

    async def _ask(self, question: Exchange) -> None:
        """Perform an exchange. Whatever goes wrong in the stream below is an answer for the core too."""
        answer: Input
        try:
            payload = await self._exchange.exchange(
                question.name, question.kind, self._encode(question.body), timeout_s=question.timeout_s
            )
            body = decode_exchange(payload)
            if isinstance(body, Refusal):
                raise ExchangeRefused(body.reason)
            if isinstance(body, PushPull):
                self._note_keys(question.name, body, joining=isinstance(question.token, JoinExchange))
            answer = ExchangeAnswered(question.token, body)
        except Exception as error:
            answer = ExchangeFailed(question.token, str(error) or type(error).__name__)
            log.debug("exchange_failed", member=question.name, kind=question.kind, reason=answer.reason)
        self._handle(answer)

    def _encode(self, body: ExchangeBody) -> bytes:
        if isinstance(body, PushPull):
            body = self._key_distribution.sign(body)
        return encode_exchange(body)

    def _note_keys(self, peer: str, told: PushPull, *, joining: bool) -> None:
        """Look whether keys were rotated without us: while we were away, or while the network was cut."""
        if joining and self._key_distribution.is_apart(told):
            self._other_keys.add(peer)
        elif not joining and self._key_distribution.is_behind(told):
            self._running().start_soon(self._catch_up_with_keys, peer)

    async def _send_packets(self) -> None:
        async for effect in self._outbox:
            datagram = seal_packet(self.keyring, effect.packet)
            try:
                await self._packets.send(datagram, effect.target)
            except OSError as error:
                self._traffic.packets_dropped += 1
                log.debug("packet_not_sent", target=effect.target, reason=str(error))

    async def _receive_packets(self) -> None:
        while True:
            self._received(*await self._packets.receive())

    def _catch_up(self) -> None:
        """Take in what arrived while the process did not run."""
        for _ in range(MOST_CAUGHT_UP):
            arrived = self._packets.receive_nowait()
            if arrived is None:
                return
            self._received(*arrived)

    def _received(self, datagram: bytes, source: Address) -> None:
        self._traffic.packets_received += 1
        self._traffic.bytes_received += len(datagram)
        try:
            packet = open_packet(self.keyring, datagram)
        except CodecError as error:
            self._traffic.packets_rejected += 1
            log.debug("packet_rejected", source=source, reason=str(error))
            return
        self._handle(PacketReceived(source, packet))

    async def _catch_up_with_keys(self, peer: str) -> None:
        """A member that was away during a rotation takes the new keys from who has them."""
        self._other_keys.discard(peer)
        try:
            await self._key_distribution.catch_up(peer, timeout_s=self._swim.config.exchange_timeout_s)
        except Exception as error:
            # Without it this member is heard over streams only, until the next exchange tells of the keys again.
            log.warning("keys_not_fetched", member=peer, reason=str(error) or type(error).__name__)
