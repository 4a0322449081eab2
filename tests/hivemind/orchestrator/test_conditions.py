"""Alerts of apps, rollouts and nodes: raised once, kept while it is wrong, resolved when it is steady again."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from consensus import commands as c
from consensus.model.alert import Alert, Severity
from consensus.model.dependency import Dependency
from consensus.model.deployment import Change, Move
from consensus.model.node import NodeStatus
from consensus.model.strategy import RollingUpdate
from consensus.model.task import Health, TaskState, TaskStatus
from consensus.outcomes import Recorded
from hivemind.orchestrator import conditions, lost
from tests.consensus.making import Feed, running, spec
from tests.hivemind.orchestrator.test_reconcilers import cluster, place_all, serve_all

CRASHED = TaskStatus(state=TaskState.FAILED, restart_count=2, health=Health.FAILED, message="exited with code 1")


def _app(replicas: int = 2) -> Feed:
    feed = cluster(2)
    feed.accepted(c.DeployApp(spec("web", replicas)))
    serve_all(feed)
    return feed


def _plan(feed: Feed, wall_s: float = 2000.0, apps: Sequence[str] = ("web",)) -> list[c.RaiseAlert | c.ResolveAlert]:
    commands = conditions.plan(feed.state, apps, wall_s)
    feed.accepted(*commands)
    assert conditions.plan(feed.state, apps, wall_s) == []
    return commands


def _alerts(feed: Feed) -> list[Alert]:
    return sorted(feed.state.alerts.values(), key=lambda alert: alert.id)


def test_an_app_that_runs_well_has_no_alert() -> None:
    assert _plan(_app()) == []


def test_a_crash_loop_is_one_alert_until_it_has_served_for_a_while() -> None:
    feed = _app()
    first, second = feed.tasks()
    feed.report(CRASHED, first.id)
    _plan(feed)
    (alert,) = _alerts(feed)
    assert (alert.id, alert.resource, alert.severity) == ("app-failing.web", "app/web", Severity.WARNING)
    assert alert.message == "1 of 2 replicas of web fail: exited with code 1"
    feed.report(running(3), first.id)
    since_s = feed.state.tasks[first.id].serving_since_s
    assert since_s is not None
    assert _plan(feed, since_s + conditions.STEADY_S - 1) == []
    _plan(feed, since_s + conditions.STEADY_S, apps=())
    assert _alerts(feed) == []
    assert second.serving


def test_what_it_says_is_kept_up_to_date_while_it_stands() -> None:
    """Who has seen it has seen it: it is the same one."""
    feed = _app(3)
    first, second, _ = feed.tasks()
    feed.report(CRASHED, first.id)
    _plan(feed)
    feed.accepted(c.AcknowledgeAlert("app-failing.web", "sue"))
    (seen,) = _alerts(feed)
    feed.report(replace(CRASHED, message="exited with code 2"), second.id)
    assert conditions.plan(feed.state, ["web"], 2001.0, refresh=False) == []
    before = feed.machine.events.newest
    _plan(feed)
    (alert,) = _alerts(feed)
    assert alert == replace(seen, message="2 of 3 replicas of web fail: exited with code 1; exited with code 2")
    assert feed.machine.events.after(before) == []


def test_a_replica_in_a_crash_loop_fails_between_its_turns_too() -> None:
    feed = _app()
    first, _ = feed.tasks()
    feed.report(CRASHED, first.id)
    _plan(feed)
    feed.report(TaskStatus(state=TaskState.STARTING, restart_count=3, message="exited with code 1"), first.id)
    assert _plan(feed) == []


def test_it_becomes_critical_when_nobody_serves() -> None:
    feed = _app()
    first, second = feed.tasks()
    feed.report(TaskStatus(state=TaskState.RUNNING, health=Health.UNHEALTHY, message="no"), first.id)
    _plan(feed)
    feed.report(CRASHED, second.id)
    _plan(feed)
    (alert,) = _alerts(feed)
    assert alert.severity is Severity.CRITICAL
    assert alert.message == "2 of 2 replicas of web fail: exited with code 1; no"


def test_one_accident_is_no_alert_and_a_final_end_is_one() -> None:
    feed = _app()
    first, _ = feed.tasks()
    feed.report(TaskStatus(state=TaskState.FAILED, started_at_s=5.0), first.id)
    assert _plan(feed) == []
    feed.report(TaskStatus(state=TaskState.FAILED, started_at_s=5.0, final=True), first.id)
    assert len(_plan(feed)) == 1


def test_work_that_is_done_is_no_alert() -> None:
    feed = _app()
    first, _ = feed.tasks()
    feed.report(TaskStatus(state=TaskState.COMPLETED, restart_count=5, final=True), first.id)
    assert _plan(feed) == []


def test_a_replica_without_a_place_is_told_and_the_alert_goes_with_its_app() -> None:
    feed = cluster(1)
    feed.accepted(c.DeployApp(spec("web", 1, cpu=64)))
    place_all(feed)
    _plan(feed)
    (alert,) = _alerts(feed)
    assert alert.severity is Severity.CRITICAL
    feed.accepted(c.DeleteApp("web"))
    _plan(feed, apps=())
    assert _alerts(feed) == []


def test_who_waits_for_another_app_has_not_failed() -> None:
    feed = cluster(1)
    feed.accepted(c.DeployApp(spec("web", 1, depends_on=[Dependency(app="db")])))
    place_all(feed)
    assert feed.tasks()[0].placement_message
    assert _plan(feed) == []


def test_a_lost_node_is_critical_until_it_is_back_or_removed() -> None:
    feed = _app()
    feed.accepted(c.SetNodeStatus("n2", NodeStatus.READY, NodeStatus.LOST, message="dead in gossip"))
    _plan(feed)
    (alert,) = _alerts(feed)
    assert (alert.id, alert.message) == ("node-lost.n2", "node n2 is lost: dead in gossip")
    feed.accepted(c.SetNodeStatus("n2", NodeStatus.LOST, NodeStatus.READY))
    _plan(feed)
    assert _alerts(feed) == []


def test_a_rollout_that_failed_stands_until_one_is_completed() -> None:
    feed = _app()
    outcome = feed.accepted(c.CreateDeployment("web", Change(image="bad"), RollingUpdate(), execute=True))
    assert isinstance(outcome, Recorded)

    def advance(move: Move, message: str = "") -> None:
        deployment = feed.state.deployments[feed.state.apps["web"].rollout]
        feed.accepted(c.AdvanceDeployment(deployment.id, deployment.version, move, message))

    advance(Move.FAIL, "1 of 2 new replicas fail")
    _plan(feed)
    (alert,) = _alerts(feed)
    assert (alert.id, alert.resource) == ("rollout-failed.web", f"deployment/{outcome.deployment_id}")
    advance(Move.ROLLED_BACK, "1 of 2 new replicas fail")
    assert _plan(feed) == []
    feed.accepted(c.CreateDeployment("web", Change(image="good"), RollingUpdate(), execute=True))
    advance(Move.PROMOTE)
    advance(Move.COMPLETE)
    _plan(feed)
    assert _alerts(feed) == []


def test_a_patient_apps_replicas_are_awaited_for_as_long_as_it_says() -> None:
    feed = cluster(2)
    feed.accepted(c.DeployApp(spec("web", 2, reschedule_after="30s")), c.DeployApp(spec("hasty", 2)))
    serve_all(feed)
    feed.accepted(c.SetNodeStatus("n2", NodeStatus.READY, NodeStatus.LOST))
    lost_s = feed.state.nodes["n2"].status_since_s
    moved = [task_id for command in lost.plan(feed.state, lost_s + 29.0) for task_id in command.task_ids]
    assert {feed.state.tasks[task_id].app for task_id in moved} == {"hasty"}
    moved = [task_id for command in lost.plan(feed.state, lost_s + 30.0) for task_id in command.task_ids]
    assert {feed.state.tasks[task_id].app for task_id in moved} == {"hasty", "web"}
    assert lost.awaits_nodes(feed.state)
