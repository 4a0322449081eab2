"""Push-pull, joining by it, and what it does with the dead."""

from __future__ import annotations

from typing import Any

import pytest

from membership import lan
from membership.anti_entropy import CONTACT_RETRIES, scaled_interval_s
from membership.effects import (
    AnswerExchange,
    Exchange,
    JoinExchange,
    JoinOutcome,
    MemberConflict,
    StartTimer,
    SyncExchange,
)
from membership.inputs import (
    Contact,
    ExchangeAnswered,
    ExchangeFailed,
    ExchangeReceived,
    Join,
    Leave,
    Peer,
    TimerFired,
)
from membership.member import MemberState
from membership.messages import Dead, Left, MemberRecord, PushPull, Refusal, StreamAck, StreamPing, Suspect, Vitals
from membership.timers import PushPullTick, ReapTick, ReconnectTick, SettleTick

SEED = Peer("seed", ("10.0.5.5", 7946))


@pytest.fixture
def me(kit: Any) -> Any:
    return kit.Lone(lan())


def record(name: str, incarnation: int = 1, state: MemberState = MemberState.ALIVE, host: str = "10.0.5.5") -> Any:
    return MemberRecord(name, host, 7946, incarnation, state, b"", incarnation)


def ask(kit: Any, me: Any, peer: str, body: Any) -> Any:
    [answer] = kit.only(AnswerExchange, me.swim.handle(ExchangeReceived(1, peer, body), me.now_s))
    return answer.body


def push(sender: str, *records: Any, vitals: tuple[Vitals, ...] = ()) -> PushPull:
    return PushPull(1, 1, sender, records, vitals)


def answer_join(kit: Any, me: Any, body: Any) -> str | None:
    [exchange] = kit.only(Exchange, me.swim.handle(Join((SEED,)), me.now_s))
    [outcome] = kit.only(JoinOutcome, me.swim.handle(ExchangeAnswered(exchange.token, body), me.now_s))
    assert outcome.peer == "seed"
    return outcome.error  # type: ignore[no-any-return]


@pytest.mark.parametrize(("live", "factor"), [(1, 1), (32, 1), (33, 2), (64, 2), (65, 3), (1000, 6)])
def test_interval_scales_with_the_size(live: int, factor: int) -> None:
    assert scaled_interval_s(30.0, live) == 30.0 * factor


def test_both_sides_know_all_afterwards(kit: Any, me: Any) -> None:
    me.hear(kit.alive("mine"))
    answer = ask(kit, me, "you", push("you", record("you"), record("yours"), vitals=(Vitals("yours", 1, 1, b"v"),)))
    assert {row.name for row in answer.members} == {"me", "mine", "you", "yours"}
    assert set(me.swim.table.members) == {"me", "mine", "you", "yours"}
    assert me.swim.vitals.data == {"yours": b"v"}


def test_joining_reports_success(kit: Any, me: Any) -> None:
    mine = MemberRecord("me", "10.0.0.1", 7946, 1, MemberState.ALIVE, b"", 1)
    assert answer_join(kit, me, push("seed", record("seed"), record("other"), mine)) is None
    assert set(me.swim.table.members) == {"me", "seed", "other"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (Refusal("full"), "full"),
        (push("seed", record("seed"), record("me", host="10.0.6.6")), "belongs to the live member at 10.0.6.6"),
        (push("seed", record("seed")), "did not accept"),
        (push("other", record("other")), "belongs to seed"),
        (push("seed"), "does not list itself"),
        (StreamAck("seed"), "not a push-pull"),
        (PushPull(7, 9, "seed", (), ()), "protocol versions 7 to 9"),
    ],
)
def test_a_rejected_join_is_an_error_and_changes_nothing(kit: Any, me: Any, body: Any, reason: str) -> None:
    """design.md §4."""
    assert reason in (answer_join(kit, me, body) or "")
    assert set(me.swim.table.members) == {"me"}


