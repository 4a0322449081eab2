"""Labels and names that tell our containers and volumes from everybody else's.

Several daemons, of one cluster or of several, may share an engine: only what names our cluster and our node is
ours to touch.
"""

from __future__ import annotations

from collections.abc import Mapping

CLUSTER = "hivemind.cluster"
NODE = "hivemind.node"
APP = "hivemind.app"
TASK = "hivemind.task"
VOLUME = "hivemind.volume"


def own_labels(cluster_id: str, node_id: str) -> dict[str, str]:
    """What everything of this node carries; also the filter to list and follow it by."""
    return {CLUSTER: cluster_id, NODE: node_id}


def is_own(labels: Mapping[str, str], cluster_id: str, node_id: str) -> bool:
    return labels.get(CLUSTER) == cluster_id and labels.get(NODE) == node_id


def container_name(task_id: str) -> str:
    """Task ids are unique for all time, so a name that is taken is a container of the same task."""
    return f"hivemind-{task_id}"


def volume_name(cluster_id: str, node_id: str, name: str) -> str:
    """The engine's name for a named volume: nodes that share an engine do not share their volumes."""
    return f"hivemind-{cluster_id[:12]}-{node_id}-{name}"
