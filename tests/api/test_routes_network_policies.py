"""Network policies: as the reference shows them, made, replaced and deleted (issue 6)."""

from __future__ import annotations

from typing import Any

import pytest

PATH = "/security/network-policies"
WEB_TO_DB = {
    "name": "web-to-db",
    "selector": {"labels": {"app": "web"}},
    "ingress_rules": [
        {"ports": [{"protocol": "TCP", "port_min": 80, "port_max": 80}], "from": [{"ip_block": "10.244.2.0/24"}]}
    ],
    "egress_rules": [
        {
            "ports": [{"protocol": "TCP", "port_min": 5432, "port_max": 5432}],
            "from": [{"selector": {"labels": {"app": "db"}}}],
        }
    ],
    "encryption_required": False,
    "traffic_logging": True,
}


async def test_the_references_policy_is_kept_as_it_was_given(admin: Any) -> None:
    assert (await admin.send("POST", PATH, WEB_TO_DB))[0] == 201
    assert (await admin.send("POST", PATH, WEB_TO_DB))[0] == 409
    (shown,) = (await admin.get(PATH))["policies"]
    assert {key: shown[key] for key in WEB_TO_DB} == WEB_TO_DB
    assert shown["policy_types"] == ["ingress", "egress"]
    await admin.send("POST", "/deploy", {"name": "web", "image": "x", "replicas": 2})
    assert len((await admin.get(f"{PATH}/web-to-db"))["containers"]) == 2
    assert (await admin.send("PUT", f"{PATH}/web-to-db", {"selector": {}}))[0] == 200
    shown = await admin.get(f"{PATH}/web-to-db")
    assert (shown["ingress_rules"], shown["policy_types"], shown["traffic_logging"]) == ([], ["ingress"], False)
    assert (await admin.send("PUT", f"{PATH}/other", {}))[0] == 404
    assert (await admin.send("DELETE", f"{PATH}/web-to-db"))[0] == 200
    assert (await admin.send("DELETE", f"{PATH}/web-to-db"))[0] == 404


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encryption_required": True}, "encryption_required: traffic between containers is not encrypted"),
        ({"ingress_rules": [{"from": [{"ip_block": "10.0.0.1/8"}]}]}, "ingress_rules[0].from[0].ip_block"),
        ({"ingress_rules": [{"ports": [{"port_min": 0}]}]}, "ingress_rules[0].ports[0].port_min"),
        ({"ingress_rules": [{"to": []}]}, "ingress_rules[0]"),
        ({"policy_types": ["sideways"]}, "policy_types"),
    ],
)
async def test_a_bad_policy_is_named_and_not_made(admin: Any, change: dict[str, Any], message: str) -> None:
    status, error = await admin.send("POST", PATH, {"name": "bad", **change})
    assert status == 400
    assert message in error["message"]
    assert (await admin.get(PATH))["policies"] == []
