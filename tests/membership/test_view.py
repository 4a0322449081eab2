"""Claims, refutations, floors and conflicts (SWIM §4.2, design.md §4)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from membership import MemberState, lan
from membership.effects import MemberChanged, MemberConflict, MemberReaped, ReserveIncarnations, StartTimer
from membership.inputs import Leave, SetMeta, TimerFired
from membership.messages import Alive, Dead, Left, News, Suspect
from membership.timers import ReapTick, SuspicionTimeout

A = "10.0.2.1"
B = "10.0.2.2"


@pytest.fixture
def me(kit: Any) -> Any:
    return kit.Lone(lan())


def standing(me: Any, name: str) -> tuple[int, str]:
    member = me.swim.table.members[name]
    return member.incarnation, member.state.word


CLAIMS = st.lists(
    st.one_of(
        st.builds(
            lambda name, incarnation: Alive(name, A, 1, incarnation, b"meta %d" % incarnation),
            st.sampled_from("ab"),
            st.integers(0, 4),
        ),
        st.builds(Suspect, st.sampled_from("ab"), st.integers(0, 4), st.sampled_from("xyz")),
        st.builds(Dead, st.sampled_from("ab"), st.integers(0, 4), st.sampled_from("xyz")),
        st.builds(Left, st.sampled_from("ab"), st.integers(0, 4)),
    ),
    max_size=12,
)


class PaperRules:
    """SWIM §4.2 by the book and slowly: a claim wins if some rule of the paper says so."""

    RANK = {Alive: 0, Suspect: 1, Dead: 2, Left: 3}  # noqa: RUF012

    def __init__(self) -> None:
        self.best: dict[str, tuple[int, int]] = {}

    def hear(self, claim: News) -> None:
        rank, (incarnation, held) = self.RANK[type(claim)], self.best.get(claim.name, (-1, 0))
        if claim.incarnation > incarnation or (claim.incarnation == incarnation and rank > held):
            self.best[claim.name] = (claim.incarnation, rank)


@given(claims=CLAIMS, data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_interleaving_of_the_same_claims_converges(kit: Any, claims: list[News], data: Any) -> None:
    """SWIM §4.2: with both members known, order and repetition do not matter, and the book's rules hold."""
    known = [Alive(name, A, 1, 0, b"meta 0") for name in "ab"]
    order = data.draw(st.permutations(claims + data.draw(st.lists(st.sampled_from(claims))) if claims else claims))
    one, two, book = kit.Lone(lan()), kit.Lone(lan(), seed=2), PaperRules()
    for claim in known + claims:
        one.hear(claim)
        book.hear(claim)
    for claim in known + order:
        two.hear(claim)
    for name in "ab":
        first, second = one.swim.table.members[name], two.swim.table.members[name]
        assert (first.incarnation, first.state) == book.best[name]
        assert kit.replace(first, state_since_s=0) == kit.replace(second, state_since_s=0)


