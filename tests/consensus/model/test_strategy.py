"""Strategies: what each parameter means, and what is refused (issue 5, Rollouts)."""

from __future__ import annotations

import pytest

from consensus.model.strategy import ABTesting, BlueGreen, Canary, RollingUpdate, Simple, Strategy, Variant, amount

TWO_ALIKE = [Variant(image="a", percentage=6, name="b"), Variant(image="b", percentage=6)]


@pytest.mark.parametrize(
    ("strategy", "field"),
    [
        (RollingUpdate(max_surge="x"), "max_surge"),
        (RollingUpdate(max_surge="120%"), "max_surge"),
        (RollingUpdate(max_surge=-1), "max_surge"),
        (RollingUpdate(max_unavailable="-5%"), "max_unavailable"),
        (RollingUpdate(max_surge=0, max_unavailable=0), "max_unavailable"),
        (RollingUpdate(max_surge="0%", max_unavailable="0%"), "max_unavailable"),
        (RollingUpdate(order="stop-first", max_unavailable=0), "max_unavailable"),
        (RollingUpdate(batch_delay="soon"), "batch_delay"),
        (RollingUpdate(monitor=-1), "monitor"),
        (Simple(progress_deadline=0), "progress_deadline"),
        (Simple(min_healthy="10m"), "min_healthy"),
        (BlueGreen(min_healthy="1m", verification_timeout="30s"), "min_healthy"),
        (BlueGreen(verification_timeout="?"), "verification_timeout"),
        (BlueGreen(verification_timeout="0s"), "verification_timeout"),
        (BlueGreen(verification_timeout="1m", progress_deadline="1m"), "progress_deadline"),
        (Canary(steps=[50, 20]), "steps"),
        (Canary(steps=[]), "steps"),
        (Canary(percentage=60, steps=[30, 80]), "steps"),
        (Canary(percentage=95, steps=20), "steps"),
        (Canary(promotion="failure-ratio"), "max_failure_ratio"),
        (ABTesting(variants=[Variant(image="a", percentage=60), Variant(image="b", percentage=60)]), "variants"),
        (ABTesting(variants=TWO_ALIKE), "variants"),
    ],
)
def test_a_strategy_says_which_field_is_wrong(strategy: Strategy, field: str) -> None:
    assert [name for name, _ in strategy.problems()] == [field]


def test_amounts() -> None:
    assert [amount("25%", 10, up=True), amount("25%", 10, up=False), amount(3, 10, up=True)] == [3, 2, 3]
    assert Canary(percentage=20, steps=3).percentages == [20, 60, 100]
    assert Canary().percentages == [10, 100]


@pytest.mark.parametrize(
    ("strategy", "replicas", "surge", "unavailable"),
    [
        (RollingUpdate(), 10, 3, 0),
        (RollingUpdate(), 1, 1, 0),
        (RollingUpdate(order="stop-first"), 10, 0, 2),
        (RollingUpdate(order="stop-first", max_surge=1), 10, 1, 2),
        (RollingUpdate(max_surge=0), 10, 0, 2),
        (RollingUpdate(max_surge=0, max_unavailable="10%"), 3, 0, 1),
        (RollingUpdate(max_surge="10%", max_unavailable="10%"), 3, 1, 0),
        (RollingUpdate(order="stop-first", max_unavailable="10%"), 3, 0, 1),
        (RollingUpdate(max_unavailable="10%"), 3, 1, 0),
        (RollingUpdate(max_unavailable=2), 3, 0, 2),
    ],
)
def test_percents_that_come_to_nothing_let_one_be_missing_as_in_kubernetes(
    strategy: RollingUpdate, replicas: int, surge: int, unavailable: int
) -> None:
    """With max_surge 0 there was one more all the same, and stop-first started first."""
    assert strategy.at_once(replicas) == (surge, unavailable)
