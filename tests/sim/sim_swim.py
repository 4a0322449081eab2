"""A simulator of many pure SWIM cores on one heap of events, under virtual time.

Deterministic by seed: loss, delay, duplication and every choice of a member come from one generator. Cores talk
through their effects only, and through the codec, without the seal.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from membership import SwimConfig
from membership.codec import decode_packet
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
from membership.member import Address, MemberState
from membership.messages import Refusal
from membership.swim import Swim


class Sighting(msgspec.Struct, frozen=True):
    """At a time, one member came to believe something of another."""

    at_s: float
    observer: str
    subject: str
    state: MemberState


class Host:
    """A machine that runs one core, and can be paused or killed."""

    def __init__(self, swim: Swim, address: Address) -> None:
        self.swim = swim
        self.address = address
        self.is_down = False
        self.paused_until_s = 0.0
        self.left = False


class Simulation:
    """The world: hosts, the network between them, and the heap."""

    def __init__(self, config: SwimConfig, *, seed: int, quality: LinkQuality | None = None) -> None:
        self.config = config
        self.seed = seed
        self.rng = random.Random(seed)
        self.faults = Faults(quality or LinkQuality(), self.rng)
        self.udp_faults = Faults(quality or LinkQuality(), self.rng)
        """Cuts here stop datagrams only; those in `faults` stop streams too."""
        self.now_s = 0.0
        self.hosts: dict[str, Host] = {}
        self.sightings: list[Sighting] = []
        self.joins: list[JoinOutcome] = []
        self.sent: Counter[str] = Counter()
        self._by_address: dict[Address, Host] = {}
        self._reserved: Counter[str] = Counter()
        self._exchanges: dict[int, tuple[str, Exchange]] = {}
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._events = 0

    def start(self, name: str, *, address: Address | None = None) -> Host:
        """Start, or restart, a host."""
        address = address or (f"10.1.{len(self.hosts) // 250}.{len(self.hosts) % 250 + 1}", 7946)
        swim = Swim(
            self.config,
            name=name,
            address=address,
            meta=b"",
            incarnation=self._reserved[name] + 1,
            rng=self.rng,
        )
        host = self.hosts[name] = Host(swim, address)
        self._by_address[address] = host
        self.input(name, Start())
        return host

    def start_cluster(self, count: int, *, settle_s: float = 15.0) -> None:
        """Start hosts n0, n1, … that join through n0, and run until they all know each other."""
        for index in range(count):
            self.start(f"n{index}")
        for index in range(1, count):
            self.at(self.now_s + index * 0.01, lambda index=index: self.join(f"n{index}", "n0"))  # type: ignore[misc]
        self.run(settle_s)

    def join(self, name: str, seed_name: str) -> None:
        """Let a host join through another."""
        self.input(name, Join((Peer(seed_name, self.hosts[seed_name].address),)))

    def kill(self, name: str) -> None:
        """kill -9."""
        self.hosts[name].is_down = True

    def pause(self, name: str, duration_s: float) -> None:
        """SIGSTOP, and SIGCONT after a time: what happens in between is handled then."""
        self.hosts[name].paused_until_s = self.now_s + duration_s

    def at(self, due_s: float, act: Callable[[], None]) -> None:
        """Do something at a time."""
        self._events += 1
        heapq.heappush(self._heap, (due_s, self._events, act))

    def run(self, duration_s: float) -> None:
        """Let virtual time pass."""
        end_s = self.now_s + duration_s
        while self._heap and self._heap[0][0] <= end_s:
            self.now_s, _, act = heapq.heappop(self._heap)
            act()
        self.now_s = end_s

    def run_until(self, met: Callable[[], bool], *, within_s: float) -> float:
        """Run until a condition holds; how long it took. AssertionError, with the seed, if it never does."""
        started_s = self.now_s
        while not met():
            assert self.now_s - started_s < within_s, f"not within {within_s} s; seed {self.seed}"
            self.run(0.05)
        return self.now_s - started_s

    def input(self, name: str, happening: Input) -> None:
        """Give an input to a host, now or when its pause ends; the dead get nothing."""
        host = self.hosts[name]
        if host.is_down:
            return
        if host.paused_until_s > self.now_s:
            self.at(host.paused_until_s, lambda: self._deliver(host, happening))
            return
        for effect in host.swim.handle(happening, self.now_s):
            self._perform(name, host, effect)

    def _deliver(self, host: Host, happening: Input) -> None:
        name = host.swim.name
        if self.hosts.get(name) is host:
            self.input(name, happening)

    def _perform(self, name: str, host: Host, effect: Effect) -> None:
        match effect:
            case Send():
                self._send(host, effect)
            case StartTimer(timer=timer, delay_s=delay_s):
                self.at(self.now_s + delay_s, lambda: self._deliver(host, TimerFired(timer)))
            case Exchange():
                self._ask(host, effect)
            case AnswerExchange():
                self._answer(host, effect)
            case JoinOutcome():
                self.joins.append(effect)
            case LeaveSpread():
                host.left = True
            case ReserveIncarnations():
                self._reserved[name] = effect.upto
            case MemberChanged(member=member, previous=previous) if member.state is not previous:
                self.sightings.append(Sighting(self.now_s, name, member.name, member.state))

    def _send(self, host: Host, effect: Send) -> None:
        self.sent["packets"] += 1
        self.sent["bytes"] += len(effect.packet)
        there = self._by_address.get(effect.target)
        if there is None or self.udp_faults.is_cut(host.address, effect.target):
            return
        received = PacketReceived(host.address, decode_packet(effect.packet))
        for delay_s in self.faults.fate(host.address, effect.target):
            self.at(self.now_s + delay_s, lambda: self._deliver(there, received))

    def _ask(self, host: Host, effect: Exchange) -> None:
        """A stream: it waits rather than loses, so only cuts, the dead and its timeout end it."""
        number = self._events
        self._exchanges[number] = (host.swim.name, effect)
        self.at(self.now_s + effect.timeout_s, lambda: self._fail(number, "timeout"))
        there = self.hosts.get(effect.name)
        if there is None or self._is_stream_cut(host, there):
            return
        request = ExchangeReceived(number, host.swim.name, effect.body)
        self.at(self.now_s + 2 * self.faults.delay_s(), lambda: self._deliver(there, request))

    def _answer(self, host: Host, effect: AnswerExchange) -> None:
        name, question = self._exchanges.get(effect.number, (None, None))
        if name is None or question is None or self._is_stream_cut(host, self.hosts[name]):
            return
        if isinstance(effect.body, Refusal):
            self._fail(effect.number, effect.body.reason)
            return
        del self._exchanges[effect.number]
        asker = self.hosts[name]
        answered = ExchangeAnswered(question.token, effect.body)
        self.at(self.now_s + self.faults.delay_s(), lambda: self._deliver(asker, answered))

    def _fail(self, number: int, reason: str) -> None:
        name, question = self._exchanges.pop(number, (None, None))
        if name is not None and question is not None:
            self.input(name, ExchangeFailed(question.token, reason))

    def _is_stream_cut(self, one: Host, other: Host) -> bool:
        here, there = one.address, other.address
        return self.faults.is_cut(here, there) or self.faults.is_cut(there, here)

    # What tests ask of the world.

    def up(self) -> list[Host]:
        """Hosts that run."""
        return [host for host in self.hosts.values() if not host.is_down]

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

    def total(self, counter: str) -> Any:
        """The sum of a counter over all hosts."""
        return sum(getattr(host.swim.counters, counter) for host in self.hosts.values())
