"""Reading single figures from a daemon's ``GET /metrics``."""

from __future__ import annotations

from tests.support.cluster import Cluster


def metric(cluster: Cluster, number: int, name: str) -> float:
    """The value of a series, named with its labels. Raises KeyError where there is none."""
    for line in page(cluster, number).splitlines():
        series, _, value = line.rpartition(" ")
        if series == name:
            return float(value)
    raise KeyError(name)


def page(cluster: Cluster, number: int) -> str:
    with cluster.client(number, timeout_s=30) as client:
        answer = client.get("/api/metrics")
        assert answer.status_code == 200, answer.text
        return answer.text


def worst_step(cluster: Cluster, number: int) -> str:
    """The longest step of the daemon's event loop, with its name."""
    told = []
    text = page(cluster, number)
    for series, what in (("hivemind_loop_lag_max_seconds", "ms"), ("hivemind_loop_lag_max_cpu_seconds", "ms of CPU")):
        about = text.partition(f"# HELP {series} ")[2].splitlines()[0]
        name = about.rpartition("(")[2].rstrip(")")
        told.append(f"{metric(cluster, number, series) * 1000:.1f} {what} in {name}")
    return ", ".join(told)
