"""Deployments as state: what each command does and refuses (issue 5, Rollouts)."""

from __future__ import annotations

from typing import Any

import pytest

from consensus import commands as c
from consensus.model.app_spec import Port
from consensus.model.autoscale import Autoscale
from consensus.model.deployment import Change, Deployment, DeploymentStatus, Move, Share, shares
from consensus.model.event import EventType
from consensus.model.strategy import ABTesting, BlueGreen, Canary, RollingUpdate, Simple, Strategy, Variant, amount
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
    assert kinds(feed) == [
        EventType.DEPLOYMENT_STARTED,
        EventType.DEPLOYMENT_STEP,
        EventType.DEPLOYMENT_STEP,
        EventType.DEPLOYMENT_COMPLETED,
    ]
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


def test_deleting_the_app_ends_its_deployment() -> None:
    feed = feed_with()
    deployment_id = begin(feed, RollingUpdate())
    feed.accepted(c.DeleteApp("web"))
    assert of(feed, deployment_id).status is DeploymentStatus.FAILED
    assert not feed.state.changing_apps
    assert not feed.state.specs


def test_a_scale_holds_for_the_end_too() -> None:
    feed = feed_with()
    deployment_id = begin(feed, RollingUpdate())
    feed.accepted(c.ScaleApp("web", 7))
    move(feed, deployment_id, Move.PROMOTE)
    assert feed.state.apps["web"].spec.replicas == 7


@pytest.mark.parametrize(
    ("strategy", "step", "expected"),
    [
        (RollingUpdate(max_surge=3), 2, [6, 4]),
        (RollingUpdate(max_surge=3), 4, [10]),
        (RollingUpdate(max_surge="25%", max_unavailable="20%"), 1, [5, 5]),
        (Canary(percentage=15), 1, [2, 8]),
        (Canary(percentage=10, steps=4), 2, [4, 6]),
        (Simple(), 1, []),
        (Simple(), 2, [10]),
        (BlueGreen(), 1, [10]),
        (ABTesting(variants=[Variant(image="a", percentage=33), Variant(image="b", percentage=33)]), 1, [4, 3, 3]),
    ],
)
def test_the_shares_of_each_step(strategy: Strategy, step: int, expected: list[int]) -> None:
    feed = feed_with(10)
    deployment_id = begin(feed, strategy)
    for _ in range(step - 1):
        move(feed, deployment_id, Move.STEP)
    found: list[Share] = shares(feed.state.apps["web"], of(feed, deployment_id))
    assert [share.replicas for share in found] == expected


@pytest.mark.parametrize(
    ("strategy", "field"),
    [
        (RollingUpdate(max_surge="x"), "max_surge"),
        (RollingUpdate(max_surge="120%"), "max_surge"),
        (RollingUpdate(max_surge=0, max_unavailable=0), "max_unavailable"),
        (RollingUpdate(order="stop-first", max_unavailable=0), "max_unavailable"),
        (RollingUpdate(batch_delay="soon"), "batch_delay"),
        (BlueGreen(verification_timeout="?"), "verification_timeout"),
        (Canary(steps=[50, 20]), "steps"),
        (Canary(promotion="failure-ratio"), "max_failure_ratio"),
        (ABTesting(variants=[Variant(image="a", percentage=60), Variant(image="b", percentage=60)]), "variants"),
        (
            ABTesting(variants=[Variant(image="a", percentage=6, name="b"), Variant(image="b", percentage=6)]),
            "variants",
        ),
    ],
)
def test_a_strategy_says_which_field_is_wrong(strategy: Strategy, field: str) -> None:
    assert [name for name, _ in strategy.problems()] == [field]


def test_amounts() -> None:
    assert [amount("25%", 10, up=True), amount("25%", 10, up=False), amount(3, 10, up=True)] == [3, 2, 3]
    assert Canary(percentage=20, steps=3).percentages == [20, 60, 100]
    assert Canary().percentages == [10, 100]


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


def test_a_scale_holds_for_the_way_back_too() -> None:
    feed = feed_with()
    deployment_id = begin(feed, RollingUpdate())
    feed.accepted(c.ScaleApp("web", 7))
    move(feed, deployment_id, Move.PROMOTE, Move.FAIL)
    assert feed.state.apps["web"].spec.replicas == 7
    assert of(feed, deployment_id).previous_replicas == 7
