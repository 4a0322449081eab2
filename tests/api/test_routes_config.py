"""Settings of the whole cluster, over the API."""

from __future__ import annotations

from typing import Any


async def test_all_settings_are_listed_with_what_may_be_set(admin: Any) -> None:
    found = {one["key"]: one for one in (await admin.get("/config"))["settings"]}
    assert found["scheduler.memory_overcommit_ratio"] == {
        "key": "scheduler.memory_overcommit_ratio",
        "value": 1.2,
        "default": 1.2,
        "expected": "a number from 0.1 to 100",
        "description": "how much memory may be requested of a node, as a multiple of what it has",
        "set_at": None,
    }


async def test_one_is_set_and_unset(admin: Any) -> None:
    path = "/config/scheduler.rebalance_threshold"
    assert (await admin.send("PUT", path, {"value": 0.3}))[0] == 200
    found = await admin.get(path)
    assert (found["value"], found["default"]) == (0.3, 0.2)
    assert found["set_at"]
    status, error = await admin.send("PUT", path, {"value": 30})
    assert status == 400
    assert error["message"] == "scheduler.rebalance_threshold: expected a number from 0.01 to 1, got 30"
    assert (await admin.get(path))["value"] == 0.3
    assert (await admin.send("DELETE", path))[0] == 200
    assert (await admin.send("DELETE", path))[0] == 200
    assert (await admin.get(path))["value"] == 0.2


async def test_an_unknown_setting_is_not_found(admin: Any) -> None:
    assert (await admin.send("PUT", "/config/scheduler.nope", {"value": 1}))[0] == 404
    assert (await admin.send("GET", "/config/scheduler.nope"))[0] == 404
    assert (await admin.send("DELETE", "/config/scheduler.nope"))[0] == 404


async def test_only_admins_set(world: Any, make_client: Any) -> None:
    operator = make_client(world, await world.login("olga"))
    assert (await operator.get("/config/scheduler.strategy"))["value"] == "WorstFit"
    assert (await operator.send("PUT", "/config/scheduler.strategy", {"value": "BestFit"}))[0] == 403
