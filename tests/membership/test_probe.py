"""The failure detector (SWIM §3, §4.3; Lifeguard §IV-A, §IV-C)."""

from __future__ import annotations

import random
from typing import Any

import pytest

from membership import lan
from membership.codec import decode_packet
from membership.coordinates import Coordinate
from membership.effects import Exchange, ProbeExchange, Send, StartTimer
from membership.inputs import ExchangeAnswered, ExchangeFailed, TimerFired
from membership.messages import Ack, Dead, Nack, Ping, PingRequest, StreamAck, StreamPing, Suspect
from membership.rotation import Rotation
from membership.timers import DirectProbeTimeout, ProbePeriod, ProbeVerdict, RelayNack


@pytest.fixture
def me(kit: Any) -> Any:
    lone = kit.Lone(lan())
    lone.meet("a", "b", "c", "d", "e")
    return lone


def probe(kit: Any, me: Any) -> tuple[Ping, list[Any]]:
    effects = me.swim.handle(TimerFired(ProbePeriod()), me.now_s)
    [(_, ping)] = kit.said(effects, Ping)
    return ping, effects


def fail_directly(kit: Any, me: Any) -> tuple[Ping, list[Any]]:
    ping, _ = probe(kit, me)
    return ping, me.swim.handle(TimerFired(DirectProbeTimeout(ping.sequence)), me.now_s)


def state(me: Any, name: str) -> str:
    return str(me.swim.table.members[name].state.word)


def test_round_robin_probes_everybody_once_a_round(kit: Any, me: Any) -> None:
    """SWIM §4.3: a failed member is probed within 2n - 1 periods at the latest."""
    for _ in range(4):
        targets = []
        for _ in "abcde":
            ping, _ = probe(kit, me)
            me.hear(Ack(ping.sequence), sender=ping.target)
            targets.append(ping.target)
        assert sorted(targets) == list("abcde")


def test_order_differs_between_rounds_and_new_members_come_at_random_places() -> None:
    rounds, places = set(), set()
    for seed in range(40):
        order = Rotation(random.Random(seed))
        for name in "abcd":
            order.add(name)
        order.next(lambda name: True)
        order.add("new")
        rounds.add("".join(order.next(lambda name: True) or "" for _ in range(3)))
        places.add(order._names.index("new"))
    assert len(rounds) > 10
    assert places == {0, 1, 2, 3, 4}


def test_order_gives_none_when_nobody_is_wanted() -> None:
    order = Rotation(random.Random(1))
    assert order.next(lambda name: True) is None
    order.add("a")
    assert order.next(lambda name: False) is None
    assert order.next(lambda name: True) == "a"
    order.forget("a")
    order.forget("a")
    assert order.next(lambda name: True) is None


def test_an_ack_in_time_keeps_the_target_alive_and_gives_its_round_trip(kit: Any, me: Any) -> None:
    ping, _ = probe(kit, me)
    me.now_s += 0.004
    me.hear(Ack(ping.sequence), sender=ping.target)
    assert me.swim.round_trips.get(ping.target) == pytest.approx(0.004)
    assert not me.swim.handle(TimerFired(DirectProbeTimeout(ping.sequence)), me.now_s)
    probe(kit, me)
    assert me.swim.counters.failed_probes == 0


def test_a_late_ack_leads_to_k_ping_reqs_and_the_fallback(kit: Any, me: Any) -> None:
    """SWIM §3.1, k = 3."""
    ping, effects = fail_directly(kit, me)
    requests = kit.said(effects, PingRequest)
    assert len({target for target, _ in requests}) == 3
    assert {request.target for _, request in requests} == {ping.target}
    [exchange] = kit.only(Exchange, effects)
    target = me.swim.table.members[ping.target]
    assert (exchange.name, exchange.body) == (ping.target, StreamPing(ping.target, target.address, 7946))
    assert exchange.timeout_s == pytest.approx(0.5)


