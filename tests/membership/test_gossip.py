"""The gossip tick, what fits into packets, vitals, leaving."""

from __future__ import annotations

from typing import Any

import pytest

from membership import MAX_META_BYTES, MAX_VITALS_BYTES, MetaTooLarge, lan
from membership.codec import DATAGRAM_OVERHEAD_BYTES
from membership.effects import LeaveSpread, Send, StartTimer, VitalsChanged
from membership.inputs import Leave, SetMeta, SetVitals, TimerFired
from membership.messages import Alive, Dead, Left, Suspect, Vitals
from membership.timers import GossipTick, VitalsTick


@pytest.fixture
def me(kit: Any) -> Any:
    return kit.Lone(lan())


def tick(me: Any) -> list[Any]:
    return list(me.swim.handle(TimerFired(GossipTick()), me.now_s))


def drain(me: Any) -> None:
    while me.swim.news or me.swim.vitals_news:
        tick(me)


def test_a_tick_sends_to_some_members_and_an_empty_queue_to_none(kit: Any, me: Any) -> None:
    me.meet(*"abcdefgh")
    assert len({send.target for send in kit.only(Send, tick(me))}) == 3
    drain(me)
    assert not kit.only(Send, tick(me))


def test_the_first_news_leave_at_once_and_the_next_keep_the_pace(kit: Any, me: Any) -> None:
    def ticks(effects: list[Any]) -> list[float]:
        return [start.delay_s for start in kit.only(StartTimer, effects) if isinstance(start.timer, GossipTick)]

    assert ticks(me.started) == [0.0]
    assert ticks(tick(me)) == [], "and nobody to talk to needs no tick"
    assert ticks(me.hear(kit.alive("a"), kit.alive("b"))) == [0.0]
    assert ticks(me.hear(kit.alive("c"))) == [], "one tick is enough"
    assert ticks(tick(me)) == [pytest.approx(lan().gossip_interval_s / 8)]
    assert ticks(me.hear(*(kit.alive(f"n{number}", meta=b"m" * 400) for number in range(60)))) == []
    paces = [pace for _ in range(5) for pace in ticks(tick(me))]
    assert paces[-1] == lan().gossip_interval_s, "the burst is over"
    me.now_s += lan().gossip_interval_s * 2
    assert ticks(tick(me)) == [pytest.approx(lan().gossip_interval_s / 8)], "a quiet time allows a new one"


def test_vitals_alone_wait_for_each_other(kit: Any, me: Any) -> None:
    me.meet("a")
    drain(me)
    tick(me)
    effects = me.swim.handle(SetVitals(b"v"), 0.0)
    [start] = kit.only(StartTimer, effects)
    assert isinstance(start.timer, VitalsTick)
    assert 0 < start.delay_s < 2 * lan().gossip_interval_s
    assert kit.said(me.swim.handle(TimerFired(start.timer), 1.0), Vitals)


def test_rounds_reach_everybody_before_anybody_twice(kit: Any, me: Any) -> None:
    """A small cluster has four transmissions of each piece of news to spend."""
    me.meet(*"abcdef")
    targets = [send.target for _ in range(2) for send in kit.only(Send, tick(me))]
    assert len(set(targets)) == len(targets) == lan().retransmit_mult


def test_what_is_sent_to_the_dead_does_not_count_as_sent(kit: Any, me: Any) -> None:
    me.hear(kit.alive("a"), Dead("a", 1, "b"))
    for _ in range(20):
        tick(me)
    assert "a" in me.swim.news


def test_packets_stay_within_their_bytes_however_much_there_is_to_say(kit: Any, me: Any) -> None:
    names = [f"member-{number}" for number in range(200)]
    me.hear(*(kit.alive(name, meta=b"m" * (number * 37 % 513)) for number, name in enumerate(names)))
    me.hear(*(Vitals(name, 1, 1, b"v" * 200) for name in names))
    sizes = [len(send.packet) + DATAGRAM_OVERHEAD_BYTES for _ in range(300) for send in kit.only(Send, tick(me))]
    assert len(sizes) == 900
    assert max(sizes) <= 1400
    assert sorted(sizes)[450] > 1200, "and they are well filled"


