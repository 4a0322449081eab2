"""The end of a rollback, as the leader sees it (issue 5, Rollouts)."""

from __future__ import annotations

from consensus import commands as c
from consensus.model.deployment import Change, Move
from consensus.model.strategy import RollingUpdate
from consensus.model.task import TaskState, TaskStatus
from hivemind.orchestrator import rollout
from tests.consensus.making import Feed, spec
from tests.hivemind.orchestrator.test_reconcilers import cluster, place_all, serve_all


def _turned_back() -> Feed:
    """An app of two replicas whose update has just failed."""
    feed = cluster(2)
    feed.accepted(c.DeployApp(spec("web", 2)))
    serve_all(feed)
    feed.accepted(c.CreateDeployment("web", Change(image="bad"), RollingUpdate(), execute=True))
    (deployment,) = feed.state.deployments.values()
    feed.accepted(c.AdvanceDeployment(deployment.id, deployment.version, Move.FAIL, "2 of 2 fail"))
    place_all(feed)
    return feed


def test_it_is_over_when_the_old_replicas_serve() -> None:
    feed = _turned_back()
    (command,) = rollout.plan(feed.state, 1000.0)
    assert isinstance(command, c.AdvanceDeployment)
    assert (command.move, command.message) == (Move.ROLLED_BACK, "2 of 2 fail")


def test_old_replicas_that_fail_too_are_not_awaited() -> None:
    """Until the progress deadline (10 minutes) the app took no update that would have mended it."""
    feed = _turned_back()
    feed.report(TaskStatus(state=TaskState.FAILED, message="exited with code 1"), feed.tasks()[0].id)
    (command,) = rollout.plan(feed.state, 1000.0)
    assert isinstance(command, c.AdvanceDeployment)
    assert command.move is Move.ROLLED_BACK
    assert command.message == "2 of 2 fail; 1 of 2 old replicas fail, too"
