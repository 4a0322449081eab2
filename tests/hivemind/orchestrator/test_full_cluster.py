"""Updates where there is no room for one replica more (issue 5, Rollouts)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from api.views.deployment import deployment_message
from consensus import commands as c
from consensus.model.app_spec import AppSpec
from consensus.model.dependency import Dependency
from consensus.model.deployment import Change, DeploymentStatus, batch_size
from consensus.model.strategy import BlueGreen, RollingUpdate, Strategy
from consensus.model.task import Health
from consensus.timestamp import iso_utc
from hivemind.orchestrator import replicas, rolling, rollout
from tests.consensus.making import Feed, running, spec
from tests.hivemind.orchestrator.test_reconcilers import cluster, place_all, serve_all

ROUNDS = 60


def _full(strategy: Strategy, app: AppSpec, nodes: int = 2, ill: int | None = None, **changed: Any) -> Feed:
    """Nodes have room for two replicas each, of 3 of their 6 cores; the update has begun. `ill`: which one is."""
    feed = cluster(nodes)
    feed.accepted(c.DeployApp(app))
    serve_all(feed)
    if ill is not None:
        feed.report(running(health=Health.UNHEALTHY), feed.tasks()[ill].id)
    feed.accepted(c.CreateDeployment("web", Change(spec=replace(app, image="new", **changed)), strategy, execute=True))
    return feed


def _walk(feed: Feed) -> tuple[str, set[int]]:
    """What became of the update in many rounds, without the passing of its deadline; how many served meanwhile."""
    serving: set[int] = set()
    for _ in range(ROUNDS):
        feed.accepted(*rollout.plan(feed.state, 1000.0 + feed.machine.index))
        for plan in (replicas.plan, rolling.plan):
            feed.accepted(*plan(feed.state, ["web"]))
            serving.add(sum(map(feed.state.serves, feed.tasks())))
        serve_all(feed)
    (deployment,) = feed.state.deployments.values()
    return deployment.status.value, serving


@pytest.mark.parametrize(
    ("strategy", "least"),
    [
        (RollingUpdate(max_unavailable=1, max_surge=1), 3),
        (RollingUpdate(max_unavailable="25%", max_surge="25%"), 3),
        (RollingUpdate(max_unavailable=2, max_surge="100%"), 2),
        (RollingUpdate(max_unavailable=1, max_surge=4), 3),
        (RollingUpdate(max_unavailable=1), 3),
        (RollingUpdate(max_unavailable=1, max_surge=1, order="start-first"), 3),
    ],
    ids=str,
)
def test_old_replicas_make_room_as_far_as_some_may_be_missing(strategy: RollingUpdate, least: int) -> None:
    """The successor that found no place was waited for until the deadline, although one might have been missing."""
    status, serving = _walk(_full(strategy, spec("web", 4, cpu=3)))
    assert status == DeploymentStatus.COMPLETED
    assert min(serving) == least


def test_the_only_replica_makes_room_where_it_may_be_missing() -> None:
    status, serving = _walk(_full(RollingUpdate(max_unavailable=1, max_surge=1), spec("web", 1, cpu=4), nodes=1))
    assert (status, serving) == (DeploymentStatus.COMPLETED, {0, 1})


def test_none_makes_room_where_none_may_be_missing() -> None:
    for app in (spec("web", 4, cpu=3), spec("web", 4, cpu=3, min_available=4)):
        status, serving = _walk(_full(RollingUpdate(max_unavailable=0, max_surge=1), app))
        assert (status, serving) == (DeploymentStatus.IN_PROGRESS, {4})


@pytest.mark.parametrize(
    ("strategy", "app", "told"),
    [
        (
            RollingUpdate(max_surge=1),
            {},
            ", and no old replica stops first, since max_unavailable lets none be missing",
        ),
        (
            RollingUpdate(max_unavailable=1, max_surge=1),
            {"min_available": "100%"},
            ", and no old replica stops first, since min_available lets none be missing",
        ),
        (BlueGreen(progress_deadline="10m"), {}, ""),
    ],
)
def test_it_says_at_once_what_it_waits_for(strategy: RollingUpdate | BlueGreen, app: dict[str, Any], told: str) -> None:
    feed = _full(strategy, spec("web", 4, cpu=3, **app))
    feed.accepted(*replicas.plan(feed.state, ["web"]), *rolling.plan(feed.state, ["web"]))
    place_all(feed)
    (deployment,) = feed.state.deployments.values()
    message = deployment_message(feed.state, feed.state.apps["web"], deployment, 1000.0 + feed.machine.index)
    until = iso_utc(max(task.created_at_s for task in feed.tasks()) + 600)
    wanted = 4 if isinstance(strategy, BlueGreen) else batch_size(strategy, 4)
    assert message == (
        f"Deploying new containers: 0 of {wanted} new replicas healthy;"
        f" no node fits: 2 nodes lack cpu (need 3 cores){told}; awaited until {until}, then it is rolled back"
    )


def test_no_old_one_makes_room_for_what_waits_for_another_app() -> None:
    """Its room would not help: it was stopped, and its successor waited on."""
    strategy = RollingUpdate(max_unavailable=1, max_surge=4)
    feed = _full(strategy, spec("web", 4, cpu=3), depends_on=[Dependency(app="db")])
    assert _walk(feed) == (DeploymentStatus.IN_PROGRESS, {4})
    (deployment,) = feed.state.deployments.values()
    message = deployment_message(feed.state, feed.state.apps["web"], deployment, 1000.0 + feed.machine.index)
    assert "waits for app db, which does not exist; awaited until " in message


def test_no_old_one_makes_room_where_less_important_ones_do() -> None:
    feed = cluster(2)
    feed.accepted(c.DeployApp(spec("low", 2, cpu=3, priority_class="low-priority")))
    feed.accepted(c.DeployApp(spec("web", 2, cpu=3)))
    serve_all(feed)
    strategy = RollingUpdate(max_unavailable=1, max_surge=2)
    feed.accepted(c.CreateDeployment("web", Change(image="new"), strategy, execute=True))
    status, serving = _walk(feed)
    assert (status, min(serving)) == (DeploymentStatus.COMPLETED, 2)


def test_old_replicas_that_serve_nobody_make_room_for_what_may_mend_them() -> None:
    feed = _full(RollingUpdate(max_surge=1), spec("web", 4, cpu=3), ill=2)
    feed.accepted(*rolling.plan(feed.state, ["web"]))
    place_all(feed)
    ill = feed.tasks()[2]
    assert rolling.plan(feed.state, ["web"]) == [c.RemoveTasks([ill.id])]


def test_what_goes_on_without_room_leaves_no_old_replica_at_its_end() -> None:
    """It was completed, and the app ran both revisions until somebody made room."""
    strategy = RollingUpdate(max_surge=1, on_failure="continue", progress_deadline="10s", monitor=0)
    feed = _full(strategy, spec("web", 4, cpu=3))
    for _ in range(20):
        feed.accepted(*rollout.plan(feed.state, 1000.0 + feed.machine.index + 20))
        _walk(feed)
    (deployment,) = feed.state.deployments.values()
    assert deployment.status is DeploymentStatus.COMPLETED
    assert {feed.state.spec_of(task).image for task in feed.tasks()} == {"new"}
