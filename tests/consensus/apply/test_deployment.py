"""Deployments as state: what each command does and refuses (issue 5, Rollouts)."""

from __future__ import annotations

from typing import Any

import pytest

from consensus import commands as c
from consensus.apply.deployment import WAITING
from consensus.model.app_spec import Port
from consensus.model.autoscale import Autoscale
from consensus.model.deployment import Change, Deployment, DeploymentStatus, Move
from consensus.model.event import EventType
from consensus.model.strategy import ABTesting, BlueGreen, RollingUpdate, Strategy, Variant
from consensus.outcomes import Done, Recorded, Refusal, RefusalCode
from tests.consensus.making import Feed, spec


def recorded(outcome: Any) -> str:
    assert isinstance(outcome, Recorded), outcome
    return outcome.deployment_id


def feed_with(replicas: int = 4, **more: Any) -> Feed:
    feed = Feed()
    feed.accepted(c.DeployApp(spec("web", replicas, **more)))
    return feed


def begin(feed: Feed, strategy: Strategy, **change: Any) -> str:
    return recorded(feed(c.CreateDeployment("web", Change(**{"image": "new", **change}), strategy, execute=True)))


def of(feed: Feed, deployment_id: str) -> Deployment:
    return feed.state.deployments[deployment_id]


def move(feed: Feed, deployment_id: str, *moves: Move) -> None:
    for one in moves:
        feed.accepted(c.AdvanceDeployment(deployment_id, of(feed, deployment_id).version, one))


def kinds(feed: Feed) -> list[str]:
    events = feed.machine.events.after(feed.machine.events.before_oldest)
    assert isinstance(events, list)
    return [event.type for event in events if event.type.startswith("deployment_")]


def test_what_nobody_executes_is_given_up_for_newer_ones() -> None:
    """It stayed for ever."""
    feed = feed_with()
    feed.accepted(c.DeployApp(spec("other")))
    other = recorded(feed(c.CreateDeployment("other", Change(image="new"))))
    first, *rest = (recorded(feed(c.CreateDeployment("web", Change(image="new")))) for _ in range(WAITING + 1))
    assert of(feed, first).status is DeploymentStatus.ROLLED_BACK
    assert of(feed, first).message == "never executed, and 20 newer ones wait"
    assert {of(feed, waiting).status for waiting in (other, *rest)} == {DeploymentStatus.PENDING}
    assert kinds(feed) == ["deployment_rolled_back"]
    refused = feed(c.ExecuteDeployment(first))
    assert isinstance(refused, Refusal)
    assert refused.message.endswith("is rolled_back: never executed, and 20 newer ones wait")
    # What is begun takes no place of them.
    begin(feed, RollingUpdate())
    assert {of(feed, waiting).status for waiting in (other, *rest)} == {DeploymentStatus.PENDING}