def test_the_lately_dead_get_gossip_and_the_long_dead_do_not(kit: Any, me: Any) -> None:
    """So a member that is wrongly held dead hears of it."""
    me.hear(kit.alive("a"), Dead("a", 1, "b"))
    assert kit.only(Send, tick(me))
    me.now_s = lan().gossip_to_dead_s + 1
    assert not kit.only(Send, tick(me))


def test_vitals_get_only_what_news_leave_over(kit: Any, me: Any) -> None:
    me.meet("a")
    drain(me)
    me.swim.handle(SetVitals(b"v" * MAX_VITALS_BYTES), 0.0)
    me.hear(*(kit.alive(f"n{number}", meta=b"m" * 400) for number in range(30)))
    first = tick(me)
    assert len(kit.said(first, Alive)) == 9, "three packets, full of news"
    assert not kit.said(first, Vitals)
    sent = [message for _ in range(200) for _, message in kit.said(tick(me), Vitals)]
    assert sent, "and in the end they come"


def test_only_the_newest_vitals_of_a_member_are_kept_and_sent(kit: Any, me: Any) -> None:
    me.meet("a")
    effects = me.hear(Vitals("a", 1, 2, b"newer"), Vitals("a", 1, 1, b"older"), Vitals("a", 1, 2, b"again"))
    assert [effect.vitals.data for effect in kit.only(VitalsChanged, effects)] == [b"newer"]
    assert len(me.swim.vitals_news) == 1
    me.hear(Vitals("a", 2, 1, b"restarted"))
    assert me.swim.vitals.data == {"a": b"restarted"}


def test_vitals_are_heard_again_after_a_lost_incarnation_store(kit: Any, me: Any) -> None:
    """The others hold vitals of our former life; having refuted it, we are above them."""
    me.hear(Dead("me", 500, "a"))
    [changed] = kit.only(VitalsChanged, me.swim.handle(SetVitals(b"new"), 0.0))
    assert changed.vitals.version > (500, 999)


def test_vitals_of_strangers_and_of_ourselves_are_ignored(me: Any) -> None:
    me.hear(Vitals("stranger", 1, 1, b""), Vitals("me", 99, 1, b"forged"))
    assert me.swim.vitals.data == {}


def test_too_large_meta_and_vitals_are_refused_and_change_nothing(me: Any) -> None:
    with pytest.raises(MetaTooLarge, match="at most 512"):
        me.swim.handle(SetMeta(b"m" * (MAX_META_BYTES + 1)), 0.0)
    with pytest.raises(MetaTooLarge, match="at most 256"):
        me.swim.handle(SetVitals(b"v" * (MAX_VITALS_BYTES + 1)), 0.0)
    assert (me.swim.own.incarnation, me.swim.own.meta) == (1, b"")


def test_leaving_is_over_when_the_good_bye_was_sent_often_enough(kit: Any, me: Any) -> None:
    me.meet("a", "b")
    assert not kit.only(LeaveSpread, me.swim.handle(Leave(), 0.0))
    sent, over = 0, False
    while not over:
        effects = tick(me)
        sent += len(kit.said(effects, Left))
        over = bool(kit.only(LeaveSpread, effects))
    assert sent == lan().retransmit_mult


def test_leaving_alone_is_over_at_once(kit: Any, me: Any) -> None:
    assert kit.only(LeaveSpread, me.swim.handle(Leave(), 0.0))


def test_confirmations_are_gossiped_on(kit: Any, me: Any) -> None:
    """Lifeguard §IV-B: otherwise nobody could count independent accusers."""
    me.meet(*"abcdefgh")
    me.hear(Suspect("a", 1, "b"))
    drain(me)
    me.hear(Suspect("a", 1, "c"))
    assert Suspect("a", 1, "c") in [message for _, message in kit.said(tick(me), Suspect)]
