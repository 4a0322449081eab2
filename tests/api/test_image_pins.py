"""Which images are asked for, when, and what becomes of a registry that cannot be asked (design.md §7)."""

from __future__ import annotations

from typing import Any

import pytest

from api.deps import ImageUnresolved
from consensus.commands import AdvanceDeployment
from consensus.features import LEVEL
from consensus.model.deployment import Move

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64
APP = {"name": "web", "image": "web:1"}


@pytest.fixture
async def world(make_world: Any) -> Any:
    """All of whose nodes know of digests."""
    made = make_world()
    await made.found(feature_level=LEVEL)
    return made


async def _deployed(world: Any, admin: Any, **more: Any) -> Any:
    world.registry.images = {"web:1": ONE}
    status, answer = await admin.send("POST", "/deploy", APP | more)
    assert status == 201, answer
    world.registry.asked.clear()
    return answer


async def _finish(world: Any) -> None:
    """Of the deployment that goes on: to its end, as the leader would."""
    state = world.machine.state
    deployment = state.deployments[state.apps["web"].rollout]
    for move in [Move.COMPLETE] if deployment.promoted else [Move.PROMOTE, Move.COMPLETE]:
        version = world.machine.state.deployments[deployment.id].version
        await world.propose(AdvanceDeployment(deployment.id, version, move))


async def test_a_deploy_asks_once_and_tells_the_digest_everywhere(world: Any, admin: Any) -> None:
    world.registry.images = {"web:1": ONE}
    status, answer = await admin.send("POST", "/deploy", APP | {"replicas": 3})
    assert (status, world.registry.asked) == (201, ["web:1"])
    assert "warnings" not in answer
    app = await admin.get("/apps/web")
    assert (app["image"], app["image_digest"], app["resolve_image"]) == ("web:1", ONE, True)
    assert app["image_architectures"] == ["amd64"]
    containers = (await admin.get("/containers"))["containers"]
    assert {(item["image"], item["image_digest"]) for item in containers} == {("web:1", ONE)}
    (revision,) = (await admin.get("/apps/web/history"))["revisions"]
    assert (revision["image_digest"], revision["spec"]["image_digest"]) == (ONE, ONE)
    query = {"query": '{ app(id: "web") { image image_digest containers { image_digest } } }'}
    _, told, _ = await admin.request("POST", "/graphql", query)
    assert told["data"]["app"] == {"image": "web:1", "image_digest": ONE, "containers": [{"image_digest": ONE}] * 3}


@pytest.mark.parametrize(
    "more",
    [
        {"image": f"web:1@{TWO}"},
        {"image_digest": TWO},
        {"resolve_image": False},
    ],
)
async def test_what_says_it_itself_or_does_not_want_it_asks_nothing(world: Any, admin: Any, more: Any) -> None:
    world.registry.images = {"web:1": ONE}
    status, answer = await admin.send("POST", "/deploy", APP | more)
    assert (status, world.registry.asked) == (201, []), answer
    assert (await admin.get("/apps/web"))["image_digest"] == (None if "resolve_image" in more else TWO)


async def test_an_image_of_no_registry_goes_by_its_name(world: Any, admin: Any) -> None:
    status, answer = await admin.send("POST", "/deploy", APP)
    assert status == 201
    assert "warnings" not in answer
    assert (await admin.get("/apps/web"))["image_digest"] is None


async def test_bad_digests_are_refused_and_nothing_is_asked(world: Any, admin: Any) -> None:
    for more, field in (
        ({"image_digest": "sha256:12"}, "image_digest: expected `str` matching regex"),
        ({"image": f"web@{ONE}", "image_digest": TWO}, "image_digest: expected none, or the one of the image's name"),
        ({"resolve_image": "no"}, "resolve_image: expected `bool`"),
        ({"image_architectures": [""]}, "image_architectures[0]: expected `str` of length >= 1"),
    ):
        status, error = await admin.send("POST", "/deploy", APP | more)
        assert (status, field in error["message"]) == (400, True), error
    assert (world.registry.asked, len(world.machine.state.apps)) == ([], 0)


