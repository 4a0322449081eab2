"""What is answered to which question."""

from __future__ import annotations

from collections.abc import Set

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest

from consensus import commands as c
from consensus.model.app_spec import Port
from consensus.model.node import NodeStatus
from consensus.model.task import Health
from runtime.network.dns.records import Answer, Forward, answer
from tests.runtime.network.dns.world import World


def ask(
    world: World, name: str, rdtype: str = "A", *, dead: Set[str] = frozenset(), tcp: bool = True
) -> dns.message.Message:
    query = dns.message.make_query(name, rdtype)
    found = answer(world.state, dead, query.to_wire(), tcp=tcp)
    assert isinstance(found, Answer), found
    response = dns.message.from_wire(query.to_wire()[:2] + found.turns[0])
    assert query.is_response(response)
    assert response.flags & dns.flags.AA
    assert response.flags & dns.flags.RA
    return response


def texts(response: dns.message.Message) -> set[str]:
    assert response.rcode() == dns.rcode.NOERROR
    return {record.to_text() for rrset in response.answer for record in rrset}


def test_a_service_an_app_and_each_task_have_names() -> None:
    world = World()
    first, second = world.deploy("shop", 2, service="web.local", ports=(Port(80), Port(53, protocol="udp")))
    both = {"10.244.0.2", "10.244.1.2"}
    for name in ("web.local", "WEB.local.", "shop", "shop.local"):
        assert texts(ask(world, name)) == both, name
    for name in (first, f"{first}.local", "1.shop", "shop-1.shop", f"{first}.shop", "1.shop.local"):
        assert texts(ask(world, name)) == {"10.244.0.2"}, name
    assert texts(ask(world, "2.shop")) == {"10.244.1.2"}
    response = ask(world, "web.local")
    assert {rrset.ttl for rrset in response.answer} == {5}
    assert texts(ask(world, "web.local", "TXT")) == {
        f'"task={first}" "app=shop" "node=n1" "ports=80/tcp,53/udp"',
        f'"task={second}" "app=shop" "node=n2" "ports=80/tcp,53/udp"',
    }


def test_srv_records_name_the_ports_and_bring_the_addresses_along() -> None:
    """RFC 2782."""
    world = World()
    first, second = world.deploy("shop", 2, service="web.local", ports=(Port(80), Port(8443), Port(53, protocol="udp")))
    http = ask(world, "_http._tcp.web.local", "SRV")
    assert texts(http) == {f"0 1 80 {first}.local.", f"0 1 80 {second}.local."}
    assert {rrset.name.to_text(): rrset[0].to_text() for rrset in http.additional} == {
        f"{first}.local.": "10.244.0.2",
        f"{second}.local.": "10.244.1.2",
    }
    assert texts(ask(world, "_8443._tcp.1.shop", "SRV")) == {f"0 1 8443 {first}.local."}
    assert texts(ask(world, "_dns._udp.1.shop", "SRV")) == {f"0 1 53 {first}.local."}
    assert texts(ask(world, "_grpc._tcp.1.shop", "SRV")) == {f"0 1 80 {first}.local.", f"0 1 8443 {first}.local."}
    assert not texts(ask(world, "_99._tcp.1.shop", "SRV"))
    assert ask(world, "_http._tcp.nothing.local", "SRV").rcode() == dns.rcode.NXDOMAIN


def test_an_address_has_a_name() -> None:
    world = World()
    (task,) = world.deploy("shop", 1)
    assert texts(ask(world, "2.0.244.10.in-addr.arpa", "PTR")) == {f"{task}.local."}
    assert ask(world, "9.0.244.10.in-addr.arpa", "PTR").rcode() == dns.rcode.NXDOMAIN
    virtual = world.state.services["shop"].virtual_ip
    name = ".".join(reversed(virtual.split("."))) + ".in-addr.arpa"
    assert texts(ask(world, name, "PTR")) == {"vip.shop.local."}
    assert texts(ask(world, "vip.shop.local")) == {virtual}


@pytest.mark.parametrize("name", ["nothing", "nothing.local", "9.shop.local", "x.y.local"])
def test_what_is_ours_and_not_there_does_not_exist(name: str) -> None:
    """RFC 2308: with the SOA that says for how long."""
    world = World()
    world.deploy("shop", 1)
    response = ask(world, name)
    assert response.rcode() == dns.rcode.NXDOMAIN
    assert response.authority[0].ttl == 5


@pytest.mark.parametrize(("name", "rdtype"), [("shop", "AAAA"), ("shop", "MX"), ("_http._tcp.shop", "A")])
def test_what_is_there_without_such_records_is_answered_empty(name: str, rdtype: str) -> None:
    """RFC 8020: NXDOMAIN would deny the A records, too."""
    world = World()
    world.deploy("shop", 1, ports=(Port(80),))
    response = ask(world, name, rdtype)
    assert not texts(response)
    assert response.authority


