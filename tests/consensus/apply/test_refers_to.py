"""What an app refers to while it is changed and turned back: its volumes, its service, the apps that it depends on."""

from __future__ import annotations

from typing import Any

from consensus import commands as c
from consensus.model.dependency import Dependency
from consensus.model.deployment import Move
from consensus.model.strategy import RollingUpdate
from consensus.model.workload import VolumeMount
from consensus.outcomes import Refusal
from hivemind.orchestrator import replicas, rolling
from tests.consensus.apply.test_deployment import begin, move
from tests.consensus.making import Feed, spec
from tests.hivemind.orchestrator.test_reconcilers import cluster, serve_all


def _deployed(**more: Any) -> Feed:
    feed = cluster(3)
    feed.accepted(c.DeployApp(spec("web", 3, **more)))
    serve_all(feed)
    return feed


def _update(feed: Feed, **more: Any) -> str:
    return begin(feed, RollingUpdate(max_surge="100%"), image=None, spec=spec("web", 3, **more))


def _follow(feed: Feed) -> None:
    for _ in range(5):
        feed.accepted(*replicas.plan(feed.state, ["web"]), *rolling.plan(feed.state, ["web"]))
        serve_all(feed)


DATA = [VolumeMount("data", "/data")]


def test_a_volume_that_comes_with_an_update_is_on_one_node() -> None:
    """Each node made one of its own, until the last replica was replaced; then one of them was said to be it."""
    feed = _deployed()
    deployment_id = _update(feed, volumes=DATA)
    _follow(feed)
    assert {task.node_id for task in feed.tasks()} == {feed.state.volumes["data"].node_id}
    move(feed, deployment_id, Move.PROMOTE, Move.COMPLETE)


def test_a_volume_that_was_deleted_since_is_there_again_on_the_way_back() -> None:
    feed = _deployed(volumes=DATA)
    deployment_id = _update(feed)
    _follow(feed)
    move(feed, deployment_id, Move.PROMOTE, Move.COMPLETE)
    feed.accepted(c.DeleteVolume("data", force=False), c.RollbackDeployment(deployment_id))
    _follow(feed)
    assert {task.node_id for task in feed.tasks()} == {feed.state.volumes["data"].node_id}


def test_the_service_changes_with_the_spec_and_back() -> None:
    """After a rollback the old one was not there any more, and the new one was left."""
    feed = _deployed(service="one")
    deployment_id = _update(feed, service="two")
    assert set(feed.state.services) == {"one"}
    move(feed, deployment_id, Move.PROMOTE)
    assert set(feed.state.services) == {"two"}
    move(feed, deployment_id, Move.FAIL)
    assert set(feed.state.services) == {"one"}


def test_what_has_come_to_depend_on_it_meanwhile_keeps_it_from_going_back() -> None:
    feed = _deployed(depends_on=[Dependency(app="db")])
    deployment_id = _update(feed, env={"A": "1"})
    move(feed, deployment_id, Move.PROMOTE, Move.COMPLETE)
    feed.accepted(c.DeployApp(spec("db", 1, depends_on=[Dependency(app="web")])))
    outcome = feed(c.RollbackDeployment(deployment_id))
    assert isinstance(outcome, Refusal)
    assert outcome.message == "depends_on: web waits for db waits for web"
