"""What this node's resolver was asked and answered."""

from __future__ import annotations

from collections.abc import Iterator

import dns.rcode
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric

from hivemind.observability.metrics import Source, counter
from runtime.network.dns.server import DnsCounters


def of_names(counters: DnsCounters) -> Source:
    """`counters` go on counting."""

    def collect() -> Iterator[Metric]:
        yield counter("dns_queries", "Questions that this node's resolver was asked", counters.queries)
        yield counter("dns_cache_hits", "Those answered from the bytes of an earlier answer", counters.hits)
        yield counter("dns_forwarded", "Those passed on to the machine's own resolvers", counters.forwarded)
        yield counter("dns_upstream_errors", "Those that no resolver of the machine answered", counters.unanswered)
        yield counter("dns_refused", "Those that came from outside of the overlay", counters.refused)
        answers = CounterMetricFamily("hivemind_dns_answers", "Answers by their code", labels=["code"])
        for code, count in enumerate(counters.answers):
            if count or code in (dns.rcode.NOERROR, dns.rcode.SERVFAIL, dns.rcode.NXDOMAIN):
                answers.add_metric([dns.rcode.to_text(dns.rcode.Rcode(code))], count)
        yield answers

    return collect
