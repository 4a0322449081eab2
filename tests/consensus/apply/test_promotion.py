"""Promotions by hand: out of a pause, past a wait, and of a winner."""

from __future__ import annotations

import pytest

from consensus import commands as c
from consensus.model.deployment import DeploymentStatus, Move, shares
from consensus.model.hook import Hook, Hooks
from consensus.model.strategy import ABTesting, Canary, RollingUpdate, Variant
from consensus.outcomes import Refusal
from tests.consensus.apply.test_deployment import begin, feed_with, move, of

VARIANTS = [Variant(image="a", percentage=30), Variant(image="b", percentage=30)]


@pytest.mark.parametrize("variant", ["a", "b"])
def test_a_winner_may_be_named_before_the_test_began(variant: str) -> None:
    """Paused by its pre hook, it went to its first step with one variant of two, and no node could apply that."""
    feed = feed_with()
    hooks = Hooks(pre=Hook(command="check"))
    deployment_id = begin(feed, ABTesting(variants=VARIANTS, hooks=hooks, on_failure="pause"))
    move(feed, deployment_id, Move.FAIL)
    feed.accepted(c.PromoteDeployment(deployment_id, variant))
    deployment = of(feed, deployment_id)
    assert (deployment.step, deployment.image) == (2, variant)
    assert [share.replicas for share in shares(feed.state.apps["web"], deployment)] == [4]
    move(feed, deployment_id, Move.PROMOTE)
    assert feed.state.apps["web"].spec.image == variant


def test_nothing_is_left_to_promote_once_the_new_spec_is_the_apps_own() -> None:
    feed = feed_with()
    deployment_id = begin(feed, Canary())
    feed.accepted(c.PromoteDeployment(deployment_id))
    move(feed, deployment_id, Move.STEP, Move.PROMOTE)
    outcome = feed(c.PromoteDeployment(deployment_id))
    assert isinstance(outcome, Refusal)
    assert "is at its last step" in outcome.message


def test_what_failed_after_that_may_be_accepted() -> None:
    feed = feed_with()
    deployment_id = begin(feed, RollingUpdate(on_failure="pause"))
    move(feed, deployment_id, Move.PROMOTE, Move.FAIL)
    feed.accepted(c.PromoteDeployment(deployment_id))
    assert of(feed, deployment_id).status is DeploymentStatus.IN_PROGRESS