def test_no_answer_at_all_leads_to_suspicion_at_the_end_of_the_period(kit: Any, me: Any) -> None:
    ping, _ = fail_directly(kit, me)
    assert state(me, ping.target) == "alive"
    probe(kit, me)
    assert state(me, ping.target) == "suspect"


def test_an_indirect_ack_or_a_stream_ack_prevents_it(kit: Any, me: Any) -> None:
    ping, _ = fail_directly(kit, me)
    me.hear(Ack(ping.sequence), sender="helper")
    assert me.swim.round_trips.get(ping.target) is None, "an indirect ack says nothing about our round trip"
    ping, _ = fail_directly(kit, me)
    me.swim.handle(ExchangeAnswered(ProbeExchange(ping.sequence), StreamAck(ping.target)), me.now_s)
    probe(kit, me)
    assert me.swim.counters.failed_probes == 0
    assert me.swim.counters.fallback_acks == 1


def test_a_failed_fallback_changes_nothing(kit: Any, me: Any) -> None:
    ping, _ = fail_directly(kit, me)
    assert me.swim.handle(ExchangeFailed(ProbeExchange(ping.sequence), "refused"), me.now_s) == []


def seasoned(kit: Any, me: Any) -> None:
    """Let me know that acks come within 4 ms."""
    for _ in range(10):
        ping, _ = probe(kit, me)
        me.now_s += 0.004
        me.hear(Ack(ping.sequence), sender=ping.target)


def test_who_knows_the_usual_round_trip_asks_others_early(kit: Any, me: Any) -> None:
    """Before it waits for the whole probe timeout, but not before a fifth of it."""
    _, effects = probe(kit, me)
    assert [s.delay_s for s in kit.only(StartTimer, effects) if isinstance(s.timer, DirectProbeTimeout)] == [0.5]
    seasoned(kit, me)
    _, effects = probe(kit, me)
    assert [s.delay_s for s in kit.only(StartTimer, effects) if isinstance(s.timer, DirectProbeTimeout)] == [0.1]


@pytest.mark.parametrize(("helpers", "after_s", "verdict"), [(3, 0.4, "suspect"), (2, 0.4, "alive"), (3, 0.3, "alive")])
def test_unanimous_helpers_end_the_period_of_doubt_after_the_probe_timeout(
    kit: Any, me: Any, helpers: int, after_s: float, verdict: str
) -> None:
    seasoned(kit, me)
    ping, _ = probe(kit, me)
    me.now_s += 0.1
    effects = me.swim.handle(TimerFired(DirectProbeTimeout(ping.sequence)), me.now_s)
    [due] = [start for start in kit.only(StartTimer, effects) if isinstance(start.timer, ProbeVerdict)]
    assert due.delay_s == pytest.approx(0.4)
    for helper in range(helpers):
        me.hear(Nack(ping.sequence), Nack(ping.sequence), sender=f"helper{helper}")
    assert state(me, ping.target) == "alive"
    me.now_s += after_s
    me.swim.handle(TimerFired(due.timer), me.now_s)
    assert state(me, ping.target) == verdict


def test_the_paper_s_period_has_no_early_verdict(kit: Any) -> None:
    me = kit.Lone(kit.replace(lan(), early_probe_share=1.0))
    me.meet(*"abcde")
    seasoned(kit, me)
    ping, effects = probe(kit, me)
    assert [s.delay_s for s in kit.only(StartTimer, effects) if isinstance(s.timer, DirectProbeTimeout)] == [0.5]
    me.now_s += 0.5
    me.swim.handle(TimerFired(DirectProbeTimeout(ping.sequence)), me.now_s)
    for helper in "xyz":
        me.hear(Nack(ping.sequence), sender=helper)
    assert state(me, ping.target) == "alive"


