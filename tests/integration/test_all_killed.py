"""Issue 2, bar 4: kill -9 all daemons at once and start them again."""

from __future__ import annotations

import os
import signal
from typing import Any

import trio

from tests.support.apps import Sleeper, containers, deploy, wait_running
from tests.support.cluster import Cluster
from tests.support.event_clients import listed
from tests.support.leaders import wait_whole
from tests.support.waiting import wait_until

SAME = ("id", "node_id", "engine_id", "status", "restart_count", "started_at", "created_at")


def shown(cluster: Cluster, number: int, app: str) -> list[dict[str, Any]]:
    return [{key: item[key] for key in SAME} for item in containers(cluster, number, app)]


async def test_all_state_is_there_and_what_kept_running_was_adopted(three: Cluster) -> None:
    in_thread = trio.to_thread.run_sync
    app = Sleeper("adopted")
    await in_thread(deploy, three, 2, app.body(6))
    mounted = Sleeper("mounted").body(1, volumes=[{"name": "kept", "mount_path": "/data"}])
    await in_thread(deploy, three, 1, mounted)
    before, pids = shown(three, 2, "adopted"), app.processes()
    assert len(pids) == 6
    assert {item["node_id"] for item in before} == {node.name for node in three.nodes}
    with three.client(1) as client:
        key = client.post("/api/auth/api-keys", json={"name": "ci"}).json()["data"]["key"]
        assert client.post("/api/volumes/create", json={"name": "mine"}).status_code == 201
    last_id = (await listed(three, 1))[-1][0]

    for node in three.nodes:
        node.kill9()
    assert app.processes() == pids
    for node in three.nodes:
        node.start()
    await in_thread(wait_whole, three)

    for node in three.nodes:
        await in_thread(wait_running, three, node.number, "adopted", 6)
        assert shown(three, node.number, "adopted") == before
        with three.client(node.number) as client:
            volumes = {item["name"] for item in client.get("/api/volumes").json()["data"]["volumes"]}
            assert {"kept", "mine"} <= volumes
            as_key = {"Authorization": f"Bearer {key}"}
            assert client.get("/api/apps", headers=as_key, auth=None).status_code == 200
    assert app.processes() == pids
    # The agents have reported by now: a write at each node goes through after what they had to say.
    scaled = await in_thread(deploy, three, 3, Sleeper("after").body(3))
    assert len(scaled) == 3
    for number in (1, 2, 3):
        since = [event for event in await listed(three, number, last_id) if event[1].startswith("container_")]
        assert not [event for event in since if event[2]["app"] != "after"]
    assert app.processes() == pids


async def test_a_task_that_died_meanwhile_is_started_again_in_its_place(three: Cluster) -> None:
    in_thread = trio.to_thread.run_sync
    app = Sleeper("died")
    await in_thread(deploy, three, 1, app.body(3))
    ids = {item["id"] for item in containers(three, 1, "died")}
    for node in three.nodes:
        node.kill9()
    victim = next(iter(app.processes()))
    os.kill(victim, signal.SIGKILL)
    for node in three.nodes:
        node.start()
    await in_thread(wait_whole, three)

    def again() -> bool:
        items = containers(three, 2, "died")
        restarts = sum(item["restart_count"] for item in items)
        return restarts == 1 and all(item["status"] == "running" for item in items)

    await in_thread(lambda: wait_until(again, 60, "the dead task runs again"))
    assert {item["id"] for item in containers(three, 2, "died")} == ids
    assert len(app.processes()) == 3
    assert victim not in app.processes()
