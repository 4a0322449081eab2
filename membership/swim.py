"""SWIM, whole: one object, one door.

`Swim.handle` is the only thing that changes a member's state. It takes an input and the time, and answers with the
effects to perform; it does no I/O, reads no clock and makes no randomness, so that a thousand of these run on
one event heap in a simulation exactly as they run on a network.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from membership.anti_entropy import AntiEntropy
from membership.awareness import Awareness
from membership.config import SwimConfig
from membership.coordinates import Coordinates
from membership.counters import Counters
from membership.dissemination import BroadcastQueue
from membership.effects import (
    AnswerExchange,
    Effect,
    ExchangeToken,
    LeaveSpread,
    MemberChanged,
    MemberReaped,
    ProbeExchange,
    StartTimer,
)
from membership.errors import CodecError, MetaTooLarge
from membership.events import EventBoard
from membership.gossip import Gossip
from membership.inputs import (
    Contact,
    ExchangeAnswered,
    ExchangeFailed,
    ExchangeReceived,
    Input,
    Join,
    Leave,
    PacketReceived,
    SayEvent,
    SetMeta,
    SetVitals,
    Start,
    TimerFired,
)
from membership.member import Address, Member, MemberTable
from membership.messages import (
    MAX_EVENT_BYTES,
    MAX_META_BYTES,
    MAX_VITALS_BYTES,
    Ack,
    Alive,
    Dead,
    ExchangeBody,
    Left,
    Message,
    Nack,
    Name,
    Ping,
    PingRequest,
    PushPull,
    Refusal,
    StreamAck,
    StreamPing,
    Suspect,
    UserEvent,
    Vitals,
)
from membership.packing import PacketWriter
from membership.probe import FailureDetector
from membership.randomness import Randomness
from membership.rtt import RoundTrips
from membership.timers import (
    ContactRetry,
    DirectProbeTimeout,
    GossipTick,
    ProbePeriod,
    ProbeVerdict,
    PushPullTick,
    ReapTick,
    ReconnectTick,
    RelayExpiry,
    RelayNack,
    SettleTick,
    SuspicionTimeout,
    Timer,
    VitalsTick,
)
from membership.view import View
from membership.vitals import VitalsBoard

REAP_CHECKS = 10
"""The dead are looked through this often within `reap_after_s`."""


def check_meta(meta: bytes) -> None:
    """Raise MetaTooLarge above 512 bytes: the Alive that carries it must fit into a packet."""
    if len(meta) > MAX_META_BYTES:
        raise MetaTooLarge(f"meta has {len(meta)} bytes, at most {MAX_META_BYTES} are allowed")


def check_vitals(data: bytes) -> None:
    """Raise MetaTooLarge above 256 bytes: vitals travel in what news leave over."""
    if len(data) > MAX_VITALS_BYTES:
        raise MetaTooLarge(f"vitals have {len(data)} bytes, at most {MAX_VITALS_BYTES} are allowed")


def check_event(name: str, payload: bytes) -> None:
    """Raise MetaTooLarge above 512 bytes, and CodecError for a name that is none."""
    if len(payload) > MAX_EVENT_BYTES:
        raise MetaTooLarge(f"the event has {len(payload)} bytes, at most {MAX_EVENT_BYTES} are allowed")
    try:
        msgspec.convert(name, Name)
    except msgspec.ValidationError as error:
        raise CodecError(f"an event cannot be called {name!r}: {error}") from error


class Swim:
    """One member. What is not `handle` only reads."""

    def __init__(
        self,
        config: SwimConfig,
        *,
        name: str,
        address: Address,
        meta: bytes,
        incarnation: int,
        rng: Randomness,
    ) -> None:
        """`incarnation` must be above every one that this name has used before."""
        config.validate()
        check_meta(meta)
        self.config = config
        self.name = name
        self.table = MemberTable()
        self.counters = Counters()
        self.awareness = Awareness(config.awareness_max)
        self.round_trips = RoundTrips()
        self.news = BroadcastQueue()
        self.event_news = BroadcastQueue()
        self.vitals_news = BroadcastQueue()
        self._effects: list[Effect] = []
        self._rng = rng
        self._leave_told = False
        self._own = Alive(name, *address, incarnation, meta)
        self._view = View(config, self._own, self.table, self.news, self.awareness, self.counters, self._effects)
        self.vitals = VitalsBoard(name, self.table, self.vitals_news, self._effects)
        self.events = EventBoard(name, self.table, self.event_news, self._effects)
        self.coordinates = Coordinates(name, rng)
        self._writer = PacketWriter(
            config, name, self.table, (self.news, self.event_news, self.vitals_news), self.counters, self._effects
        )
        self._gossip = Gossip(
            config, name, self.table, self._writer, (self.news, self.event_news), self.vitals_news, self._effects, rng
        )
        self._detector = FailureDetector(
            config,
            name,
            self.table,
            self._writer,
            self.awareness,
            self.round_trips,
            self.coordinates,
            self.counters,
            self._effects,
            rng,
            self._view.hear,
        )
        self._anti_entropy = AntiEntropy(
            config, name, self.table, self._view, self.vitals, self.events, self._effects, rng
        )

    @property
    def own(self) -> Member:
        """This member itself."""
        return self._view.own

    def handle(self, happening: Input, now_s: float) -> list[Effect]:
        """Take one input at a monotonic time in seconds; perform the answer in its order.

        Raises MetaTooLarge for meta, vitals or an event above their bounds, and then has changed nothing.
        """
        match happening:
            case PacketReceived():
                for message in happening.packet.messages:
                    self._hear(message, happening.source, happening.packet.sender, now_s)
            case TimerFired():
                self._timer(happening.timer, now_s)
            case Start():
                self._start(now_s)
            case Join():
                self._anti_entropy.join([peer.name for peer in happening.peers], now_s)
            case Contact():
                self._anti_entropy.contact(happening.name, now_s)
            case Leave():
                self._view.leave(now_s)
            case SetMeta():
                check_meta(happening.meta)
                if happening.meta != self.own.meta:
                    self._view.set_meta(happening.meta, now_s)
            case SetVitals():
                check_vitals(happening.data)
                self.vitals.set_own(happening.data)
            case SayEvent():
                check_event(happening.name, happening.payload)
                self.events.say(happening.name, happening.payload, now_s)
            case ExchangeReceived():
                self._asked(happening, now_s)
            case ExchangeAnswered():
                self._answered(happening.token, happening.body, now_s)
            case ExchangeFailed():
                if not isinstance(happening.token, ProbeExchange):
                    self._anti_entropy.failed(happening.token, happening.reason)
            case _:
                assert_never(happening)
        return self._finish()

    def _start(self, now_s: float) -> None:
        """Enter the table and start the ticks, each at a random phase so that members do not act in step."""
        self._view.enter(self._own, now_s)
        config = self.config
        for tick, interval_s in (
            (ProbePeriod(), config.probe_interval_s),
            (PushPullTick(), config.push_pull_interval_s),
            (ReconnectTick(), config.reconnect_interval_s),
            (ReapTick(), config.reap_after_s / REAP_CHECKS),
        ):
            self._effects.append(StartTimer(tick, interval_s * self._rng.random()))

    def _hear(self, message: Message, source: Address, sender: str, now_s: float) -> None:
        match message:
            case Suspect() | Dead() if message.name == self.name and message.accuser == sender:
                self._accused_by(message, source, sender, now_s)
            case Alive() | Suspect() | Dead() | Left():
                self._view.hear(message, now_s)
            case Vitals():
                self.vitals.hear(message)
            case UserEvent():
                self.events.hear(message, now_s)
            case Ping():
                self._detector.pinged(message, source, sender)
            case PingRequest():
                self._detector.asked_to_ping(message, source, sender)
            case Ack():
                self._detector.acked(message, sender, now_s)
            case Nack():
                self._detector.nacked(message, sender, now_s)
            case _:
                assert_never(message)

    def _accused_by(self, claim: Suspect | Dead, source: Address, sender: str, now_s: float) -> None:
        """The sender itself holds us suspect or dead. If we refuted that long ago, it alone has missed it."""
        own = self.own
        if claim.incarnation < own.incarnation and own.is_live:
            self._writer.send(source, sender, Alive(own.name, own.address, own.port, own.incarnation, own.meta))
        else:
            self._view.hear(claim, now_s)

    def _timer(self, timer: Timer, now_s: float) -> None:
        match timer:
            case ProbePeriod():
                self._detector.next_period(now_s)
            case DirectProbeTimeout():
                self._detector.direct_overdue(timer, now_s)
            case ProbeVerdict():
                self._detector.verdict_due(timer, now_s)
            case RelayNack():
                self._detector.relay_overdue(timer)
            case RelayExpiry():
                self._detector.relay_expired(timer)
            case SuspicionTimeout():
                self._view.suspicion_over(timer, now_s)
            case GossipTick():
                self._gossip.tick(now_s)
            case VitalsTick():
                self._gossip.vitals_tick(now_s)
            case PushPullTick():
                self._anti_entropy.tick(now_s)
            case SettleTick():
                self._anti_entropy.sync(now_s)
            case ReconnectTick():
                self._anti_entropy.reconnect_tick(now_s)
            case ContactRetry():
                self._anti_entropy.contact_again(timer.name, now_s)
            case ReapTick():
                self._effects.append(StartTimer(ReapTick(), self.config.reap_after_s / REAP_CHECKS))
                if not self._view.leaving:
                    self._view.reap(now_s)
            case _:
                assert_never(timer)

    def _asked(self, happening: ExchangeReceived, now_s: float) -> None:
        body: ExchangeBody
        match happening.body:
            case PushPull() as state:
                self._anti_entropy.asked(happening.number, happening.peer, state, now_s)
                return
            case StreamPing(target=target, host=host, port=port):
                own = self.own
                if (target, host, port) == (own.name, own.address, own.port):
                    body = StreamAck(self.name)
                else:
                    body = Refusal(f"this is {own.name} at {own.address}:{own.port}")
            case _:
                body = Refusal("an answer is not a question")
        self._effects.append(AnswerExchange(happening.number, body))

    def _answered(self, token: ExchangeToken, body: ExchangeBody, now_s: float) -> None:
        if not isinstance(token, ProbeExchange):
            self._anti_entropy.answered(token, body, now_s)
        elif isinstance(body, StreamAck):
            self._detector.stream_acked(token)

    def _finish(self) -> list[Effect]:
        """Hand the effects out, after what follows from them."""
        for effect in self._effects:
            match effect:
                case MemberChanged(member=member, previous=None):
                    self._detector.order.add(member.name)
                    self._gossip.order.add(member.name)
                case MemberReaped(name=name):
                    self._detector.order.forget(name)
                    self._gossip.order.forget(name)
                    self.vitals.forget(name)
                    self.events.forget(name)
                    self.round_trips.forget(name)
                    self.coordinates.forget(name)
                    self._anti_entropy.forget(name)
        if self._view.leaving and not self._leave_told and self._is_leave_spread():
            self._leave_told = True
            self._effects.append(LeaveSpread())
        self._gossip.wake()
        effects = self._effects[:]
        self._effects.clear()
        return effects

    def _is_leave_spread(self) -> bool:
        """Whether the good-bye was sent as often as news are, or there is nobody to send it to."""
        return self.name not in self.news or not any(member.name != self.name for member in self.table.live())