def test_unreachable_peers_and_oneself_are_reported(kit: Any, me: Any) -> None:
    effects = me.swim.handle(ExchangeFailed(JoinExchange("seed"), "refused"), 0.0)
    assert effects == [JoinOutcome("seed", "refused")]
    effects = me.swim.handle(Join((Peer("me", ("10.0.0.1", 7946)),)), 0.0)
    assert effects == [JoinOutcome("me", "this is the member's own name")]


def test_who_claims_the_name_of_a_live_member_is_refused(kit: Any, me: Any) -> None:
    """design.md §4; whatever incarnation it brings."""
    me.hear(kit.alive("you", 5, host="10.0.1.1"))
    for incarnation in (1, 9):
        effects = me.swim.handle(
            ExchangeReceived(1, "you", push("you", record("you", incarnation), record("friend"))), 0.0
        )
        [answer] = kit.only(AnswerExchange, effects)
        assert "belongs to the live member at 10.0.1.1:7946" in answer.body.reason
        assert kit.only(MemberConflict, effects)
    assert "friend" not in me.swim.table.members


def test_who_comes_back_below_its_floor_is_told_of_it(kit: Any, me: Any) -> None:
    """A member whose store was lost would otherwise be ignored for ever."""
    me.hear(kit.alive("you", 7), Left("you", 7))
    me.now_s = lan().reap_after_s + 1
    me.swim.handle(TimerFired(ReapTick()), me.now_s)
    answer = ask(kit, me, "you", push("you", record("you", 1)))
    [floor] = [row for row in answer.members if row.name == "you"]
    assert (floor.incarnation, floor.state) == (7, MemberState.DEAD)


def test_a_joiner_that_is_held_dead_refutes(kit: Any, me: Any) -> None:
    mine = MemberRecord("me", "10.0.0.1", 7946, 7, MemberState.DEAD, b"", 7)
    assert answer_join(kit, me, push("seed", record("seed"), mine)) is None
    assert me.swim.own.incarnation == 8


def test_what_the_other_holds_dead_is_only_suspected_while_we_hold_it_alive(kit: Any, me: Any) -> None:
    me.hear(kit.alive("a", host="10.0.5.5"), kit.alive("b", host="10.0.5.5"), kit.alive("c", host="10.0.5.5"))
    ask(
        kit,
        me,
        "you",
        push(
            "you",
            record("you"),
            record("a", state=MemberState.DEAD),
            record("b", state=MemberState.SUSPECT),
            record("c", state=MemberState.LEFT),
            record("d", state=MemberState.DEAD),
        ),
    )
    words = {name: member.state.word for name, member in me.swim.table.members.items()}
    assert words == {"me": "alive", "you": "alive", "a": "suspect", "b": "suspect", "c": "left"}
    me.hear(kit.alive("d", 1))
    assert "d" not in me.swim.table.members, "but its floor is known"


def test_the_dead_are_tried_and_the_left_are_not(kit: Any, me: Any) -> None:
    """Heals partitions that outlast the gossip to the dead (Serf's reconnect)."""
    me.hear(kit.alive("a"), Dead("a", 1, "b"), kit.alive("l"), Left("l", 1))
    asked = [
        exchange.name
        for _ in range(20)
        for exchange in kit.only(Exchange, me.swim.handle(TimerFired(ReconnectTick()), 0.0))
    ]
    assert asked == ["a"] * 20


def test_the_dead_are_tried_at_once_when_a_layer_above_has_met_them(kit: Any, me: Any) -> None:
    """A long partition was over, and for up to a `reconnect_interval_s` nobody noticed."""
    me.hear(kit.alive("a"), Dead("a", 1, "b"), kit.alive("l"), Left("l", 1), kit.alive("b"))

    def asked(name: str, now_s: float) -> list[str]:
        return [exchange.name for exchange in kit.only(Exchange, me.swim.handle(Contact(name), now_s))]

    assert asked("a", 10.0) == ["a"]
    assert asked("a", 10.9) == [], "many connections are one contact"
    assert asked("a", 11.0) == ["a"]
    assert [asked(name, 20.0) for name in ("b", "l", "me", "stranger")] == [[]] * 4


