"""A simulator of up to a thousand pure SWIM cores on one heap of events, under virtual time.

Deterministic by seed: loss, delay, duplication, clock rates and every choice of a member come from one generator.
Cores talk through their effects only, and through the codec, without the seal.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from membership import SwimConfig
from membership.codec import DATAGRAM_OVERHEAD_BYTES, _Envelope, decode_packet, encode_packet
from membership.effects import (
    AnswerExchange,
    Effect,
    Exchange,
    JoinOutcome,
    LeaveSpread,
    MemberChanged,
    ReserveIncarnations,
    Send,
    StartTimer,
    UserEventHeard,
)
from membership.faults import Faults, LinkQuality
from membership.inputs import (
    ExchangeAnswered,
    ExchangeFailed,
    ExchangeReceived,
    Input,
    Join,
    PacketReceived,
    Peer,
    Start,
    TimerFired,
)
from membership.member import Address, Member, MemberState
from membership.messages import Alive, Dead, Left, Message, Packet, Refusal, Suspect
from membership.swim import Swim
from tests.sim.swim.record import EventSighting, Recorder, Sighting

RECEIVE_BUFFER_PACKETS = 1300
"""A paused process loses what its receive buffer (1 MiB, at some 800 bytes of bookkeeping a packet) does not hold."""

_envelopes = msgspec.msgpack.Decoder(_Envelope)

Trace = Callable[[float, str, object], None]


class Host:
    """A machine that runs one core, and can be paused or killed. Its clock may go wrong by `clock_rate`."""

    def __init__(self, swim: Swim, address: Address, clock_rate: float) -> None:
        self.swim = swim
        self.address = address
        self.clock_rate = clock_rate
        self.is_down = False
        self.left = False
        self.paused_until_s = 0.0
        self.arrived: list[Input] = []
        self.overdue: list[Input] = []
        self.held: list[Effect] = []


class Simulation:
    """The world: hosts, the network between them, and the heap.

    `timers_run_on`: what a pause is. A stopped process does nothing; when it goes on, our driver takes in what has
    arrived before it fires overdue timers. The Lifeguard paper (§V-D) instead let memberlist block before each send
    and after each receive, while its timers ran on. True imitates that.
    """

    def __init__(
        self,
        config: SwimConfig,
        *,
        seed: int,
        quality: LinkQuality | None = None,
        clock_drift: float = 0.0,
        timers_run_on: bool = False,
        trace: Trace | None = None,
    ) -> None:
        self.config = config
        self.seed = seed
        self.rng = random.Random(seed)
        self.faults = Faults(quality or LinkQuality(), self.rng)
        self.udp_faults = Faults(quality or LinkQuality(), self.rng)
        """Cuts here stop datagrams only; those in `faults` stop streams too."""
        self.clock_drift = clock_drift
        self.timers_run_on = timers_run_on
        self.now_s = 0.0
        self.hosts: dict[str, Host] = {}
        self.recorder = Recorder()
        self.joins: list[JoinOutcome] = []
        self.sent: Counter[str] = Counter()
        self.reserved: Counter[str] = Counter()
        self._trace = trace
        self._by_address: dict[Address, Host] = {}
        self._decoded: dict[bytes, Message] = {}
        self._exchanges: dict[int, tuple[str, Exchange]] = {}
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._events = 0

    # Hosts.

    def start(self, name: str, *, address: Address | None = None, config: SwimConfig | None = None) -> Host:
        """Start, or restart, a host."""
        if address is None:
            known = self.hosts.get(name)
            number = len(self.hosts)
            address = known.address if known else (f"10.1.{number // 250}.{number % 250 + 1}", 7946)
        swim = Swim(
            config or self.config,
            name=name,
            address=address,
            meta=b"",
            incarnation=self.reserved[name] + 1,
            rng=self.rng,
        )
        clock_rate = 1 + self.clock_drift * (2 * self.rng.random() - 1)
        host = self.hosts[name] = Host(swim, address, clock_rate)
        self._by_address[address] = host
        self.input(name, Start())
        return host

    def start_cluster(self, count: int, *, settle_s: float = 15.0) -> None:
        """Start hosts n0, n1, … that join through n0, and run until they all know each other."""
        for index in range(count):
            self.start(f"n{index}")
        for index in range(1, count):
            self.at(self.now_s + index * 0.01, self.join, f"n{index}", "n0")
        self.run(settle_s)

    def start_acquainted(self, count: int) -> None:
        """Start hosts n0, n1, … that know each other already: joining costs O(n²), which is of no interest to most."""
        for index in range(count):
            self.start(f"n{index}")
        everybody = [host.swim.own for host in self.hosts.values()]
        for host in self.hosts.values():
            acquaint(host.swim, everybody)

    def join(self, name: str, seed_name: str) -> None:
        """Let a host join through another."""
        self.input(name, Join((Peer(seed_name, self.hosts[seed_name].address),)))

    def kill(self, name: str) -> None:
        """kill -9."""
        self.hosts[name].is_down = True

    def pause(self, name: str, duration_s: float) -> None:
        """SIGSTOP, and SIGCONT after a time: what happens in between is handled then."""
        host = self.hosts[name]
        host.paused_until_s = self.now_s + duration_s
        self.at(host.paused_until_s, self._resume, host)

    def up(self) -> list[Host]:
        """Hosts that run."""
        return [host for host in self.hosts.values() if not host.is_down]

    # Time.

    def at(self, due_s: float, act: Callable[..., None], *args: Any) -> None:
        """Do something at a time."""
        self._events += 1
        heapq.heappush(self._heap, (due_s, self._events, act, args))

    def run(self, duration_s: float) -> None:
        """Let virtual time pass."""
        heap, end_s = self._heap, self.now_s + duration_s
        while heap and heap[0][0] <= end_s:
            self.now_s, _, act, args = heapq.heappop(heap)
            act(*args)
        self.now_s = end_s

    def run_until(self, met: Callable[[], bool], *, within_s: float, step_s: float = 0.05) -> float:
        """Run until a condition holds; how long it took. AssertionError, with the seed, if it never does."""
        started_s = self.now_s
        while not met():
            assert self.now_s - started_s < within_s, f"not within {within_s} s; seed {self.seed}"
            self.run(step_s)
        return self.now_s - started_s

    # What happens to hosts.

    def input(self, name: str, happening: Input) -> None:
        """Give an input to a host, now or when its pause ends; the dead get nothing."""
        self._deliver(self.hosts[name], happening)

    def _deliver(self, host: Host, happening: Input) -> None:
        if host.is_down or self.hosts.get(host.swim.name) is not host:
            return
        if host.paused_until_s > self.now_s:
            if not isinstance(happening, TimerFired):
                if len(host.arrived) < RECEIVE_BUFFER_PACKETS:
                    host.arrived.append(happening)
                return
            if not self.timers_run_on:
                host.overdue.append(happening)
                return
        if self._trace is not None:
            self._trace(self.now_s, host.swim.name, happening)
        for effect in host.swim.handle(happening, self.now_s * host.clock_rate):
            self._perform(host, effect)

    def _resume(self, host: Host) -> None:
        if host.paused_until_s > self.now_s:
            return
        waiting, held = host.arrived + host.overdue, host.held
        host.arrived, host.overdue, host.held = [], [], []
        for effect in held:
            self._perform(host, effect)
        for happening in waiting:
            self._deliver(host, happening)

    def _perform(self, host: Host, effect: Effect) -> None:
        if self._trace is not None:
            self._trace(self.now_s, host.swim.name, effect)
        match effect:
            case Send() | Exchange() if host.paused_until_s > self.now_s:
                host.held.append(effect)
            case Send():
                self._send(host, effect)
            case StartTimer(timer=timer, delay_s=delay_s):
                self.at(self.now_s + delay_s / host.clock_rate, self._deliver, host, TimerFired(timer))
            case Exchange():
                self._ask(host, effect)
            case AnswerExchange():
                self._answer(host, effect)
            case MemberChanged(member=member, previous=previous):
                if member.state is not previous:
                    self.recorder.saw(Sighting(self.now_s, host.swim.name, member.name, member.state))
            case JoinOutcome():
                self.joins.append(effect)
            case LeaveSpread():
                host.left = True
            case ReserveIncarnations():
                self.reserved[host.swim.name] = effect.upto
            case UserEventHeard():
                self.recorder.events.append(EventSighting(self.now_s, host.swim.name, effect.event))

    # The network.

    def _send(self, host: Host, effect: Send) -> None:
        self.sent["packets"] += 1
        self.sent["bytes"] += len(effect.packet) + DATAGRAM_OVERHEAD_BYTES
        there = self._by_address.get(effect.target)
        if there is None or there.is_down or self.udp_faults.is_cut(host.address, effect.target):
            return
        received = PacketReceived(host.address, self._decode(effect.packet))
        for delay_s in self.faults.fate(host.address, effect.target):
            self.at(self.now_s + delay_s, self._deliver, there, received)

    def _decode(self, packet: bytes) -> Packet:
        """What `decode_packet` gives; but news are repeated so often that each is decoded once only."""
        envelope = _envelopes.decode(packet)
        known = self._decoded
        messages = []
        for raw in envelope.messages:
            message = known.get(encoded := bytes(raw))
            if message is None:
                [message] = decode_packet(encode_packet(envelope.sender, [encoded])).messages
                if isinstance(message, Alive | Suspect | Dead | Left):
                    known[encoded] = message
            messages.append(message)
        return Packet(envelope.lowest_version, envelope.highest_version, envelope.sender, tuple(messages))

    def _ask(self, host: Host, effect: Exchange) -> None:
        """A stream: it waits rather than loses, so only cuts, the dead and its timeout end it."""
        number = self._events
        self._exchanges[number] = (host.swim.name, effect)
        self.at(self.now_s + effect.timeout_s, self._fail, number, "timeout")
        there = self.hosts.get(effect.name)
        if there is None or self._is_stream_cut(host, there):
            return
        request = ExchangeReceived(number, host.swim.name, effect.body)
        self.at(self.now_s + 2 * self.faults.delay_s(), self._deliver, there, request)

    def _answer(self, host: Host, effect: AnswerExchange) -> None:
        name, question = self._exchanges.get(effect.number, (None, None))
        if name is None or question is None or self._is_stream_cut(host, self.hosts[name]):
            return
        if isinstance(effect.body, Refusal):
            self._fail(effect.number, effect.body.reason)
            return
        del self._exchanges[effect.number]
        answered = ExchangeAnswered(question.token, effect.body)
        self.at(self.now_s + self.faults.delay_s(), self._deliver, self.hosts[name], answered)

    def _fail(self, number: int, reason: str) -> None:
        name, question = self._exchanges.pop(number, (None, None))
        if name is not None and question is not None:
            self.input(name, ExchangeFailed(question.token, reason))

    def _is_stream_cut(self, one: Host, other: Host) -> bool:
        here, there = one.address, other.address
        return self.faults.is_cut(here, there) or self.faults.is_cut(there, here)

    # What tests ask of the world.

    @property
    def sightings(self) -> list[Sighting]:
        """All changes of state that anybody saw."""
        return self.recorder.sightings

    def all_believe(self, subject: str, state: MemberState) -> bool:
        """Whether every other running host holds `subject` in this state."""
        return all(
            (member := host.swim.table.get(subject)) is not None and member.state is state
            for host in self.up()
            if host.swim.name != subject
        )

    def all_see_all_alive(self) -> bool:
        """Whether every running host holds all running hosts, and no other, alive."""
        names = {host.swim.name for host in self.up()}
        return all(
            {m.name for m in host.swim.table.members.values() if m.state is MemberState.ALIVE} == names
            for host in self.up()
        )

    def seen(self, state: MemberState, subject: str | None = None) -> list[Sighting]:
        """When who came to believe this."""
        return [s for s in self.sightings if s.state is state and subject in (None, s.subject)]

    def total(self, counter: str) -> int:
        """The sum of a counter over all hosts."""
        return sum(int(getattr(host.swim.counters, counter)) for host in self.hosts.values())


def acquaint(swim: Swim, everybody: Iterable[Member]) -> None:
    """Make a member know others as if it had long done so: past its door, which would make news of each."""
    for member in everybody:
        if member.name != swim.name:
            swim.table.put(member)
            swim._detector.order.add(member.name)
            swim._gossip.order.add(member.name)
    swim.news.drop(swim.name)