async def test_a_silent_registry_keeps_nobody_from_deploying(world: Any, admin: Any) -> None:
    world.registry.images = {"web:1": ImageUnresolved("registry docker.io did not answer within 5 s")}
    for path in ("/deploy?dry_run=true", "/deploy"):
        status, answer = await admin.send("POST", path, APP)
        assert status < 300
        assert answer["warnings"] == [
            "image web:1 is not pinned to a digest, and nodes may run different ones:"
            " registry docker.io did not answer within 5 s"
        ]
    assert (await admin.get("/apps/web"))["image_digest"] is None


async def test_a_dry_run_tells_the_digest(world: Any, admin: Any) -> None:
    world.registry.images = {"web:1": ONE}
    status, answer = await admin.send("POST", "/deploy?dry_run=true", APP)
    assert (status, answer["image_digest"]) == (200, ONE)


async def test_a_put_of_the_same_tag_that_has_moved_is_a_rollout(world: Any, admin: Any) -> None:
    await _deployed(world, admin)
    world.registry.images = {"web:1": TWO}
    status, answer = await admin.send("PUT", "/apps/web", APP)
    assert (status, world.registry.asked) == (200, ["web:1"])
    detail = await admin.get(f"/deployments/{answer['deployment_id']}")
    assert (detail["image"], detail["image_digest"], detail["status"]) == ("web:1", TWO, "in_progress")
    assert (await admin.get("/apps/web"))["image_digest"] == ONE
    await _finish(world)
    assert (await admin.get("/apps/web"))["image_digest"] == TWO
    status, answer = await admin.send("POST", "/apps/web/rollback", {})
    assert status == 200, answer
    assert (await admin.get(f"/deployments/{answer['deployment_id']}"))["image_digest"] == ONE
    assert world.registry.asked == ["web:1"]


async def test_a_put_of_a_revisions_spec_leads_back_and_asks_nothing(world: Any, admin: Any) -> None:
    await _deployed(world, admin)
    (revision,) = (await admin.get("/apps/web/history"))["revisions"]
    world.registry.images = {"web:1": TWO, "web:2": TWO}
    status, answer = await admin.send("PUT", "/apps/web", revision["spec"] | {"env": {"A": "1"}})
    assert (status, world.registry.asked) == (200, [])
    assert (await admin.get(f"/deployments/{answer['deployment_id']}"))["image_digest"] == ONE
    await _finish(world)
    # Whoever edits the image of such a spec means another image than the digest that still stands there.
    status, answer = await admin.send("PUT", "/apps/web", revision["spec"] | {"image": "web:2"})
    assert (status, world.registry.asked) == (200, ["web:2"])
    assert (await admin.get(f"/deployments/{answer['deployment_id']}"))["image_digest"] == TWO


async def test_an_update_stays_at_the_digest_of_before_while_the_registry_is_away(world: Any, admin: Any) -> None:
    await _deployed(world, admin)
    world.registry.images = {"web:1": ImageUnresolved("it is away")}
    status, answer = await admin.send("PUT", "/apps/web", APP | {"env": {"A": "1"}})
    assert (status, answer["warnings"]) == (200, [f"image web:1 stays at {ONE}: it is away"])
    assert (await admin.get(f"/deployments/{answer['deployment_id']}"))["image_digest"] == ONE


async def test_a_deployment_asks_for_the_image_that_it_is_given(world: Any, admin: Any) -> None:
    await _deployed(world, admin)
    world.registry.images = {"web:1": TWO}
    for body, digest, asked in (
        ({"replicas": 3}, ONE, []),
        ({"environment": {"A": "1"}}, ONE, []),
        ({"image": "web:1"}, TWO, ["web:1"]),
        ({"image": "web:1", "resolve_image": False}, None, []),
        ({"image": "web:1", "image_digest": ONE}, ONE, []),
    ):
        world.registry.asked.clear()
        status, answer = await admin.send("POST", "/deployments", {"app_name": "web", **body})
        assert (status, world.registry.asked) == (201, asked), body
        assert (await admin.get(f"/deployments/{answer['id']}"))["image_digest"] == digest, body
    status, error = await admin.send("POST", "/deployments", {"app_name": "web", "image_digest": ONE})
    assert (status, error["message"]) == (400, "image_digest: expected image with it")