def test_a_contact_is_followed_up_a_few_times(kit: Any, me: Any) -> None:
    """The stream that was used may have been dialled while nothing came through."""
    me.hear(kit.alive("a"), Dead("a", 1, "b"))
    [question] = kit.only(Exchange, me.swim.handle(Contact("a"), 0.0))
    tries = 0
    while starts := kit.only(StartTimer, me.swim.handle(ExchangeFailed(question.token, "no answer"), 0.0)):
        [retry] = starts
        assert retry.delay_s == lan().probe_interval_s
        [question] = kit.only(Exchange, me.swim.handle(TimerFired(retry.timer), 0.0))
        tries += 1
    assert tries == CONTACT_RETRIES
    [question] = kit.only(Exchange, me.swim.handle(TimerFired(ReconnectTick()), 9.0))
    assert not kit.only(StartTimer, me.swim.handle(ExchangeFailed(question.token, "no answer"), 9.0)), "no contact"


def test_a_contact_is_over_when_the_member_is_back(kit: Any, me: Any) -> None:
    me.hear(kit.alive("a"), Dead("a", 1, "b"))
    [question] = kit.only(Exchange, me.swim.handle(Contact("a"), 0.0))
    [retry] = kit.only(StartTimer, me.swim.handle(ExchangeFailed(question.token, "no answer"), 0.0))
    me.hear(kit.alive("a", 2))
    assert not kit.only(Exchange, me.swim.handle(TimerFired(retry.timer), 1.0))


def test_who_has_left_alone_with_the_dead_still_ticks(kit: Any, me: Any) -> None:
    """Nobody is live then, not even this member."""
    me.hear(kit.alive("a"), Dead("a", 1, "b"))
    me.swim.handle(Leave(), 0.0)
    assert kit.only(Exchange, me.swim.handle(TimerFired(ReconnectTick()), 0.0))


def test_the_tick_asks_one_live_other(kit: Any, me: Any) -> None:
    assert not kit.only(Exchange, me.swim.handle(TimerFired(PushPullTick()), 0.0))
    me.hear(kit.alive("a"), Suspect("a", 1, "b"))
    [exchange] = kit.only(Exchange, me.swim.handle(TimerFired(PushPullTick()), 0.0))
    assert exchange.name == "a"


def test_the_fallback_probe_is_answered_only_under_our_name_and_address(kit: Any, me: Any) -> None:
    """Streams go by name: who has taken a dead member's name must not answer for it."""
    assert ask(kit, me, "you", StreamPing("me", "10.0.0.1", 7946)) == StreamAck("me")
    assert isinstance(ask(kit, me, "you", StreamPing("other", "10.0.0.1", 7946)), Refusal)
    assert isinstance(ask(kit, me, "you", StreamPing("me", "10.0.0.2", 7946)), Refusal)
    assert isinstance(ask(kit, me, "you", StreamAck("me")), Refusal)


def test_who_has_joined_exchanges_once_more_a_moment_later(kit: Any, me: Any) -> None:
    """Where many join at once, gossip now and then misses one while the cluster is still small."""
    me.meet("a")
    [question] = kit.only(Exchange, me.swim.handle(Join((Peer("a", ("10.0.1.97", 7946)),)), 0.0))
    records = tuple(MemberRecord.of(me.swim.table.members[name]) for name in ("me", "a"))
    effects = me.swim.handle(ExchangeAnswered(question.token, PushPull(1, 1, "a", records, ())), 0.0)
    [settle] = [start for start in kit.only(StartTimer, effects) if isinstance(start.timer, SettleTick)]
    assert 0.4 <= settle.delay_s <= 0.8
    [again] = kit.only(Exchange, me.swim.handle(TimerFired(settle.timer), 0.5))
    assert again.token == SyncExchange("a")
