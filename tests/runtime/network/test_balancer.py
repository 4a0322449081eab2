"""The strategies, and what is past them: affinity, locality, weights, endpoints that fail."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.network.balancer import Balancer
from runtime.network.circuit import AVOID_S, LONGEST_AVOID_S
from runtime.network.routes import Backend, Policy, Route

BACKENDS = tuple(Backend(f"t{n}", f"n{n}", 80, "127.0.0.1", 80) for n in range(3))


def balancer(
    *, backends: tuple[Backend, ...] = BACKENDS, weights: tuple[int, ...] = (1, 1, 1), **policy: object
) -> Balancer:
    made = Balancer(random.Random(7))
    made.set_route(Route("s", Policy(**policy), backends, weights))  # type: ignore[arg-type]
    return made


def firsts(made: Balancer, count: int, *, now_s: float = 0.0, client: str = "") -> Counter[str]:
    picked: Counter[str] = Counter()
    for n in range(count):
        order = made.order(client or f"10.0.{n // 250}.{n % 250}", now_s)
        assert len({backend.task_id for backend in order}) == len(order)
        picked[order[0].task_id] += 1
    return picked


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(0, 2000))
def test_round_robin_differs_by_one_at_most(endpoints: int, first: int) -> None:
    made = Balancer(random.Random(1), first=first)
    backends = tuple(Backend(f"t{n}", "n1", 80, "127.0.0.1", 80) for n in range(endpoints))
    made.set_route(Route("s", Policy(), backends, (1,) * endpoints))
    counts = firsts(made, 100)
    assert max(counts.values()) - min(counts.get(b.task_id, 0) for b in backends) <= 1


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any))
def test_weighted_turns_are_exact_after_each_round(weights: list[int]) -> None:
    backends = tuple(Backend(f"t{n}", "n1", 80, "127.0.0.1", 80) for n in range(len(weights)))
    made = balancer(backends=backends, weights=tuple(weights), strategy="weighted-round-robin")
    counts = firsts(made, 3 * sum(weights))
    assert counts == {f"t{n}": 3 * weight for n, weight in enumerate(weights) if weight}


@pytest.mark.parametrize("strategy", ["random", "ip-hash"])
def test_the_dice_and_the_hash_heed_weights(strategy: str) -> None:
    counts = firsts(balancer(weights=(1, 3, 0), strategy=strategy), 4000)
    assert counts["t2"] == 0
    assert 850 < counts["t0"] < 1150


def test_a_hashed_client_stays_and_moves_only_if_its_endpoint_goes() -> None:
    made = balancer(strategy="ip-hash")
    clients = [f"10.1.0.{n}" for n in range(60)]
    before = {client: made.order(client, 0.0)[0] for client in clients}
    assert before == {client: made.order(client, 0.0)[0] for client in clients}
    made.set_route(Route("s", Policy(strategy="ip-hash"), BACKENDS[:2], (1, 1)))
    after = {client: made.order(client, 0.0)[0] for client in clients}
    assert all(after[client] == kept for client, kept in before.items() if kept in BACKENDS[:2])


def test_least_connections_counts_those_that_are_open() -> None:
    made = balancer(strategy="least-connections")
    with made.connected(BACKENDS[0]), made.connected(BACKENDS[1]), made.connected(BACKENDS[1]):
        assert [b.task_id for b in made.order("c", 0.0)] == ["t2", "t0", "t1"]
    assert set(firsts(made, 9).values()) == {3}


def test_a_sticky_client_comes_back_until_it_was_away_for_long() -> None:
    made = balancer(sticky_s=10.0)
    (first,) = (made.order("c", 0.0)[0],)
    made.worked(first, "c", 0.0)
    assert all(made.order("c", 9.0)[0] == first for _ in range(5))
    assert len({made.order("c", 11.0)[0] for _ in range(3)}) == 3
    made.worked(first, "c", 20.0)
    made.failed(first, 21.0)
    assert made.order("c", 21.0)[0] != first


def test_local_endpoints_first_while_they_work() -> None:
    made = balancer(prefer_local=True)
    assert {made.order("c", 0.0, local="n1")[0].task_id for _ in range(6)} == {"t1"}
    assert len(made.order("c", 0.0, local="n1")) == 3
    made.failed(BACKENDS[1], 1.0)
    assert {made.order("c", 1.0, local="n1")[0].task_id for _ in range(6)} == {"t0", "t2"}
    assert {made.order("c", 9.0, local="elsewhere")[0].task_id for _ in range(6)} == {"t0", "t1", "t2"}


def test_one_that_failed_is_the_last_choice_for_a_while() -> None:
    made = balancer()
    made.failed(BACKENDS[1], 10.0)
    assert all(made.order("c", 10.0 + n / 10)[-1] is BACKENDS[1] for n in range(6))
    assert set(firsts(made, 9, now_s=10.0 + AVOID_S)) == {"t0", "t1", "t2"}
    made.failed(BACKENDS[0], 20.0)
    made.worked(BACKENDS[0], "c", 20.0)
    assert set(firsts(made, 9, now_s=20.0)) == {"t0", "t1", "t2"}


def test_the_circuit_opens_for_longer_each_time_it_fails_again() -> None:
    circuit = balancer(unhealthy_threshold=2).circuit
    now_s, pauses = 0.0, []
    for _ in range(8):
        circuit.failed("t1", now_s)
        began_s = now_s
        while circuit.is_open("t1", now_s):
            now_s += 1.0
        pauses.append(now_s - began_s)
    assert pauses == [AVOID_S, AVOID_S, 10.0, 20.0, 40.0, LONGEST_AVOID_S, LONGEST_AVOID_S, LONGEST_AVOID_S]
    assert circuit.broken(now_s - 1.0) == ["t1"]
    circuit.worked("t1")
    assert not circuit.broken(now_s - 1.0)


def test_without_endpoints_there_is_nobody_to_try() -> None:
    assert Balancer(random.Random(1)).order("c", 0.0) == []
    assert balancer(weights=(0, 0, 0)).order("c", 0.0) == []
