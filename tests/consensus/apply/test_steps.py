"""The steps of a deployment: how many replicas each has, and what becomes of them where the app is scaled meanwhile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus import commands as c
from consensus.model.deployment import Move, shares
from consensus.model.strategy import ABTesting, BlueGreen, Canary, RollingUpdate, Simple, Strategy, Variant
from consensus.outcomes import Refusal
from tests.consensus.apply.test_deployment import begin, feed_with, move, of
from tests.consensus.making import Feed


def _variants(*percentages: int) -> ABTesting:
    return ABTesting(variants=[Variant(image=f"v{i}", percentage=percent) for i, percent in enumerate(percentages)])


def _shares(feed: Feed, deployment_id: str) -> list[int]:
    return [share.replicas for share in shares(feed.state.apps["web"], of(feed, deployment_id))]


@pytest.mark.parametrize(
    ("replicas", "strategy", "step", "expected"),
    [
        (10, RollingUpdate(max_surge=3), 2, [6, 4]),
        (10, RollingUpdate(max_surge=3), 4, [10]),
        (10, RollingUpdate(max_surge="25%", max_unavailable="20%"), 1, [5, 5]),
        (10, Canary(percentage=15), 1, [2, 8]),
        (10, Canary(percentage=10, steps=4), 2, [4, 6]),
        (3, Canary(steps=[50, 90]), 2, [2, 1]),
        (1, Canary(percentage=10), 1, [1, 1]),
        (1, Canary(percentage=10), 2, [1]),
        (10, Simple(), 1, []),
        (10, Simple(), 2, [10]),
        (10, BlueGreen(), 1, [10]),
        (10, _variants(33, 33), 1, [4, 3, 3]),
        (10, _variants(1, 99), 1, [1, 9]),
        (10, _variants(3, 3), 1, [1, 1, 8]),
        (3, _variants(50, 49), 1, [1, 1, 1]),
    ],
)
def test_the_shares_of_each_step(replicas: int, strategy: Strategy, step: int, expected: list[int]) -> None:
    """A canary of a single replica took its place, and all requests; a variant of few percents had no replica."""
    feed = feed_with(replicas)
    deployment_id = begin(feed, strategy)
    move(feed, deployment_id, *[Move.STEP] * (step - 1))
    assert _shares(feed, deployment_id) == expected


@given(st.lists(st.integers(1, 100), min_size=1, max_size=8), st.integers(0, 40))
def test_every_variant_has_a_replica_and_some_stay_where_that_can_be(percentages: list[int], more: int) -> None:
    strategy = _variants(*(max(1, percent // len(percentages)) for percent in percentages))
    feed = feed_with(strategy.least_replicas + more)
    counts = _shares(feed, begin(feed, strategy))
    assert sum(counts) == strategy.least_replicas + more
    assert len(counts) == strategy.least_replicas


def test_a_test_with_fewer_replicas_than_variants_is_refused() -> None:
    """One of them was never tested, and won."""
    feed = feed_with(2)
    outcome = feed(c.CreateDeployment("web", c.deployment.Change(), _variants(30, 30), execute=True))
    assert isinstance(outcome, Refusal)
    assert outcome.message == (
        "app 'web' has 2 replicas: expected at least 3, for an A/B test of 2 variants beside the present image"
    )
    assert not feed.state.deployments


@pytest.mark.parametrize("replicas", [0, 2, 50])
def test_the_steps_stay_as_many_when_the_app_is_scaled(replicas: int) -> None:
    """Scaled from ten to two at its eighth step, it told of step 8 of 2."""
    feed = feed_with(10)
    deployment_id = begin(feed, RollingUpdate(max_surge=1))
    move(feed, deployment_id, *[Move.STEP] * 7)
    feed.accepted(c.ScaleApp("web", replicas))
    assert (of(feed, deployment_id).step, of(feed, deployment_id).total_steps) == (8, 10)
    assert sum(_shares(feed, deployment_id)) == replicas
    move(feed, deployment_id, Move.STEP, Move.STEP)
    assert _shares(feed, deployment_id) == [replicas] * bool(replicas)
    move(feed, deployment_id, Move.PROMOTE)
    assert (of(feed, deployment_id).step, of(feed, deployment_id).total_steps) == (10, 10)


def test_a_scale_holds_for_the_end_and_for_the_way_back() -> None:
    feed = feed_with()
    deployment_id = begin(feed, RollingUpdate())
    feed.accepted(c.ScaleApp("web", 7))
    move(feed, deployment_id, Move.PROMOTE)
    assert feed.state.apps["web"].spec.replicas == 7
    move(feed, deployment_id, Move.FAIL)
    assert feed.state.apps["web"].spec.replicas == 7
    assert of(feed, deployment_id).previous_replicas == 7


def test_a_scale_after_the_end_holds_for_the_way_back_too() -> None:
    """Scaled from four to twenty since, it went back to four."""
    feed = feed_with()
    deployment_id = begin(feed, BlueGreen(keep_old="1h"))
    move(feed, deployment_id, Move.PROMOTE, Move.COMPLETE)
    feed.accepted(c.ScaleApp("web", 20))
    standby = feed.state.apps["web"].standby
    assert standby is not None
    assert standby.replicas == 20
    feed.accepted(c.RollbackDeployment(deployment_id))
    assert feed.state.apps["web"].spec.replicas == 20
