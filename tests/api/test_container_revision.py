"""Which revision a container is made of: while two sets stand beside each other, they are told apart by it."""

from __future__ import annotations

from typing import Any

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


async def test_the_list_shows_it_as_soon_as_the_history_has_it(admin: Any, world: Any) -> None:
    """Nothing else changes about the replica then."""
    await world.deploy("web", replicas=1)
    await world.propose(c.CreateDeployment("web", Change(image="new"), BlueGreen(keep_old="1m"), execute=True))
    (made,) = world.machine.state.deployments.values()
    await world.propose(c.CreateTasks("web", [1], made.new_revisions[0]))

    async def shown() -> list[int | None]:
        found = [item["revision"] for item in (await admin.get("/containers"))["containers"]]
        return sorted(found, key=lambda number: number or 0)

    assert await shown() == [None, 1]
    await world.propose(c.AdvanceDeployment(made.id, made.version, Move.PROMOTE))
    assert await shown() == [1, 2]
