"""The keys of the gossip: ``/api/cluster/keys`` (issue 3, "Keyring")."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from api.deps import KeyRoundIncomplete, KeyRoundRefused

OLD = "aa" * 8
KEY = bytes(range(32))


async def test_keys_are_listed_by_fingerprint_with_who_has_them(admin: Any, world: Any) -> None:
    world.keys.rings = {"node-1": ["b", "a"], "node-2": ["a", "b"], "node-3": ["a"]}
    world.keys.failed = {"node-4": "no answer"}
    listed = await admin.get("/cluster/keys")
    assert listed["total"] == 2
    unanswered = ["node-4"]
    assert listed["keys"] == [
        {
            "fingerprint": "a",
            "in_use": True,
            "used_by": ["node-2", "node-3"],
            "held_by": ["node-1", "node-2", "node-3"],
            "unanswered": unanswered,
        },
        {
            "fingerprint": "b",
            "in_use": True,
            "used_by": ["node-1"],
            "held_by": ["node-1", "node-2"],
            "unanswered": unanswered,
        },
    ]


async def test_a_key_is_installed_used_and_the_old_one_removed(admin: Any, world: Any) -> None:
    status, made = await admin.send("POST", "/cluster/keys", {"key": base64.b64encode(KEY).decode()})
    assert (status, made["fingerprint"]) == (201, KEY.hex()[:16])
    assert (await admin.send("POST", f"/cluster/keys/{made['fingerprint']}/use"))[0] == 200
    assert (await admin.send("DELETE", f"/cluster/keys/{OLD}"))[0] == 200
    assert world.keys.rings == {"node-1": [made["fingerprint"]], "node-2": [made["fingerprint"]]}
    assert (await admin.send("POST", "/cluster/rotate-keys"))[1]["fingerprint"] == "bb" * 8


async def test_without_a_key_one_is_made(admin: Any) -> None:
    one, other = [(await admin.send("POST", "/cluster/keys"))[1]["fingerprint"] for _ in range(2)]
    assert one != other


@pytest.mark.parametrize("key", ["", "short", base64.b64encode(KEY[:31]).decode(), "=" * 44, "ü" * 44, 7])
async def test_what_is_no_key_is_refused_by_name(admin: Any, world: Any, key: Any) -> None:
    status, error = await admin.send("POST", "/cluster/keys", {"key": key})
    assert (status, error["code"]) == (400, "invalid_request")
    assert "key" in error["message"]
    assert world.keys.rings == {"node-1": [OLD], "node-2": [OLD]}


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (KeyRoundRefused("node-2: install the key before using it"), 409, "resource_conflict"),
        (KeyRoundIncomplete("node-2: no answer"), 503, "unavailable"),
    ],
)
async def test_a_round_that_fails_says_at_whom(admin: Any, world: Any, fault: Any, status: int, code: str) -> None:
    world.keys.fault = fault
    for method, path in (
        ("POST", "/cluster/keys"),
        ("POST", f"/cluster/keys/{OLD}/use"),
        ("DELETE", f"/cluster/keys/{OLD}"),
        ("POST", "/cluster/rotate-keys"),
    ):
        got, error = await admin.send(method, path)
        assert (got, error["code"], error["message"]) == (status, code, str(fault))


async def test_an_unknown_key_is_not_found(admin: Any) -> None:
    assert (await admin.send("POST", "/cluster/keys/cc/use"))[0] == 404
