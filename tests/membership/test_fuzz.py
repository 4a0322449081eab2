"""Any sequence of well-formed inputs: no crash, packets within bounds, bounded memory, a sane table."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from membership import lan
from membership.codec import DATAGRAM_OVERHEAD_BYTES, decode_exchange, decode_packet, encode_exchange
from membership.effects import AnswerExchange, Exchange, Send, StartTimer
from membership.inputs import (
    Contact,
    ExchangeAnswered,
    ExchangeFailed,
    ExchangeReceived,
    Join,
    Leave,
    PacketReceived,
    Peer,
    SetMeta,
    SetVitals,
    TimerFired,
)
from membership.member import MemberState
from membership.messages import (
    Ack,
    Alive,
    Dead,
    Left,
    MemberRecord,
    Nack,
    Packet,
    Ping,
    PingRequest,
    PushPull,
    Refusal,
    StreamAck,
    StreamPing,
    Suspect,
    Vitals,
)

NAMES = st.sampled_from(["me", "a", "b", "c", "d"])
HOSTS = st.sampled_from(["10.0.0.1", "10.0.0.2", "::1"])
PORTS = st.sampled_from([7946, 1])
SMALL = st.integers(0, 5)
META = st.sampled_from([b"", b"x", b"m" * 512])
MESSAGES = st.one_of(
    st.builds(Ping, SMALL, NAMES),
    st.builds(PingRequest, SMALL, NAMES, HOSTS, PORTS),
    st.builds(Ack, SMALL),
    st.builds(Nack, SMALL),
    st.builds(Alive, NAMES, HOSTS, PORTS, SMALL, META),
    st.builds(Suspect, NAMES, SMALL, NAMES),
    st.builds(Dead, NAMES, SMALL, NAMES),
    st.builds(Left, NAMES, SMALL),
    st.builds(Vitals, NAMES, SMALL, SMALL, META.map(lambda data: data[:256])),
)
RECORDS = st.builds(MemberRecord, NAMES, HOSTS, PORTS, SMALL, st.sampled_from(MemberState), META, SMALL)
BODIES = st.one_of(
    st.builds(
        PushPull,
        st.just(1),
        st.just(1),
        NAMES,
        st.lists(RECORDS, max_size=5).map(tuple),
        st.lists(st.builds(Vitals, NAMES, SMALL, SMALL, st.just(b"")), max_size=3).map(tuple),
    ),
    st.builds(StreamPing, NAMES, HOSTS, PORTS),
    st.builds(StreamAck, NAMES),
    st.builds(Refusal, st.just("no")),
)
STEPS = st.one_of(
    st.builds(
        PacketReceived,
        st.tuples(HOSTS, PORTS),
        st.builds(Packet, st.just(1), st.just(1), NAMES, st.lists(MESSAGES, max_size=5).map(tuple)),
    ),
    st.builds(ExchangeReceived, SMALL, NAMES, BODIES),
    st.builds(Join, st.lists(st.builds(Peer, NAMES, st.tuples(HOSTS, PORTS)), max_size=2).map(tuple)),
    st.builds(SetMeta, META),
    st.builds(SetVitals, META.map(lambda data: data[:256])),
    st.builds(Contact, NAMES),
    st.just(Leave()),
    st.tuples(st.just("timer"), st.integers(0, 1000), st.floats(0, 50)),
    st.tuples(st.just("answer"), st.integers(0, 1000), st.one_of(st.none(), BODIES)),
)


@given(steps=st.lists(STEPS, max_size=40))
@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=150)
def test_any_sequence_of_inputs_is_borne(kit: Any, steps: list[Any]) -> None:
    me = kit.Lone(lan())
    timers = [effect.timer for effect in me.started if isinstance(effect, StartTimer)]
    questions: list[Exchange] = []
    for step in steps:
        match step:
            case ("timer", pick, later_s):
                me.now_s += later_s
                happening: Any = TimerFired(timers[pick % len(timers)])
            case ("answer", pick, body):
                if not questions:
                    continue
                token = questions[pick % len(questions)].token
                happening = ExchangeFailed(token, "lost") if body is None else ExchangeAnswered(token, body)
            case _:
                happening = step
        before = me.swim.own.incarnation
        for effect in me.swim.handle(happening, me.now_s):
            match effect:
                case Send():
                    assert len(effect.packet) + DATAGRAM_OVERHEAD_BYTES <= 1400
                    decode_packet(effect.packet)
                case Exchange() | AnswerExchange():
                    assert decode_exchange(encode_exchange(effect.body)) == effect.body
                    questions += [effect] if isinstance(effect, Exchange) else []
                case StartTimer():
                    assert effect.delay_s >= 0
                    timers.append(effect.timer)
        assert me.swim.own.incarnation >= before
        assert me.swim.own.state in (MemberState.ALIVE, MemberState.LEFT)
        table = me.swim.table
        assert table.live_count() == len(list(table.live()))
        assert set(me.swim.vitals.data) <= set(table.members)
        assert len(me.swim.news) <= len(table.members) + 5