@given(claims=CLAIMS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_replay_changes_nothing(kit: Any, claims: list[News]) -> None:
    me = kit.Lone(lan())
    me.hear(*(Alive(name, A, 1, 0, b"meta 0") for name in "ab"), *claims)
    before = dict(me.swim.table.members)
    effects = me.hear(*claims)
    assert me.swim.table.members == before
    assert not kit.only(MemberChanged, effects)


@given(claims=CLAIMS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_live_member_that_is_heard_from_is_never_dead_for_ever(kit: Any, claims: list[News]) -> None:
    """Whatever was said, an Alive above it brings the member back."""
    me = kit.Lone(lan())
    me.hear(Alive("a", A, 1, 0, b""), *claims, Alive("a", A, 1, 5, b""))
    assert standing(me, "a") == (5, "alive")


@pytest.mark.parametrize("accusation", [Suspect, Dead])
def test_accusations_of_oneself_are_refuted_above_their_incarnation(kit: Any, me: Any, accusation: Any) -> None:
    me.meet("a")
    me.hear(accusation("me", 7, "a"))
    assert standing(me, "me") == (8, "alive")
    assert me.swim.counters.refutations == 1
    assert me.swim.awareness.score == 1, "Lifeguard §IV-A: being suspected is a sign of own illness"
    effects = me.swim.handle(TimerFired(kit.gossip), me.now_s)
    assert Alive("me", "10.0.0.1", 7946, 8, b"") in [message for _, message in kit.said(effects, Alive)]


def test_an_old_accusation_of_oneself_is_ignored(me: Any) -> None:
    me.hear(Suspect("me", 0, "a"))
    assert standing(me, "me") == (1, "alive")


def test_a_suspect_with_a_higher_incarnation_restarts_the_timer(kit: Any, me: Any) -> None:
    """design.md §4. The old timer must not kill the new incarnation."""
    me.meet(*"abcdefgh")
    [old] = kit.only(StartTimer, me.hear(Suspect("a", 1, "b")))
    me.now_s = 5.0
    [new] = kit.only(StartTimer, me.hear(Suspect("a", 2, "b")))
    assert new.delay_s == old.delay_s
    me.now_s = 24.0
    me.swim.handle(TimerFired(old.timer), me.now_s)
    assert standing(me, "a") == (2, "suspect")
    me.now_s = 29.0
    me.swim.handle(TimerFired(new.timer), me.now_s)
    assert standing(me, "a") == (2, "dead")


def test_confirmations_bring_the_end_nearer_and_outdate_the_first_timer(kit: Any, me: Any) -> None:
    """Lifeguard §IV-B."""
    me.meet(*"abcdefgh")
    [first] = kit.only(StartTimer, me.hear(Suspect("a", 1, "b")))
    [second] = kit.only(StartTimer, me.hear(Suspect("a", 1, "c")))
    [third] = kit.only(StartTimer, me.hear(Suspect("a", 1, "d")))
    assert first.delay_s > second.delay_s > third.delay_s
    me.swim.handle(TimerFired(first.timer), me.now_s)
    assert standing(me, "a") == (1, "suspect")
    me.swim.handle(TimerFired(third.timer), me.now_s)
    assert standing(me, "a") == (1, "dead")


def test_a_refuted_suspicion_kills_nobody(kit: Any, me: Any) -> None:
    me.meet("a")
    [timer] = kit.only(StartTimer, me.hear(Suspect("a", 1, "b")))
    me.hear(kit.alive("a", 2))
    me.swim.handle(TimerFired(timer.timer), 100.0)
    assert standing(me, "a") == (2, "alive")
    assert isinstance(timer.timer, SuspicionTimeout)


def test_meta_heard_after_the_suspicion_of_its_incarnation_is_not_lost(kit: Any, me: Any) -> None:
    me.hear(kit.alive("a", 1, meta=b"old"), Suspect("a", 2, "b"), kit.alive("a", 2, meta=b"new"))
    assert standing(me, "a") == (2, "suspect")
    assert me.swim.table.members["a"].meta == b"new"


def test_a_tombstone_keeps_its_incarnation_floor_when_it_is_reaped(kit: Any, me: Any) -> None:
    """design.md §4: an old Alive must not bring the dead back."""
    me.hear(kit.alive("a", 5), Dead("a", 5, "b"))
    me.now_s = lan().reap_after_s + 1
    effects = me.swim.handle(TimerFired(ReapTick()), me.now_s)
    assert kit.only(MemberReaped, effects) == [MemberReaped("a")]
    me.hear(kit.alive("a", 5))
    assert "a" not in me.swim.table.members
    me.hear(kit.alive("a", 6))
    assert standing(me, "a") == (6, "alive")


def test_a_death_heard_before_the_life_is_not_lost(kit: Any, me: Any) -> None:
    me.hear(Dead("a", 3, "b"), kit.alive("a", 3))
    assert "a" not in me.swim.table.members


def test_another_address_under_a_live_name_is_a_conflict_not_an_overwrite(kit: Any, me: Any) -> None:
    """design.md §4."""
    me.hear(kit.alive("a", 1, host=A))
    for before in ((), (Suspect("a", 1, "b"),)):
        effects = me.hear(*before, kit.alive("a", 9, host=B))
        assert kit.only(MemberConflict, effects) == [MemberConflict("a", (A, 7946), (B, 7946))]
        assert me.swim.table.members["a"].address == A


@pytest.mark.parametrize("end", [Dead("a", 1, "b"), Left("a", 1)])
def test_the_new_address_wins_once_the_old_one_is_gone(kit: Any, me: Any, end: News) -> None:
    me.hear(kit.alive("a", 1, host=A), end, kit.alive("a", 2, host=B))
    assert standing(me, "a") == (2, "alive")
    assert me.swim.table.members["a"].address == B


def test_somebody_elses_claim_to_our_name_is_reported_and_starts_no_war(kit: Any, me: Any) -> None:
    effects = me.hear(kit.alive("me", 9, host=B))
    assert len(kit.only(MemberConflict, effects)) == 1
    assert standing(me, "me") == (1, "alive")


def test_our_own_words_from_before_a_lost_store_are_overridden(kit: Any, me: Any) -> None:
    me.hear(Alive("me", "10.0.0.1", 7946, 40, b"old meta"))
    assert standing(me, "me") == (41, "alive")
    assert me.swim.own.meta == b""


def test_new_meta_spreads_with_a_new_incarnation_and_the_same_meta_does_not(me: Any) -> None:
    me.swim.handle(SetMeta(b"restarting"), 0.0)
    me.swim.handle(SetMeta(b"restarting"), 0.0)
    assert standing(me, "me") == (2, "alive")


def test_who_leaves_refutes_nothing(me: Any) -> None:
    me.swim.handle(Leave(), 0.0)
    me.hear(Suspect("me", 1, "a"), Dead("me", 1, "a"))
    assert standing(me, "me") == (1, "left")


def test_incarnations_are_reserved_before_they_are_used(kit: Any, me: Any) -> None:
    """A crash at any moment finds a number on disk that is not below any that was used."""
    reserved = max(effect.upto for effect in kit.only(ReserveIncarnations, me.started))
    for turn in range(300):
        effects = me.hear(Suspect("me", 1 + turn, "a"))
        reserved = max([reserved, *(effect.upto for effect in kit.only(ReserveIncarnations, effects))])
        assert reserved >= me.swim.own.incarnation == 2 + turn


def test_states_since_is_kept_over_a_new_incarnation(kit: Any, me: Any) -> None:
    me.meet("a")
    me.now_s = 50.0
    me.hear(kit.alive("a", 2))
    assert me.swim.table.members["a"].state_since_s == 0.0
    assert MemberState.ALIVE.word == "alive"
