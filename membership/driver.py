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

import msgspec
import structlog
import trio

from membership.changes import Subscribers, Subscription
from membership.codec import decode_exchange, encode_exchange, open_packet, seal_packet
from membership.config import SwimConfig
from membership.counters import Health
from membership.effects import (
    AnswerExchange,
    Effect,
    Exchange,
    JoinOutcome,
    LeaveSpread,
    MemberChanged,
    MemberConflict,
    MemberReaped,
    ReserveIncarnations,
    Send,
    StartTimer,
    VitalsChanged,
)
from membership.errors import CodecError, ExchangeRefused, NotRunning
from membership.inputs import (
    ExchangeAnswered,
    ExchangeFailed,
    ExchangeReceived,
    Input,
    Join,
    Leave,
    PacketReceived,
    Peer,
    SetMeta,
    SetVitals,
    Start,
    TimerFired,
)
from membership.keyring import Keyring
from membership.member import Address, Member, MemberState
from membership.messages import ExchangeBody, Refusal
from membership.store import IncarnationStore
from membership.swim import Swim, check_meta, check_vitals
from membership.timer_queue import TimerQueue
from membership.timers import Timer
from membership.transport import PacketTransport, StreamExchange

SEND_QUEUE_PACKETS = 1024
"""Packets that wait for the socket; more are dropped, which the protocol expects of a network."""

log = structlog.get_logger()


class JoinReport(msgspec.Struct, frozen=True):
    """How joining went, peer by peer."""

    joined: tuple[str, ...]
    failed: Mapping[str, str]
    """Peer name to the reason."""


class _Joining(msgspec.Struct):
    """A call of `join` that waits for its outcomes."""

    waiting: set[str]
    joined: list[str]
    failed: dict[str, str]
    done: trio.Event


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
    ) -> None:
        """`address` is what others reach this member at. Raises ConfigError, MetaTooLarge, and what
        `incarnations.load` raises."""
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
        self._incarnations = incarnations
        self._subscribers = Subscribers()
        self._before_start: dict[type[Input], Input] = {}
        self._nursery: trio.Nursery | None = None
        self._outgoing, self._outbox = trio.open_memory_channel[Send](SEND_QUEUE_PACKETS)
        self._timers = TimerQueue()
        self._joins: list[_Joining] = []
        self._leave_spread = trio.Event()
        self._answers: dict[int, ExchangeBody] = {}
        self._exchanges_served = 0
        self._packets_received = 0
        self._packets_rejected = 0
        self._packets_dropped = 0
        self._bytes_received = 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take part until cancelled. To leave in good order, await `leave` first."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                self._handle(Start())
                for early in self._before_start.values():
                    self._handle(early)
                nursery.start_soon(self._send_packets)
                nursery.start_soon(self._receive_packets)
                nursery.start_soon(self._timers.run, self._fire)
                task_status.started()
                await trio.sleep_forever()
            finally:
                self._nursery = None
                self._abandon_joins()

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
        names = {peer.name for peer in peers}
        joining = _Joining(names, [], {}, trio.Event())
        if names:
            self._joins.append(joining)
            try:
                self._handle(Join(tuple({peer.name: peer for peer in peers}.values())))
                await joining.done.wait()
            finally:
                self._joins.remove(joining)
        return JoinReport(tuple(joining.joined), joining.failed)

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

    async def serve_exchange(self, peer: str, kind: str, payload: bytes) -> bytes:
        """Answer an exchange that the authenticated member `peer` sent. Raises CodecError, NotRunning.

        `kind` is one of `membership.EXCHANGE_KINDS`; the payload says by itself which it is.
        """
        await trio.lowlevel.checkpoint()
        self._running()
        body = decode_exchange(payload)
        self._exchanges_served += 1
        number = self._exchanges_served
        self._handle(ExchangeReceived(number, peer, body))
        return encode_exchange(self._answers.pop(number))

    def health(self) -> Health:
        """A snapshot of what is measured here."""
        swim = self._swim
        states = [member.state for member in swim.table.members.values()]
        counters = swim.counters
        return Health(
            members_alive=states.count(MemberState.ALIVE),
            members_suspect=states.count(MemberState.SUSPECT),
            members_dead=states.count(MemberState.DEAD),
            members_left=states.count(MemberState.LEFT),
            awareness_score=swim.awareness.score,
            probes=counters.probes,
            failed_probes=counters.failed_probes,
            fallback_acks=counters.fallback_acks,
            suspicions=counters.suspicions,
            refutations=counters.refutations,
            conflicts=counters.conflicts,
            news_queued=len(swim.news),
            vitals_queued=len(swim.vitals_news),
            packets_sent=counters.packets_sent,
            packets_received=self._packets_received,
            packets_rejected=self._packets_rejected,
            packets_dropped=self._packets_dropped,
            bytes_sent=counters.bytes_sent,
            bytes_received=self._bytes_received,
        )

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
                self._join_outcome(effect)
            case LeaveSpread():
                self._leave_spread.set()
            case ReserveIncarnations():
                self._reserve(effect.upto)
            case MemberChanged() | MemberReaped() | MemberConflict() | VitalsChanged():
                self._log(effect)
                self._subscribers.publish(effect)
            case _:
                assert_never(effect)

    def _queue(self, effect: Send) -> None:
        try:
            self._outgoing.send_nowait(effect)
        except trio.WouldBlock:
            self._packets_dropped += 1

    def _reserve(self, upto: int) -> None:
        """A full disk must not end a membership: the next start would then refute its past, which takes longer."""
        try:
            self._incarnations.save(upto)
        except OSError as error:
            log.error("incarnation_not_saved", incarnation=upto, reason=str(error))

    def _join_outcome(self, outcome: JoinOutcome) -> None:
        for joining in self._joins:
            if outcome.peer in joining.waiting:
                joining.waiting.remove(outcome.peer)
                if outcome.error is None:
                    joining.joined.append(outcome.peer)
                else:
                    joining.failed[outcome.peer] = outcome.error
                if not joining.waiting:
                    joining.done.set()

    def _abandon_joins(self) -> None:
        """Nobody is left to finish them: let who waits for them go on."""
        for joining in self._joins:
            joining.failed.update(dict.fromkeys(joining.waiting, "this member stopped"))
            joining.waiting.clear()
            joining.done.set()

    def _log(self, change: MemberChanged | MemberReaped | MemberConflict | VitalsChanged) -> None:
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
                question.name, question.kind, encode_exchange(question.body), timeout_s=question.timeout_s
            )
            body = decode_exchange(payload)
            if isinstance(body, Refusal):
                raise ExchangeRefused(body.reason)
            answer = ExchangeAnswered(question.token, body)
        except Exception as error:
            answer = ExchangeFailed(question.token, str(error) or type(error).__name__)
            log.debug("exchange_failed", member=question.name, kind=question.kind, reason=answer.reason)
        self._handle(answer)

    async def _send_packets(self) -> None:
        async for effect in self._outbox:
            datagram = seal_packet(self.keyring, effect.packet)
            try:
                await self._packets.send(datagram, effect.target)
            except OSError as error:
                self._packets_dropped += 1
                log.debug("packet_not_sent", target=effect.target, reason=str(error))

    async def _receive_packets(self) -> None:
        while True:
            datagram, source = await self._packets.receive()
            self._packets_received += 1
            self._bytes_received += len(datagram)
            try:
                packet = open_packet(self.keyring, datagram)
            except CodecError as error:
                self._packets_rejected += 1
                log.debug("packet_rejected", source=source, reason=str(error))
                continue
            self._handle(PacketReceived(source, packet))
