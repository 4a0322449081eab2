"""Services of their own, and how services are balanced (issue 6)."""

from __future__ import annotations

from typing import Any

import pytest


async def test_a_service_of_its_own_comes_and_goes(admin: Any) -> None:
    own = {
        "name": "own.local",
        "ports": [{"port": 80, "target_port": 8000, "host_port": 9000}],
        "endpoints": [{"ip_address": "192.0.2.1", "weight": 3}, {"ip_address": "192.0.2.2", "port": 8001}],
        "load_balancing_strategy": "weighted-round-robin",
    }
    assert (await admin.send("POST", "/services", own))[0] == 201
    assert (await admin.send("POST", "/services", own))[0] == 409
    shown = await admin.get("/services/own.local")
    assert [(each["ip_address"], each["port"], each["container_id"]) for each in shown["endpoints"]] == [
        ("192.0.2.1", 8000, None),
        ("192.0.2.2", 8001, None),
    ]
    assert shown["virtual_ip"].startswith("10.245.")
    assert shown["ports"] == own["ports"]
    status, error = await admin.send(
        "POST", "/deploy", {"name": "web", "image": "x", "ports": [{"container_port": 80, "host_port": 9000}]}
    )
    assert (status, error["message"]) == (409, "host_port 9000/tcp is published by service 'own.local' already")
    assert (await admin.send("DELETE", "/services/own.local"))[0] == 200
    assert (await admin.send("DELETE", "/services/own.local"))[0] == 404


async def test_an_apps_service_is_balanced_as_said_and_goes_with_it(admin: Any) -> None:
    await admin.send("POST", "/deploy", {"name": "web", "image": "x", "ports": [{"container_port": 80}]})
    change = {"prefer": "local", "session_affinity": "client-ip", "session_timeout": "5m", "proxy_protocol": "v2"}
    assert (await admin.send("PUT", "/services/web", change))[0] == 200
    shown = await admin.get("/services/web")
    assert {key: shown[key] for key in change} == change
    assert shown["load_balancing_strategy"] == "round-robin"
    assert [port["port"] for port in shown["ports"]] == [80]
    status, error = await admin.send("DELETE", "/services/web")
    assert (status, error["message"]) == (409, "service 'web' is that of web: it goes with its last app")


async def test_weights_come_with_a_strategy_that_has_them_or_after_it(admin: Any) -> None:
    split: dict[str, Any] = {"name": "split", "weights": {"blue": 9, "green": 1}}
    status, error = await admin.send("POST", "/services", split)
    assert (status, error["message"].partition(":")[0]) == (400, "weights")
    assert (await admin.send("POST", "/services", {**split, "load_balancing_strategy": "random"}))[0] == 201
    assert (await admin.send("PUT", "/services/split", {"weights": {"blue": 1}}))[0] == 200
    assert (await admin.send("PUT", "/services/split", {"load_balancing_strategy": "round-robin"}))[0] == 200
    assert (await admin.get("/services/split"))["weights"] == {"blue": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "expected at least one of load_balancing_strategy"),
        ({"load_balancing_strategy": "best"}, "load_balancing_strategy"),
        ({"weights": {"web": 1001}}, "weights"),
        ({"weights": {"web": 2}}, "weights: expected load_balancing_strategy weighted-round-robin"),
        ({"endpoints": [{"ip_address": "192.0.2.1", "weight": 2}]}, "endpoints[0].weight: expected"),
        ({"session_timeout": "soon"}, "session_timeout"),
        ({"endpoints": [{"ip_address": "10.245.0.1"}]}, "endpoints[0].ip_address"),
        ({"health_check": {"protocol": "carrier-pigeon"}}, "health_check.protocol"),
    ],
)
async def test_bad_settings_are_named_and_change_nothing(admin: Any, change: dict[str, Any], message: str) -> None:
    await admin.send("POST", "/deploy", {"name": "web", "image": "x"})
    before = await admin.get("/services/web")
    status, error = await admin.send("PUT", "/services/web", change)
    assert status == 400
    assert message in error["message"]
    assert await admin.get("/services/web") == before
