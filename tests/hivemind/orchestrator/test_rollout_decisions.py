"""What the leader decides about a deployment, and when it looks again (issue 5, Rollouts)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus import commands as c
from consensus.model.app import App
from consensus.model.app_spec import AppSpec
from consensus.model.deployment import Change, Deployment, Move
from consensus.model.node import NodeStatus
from consensus.model.strategy import ABTesting, BlueGreen, Canary, RollingUpdate, Strategy, Variant
from consensus.model.task import Health
from consensus.state import State
from hivemind.orchestrator import replicas, rolling, rollout
from hivemind.orchestrator.config import OrchestratorConfig
from hivemind.orchestrator.observer import Observer
from hivemind.orchestrator.plans import Plans
from hivemind.orchestrator.scheduler.surroundings import Surroundings
from tests.consensus.making import Feed, running, spec
from tests.consensus.random_commands import random_command
from tests.hivemind.orchestrator.test_reconcilers import cluster, serve_all

INF = float("inf")


def _began(strategy: Strategy, app: AppSpec, nodes: int = 3, **change: object) -> Feed:
    feed = cluster(nodes)
    feed.accepted(c.DeployApp(app))
    serve_all(feed)
    given = Change(**{"image": "new", **change})  # type: ignore[arg-type]
    feed.accepted(c.CreateDeployment(app.name, given, strategy, execute=True))
    return feed


def _settle(feed: Feed) -> None:
    """The replicas follow, and all of them serve; no decision is made."""
    for _ in range(20):
        feed.accepted(*replicas.plan(feed.state, ["web"]), *rolling.plan(feed.state, ["web"]))
        serve_all(feed)


def _deployment(feed: Feed) -> Deployment:
    return max(feed.state.deployments.values(), key=lambda deployment: deployment.created_at_s)


def _now_s(feed: Feed) -> float:
    return 1000.0 + feed.machine.index


def _decided(feed: Feed, wall_s: float) -> list[Move]:
    found = rollout.plan(feed.state, wall_s)
    return [command.move for command in found if isinstance(command, c.AdvanceDeployment)]


def test_an_interval_is_waited_for_unless_a_hand_promotes() -> None:
    """By hand, the interval began anew."""
    feed = _began(Canary(percentage=25, interval="10m"), spec("web", 4))
    _settle(feed)
    assert _decided(feed, _now_s(feed) + 60) == []
    feed.accepted(c.PromoteDeployment(_deployment(feed).id))
    assert _decided(feed, _now_s(feed) + 1) == [Move.STEP]


def test_a_deployment_in_place_answers_for_what_it_adds_only() -> None:
    """A replica that had once been restarted, or was ill already, failed every update of the number of replicas."""
    feed = cluster(3)
    feed.accepted(c.DeployApp(spec("web", 3)))
    serve_all(feed)
    first, second, _ = feed.tasks()
    feed.report(running(restart_count=1), first.id)
    feed.report(running(health=Health.UNHEALTHY), second.id)
    feed.accepted(c.CreateDeployment("web", Change(spec=spec("web", 5)), execute=True))
    assert _decided(feed, _now_s(feed) + 60) == []
    feed.accepted(*replicas.plan(feed.state, ["web"]))
    serve_all(feed)
    new = feed.tasks()[-1]
    feed.report(running(health=Health.UNHEALTHY), second.id, new.id)
    (failed,) = rollout.plan(feed.state, _now_s(feed) + 60)
    assert isinstance(failed, c.AdvanceDeployment)
    assert (failed.move, failed.message) == (Move.FAIL, "1 of 5 new replicas fail: unhealthy")
    feed.report(running(), new.id)
    assert _decided(feed, _now_s(feed) + 60) == [Move.COMPLETE]


def test_a_replica_on_a_lost_node_counts_for_nothing() -> None:
    """What was last heard of it was that it serves: so the old ones went, and nobody served."""
    feed = _began(RollingUpdate(max_surge=2), spec("web", 2, reschedule_after="10m"), nodes=2)
    feed.accepted(*rolling.plan(feed.state, ["web"]))
    serve_all(feed)
    new = [task for task in feed.tasks() if feed.state.spec_of(task).image == "new"]
    for node_id in {str(task.node_id) for task in new}:
        feed.accepted(c.SetNodeStatus(node_id, NodeStatus.READY, NodeStatus.LOST))
    assert rolling.plan(feed.state, ["web"]) == []
    assert _decided(feed, _now_s(feed) + 60) == []


def test_a_clock_that_is_far_ahead_holds_up_nothing() -> None:
    """A replica counted, and a step ended, when the leader's clock had come to what the other node's had shown."""
    feed = _began(RollingUpdate(max_surge="100%", monitor=0, min_healthy="1s"), spec("web", 2))
    _settle(feed)
    made_s = max(task.created_at_s for task in feed.tasks())
    for ahead_s, expected in ((300.0, [Move.PROMOTE]), (1.0, [])):
        for task in feed.tasks():
            for health in (Health.UNHEALTHY, Health.HEALTHY):
                report = c.TaskReport(task.id, running(health=health))
                feed(c.ReportTasks(str(task.node_id), [report]), time_s=made_s + 2.0 + ahead_s)
        assert _decided(feed, made_s + 2.0) == expected, ahead_s


def test_the_set_that_is_kept_takes_over_at_once_only_where_it_serves() -> None:
    """It had crashed meanwhile, and got all requests."""
    feed = _began(BlueGreen(keep_old="1h"), spec("web", 2))
    _settle(feed)
    for _ in range(2):
        feed.accepted(*rollout.plan(feed.state, _now_s(feed) + 60))
    old = [task for task in feed.tasks() if feed.state.on_standby(task)]
    feed.report(running(health=Health.UNHEALTHY), *(task.id for task in old))
    feed.accepted(c.RollbackDeployment(_deployment(feed).id))
    feed.accepted(*replicas.plan(feed.state, ["web"]), *rolling.plan(feed.state, ["web"]))
    taking = [feed.state.spec_of(task).image for task in feed.tasks() if feed.state.takes_traffic(task)]
    assert taking == ["new", "new"]
    feed.report(running(), *(task.id for task in old))
    _settle(feed)
    assert [feed.state.spec_of(task).image for task in feed.tasks()] == ["busybox", "busybox"]


def test_a_variant_that_was_never_there_does_not_win() -> None:
    variants = [Variant(image="a", percentage=50), Variant(image="b", percentage=50)]
    feed = _began(ABTesting(variants=variants, duration=0), spec("web", 2))
    feed.accepted(c.ScaleApp("web", 1))
    _settle(feed)
    (task,) = feed.tasks()
    feed.report(running(restart_count=3), task.id)
    (command,) = rollout.plan(feed.state, _now_s(feed) + 60)
    assert isinstance(command, c.AdvanceDeployment)
    assert (command.move, command.winner) == (Move.STEP, task.revision)


@given(st.integers(0, 2**32), st.integers(5, 150))
@settings(max_examples=80, deadline=None)
def test_nothing_is_decided_before_it_is_due(seed: int, steps: int) -> None:
    """So the leader sleeps until then, unless something is written."""
    rng, feed = random.Random(seed), Feed()
    for _ in range(steps):
        feed(random_command(rng, feed.state))
    wall_s = _now_s(feed)
    for _ in range(20):
        commands, due_at_s = rollout.judge(feed.state, wall_s)
        assert commands == rollout.plan(feed.state, wall_s)
        assert (due_at_s == wall_s) == bool(_for_now(feed, wall_s)), (due_at_s, wall_s)
        if due_at_s in (wall_s, INF):
            break
        assert not _for_now(feed, (wall_s + due_at_s) / 2)
        wall_s = due_at_s
    if due_at_s == INF:
        assert not _for_now(feed, wall_s + 1e6)


def test_a_round_judges_each_rollout_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It did so for what is to be done, and again for when to look next; what was written between made them differ."""
    feed = _began(Canary(percentage=25, interval="10m"), spec("web", 4))
    _settle(feed)
    judged: list[str] = []
    decide = rollout._decide_app

    def noted(state: State, app: App, wall_s: float) -> object:
        judged.append(app.name)
        return decide(state, app, wall_s)

    monkeypatch.setattr(rollout, "_decide_app", noted)
    plans = Plans(Observer("n1", OrchestratorConfig()), OrchestratorConfig(), Surroundings, feed.state)
    for stage in plans.stages():
        if (job := stage(feed.state, 0.0, _now_s(feed))) is not None:
            job.make()
    assert judged == ["web"]
    assert plans.due_at_s > _now_s(feed)
    assert plans.due_at_s == rollout.judge(feed.state, _now_s(feed))[1]


def _for_now(feed: Feed, wall_s: float) -> list[rollout.Command]:
    """Whose output is forgotten does not depend on time."""
    return [command for command in rollout.plan(feed.state, wall_s) if not isinstance(command, c.ForgetRuns)]
