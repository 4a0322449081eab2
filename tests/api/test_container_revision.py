"""Which revision a container is made of: while two sets stand beside each other, they are told apart by it."""

from __future__ import annotations

from api.views.container import container_item
from consensus import commands as c
from consensus.model.deployment import Change, Deployment, Move
from consensus.model.job import JobSpec
from consensus.model.strategy import BlueGreen
from tests.consensus.making import Feed, spec


def revisions(feed: Feed) -> list[int | None]:
    return [container_item(feed.state, task).revision for task in feed.tasks()]


def deployment(feed: Feed) -> Deployment:
    (found,) = feed.state.deployments.values()
    return found


def test_it_is_the_number_of_the_apps_history_once_it_is_in_there() -> None:
    feed = Feed()
    feed.add_nodes(1)
    feed.accepted(c.DeployApp(spec("web", 1)))
    assert revisions(feed) == [1]
    feed.accepted(c.CreateDeployment("web", Change(image="new"), BlueGreen(keep_old="1m"), execute=True))
    feed.accepted(c.CreateTasks("web", [1], deployment(feed).new_revisions[0]))
    assert revisions(feed) == [1, None]
    feed.accepted(c.AdvanceDeployment(deployment(feed).id, deployment(feed).version, Move.PROMOTE))
    assert revisions(feed) == [1, 2]
    feed.accepted(c.CreateJob(JobSpec(name="report", image="busybox")))
    (attempt,) = feed.tasks("report")
    assert container_item(feed.state, attempt).revision is None
