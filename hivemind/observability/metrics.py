"""``GET /metrics``: the daemon's figures in Prometheus' text format, read when asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from consensus.machine import Machine
from consensus.model.node import NodeStatus
from consensus.raft import LATENCY_BUCKETS_S, Latencies, RaftMetrics, RaftNode
from hivemind.observability.loop_lag import BUCKETS_S, LoopLag

Source = Callable[[], Iterator[Metric]]


def gauge(name: str, about: str, value: float) -> Metric:
    metric = GaugeMetricFamily(f"hivemind_{name}", about)
    metric.add_metric([], value)
    return metric


def counter(name: str, about: str, value: float) -> Metric:
    metric = CounterMetricFamily(f"hivemind_{name}", about)
    metric.add_metric([], value)
    return metric


def histogram(name: str, about: str, latencies: Latencies) -> Metric:
    metric = HistogramMetricFamily(f"hivemind_{name}", about)
    names = [*map(str, LATENCY_BUCKETS_S), "+Inf"]
    metric.add_metric([], list(zip(names, accumulate(latencies.counts), strict=True)), latencies.sum_s)
    return metric


class Metrics:
    """A registry over sources: functions that yield metrics from what a part of the daemon counts anyway."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._sources: list[Source] = []
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._registry.register(self)

    def add(self, source: Source) -> None:
        self._sources.append(source)

    def collect(self) -> Iterable[Metric]:
        """Prometheus' collector protocol."""
        for source in self._sources:
            yield from source()

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: the sources are not ready when they are registered."""
        return ()

    def render(self) -> bytes:
        return generate_latest(self._registry)


def of_state(machine: Machine) -> Source:
    """The metrics that the API reference names, and the applied index."""

    def collect() -> Iterator[Metric]:
        state = machine.state
        nodes = [node for node in state.nodes.values() if node.status is not NodeStatus.LEFT]
        yield gauge("node_count", "Number of nodes in the cluster", len(nodes))
        yield gauge("container_count", "Number of containers managed by Hivemind", len(state.tasks))
        by_status = GaugeMetricFamily(
            "hivemind_container_status_count", "Number of containers by status", labels=["status"]
        )
        for status, count in sorted(Counter(t.status.state.word for t in state.tasks.values()).items()):
            by_status.add_metric([status], count)
        yield by_status
        node_status = GaugeMetricFamily("hivemind_node_status_count", "Number of nodes by status", labels=["status"])
        for status, count in sorted(Counter(node.status.value for node in nodes).items()):
            node_status.add_metric([status], count)
        yield node_status
        yield gauge("app_count", "Number of applications", len(state.apps))
        yield gauge("applied_index", "Log index of the last entry applied here", machine.index)
        checkpoint = max(machine.checkpoints, default=0)
        yield gauge("state_checkpoint_index", "Log index of the newest fingerprint kept for comparison", checkpoint)

    return collect


def of_raft(raft: RaftNode) -> Source:
    """This node's place in the log's agreement."""

    def collect() -> Iterator[Metric]:
        yield gauge("raft_term", "Raft term", raft.term)
        yield gauge("raft_is_leader", "1 where this node leads", raft.is_leader)
        yield gauge("raft_voters", "Number of voters", len(raft.voters))
        yield gauge("raft_commit_index", "Log index up to which entries are committed", raft.commit_index)
        contact_s = raft.last_leader_contact_s
        yield gauge("raft_last_leader_contact_seconds", "Time since the leader was heard", contact_s)
        yield gauge("raft_applied_index", "Log index up to which entries are applied here", raft.applied_index)
        if (figures := raft.metrics()) is not None:
            yield from _of_raft_figures(figures)

    return collect


def _of_raft_figures(figures: RaftMetrics) -> Iterator[Metric]:
    yield counter("raft_elections", "Elections that this node began", figures.elections)
    yield counter("raft_proposals", "Entries proposed here while leading", figures.proposals)
    yield counter("raft_proposals_failed", "Those that got no answer, or a refusal", figures.proposals_failed)
    yield histogram("raft_commit_seconds", "From proposing an entry to applied, at the leader", figures.commit_latency)
    yield histogram("raft_sync_seconds", "Write and fdatasync of the journal", figures.sync_latency)
    yield gauge("raft_journal_bytes", "Size of the entries in the journal", figures.journal_bytes)
    yield gauge("raft_journal_entries", "Number of entries in the journal", figures.journal_entries)
    yield gauge("raft_journal_segments", "Files that the journal has on disk", figures.journal_segments)
    yield gauge("raft_snapshot_index", "Log index of the newest snapshot", figures.snapshot_index)
    yield gauge("raft_snapshot_bytes", "Size of the snapshot written last in this run", figures.snapshot_bytes)
    yield gauge("raft_snapshot_write_seconds", "How long it took to write it", figures.snapshot_write_s)
    yield gauge("raft_storage_full", "1 where the disk has no room for the log", figures.storage_full)
    lag = GaugeMetricFamily(
        "hivemind_raft_follower_lag_entries", "What a follower lacks, at the leader", labels=["node"]
    )
    for node_id, entries in sorted(figures.follower_lag_entries.items()):
        lag.add_metric([node_id], entries)
    yield lag


def of_loop(lag: LoopLag) -> Source:
    """How long steps held the event loop."""

    def collect() -> Iterator[Metric]:
        report = lag.report()
        yield gauge("loop_lag_max_seconds", f"The longest step of the loop ({report.longest_task})", report.longest_s)
        about = f"The most CPU time of a step of the loop ({report.longest_cpu_task})"
        yield gauge("loop_lag_max_cpu_seconds", about, report.longest_cpu_s)
        steps = CounterMetricFamily("hivemind_loop_slow_steps", "Steps of the loop longer than", labels=["over_s"])
        for bound_s, count in zip(BUCKETS_S, report.steps_over, strict=True):
            steps.add_metric([str(bound_s)], count)
        yield steps

    return collect


def of_struct(prefix: str, about: str, snapshot: Callable[[], object]) -> Source:
    """Every number of a frozen Struct as a gauge ``hivemind_<prefix>_<field>``."""

    def collect() -> Iterator[Metric]:
        struct = snapshot()
        for field in struct.__struct_fields__:  # type: ignore[attr-defined]
            value = getattr(struct, field)
            if isinstance(value, int | float):
                yield gauge(f"{prefix}_{field}", f"{about}: {field.replace('_', ' ')}", value)

    return collect


def of_policies(counts: Callable[[], Mapping[tuple[str, str], int]]) -> Source:
    """New connections that this node's kernel judged by network policies."""

    def collect() -> Iterator[Metric]:
        about = "Packets of new connections that a network policy let pass or refused here"
        metric = CounterMetricFamily("hivemind_network_policy_packets", about, labels=["policy", "verdict"])
        for (policy, verdict), packets in sorted(counts().items()):
            metric.add_metric([policy, verdict], packets)
        yield metric

    return collect
