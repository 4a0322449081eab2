"""Priority classes are there as long as somebody has them (issue 5, Scheduler)."""

from __future__ import annotations

import pytest

from consensus import commands as c
from consensus.model.deployment import Change
from consensus.model.priority import PriorityClass
from consensus.model.strategy import BlueGreen, RollingUpdate, Strategy
from consensus.outcomes import Refusal
from hivemind.orchestrator import rollout
from tests.consensus.making import Feed, spec

VIP = PriorityClass(name="vip", value=500)


@pytest.mark.parametrize("strategy", [RollingUpdate(), BlueGreen()])
def test_one_that_an_app_is_being_changed_to_or_back_to_stays(strategy: Strategy) -> None:
    """It was deleted, and the app got a class that there was none of."""
    feed = Feed()
    feed.accepted(c.CreatePriorityClass(VIP), c.DeployApp(spec("web")))
    vip = Change(spec=spec("web", priority_class="vip"))
    feed.accepted(c.CreateDeployment("web", vip, strategy, execute=True))
    refused = feed(c.DeletePriorityClass("vip"))
    assert isinstance(refused, Refusal)
    assert refused.message == "priority class 'vip' is used by web"
    (deployment,) = feed.state.deployments.values()
    feed.accepted(c.RollbackDeployment(deployment.id))
    assert isinstance(feed(c.DeletePriorityClass("vip")), Refusal), "its replicas still go"


def test_what_only_the_history_has_does_not_keep_it() -> None:
    feed = Feed()
    feed.accepted(c.CreatePriorityClass(VIP), c.DeployApp(spec("web", 0, priority_class="vip")))
    feed.accepted(c.CreateDeployment("web", Change(spec=spec("web", 0)), execute=True))
    while feed.state.apps["web"].rollout:
        feed.accepted(*rollout.plan(feed.state, 1000.0 + feed.machine.index + 60))
    assert len(feed.state.apps["web"].history) == 2
    feed.accepted(c.DeletePriorityClass("vip"))
