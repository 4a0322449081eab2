"""What holds for every operation: credentials, codes, lists, versions, rate limits (the reference's chapters)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2

from api import errors
from api.deps import Settings
from tests.conformance.checks import refused
from tests.conformance.shapes import TIMESTAMP
from tests.conformance.world import APP, LINES, World, lines_of
from tests.support.cluster import API_PORT, Cluster


def _problems(found: Iterator[str]) -> None:
    problems = list(found)
    assert not problems, "\n".join(problems)


def test_the_base_url(world: World) -> None:
    assert API_PORT == 4483
    assert world.ask("GET", "/health").json()["success"] is True
    with httpx2.Client(base_url=world.cluster.node(1).url, trust_env=False, verify=False) as client:
        assert client.get("/health").status_code == 404


# -- authentication


def test_an_api_key_authenticates(world: World) -> None:
    key = world.data("POST", "/auth/api-keys", body={"name": "conformance", "role": "viewer"})
    for _ in world.clients:
        assert world.ask("GET", "/apps", token=key["key"]).status_code == 200
    world.data("DELETE", f"/auth/api-keys/{key['id']}")
    for _ in world.clients:
        _problems(refused(world.ask("GET", "/apps", token=key["key"]), 401, "authentication_failed", "", "revoked"))


def test_basic_credentials_authenticate(world: World) -> None:
    for client in world.clients:
        good = client.get("/apps", auth=("admin", world.admin_password))
        assert good.status_code == 200
    bad = world.clients[0].get("/apps", auth=("admin", "not it"))
    _problems(refused(bad, 401, "authentication_failed", "", "a wrong password"))


def test_a_token_is_good_at_every_node_until_logout(world: World) -> None:
    token = world.log_in("admin", world.admin_password)
    for _ in world.clients:
        assert world.ask("GET", "/apps", token=token).status_code == 200
    assert world.ask("POST", "/auth/logout", token=token).status_code == 200
    for _ in world.clients:
        _problems(refused(world.ask("GET", "/apps", token=token), 401, "authentication_failed", "", "logged out"))


# -- codes


def test_the_codes_have_their_statuses(world: World) -> None:
    """The six codes of the reference with its statuses; five are met here, an internal error has to be made."""
    app = f"/apps/{APP}"
    _problems(refused(world.ask("POST", "/scale", body={}), 400, "invalid_request", "", "nothing"))
    _problems(refused(world.ask("GET", app, token=None), 401, "authentication_failed", "", "nobody"))
    _problems(refused(world.ask("DELETE", app, token=world.viewer_token), 403, "permission_denied", "", "a viewer"))
    _problems(refused(world.ask("GET", "/apps/nope"), 404, "resource_not_found", "nope", "no app"))
    again = {"name": APP, "image": "busybox"}
    _problems(refused(world.ask("POST", "/deploy", body=again), 409, "resource_conflict", APP, "twice"))
    unforeseen = errors.translate(RuntimeError("secret"))
    assert (unforeseen.status, unforeseen.code) == (500, "internal_error")
    assert "secret" not in unforeseen.message


def test_an_unknown_path_and_a_wrong_method_are_told_apart(world: World) -> None:
    _problems(refused(world.ask("GET", "/nothing/here"), 404, "resource_not_found", "", "an unknown path"))
    wrong = world.ask("DELETE", "/apps")
    _problems(refused(wrong, 405, "method_not_allowed", "", "a wrong method"))
    assert wrong.headers["Allow"]


# -- lists


def test_pagination(world: World) -> None:
    """As in the reference: both `total` and `pagination`, whose offsets are null where there is no page."""
    data = world.data("GET", "/containers", params={"app": APP, "limit": "1", "offset": "1"})
    assert len(data["containers"]) == 1
    assert data["total"] == 3
    assert data["pagination"] == {"total": 3, "limit": 1, "offset": 1, "next_offset": 2, "prev_offset": 0}
    data = world.data("GET", "/containers", params={"app": APP, "limit": "10", "offset": "20"})
    assert data["containers"] == []
    assert data["pagination"] == {"total": 3, "limit": 10, "offset": 20, "next_offset": None, "prev_offset": 10}


def test_filtering(world: World) -> None:
    params = {"status": "running", "node": world.node_id, "app": APP}
    containers = world.data("GET", "/containers", params=params)["containers"]
    assert {(each["status"], each["node_id"], each["app"]) for each in containers} == {("running", world.node_id, APP)}


def test_sorting(world: World) -> None:
    params = {"sort": "created_at", "order": "desc"}
    times = [each["created_at"] for each in world.data("GET", "/containers", params=params)["containers"]]
    assert times == sorted(times, reverse=True)


def test_field_selection(world: World) -> None:
    containers = world.data("GET", "/containers", params={"fields": "id,name,status"})["containers"]
    assert {tuple(each) for each in containers} == {("id", "name", "status")}
    containers = world.data("GET", "/containers", params={"fields": "id,ports.host_port", "app": APP})["containers"]
    assert containers[0]["ports"] == [{"host_port": world.host_port}]


# -- logs


def test_log_parameters(world: World) -> None:
    path = f"/containers/{world.container_id}/logs"
    lines = [f"line {number}" for number in range(1, LINES + 1)]
    assert world.data("GET", path)["logs"].splitlines() == lines
    assert world.data("GET", path, params={"tail": "2"})["logs"].splitlines() == lines[-2:]
    assert world.data("GET", path, params={"tail": "0"})["logs"] == ""
    assert world.data("GET", path, params={"until": "2025-06-01T12:00:00Z"})["logs"] == ""
    assert world.data("GET", path, params={"since": "2025-06-01T12:00:00Z"})["logs"].splitlines() == lines
    assert world.data("GET", path, params={"since": str(time.time() + 60)})["logs"] == ""
    for name in ("since", "until"):
        bad = world.ask("GET", path, params={name: "yesterday"})
        _problems(refused(bad, 400, "invalid_request", name, name))


def test_logs_are_followed_from_every_node(world: World) -> None:
    for client in world.clients:
        headers = {"Authorization": f"Bearer {world.token}"}
        params = {"follow": "true", "tail": "3"}
        with client.stream("GET", f"/containers/{world.container_id}/logs", params=params, headers=headers) as answer:
            assert answer.status_code == 200
            with closing(lines_of(answer)) as lines:
                assert [next(lines) for _ in range(3)] == ["line 3", "line 4", "line 5"]


# -- versions


def test_the_version_that_there_is(world: World) -> None:
    answer = world.ask("GET", "/apps", headers={"Accept": "application/json; version=1.0"})
    assert answer.status_code == 200


def test_an_unknown_version_is_refused(world: World) -> None:
    answer = world.ask("GET", "/apps", headers={"Accept": "application/json; version=9.9"})
    assert answer.status_code == 406
    assert "1.0" in answer.json()["error"]["message"]


# -- rate limits


def test_rate_limiting(tmp_path: Path) -> None:
    """The defaults are the reference's; the headers count down, and what is too much gets 429."""
    defaults = Settings(version="")
    assert (defaults.requests_per_ip_per_minute, defaults.requests_per_user_per_hour) == (100, 1000)
    options = ["--rate-limit", "100/minute,1000/hour"]
    with Cluster(data_dir=tmp_path, nodes=1, options=options) as cluster, cluster.client(1) as client:
        answer = client.get("/api/health")
        assert answer.headers["X-RateLimit-Limit"] == "100"
        left = int(answer.headers["X-RateLimit-Remaining"])
        assert 0 < left < 100
        assert int(answer.headers["X-RateLimit-Reset"]) >= 0
        for expected in range(left - 1, -1, -1):
            answer = client.get("/api/health")
            assert (answer.status_code, answer.headers["X-RateLimit-Remaining"]) == (200, str(expected))
        answer = client.get("/api/health")
        _problems(refused(answer, 429, "rate_limit_exceeded", "Rate limit exceeded. Try again in", "one too many"))
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.headers["X-RateLimit-Remaining"] == "0"


def test_timestamps_are_utc(world: World) -> None:
    assert TIMESTAMP.fullmatch(world.data("GET", f"/apps/{APP}")["created_at"])
