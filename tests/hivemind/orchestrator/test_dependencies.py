"""Start order between apps (`depends_on`), and drains that respect `min_available`."""

from __future__ import annotations

import pytest

from consensus import commands as c
from consensus.drain import drain_progress
from consensus.model.dependency import Dependency
from consensus.model.deployment import Change
from consensus.model.job import JobSpec
from consensus.model.node import Taint
from consensus.model.strategy import RollingUpdate
from consensus.model.task import Health, TaskState, TaskStatus
from consensus.outcomes import Refusal
from hivemind.orchestrator import replicas, rolling
from hivemind.orchestrator.limits import limits_of
from tests.consensus.making import Feed, running, spec
from tests.hivemind.orchestrator.test_reconcilers import cluster, place_all, serve_all

ON_DB = [Dependency(app="db")]


def _messages(feed: Feed, app: str) -> set[str]:
    return {task.placement_message for task in feed.tasks(app)}


def test_an_app_is_placed_when_what_it_depends_on_is_healthy() -> None:
    feed = cluster(2)
    feed.accepted(c.DeployApp(spec("web", 2, depends_on=ON_DB)))
    place_all(feed)
    assert _messages(feed, "web") == {"waits for app db, which does not exist"}
    feed.accepted(c.DeployApp(spec("db", 2)))
    place_all(feed)
    assert _messages(feed, "web") == {"waits for app db (0 of 2 healthy)"}
    first, second = feed.tasks("db")
    feed.report(running(), first.id)
    feed.report(running(health=Health.STARTING), second.id)
    place_all(feed)
    assert _messages(feed, "web") == {"waits for app db (1 of 2 healthy)"}
    feed.report(running(), second.id)
    place_all(feed)
    assert all(task.node_id for task in feed.tasks("web"))


def test_the_least_that_must_be_available_is_enough_and_started_is_less_than_healthy() -> None:
    feed = cluster(2)
    started = [Dependency(app="db", condition="started")]
    feed.accepted(
        c.DeployApp(spec("db", 2, min_available=1)),
        c.DeployApp(spec("web", 1, depends_on=started)),
        c.DeployApp(spec("api", 1, depends_on=ON_DB)),
    )
    place_all(feed)
    first, _ = feed.tasks("db")
    feed.report(running(health=Health.STARTING), first.id)
    place_all(feed)
    assert feed.tasks("web")[0].node_id
    assert not feed.tasks("api")[0].node_id
    feed.report(running(), first.id)
    place_all(feed)
    assert feed.tasks("api")[0].node_id


def test_only_the_start_is_ordered() -> None:
    feed = cluster(2)
    feed.accepted(c.DeployApp(spec("db", 1)), c.DeployApp(spec("web", 1, depends_on=ON_DB)))
    serve_all(feed)
    serve_all(feed)
    feed.report(running(health=Health.UNHEALTHY), feed.tasks("db")[0].id)
    feed.accepted(c.ScaleApp("web", 3))
    place_all(feed)
    assert all(task.node_id for task in feed.tasks("web"))


def test_apps_that_would_wait_for_each_other_are_refused() -> None:
    feed = cluster(1)
    feed.accepted(
        c.DeployApp(spec("web", 1, depends_on=[Dependency(app="api")])), c.DeployApp(spec("api", 1, depends_on=ON_DB))
    )
    outcome = feed(c.DeployApp(spec("db", 1, depends_on=[Dependency(app="web")])))
    assert isinstance(outcome, Refusal)
    assert outcome.message == "depends_on: db waits for web waits for api waits for db"
    assert [name for name, _ in spec("web", depends_on=[Dependency(app="web")] * 2).problems()] == [
        "depends_on[0].app",
        "depends_on[1].app",
        "depends_on[1].app",
    ]


