"""Push-pull: two members exchange all they know (SWIM's gossip is only probably complete; this makes it sure).

It runs when a member joins, now and then with a random member, and now and then with a dead one, which heals a
partition that outlasted the gossip; with a dead one that a layer above has met, at once. What the other calls dead is
only suspected here while we believe it alive: it gets its chance to refute.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from membership.codec import HIGHEST_VERSION, LOWEST_VERSION, check_overlap
from membership.config import SwimConfig
from membership.effects import (
    AnswerExchange,
    Effect,
    Exchange,
    JoinExchange,
    JoinOutcome,
    StartTimer,
    SyncExchange,
)
from membership.errors import VersionMismatch
from membership.events import EventBoard
from membership.member import Member, MemberState, MemberTable
from membership.messages import Alive, Dead, ExchangeBody, Left, MemberRecord, PushPull, Refusal, Suspect
from membership.randomness import Randomness
from membership.timers import ContactRetry, PushPullTick, ReconnectTick, SettleTick
from membership.view import View
from membership.vitals import VitalsBoard

PUSH_PULL_EXCHANGE = "push-pull"
SCALE_FROM_MEMBERS = 32
"""Up to here every member push-pulls at the configured interval (memberlist's `pushPullScaleThreshold`)."""

SETTLE_GOSSIP_INTERVALS = 2
"""After joining, one more push-pull with somebody after so many to twice as many gossip intervals: by then the news
of who joined at the same time have had their chance."""

CONTACT_RETRIES = 3
"""A stream that was dialled while nothing came through takes seconds to fail, on both sides at once now and then."""


def scaled_interval_s(interval_s: float, live_members: int) -> float:
    """The interval between push-pulls: one more for each doubling of the cluster, as each costs O(n)."""
    if live_members <= SCALE_FROM_MEMBERS:
        return interval_s
    return interval_s * (1 + math.ceil(math.log2(live_members / SCALE_FROM_MEMBERS)))


class AntiEntropy:
    """Both sides of push-pull, and joining by it."""

    def __init__(
        self,
        config: SwimConfig,
        own_name: str,
        table: MemberTable,
        view: View,
        vitals: VitalsBoard,
        events: EventBoard,
        effects: list[Effect],
        rng: Randomness,
    ) -> None:
        self._config = config
        self._own_name = own_name
        self._table = table
        self._view = view
        self._vitals = vitals
        self._events = events
        self._effects = effects
        self._rng = rng
        self._met_s: dict[str, float] = {}
        self._retries: dict[str, int] = {}

    def join(self, peers: Sequence[str], now_s: float) -> None:
        """Push-pull with each; each gets a JoinOutcome."""
        for peer in peers:
            if peer == self._own_name:
                self._effects.append(JoinOutcome(peer, "this is the member's own name"))
            else:
                self._ask(JoinExchange(peer), now_s)

    def tick(self, now_s: float) -> None:
        """Exchange with one random live member."""
        interval_s = scaled_interval_s(self._config.push_pull_interval_s, self._table.live_count())
        self._effects.append(StartTimer(PushPullTick(), interval_s))
        self.sync(now_s)

    def sync(self, now_s: float) -> None:
        """Exchange with one random live member, now."""
        others = [m.name for m in self._table.live() if m.name != self._own_name]
        if others:
            self._ask(SyncExchange(others[self._rng.randrange(len(others))]), now_s)

    def reconnect_tick(self, now_s: float) -> None:
        """Exchange with one of the dead; the whole cluster together tries about one per dead member."""
        self._effects.append(StartTimer(ReconnectTick(), self._config.reconnect_interval_s))
        dead = [m.name for m in self._table.members.values() if m.state is MemberState.DEAD]
        if dead and self._rng.random() * self._table.live_count() < len(dead):
            self._ask(SyncExchange(dead[self._rng.randrange(len(dead))]), now_s)

    def contact(self, name: str, now_s: float) -> None:
        """Exchange with one that is believed dead and was met by another way, once in a protocol period at most."""
        member = self._table.get(name)
        if member is None or member.state is not MemberState.DEAD or name == self._own_name:
            return
        if now_s >= self._met_s.get(name, -math.inf) + self._config.probe_interval_s:
            self._met_s[name], self._retries[name] = now_s, CONTACT_RETRIES
            self._ask(SyncExchange(name), now_s)

    def contact_again(self, name: str, now_s: float) -> None:
        """The exchange with one that was met has failed."""
        member = self._table.get(name)
        if member is not None and member.state is MemberState.DEAD:
            self._ask(SyncExchange(name), now_s)

    def forget(self, name: str) -> None:
        """A member was reaped."""
        self._met_s.pop(name, None)
        self._retries.pop(name, None)

    def asked(self, number: int, peer: str, body: PushPull, now_s: float) -> None:
        """Answer another member's push-pull, and learn from it."""
        reason = self._objection(peer, body)
        if reason is not None:
            self._effects.append(AnswerExchange(number, Refusal(reason)))
            return
        self._merge(peer, body, now_s)
        self._effects.append(AnswerExchange(number, self._state(now_s, *self._tombstones(body))))

    def answered(self, token: JoinExchange | SyncExchange, body: ExchangeBody, now_s: float) -> None:
        """Learn from the answer to our own."""
        error: str | None
        if isinstance(body, Refusal):
            error = body.reason
        elif not isinstance(body, PushPull):
            error = "the answer is not a push-pull"
        else:
            error = self._objection(token.peer, body)
            if error is None and not any(record.name == self._own_name for record in body.members):
                error = f"{token.peer} did not accept this member"
            if error is None:
                self._merge(token.peer, body, now_s, joining=isinstance(token, JoinExchange))
        if isinstance(token, JoinExchange):
            if error is None:
                # Where many join at once, gossip now and then misses one while the cluster is still small.
                delay_s = SETTLE_GOSSIP_INTERVALS * self._config.gossip_interval_s * (1 + self._rng.random())
                self._effects.append(StartTimer(SettleTick(), delay_s))
            self._effects.append(JoinOutcome(token.peer, error))

    def failed(self, token: JoinExchange | SyncExchange, reason: str) -> None:
        """A push-pull came to nothing. Only a join has somebody who waits for it; who was met is asked again."""
        if isinstance(token, JoinExchange):
            self._effects.append(JoinOutcome(token.peer, reason))
        elif self._retries.get(token.peer):
            self._retries[token.peer] -= 1
            self._effects.append(StartTimer(ContactRetry(token.peer), self._config.probe_interval_s))

    def _ask(self, token: JoinExchange | SyncExchange, now_s: float) -> None:
        self._effects.append(
            Exchange(token, token.peer, PUSH_PULL_EXCHANGE, self._state(now_s), self._config.exchange_timeout_s)
        )

    def _state(self, now_s: float, *extra: MemberRecord) -> PushPull:
        return PushPull(
            LOWEST_VERSION,
            HIGHEST_VERSION,
            self._own_name,
            (*(MemberRecord.of(member) for member in self._table.members.values()), *extra),
            tuple(self._vitals.newest.values()),
            tuple(self._events.recent(now_s)),
        )

    def _tombstones(self, body: PushPull) -> list[MemberRecord]:
        """The asking member's own floor, if it stands below it: it lost its incarnation, and refutes above."""
        return [
            msgspec.structs.replace(record, incarnation=floor, state=MemberState.DEAD)
            for record in body.members
            if record.name == body.sender
            and self._table.get(record.name) is None
            and (floor := self._table.floor(record.name)) is not None
        ]

    def _objection(self, peer: str, body: PushPull) -> str | None:
        """Why nothing may be learned from this, or None."""
        try:
            check_overlap(body.lowest_version, body.highest_version)
        except VersionMismatch as error:
            return str(error)
        if body.sender != peer:
            return f"the stream belongs to {peer}, but the state to {body.sender}"
        if not any(record.name == peer for record in body.members):
            return f"{peer} does not list itself"
        for record in body.members:
            if record.name in (peer, self._own_name) and record.state <= MemberState.SUSPECT:
                known = self._table.get(record.name)
                if known is not None and known.is_live and record.endpoint != known.endpoint:
                    return self._conflict(record, known)
        return None

    def _conflict(self, record: MemberRecord, known: Member) -> str:
        """Either the other one or we use a name that belongs to somebody at another address."""
        self._view.report_conflict(record.name, record.endpoint)
        host, port = record.endpoint if record.name == self._own_name else known.endpoint
        return f"the name {record.name} belongs to the live member at {host}:{port}"

    def _merge(self, peer: str, body: PushPull, now_s: float, *, joining: bool = False) -> None:
        for record in body.members:
            self._merge_record(peer, record, now_s)
        for vitals in body.vitals:
            self._vitals.hear(vitals)
        for event in body.events:
            self._events.hear(event, now_s, tell=not joining)

    def _merge_record(self, peer: str, record: MemberRecord, now_s: float) -> None:
        name, incarnation = record.name, record.incarnation
        known = self._table.get(name)
        if record.state is MemberState.LEFT:
            self._view.hear(Left(name, incarnation), now_s)
        elif record.state is MemberState.DEAD and (known is None or not known.is_live or name == self._own_name):
            self._view.hear(Dead(name, incarnation, peer), now_s)
        else:
            self._view.hear(Alive(name, record.host, record.port, record.meta_incarnation, record.meta), now_s)
            if record.state is not MemberState.ALIVE:
                self._view.hear(Suspect(name, incarnation, peer), now_s)
