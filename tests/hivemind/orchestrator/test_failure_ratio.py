"""What a rollout makes of replicas that may fail, by `max_failure_ratio` (issue 5, Rollouts)."""

from __future__ import annotations

import pytest

from consensus import commands as c
from consensus.model.deployment import Change, DeploymentStatus
from consensus.model.strategy import RollingUpdate, Simple, Strategy
from consensus.model.task import TaskState, TaskStatus
from hivemind.orchestrator import replicas, rolling, rollout
from tests.consensus.making import Feed, running, spec
from tests.hivemind.orchestrator.test_reconcilers import cluster, place_all, serve_all

PAUSE_S = 60.0
"""More than all that is waited for, less than any deadline."""
ENDED = TaskStatus(state=TaskState.FAILED, message="exited with code 1")


def _roll_out(feed: Feed, failing: set[int]) -> None:
    """The leader and the agents do what is to be done, long before the progress deadline; these slots' new replicas
    fail."""
    for _ in range(30):
        commands = [
            *rollout.plan(feed.state, 1000.0 + feed.machine.index + PAUSE_S),
            *replicas.plan(feed.state, ["web"]),
        ]
        for command in [*commands, *rolling.plan(feed.state, ["web"])]:
            feed(command)
        place_all(feed)
        for task in feed.tasks():
            if not task.wanted:
                feed(c.ReportTasks(task.node_id or "", [], [task.id]))
            elif task.status.state < TaskState.RUNNING and task.node_id is not None:
                new = feed.state.spec_of(task).image == "new"
                feed.report(ENDED if new and task.slot in failing else running(), task.id)


@pytest.mark.parametrize(
    ("strategy", "ratio", "status"),
    [
        (Simple, None, DeploymentStatus.ROLLED_BACK),
        (Simple, 0.25, DeploymentStatus.ROLLED_BACK),
        (Simple, 0.5, DeploymentStatus.COMPLETED),
        (RollingUpdate, 0.25, DeploymentStatus.ROLLED_BACK),
        (RollingUpdate, 0.5, DeploymentStatus.COMPLETED),
    ],
)
def test_those_within_the_ratio_are_not_awaited(
    strategy: type[Strategy], ratio: float | None, status: DeploymentStatus
) -> None:
    """They kept it from going on until the progress deadline, and then it had failed."""
    feed = cluster(2)
    feed.accepted(c.DeployApp(spec("web", 4)))
    serve_all(feed)
    made = strategy(max_failure_ratio=ratio)
    feed.accepted(c.CreateDeployment("web", Change(image="new"), made, execute=True))
    _roll_out(feed, {1, 2})
    (deployment,) = feed.state.deployments.values()
    assert deployment.status is status, deployment
    assert feed.state.apps["web"].spec.image == ("new" if status is DeploymentStatus.COMPLETED else "busybox")
