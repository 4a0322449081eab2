"""Round robin past what failed lately."""

from __future__ import annotations

from collections import Counter

from runtime.network.balancer import AVOID_S, Balancer
from runtime.network.routes import Backend

BACKENDS = [Backend(f"t{n}", "n1", 80, "127.0.0.1", 80) for n in range(3)]


def test_each_gets_its_turn() -> None:
    balancer = Balancer()
    balancer.set_backends(BACKENDS)
    first = Counter(balancer.order(0.0)[0].task_id for _ in range(30))
    assert set(first.values()) == {10}
    assert len(balancer.order(0.0)) == 3


def test_one_that_failed_is_the_last_choice_for_a_while() -> None:
    balancer = Balancer()
    balancer.set_backends(BACKENDS)
    balancer.failed(BACKENDS[1], 10.0)
    assert all(balancer.order(10.0 + n / 10)[-1] is BACKENDS[1] for n in range(6))
    assert {balancer.order(10.0 + AVOID_S)[0].task_id for _ in range(3)} == {"t0", "t1", "t2"}
    balancer.failed(BACKENDS[0], 20.0)
    balancer.worked(BACKENDS[0])
    assert {balancer.order(20.0)[0].task_id for _ in range(3)} == {"t0", "t1", "t2"}


def test_without_replicas_there_is_nobody_to_try() -> None:
    assert Balancer().order(0.0) == []