@pytest.mark.parametrize(
    ("name", "rdtype"),
    [("example.com", "A"), ("x.shop", "A"), ("1.1.1.1.in-addr.arpa", "PTR"), ("local.example.com", "AAAA")],
)
def test_what_is_not_ours_is_passed_on(name: str, rdtype: str) -> None:
    world = World()
    world.deploy("shop", 1)
    assert answer(world.state, frozenset(), dns.message.make_query(name, rdtype).to_wire(), tcp=False) == Forward()


def test_only_endpoints_that_may_get_requests_are_named() -> None:
    world = World()
    first, second = world.deploy("shop", 2)
    world.report(second, health=Health.UNHEALTHY)
    assert texts(ask(world, "shop")) == {"10.244.0.2"}
    world.report(second, health=Health.HEALTHY)
    assert texts(ask(world, "shop", dead={"n2"})) == {"10.244.0.2"}
    assert not texts(ask(world, f"{second}.local", dead={"n2"}))
    world.accepted(c.SetNodeStatus("n2", NodeStatus.READY, NodeStatus.RESTARTING, "b1"))
    assert len(texts(ask(world, "shop", dead={"n2"}))) == 2
    world.accepted(c.SetNodeStatus("n2", NodeStatus.RESTARTING, NodeStatus.LOST, "b1"))
    assert texts(ask(world, "shop")) == {"10.244.0.2"}
    assert texts(ask(world, first)) == {"10.244.0.2"}


def test_replicas_outside_of_the_overlay_are_reached_by_the_virtual_address_only() -> None:
    """Their addresses are good on their own nodes; every engine's default network may have the same."""
    world = World()
    first, second = world.deploy("shop", 2, service="web.local")
    world.report(second, ip_address="172.17.0.2")
    for name in ("web.local", "shop"):
        assert texts(ask(world, name)) == {"10.244.0.2"}, name
    assert not texts(ask(world, "2.shop"))
    world.report(first, ip_address="172.17.0.2")
    virtual_ip = world.state.services["web.local"].virtual_ip
    assert texts(ask(world, "web.local")) == {virtual_ip}
    assert not texts(ask(world, "web.local", dead={"n1", "n2"}))


def test_large_answers_are_cut_to_nothing_by_udp_and_whole_by_tcp() -> None:
    """RFC 2181 §9, RFC 6891: 512 bytes, or what the client says, up to 1,232."""
    world = World()
    world.deploy("shop", 60)
    plain = ask(world, "shop", tcp=False)
    assert plain.flags & dns.flags.TC
    assert not plain.answer
    assert len(texts(ask(world, "shop", tcp=True))) == 60
    query = dns.message.make_query("shop", "A", use_edns=0, payload=4096)
    found = answer(world.state, frozenset(), query.to_wire(), tcp=False)
    assert isinstance(found, Answer)
    assert len(found.turns[0]) <= 1230
    assert len(dns.message.from_wire(b"\0\0" + found.turns[0]).answer[0]) == 60


def test_each_endpoint_gets_its_turn_to_be_first() -> None:
    world = World()
    world.deploy("shop", 3)
    query = dns.message.make_query("shop", "A").to_wire()
    found = answer(world.state, frozenset(), query, tcp=False)
    assert isinstance(found, Answer)
    firsts = [dns.message.from_wire(b"\0\0" + turn).answer[0][0].to_text() for turn in found.turns]
    assert sorted(firsts) == ["10.244.0.2", "10.244.0.3", "10.244.1.2"]


def test_rubbish_is_answered_with_an_error_or_not_at_all() -> None:
    world = World()
    query = dns.message.make_query("shop", "A")
    whole = query.to_wire()

    def rcode(wire: bytes) -> int:
        found = answer(world.state, frozenset(), wire, tcp=False)
        assert isinstance(found, Answer)
        return dns.message.from_wire(wire[:2] + found.turns[0]).rcode()

    assert answer(world.state, frozenset(), whole[:11], tcp=False) is None
    assert answer(world.state, frozenset(), b"\0\0\x80" + whole[3:], tcp=False) is None
    assert rcode(whole[:-1]) == dns.rcode.FORMERR
    assert rcode(whole[:4] + b"\0\0" + whole[6:12]) == dns.rcode.FORMERR
    query.set_opcode(dns.opcode.STATUS)
    assert rcode(query.to_wire()) == dns.rcode.NOTIMP
    assert rcode(dns.message.make_query("shop", "A", "CH").to_wire()) == dns.rcode.REFUSED
