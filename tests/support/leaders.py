"""Finding the leader of a cluster of real daemons, and waiting until it can bear a loss again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx2

from tests.support.cluster import Cluster, Node
from tests.support.waiting import wait_until

NOT_YET = (httpx2.TransportError,)


def status(cluster: Cluster, number: int) -> dict[str, Any]:
    """What node `number` says of the cluster; empty while it does not answer with it."""
    with cluster.client(number) as client:
        answer = client.get("/api/cluster")
        data: dict[str, Any] = answer.json()["data"] if answer.status_code == 200 else {}
        return data


def leader(cluster: Cluster, numbers: Sequence[int] | None = None, timeout_s: float = 30.0) -> Node:
    """The node that all of `numbers` (default: all nodes) take for the leader."""
    asked = numbers or [node.number for node in cluster.nodes]

    def agreed() -> Node | None:
        names = {status(cluster, number).get("leader") for number in asked}
        found = [node for node in cluster.nodes if names == {node.name} and node.is_running()]
        return found[0] if found else None

    return wait_until(agreed, timeout_s, f"nodes {asked} agree on a leader", errors=NOT_YET)  # type: ignore[return-value]


def followers(cluster: Cluster) -> list[Node]:
    chief = leader(cluster)
    return [node for node in cluster.nodes if node is not chief]


def wait_voters(cluster: Cluster, numbers: Sequence[int], timeout_s: float = 60.0) -> None:
    """Wait until exactly the nodes of `numbers` vote, as each of them says: then each may be lost."""
    names = sorted(cluster.node(number).name for number in numbers)

    def voting() -> bool:
        return all(status(cluster, number).get("voters") == names for number in numbers)

    wait_until(voting, timeout_s, f"{names} are the voters", errors=NOT_YET, poll_s=0.2)


def catch_up(cluster: Cluster) -> None:
    """Let every node apply all that was acknowledged until now: its own view follows the leader's a moment later."""
    for node in cluster.nodes:
        with cluster.client(node.number, timeout_s=30) as client:
            answer = client.get("/api/cluster", params={"consistent": "true"})
            assert answer.status_code == 200, answer.text


def wait_whole(cluster: Cluster, timeout_s: float = 60.0) -> None:
    """Wait until every node is ready everywhere and votes."""
    numbers = [node.number for node in cluster.nodes]
    cluster.wait_ready(numbers, timeout_s)
    wait_voters(cluster, numbers, timeout_s)
