"""User events: to all, once, not lost by gossip for ever, and never before news."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membership import MAX_EVENT_BYTES, CodecError, MetaTooLarge, lan
from membership.effects import Exchange, StartTimer, UserEventHeard
from membership.events import WINDOW, _Heard
from membership.inputs import ExchangeAnswered, Join, Peer, SayEvent, TimerFired
from membership.messages import Alive, MemberRecord, PushPull, UserEvent
from membership.timers import GossipTick, PushPullTick


@pytest.fixture
def me(kit: Any) -> Any:
    lone = kit.Lone(lan())
    lone.meet("a", "b", "c")
    return lone


def heard(kit: Any, effects: list[Any]) -> list[tuple[str, bytes]]:
    return [(change.event.name, change.event.payload) for change in kit.only(UserEventHeard, effects)]


def test_an_event_is_told_to_ourselves_and_sent_at_once(kit: Any, me: Any) -> None:
    while me.swim.news:
        me.swim.handle(TimerFired(GossipTick()), 0.0)
    me.swim.handle(TimerFired(GossipTick()), 0.0)
    effects = me.swim.handle(SayEvent("deploy", b"1"), 0.0)
    assert heard(kit, effects) == [("deploy", b"1")]
    assert [start.delay_s for start in kit.only(StartTimer, effects)] == [0.0]
    sent = kit.said(me.swim.handle(TimerFired(GossipTick()), 0.0), UserEvent)
    assert {message.payload for _, message in sent} == {b"1"}


def test_an_event_is_heard_once_and_passed_on(kit: Any, me: Any) -> None:
    event = UserEvent("a", 1, 1, "deploy", b"x")
    assert heard(kit, me.hear(event, event)) == [("deploy", b"x")]
    assert heard(kit, me.hear(event)) == []
    assert kit.said(me.swim.handle(TimerFired(GossipTick()), 0.0), UserEvent)


def test_events_of_a_new_life_count_anew_and_of_an_old_one_no_more(kit: Any, me: Any) -> None:
    assert heard(kit, me.hear(UserEvent("a", 1, 7, "e", b"old")))
    assert heard(kit, me.hear(UserEvent("a", 5, 1, "e", b"new"))) == [("e", b"new")]
    assert not heard(kit, me.hear(UserEvent("a", 1, 8, "e", b"late")))


def test_strangers_and_forgers_of_our_own_are_not_heard(kit: Any, me: Any) -> None:
    assert not heard(kit, me.hear(UserEvent("stranger", 1, 1, "e", b""), UserEvent("me", 9, 9, "e", b"")))


@given(numbers=st.lists(st.integers(1, 2 * WINDOW), max_size=60))
def test_each_number_is_new_once_in_any_order(numbers: list[int]) -> None:
    """Compared with a set; numbers that are a window behind count as heard."""
    window, known = _Heard(1), set[int]()
    for number in numbers:
        behind = max(known, default=0) - number >= WINDOW
        assert window.add(number) == (number not in known and not behind)
        known.add(number)


def test_too_large_and_badly_named_events_are_refused(me: Any) -> None:
    with pytest.raises(MetaTooLarge, match="at most 512"):
        me.swim.handle(SayEvent("e", b"x" * (MAX_EVENT_BYTES + 1)), 0.0)
    with pytest.raises(CodecError, match="cannot be called"):
        me.swim.handle(SayEvent("Not A Name", b""), 0.0)
    assert not me.swim.event_news


def test_news_go_before_events(kit: Any, me: Any) -> None:
    while me.swim.news:
        me.swim.handle(TimerFired(GossipTick()), 0.0)
    me.swim.handle(SayEvent("e", b"x" * MAX_EVENT_BYTES), 0.0)
    me.hear(*(kit.alive(f"n{number}", meta=b"m" * 400) for number in range(30)))
    first = me.swim.handle(TimerFired(GossipTick()), 0.0)
    assert len(kit.said(first, Alive)) == 9
    assert not kit.said(first, UserEvent)


def test_a_push_pull_brings_what_gossip_missed_for_two_minutes(kit: Any, me: Any) -> None:
    me.hear(UserEvent("a", 1, 1, "e", b"x"))
    for now_s, carried in ((10.0, 1), (200.0, 0)):
        [question] = kit.only(Exchange, me.swim.handle(TimerFired(PushPullTick()), now_s))
        assert len(question.body.events) == carried


@pytest.mark.parametrize(("joining", "told"), [(True, []), (False, [("e", b"x")])])
def test_who_joins_does_not_hear_what_was_said_before(kit: Any, me: Any, joining: bool, told: list[Any]) -> None:
    happening = Join((Peer("a", ("10.0.1.97", 7946)),)) if joining else TimerFired(PushPullTick())
    [question] = kit.only(Exchange, me.swim.handle(happening, 0.0))
    peer = question.name
    records = tuple(MemberRecord.of(me.swim.table.members[name]) for name in ("me", peer))
    answer = PushPull(1, 1, peer, records, (), (UserEvent("b", 1, 1, "e", b"x"),))
    assert heard(kit, me.swim.handle(ExchangeAnswered(question.token, answer), 0.0)) == told
    assert not heard(kit, me.hear(UserEvent("b", 1, 1, "e", b"x"))), "but either way it is known now"
