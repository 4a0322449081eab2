"""Deployments, updates and history: api_reference.md, "Deployments"; issue 5, "Rollouts"."""

from __future__ import annotations

from typing import Any

import pytest

REFERENCE: dict[str, Any] = {
    "app_name": "web",
    "image": "nginx:2",
    "replicas": 3,
    "strategy": {"type": "blue-green", "verification_timeout": 60},
    "environment": {"ENV_VAR1": "value1", "ENV_VAR2": "value2"},
    "labels": {"app": "web", "environment": "production"},
}


async def _create(admin: Any, **changed: Any) -> str:
    status, data = await admin.send("POST", "/deployments", {**REFERENCE, **changed})
    assert status == 201, data
    return str(data["id"])


async def test_the_references_deployment_is_answered_as_it_says(admin: Any, world: Any) -> None:
    await world.deploy("web")
    status, created = await admin.send("POST", "/deployments", REFERENCE)
    assert status == 201
    deployment_id = created["id"]
    assert created == {"id": deployment_id, "app_name": "web", "message": "Deployment created successfully"}
    detail = await admin.get(f"/deployments/{deployment_id}")
    assert {name: detail[name] for name in REFERENCE} == REFERENCE
    assert (detail["status"], detail["created_at"], detail["completed_at"]) == ("pending", "2025-06-15T15:06:40Z", None)
    (item,) = (await admin.get("/deployments"))["deployments"]
    assert (item["strategy"], item["replicas"], item["image"]) == ("blue-green", 3, "nginx:2")
    progress = await admin.get(f"/deployments/{deployment_id}/status")
    assert progress == {
        "id": deployment_id,
        "status": "pending",
        "current_step": 0,
        "total_steps": 2,
        "current_replicas": 0,
        "target_replicas": 3,
        "message": "Not executed yet",
    }
    assert await admin.send("POST", f"/deployments/{deployment_id}/execute") == (
        200,
        {"id": deployment_id, "message": "Deployment execution started"},
    )
    progress = await admin.get(f"/deployments/{deployment_id}/status")
    assert (progress["status"], progress["current_step"], progress["current_replicas"]) == ("in_progress", 1, 0)
    told = "Deploying new containers: 0 of 3 new replicas healthy"
    (item,) = (await admin.get("/deployments"))["deployments"]
    detail, app = await admin.get(f"/deployments/{deployment_id}"), await admin.get("/apps/web")
    assert {progress["message"], item["message"], detail["message"], app["deployment_message"]} == {told}
    assert await admin.send("POST", f"/deployments/{deployment_id}/rollback") == (
        200,
        {"id": deployment_id, "message": "Deployment rollback started"},
    )
    assert (await admin.get(f"/deployments/{deployment_id}/status"))["status"] == "rolling_back"


async def test_the_list_is_filtered_and_paged(admin: Any, world: Any) -> None:
    await world.deploy("web")
    await world.deploy("api")
    first = await _create(admin)
    await _create(admin, app_name="api")
    await admin.send("POST", f"/deployments/{first}/execute")
    for query, expected in (
        ("", 2),
        ("?app_name=api", 1),
        ("?status=in_progress", 1),
        ("?status=failed", 0),
        ("?app_name=web&status=in_progress", 1),
    ):
        answer = await admin.get(f"/deployments{query}")
        assert (len(answer["deployments"]), answer["total"]) == (expected, expected), query
    answer = await admin.get("/deployments?limit=1&offset=1")
    assert (len(answer["deployments"]), answer["total"]) == (1, 2)


