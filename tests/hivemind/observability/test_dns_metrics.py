"""A resolver's counters in Prometheus' format."""

from __future__ import annotations

from hivemind.observability.dns_metrics import of_names
from hivemind.observability.metrics import Metrics
from runtime.network.dns.server import DnsCounters


def test_counts_go_on_and_codes_have_names() -> None:
    counters, metrics = DnsCounters(), Metrics()
    metrics.add(of_names(counters))
    counters.queries, counters.hits, counters.answers[3], counters.answers[5] = 7, 4, 2, 1
    lines = metrics.render().decode().splitlines()
    assert {"hivemind_dns_queries_total 7.0", "hivemind_dns_cache_hits_total 4.0"} <= set(lines)
    answers = {line.partition("{")[2] for line in lines if line.startswith("hivemind_dns_answers_total{")}
    assert answers == {'code="NOERROR"} 0.0', 'code="SERVFAIL"} 0.0', 'code="NXDOMAIN"} 2.0', 'code="REFUSED"} 1.0'}