def test_what_waits_crowds_out_nothing_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that had just ended was forgotten at once, and who waited for its end was told that there is none."""
    monkeypatch.setattr("consensus.draft.REMEMBERED_DEPLOYMENTS", 2)
    feed = feed_with()
    waiting = [recorded(feed(c.CreateDeployment("web", Change(image="new")))) for _ in range(6)]
    for deployment_id in waiting[:3]:
        feed.accepted(c.RollbackDeployment(deployment_id))
    assert sorted(feed.state.deployments) == sorted(waiting[1:])


def test_recording_changes_nothing_and_executing_begins() -> None:
    feed = feed_with()
    deployment_id = recorded(feed(c.CreateDeployment("web", Change(image="new", replicas=6))))
    assert of(feed, deployment_id).status is DeploymentStatus.PENDING
    assert not feed.state.apps["web"].rollout
    feed.accepted(c.ExecuteDeployment(deployment_id))
    app, deployment = feed.state.apps["web"], of(feed, deployment_id)
    assert (app.rollout, app.spec.image) == (deployment_id, "busybox")
    assert (deployment.status, deployment.step, deployment.total_steps) == (DeploymentStatus.IN_PROGRESS, 1, 4)
    again = feed(c.ExecuteDeployment(deployment_id))
    assert isinstance(again, Refusal)
    assert again.code is RefusalCode.CONFLICT


def test_what_is_not_there_and_what_is_under_way() -> None:
    feed = feed_with()
    for command in (
        c.CreateDeployment("none", Change()),
        c.ExecuteDeployment("none"),
        c.RollbackDeployment("none"),
        c.PromoteDeployment("none"),
    ):
        outcome = feed(command)
        assert isinstance(outcome, Refusal)
        assert outcome.code is RefusalCode.NOT_FOUND
    first = begin(feed, RollingUpdate())
    second = recorded(feed(c.CreateDeployment("web", Change(image="newer"))))
    outcome = feed(c.ExecuteDeployment(second))
    assert isinstance(outcome, Refusal)
    assert (outcome.code, first in outcome.message) == (RefusalCode.CONFLICT, True)
    assert len(feed.state.deployments) == 2
    outcome = feed(c.CreateDeployment("web", Change(image="newer"), execute=True))
    assert isinstance(outcome, Refusal)
    assert len(feed.state.deployments) == 2


def test_a_decision_on_old_news_changes_nothing() -> None:
    feed = feed_with()
    deployment_id = begin(feed, RollingUpdate())
    old = of(feed, deployment_id).version
    move(feed, deployment_id, Move.STEP)
    assert isinstance(feed(c.AdvanceDeployment(deployment_id, old, Move.STEP)), Refusal)
    assert of(feed, deployment_id).step == 2


def test_the_whole_way_its_events_and_its_history() -> None:
    feed = feed_with()
    deployment_id = begin(feed, RollingUpdate(max_surge=2), environment={"A": "1"}, labels={"l": "x"}, replicas=5)
    move(feed, deployment_id, Move.STEP, Move.PROMOTE, Move.COMPLETE)
    app = feed.state.apps["web"]
    assert (app.spec.image, app.spec.env, app.spec.labels, app.spec.replicas) == ("new", {"A": "1"}, {"l": "x"}, 5)
    assert [entry.number for entry in app.history] == [1, 2]
    assert not feed.state.changing_apps
    started, *steps, completed = kinds(feed)
    assert (started, completed) == (EventType.DEPLOYMENT_STARTED, EventType.DEPLOYMENT_COMPLETED)
    assert steps == [EventType.DEPLOYMENT_STEP] * 3
    feed.accepted(c.RollbackDeployment(deployment_id))
    app = feed.state.apps["web"]
    assert (app.spec.image, app.spec.replicas, app.rollout) == ("busybox", 4, deployment_id)
    move(feed, deployment_id, Move.ROLLED_BACK)
    assert of(feed, deployment_id).status is DeploymentStatus.ROLLED_BACK
    assert [entry.number for entry in feed.state.apps["web"].history] == [1, 2, 3]
    assert isinstance(feed(c.RollbackDeployment(deployment_id)), Refusal)


def test_specs_are_remembered_as_long_as_the_history_and_no_longer() -> None:
    feed = feed_with(0)
    for number in range(30):
        deployment_id = begin(feed, RollingUpdate(), image=f"v{number}")
        move(feed, deployment_id, Move.PROMOTE, Move.COMPLETE)
    app = feed.state.apps["web"]
    assert [entry.number for entry in app.history] == list(range(12, 32))
    assert {revision for _, revision in feed.state.specs} == {entry.revision for entry in app.history}
    feed.accepted(c.DeleteApp("web"))
    assert not feed.state.specs


def test_a_failed_one_leaves_no_spec_behind() -> None:
    feed = feed_with()
    deployment_id = begin(feed, ABTesting(variants=[Variant(image=i, percentage=30) for i in "abc"]))
    assert len(feed.state.specs) == 4
    move(feed, deployment_id, Move.FAIL, Move.ROLLED_BACK)
    assert len(feed.state.specs) == 1
    assert kinds(feed)[-2:] == [EventType.DEPLOYMENT_FAILED, EventType.DEPLOYMENT_ROLLED_BACK]


def test_blue_green_has_a_set_without_traffic_and_switches_in_one_entry() -> None:
    feed = feed_with()
    deployment_id = begin(feed, BlueGreen(keep_old="10s"))
    app = feed.state.apps["web"]
    assert app.standby is not None
    assert (app.standby.revision, app.standby.replicas) == (of(feed, deployment_id).new_revision, 4)
    old = app.revision
    move(feed, deployment_id, Move.PROMOTE)
    app = feed.state.apps["web"]
    assert app.spec.image == "new"
    assert app.standby is not None
    assert app.standby.revision == old
    move(feed, deployment_id, Move.COMPLETE)
    feed.accepted(c.EndStandby("web", old))
    assert not feed.state.changing_apps


def test_another_apps_port_cannot_be_taken() -> None:
    feed = feed_with()
    feed.accepted(c.DeployApp(spec("api", 1, ports=[Port(80, 8080)])))
    outcome = feed(c.CreateDeployment("web", Change(spec=spec("web", 1, ports=[Port(80, 8080)])), execute=True))
    assert isinstance(outcome, Refusal)
    assert "8080" in outcome.message


def test_a_recorded_one_changes_the_app_as_it_is_when_it_is_executed() -> None:
    """It had as many replicas as the app when it was recorded, and told that image."""
    feed = feed_with(3)
    deployment_id = recorded(feed(c.CreateDeployment("web", Change(environment={"A": "1"}))))
    feed.accepted(c.ScaleApp("web", 7))
    move(feed, begin(feed, RollingUpdate(), image="newer"), Move.PROMOTE, Move.COMPLETE)
    feed.accepted(c.ExecuteDeployment(deployment_id))
    move(feed, deployment_id, Move.PROMOTE)
    deployment, app = of(feed, deployment_id), feed.state.apps["web"]
    assert (app.spec.replicas, app.spec.image, app.spec.env) == (7, "newer", {"A": "1"})
    assert (deployment.replicas, deployment.image) == (7, "newer")


def test_what_is_done_by_hand_is_told_as_well() -> None:
    feed = feed_with()
    deployment_id = begin(feed, RollingUpdate(on_failure="pause"))
    move(feed, deployment_id, Move.FAIL)
    feed.accepted(c.PromoteDeployment(deployment_id))
    assert kinds(feed)[-2:] == [EventType.DEPLOYMENT_FAILED, EventType.DEPLOYMENT_STEP]
    feed.accepted(c.RollbackDeployment(deployment_id))
    move(feed, deployment_id, Move.ROLLED_BACK)
    assert kinds(feed)[-2:] == [EventType.DEPLOYMENT_STEP, EventType.DEPLOYMENT_ROLLED_BACK]


def test_deleting_the_app_ends_its_deployment() -> None:
    feed = feed_with()
    deployment_id = begin(feed, RollingUpdate())
    feed.accepted(c.DeleteApp("web"))
    assert kinds(feed)[-1] == EventType.DEPLOYMENT_FAILED
    assert of(feed, deployment_id).status is DeploymentStatus.FAILED
    assert not feed.state.changing_apps
    assert not feed.state.specs


def test_settings_that_replicas_are_not_made_of_are_a_revision_of_their_own_and_hold() -> None:
    """The history told the ones before, an update began with those, and the way back lost the new ones."""
    feed = feed_with()
    app = feed.state.apps["web"]
    first, scaled = app.revision, spec("web", 4, autoscale=Autoscale(min=2, max=6, cpu_target=50))
    settled = begin(feed, RollingUpdate(), image=None, spec=scaled)
    move(feed, settled, Move.COMPLETE)
    app = feed.state.apps["web"]
    assert (app.revision, app.spec.autoscale) == (first, scaled.autoscale)
    assert [(entry.number, feed.state.specs["web", entry.revision].autoscale) for entry in app.history] == [
        (1, None),
        (2, scaled.autoscale),
    ]
    assert not any(feed.state.outdated(task) for task in feed.tasks())

    bad = begin(feed, RollingUpdate(), image="bad")
    move(feed, bad, Move.PROMOTE, Move.FAIL, Move.ROLLED_BACK)
    app = feed.state.apps["web"]
    assert (app.spec.image, app.spec.autoscale) == ("busybox", scaled.autoscale)

    outcome = feed(c.RollbackDeployment(settled))
    assert isinstance(outcome, Done), outcome
    app = feed.state.apps["web"]
    assert (app.revision, app.spec.autoscale) == (first, None)
    assert not any(feed.state.outdated(task) for task in feed.tasks())


def test_a_paused_one_is_not_to_be_waited_for() -> None:
    feed = feed_with()
    first = begin(feed, RollingUpdate(on_failure="pause"))
    move(feed, first, Move.FAIL)
    outcome = feed(c.CreateDeployment("web", Change(image="newer"), execute=True))
    assert isinstance(outcome, Refusal)
    assert "is paused; promote it or roll it back" in outcome.message