async def test_what_is_not_there_and_what_is_under_way(admin: Any, world: Any) -> None:
    await world.deploy("web")
    status, error = await admin.send("POST", "/deployments", {**REFERENCE, "app_name": "none"})
    assert (status, error["code"]) == (404, "resource_not_found")
    for method, path in (
        ("GET", ""),
        ("GET", "/status"),
        ("POST", "/execute"),
        ("POST", "/rollback"),
        ("POST", "/promote"),
    ):
        status, error = await admin.send(method, f"/deployments/none{path}")
        assert (status, error["code"]) == (404, "resource_not_found"), path
    first, second = await _create(admin), await _create(admin)
    await admin.send("POST", f"/deployments/{first}/execute")
    for path in (f"/deployments/{first}/execute", f"/deployments/{second}/execute"):
        status, error = await admin.send("POST", path)
        assert (status, error["code"]) == (409, "resource_conflict"), path
    status, error = await admin.send("PUT", "/apps/web", {"name": "web", "image": "x"})
    assert (status, error["code"]) == (409, "resource_conflict")
    assert first in error["message"]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (
            {"type": "sideways"},
            "strategy.type: expected one of simple, rolling-update, blue-green, canary, ab-testing, got 'sideways'",
        ),
        (
            {"type": "rolling-update", "order": "sideways"},
            "strategy.order: expected one of start-first, stop-first, got 'sideways'",
        ),
        (
            {"type": "rolling-update", "max_surge": 10**30},
            "strategy.max_surge: expected a number of replicas or percents such as 25%, got 10000000000000000000…",
        ),
        (
            {"type": "blue-green", "keep_old": 10**30},
            "strategy.keep_old: expected a hundred years at most, got 1000000000000000000000000000000",
        ),
        (
            {"type": "ab-testing", "variants": [{"image": "a b", "percentage": 50}]},
            "strategy.variants[0].image: expected the name of an image such as nginx:1.27, got 'a b'",
        ),
        ({"type": "canary", "percentage": 0}, "strategy.percentage: expected `int` >= 1"),
        ({"type": "simple", "steps": 3}, "strategy.steps: unknown field"),
        (
            {"type": "rolling-update", "max_surge": "lots"},
            "strategy.max_surge: expected a number of replicas or percents such as 25%, got 'lots'",
        ),
        ({"type": "ab-testing"}, "strategy.variants: required, but missing"),
        (
            {"type": "blue-green", "keep_old": "later"},
            "strategy.keep_old: expected a duration such as 30s, 5m or 250ms, got 'later'",
        ),
    ],
)
async def test_a_wrong_strategy_is_named_by_its_field(admin: Any, world: Any, strategy: Any, expected: str) -> None:
    await world.deploy("web")
    status, error = await admin.send("POST", "/deployments", {**REFERENCE, "strategy": strategy})
    assert (status, error["code"], error["message"]) == (400, "invalid_request", expected)


async def test_an_ab_test_is_no_way_to_an_image_that_is_given(admin: Any, world: Any) -> None:
    """An update to, or a rollback to, one image deployed the images of the variants."""
    await world.deploy("web")
    strategy = {"type": "ab-testing", "variants": [{"image": "a", "percentage": 50}]}
    told = "expected another than ab-testing: a test names its own images, so POST /deployments begins each"
    body = {"name": "web", "image": "nginx:2", "update_strategy": strategy}
    status, error = await admin.send("PUT", "/apps/web", body)
    assert (status, error["message"]) == (400, f"update_strategy: {told}")
    status, error = await admin.send("POST", "/apps/web/rollback", {"strategy": strategy})
    assert (status, error["message"]) == (400, f"strategy: {told}")


async def test_an_update_is_a_rolling_deployment(admin: Any, world: Any) -> None:
    await world.deploy("web")
    status, data = await admin.send("PUT", "/apps/web", {"name": "web", "image": "nginx:2", "replicas": 2})
    assert (status, data["name"], data["message"]) == (200, "web", "Application update started")
    detail = await admin.get(f"/deployments/{data['deployment_id']}")
    assert (detail["status"], detail["strategy"], detail["image"]) == (
        "in_progress",
        {"type": "rolling-update"},
        "nginx:2",
    )
    status, error = await admin.send("PUT", "/apps/none", {"name": "none", "image": "x"})
    assert status == 404
    status, error = await admin.send("PUT", "/apps/web", {"name": "other", "image": "x"})
    assert (status, error["message"]) == (400, "name: expected 'web', as in the path, got 'other'")


async def test_the_history_and_the_way_back(admin: Any, world: Any) -> None:
    await world.deploy("web", replicas=0, running=False)
    (entry,) = (await admin.get("/apps/web/history"))["revisions"]
    assert (entry["number"], entry["image"], entry["current"]) == (1, "nginx:latest", True)
    assert entry["spec"] == {"name": "web", "image": "nginx:latest", "replicas": 0}
    status, error = await admin.send("POST", "/apps/web/rollback", {"to": 7})
    assert (status, error["message"]) == (404, "app 'web' has no revision 7; there are: 1")
    status, error = await admin.send("POST", "/apps/web/rollback")
    assert status == 404
    status, data = await admin.send("POST", "/apps/web/rollback", {"to": 1})
    assert (status, data["message"]) == (200, "Rollback to revision 1 started")
