"""A fuzzer of the codec and the core, for as long as one likes: `scripts/sim fuzz --seconds 600`.

Three kinds of attack, mixed at random by a seed. A stranger sends junk, and datagrams of ours that were altered:
nothing may decode, nothing may change. A broken member seals packets whose inside was altered: what decodes goes into
the core. A malicious member says anything that is well formed, at any time, in any order. The core must never raise,
never send a packet above its bound, never lower its own incarnation, and its memory must stay within what the number
of names that are in use explains.
"""

from __future__ import annotations

import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from membership import CodecError, Keyring, lan
from membership.codec import (
    DATAGRAM_OVERHEAD_BYTES,
    FORMAT,
    decode_exchange,
    decode_packet,
    encode_exchange,
    encode_message,
    encode_packet,
    open_packet,
    seal_packet,
)
from membership.coordinates import PACKED_BYTES
from membership.effects import AnswerExchange, Exchange, Send, StartTimer
from membership.inputs import (
    Contact,
    ExchangeAnswered,
    ExchangeFailed,
    ExchangeReceived,
    Input,
    PacketReceived,
    SayEvent,
    SetMeta,
    SetVitals,
    Start,
    TimerFired,
)
from membership.member import MemberState
from membership.messages import (
    Ack,
    Alive,
    Dead,
    ExchangeBody,
    Left,
    MemberRecord,
    Message,
    Nack,
    Packet,
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
from membership.swim import Swim

NAMES = ["me", *(f"n{index}" for index in range(60))]
TIMERS_KEPT = 200
LATEST = 2**53 - 1


class Fuzzer:
    """One core under attack."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.seed = seed
        self.done: Counter[str] = Counter()
        self._keyring = Keyring([b"k" * 32])
        self._questions: list[Exchange] = []
        self._timers: list[Any] = []
        self._now_s = 0.0
        self._swim = Swim(
            lan(), name="me", address=("10.0.0.1", 7946), meta=b"", incarnation=1, rng=random.Random(seed)
        )
        self._handle(Start())
        self._attacks: list[tuple[str, Callable[[], None]]] = [
            ("junk from a stranger", self._stranger),
            ("altered inside", self._broken_member),
            ("altered exchange", self._broken_exchange),
            ("well-formed packet", self._malicious_packet),
            ("well-formed exchange", self._malicious_exchange),
            ("own call or timer", self._own),
        ]

    def step(self) -> None:
        """One attack. AssertionError, or whatever the core raised, with the seed in its notes."""
        word, attack = self._attacks[self.rng.randrange(len(self._attacks))]
        try:
            attack()
            self._check()
        except Exception as error:
            error.add_note(f"{word}, after {sum(self.done.values())} steps of seed {self.seed}")
            raise
        self.done[word] += 1

    # The attacks.

    def _stranger(self) -> None:
        """No key: whatever arrives must be refused before the core is asked."""
        if self.rng.random() < 0.3:
            datagram = self.rng.randbytes(self.rng.randrange(1500))
        else:
            good = seal_packet(self._keyring, encode_packet("n1", [encode_message(self._message())]))
            datagram = self._altered(good)
            if datagram == good:
                return
        try:
            open_packet(self._keyring, datagram)
        except CodecError:
            return
        raise AssertionError(f"a stranger's datagram was opened: {datagram.hex()}")

    def _broken_member(self) -> None:
        messages = [encode_message(self._message()) for _ in range(self.rng.randrange(6))]
        plain = self._altered(encode_packet(self._name(), messages))
        try:
            packet = open_packet(self._keyring, FORMAT + self._keyring.seal(plain))
        except CodecError:
            return
        self._handle(PacketReceived(self._address(), packet))

    def _broken_exchange(self) -> None:
        try:
            body = decode_exchange(self._altered(encode_exchange(self._body())))
        except CodecError:
            return
        self._handle(ExchangeReceived(self.rng.randrange(9), self._name(), body))

    def _malicious_packet(self) -> None:
        messages = tuple(self._message() for _ in range(self.rng.randrange(8)))
        self._handle(PacketReceived(self._address(), Packet(1, 1, self._name(), messages)))

    def _malicious_exchange(self) -> None:
        if self._questions and self.rng.random() < 0.5:
            token = self._questions.pop().token
            failed = self.rng.random() < 0.2
            self._handle(ExchangeFailed(token, "lost") if failed else ExchangeAnswered(token, self._body()))
        else:
            self._handle(ExchangeReceived(self.rng.randrange(9), self._name(), self._body()))

    def _own(self) -> None:
        kind = self.rng.randrange(10)
        if kind == 0:
            self._handle(SetMeta(self.rng.randbytes(self.rng.randrange(513))))
        elif kind == 1:
            self._handle(SetVitals(self.rng.randbytes(self.rng.randrange(257))))
        elif kind == 2:
            self._handle(SayEvent("e", self.rng.randbytes(self.rng.randrange(513))))
        elif kind == 3:
            self._handle(Contact(self._name()))
        elif self._timers:
            self._now_s += self.rng.expovariate(1.0)
            self._handle(TimerFired(self._timers.pop(self.rng.randrange(len(self._timers)))))

    def _handle(self, happening: Input) -> None:
        before = self._swim.table.members["me"].incarnation if "me" in self._swim.table.members else 0
        for effect in self._swim.handle(happening, self._now_s):
            match effect:
                case Send():
                    assert len(effect.packet) + DATAGRAM_OVERHEAD_BYTES <= self._swim.config.packet_bytes
                    decode_packet(effect.packet)
                case Exchange() | AnswerExchange():
                    assert decode_exchange(encode_exchange(effect.body)) == effect.body
                    if isinstance(effect, Exchange):
                        self._questions = [*self._questions[-20:], effect]
                case StartTimer():
                    assert effect.delay_s >= 0
                    # A real queue holds them all; here old ones fire before too many wait.
                    self._timers.append(effect.timer)
        assert self._swim.own.incarnation >= before
        while len(self._timers) > TIMERS_KEPT:
            self._now_s += 0.001
            self._handle(TimerFired(self._timers.pop(0)))

    def _check(self) -> None:
        swim = self._swim
        members = swim.table.members
        assert swim.own.state is MemberState.ALIVE
        assert swim.table.live_count() == sum(member.is_live for member in members.values())
        # A byte that was altered within a name may make a new one, which is a member's right to say.
        assert len(members) <= len(NAMES) + self.done["altered inside"] + self.done["altered exchange"]
        assert set(swim.vitals.data) <= set(members)
        assert len(swim.news) <= len(members)
        assert len(swim.vitals_news) <= len(members)
        assert len(swim.event_news) <= 1024
        assert len(swim._detector._relays) <= TIMERS_KEPT + 1

    # What is said.

    def _name(self) -> str:
        return NAMES[int(len(NAMES) * self.rng.random() ** 2)]

    def _number(self) -> int:
        own = self._swim.table.members["me"].incarnation
        return self.rng.choice([0, 1, 2, self.rng.randrange(9), own, own + 1, min(own + 1000, LATEST - 1000)])

    def _address(self) -> tuple[str, int]:
        return (self.rng.choice(["10.0.0.1", "10.0.0.2", "::1"]), self.rng.choice([1, 7946, 65_535]))

    def _record(self) -> MemberRecord:
        state = self.rng.choice(list(MemberState))
        return MemberRecord(self._name(), *self._address(), self._number(), state, b"m", self._number())

    def _event(self) -> UserEvent:
        return UserEvent(self._name(), self._number(), self._number(), "e", self.rng.randbytes(self.rng.randrange(513)))

    def _body(self) -> ExchangeBody:
        match self.rng.randrange(6):
            case 0:
                return StreamPing(self._name(), *self._address())
            case 1:
                return StreamAck(self._name())
            case 2:
                return Refusal("no")
            case _:
                records = tuple(self._record() for _ in range(self.rng.randrange(8)))
                events = tuple(self._event() for _ in range(self.rng.randrange(3)))
                vitals = (Vitals(self._name(), self._number(), self._number(), b"v"),)
                return PushPull(1, self.rng.choice([1, 1, 9]), self._name(), records, vitals, events)

    def _message(self) -> Message:
        name, number = self._name(), self._number()
        sequence = (self._swim._detector._sequence + self.rng.randrange(-3, 3)) % 2**32
        choices: list[Callable[[], Message]] = [
            lambda: Ping(sequence, name),
            lambda: PingRequest(sequence, name, *self._address()),
            lambda: Ack(sequence, self.rng.randbytes(self.rng.choice([0, 1, PACKED_BYTES]))),
            lambda: Nack(sequence),
            lambda: Alive(name, *self._address(), number, self.rng.randbytes(self.rng.randrange(513))),
            lambda: Suspect(name, number, self._name()),
            lambda: Dead(name, number, self._name()),
            lambda: Left(name, number),
            lambda: Vitals(name, number, number, self.rng.randbytes(self.rng.randrange(257))),
            self._event,
        ]
        return choices[self.rng.randrange(len(choices))]()

    def _altered(self, data: bytes) -> bytes:
        """With a few bytes changed, cut out, doubled, or cut off."""
        changed = bytearray(data)
        for _ in range(1 + self.rng.randrange(3)):
            place = self.rng.randrange(len(changed) + 1)
            match self.rng.randrange(4):
                case 0 if place < len(changed):
                    changed[place] = self.rng.randrange(256)
                case 1:
                    del changed[place : place + self.rng.randrange(5)]
                case 2:
                    changed[place:place] = changed[place : place + self.rng.randrange(9)]
                case _ if self.rng.random() < 0.1:
                    del changed[place:]
        return bytes(changed)


def fuzz(*, seconds: float, seed: int) -> Iterator[str]:
    """Attack for so long; a new core every 20,000 steps, so that early states are tried often."""
    started_s = time.monotonic()
    done: Counter[str] = Counter()
    cores, early_kib = 0, 0
    while time.monotonic() - started_s < seconds:
        fuzzer = Fuzzer(seed + cores)
        for step in range(20_000):
            if step % 100 == 0 and time.monotonic() - started_s >= seconds:
                break
            fuzzer.step()
        done += fuzzer.done
        cores += 1
        peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        early_kib = early_kib or peak_kib
    total = sum(done.values())
    yield f"{total:,} steps on {cores} cores in {seconds:.0f} s, seeds from {seed}: no crash, no opened junk"
    yield "; ".join(f"{word}: {count:,}" for word, count in sorted(done.items()))
    yield f"peak memory {early_kib / 1024:.0f} MiB after the first core, {peak_kib / 1024:.0f} MiB at the end"
