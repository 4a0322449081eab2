"""Own roles, groups, the audit log, and keys that rotate."""

from __future__ import annotations

from typing import Any

from consensus.model.audit import REMEMBERED


async def test_an_own_role_allows_what_it_says_and_no_more(world: Any, admin: Any, make_client: Any) -> None:
    role = {"name": "scaler", "permissions": [{"verb": "update", "resource": "apps"}]}
    assert (await admin.send("POST", "/roles", role))[0] == 201
    body = {"username": "sam", "password": "sam-password", "role": "scaler"}
    assert (await admin.send("POST", "/users", body))[0] == 201
    sam = make_client(world, await world.login("sam"))
    await world.deploy("web")
    assert (await sam.send("POST", "/scale", {"name": "web", "replicas": 1}))[0] == 200
    status, error = await sam.send("GET", "/apps")
    assert (status, error["code"]) == (403, "permission_denied")
    assert error["message"] == "this needs permission apps:read, which role viewer has; sam has role scaler"
    reading = {"permissions": [*role["permissions"], {"verb": "read", "resource": "*", "scope": "namespace/default"}]}
    assert (await admin.send("PUT", "/roles/scaler", reading))[0] == 200
    assert (await sam.send("GET", "/apps"))[0] == 200
    # Nodes belong to no namespace.
    assert (await sam.send("GET", "/nodes"))[0] == 403
    assert (await admin.send("DELETE", "/roles/scaler"))[0] == 409
    assert (await admin.send("DELETE", "/users/sam"))[0] == 200
    assert (await admin.send("DELETE", "/roles/scaler"))[0] == 200


async def test_a_permission_of_another_namespace_is_none_here(world: Any, admin: Any, make_client: Any) -> None:
    permission = {"verb": "*", "resource": "*", "scope": "namespace/finance"}
    await admin.send("POST", "/roles", {"name": "finance", "permissions": [permission]})
    await admin.send("POST", "/users", {"username": "fay", "password": "fay-password", "role": "finance"})
    await world.deploy("web")
    fay = make_client(world, await world.login("fay"))
    assert (await fay.get("/apps"))["total"] == 0
    assert (await fay.send("GET", "/apps/web"))[0] == 403


async def test_groups_add_their_roles(world: Any, admin: Any, make_client: Any) -> None:
    vera = make_client(world, await world.login("vera"))
    assert (await vera.send("POST", "/restart", {"name": "x"}))[0] == 403
    group = {"name": "ops", "roles": ["operator"], "members": ["vera"]}
    assert (await admin.send("POST", "/groups", group))[0] == 201
    assert (await vera.send("POST", "/restart", {"name": "x"}))[0] == 404
    assert (await admin.get("/users/vera"))["groups"] == ["ops"]
    assert (await admin.send("PUT", "/groups/ops", {"roles": ["operator"], "members": []}))[0] == 200
    assert (await vera.send("POST", "/restart", {"name": "x"}))[0] == 403
    assert (await admin.send("PUT", "/groups/ops", {"roles": ["nothing"], "members": []}))[0] == 400
    assert (await admin.send("POST", "/groups", {"name": "x", "members": ["nobody"]}))[0] == 400
    assert [g["name"] for g in (await admin.get("/groups"))["groups"]] == ["ops"]
    assert (await admin.send("DELETE", "/groups/ops"))[0] == 200


async def test_roles_are_checked(admin: Any) -> None:
    bad = {"name": "x", "permissions": [{"verb": "frob", "resource": "apps", "scope": "galaxy"}]}
    status, error = await admin.send("POST", "/roles", bad)
    assert status == 400
    assert "permissions[0].verb" in error["message"]
    assert "permissions[0].scope" in error["message"]
    assert (await admin.send("POST", "/roles", {"name": "admin", "permissions": []}))[0] == 409
    assert (await admin.send("PUT", "/roles/admin", {"permissions": []}))[0] == 409
    assert (await admin.send("POST", "/users", {"username": "u", "password": "password", "role": "none"}))[0] == 400
    assert [role["name"] for role in (await admin.get("/roles?built_in=true"))["roles"]] == [
        "viewer",
        "operator",
        "admin",
    ]
    assert (await admin.get("/roles/viewer"))["built_in"] is True


async def test_the_audit_log_tells_who_did_what_from_where_and_how_it_ended(
    world: Any, admin: Any, make_client: Any
) -> None:
    await admin.send("POST", "/deploy", {"name": "web", "image": "x"})
    await admin.send("POST", "/deploy", {"name": "web", "image": "x"})
    vera = make_client(world, await world.login("vera"))
    await vera.send("DELETE", "/apps/web")
    await make_client(world, {}).send("POST", "/auth/login", {"username": "eve", "password": "guess"})
    await world.app.journal.flush()
    records = (await admin.get("/audit"))["records"]
    told = {(r["user_id"], r["action"], r["target"], r["outcome"]) for r in records}
    assert ("admin", "POST /deploy", "/deploy", "done") in told
    assert ("admin", "POST /deploy", "/deploy", "conflict") in told
    assert ("vera", "DELETE /apps/{app_name}", "/apps/web", "permission_denied") in told
    assert ("vera", "POST /auth/login", "/auth/login", "done") in told
    assert ("eve", "password", "", "authentication_failed") in told
    assert {r["address"] for r in records} == {"<local>"}
    assert [r["id"] for r in records] == sorted((r["id"] for r in records), reverse=True)
    assert (await admin.get("/audit?user=vera&outcome=permission_denied"))["total"] == 1
    assert (await vera.send("GET", "/audit"))[0] == 403


async def test_the_audit_log_is_bounded_and_survives_a_snapshot(world: Any, admin: Any) -> None:
    for _ in range(30):
        for _ in range(400):
            world.app.journal.note(user_id="u", address="a", action="x", target="", outcome="done")
        await world.app.journal.flush()
    audit = world.machine.state.audit
    assert len(audit) == REMEMBERED
    number = world.machine.state.next_audit_number
    world.machine.restore(world.machine.freeze()())
    assert world.machine.state.audit == audit
    assert world.machine.state.next_audit_number == number


async def test_an_api_keys_last_use_is_told(world: Any, admin: Any, make_client: Any) -> None:
    _, made = await admin.send("POST", "/auth/api-keys", {"name": "ci"})
    assert made["last_used"] is None
    await make_client(world, {"Authorization": f"Bearer {made['key']}"}).get("/apps")
    await world.app.journal.flush()
    assert (await admin.get("/auth/api-keys"))["api_keys"][0]["last_used"] == "2025-06-15T15:06:40Z"


async def test_token_keys_rotate(world: Any, admin: Any, make_client: Any) -> None:
    old = world.token_key
    assert (await admin.send("POST", "/auth/rotate-keys"))[0] == 200
    cluster = world.machine.state.cluster
    world.token_key, world.previous_token_key = cluster.token_key_sealed, old
    assert len(world.token_key) == 32
    await admin.get("/apps")
    newer = make_client(world, await world.login())
    world.previous_token_key = None
    assert (await admin.send("GET", "/apps"))[0] == 401
    await newer.get("/apps")
