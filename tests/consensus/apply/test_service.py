"""Services: theirs and their apps' ports, their addresses, and what an update leaves alone."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus import commands as c
from consensus.model.app_spec import Port
from consensus.model.event import EventType
from consensus.model.service import RANGE, GivenEndpoint, ServiceChange, ServiceCheck, ServicePort, free_address
from consensus.outcomes import Refusal
from consensus.state import with_indexes
from tests.consensus.making import Feed, spec


def service_events(feed: Feed) -> list[str]:
    return [e.data["name"] for e in feed.machine.events.freeze().events if e.type is EventType.SERVICE_UPDATED]


@pytest.mark.parametrize("strategy", [None, "random"])
def test_a_service_keeps_what_an_update_leaves_out(strategy: Any) -> None:
    feed = Feed()
    feed(c.DeployApp(spec("web", 1)))
    feed(c.UpdateService(name="web", load_balancing_strategy="ip-hash", health_check=ServiceCheck(path="/health")))
    feed(c.UpdateService(name="web", load_balancing_strategy=strategy))
    service = feed.state.services["web"]
    assert service.load_balancing_strategy == (strategy or "ip-hash")
    assert service.health_check == ServiceCheck(path="/health")
    assert isinstance(feed(c.UpdateService(name="none")), Refusal)


def test_each_service_has_an_address_of_its_own_for_as_long_as_it_lives() -> None:
    feed = Feed()
    for name in ("a", "b", "c"):
        feed.accepted(c.DeployApp(spec(name)))
    feed.accepted(c.CreateService(name="d"))
    addresses = {name: service.virtual_ip for name, service in feed.state.services.items()}
    assert len(set(addresses.values())) == 4
    assert all(ipaddress.IPv4Address(address) in RANGE for address in addresses.values())
    feed.accepted(c.UpdateService(name="a", prefer="local"), c.DeleteService("d"), c.DeleteApp("b"))
    assert feed.state.services["a"].virtual_ip == addresses["a"]
    assert dict(feed.state.service_by_address) == {addresses["a"]: "a", addresses["c"]: "c"}
    feed.accepted(c.DeployApp(spec("b")))
    assert feed.state.services["b"].virtual_ip == addresses["b"]


@given(st.sets(st.integers(1, 30)), st.text("ab", min_size=1))
def test_an_address_is_free_or_there_is_none(taken: set[int], name: str) -> None:
    known = {str(RANGE.network_address + number) for number in taken}
    address = free_address(name, known)
    assert address is not None
    assert address not in known
    assert address == free_address(name, known)


def test_a_service_of_its_own_outlives_its_apps_and_goes_only_without_them() -> None:
    feed = Feed()
    feed.accepted(c.CreateService(name="shop"), c.DeployApp(spec("v1", service="shop")))
    refused = feed(c.DeleteService("shop"))
    assert isinstance(refused, Refusal)
    assert "v1" in refused.message
    feed.accepted(c.DeleteApp("v1"))
    assert "shop" in feed.state.services
    feed.accepted(c.DeleteService("shop"))
    assert "shop" not in feed.state.services
    assert isinstance(feed(c.DeleteService("shop")), Refusal)
    assert service_events(feed) == ["shop", "shop"]


def test_a_host_port_is_an_apps_or_a_services() -> None:
    feed = Feed()
    feed.accepted(c.DeployApp(spec("web", ports=[Port(80, 8080)])))
    own = [ServicePort(80, host_port=9090)]
    assert isinstance(feed(c.CreateService(name="shop", ports=[ServicePort(80, host_port=8080)])), Refusal)
    feed.accepted(c.CreateService(name="shop", ports=own, endpoints=[GivenEndpoint("192.0.2.1")]))
    assert isinstance(feed(c.DeployApp(spec("api", ports=[Port(80, 9090)]))), Refusal)
    assert isinstance(feed(c.CreateService(name="other", ports=own)), Refusal)
    assert isinstance(feed(c.UpdateService(name="web", ports=own)), Refusal)
    feed.accepted(
        c.UpdateService(name="shop", ports=[ServicePort(80)]), c.DeployApp(spec("api", ports=[Port(80, 9090)]))
    )
    assert with_indexes(feed.state) == feed.state


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (ServiceChange(session_timeout="soon"), "session_timeout"),
        (ServiceChange(session_timeout=0), "session_timeout"),
        (ServiceChange(ports=[ServicePort(80), ServicePort(80)]), "ports[1].port"),
        (ServiceChange(ports=[ServicePort(80, host_port=1), ServicePort(81, host_port=1)]), "ports[1].host_port"),
        (ServiceChange(endpoints=[GivenEndpoint("web.local")]), "endpoints[0].ip_address"),
        (ServiceChange(endpoints=[GivenEndpoint("10.245.0.9")]), "endpoints[0].ip_address"),
    ],
)
def test_what_makes_no_sense_is_named(change: ServiceChange, field: str) -> None:
    assert [path for path, _ in change.problems()] == [field]
