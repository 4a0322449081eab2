"""A cluster of two nodes with an overlay, and apps whose replicas have addresses in it."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from consensus import commands as c
from consensus.model.app_spec import Port
from consensus.model.network import IPV6, Capability, OverlayMode, OverlayReport, OverlayStatus
from consensus.model.network_policy import NetworkPolicy
from consensus.model.task import Health, TaskState, TaskStatus
from tests.consensus.making import ADMIN, CLUSTER, Feed, facts, spec


def overlay_cluster() -> Feed:
    feed = Feed()
    for number in (1, 2):
        about = replace(facts(number), overlay=OverlayMode.VXLAN)
        feed.accepted(c.AddNode(f"n{number}", about), c.StartNode(f"n{number}", boot_id="b", facts=about))
    return feed


def second_addresses(feed: Feed) -> None:
    """Gives the cluster a range of IPv6, and each container an address of it beside its own."""
    feed.accepted(c.FoundCluster(CLUSTER, ADMIN), c.ExtendOverlay("fd12::/48", ipv6=True))
    told = OverlayReport(OverlayStatus.CONNECTED, "", (Capability(IPV6, True, "the kernel's"),))
    feed.accepted(*(c.ReportOverlay(name, "b", told) for name in ("n1", "n2")))
    for task in list(feed.state.tasks.values()):
        assert task.status.ip_address is not None
        _, _, subnet, host = task.status.ip_address.split(".")
        feed.report(replace(task.status, ip6_address=f"fd12:0:0:{subnet}::{host}"), task.id)


def serve(feed: Feed, app: str, places: dict[str, str], *, port: int = 80, host_port: int | None = None) -> list[str]:
    """Deploys `app` with a replica at each (address, node); the tasks' ids."""
    feed.accepted(c.DeployApp(spec(app, len(places), ports=[Port(port, host_port)])))
    task_ids = [task.id for task in feed.tasks(app)]
    for task_id, (address, node_id) in zip(task_ids, places.items(), strict=True):
        feed.accepted(c.PlaceTasks([c.Placement(task_id, node_id)]))
        status = TaskStatus(state=TaskState.RUNNING, health=Health.HEALTHY, ip_address=address)
        feed.report(status, task_id)
    return task_ids


def policy(**fields: object) -> NetworkPolicy:
    """As a client would send it."""
    return msgspec.convert({"name": "p", **fields}, NetworkPolicy)
