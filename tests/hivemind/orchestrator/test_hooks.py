"""Hooks of deployments: run once at their turn, what follows from their end, and whose output is kept."""

from __future__ import annotations

import pytest

from consensus import commands as c
from consensus.model.deployment import Change, Deployment, DeploymentStatus
from consensus.model.hook import Hook, Hooks
from consensus.model.run import Run, RunStatus
from consensus.model.strategy import BlueGreen, RollingUpdate, Strategy
from consensus.model.task import TaskState, TaskStatus
from consensus.outcomes import Recorded, Refusal
from hivemind.orchestrator import hooks, replicas, rolling, rollout, runs
from tests.consensus.making import Feed, running, spec
from tests.hivemind.orchestrator.test_reconcilers import cluster, place_all, serve_all

HOOK = Hook(command="migrate")
PAUSE_S = 60.0
"""More than all that is waited for, less than any deadline."""


def _begin(strategy: Strategy) -> Feed:
    feed = cluster(2)
    feed.accepted(c.DeployApp(spec("web", 2, env={"A": "1"}, ports=[])))
    serve_all(feed)
    _deploy(feed, strategy)
    return feed


def _deploy(feed: Feed, strategy: Strategy, image: str = "new") -> None:
    outcome = feed.accepted(c.CreateDeployment("web", Change(image=image), strategy, execute=True))
    assert isinstance(outcome, Recorded)


def _deployment(feed: Feed) -> Deployment:
    return max(feed.state.deployments.values(), key=lambda deployment: deployment.created_at_s)


def _images(feed: Feed) -> list[str]:
    return sorted(feed.state.spec_of(task).image for task in feed.tasks())


def _run(feed: Feed, name: str) -> Run:
    run_id = _deployment(feed).run_of_hook(name)
    assert run_id is not None, f"hook {name} was not begun"
    return feed.state.runs[run_id]


def _hook_ends(feed: Feed, name: str, *, well: bool = True) -> None:
    run = _run(feed, name)
    assert run.status is RunStatus.RUNNING
    place_all(feed)
    (task,) = feed.state.tasks_of_run(run)
    state = TaskState.COMPLETED if well else TaskState.FAILED
    feed.report(TaskStatus(state=state, message="" if well else "exited with code 1"), task.id)


def _settle(feed: Feed) -> None:
    """The leader and the agents do what is to be done, but no hook ends."""
    for _ in range(30):
        commands = [
            *rollout.plan(feed.state, 1000.0 + feed.machine.index + PAUSE_S),
            *runs.plan(feed.state, [_deployment(feed).id], 0.0),
        ]
        commands += [*replicas.plan(feed.state, ["web"]), *rolling.plan(feed.state, ["web"])]
        if not commands:
            return
        for command in commands:
            feed(command)
        place_all(feed)
        for task in feed.tasks():
            if not task.wanted:
                feed(c.ReportTasks(task.node_id or "", [], [task.id]))
            elif not task.serving:
                feed.report(running(), task.id)


@pytest.mark.parametrize("strategy", [RollingUpdate, BlueGreen])
def test_nothing_changes_before_the_pre_hook_and_it_is_complete_after_the_post_hook(strategy: type) -> None:
    feed = _begin(strategy(hooks=Hooks(pre=HOOK, post=HOOK)))
    _settle(feed)
    assert _images(feed) == ["busybox"] * 2
    assert _deployment(feed).step == 0
    _hook_ends(feed, "pre")
    _settle(feed)
    assert _deployment(feed).status is DeploymentStatus.IN_PROGRESS
    assert "new" in _images(feed)
    _hook_ends(feed, "post")
    _settle(feed)
    assert _deployment(feed).status is DeploymentStatus.COMPLETED
    (task,) = feed.state.tasks_of_run(_run(feed, "pre"))
    made = feed.state.spec_of(task)
    assert (made.image, made.command, made.env["A"]) == ("new", ["/bin/sh", "-c", "migrate"], "1")
    assert made.env["HIVEMIND_APP"] == "web"


def test_a_pre_hook_that_fails_leaves_the_app_as_it_was() -> None:
    feed = _begin(RollingUpdate(hooks=Hooks(pre=HOOK, rollback=Hook(command="undo"))))
    _hook_ends(feed, "pre", well=False)
    _settle(feed)
    assert _deployment(feed).status is DeploymentStatus.ROLLING_BACK
    assert _images(feed) == ["busybox"] * 2
    _hook_ends(feed, "rollback", well=False)
    _settle(feed)
    deployment = _deployment(feed)
    assert deployment.status is DeploymentStatus.ROLLED_BACK
    assert deployment.message == (
        "the pre hook failed: exited with code 1; the rollback hook failed: exited with code 1"
    )
    assert feed.state.apps["web"].failed_rollout == deployment.id


def test_a_post_hook_that_fails_turns_the_app_back() -> None:
    feed = _begin(RollingUpdate(hooks=Hooks(post=HOOK)))
    _settle(feed)
    _hook_ends(feed, "post", well=False)
    _settle(feed)
    assert _deployment(feed).status is DeploymentStatus.ROLLED_BACK
    assert _images(feed) == ["busybox"] * 2


def test_a_promotion_by_hand_accepts_a_hook_that_failed_and_none_that_runs() -> None:
    feed = _begin(RollingUpdate(hooks=Hooks(pre=HOOK), on_failure="pause"))
    assert isinstance(feed(c.PromoteDeployment(_deployment(feed).id)), Refusal)
    _hook_ends(feed, "pre", well=False)
    _settle(feed)
    assert _deployment(feed).status is DeploymentStatus.PAUSED
    feed.accepted(c.PromoteDeployment(_deployment(feed).id))
    _settle(feed)
    assert _deployment(feed).status is DeploymentStatus.COMPLETED


def test_a_hook_that_is_out_of_time_or_without_a_point_is_stopped() -> None:
    feed = _begin(RollingUpdate(hooks=Hooks(pre=Hook(command=["sleep", "1"], timeout="10s", retries=2))))
    run = _run(feed, "pre")
    (end,) = runs.plan(feed.state, [run.owner], run.created_at_s + 10.0)
    assert isinstance(end, c.EndRun)
    feed.accepted(c.RollbackDeployment(_deployment(feed).id))
    assert _run(feed, "pre").status is RunStatus.STOPPED
    feed = _begin(RollingUpdate(hooks=Hooks(pre=HOOK)))
    run_id = _run(feed, "pre").id
    feed.accepted(c.DeleteApp("web"))
    assert feed.state.runs[run_id].status is RunStatus.STOPPED


def test_only_the_newest_deployments_hooks_are_kept() -> None:
    feed = cluster(1)
    feed.accepted(c.DeployApp(spec("web", 0)))
    for number in range(hooks.KEPT + 2):
        _deploy(feed, RollingUpdate(hooks=Hooks(pre=HOOK)), f"image-{number}")
        _hook_ends(feed, "pre")
        _settle(feed)
        assert _deployment(feed).status is DeploymentStatus.COMPLETED
    feed.accepted(*hooks.forgotten(feed.state))
    assert len(feed.state.runs) == hooks.KEPT
    assert hooks.forgotten(feed.state) == []


@pytest.mark.parametrize(
    ("hook", "field"),
    [
        (Hook(command="x", timeout="0s"), "hooks.pre.timeout"),
        (Hook(command="x", env={"": "1"}), "hooks.pre.env"),
    ],
)
def test_a_hook_that_cannot_be_meant_is_refused_by_its_field(hook: Hook, field: str) -> None:
    assert [name for name, _ in RollingUpdate(hooks=Hooks(pre=hook)).problems()] == [field]