def _drained(min_available: int | None, cpu: float = 4.0) -> Feed:
    """Three replicas on three nodes that have room for one each, and one node drains."""
    feed = cluster(3)
    feed.accepted(c.DeployApp(spec("web", 3, cpu=cpu, min_available=min_available)))
    serve_all(feed)
    feed.accepted(c.SetMaintenance("n3", enable=True, drain=True))
    for _ in range(4):
        feed.accepted(*replicas.plan(feed.state, ["web"]), *rolling.plan(feed.state, ["web"]))
        place_all(feed)
    return feed


def test_a_drain_that_finds_no_place_says_what_blocks_it() -> None:
    feed = _drained(None)
    progress = drain_progress(feed.state, feed.state.nodes["n3"])
    assert progress is not None
    assert progress.total == 1
    (one,) = progress.remaining
    assert one.blocked
    assert one.message.startswith("its successor finds no place: ")
    assert feed.state.tasks[one.task_id].serving


def test_what_min_available_spares_may_go_without_a_place() -> None:
    feed = _drained(2)
    on_n3 = list(feed.state.tasks_on_node("n3"))
    assert [task.wanted for task in on_n3] == [False]
    progress = drain_progress(feed.state, feed.state.nodes["n3"])
    assert progress is not None
    assert [one.message for one in progress.remaining] == ["stops"]
    assert drain_progress(feed.state, feed.state.nodes["n1"]) is None
    feed.accepted(c.SetMaintenance("n2", enable=True, drain=True))
    for _ in range(4):
        feed.accepted(*replicas.plan(feed.state, ["web"]), *rolling.plan(feed.state, ["web"]))
        place_all(feed)
    assert [task.wanted for task in feed.state.tasks_on_node("n2")] == [True]


def test_a_rollout_keeps_what_must_be_available() -> None:
    feed = cluster(2)
    feed.accepted(c.DeployApp(spec("web", 4, min_available=3)))
    serve_all(feed)
    strategy = RollingUpdate(max_unavailable=4, max_surge=0)
    feed.accepted(c.CreateDeployment("web", Change(image="new"), strategy, execute=True))
    app = feed.state.apps["web"]
    assert limits_of(feed.state, app, feed.state.deployment_of(app)).unavailable == 1


@pytest.mark.parametrize("given", ["many", -1])
def test_a_bad_min_available_is_refused(given: int | str) -> None:
    assert [name for name, _ in spec("web", min_available=given).problems()] == ["min_available"]


def test_single_labels_and_taints_change() -> None:
    feed = cluster(1)
    feed.accepted(c.ChangeNodeLabels("n1", {"zone": "a", "disk": "ssd"}, [Taint("x", "1", "NoSchedule")]))
    feed.accepted(
        c.ChangeNodeLabels("n1", {"disk": None}, [Taint("x", "2", "NoSchedule"), Taint("x", "", "NoExecute")])
    )
    node = feed.state.nodes["n1"]
    assert node.labels == {"zone": "a"}
    assert node.taints == [Taint("x", "2", "NoSchedule"), Taint("x", "", "NoExecute")]
    feed.accepted(c.ChangeNodeLabels("n1", remove_taints=[Taint("x", "", "")]))
    assert feed.state.nodes["n1"].taints == []


def test_attempts_that_are_over_do_not_hold_up_a_drain() -> None:
    """They stay on the node for what they wrote: a drain awaited them for ever."""
    feed = cluster(1)
    feed.accepted(c.CreateJob(JobSpec(name="backup", image="busybox")))
    place_all(feed)
    (task,) = feed.tasks("backup")
    feed.report(TaskStatus(state=TaskState.COMPLETED, exit_code=0), task.id)
    feed.accepted(c.SetMaintenance("n1", enable=True, drain=True))
    progress = drain_progress(feed.state, feed.state.nodes["n1"])
    assert progress is not None
    assert (progress.total, progress.remaining) == (0, [])
    assert list(feed.state.tasks_on_node("n1")) == [feed.state.tasks[task.id]]