@pytest.mark.parametrize(("nacks", "score"), [(0, 3), (1, 2), (3, 0)])
def test_missing_nacks_count_against_ourselves(kit: Any, me: Any, nacks: int, score: int) -> None:
    """Lifeguard §IV-A: helpers that nack prove that the target, not we, are ill."""
    ping, _ = fail_directly(kit, me)
    for helper in "abcd"[:nacks]:
        me.hear(Nack(ping.sequence), Nack(ping.sequence), sender=helper)
    probe(kit, me)
    assert me.swim.awareness.score == score


def test_an_ill_member_probes_slower_and_waits_longer(kit: Any, me: Any) -> None:
    me.swim.awareness.adjust(+2)
    _, effects = probe(kit, me)
    delays = {type(start.timer): start.delay_s for start in kit.only(StartTimer, effects)}
    assert delays == {ProbePeriod: 3.0, DirectProbeTimeout: 1.5}


def test_a_probe_that_works_heals(kit: Any, me: Any) -> None:
    me.swim.awareness.adjust(+2)
    ping, _ = probe(kit, me)
    me.hear(Ack(ping.sequence), Ack(ping.sequence), sender=ping.target)
    assert me.swim.awareness.score == 1, "a doubled ack counts once"


def test_a_ping_is_answered_to_its_source_only_if_it_is_for_us(kit: Any, me: Any) -> None:
    effects = me.hear(Ping(7, "me"), source=("10.9.9.9", 1))
    assert kit.said(effects, Ack) == [(("10.9.9.9", 1), Ack(7, Coordinate().packed()))]
    assert not kit.only(Send, me.hear(Ping(7, "another")))


def test_helping_passes_the_ack_on(kit: Any, me: Any) -> None:
    effects = me.hear(PingRequest(5, "t", "10.8.8.8", 80), sender="asker", source=("10.7.7.7", 70))
    [(target, ping)] = kit.said(effects, Ping)
    assert (target, ping.target) == (("10.8.8.8", 80), "t")
    effects = me.hear(Ack(ping.sequence), sender="t")
    assert kit.said(effects, Ack) == [(("10.7.7.7", 70), Ack(5))]
    assert me.swim.handle(TimerFired(RelayNack(ping.sequence)), me.now_s) == []


def test_helping_nacks_within_the_askers_period_and_still_passes_a_late_ack_on(kit: Any, me: Any) -> None:
    effects = me.hear(PingRequest(5, "t", "10.8.8.8", 80), sender="asker", source=("10.7.7.7", 70))
    [nack_timer] = [start for start in kit.only(StartTimer, effects) if isinstance(start.timer, RelayNack)]
    assert lan().probe_timeout_s + nack_timer.delay_s < lan().probe_interval_s
    effects = me.swim.handle(TimerFired(nack_timer.timer), me.now_s)
    assert kit.said(effects, Nack) == [(("10.7.7.7", 70), Nack(5))]
    effects = me.hear(Ack(nack_timer.timer.sequence), sender="t")
    assert kit.said(effects, Ack) == [(("10.7.7.7", 70), Ack(5))]


def test_a_replayed_ack_of_an_older_probe_saves_nobody(kit: Any, me: Any) -> None:
    old, _ = probe(kit, me)
    me.hear(Ack(old.sequence), sender=old.target)
    ping, _ = probe(kit, me)
    me.hear(Ack(old.sequence), sender=old.target)
    probe(kit, me)
    assert state(me, ping.target) == "suspect"


@pytest.mark.parametrize("accusation", [Suspect, Dead])
def test_the_accused_hears_it_first_thing_in_the_next_packet(kit: Any, me: Any, accusation: Any) -> None:
    """Lifeguard §IV-C, the buddy system, even when the queue no longer holds the news."""
    me.hear(accusation("a", 1, "b"))
    me.swim.news.drop("a")
    [send] = kit.only(Send, me.hear(Ping(1, "me"), sender="a"))
    assert decode_packet(send.packet).messages[:2] == (Ack(1, Coordinate().packed()), accusation("a", 1, "me"))