async def test_hooks_and_variants_are_asked_for_with_each_deployment(world: Any, admin: Any) -> None:
    """Those of the app's own strategy, too: it goes on to say which image, and not which one that was once."""
    hooks = {"hooks": {"pre": {"command": "migrate", "image": "migrate:1"}}}
    await _deployed(world, admin, replicas=2, update_strategy={"type": "rolling-update", **hooks})
    world.registry.images = {"migrate:1": ONE, "web:2": TWO}
    for strategy in (None, {"type": "canary", **hooks}):
        world.registry.asked.clear()
        status, answer = await admin.send("POST", "/deployments", {"app_name": "web", "strategy": strategy})
        assert (status, world.registry.asked) == (201, ["migrate:1"])
        told = (await admin.get(f"/deployments/{answer['id']}"))["strategy"]["hooks"]["pre"]
        assert (told["image"], told["image_digest"]) == ("migrate:1", ONE)
    assert "image_digest" not in (await admin.get("/apps/web"))["update_strategy"]["hooks"]["pre"]
    test = {"type": "ab-testing", "variants": [{"image": "web:2", "percentage": 50}]}
    _, answer = await admin.send("POST", "/deployments", {"app_name": "web", "strategy": test})
    (variant,) = (await admin.get(f"/deployments/{answer['id']}"))["strategy"]["variants"]
    assert (variant["image"], variant["image_digest"]) == ("web:2", TWO)


async def test_scaling_and_restarting_ask_nothing(world: Any, admin: Any) -> None:
    await _deployed(world, admin)
    assert (await admin.send("POST", "/scale", {"name": "web", "replicas": 3}))[0] == 200
    assert (await admin.send("POST", "/restart", {"name": "web"}))[0] == 200
    assert (world.registry.asked, (await admin.get("/apps/web"))["image_digest"]) == ([], ONE)


async def test_a_job_is_asked_for_when_it_is_made_and_changed(world: Any, admin: Any) -> None:
    job = {"name": "report", "image": "web:1", "schedule": "@daily"}
    world.registry.images = {"web:1": ONE}
    assert (await admin.send("POST", "/jobs", job))[0] == 201
    assert (await admin.get("/jobs/report"))["image_digest"] == ONE
    world.registry.images = {"web:1": TWO}
    assert (await admin.send("POST", "/jobs/report/trigger"))[0] == 201
    assert {item["image_digest"] for item in (await admin.get("/containers"))["containers"]} == {ONE}
    assert (await admin.send("PUT", "/jobs/report", job))[0] == 200
    assert (await admin.get("/jobs/report"))["image_digest"] == TWO
    world.registry.images = {"web:1": ImageUnresolved("it is away")}
    _, answer = await admin.send("PUT", "/jobs/report", job)
    assert answer["warnings"] == [f"image web:1 stays at {TWO}: it is away"]
    assert world.registry.asked == ["web:1"] * 3


async def test_nothing_is_pinned_until_all_nodes_know_of_digests(make_world: Any, make_client: Any) -> None:
    """Or a rolling upgrade would refuse every deploy (409): an older node cannot read the field."""
    world = make_world()
    await world.found()
    admin = make_client(world, await world.login())
    world.registry.images = {"web:1": ONE}
    status, answer = await admin.send("POST", "/deploy", APP)
    assert (status, answer["warnings"][0].rpartition(": ")[2]) == (201, "not all nodes are upgraded")
    assert (await admin.get("/apps/web"))["image_digest"] is None
