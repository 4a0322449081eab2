"""Who may do what: a matrix over the whole route table, so that a new route is in it by itself."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from msgspec.structs import replace

from api.auth import api_keys
from api.route import NAMESPACED, Access, Route, RouteTableError, check
from api.routes import all_routes
from consensus import commands
from consensus.model.access import OwnRole, Permission
from consensus.model.user import ApiKey, Role

ROUTES = all_routes()
LEVEL = {"vera": Access.VIEW, "olga": Access.OPERATE, "admin": Access.ADMIN}
SCOPED = OwnRole(name="scoped", permissions=[Permission("*", "*", "namespace/ours")], created_at_s=0.0)


def concrete(route: Route) -> str:
    return route.path.replace("{", "").replace("}", "")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_matrix(world: Any, make_client: Any, route: Route) -> None:
    world.containers.lines = []
    public = route.access is Access.PUBLIC
    body: dict[str, Any] | None = None if route.body is None else {}

    async def status(headers: dict[str, str]) -> int:
        # HEAD finds the same answer as GET without starting a stream.
        method = "HEAD" if route.method == "GET" else route.method
        answer = await world.app.test_client().open(
            "/api" + concrete(route), method=method, headers=headers, **({} if body is None else {"json": body})
        )
        assert answer.headers["X-Hivemind-Leader"] == world.cluster.leader_id
        assert answer.headers["X-Hivemind-Index"].isdecimal()
        return int(answer.status_code)

    expired = await world.login("admin")
    world.clock.now_s += 25 * 3600
    revoked = await world.login("admin")
    assert (await make_client(world, revoked).send("POST", "/auth/logout"))[0] == 200
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Nonsense x"}, expired, revoked):
        assert public or await status(headers) == 401
    for name, access in LEVEL.items():
        got = await status(await world.login(name))
        assert got != 401 or public
        assert (got == 403) is (access < route.access and not public), (name, got)
    # What a permission for one namespace does to what is in another: test_scopes.
    await world.propose(commands.CreateRole(SCOPED))
    await world.propose(commands.UpdateUser(user_id="vera", role=SCOPED.name))
    got = await status(await world.login("vera"))
    assert (got == 403) is (route.access > Access.SELF and route.need.resource not in NAMESPACED), got


def test_a_route_that_does_not_say_who_may_use_it_is_refused() -> None:
    route = ROUTES[0]
    with pytest.raises(RouteTableError, match="does not say"):
        check([replace(route, access=None)])
    with pytest.raises(RouteTableError, match="twice"):
        check([route, route])
    with pytest.raises(RouteTableError, match="anybody"):
        check([replace(route, access=Access.PUBLIC)])


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


async def test_a_node_that_never_heard_from_a_leader_does_not_call_credentials_wrong(
    world: Any, make_client: Any
) -> None:
    """A daemon that was just started has an empty replica, or an old one; 401 would make clients log out."""
    world.cluster.last_leader_contact_s = None
    good = await world.login("vera")
    assert (await make_client(world, good).send("GET", "/apps"))[0] == 200
    for headers in (basic("vera", "wrong"), basic("nobody", "x"), {"Authorization": "Bearer nonsense"}):
        assert (await make_client(world, headers).send("GET", "/apps"))[0] == 503
    assert (await make_client(world, {}).send("GET", "/apps"))[0] == 401


async def test_basic_costs_one_slow_hash_until_the_password_changes(world: Any, make_client: Any) -> None:
    client = make_client(world, basic("vera", "vera-password"))
    for _ in range(5):
        await client.get("/apps")
    assert world.hasher.verified == 1
    await world.propose(commands.UpdateUser(user_id="vera", password_hash="plain:other"))
    assert (await client.send("GET", "/apps"))[0] == 401
    world.clock.now_s += 61
    assert (await make_client(world, basic("vera", "wrong")).send("GET", "/apps"))[0] == 401
    assert (await make_client(world, basic("nobody", "wrong")).send("GET", "/apps"))[0] == 401
    assert world.hasher.verified == 4


@pytest.mark.parametrize("credentials", ["dmVyYQ==", "no base64", "ü", "/w=="])
async def test_credentials_that_cannot_be_read_are_none(world: Any, make_client: Any, credentials: str) -> None:
    status, error = await make_client(world, {"Authorization": f"Basic {credentials}"}).send("GET", "/apps")
    assert (status, error["code"]) == (401, "authentication_failed")


async def test_an_unauthenticated_answer_says_how(make_client: Any, world: Any) -> None:
    status, body, headers = await make_client(world, {}).request("GET", "/apps")
    assert (status, body["error"]["code"]) == (401, "authentication_failed")
    assert "Basic" in headers["WWW-Authenticate"]


async def test_login_and_logout_as_in_the_reference(world: Any, make_client: Any) -> None:
    client = make_client(world, {})
    status, data = await client.send("POST", "/auth/login", {"username": "vera", "password": "vera-password"})
    assert status == 200
    assert data["user_id"] == data["username"] == "vera"
    assert data["expires_at"] == "2025-06-16T15:06:40Z"
    signed_in = make_client(world, {"Authorization": f"Bearer {data['token']}"})
    await signed_in.get("/apps")
    assert await signed_in.send("POST", "/auth/logout") == (200, {"message": "Logged out successfully"})
    assert (await signed_in.send("GET", "/apps"))[0] == 401
    status, error = await client.send("POST", "/auth/login", {"username": "vera", "password": "wrong"})
    assert (status, error["code"]) == (401, "authentication_failed")


async def test_api_keys(world: Any, make_client: Any) -> None:
    olga = make_client(world, await world.login("olga"))
    status, made = await olga.send("POST", "/auth/api-keys", {"name": "ci", "role": "viewer", "expires_in": "1h"})
    assert status == 201
    assert made["key"].startswith(api_keys.PREFIX)
    assert made["key"].encode() not in world.machine.freeze()()
    by_key = make_client(world, {"Authorization": f"Bearer {made['key']}"})
    await by_key.get("/apps")
    assert (await by_key.send("POST", "/restart", {"name": "x"}))[0] == 403
    assert (await olga.send("POST", "/auth/api-keys", {"name": "more", "role": "admin"}))[0] == 403
    assert [key["name"] for key in (await olga.get("/auth/api-keys"))["api_keys"]] == ["ci"]
    vera = make_client(world, await world.login("vera"))
    assert (await vera.get("/auth/api-keys"))["total"] == 0
    assert (await vera.send("DELETE", f"/auth/api-keys/{made['id']}"))[0] == 404
    broken = make_client(world, {"Authorization": f"Bearer {made['key']}x"})
    assert (await broken.send("GET", "/apps"))[0] == 401
    world.clock.now_s += 3601
    assert (await by_key.send("GET", "/apps"))[0] == 401
    olga = make_client(world, await world.login("olga"))
    assert (await olga.send("DELETE", f"/auth/api-keys/{made['id']}"))[0] == 200


async def test_a_key_can_do_no_more_than_who_made_it_can_now(world: Any, make_client: Any) -> None:
    key_id, shown, secret_hash = api_keys.mint()
    key = ApiKey(id=key_id, name="k", secret_hash=secret_hash, role=Role.OPERATOR, created_by="olga", created_at_s=0.0)
    await world.propose(commands.CreateApiKey(key=key))
    client = make_client(world, {"Authorization": f"Bearer {shown}"})
    assert (await client.send("POST", "/restart", {"name": "x"}))[0] == 404
    await world.propose(commands.UpdateUser(user_id="olga", role=Role.VIEWER))
    assert (await client.send("POST", "/restart", {"name": "x"}))[0] == 403


async def test_users(world: Any, make_client: Any, admin: Any) -> None:
    body = {"username": "nina", "password": "nina-password", "role": "operator"}
    status, made = await admin.send("POST", "/users", body)
    assert (status, made["id"]) == (201, "nina")
    assert (await admin.send("POST", "/users", body))[0] == 409
    assert (await admin.send("POST", "/users", {**body, "username": "x", "password": "short"}))[0] == 400
    listed = (await admin.get("/users?role=operator"))["users"]
    assert [user["id"] for user in listed] == ["nina", "olga"]
    assert "password" not in str(listed)
    nina = make_client(world, await world.login("nina"))
    change = {"password": "another-password", "current_password": "nina-password"}
    assert (await nina.send("PUT", "/users/olga/password", change))[0] == 403
    assert (await nina.send("PUT", "/users/nina/password", {**change, "current_password": "no"}))[0] == 403
    assert (await nina.send("PUT", "/users/nina/password", change))[0] == 200
    assert (await nina.send("GET", "/apps"))[0] == 401
    assert (await admin.send("PUT", "/users/nina/role", {"role": "admin"}))[0] == 200
    assert (await admin.get("/users/nina"))["role"] == "admin"
    assert (await admin.send("DELETE", "/users/nina"))[0] == 200
    status, error = await admin.send("DELETE", "/users/admin")
    assert (status, error["code"]) == (409, "resource_conflict")
