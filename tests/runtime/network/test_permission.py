"""Who may reach whom: the proxy's judgement, and Kubernetes' semantics of policies."""

from __future__ import annotations

from typing import Any

import pytest

from consensus import commands as c
from runtime.network.permission import Gate
from runtime.network.routes import Backend
from tests.runtime.network.nft.overlay_state import overlay_cluster, policy, serve

WEB, DB, OTHER = "10.244.0.2", "10.244.1.2", "10.244.1.3"
OUTSIDE = "192.0.2.7"
OF_WEB = {"selector": {"labels": {"app": "web"}}}


@pytest.mark.parametrize(
    ("policies", "allowed"),
    [
        ([], {(OUTSIDE, "web"), (DB, "web"), (WEB, "db"), (OTHER, "db")}),
        ([{**OF_WEB}], {(WEB, "db"), (OTHER, "db")}),
        ([{**OF_WEB, "ingress_rules": [{}]}], {(OUTSIDE, "web"), (DB, "web"), (WEB, "db"), (OTHER, "db")}),
        (
            [{**OF_WEB, "ingress_rules": [{"from": [{"ip_block": "192.0.2.0/24"}]}]}],
            {(OUTSIDE, "web"), (WEB, "db"), (OTHER, "db")},
        ),
        (
            [
                {**OF_WEB, "ingress_rules": [{"from": [{"selector": {"labels": {"app": "db"}}}]}]},
                {**OF_WEB, "name": "q", "ingress_rules": [{"from": [{"ip_block": "192.0.2.7/32"}]}]},
            ],
            {(OUTSIDE, "web"), (DB, "web"), (WEB, "db"), (OTHER, "db")},
        ),
        (
            [
                {
                    **OF_WEB,
                    "egress_rules": [{"from": [{"selector": {"labels": {"app": "other"}}}]}],
                    "policy_types": ["egress"],
                }
            ],
            {(OUTSIDE, "web"), (DB, "web"), (OTHER, "db")},
        ),
        ([{**OF_WEB, "ingress_rules": [{"ports": [{"port_min": 81, "port_max": 90}]}]}], {(WEB, "db"), (OTHER, "db")}),
        (
            [{**OF_WEB, "ingress_rules": [{"ports": [{"port_min": 70, "port_max": 90}]}]}],
            {(OUTSIDE, "web"), (DB, "web"), (WEB, "db"), (OTHER, "db")},
        ),
        ([{**OF_WEB, "ingress_rules": [{"ports": [{"protocol": "udp"}]}]}], {(WEB, "db"), (OTHER, "db")}),
        ([{"selector": {}, "policy_types": ["ingress", "egress"]}], set()),
    ],
)
def test_what_a_policy_lets_pass(policies: list[dict[str, Any]], allowed: set[tuple[str, str]]) -> None:
    feed = overlay_cluster()
    targets = {
        "web": Backend(serve(feed, "web", {WEB: "n1"})[0], "n1", 80, WEB, 80),
        "db": Backend(serve(feed, "db", {DB: "n2"})[0], "n2", 80, DB, 80),
    }
    serve(feed, "other", {OTHER: "n2"})
    for fields in policies:
        feed.accepted(c.CreateNetworkPolicy(policy(**fields)))
    gate = Gate("n1")
    asked = [(OUTSIDE, "web"), (DB, "web"), (WEB, "db"), (OTHER, "db")]
    assert {pair for pair in asked if gate.allows(feed.state, pair[0], targets[pair[1]], "tcp")} == allowed
    assert gate.allows(feed.state, "127.0.0.1", targets["web"], "tcp")
    assert gate.allows(feed.state, feed.state.nodes["n1"].facts.address, targets["web"], "tcp")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"ingress_rules": [{"from": [{}]}]}, "ingress_rules[0].from[0]"),
        ({"ingress_rules": [{"from": [{"ip_block": "web"}]}]}, "ingress_rules[0].from[0].ip_block"),
        ({"egress_rules": [{"ports": [{"port_min": 9, "port_max": 8}]}]}, "egress_rules[0].ports[0].port_max"),
        ({"egress_rules": [{"ports": [{"protocol": "icmp", "port_min": 9}]}]}, "egress_rules[0].ports[0].port_min"),
        ({"ingress_rules": [{}], "policy_types": ["egress"]}, "policy_types"),
        (
            {"egress_rules": [{"to": [{"ip_block": "10.0.0.0/8"}], "from": [{"ip_block": "10.0.0.0/8"}]}]},
            "egress_rules[0]",
        ),
    ],
)
def test_what_makes_no_sense_is_named(fields: dict[str, Any], path: str) -> None:
    assert [where for where, _ in policy(**fields).problems()] == [path]
