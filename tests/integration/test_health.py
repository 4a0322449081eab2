"""Issue 5, "Health checks and restarts" and "Nodes", on real daemons and processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.apps import NOT_YET, Sleeper, containers, delete, deploy, wait_running
from tests.support.cluster import Cluster
from tests.support.leaders import catch_up
from tests.support.waiting import wait_until

SERVER = "exec python3 -m http.server $PORT --bind $HIVEMIND_ADDRESS"


def _get(cluster: Cluster, path: str, number: int = 1) -> Any:
    with cluster.client(number, timeout_s=30) as client:
        answer = client.get(f"/api{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


def _until(what: str, check: Callable[[], bool], timeout_s: float = 30.0) -> None:
    wait_until(check, timeout_s, what, errors=NOT_YET, poll_s=0.1)


def _alerts(cluster: Cluster) -> dict[str, str]:
    return {alert["id"]: alert["severity"] for alert in _get(cluster, "/alerts")["alerts"]}


def test_an_unhealthy_replica_is_restarted_and_its_history_tells_why(three: Cluster) -> None:
    """It answers from a file that is gone after a while; a restart brings it back."""
    body = {
        "name": "sick",
        "image": "x",
        "replicas": 1,
        "command": ["sh", "-c", f"touch ok; (sleep 1; rm ok) & {SERVER}"],
        "ports": [{"container_port": 80}],
        "health_check": {"http": {"path": "/ok"}, "interval": "300ms", "timeout": "1s", "retries": 2},
        "stop_grace_period": "1s",
        "drain_timeout": "0s",
    }
    (container_id,) = deploy(three, 1, body)
    catch_up(three)
    owner = containers(three, 1, "sick")[0]["node_id"]
    asked = next(node.number for node in three.nodes if node.name != owner)
    health: dict[str, Any] = {}

    def restarted() -> bool:
        health.update(_get(three, f"/health/container/{container_id}", asked))
        return bool(health["restart_count"] >= 1 and health["status"] == "healthy")

    _until("it is restarted and healthy again", restarted)
    seen = [(entry["status"], entry["message"]) for entry in reversed(health["health_history"])]
    words = [word for word, _ in seen]
    for first, second in (("healthy", "degraded"), ("degraded", "unhealthy"), ("unhealthy", "failed")):
        assert words.index(first) < words.index(second), seen
    assert "healthy" in words[words.index("failed") :], seen
    told = dict(seen)
    assert told["unhealthy"] == "GET /ok: status 404"
    assert told["failed"] == "unhealthy: GET /ok: status 404"
    delete(three, 1, "sick")


def test_what_ends_too_often_is_given_up_and_alerted_until_it_is_deleted(three: Cluster) -> None:
    restart = {"policy": "on-failure", "max_attempts": 2, "backoff": "100ms"}
    done = {"name": "done", "image": "x", "replicas": 1, "command": ["true"], "restart": restart}
    deploy(three, 2, done, running=False)
    deploy(three, 2, {**done, "name": "crash", "command": ["sh", "-c", "exit 3"]}, running=False)
    catch_up(three)

    def shown(app: str) -> tuple[str, int, str]:
        (item,) = containers(three, 3, app)
        return item["status"], item["restart_count"], item["message"]

    given_up = ("failed", 2, "exited with code 3; given up after 2 restarts")
    _until("it is given up", lambda: shown("crash") == given_up)
    _until("the other is done", lambda: shown("done") == ("completed", 0, "exited with code 0"))
    _until("there is an alert", lambda: _alerts(three).get("app-failing.crash") == "critical")
    assert "app-failing.done" not in _alerts(three)
    assert _get(three, "/health")["alerts"]["critical"] == 1
    delete(three, 1, "crash")
    delete(three, 1, "done")
    _until("the alert is resolved", lambda: not _alerts(three))


def test_a_services_check_takes_replicas_out_and_lets_them_in_again(three: Cluster) -> None:
    body = {"name": "probed", "image": "hivemind/whoami", "replicas": 2, "ports": [{"container_port": 80}]}
    deploy(three, 1, body)

    def check(**target: Any) -> None:
        given = {**target, "interval": "200ms", "timeout": "1s", "unhealthy_threshold": 2}
        with three.client(2) as client:
            answer = client.put("/api/services/probed", json={"health_check": given})
            assert answer.status_code == 200, answer.text

    def endpoints() -> int:
        return len({endpoint["container_id"] for endpoint in _listed(three, "probed")})

    check(protocol="http", path="/health")
    assert endpoints() == 2
    check(protocol="tcp", port=9)
    _until("nobody gets requests", lambda: endpoints() == 0)
    shown = _get(three, "/services/probed")["endpoints"]
    assert [endpoint["health"] for endpoint in shown] == ["unhealthy"] * 2
    check(protocol="http", path="/health")
    _until("both get requests", lambda: endpoints() == 2)
    assert [item["restart_count"] for item in containers(three, 1, "probed")] == [0, 0]
    delete(three, 1, "probed")


def _listed(cluster: Cluster, service: str) -> list[dict[str, Any]]:
    services = {item["name"]: item for item in _get(cluster, "/services")["services"]}
    found: list[dict[str, Any]] = services[service]["endpoints"]
    return found


def test_an_app_starts_after_the_one_that_it_depends_on(three: Cluster) -> None:
    deploy(three, 1, Sleeper("after").body(1, depends_on=[{"app": "first"}]), running=False)
    catch_up(three)

    def waits(words: str) -> bool:
        (item,) = containers(three, 2, "after")
        return str(item["message"]) == words

    _until("it waits", lambda: waits("waits for app first, which does not exist"))
    slow = {"command": "sleep 1", "interval": "500ms", "timeout": "5s"}
    deploy(three, 1, Sleeper("first").body(1, health_check=slow), running=False)
    _until("it says what it waits for", lambda: waits("waits for app first (0 of 1 healthy)"))
    wait_running(three, 2, "after", 1)
    for name in ("first", "after"):
        delete(three, 1, name)


def test_a_drain_moves_first_and_a_node_that_has_tasks_is_not_removed(three: Cluster) -> None:
    sleeper = Sleeper("moved")
    deploy(three, 1, sleeper.body(3))
    node = three.node(3).name
    with three.client(1) as client:
        assert client.delete(f"/api/nodes/{node}").status_code == 409
    assert three.cli(1, "node", "label", node, "zone=a").returncode == 0
    assert three.cli(1, "node", "taint", node, "full=yes:PreferNoSchedule").returncode == 0
    detail = _get(three, f"/nodes/{node}")
    assert detail["labels"]["zone"] == "a"
    assert detail["taints"] == [{"key": "full", "value": "yes", "effect": "PreferNoSchedule"}]
    done = three.cli(2, "node", "drain", node, "--wait", "--timeout", "60")
    assert done.returncode == 0, done.stderr
    assert _get(three, f"/nodes/{node}")["drain"] == {"total": 1, "done": 1, "remaining": []}
    assert len([item for item in containers(three, 1, "moved") if item["status"] == "running"]) == 3
    with three.client(2) as client:
        changes = {"labels": {"zone": None}, "remove_taints": [{"key": "full"}]}
        assert client.patch(f"/api/nodes/{node}/labels", json=changes).status_code == 200
        assert client.post(f"/api/nodes/{node}/maintenance", json={"enable": False}).status_code == 200
    detail = _get(three, f"/nodes/{node}")
    assert (detail["labels"], detail["taints"], detail["status"], detail["drain"]) == ({}, [], "ready", None)
    delete(three, 1, "moved")


def test_bad_checks_are_refused_by_their_field(three: Cluster) -> None:
    with three.client(1) as client:
        body = {"name": "bad", "image": "x", "health_check": {"http": {"path": "/"}}}
        answer = client.post("/api/deploy", json=body)
        assert answer.status_code == 400
        assert "health_check.http.port" in answer.json()["error"]["message"]
        answer = client.patch(
            f"/api/nodes/{three.node(1).name}/labels", json={"add_taints": [{"key": "a", "effect": "x"}]}
        )
        assert answer.status_code == 400
        assert "add_taints[0].effect" in answer.json()["error"]["message"]
