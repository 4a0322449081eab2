"""Global apps on real daemons (issue 5): one replica on each node, and none where a node drains."""

from __future__ import annotations

import httpx2
import pytest

from tests.support.apps import containers, delete
from tests.support.cluster import Cluster
from tests.support.waiting import wait_until

NOT_YET = (httpx2.TransportError,)


@pytest.mark.soak
def test_each_node_has_one_and_a_draining_node_none(three: Cluster) -> None:
    body = {"name": "agent", "image": "hivemind/whoami", "mode": "global"}
    names = sorted(node.name for node in three.nodes)
    with three.client(2, timeout_s=30) as client:
        assert client.post("/api/deploy", json=body).status_code == 201

        def on(expected: list[str]) -> None:
            def reached() -> bool:
                shown = containers(three, 3, "agent")
                running = sorted(str(item["node_id"]) for item in shown if item["status"] == "running")
                return running == expected and len(shown) == len(expected)

            wait_until(reached, 60, f"agent runs on {expected}", errors=NOT_YET, poll_s=0.2)

        on(names)
        refused = client.post("/api/scale", json={"name": "agent", "replicas": 1})
        assert (refused.status_code, "global" in refused.text) == (409, True)
        drain = {"enable": True, "drain": True}
        assert client.post(f"/api/nodes/{names[0]}/maintenance", json=drain).status_code == 200
        on(names[1:])
        assert client.post(f"/api/nodes/{names[0]}/maintenance", json={"enable": False}).status_code == 200
        on(names)
    delete(three, 1, "agent")
