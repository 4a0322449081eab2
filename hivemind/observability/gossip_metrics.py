"""Membership's figures for ``GET /metrics``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from hivemind.observability.metrics import Source, counter, gauge
from membership import Health

_TOTALS = {
    "probes": "Members probed",
    "failed_probes": "Probes that nobody answered",
    "fallback_acks": "Probes that only the stream answered",
    "suspicions": "Suspicions of others that were held here",
    "suspicions_refuted": "Those that their subject refuted",
    "refutations": "Claims about this member that it refuted",
    "conflicts": "Members that came under a name that is taken",
    "packets_sent": "Packets sent",
    "packets_received": "Packets received",
    "packets_rejected": "Packets that did not open or decode",
    "packets_dropped": "Packets that the queue or the network did not take",
    "bytes_sent": "Sealed bytes sent",
    "bytes_received": "Sealed bytes received",
}
_QUEUES = ("news", "events", "vitals")


def of_gossip(health: Callable[[], Health]) -> Source:
    """What one member measures (`membership.Health`)."""

    def collect() -> Iterator[Metric]:
        figures = health()
        members = GaugeMetricFamily("hivemind_gossip_members", "Members by state", labels=["state"])
        for state in ("alive", "suspect", "dead", "left"):
            members.add_metric([state], getattr(figures, f"members_{state}"))
        yield members
        about = "Local health multiplier: 0 is healthy (Lifeguard)"
        yield gauge("gossip_awareness_score", about, figures.awareness_score)
        for name, text in _TOTALS.items():
            yield counter(f"gossip_{name}", text, getattr(figures, name))
        queued = GaugeMetricFamily("hivemind_gossip_queued", "News that wait to be sent", labels=["queue"])
        for queue in _QUEUES:
            queued.add_metric([queue], getattr(figures, f"{queue}_queued"))
        yield queued
        rtt = HistogramMetricFamily("hivemind_gossip_rtt_seconds", "Round trips to probed members")
        bounds = [*map(str, figures.rtt_bounds_s), "+Inf"]
        rtt.add_metric([], list(zip(bounds, accumulate(figures.rtt_counts), strict=True)), figures.rtt_sum_s)
        yield rtt

    return collect
