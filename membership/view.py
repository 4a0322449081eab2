"""What this member believes of all members, and how claims change it (SWIM §4.2).

Claims about others go through the precedence of `member.py`; what changes the table is gossiped on. Claims about
this member itself are refuted: only it may raise its incarnation, and a higher one overrides every rumour.
"""

from __future__ import annotations

import msgspec

from membership.awareness import Awareness
from membership.codec import encode_message
from membership.config import SwimConfig
from membership.counters import Counters
from membership.dissemination import BroadcastQueue
from membership.effects import Effect, MemberChanged, MemberConflict, MemberReaped, ReserveIncarnations, StartTimer
from membership.member import Address, Member, MemberState, MemberTable, overrides
from membership.messages import Alive, Dead, Left, News, Suspect
from membership.suspicion import Suspicion
from membership.timers import SuspicionTimeout

INCARNATION_BLOCK = 100
"""Incarnations are reserved on disk in blocks, and the next block while half of the last is left, so that no
refutation waits for the disk."""


class View:
    """The member table with its rules. `now_s` is monotonic time throughout."""

    def __init__(
        self,
        config: SwimConfig,
        own: Alive,
        table: MemberTable,
        news: BroadcastQueue,
        awareness: Awareness,
        counters: Counters,
        effects: list[Effect],
    ) -> None:
        self._config = config
        self._own_name = own.name
        self._table = table
        self._news = news
        self._awareness = awareness
        self._counters = counters
        self._effects = effects
        self._suspicions: dict[str, Suspicion] = {}
        self._reserved = 0
        self.leaving = False

    @property
    def own(self) -> Member:
        """This member's own row."""
        return self._table.members[self._own_name]

    def enter(self, own: Alive, now_s: float) -> None:
        """Put this member into its own table, as its first act."""
        self._reserve(own.incarnation)
        self._accept(own, now_s)

    def hear(self, claim: News, now_s: float) -> None:
        """Judge one claim, whoever brings it."""
        match claim:
            case Alive():
                self._hear_alive(claim, now_s)
            case Suspect():
                self._hear_suspect(claim, now_s)
            case Dead():
                self._hear_end(claim, MemberState.DEAD, now_s)
            case Left():
                self._hear_end(claim, MemberState.LEFT, now_s)

    def set_meta(self, meta: bytes, now_s: float) -> None:
        """Announce new meta under the next incarnation."""
        self._announce(self.own.incarnation + 1, meta, now_s)

    def leave(self, now_s: float) -> None:
        """Declare this member left; from now on it refutes nothing."""
        if not self.leaving:
            self.leaving = True
            claim = Left(self._own_name, self.own.incarnation)
            self._change(self.own, claim.incarnation, MemberState.LEFT, now_s)
            self._spread(claim)

    def suspicion_over(self, timer: SuspicionTimeout, now_s: float) -> None:
        """A suspect had its time. Stale timers (refuted, or moved by a confirmation) are ignored."""
        suspicion = self._suspicions.get(timer.name)
        if suspicion and (suspicion.incarnation, suspicion.generation) == (timer.incarnation, timer.generation):
            self.hear(Dead(timer.name, timer.incarnation, self._own_name), now_s)

    def reap(self, now_s: float) -> None:
        """Forget members that were dead or left for `reap_after_s`; this one never."""
        for member in self._table.reap(before_s=now_s - self._config.reap_after_s):
            self._effects.append(MemberReaped(member.name))

    def report_conflict(self, name: str, claimed: Address) -> None:
        """Two members use one name."""
        self._counters.conflicts += 1
        self._effects.append(MemberConflict(name, self._table.members[name].endpoint, claimed))

    def _hear_alive(self, claim: Alive, now_s: float) -> None:
        if claim.name == self._own_name:
            self._hear_own_alive(claim, now_s)
            return
        known = self._table.get(claim.name)
        if known is None:
            if self._table.above_floor(claim.name, claim.incarnation):
                self._accept(claim, now_s)
            return
        moved = claim.endpoint != known.endpoint
        if moved and known.is_live:
            # An older claim is a straggler from before a move, not a second owner of the name.
            if claim.incarnation >= known.incarnation:
                self.report_conflict(claim.name, claim.endpoint)
        elif overrides(claim.incarnation, MemberState.ALIVE, known):
            self._accept(claim, now_s)
        elif not moved and claim.incarnation > known.meta_incarnation:
            # We heard of this incarnation's suspicion or death before we heard of its meta.
            self._put(msgspec.structs.replace(known, meta=claim.meta, meta_incarnation=claim.incarnation), known.state)

    def _hear_own_alive(self, claim: Alive, now_s: float) -> None:
        own = self.own
        if claim.endpoint != own.endpoint:
            if claim.incarnation >= own.incarnation:
                self.report_conflict(claim.name, claim.endpoint)
        elif claim.incarnation > own.incarnation or (claim.incarnation == own.incarnation and claim.meta != own.meta):
            # Our own words from before a loss of the incarnation store: go above them.
            self._refute(claim.incarnation, now_s)

    def _hear_suspect(self, claim: Suspect, now_s: float) -> None:
        if claim.name == self._own_name:
            self._hear_accusation(claim.incarnation, now_s)
            return
        known = self._table.get(claim.name)
        if known is None:
            return
        if known.state is MemberState.SUSPECT and claim.incarnation == known.incarnation:
            suspicion = self._suspicions[claim.name]
            if suspicion.confirm(claim.accuser):
                self._start_suspicion_timer(claim.name, suspicion, now_s)
                self._spread(claim)
        elif overrides(claim.incarnation, MemberState.SUSPECT, known):
            self._suspect(claim, known, now_s)

    def _suspect(self, claim: Suspect, known: Member, now_s: float) -> None:
        """Start a suspicion. One of an older incarnation is over, and its timer with it."""
        self._counters.suspicions += 1
        self._change(known, claim.incarnation, MemberState.SUSPECT, now_s)
        suspicion = Suspicion(
            self._config,
            incarnation=claim.incarnation,
            accuser=claim.accuser,
            live_members=self._table.live_count(),
            started_s=now_s,
        )
        self._suspicions[claim.name] = suspicion
        self._start_suspicion_timer(claim.name, suspicion, now_s)
        self._spread(claim)

    def _hear_end(self, claim: Dead | Left, state: MemberState, now_s: float) -> None:
        if claim.name == self._own_name:
            self._hear_accusation(claim.incarnation, now_s)
            return
        known = self._table.get(claim.name)
        if known is None:
            self._table.raise_floor(claim.name, claim.incarnation)
        elif overrides(claim.incarnation, state, known):
            self._change(known, claim.incarnation, state, now_s)
            self._spread(claim)

    def _hear_accusation(self, incarnation: int, now_s: float) -> None:
        if not self.leaving and incarnation >= self.own.incarnation:
            self._awareness.adjust(+1)
            self._refute(incarnation, now_s)

    def _refute(self, incarnation: int, now_s: float) -> None:
        if not self.leaving:
            self._counters.refutations += 1
            self._announce(max(incarnation, self.own.incarnation) + 1, self.own.meta, now_s)

    def _announce(self, incarnation: int, meta: bytes, now_s: float) -> None:
        own = self.own
        self._reserve(incarnation)
        self._accept(Alive(own.name, own.address, own.port, incarnation, meta), now_s)

    def _reserve(self, incarnation: int) -> None:
        if incarnation + INCARNATION_BLOCK // 2 > self._reserved:
            self._reserved = incarnation + INCARNATION_BLOCK
            self._effects.append(ReserveIncarnations(self._reserved))

    def _accept(self, claim: Alive, now_s: float) -> None:
        known = self._table.get(claim.name)
        was_alive = known is not None and known.state is MemberState.ALIVE
        member = Member(
            claim.name,
            claim.host,
            claim.port,
            claim.incarnation,
            MemberState.ALIVE,
            claim.meta,
            claim.incarnation,
            known.state_since_s if known is not None and was_alive else now_s,
        )
        if self._suspicions.pop(claim.name, None) is not None:
            self._counters.suspicions_refuted += 1
        self._put(member, None if known is None else known.state)
        self._spread(claim)

    def _change(self, known: Member, incarnation: int, state: MemberState, now_s: float) -> None:
        self._suspicions.pop(known.name, None)
        self._put(
            msgspec.structs.replace(known, incarnation=incarnation, state=state, state_since_s=now_s), known.state
        )

    def _put(self, member: Member, previous: MemberState | None) -> None:
        self._table.put(member)
        self._effects.append(MemberChanged(member, previous))

    def _spread(self, claim: News) -> None:
        self._news.put(claim.name, encode_message(claim))

    def _start_suspicion_timer(self, name: str, suspicion: Suspicion, now_s: float) -> None:
        timer = SuspicionTimeout(name, suspicion.incarnation, suspicion.generation)
        self._effects.append(StartTimer(timer, max(0.0, suspicion.deadline_s - now_s)))
