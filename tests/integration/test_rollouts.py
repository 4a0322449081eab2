"""Issue 5, bars 3 and 4: rollouts under requests, and with the leader killed in the middle, on real daemons."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from tests.support.apps import containers, delete, deploy
from tests.support.cluster import Cluster
from tests.support.leaders import leader, wait_whole
from tests.support.waiting import wait_until

ROLLOUTS = int(os.environ.get("HIVEMIND_ROLLOUTS", "4"))
"""The bars ask for 20: scripts/rollouts."""
KILLS = int(os.environ.get("HIVEMIND_ROLLOUT_KILLS", "2"))
HOST_PORT = 18471
ENDED = ("completed", "rolled_back", "failed")
NOT_YET = (httpx2.TransportError,)
STRATEGIES: list[dict[str, Any]] = [
    {"type": "rolling-update", "max_surge": 1, "monitor": "500ms"},
    {"type": "blue-green", "keep_old": "1s"},
]
HOOKS = {"pre": {"command": "sleep 0.3", "retries": 2}, "post": {"command": "sleep 0.3", "retries": 2}}
KILLED: list[dict[str, Any]] = [
    *STRATEGIES,
    {"type": "rolling-update", "max_surge": 1, "monitor": "500ms", "hooks": HOOKS},
    {"type": "canary", "steps": [34, 67], "interval": "300ms", "hooks": HOOKS},
    {"type": "blue-green", "keep_old": "1s", "hooks": HOOKS},
]


def _app(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "hivemind/whoami", "replicas": 3, "ports": [{"container_port": 80}], **more}


class Requests:
    """How constant requests through a published port fared."""

    def __init__(self) -> None:
        self.good = 0
        self.bad: list[str] = []
        self._ended = threading.Event()

    @contextmanager
    def running(self, cluster: Cluster) -> Iterator[None]:
        threads = [threading.Thread(target=self._ask, args=(node.address,)) for node in cluster.nodes]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()

    def _ask(self, address: str) -> None:
        # A connection for each request: each is balanced anew.
        limits = httpx2.Limits(max_keepalive_connections=0)
        client = httpx2.Client(timeout=10.0, trust_env=False, verify=False, limits=limits)
        while not self._ended.is_set():
            try:
                answer = client.get(f"http://{address}:{HOST_PORT}/")
                if answer.status_code == 200:
                    self.good += 1
                else:
                    self.bad.append(str(answer.status_code))
            except httpx2.HTTPError as error:
                self.bad.append(repr(error))
            time.sleep(0.01)
        client.close()


def _change(cluster: Cluster, number: int, app: str, tag: str, strategy: dict[str, Any]) -> str:
    body = {"app_name": app, "environment": {"TAG": tag}, "strategy": strategy}
    with cluster.client(number, timeout_s=30) as client:
        answer = client.post("/api/deployments", json=body)
        assert answer.status_code == 201, answer.text
        deployment_id = str(answer.json()["data"]["id"])
        answer = client.post(f"/api/deployments/{deployment_id}/execute")
        assert answer.status_code == 200, answer.text
    return deployment_id


def _wait_ended(cluster: Cluster, number: int, deployment_id: str, timeout_s: float = 120.0) -> str:
    seen: dict[str, Any] = {}

    def ended() -> bool:
        with cluster.client(number, timeout_s=30) as client:
            answer = client.get(f"/api/deployments/{deployment_id}/status")
            seen.update(answer.json()["data"] if answer.status_code == 200 else {})
        return seen.get("status") in ENDED

    wait_until(ended, timeout_s, f"{deployment_id} ends; {seen}", errors=NOT_YET, poll_s=0.2)
    return str(seen["status"])


def _tags(cluster: Cluster, number: int, app: str) -> set[str]:
    tags = set()
    with cluster.client(number, timeout_s=30) as client:
        for item in containers(cluster, number, app):
            answer = client.get(f"/api/containers/{item['id']}")
            if answer.status_code == 200 and item["status"] == "running":
                tags.add(answer.json()["data"]["environment"].get("TAG", ""))
    return tags


@pytest.mark.timeout(900)
def test_no_request_fails_while_an_app_is_rolled_out_again_and_again(
    three: Cluster, figure: Callable[[str], None]
) -> None:
    deploy(three, 1, _app("steady", ports=[{"container_port": 80, "host_port": HOST_PORT}]))
    requests = Requests()

    def answers() -> bool:
        return all(
            httpx2.get(f"http://{node.address}:{HOST_PORT}/", trust_env=False, verify=False).status_code == 200
            for node in three.nodes
        )

    wait_until(answers, 30.0, "the port answers at every node", errors=NOT_YET)
    with requests.running(three):
        for turn in range(ROLLOUTS):
            deployment_id = _change(three, 1 + turn % 3, "steady", str(turn), STRATEGIES[turn % len(STRATEGIES)])
            assert _wait_ended(three, 1, deployment_id) == "completed"
    figure(f"issue 5, bar 3: {ROLLOUTS} rollouts, {requests.good} requests answered, {len(requests.bad)} failed")
    delete(three, 1, "steady")
    assert not requests.bad, requests.bad[:5]
    assert requests.good > 10 * ROLLOUTS


@pytest.mark.timeout(1800)
def test_a_rollout_ends_when_the_leader_is_killed_at_any_step(three: Cluster, figure: Callable[[str], None]) -> None:
    deploy(three, 1, _app("killed"))
    ends: list[str] = []
    for seed in range(KILLS):
        rng = random.Random(seed)
        wait_whole(three)
        chief = leader(three)
        other = next(node.number for node in three.nodes if node is not chief)
        strategy = KILLED[seed % len(KILLED)]
        deployment_id = _change(three, other, "killed", f"k{seed}", strategy)
        time.sleep(rng.uniform(0.0, 2.5))
        chief.kill9()
        ends.append(_wait_ended(three, other, deployment_id))
        chief.start()
        wait_whole(three)

        def one_version(other: int = other) -> bool:
            shown = containers(three, other, "killed")
            whole = len(shown) == 3 and all(item["status"] == "running" for item in shown)
            return whole and len(_tags(three, other, "killed")) == 1

        wait_until(one_version, 60.0, f"seed {seed}: one version, three replicas", errors=NOT_YET, poll_s=0.3)
    figure(f"issue 5, bar 4: leader killed in {KILLS} rollouts: {', '.join(sorted(ends))}")
    assert set(ends) <= {"completed", "rolled_back"}
    delete(three, 1, "killed")


def test_hooks_run_once_and_their_output_is_kept(three: Cluster) -> None:
    deploy(three, 1, _app("hooked"))

    def change(tag: str, **hooks: Any) -> dict[str, Any]:
        strategy = {"type": "rolling-update", "monitor": "100ms", "hooks": hooks}
        deployment_id = _change(three, 2, "hooked", tag, strategy)
        _wait_ended(three, 3, deployment_id)
        with three.client(3) as client:
            found: dict[str, Any] = client.get(f"/api/deployments/{deployment_id}").json()["data"]
        return found

    done = change("good", pre={"command": "echo migrating $TAG"}, post={"command": ["echo", "done"]})
    assert done["status"] == "completed"
    assert [(hook["name"], hook["status"]) for hook in done["hooks"]] == [("pre", "succeeded"), ("post", "succeeded")]
    assert _tags(three, 1, "hooked") == {"good"}
    with three.client(1) as client:
        logs = client.get(f"/api/containers/{done['hooks'][0]['containers'][0]}/logs").json()["data"]["logs"]
    assert "migrating good" in logs
    failed = change("bad", pre={"command": "echo no way; exit 7"}, rollback={"command": "echo back"})
    assert (failed["status"], failed["message"]) == ("rolled_back", "the pre hook failed: exited with code 7")
    assert [hook["status"] for hook in failed["hooks"]] == ["failed", "succeeded"]
    assert _tags(three, 1, "hooked") == {"good"}
    with three.client(1) as client:
        alerts = {alert["id"] for alert in client.get("/api/alerts").json()["data"]["alerts"]}
    assert alerts == {"rollout-failed.hooked"}
    delete(three, 1, "hooked")
