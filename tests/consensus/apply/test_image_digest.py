"""Digests of images are part of revisions: what changes them, what keeps them, and the way back."""

from __future__ import annotations

from typing import Any

import pytest

from consensus import commands as c
from consensus.model.deployment import Change, Move
from consensus.model.hook import Hook, Hooks
from consensus.model.job import JobSpec
from consensus.model.strategy import ABTesting, RollingUpdate, Simple, Variant
from consensus.state import State
from tests.consensus.apply.test_deployment import begin, move, of, recorded
from tests.consensus.making import Feed, spec

OLD, NEW = "sha256:" + "1" * 64, "sha256:" + "2" * 64


@pytest.fixture
def feed() -> Feed:
    made = Feed()
    made.accepted(c.DeployApp(spec("web", 4, image_digest=OLD)))
    return made


def _asked_for(state: State, app: str = "web") -> set[str]:
    """What engines are asked for, of all tasks."""
    return {state.spec_of(task).pinned_image for task in state.tasks_of_app(app)}


def _to_the_end(feed: Feed, deployment_id: str) -> None:
    """Simple: all at once."""
    move(feed, deployment_id, Move.STEP, Move.PROMOTE, Move.COMPLETE)


def test_the_same_tag_of_another_digest_is_another_revision_and_a_rollback_leads_back(feed: Feed) -> None:
    assert _asked_for(feed.state) == {f"busybox@{OLD}"}
    before = feed.state.apps["web"].revision
    deployment_id = begin(feed, Simple(), image="busybox", image_digest=NEW)
    assert not of(feed, deployment_id).in_place
    assert (of(feed, deployment_id).image, of(feed, deployment_id).image_digest) == ("busybox", NEW)
    _to_the_end(feed, deployment_id)
    app = feed.state.apps["web"]
    assert (app.spec.image, app.spec.image_digest) == ("busybox", NEW)
    assert [feed.state.specs["web", entry.revision].image_digest for entry in app.history] == [OLD, NEW]
    feed.accepted(c.RollbackDeployment(deployment_id))
    app = feed.state.apps["web"]
    assert (app.revision, app.spec.image_digest) == (before, OLD)


@pytest.mark.parametrize("change", [{"replicas": 6}, {"environment": {"A": "1"}}, {"labels": {"a": "b"}}])
def test_other_changes_keep_the_digest(feed: Feed, change: dict[str, Any]) -> None:
    deployment_id = recorded(feed(c.CreateDeployment("web", Change(**change), Simple(), execute=True)))
    assert of(feed, deployment_id).image_digest == OLD
    (revision,) = of(feed, deployment_id).new_revisions
    assert feed.state.specs["web", revision].image_digest == OLD
    feed.accepted(c.ScaleApp("web", 5))
    feed.accepted(c.RestartApp("web"))
    assert _asked_for(feed.state) == {f"busybox@{OLD}"}


def test_another_image_without_a_digest_takes_none_over(feed: Feed) -> None:
    _to_the_end(feed, begin(feed, Simple(), image="other"))
    assert feed.state.apps["web"].spec.pinned_image == "other"


def test_the_switch_alone_replaces_no_replica(feed: Feed) -> None:
    changed = spec("web", 4, image_digest=OLD, resolve_image=False)
    deployment_id = recorded(feed(c.CreateDeployment("web", Change(spec=changed), execute=True)))
    assert of(feed, deployment_id).in_place
    assert not feed.state.apps["web"].spec.resolve_image


def test_each_variant_has_its_own(feed: Feed) -> None:
    variants = [
        Variant(image="web:a", image_digest=OLD, percentage=50),
        Variant(image="web:b", image_digest=NEW, percentage=50),
    ]
    deployment_id = begin(feed, ABTesting(variants=variants, winner="manual"), image="busybox", image_digest=OLD)
    revisions = of(feed, deployment_id).new_revisions
    told = [feed.state.specs["web", revision].pinned_image for revision in revisions]
    assert told == [f"web:a@{OLD}", f"web:b@{NEW}"]
    feed.accepted(c.PromoteDeployment(deployment_id, "b"))
    assert (of(feed, deployment_id).image, of(feed, deployment_id).image_digest) == ("web:b", NEW)


@pytest.mark.parametrize(
    ("hook", "asked"),
    [
        (Hook(command="true"), f"busybox@{NEW}"),
        (Hook(command="true", image="migrate:1", image_digest=OLD), f"migrate:1@{OLD}"),
        (Hook(command="true", image="migrate:1"), "migrate:1"),
    ],
)
def test_a_hook_runs_its_own_image_or_the_new_one(feed: Feed, hook: Hook, asked: str) -> None:
    strategy = RollingUpdate(hooks=Hooks(pre=hook))
    deployment_id = begin(feed, strategy, image="busybox", image_digest=NEW)
    assert _asked_for(feed.state, deployment_id) == {asked}


def test_a_jobs_runs_are_of_its_digest() -> None:
    feed = Feed()
    feed.accepted(c.CreateJob(JobSpec(name="report", image="busybox", image_digest=OLD)))
    assert _asked_for(feed.state, "report") == {f"busybox@{OLD}"}
    feed.accepted(c.UpdateJob(JobSpec(name="report", image="busybox", image_digest=NEW)))
    feed.accepted(c.TriggerJob("report"))
    assert _asked_for(feed.state, "report") == {f"busybox@{OLD}", f"busybox@{NEW}"}
