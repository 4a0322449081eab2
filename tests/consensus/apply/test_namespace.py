"""Namespaces: what is where, what keeps them apart, and who may act in which."""

from __future__ import annotations

from msgspec.structs import replace

from consensus import commands as c
from consensus.entry import CommandId, Entry, encode
from consensus.features import level_of
from consensus.model.deployment import Change
from consensus.model.namespace import Reach
from consensus.model.origin import Origin
from consensus.model.volume import Volume
from consensus.outcomes import AnyOutcome, Refusal, RefusalCode
from tests.consensus.making import ADMIN, CLUSTER, Feed, spec

IN_A = Reach("apps:update", ("a",))


def founded() -> Feed:
    feed = Feed()
    feed.accepted(c.FoundCluster(replace(CLUSTER, feature_level=2), ADMIN))
    feed.accepted(c.DeployApp(replace(spec("web", 1), namespace="a")))
    feed.accepted(c.DeployApp(replace(spec("shop", 1), namespace="b")))
    return feed


def by_user(feed: Feed, command: c.AnyCommand, *reach: Reach | None) -> AnyOutcome:
    origin = Origin(user_id="u", address="10.0.0.1", action="x", reach=reach)
    index = feed.machine.index + 1
    entry = Entry(id=CommandId(f"u{index}", 1), time_s=1.0, command=command, origin=origin, level=2)
    (data,) = encode(entry)
    return feed.machine.apply(index, data)


def refusal(outcome: AnyOutcome) -> str:
    assert isinstance(outcome, Refusal)
    assert outcome.code is RefusalCode.DENIED
    return outcome.message


def test_what_belongs_to_an_app_is_in_its_namespace() -> None:
    feed = founded()
    feed.accepted(c.CreateDeployment("web", Change(image="y")))
    (deployment,) = feed.state.deployments.values()
    feed.accepted(c.DeleteApp("web"))
    assert deployment.namespace == feed.state.deployments[deployment.id].namespace == "a"
    assert feed.state.services["shop"].namespace == "b"


def test_a_command_beyond_the_reach_changes_nothing() -> None:
    feed = founded()
    before = feed.state.apps
    assert refusal(by_user(feed, c.ScaleApp("shop", 2), IN_A)) == "this needs permission apps:update in namespace/b"
    assert refusal(by_user(feed, c.RotateTokenKey(b"k", 0.0), IN_A)) == "this needs permission apps:update everywhere"
    assert feed.state.apps is before
    assert not isinstance(by_user(feed, c.ScaleApp("web", 2), IN_A), Refusal)
    assert not isinstance(by_user(feed, c.ScaleApp("shop", 2)), Refusal)


def test_each_command_of_a_batch_has_its_own_reach() -> None:
    feed = founded()
    both = c.Batch([c.ScaleApp("web", 2), c.ScaleApp("shop", 2)])
    assert refusal(by_user(feed, both, IN_A, IN_A)) == "this needs permission apps:update in namespace/b"
    assert feed.state.apps["web"].spec.replicas == 1
    assert not isinstance(by_user(feed, both, IN_A, None), Refusal)


def test_a_change_into_another_namespace_needs_both() -> None:
    feed = founded()
    moved = c.CreateDeployment("web", Change(spec=replace(spec("web", 1), namespace="b")), execute=True)
    assert "namespace/b" in refusal(by_user(feed, moved, IN_A))
    outcome = by_user(feed, moved)
    assert isinstance(outcome, Refusal)
    assert outcome.code is RefusalCode.CONFLICT


def test_a_volume_is_mounted_in_its_namespace_only() -> None:
    feed = founded()
    feed.accepted(c.CreateVolume(Volume(name="data", namespace="b", created_at_s=1.0)))
    copy = Volume(name="copy", namespace="a", cloned_from="data", created_at_s=1.0)
    assert "namespace/b" in refusal(by_user(feed, c.CreateVolume(copy), Reach("volumes:create", ("a",))))


def test_older_versions_are_not_sent_what_they_would_apply_otherwise() -> None:
    assert level_of(c.DeployApp(spec("web"))) == 1
    assert level_of(c.DeployApp(replace(spec("web"), namespace="a"))) == 2
    origin = Origin(user_id="u", address="10.0.0.1", action="x")
    assert level_of(c.ScaleApp("web", 1), origin) == 1
    assert level_of(c.ScaleApp("web", 1), replace(origin, reach=(IN_A,))) == 2
