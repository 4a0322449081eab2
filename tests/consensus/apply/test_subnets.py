"""Node subnets: one each, kept until the node is removed; what happens when there are no more."""

from __future__ import annotations

import random

import pytest
from msgspec.structs import replace

from consensus import commands as c
from consensus.apply.subnets import EXHAUSTED, EXHAUSTED6
from consensus.model.network import DEFAULT_RANGE, Network, OverlayMode, OverlayReport, OverlayStatus
from consensus.outcomes import Refusal
from tests.consensus.making import ADMIN, CLUSTER, Feed, facts

_TINY = replace(CLUSTER, network=Network(ranges=("10.244.0.0/23",)))


def _part(number: int) -> c.AddNode:
    return c.AddNode(f"n{number}", replace(facts(number), overlay=OverlayMode.VXLAN))


def _founded(cluster: object = CLUSTER) -> Feed:
    feed = Feed()
    feed.accepted(c.FoundCluster(cluster, ADMIN))  # type: ignore[arg-type]
    return feed


def _subnets(feed: Feed) -> dict[str, str | None]:
    return {node.id: node.subnet for node in feed.state.nodes.values()}


def test_who_takes_part_gets_a_subnet_and_keeps_it_over_loss_and_restart() -> None:
    feed = _founded()
    feed.accepted(_part(1), c.AddNode("n2", facts(2)), _part(3))
    assert _subnets(feed) == {"n1": "10.244.0.0/24", "n2": None, "n3": "10.244.1.0/24"}
    on, off = replace(facts(1), overlay=OverlayMode.HOST_GW), facts(1)
    feed.accepted(c.StartNode("n1", "b1", off), c.StartNode("n1", "b2", on), _part(3))
    assert _subnets(feed) == {"n1": "10.244.0.0/24", "n2": None, "n3": "10.244.1.0/24"}
    feed.accepted(c.StartNode("n2", "b1", replace(facts(2), overlay=OverlayMode.VXLAN)))
    assert _subnets(feed)["n2"] == "10.244.2.0/24"


def test_only_removal_gives_a_subnet_back_and_who_lacks_one_gets_it() -> None:
    feed = _founded(_TINY)
    feed.accepted(_part(1), _part(2))
    assert not feed.state.alerts
    feed.accepted(_part(3))
    assert _subnets(feed)["n3"] is None
    assert "n3 got no subnet" in feed.state.alerts[EXHAUSTED].message
    feed.accepted(c.RemoveNode("n1"))
    assert _subnets(feed) == {"n2": "10.244.1.0/24", "n3": "10.244.0.0/24"}
    assert not feed.state.alerts


def test_a_range_is_added_live() -> None:
    feed = _founded(_TINY)
    feed.accepted(_part(1), _part(2), _part(3), c.ExtendOverlay("10.246.0.0/16"))
    assert feed.state.cluster is not None
    assert feed.state.cluster.network.ranges == ("10.244.0.0/23", "10.246.0.0/16")
    assert _subnets(feed)["n3"] == "10.246.0.0/24"
    assert not feed.state.alerts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.246.0.1/16", "expected an IPv4 range"),
        ("words", "expected an IPv4 range"),
        ("fd00::1/48", "expected an IPv6 range"),
        ("fd00::/72", "expected a /64 or larger"),
        ("2001:db8::/48", "expected a range of fc00::/7"),
        ("10.246.0.0/25", "expected a /24 or larger"),
        ("8.8.0.0/16", "expected a private range"),
        ("127.0.0.0/8", "expected a private range"),
        ("10.244.7.0/24", f"overlaps with {DEFAULT_RANGE}"),
        ("10.245.0.0/20", "overlaps with 10.245.0.0/16"),
    ],
)
def test_a_wrong_range_is_refused_by_name(text: str, expected: str) -> None:
    feed = _founded()
    before = feed.state
    outcome = feed(c.ExtendOverlay(text, ipv6=":" in text))
    assert isinstance(outcome, Refusal)
    assert outcome.message.startswith("range: ")
    assert expected in outcome.message
    assert feed.state.cluster == before.cluster


def test_a_report_is_of_one_run_of_the_daemon() -> None:
    feed = _founded()
    on = replace(facts(1), overlay=OverlayMode.VXLAN)
    feed.accepted(_part(1), c.StartNode("n1", "b1", on))
    report = OverlayReport(OverlayStatus.DEGRADED, "no iptables")
    feed.accepted(c.ReportOverlay("n1", "b1", report))
    assert feed.state.nodes["n1"].overlay == report
    feed.accepted(c.StartNode("n1", "b2", on))
    assert feed.state.nodes["n1"].overlay is None
    assert isinstance(feed(c.ReportOverlay("n1", "b1", report)), Refusal)
    assert isinstance(feed(c.ReportOverlay("n9", "b1", report)), Refusal)


@pytest.mark.parametrize("seed", range(20))
def test_no_two_nodes_ever_share_a_subnet(seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    feed = _founded(_TINY)
    extensions = iter(("10.246.0.0/24", "10.247.0.0/23"))
    for _ in range(60):
        number = rng.randint(1, 8)
        match rng.randrange(4):
            case 0 | 1:
                feed(_part(number))
            case 2:
                feed(c.RemoveNode(f"n{number}"))
            case _ if rng.random() < 0.1:
                feed(c.ExtendOverlay(next(extensions, "10.246.0.0/24")))
        given = [subnet for subnet in _subnets(feed).values() if subnet is not None]
        assert len(given) == len(set(given))
        assert (EXHAUSTED in feed.state.alerts) == (None in _subnets(feed).values())


def test_with_a_range_of_ipv6_each_node_has_a_second_subnet() -> None:
    feed = _founded()
    feed.accepted(_part(1), _part(2), c.ExtendOverlay("fd12:3456:789a:0::/63", ipv6=True), c.AddNode("n0", facts(9)))
    assert [feed.state.nodes[f"n{number}"].subnet6 for number in (0, 1, 2)] == [
        None,
        "fd12:3456:789a::/64",
        "fd12:3456:789a:1::/64",
    ]
    feed.accepted(_part(3))
    assert feed.state.nodes["n3"].subnet6 is None
    assert "n3 got no IPv6 subnet" in feed.state.alerts[EXHAUSTED6].message
    assert "overlaps with fd12:3456:789a::/63" in _refused(feed, "fd12:3456:789a:1::/64")
    feed.accepted(c.ExtendOverlay("fd12:3456:789b::/48", ipv6=True))
    assert feed.state.nodes["n3"].subnet6 == "fd12:3456:789b::/64"
    assert EXHAUSTED6 not in feed.state.alerts


def _refused(feed: Feed, text: str) -> str:
    outcome = feed(c.ExtendOverlay(text, ipv6=":" in text))
    assert isinstance(outcome, Refusal)
    return outcome.message
